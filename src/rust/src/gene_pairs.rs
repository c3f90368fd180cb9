//! Gene pairs that link aligned cell types.

use crate::alignment_scores::{OwnLabels, each_species, offsets, scores_from_r};
use crate::cluster_markers::test;
use crate::convert::{Fields, graph_from_r, indices_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::mapping::Homology;
use crate::sam::{Species, held};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, AnnotatedSpecies, Direction, GenePair, GenePairInput, GenePairOptions, Markers};

/// Names of the directions.
pub const DIRECTIONS: &[(&str, Direction)] = &[("enriched", Direction::Enriched), ("divergent", Direction::Divergent)];

struct Input {
    expression: Species,
    weights: Vec<f64>,
    gene_columns: Vec<u32>,
    labels: OwnLabels,
}

impl Input {
    fn of(fields: &Fields) -> Result<Self> {
        let expression: Species = held("expression", fields.get("expression")?)?;
        Ok(Input {
            weights: fields.numbers("weights")?,
            gene_columns: fields.indices("gene_columns", expression.expression.genes())?,
            labels: OwnLabels::of(fields)?,
            expression,
        })
    }

    fn annotated<'a>(&'a self, markers: &'a Markers) -> AnnotatedSpecies<'a> {
        AnnotatedSpecies {
            expression: &self.expression.expression,
            weights: &self.weights,
            gene_columns: &self.gene_columns,
            labels: self.labels.view(),
            markers,
        }
    }
}

fn options(fields: &Fields) -> Result<GenePairOptions> {
    Ok(GenePairOptions {
        min_score: fields.number("min_score")?,
        min_weight: fields.number("min_weight")?,
        min_fraction: fields.number("min_fraction")?,
        max_pairs: fields.number("max_pairs")? as usize,
        max_pval: fields.number("max_pval")?,
        direction: fields.choice("direction", DIRECTIONS)?,
    })
}

/// Gene pairs of the pairs of types in `scores`. `species`: list of `list(expression, weights, gene_columns, labels,
/// n_labels)`; `homology`: the refined graph; `graph`: the stitched graph.
#[extendr]
fn gene_pairs_start(
    species: Robj,
    homology: Robj,
    graph: Robj,
    scores: Robj,
    options_: Robj,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let inputs: Vec<Input> = each_species(&species)?.iter().map(Input::of).collect::<Result<_>>()?;
        let homology = Homology::of(&homology)?;
        let graph = graph_from_r("graph", &graph)?;
        let scores = scores_from_r(&scores)?;
        let fields = Fields::of("options", &options_)?;
        let (options, test) = (options(&fields)?, test(&fields)?);
        Job::start(threads, memory, vec![], move |ctx| {
            let markers: Vec<Markers> = ctx.phase("markers", inputs.len(), || {
                let of = |input: &Input| {
                    let found =
                        analysis::cluster_markers(&input.expression.expression, input.labels.view(), test, ctx)?;
                    ctx.advance(1).map(|()| found)
                };
                inputs.iter().map(of).collect()
            })?;
            let species: Vec<AnnotatedSpecies> =
                inputs.iter().zip(&markers).map(|(input, markers)| input.annotated(markers)).collect();
            let cells: Vec<f64> = inputs.iter().map(|input| input.expression.expression.cells() as f64).collect();
            let input = GenePairInput {
                species: &species,
                genes: &homology.graph.offsets,
                refined: &homology.graph.weights,
                cells: &offsets(&cells),
                stitched: &graph,
            };
            let pairs =
                ctx.phase("gene pairs", scores.len(), || analysis::gene_pairs(&input, &scores, &options, ctx))?;
            Ok(Box::new(move || Ok(pairs_to_r(&pairs))) as Pack)
        })
    })
}

fn pairs_to_r(pairs: &[GenePair]) -> Robj {
    let numbers = |of: fn(&GenePair) -> f64| pairs.iter().map(of).collect::<Vec<f64>>();
    let ids = |of: fn(&GenePair) -> u32| indices_to_r(pairs.iter().map(of));
    data_frame!(
        species_a = ids(|p| p.species_a),
        type_a = ids(|p| p.type_a),
        species_b = ids(|p| p.species_b),
        type_b = ids(|p| p.type_b),
        gene_a = ids(|p| p.gene_a),
        gene_b = ids(|p| p.gene_b),
        score = numbers(|p| p.score),
        correlation = numbers(|p| p.correlation),
        pval_a = numbers(|p| p.pval_a),
        pval_b = numbers(|p| p.pval_b),
        padj_a = numbers(|p| p.padj_a),
        padj_b = numbers(|p| p.padj_b),
        rank = pairs.iter().map(|p| p.rank as i32).collect::<Vec<i32>>()
    )
}

extendr_module! {
    mod gene_pairs;
    fn gene_pairs_start;
}
