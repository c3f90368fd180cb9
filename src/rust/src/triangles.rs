//! Triangles of cell types and of genes, and the types that genes mark.

use crate::alignment_scores::{OwnLabels, scores_from_r};
use crate::cluster_markers::test;
use crate::convert::{Fields, indices, indices_to_r, numbers_to_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::sam::{Species, held};
use crate::substitutions::OwnPairs;
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{
    self, Cliques, EdgeClass, GeneTriangleOptions, SubstitutionOptions, TypeTriangleOptions, cluster_markers,
};

/// Names of the classes of edges.
pub const CLASSES: &[(&str, EdgeClass)] =
    &[("ortholog", EdgeClass::Ortholog), ("substitution", EdgeClass::Substitution), ("homolog", EdgeClass::Homolog)];

/// A matrix with a row per clique and a column per corner or edge.
fn table<'a>(cliques: &'a Cliques, of: impl Fn(usize) -> &'a [u32], value: impl Fn(u32) -> f64) -> Result<Robj> {
    let columns = if cliques.is_empty() { 0 } else { of(0).len() };
    numbers_to_r(cliques.len(), columns, |i, j| value(of(i)[j]))
}

/// Cliques of aligned types, best first: `list(species, kind)` (cliques × corners) and `score` (cliques × edges). `scores`: rows of
/// `alignment_start()`.
#[extendr]
fn type_triangles_start(scores: Robj, min_score: f64, n: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let scores = scores_from_r(&scores)?;
        let options = TypeTriangleOptions { min_score, size: n as usize };
        Job::start(threads, memory, vec![], move |ctx| {
            let found =
                ctx.phase("cell type triangles", 1, || analysis::cell_type_triangles(&scores, &options, ctx))?;
            Ok(Box::new(move || {
                let (cliques, types) = (&found.cliques, &found.types);
                Ok(list!(
                    species = table(cliques, |i| cliques.corners(i), |at| f64::from(types[at as usize].0 + 1))?,
                    kind = table(cliques, |i| cliques.corners(i), |at| f64::from(types[at as usize].1 + 1))?,
                    score = table(cliques, |i| cliques.edges(i), |edge| found.scores[edge as usize])?
                )
                .into())
            }) as Pack)
        })
    })
}

fn gene_options(fields: &Fields) -> Result<GeneTriangleOptions> {
    let names = fields.get("classes")?.as_str_vector().ok_or_else(|| wrong("classes", "a vector of strings"))?;
    let class = |name: &&str| CLASSES.iter().find(|(known, _)| known == name).map(|(_, class)| *class);
    Ok(GeneTriangleOptions {
        min_correlation: fields.number("min_correlation")?,
        size: fields.count("n")?,
        classes: names
            .iter()
            .map(|name| class(name).ok_or_else(|| wrong("classes", "known")))
            .collect::<Result<_>>()?,
    })
}

/// Cliques of correlated homologous genes, best first: `gene` (cliques × corners), `correlation` and `class` (cliques × edges; the
/// class as a position among the names of classes). `homology`, `orthologs`: as in `substitutions_start()`.
#[extendr]
fn gene_triangles_start(homology: Robj, orthologs: Robj, options_: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let homology = OwnPairs::of(&homology)?;
        let orthologs = homology.others("orthologs", &orthologs)?;
        let fields = Fields::of("options", &options_)?;
        let options = gene_options(&fields)?;
        let substitution = SubstitutionOptions { min_gain: fields.number("min_gain")? };
        Job::start(threads, memory, vec![], move |ctx| {
            let pairs = homology.view();
            let found = ctx.phase("gene triangles", pairs.genes.last().copied().unwrap_or(1), || {
                let substitutions = analysis::paralog_substitutions(&pairs, &orthologs, None, &substitution, ctx)?;
                analysis::gene_triangles(&pairs, &orthologs, &substitutions, &options, ctx)
            })?;
            Ok(Box::new(move || {
                let cliques = &found.cliques;
                let class =
                    |edge: u32| CLASSES.iter().take_while(|class| class.1 != found.classes[edge as usize]).count();
                Ok(list!(
                    gene = table(cliques, |i| cliques.corners(i), |gene| f64::from(gene + 1))?,
                    correlation = table(cliques, |i| cliques.edges(i), |edge| found.correlations[edge as usize])?,
                    class = table(cliques, |i| cliques.edges(i), |edge| (class(edge) + 1) as f64)?
                )
                .into())
            }) as Pack)
        })
    })
}

/// The types that genes of one species mark: a list with a vector of types per gene. `species`: as in `markers_start()`; `genes`:
/// columns of the expression.
#[extendr]
fn gene_types_start(species: Robj, genes: Robj, max_pval: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("species", &species)?;
        let expression: Species = held("expression", fields.get("expression")?)?;
        let labels = OwnLabels::of(&fields)?;
        let test = test(&fields)?;
        let genes = indices("genes", &genes, expression.expression.genes())?;
        Job::start(threads, memory, vec![], move |ctx| {
            let types = ctx.phase("markers", 1, || {
                let markers = cluster_markers(&expression.expression, labels.view(), test, ctx)?;
                analysis::types_of_genes(&markers, &genes, max_pval)
            })?;
            Ok(Box::new(move || Ok(List::from_values(types.into_iter().map(indices_to_r)).into())) as Pack)
        })
    })
}

extendr_module! {
    mod triangles;
    fn type_triangles_start;
    fn gene_triangles_start;
    fn gene_types_start;
}
