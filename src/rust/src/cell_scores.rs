//! Where the cross-species edges of each cell go.

use crate::alignment_scores::{OwnLabels, each_species, offsets};
use crate::convert::{graph_from_r, indices_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, CellScores, Labels};
use samap_core::sparse::row;

/// Shares of the cells' edges: `data.frame(cell, species, label, score)` of all scores other than 0, by cell; `species` and
/// `label` are those the edges go to. Arguments as of `alignment_start`.
#[extendr]
fn cell_scores_start(graph: Robj, n_cells: Vec<f64>, species: Robj, k: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        let own: Vec<Option<OwnLabels>> = each_species(&species)?
            .iter()
            .map(|fields| fields.optional("labels").map(|_| OwnLabels::of(fields)).transpose())
            .collect::<Result<_>>()?;
        Job::start(threads, memory, vec![], move |ctx| {
            let labels: Vec<Option<Labels>> = own.iter().map(|own| own.as_ref().map(OwnLabels::view)).collect();
            let cells = offsets(&n_cells);
            let found =
                ctx.phase("cell scores", 1, || analysis::cell_scores(&graph, &cells, &labels, k as usize, ctx))?;
            Ok(Box::new(move || Ok(scores_to_r(&found))) as Pack)
        })
    })
}

fn scores_to_r(found: &CellScores) -> Robj {
    let scores = &found.scores;
    let cells = (0..scores.rows()).flat_map(|i| std::iter::repeat_n(i as u32, row(scores, i).0.len()));
    let targets = || scores.indices().iter().map(|&target| found.targets[target as usize]);
    data_frame!(
        cell = indices_to_r(cells),
        species = indices_to_r(targets().map(|(species, _)| species)),
        label = indices_to_r(targets().map(|(_, kind)| kind)),
        score = scores.data().to_vec()
    )
}

extendr_module! {
    mod cell_scores;
    fn cell_scores_start;
}
