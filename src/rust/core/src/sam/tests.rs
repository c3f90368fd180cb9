use super::harmony::{Batch, HarmonyOptions};
use super::loadings::{Components, carried_loadings_on, mapping_loadings};
use super::preprocess::{Norm, PreprocessOptions, Preprocessed, SumNorm, preprocess};
use super::run::{SamOptions, SamResult, run};
use super::weights::{WeightMode, dispersion_ranking};
use crate::backend::Cpu;
use crate::knn::Neighbours;
use crate::linalg::pca::PcaSolver;
use crate::rng::Rng;
use crate::sparse::Expression;
use crate::{Context, Error};
use ndarray::Array2;

/// Counts of four types of cells; gene 0 is never seen, gene 1 is the same everywhere, cell 3 is empty.
fn counts(cells: usize, genes: usize) -> Vec<Vec<f64>> {
    let count = |i: usize, j: usize| {
        let mut rng = Rng::keyed(11, i as u64, j as u64);
        let level = if j % 4 == i % 4 { 12.0 } else { 2.0 };
        match (i, j) {
            (3, _) | (_, 0) => 0.0,
            (_, 1) => 5.0,
            _ if rng.uniform() < 0.4 => (level * (0.5 + rng.uniform())).ceil(),
            _ => 0.0,
        }
    };
    (0..cells).map(|i| (0..genes).map(|j| count(i, j)).collect()).collect()
}

fn expression(rows: &[Vec<f64>]) -> Expression {
    let (mut pointers, mut columns, mut values) = (vec![0usize], Vec::<u32>::new(), Vec::new());
    for row in rows {
        for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            columns.push(j as u32);
            values.push(x);
        }
        pointers.push(columns.len());
    }
    Expression::from_rows("counts", rows[0].len(), &pointers, &columns, &values).unwrap()
}

fn prepared(rows: &[Vec<f64>]) -> Preprocessed {
    preprocess(expression(rows), &PreprocessOptions::default(), &Context::default()).unwrap()
}

fn options() -> SamOptions {
    SamOptions { npcs: 8, k: 10, n_genes: Some(60), ..SamOptions::default() }
}

fn sam(data: &Preprocessed) -> SamResult {
    run(data, &options(), &Context::default()).unwrap()
}

#[test]
fn threads_do_not_change_a_bit() {
    let rows = counts(300, 90);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let data = prepared(&rows);
            let result = sam(&data);
            let weights: Vec<u64> = result.weights.iter().map(|w| w.to_bits()).collect();
            let loadings =
                mapping_loadings(&data.expression, &result.weights, 30, PcaSolver::Auto, 0, &Context::default());
            (data.expression, weights, result.neighbours, loadings.unwrap())
        })
    };
    let one = on(1);
    assert!(one == on(2) && one == on(8));
}

#[test]
fn permuting_cells_and_genes_permutes_the_weights() {
    let rows = counts(200, 80);
    let plain = sam(&prepared(&rows)).weights;
    let (cell, gene) = (|i: usize| (i * 77) % 200, |j: usize| (j * 27) % 80);
    let mixed: Vec<Vec<f64>> = (0..200).map(|i| (0..80).map(|j| rows[cell(i)][gene(j)]).collect()).collect();
    let other = sam(&prepared(&mixed)).weights;
    assert!((0..80).all(|j| (other[j] - plain[gene(j)]).abs() < 1e-6));
}

#[test]
fn empty_cells_and_constant_genes_are_harmless() {
    let data = prepared(&counts(120, 60));
    let result = sam(&data);
    assert!(!data.kept[0] && result.weights[0] == 0.0);
    assert!(result.weights.iter().chain(&result.neighbours.distances).all(|x| x.is_finite()));
    assert!(result.scores.iter().chain(&result.loadings).all(|x| x.is_finite()));
    let loadings = mapping_loadings(&data.expression, &result.weights, 300, PcaSolver::Auto, 0, &Context::default());
    let loadings = loadings.unwrap();
    assert_eq!(loadings.dim(), (60, 59));
    assert!(loadings.iter().all(|x| x.is_finite()) && loadings.row(0).iter().all(|&x| x == 0.0));
}

#[test]
fn one_gene_few_cells_and_nothing_that_varies() {
    let one: Vec<Vec<f64>> = (0..30).map(|i| vec![f64::from(i % 7), 9.0]).collect();
    let loose = PreprocessOptions { thresh_high: 1.0, ..PreprocessOptions::default() };
    let data = preprocess(expression(&one), &loose, &Context::default()).unwrap();
    let narrow = SamOptions { n_genes: Some(1), ..options() };
    assert_eq!(run(&data, &narrow, &Context::default()).unwrap().scores.ncols(), 1);
    assert_eq!(run(&prepared(&counts(12, 40)), &options(), &Context::default()).unwrap().neighbours.k, 10);
    assert_eq!(run(&prepared(&counts(9, 40)), &options(), &Context::default()).unwrap().neighbours.k, 7);
    for rows in [vec![vec![4.0, 2.0]; 20], vec![vec![0.0, 0.0]; 20], counts(2, 20)] {
        let refused = run(&prepared(&rows), &options(), &Context::default());
        assert!(matches!(refused, Err(Error::Argument { .. })), "{refused:?}");
    }
}

#[test]
fn given_coordinates_take_the_place_of_components() {
    let data = prepared(&counts(60, 40));
    let given = Array2::from_shape_fn((60, 2), |(i, j)| if i % 2 == j { 1.0 + i as f32 } else { 0.1 });
    let with = SamOptions { components: Some(given.clone()), k: 6, ..options() };
    let result = run(&data, &with, &Context::default()).unwrap();
    assert_eq!((result.scores, result.weights_per_iteration.len()), (given, 1));
    let wrong = SamOptions { components: Some(Array2::zeros((59, 2))), ..options() };
    assert!(matches!(run(&data, &wrong, &Context::default()), Err(Error::Argument { .. })));
}

