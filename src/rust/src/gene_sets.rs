//! Gene sets from files.

use crate::convert::{Fields, indices_to_r, strings};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::io::gene_sets::{GafOptions, GeneId, GeneSetTable, read_gaf, read_gmt};
use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Gaf,
    Gmt,
}

const FORMATS: &[(&str, Format)] = &[("gaf", Format::Gaf), ("gmt", Format::Gmt)];
const IDS: &[(&str, GeneId)] = &[("symbol", GeneId::Symbol), ("id", GeneId::Accession)];

/// Reads a file of `format` "gaf" or "gmt": `list(genes, terms, gene, term)`, the last two being positions in the first two.
/// `options_`: `list(id, aspect, exclude_evidence)`, of GAF files.
#[extendr]
fn gene_sets_start(path: String, format: String, options_: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("options", &options_)?;
        let options = GafOptions {
            id: fields.choice("id", IDS)?,
            aspects: strings("aspect", fields.get("aspect")?)?,
            exclude_evidence: strings("exclude_evidence", fields.get("exclude_evidence")?)?,
        };
        let format = FORMATS.iter().find(|(name, _)| *name == format).map(|(_, format)| *format);
        let format = format.ok_or_else(|| wrong("format", "\"gaf\" or \"gmt\""))?;
        Job::start(threads, memory, vec![], move |ctx| {
            let path = PathBuf::from(path);
            let table = ctx.phase("gene sets", 1, || match format {
                Format::Gaf => read_gaf(&path, &options, ctx),
                Format::Gmt => read_gmt(&path, ctx),
            })?;
            Ok(Box::new(move || Ok(table_to_r(table))) as Pack)
        })
    })
}

fn table_to_r(table: GeneSetTable) -> Robj {
    list!(
        gene = indices_to_r(table.pairs.iter().map(|pair| pair.0)),
        term = indices_to_r(table.pairs.iter().map(|pair| pair.1)),
        genes = table.genes,
        terms = table.terms
    )
    .into()
}

extendr_module! {
    mod gene_sets;
    fn gene_sets_start;
}
