//! The fixtures can be read, and are what the other golden tests take them for.

mod common;

use common::{Golden, graph_error, jaccard, row_relative_error, spearman};
use ndarray::array;
use samap_core::sparse::Graph;

#[test]
fn fixtures_hold_what_their_readme_says() {
    for (name, ids, cells) in [("small2", vec!["hu", "ms"], 764), ("small3", vec!["hu", "hb", "ms"], 1013)] {
        let golden = Golden::open(name);
        assert_eq!(golden.species(), ids);
        let mut total = 0;
        for id in ids {
            let counts = golden.expression(&format!("species/{id}/counts"));
            let genes = golden.strings(&format!("species/{id}/genes"));
            let loadings = golden.dense_f32(&format!("species/{id}/PCs_SAMap"));
            assert_eq!((counts.genes(), loadings.nrows()), (genes.len(), genes.len()));
            assert_eq!(golden.bools(&format!("species/{id}/preprocess/mask_genes")).len(), genes.len());
            total += counts.cells();
        }
        assert_eq!(total, cells);
        assert_eq!(golden.graph("mapping/default/connectivities").shape(), (cells, cells));
        assert_eq!(golden.dense_f32("mapping/default/iteration1/wpca").nrows(), cells);
        assert_eq!(golden.children("mapping").len(), 7);
        assert_eq!(golden.attribute("mapping/k10_nh1", "K"), "10");
    }
}

#[test]
fn frames_keep_text_and_numbers_apart() {
    let scores = Golden::open("small2").frame("analysis/default/mapping_scores");
    assert_eq!(scores.index, scores.columns);
    assert_eq!(scores.matrix(), scores.matrix().t());
    assert!(Golden::open("small2").frame("analysis/default/gene_pairs").values.len() > 30);
}

#[test]
fn errors_and_correlations_are_measured_as_said() {
    let graph = |values: [f64; 3]| Graph::new((2, 3), vec![0, 2, 3], vec![0, 2, 1], values.to_vec());
    let (x, y) = (graph([1.0, 2.0, 3.1]), graph([1.0, 2.0, 3.0]));
    assert!((graph_error(&x, &y) - 0.1 / 3.0).abs() < 1e-12);
    assert_eq!(graph_error(&graph([f64::NAN, 2.0, 3.0]), &y), f64::INFINITY);
    assert_eq!(jaccard(&x, &graph([1.0, 1e-16, 3.0])), 2.0 / 3.0);
    assert_eq!(row_relative_error(array![[1.0f32, 2.0]].view(), array![[1.0f64, 4.0]].view()), 0.5);
    assert!((spearman(&[1.0, 2.0, 2.0, 9.0], &[0.1, 0.2, 0.2, 0.3]) - 1.0).abs() < 1e-12);
}
