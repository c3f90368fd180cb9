//! The layout of the reference's stitched graphs keeps neighbours together at least as well as the reference's own (scanpy
//! 1.11.5, umap-learn 0.5.12, min_dist 0.1, 500 epochs). Coordinates are not compared: the reference starts at random and
//! moves cells one after the other.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::Golden;
use ndarray::Array2;
use samap_core::Context;
use samap_core::embedding::{Init, UmapOptions, umap};
use samap_core::knn::{KnnOptions, Metric, search_self};
use samap_core::rng::Rng;
use samap_core::sparse::{Graph, row};

/// Share of each cell's edges that lead to one of its 30 nearest cells in the layout.
fn preserved(graph: &Graph, layout: &Array2<f32>) -> f64 {
    let ctx = Context::default();
    let near = search_self(layout.view(), 31, Metric::Euclidean, &KnnOptions::default(), &ctx).unwrap();
    let kept = |i: usize| row(graph, i).0.iter().filter(|j| near.of(i).0.contains(j)).count();
    (0..graph.rows()).map(kept).sum::<usize>() as f64 / graph.nnz() as f64
}

#[test]
fn layouts_of_stitched_graphs_keep_neighbours() {
    // The shares of the reference, random start (a spectral one is lower).
    for (name, reference) in [("small2", 0.555), ("small3", 0.381)] {
        let golden = Golden::open(name);
        let graph = golden.graph("mapping/default/connectivities");
        let latent = golden.dense_f32("mapping/default/iteration1/wpca");
        let random =
            Array2::from_shape_fn((graph.rows(), 2), |(i, j)| Rng::keyed(0, i as u64, j as u64).uniform() as f32);
        assert!(preserved(&graph, &random) < 0.1);
        for init in [Init::Spectral, Init::Pca, Init::Random] {
            let options = UmapOptions { init, ..UmapOptions::default() };
            let layout = umap(&graph, Some(latent.view()), &options, &Context::default()).unwrap();
            let share = preserved(&graph, &layout);
            assert!(share >= reference, "{name}, {init:?}: {share}");
        }
    }
}
