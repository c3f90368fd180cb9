//! Quality, determinism and edge cases of the layout.

use super::*;
use crate::knn::{KnnOptions, Metric, search_self};
use crate::sparse::graph_from_rows;

/// kNN graph (k 10, weight 1, directed) of points in `clusters` clusters on a line of centres.
fn clusters(n: usize, clusters: usize) -> (Graph, Array2<f32>) {
    let points = Array2::from_shape_fn((n, 10), |(i, j)| {
        let centre = 2.0 * Rng::keyed(1, (i % clusters) as u64, j as u64).normal();
        (centre + Rng::keyed(2, i as u64, j as u64).normal()) as f32
    });
    let ctx = Context::default();
    let found = search_self(points.view(), 11, Metric::Euclidean, &KnnOptions::default(), &ctx).unwrap();
    let rows = (0..n).map(|i| {
        let mut row: Vec<(u32, f64)> = found.of(i).0[1..].iter().map(|&j| (j, 1.0)).collect();
        row.sort_by_key(|x| x.0);
        row
    });
    (graph_from_rows(n, rows.collect()), points)
}

/// Share of each cell's edges that lead to one of its `k` nearest cells in the layout.
fn preserved(graph: &Graph, layout: &Array2<f32>, k: usize) -> f64 {
    let ctx = Context::default();
    let near = search_self(layout.view(), k + 1, Metric::Euclidean, &KnnOptions::default(), &ctx).unwrap();
    let (mut kept, mut all) = (0, 0);
    for i in 0..graph.rows() {
        for j in row(graph, i).0 {
            kept += usize::from(near.of(i).0.contains(j));
            all += 1;
        }
    }
    kept as f64 / all as f64
}

fn random(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 2), |(i, j)| Rng::keyed(9, i as u64, j as u64).uniform() as f32)
}

fn default_layout(graph: &Graph) -> Array2<f32> {
    umap(graph, None, &UmapOptions::default(), &Context::default()).unwrap()
}

#[test]
fn neighbours_stay_neighbours_from_every_start() {
    let (graph, points) = clusters(1200, 8);
    assert!(preserved(&graph, &random(1200), 30) < 0.1);
    for init in [Init::Spectral, Init::Pca, Init::Random] {
        let options = UmapOptions { init, ..UmapOptions::default() };
        let layout = umap(&graph, Some(points.view()), &options, &Context::default()).unwrap();
        let share = preserved(&graph, &layout, 30);
        assert!(share > 0.5, "{init:?}: {share}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (graph, points) = clusters(700, 3);
    for init in [Init::Spectral, Init::Pca, Init::Random] {
        let options = UmapOptions { init, n_epochs: Some(60), ..UmapOptions::default() };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| umap(&graph, Some(points.view()), &options, &Context::default()).unwrap())
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(8));
        let other = umap(&graph, Some(points.view()), &UmapOptions { seed: 1, ..options }, &Context::default());
        assert_ne!(one, other.unwrap());
    }
}

#[test]
fn graphs_without_edges_and_tiny_graphs_are_finite() {
    for n in [0usize, 1, 2, 5] {
        let empty = graph_from_rows(n, vec![Vec::new(); n]);
        let layout = default_layout(&empty);
        assert_eq!(layout.dim(), (n, 2));
        assert!(layout.iter().all(|x| x.is_finite() && (0.0..=10.0).contains(x)));
    }
    for n in 2..9u32 {
        let ring = graph_from_rows(n as usize, (0..n).map(|i| vec![((i + 1) % n, 0.5)]).collect());
        for n_components in 1..4 {
            let options = UmapOptions { n_components, ..UmapOptions::default() };
            let layout = umap(&ring, None, &options, &Context::default()).unwrap();
            assert_eq!(layout.dim(), (n as usize, n_components));
            assert!(layout.iter().all(|x| x.is_finite()), "{n}: {layout}");
        }
    }
}

#[test]
fn components_lie_apart_and_lonely_cells_near() {
    // Two components of 300, twelve of 2, and 20 cells without an edge.
    let (one, _) = clusters(300, 1);
    let mut rows: Vec<Vec<(u32, f64)>> = Vec::new();
    for shift in [0u32, 300] {
        rows.extend((0..300).map(|i| row(&one, i).0.iter().map(|j| (j + shift, 1.0)).collect()));
    }
    rows.extend((0..24u32).map(|i| vec![(600 + (i ^ 1), 1.0)]));
    rows.extend(vec![Vec::new(); 20]);
    let graph = graph_from_rows(644, rows);
    let layout = default_layout(&graph);
    assert!(layout.iter().all(|x| x.is_finite()));
    let (low, high) = (layout.fold(f32::MAX, |a, x| a.min(*x)), layout.fold(f32::MIN, |a, x| a.max(*x)));
    assert!(high - low < 60.0, "{low} to {high}");
    let near = search_self(layout.view(), 11, Metric::Euclidean, &KnnOptions::default(), &Context::default()).unwrap();
    let same = |i: usize| near.of(i).0.iter().filter(|j| **j < 600 && (**j < 300) == (i < 300)).count();
    let share = (0..600).map(same).sum::<usize>() as f64 / 6600.0;
    assert!(share > 0.95, "{share}");
}

#[test]
fn light_edges_are_never_drawn() {
    let rows = vec![vec![(1, 1.0)], vec![(0, 1.0)], vec![(0, 1e-4)]];
    let (linked, edges) = strong_edges(&graph_from_rows(3, rows), 500, &UmapOptions::default());
    assert_eq!((linked, edges), (vec![0, 1], vec![(0, 1, 1.0), (1, 0, 1.0)]));
}

#[test]
fn unusable_arguments_are_named() {
    let graph = graph_from_rows(2, vec![vec![(1, 1.0)], vec![]]);
    let message = |options: UmapOptions| umap(&graph, None, &options, &Context::default()).unwrap_err().to_string();
    let d = UmapOptions::default;
    assert!(message(UmapOptions { n_components: 4, ..d() }).contains("n_components"));
    assert!(message(UmapOptions { min_dist: 2.0, ..d() }).contains("min_dist"));
    assert!(message(UmapOptions { spread: 0.0, ..d() }).contains("spread"));
    assert!(message(UmapOptions { learning_rate: f64::NAN, ..d() }).contains("learning_rate"));
    assert!(message(UmapOptions { repulsion: -1.0, ..d() }).contains("repulsion"));
    assert!(message(UmapOptions { init: Init::Pca, ..d() }).contains("init"));
    let negative = graph_from_rows(2, vec![vec![(1, -1.0)], vec![]]);
    assert!(matches!(umap(&negative, None, &d(), &Context::default()), Err(Error::Argument { .. })));
    let wide = graph_from_rows(3, vec![vec![(1, 1.0)], vec![]]);
    assert!(matches!(umap(&wide, None, &d(), &Context::default()), Err(Error::Shape { .. })));
    let latent = Array2::<f32>::zeros((3, 2));
    assert!(matches!(umap(&graph, Some(latent.view()), &d(), &Context::default()), Err(Error::Shape { .. })));
}

#[test]
fn cancelling_stops_the_layout() {
    let (graph, _) = clusters(100, 2);
    let ctx = Context::default();
    ctx.cancel();
    assert!(matches!(umap(&graph, None, &UmapOptions::default(), &ctx), Err(Error::Cancelled)));
}
