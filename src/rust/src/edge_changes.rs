//! How the cross-species edges changed between two passes.

use crate::alignment_scores::offsets;
use crate::convert::{graph_from_r, indices_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::analysis::{self, EdgeChange};

/// Edges per pair of species before, after, and in both. `n_cells`: cells per species.
#[extendr]
fn edge_changes_start(before: Robj, after: Robj, n_cells: Vec<f64>, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let (before, after) = (graph_from_r("before", &before)?, graph_from_r("after", &after)?);
        Job::start(threads, memory, vec![], move |ctx| {
            let found =
                ctx.phase("edge changes", 1, || analysis::edge_changes(&before, &after, &offsets(&n_cells), ctx))?;
            Ok(Box::new(move || Ok(changes_to_r(&found))) as Pack)
        })
    })
}

fn changes_to_r(changes: &[EdgeChange]) -> Robj {
    let counts = |of: fn(&EdgeChange) -> usize| changes.iter().map(|c| of(c) as f64).collect::<Vec<f64>>();
    data_frame!(
        species_a = indices_to_r(changes.iter().map(|c| c.species_a)),
        species_b = indices_to_r(changes.iter().map(|c| c.species_b)),
        before = counts(|c| c.before),
        after = counts(|c| c.after),
        shared = counts(|c| c.shared)
    )
}

extendr_module! {
    mod edge_changes;
    fn edge_changes_start;
}