#[test]
fn preprocessing_refuses_what_it_cannot_do() {
    let base = PreprocessOptions::default();
    for bad in [
        PreprocessOptions { div: 0.0, ..base.clone() },
        PreprocessOptions { sum_norm: SumNorm::Total(f64::NAN), ..base.clone() },
        PreprocessOptions { thresh_low: f64::NAN, ..base.clone() },
        PreprocessOptions { norm: Norm::Multinomial, ..base.clone() },
    ] {
        let refused = preprocess(expression(&counts(9, 9)), &bad, &Context::default());
        assert!(matches!(refused, Err(Error::Argument { .. })), "{bad:?}");
    }
}

#[test]
fn dispersions_by_hand() {
    // Two cells that are each their only neighbour: averages are the values.
    let x = expression(&[vec![1.0, 2.0, 0.0], vec![3.0, 2.0, 0.0]]);
    let neighbours = Neighbours { k: 1, indices: vec![0, 1], distances: vec![0.0; 2] };
    let ctx = Context::default();
    let ranked = |top, mode| dispersion_ranking(&x, &neighbours, top, mode, &ctx).unwrap();
    let of = |mode| ranked(1, mode);
    assert_eq!(of(WeightMode::Variance), (vec![1.0, 0.0, 0.0], vec![1.0, 0.0, 0.0]));
    assert_eq!(of(WeightMode::Dispersion).1, vec![0.5, 0.0, 0.0]);
    assert!((of(WeightMode::Rms).1[0] - 1.0 / 5f64.sqrt()).abs() < 1e-15);
    // A mean over more dispersions than vary cuts the largest one.
    assert_eq!(ranked(2, WeightMode::Variance).0, vec![1.0, 0.0, 0.0]);
    let elsewhere = Neighbours { k: 1, indices: vec![0, 2], distances: vec![0.0; 2] };
    assert!(dispersion_ranking(&x, &elsewhere, 1, WeightMode::Rms, &ctx).is_err());
}

#[test]
fn carried_loadings_are_the_plain_ones_for_their_own_scores_and_put_cells_where_told() {
    let data = prepared(&counts(200, 60));
    let weights = sam(&data).weights;
    let ctx = Context::default();
    let components = Components { count: 300, solver: PcaSolver::Exact, seed: 0 };
    let carried =
        |z: &Array2<f32>| carried_loadings_on(&Cpu, &data.expression, &weights, z.view(), components, &ctx).unwrap();
    let plain = mapping_loadings(&data.expression, &weights, 300, PcaSolver::Exact, 0, &ctx).unwrap();
    let scores = scores_of(&data, &weights, &plain);
    let rotated = Array2::from_shape_fn((200, 2), |(i, j)| scores[[i, j]] - 2.0 * scores[[i, j + 1]] + 3.0);
    let (same, other) = (carried(&scores), carried(&rotated));
    let scale = plain.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    assert!(same.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-3 * scale));
    for (g, row) in other.outer_iter().enumerate() {
        for j in 0..2 {
            assert!((row[j] - (plain[[g, j]] - 2.0 * plain[[g, j + 1]])).abs() < 1e-3 * scale);
        }
    }
    let short = Array2::<f32>::zeros((199, 2));
    let bad = carried_loadings_on(&Cpu, &data.expression, &weights, short.view(), components, &ctx);
    assert!(matches!(bad, Err(Error::Shape { .. })));
}

/// S V, centred: cells × components.
fn scores_of(data: &Preprocessed, weights: &[f64], loadings: &Array2<f32>) -> Array2<f32> {
    let n = data.expression.cells();
    let mut out = Array2::<f64>::zeros((n, loadings.ncols()));
    crate::with_expression!(&data.expression, x => for i in 0..n {
        let (genes, values) = crate::sparse::row(x, i);
        for (gene, &value) in genes.iter().zip(values) {
            let g = sprs::SpIndex::index(*gene);
            let factor = f64::from(value) / f64::from(data.variances[g]).sqrt() * weights[g];
            (0..out.ncols()).for_each(|j| out[[i, j]] += factor * f64::from(loadings[[g, j]]));
        }
    });
    let means = out.mean_axis(ndarray::Axis(0)).unwrap();
    (out - means).mapv(|x| x as f32)
}

#[test]
fn batches_that_shift_every_gene_are_mixed_again() {
    let mut rows = counts(240, 80);
    let of: Vec<u32> = (0..240).map(|i| (i / 4 % 2) as u32).collect();
    // The second batch sees other genes.
    for (row, &batch) in rows.iter_mut().zip(&of) {
        (60..80).for_each(|j| row[j] += if (j < 70) == (batch == 0) { 15.0 } else { 0.0 });
    }
    let data = prepared(&rows);
    let own_batch = |result: &SamResult| {
        let same = |i: usize| result.neighbours.indices_of(i).iter().filter(|&&j| of[j as usize] == of[i]).count();
        (0..240).map(same).sum::<usize>() as f64 / (240 * result.neighbours.k) as f64
    };
    let corrected =
        SamOptions { batch: Some(Batch { of: of.clone(), options: HarmonyOptions::default() }), ..options() };
    let plain = own_batch(&sam(&data));
    let mixed = own_batch(&run(&data, &corrected, &Context::default()).unwrap());
    assert!(plain > 0.9 && mixed < 0.7, "{plain} {mixed}");
}
