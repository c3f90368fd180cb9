//! Terms among lists of genes.

use crate::convert::{Fields, indices, indices_to_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, Enrichment, EnrichmentOptions, GeneSets};

/// Tests every term in every list. `sets`: `list(n_genes, n_terms, gene, term)`, a row per gene and term; `lists`: unnamed list
/// of vectors of genes; `options_`: `list(min_size, max_size)`.
#[extendr]
fn enrichment_start(sets: Robj, lists: Robj, options_: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("gene_sets", &sets)?;
        let (genes, terms) = (fields.count("n_genes")?, fields.count("n_terms")?);
        let pairs = fields.indices("gene", genes)?.into_iter().zip(fields.indices("term", terms)?).collect();
        let lists = lists.as_list().ok_or_else(|| wrong("genes", "a list"))?;
        let lists: Vec<Vec<u32>> = lists.values().map(|list| indices("genes", &list, genes)).collect::<Result<_>>()?;
        let fields = Fields::of("options", &options_)?;
        let options = EnrichmentOptions {
            min_size: fields.count("min_size")?,
            // Infinite is more than any number of genes.
            max_size: fields.number("max_size")? as usize,
        };
        Job::start(threads, memory, vec![], move |ctx| {
            let sets = GeneSets::new(genes, terms, pairs)?;
            let rows = ctx.phase("enrichment", lists.len(), || analysis::enrich(&sets, &lists, &options, ctx))?;
            Ok(Box::new(move || Ok(rows_to_r(&rows))) as Pack)
        })
    })
}

fn rows_to_r(rows: &[Enrichment]) -> Robj {
    let numbers = |of: fn(&Enrichment) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
    let genes = List::from_values(rows.iter().map(|row| indices_to_r(row.genes.iter().copied())));
    list!(
        list = indices_to_r(rows.iter().map(|row| row.list)),
        term = indices_to_r(rows.iter().map(|row| row.term)),
        n_genes = rows.iter().map(|row| row.genes.len() as i32).collect::<Vec<i32>>(),
        n_term = rows.iter().map(|row| row.size as i32).collect::<Vec<i32>>(),
        odds_ratio = numbers(|row| row.odds_ratio),
        pval = numbers(|row| row.pval),
        padj = numbers(|row| row.padj),
        genes = genes
    )
    .into()
}

extendr_module! {
    mod enrichment;
    fn enrichment_start;
}
