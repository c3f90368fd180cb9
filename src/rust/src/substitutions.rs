//! Paralog substitutions, and orthologs by reciprocal best weights.

use crate::convert::{Fields, indices_to_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, HomologousPairs, Substitution, SubstitutionOptions};

/// Homologous pairs of R, owned: genes numbered over all species.
pub struct OwnPairs {
    genes: Vec<usize>,
    pairs: Vec<(u32, u32)>,
    values: Vec<f64>,
}

impl OwnPairs {
    /// From `list(n_genes, gene_a, gene_b, weight)`.
    pub fn of(object: &Robj) -> Result<Self> {
        let fields = Fields::of("homology", object)?;
        let genes = crate::alignment_scores::offsets(&fields.numbers("n_genes")?);
        let pairs = pairs_of(&fields, genes[genes.len() - 1])?;
        Ok(OwnPairs { genes, pairs, values: fields.numbers("weight")? })
    }

    /// As the engine takes them.
    pub fn view(&self) -> HomologousPairs<'_> {
        HomologousPairs { genes: &self.genes, pairs: &self.pairs, values: &self.values }
    }

    /// Pairs of the same genes from `list(gene_a, gene_b)`.
    pub fn others(&self, argument: &str, object: &Robj) -> Result<Vec<(u32, u32)>> {
        pairs_of(&Fields::of(argument, object)?, self.genes[self.genes.len() - 1])
    }
}

fn pairs_of(fields: &Fields, genes: usize) -> Result<Vec<(u32, u32)>> {
    let (a, b) = (fields.indices("gene_a", genes)?, fields.indices("gene_b", genes)?);
    if a.len() != b.len() {
        return Err(wrong("gene_b", "as long as `gene_a`"));
    }
    Ok(a.into_iter().zip(b).collect())
}

/// Substitutions, largest gain first. `homology`: `list(n_genes, gene_a, gene_b, weight)` with correlations as weights;
/// `orthologs`, `paralogs`: `list(gene_a, gene_b)`, `paralogs = NULL` for all homologous pairs that are no orthologs.
#[extendr]
fn substitutions_start(
    homology: Robj,
    orthologs: Robj,
    paralogs: Robj,
    min_gain: f64,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let homology = OwnPairs::of(&homology)?;
        let orthologs = homology.others("orthologs", &orthologs)?;
        let given = (!paralogs.is_null()).then_some(&paralogs);
        let paralogs = given.map(|given| homology.others("paralogs", given)).transpose()?;
        let options = SubstitutionOptions { min_gain };
        Job::start(threads, memory, vec![], move |ctx| {
            let rows = ctx.phase("paralog substitutions", 1, || {
                analysis::paralog_substitutions(&homology.view(), &orthologs, paralogs.as_deref(), &options, ctx)
            })?;
            Ok(Box::new(move || Ok(rows_to_r(&rows))) as Pack)
        })
    })
}

fn rows_to_r(rows: &[Substitution]) -> Robj {
    let ids = |of: fn(&Substitution) -> u32| indices_to_r(rows.iter().map(of));
    let numbers = |of: fn(&Substitution) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
    data_frame!(
        gene = ids(|row| row.gene),
        ortholog = ids(|row| row.ortholog),
        paralog = ids(|row| row.paralog),
        ortholog_correlation = numbers(|row| row.ortholog_correlation),
        paralog_correlation = numbers(|row| row.paralog_correlation),
        gain = numbers(|row| row.gain)
    )
}

/// `list(gene_a, gene_b)` of the pairs that are best for each other. `homology`: as above, with sequence weights.
#[extendr]
fn reciprocal_best_(homology: Robj) -> Robj {
    outcome(|| {
        let best = analysis::reciprocal_best(&OwnPairs::of(&homology)?.view())?;
        let ids = |of: fn(&(u32, u32)) -> u32| indices_to_r(best.iter().map(of));
        Ok(list!(gene_a = ids(|pair| pair.0), gene_b = ids(|pair| pair.1)).into())
    })
}

extendr_module! {
    mod substitutions;
    fn substitutions_start;
    fn reciprocal_best_;
}
