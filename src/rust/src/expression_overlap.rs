//! Where homologous genes are expressed together.

use crate::alignment_scores::{each_species, offsets};
use crate::convert::{Fields, graph_from_r, matrix_to_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::sam::{Species, held};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, Average, SpeciesGene};

const AVERAGES: &[(&str, Average)] = &[("species", Average::Species), ("all", Average::All)];

struct Input {
    expression: Species,
    species: usize,
    gene: u32,
}

impl Input {
    fn of(fields: &Fields, species: usize) -> Result<Self> {
        let expression: Species = held("expression", fields.get("expression")?)?;
        let one = |name: &str, limit: usize| -> Result<u32> {
            fields.indices(name, limit)?.first().copied().ok_or_else(|| wrong(name, "one index"))
        };
        Ok(Input {
            species: one("species", species)? as usize,
            gene: one("gene", expression.expression.genes())?,
            expression,
        })
    }

    fn view(&self) -> SpeciesGene<'_> {
        SpeciesGene { species: self.species, expression: &self.expression.expression, gene: self.gene }
    }
}

/// Smoothed expression (cells × genes) and overlap (cells): `list(smoothed, overlap)`. `genes`: list of `list(expression,
/// species, gene)`; `n_cells`: cells per species; `options`: `list(average, min_expression)`.
#[extendr]
fn expression_overlap_start(
    graph: Robj,
    n_cells: Vec<f64>,
    genes: Robj,
    options: Robj,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        let inputs: Vec<Input> =
            each_species(&genes)?.iter().map(|fields| Input::of(fields, n_cells.len())).collect::<Result<_>>()?;
        let options = Fields::of("options", &options)?;
        let (average, threshold) = (options.choice("average", AVERAGES)?, options.number("min_expression")?);
        Job::start(threads, memory, vec![], move |ctx| {
            let genes: Vec<SpeciesGene> = inputs.iter().map(Input::view).collect();
            let found = ctx.phase("expression overlap", 1, || {
                analysis::expression_overlap(&graph, &offsets(&n_cells), &genes, average, threshold, ctx)
            })?;
            Ok(Box::new(move || {
                Ok(list!(smoothed = matrix_to_r(found.smoothed.view())?, overlap = found.overlap).into())
            }) as Pack)
        })
    })
}

extendr_module! {
    mod expression_overlap;
    fn expression_overlap_start;
}
