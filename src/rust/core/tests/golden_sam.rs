//! Preprocessing, dispersion ranking, the SAM loop and the loadings against the reference, each step fed with the
//! reference's own input.

// A step that fails fails the test.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Golden, as_graph, expression_error, graph_error, relative_error, row_relative_error, spearman};
use ndarray::{Array2, Axis, s};
use samap_core::Context;
use samap_core::knn::Neighbours;
use samap_core::linalg::pca::PcaSolver;
use samap_core::sam::loadings::mapping_loadings;
use samap_core::sam::preprocess::{Norm, PreprocessOptions, Preprocessed, SumNorm, preprocess};
use samap_core::sam::run::{SamOptions, SamResult, Scaling, run};
use samap_core::sam::weights::{WeightMode, dispersion_ranking};
use samap_core::sparse::{Graph, row};

/// Every species of both fixtures.
fn each_species(mut test: impl FnMut(&Golden, &str)) {
    for name in ["small2", "small3"] {
        let golden = Golden::open(name);
        for id in golden.species() {
            test(&golden, &format!("species/{id}"));
        }
    }
}

fn preprocessed(golden: &Golden, species: &str, options: &PreprocessOptions) -> Preprocessed {
    preprocess(golden.expression(&format!("{species}/counts")), options, &Context::default()).unwrap()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// A binary neighbour graph with the same number of neighbours everywhere.
fn neighbours(graph: &Graph) -> Neighbours {
    let k = row(graph, 0).0.len();
    assert!((0..graph.rows()).all(|i| row(graph, i).0.len() == k));
    Neighbours { k, indices: graph.indices().to_vec(), distances: vec![0.0; graph.nnz()] }
}

#[test]
fn preprocessing() {
    each_species(|golden, species| {
        let ours = preprocessed(golden, species, &PreprocessOptions::default());
        let kept = golden.bools(&format!("{species}/preprocess/mask_genes"));
        assert_eq!(ours.kept, kept, "{species}");
        let means = golden.f32s(&format!("{species}/preprocess/means"));
        let variances = golden.f32s(&format!("{species}/preprocess/variances"));
        assert!(relative_error(&wide(&ours.means), &wide(&means)) < 3e-7, "{species}");
        assert!(relative_error(&wide(&ours.variances), &wide(&variances)) < 3e-7, "{species}");
        if golden.has(&format!("{species}/preprocess/X")) {
            let x = golden.expression(&format!("{species}/preprocess/X"));
            assert_eq!(ours.expression.stored(), x.stored());
            assert!(expression_error(&ours.expression, &x) < 3e-7, "{species}");
        }
    });
}

#[test]
fn preprocessing_variants() {
    let with = |sum_norm, norm| PreprocessOptions { sum_norm, norm, ..PreprocessOptions::default() };
    let variants = [
        ("ftt", with(SumNorm::CellMedian, Norm::Ftt)),
        ("asin", with(SumNorm::CellMedian, Norm::Asin)),
        ("multinomial", with(SumNorm::None, Norm::Multinomial)),
        ("gene_median", with(SumNorm::GeneMedian, Norm::Log2)),
        ("10k", with(SumNorm::Total(1e4), Norm::Log2)),
    ];
    let golden = Golden::open("small2");
    for species in ["species/hu", "species/ms"] {
        for (name, options) in &variants {
            let ours = preprocessed(&golden, species, options);
            let path = |what: &str| format!("{species}/preprocess_{name}/{what}");
            let error = graph_error(&as_graph(&ours.expression), &golden.graph(&path("X")));
            assert!(error < 1e-5, "{name}: {error}");
            if golden.has(&path("X_disp")) {
                let error = expression_error(ours.for_dispersions(), &golden.expression(&path("X_disp")));
                assert!(error < 3e-7, "{name}: {error}");
            }
            if golden.has(&path("means")) {
                let error = relative_error(&wide(&ours.means), &wide(&golden.f32s(&path("means"))));
                assert!(error < 1e-5, "{name}: {error}");
            }
        }
    }
}

const MODES: [(&str, WeightMode); 4] = [
    ("dispersion", WeightMode::Dispersion),
    ("variance", WeightMode::Variance),
    ("rms", WeightMode::Rms),
    ("combined", WeightMode::Combined),
];

#[test]
fn dispersions() {
    let golden = Golden::open("small2");
    for species in ["species/hu", "species/ms"] {
        let x = golden.expression(&format!("{species}/preprocess/X"));
        let neighbours = neighbours(&golden.graph(&format!("{species}/sam/connectivities")));
        for (name, mode) in MODES {
            let (weights, _) = dispersion_ranking(&x, &neighbours, 50, mode, &Context::default()).unwrap();
            let expected = golden.f64s(&format!("{species}/sam/dispersion_ranking/{name}"));
            let error = relative_error(&weights, &expected);
            assert!(error < 1e-10, "{species} {name}: {error}");
        }
    }
}

/// Neighbour sets and distances; where a set differs, both cut the same tie.
fn assert_same_neighbours(ours: &SamResult, connectivities: &Graph, distances: &Graph) {
    let mut differing = 0;
    for i in 0..connectivities.rows() {
        let (indices, found) = ours.neighbours.of(i);
        assert_eq!((indices[0] as usize, found[0]), (i, 0.0));
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        let mut expected = row(distances, i).1.to_vec();
        expected.sort_by(f64::total_cmp);
        let farthest = expected.last().copied().unwrap();
        if sorted != row(connectivities, i).0 {
            differing += 1;
            assert!((found.last().unwrap() - farthest).abs() < 1e-6, "cell {i}");
        }
        assert!(relative_error(&found[1..], &expected) < 1e-5, "cell {i}");
    }
    println!("{differing} cells cut a tie");
}

#[test]
fn sam_weights_in_every_iteration() {
    each_species(|golden, species| {
        let data = preprocessed(golden, species, &PreprocessOptions::default());
        let ours = run(&data, &SamOptions::default(), &Context::default()).unwrap();
        let expected = golden.dense_f64(&format!("{species}/sam/weights_per_iteration"));
        assert_eq!(ours.weights_per_iteration.len(), expected.nrows(), "{species}");
        for (weights, expected) in ours.weights_per_iteration.iter().zip(expected.axis_iter(Axis(0))) {
            let expected = expected.to_vec();
            let largest = weights.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{species}: largest difference {largest:e}");
            assert!(largest <= 1e-3 && spearman(weights, &expected) >= 0.9999, "{species}: {largest}");
        }
        assert_eq!(Some(&ours.weights), ours.weights_per_iteration.last());
        let connectivities = golden.graph(&format!("{species}/sam/connectivities"));
        if golden.has(&format!("{species}/sam/distances")) {
            assert_same_neighbours(&ours, &connectivities, &golden.graph(&format!("{species}/sam/distances")));
        }
    });
}

#[test]
fn sam_variants() {
    let basis = SamOptions { npcs: 50, k: 15, n_genes: Some(800), ..SamOptions::default() };
    let variants = [
        ("normalizer", SamOptions { scaling: Scaling::Normalizer, ..basis.clone() }),
        ("weight_pcs", SamOptions { weight_pcs: true, ..basis.clone() }),
        ("sparse_pca", SamOptions { sparse_pca: true, ..basis.clone() }),
        ("combined", SamOptions { weight_mode: WeightMode::Combined, ..basis.clone() }),
        ("dispersion", SamOptions { weight_mode: WeightMode::Dispersion, ..basis.clone() }),
    ];
    each_species(|golden, species| {
        let data = preprocessed(golden, species, &PreprocessOptions::default());
        for (name, options) in &variants {
            let path = format!("{species}/sam_variants/{name}/weights");
            if golden.has(&path) {
                let ours = run(&data, options, &Context::default()).unwrap().weights;
                let expected = golden.f64s(&path);
                let largest = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                println!("{species} {name}: largest difference {largest:e}");
                assert!(largest <= 1e-3 && spearman(&ours, &expected) >= 0.9999, "{species} {name}: {largest}");
            }
        }
    });
}

/// Largest entry of what is left of the columns of `a` outside of the space of the columns of `b` (both orthonormal).
fn outside(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - &b.dot(&b.t().dot(a))).iter().fold(0.0, |largest, x| x.abs().max(largest))
}

#[test]
fn loadings() {
    each_species(|golden, species| {
        let data = preprocessed(golden, species, &PreprocessOptions::default());
        let weights = golden.f64s(&format!("{species}/sam/weights"));
        let expected = golden.dense_f32(&format!("{species}/PCs_SAMap"));
        for solver in [PcaSolver::Auto, PcaSolver::Lanczos] {
            let ours = mapping_loadings(&data.expression, &weights, 300, solver, 0, &Context::default()).unwrap();
            assert_eq!(ours.dim(), expected.dim());
            let error = row_relative_error(ours.t(), expected.t());
            let (a, b) = (ours.mapv(f64::from), expected.mapv(f64::from));
            println!("{species} {solver:?}: {error:e}, outside {:e} {:e}", outside(&a, &b), outside(&b, &a));
            assert!(outside(&a, &b) < 1e-5 && outside(&b, &a) < 1e-5, "{species}");
            // The same signs: every component, not its negative.
            let dots = (&a * &b).sum_axis(Axis(0));
            assert!(dots.iter().all(|dot| *dot > 0.999_999), "{species} {dots}");
            assert!(row_relative_error(ours.t().slice(s![..50, ..]), expected.t().slice(s![..50, ..])) < 1e-5);
        }
    });
}
