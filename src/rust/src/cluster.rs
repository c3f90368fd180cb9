//! Undirected views of graphs, for clustering and for checks.

use crate::convert::{graph_from_r, graph_to_r, indices_to_r, neighbours_from_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::sparse::{components, larger_of_both};

/// max(A, Aᵀ) of a graph, a dgCMatrix.
#[extendr]
fn symmetric_start(graph: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let symmetric = ctx.phase("symmetric graph", 1, || Ok(larger_of_both(&graph)))?;
            Ok(Box::new(move || graph_to_r(&symmetric)) as Pack)
        })
    })
}

/// Connected component of every cell of a kNN table (cells × k, from 1).
#[extendr]
fn components_start(neighbor_index: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let neighbours = neighbours_from_r("neighbor_index", &neighbor_index)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let n = neighbours.cells();
            let edges = (0..n).flat_map(|i| neighbours.indices_of(i).iter().map(move |&j| (i, j as usize)));
            let found = ctx.phase("components", 1, || Ok(components(n, edges)))?;
            Ok(Box::new(move || Ok(indices_to_r(found))) as Pack)
        })
    })
}

extendr_module! {
    mod cluster;
    fn symmetric_start;
    fn components_start;
}
