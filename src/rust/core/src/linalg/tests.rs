use super::lanczos::random;
use super::operator::Operator;
use super::pca::{Pca, PcaSolver, pca};
use super::scaled::{Scale, Scaled};
use super::{eigen, gemm, lanczos, qr};
use crate::rng::Rng;
use crate::sparse::{Expression, row};
use crate::{Context, Error};
use ndarray::{Array1, Array2, Axis, s};

/// Cells of five types that differ in their genes; a third of the entries is stored.
pub(crate) fn types(cells: usize, genes: usize, seed: u64) -> Expression {
    types_with(0.33, cells, genes, seed)
}

/// The same with another share of the entries.
fn types_with(stored: f64, cells: usize, genes: usize, seed: u64) -> Expression {
    let (mut pointers, mut columns, mut values) = (vec![0usize], Vec::<u32>::new(), Vec::<f32>::new());
    for i in 0..cells {
        let mut rng = Rng::keyed(seed, 1, i as u64);
        for j in 0..genes {
            let level = if j % 5 == i % 5 { 4.0 } else { 1.0 };
            if rng.uniform() < stored {
                columns.push(j as u32);
                values.push((level * (1.0 + rng.uniform())) as f32);
            }
        }
        pointers.push(columns.len());
    }
    Expression::from_rows("x", genes, &pointers, &columns, &values).unwrap()
}

fn dense(x: &Expression) -> Array2<f64> {
    let Expression::Narrow(matrix) = x else { panic!("narrow expected") };
    let mut out = Array2::zeros(matrix.shape());
    for i in 0..matrix.rows() {
        let (columns, values) = row(matrix, i);
        columns.iter().zip(values).for_each(|(&j, &v)| out[[i, j as usize]] = f64::from(v));
    }
    out
}

fn clipped(genes: usize) -> Scale {
    Scale::Clipped { mean: vec![1.0; genes], sd: vec![0.5; genes], limit: 3.0 }
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    let scale = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    a.dim() == b.dim() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance * scale)
}

#[test]
fn the_scaled_operator_is_the_dense_matrix() {
    let ctx = Context::default();
    // The last three: more cells than genes, in several tiles; few entries, and many; in several sections.
    for (n, g, stored) in [(40, 90, 0.33), (90, 40, 0.33), (1100, 40, 0.15), (1100, 40, 0.6), (8300, 40, 0.1)] {
        let x = types_with(stored, n, g, 3);
        let weights: Vec<f64> = (0..g).map(|j| 0.1 + j as f64 / g as f64).collect();
        let genes: Vec<u32> = (0..g as u32).filter(|j| j % 3 != 0).collect();
        let scaled = Scaled::new(&x, &genes, clipped(g), &weights, &ctx).unwrap();
        let columns: Vec<usize> = genes.iter().map(|&j| j as usize).collect();
        let mut full = dense(&x).mapv(|v| ((v - 1.0) / 0.5).clamp(-3.0, 3.0)) * Array1::from(weights.clone());
        full = full.select(Axis(1), &columns);
        full -= &full.mean_axis(Axis(0)).unwrap();
        let (b, c) = (random(columns.len(), 40, 1), random(n, 35, 2));
        assert!(close(&scaled.apply(b.view()).unwrap(), &full.dot(&b), 1e-6));
        assert!(close(&scaled.apply_transpose(c.view()).unwrap(), &full.t().dot(&c), 1e-6));
        let gram = if n <= columns.len() { full.dot(&full.t()) } else { full.t().dot(&full) };
        assert!(close(&scaled.gram().unwrap(), &gram, 1e-6));
        let side = if n <= columns.len() { &c } else { &b };
        let twice = scaled.apply_gram(side.view()).unwrap();
        assert!(close(&twice, &gram.dot(side), 1e-5));
        assert!(close(&scaled.apply_twice(side.view()).unwrap(), &gram.dot(side), 1e-6));
        assert!(close(&scaled.project_transposed(c.view()).unwrap(), &full.t().dot(&c), 1e-5));
        // Without room for what was put in order it is put in order again, and nothing else changes.
        let cramped = Context::new(1);
        let again = Scaled::new(&x, &genes, clipped(g), &weights, &cramped).unwrap();
        assert_eq!(again.apply_gram(side.view()).unwrap(), twice);
        assert!(scaled.apply_gram(Array2::zeros((n + 1, 3)).view()).is_err());
        assert!(scaled.apply(c.view()).is_err());
    }
}

fn components(x: &Expression, k: usize, solver: PcaSolver) -> Pca {
    let weights = vec![1.0; x.genes()];
    let genes: Vec<u32> = (0..x.genes() as u32).collect();
    let ctx = Context::default();
    let scaled = Scaled::new(x, &genes, Scale::Genes(vec![1.0; x.genes()]), &weights, &ctx).unwrap();
    pca(&scaled, k, solver, 7, &ctx).unwrap()
}

#[test]
fn solvers_agree() {
    for (n, g) in [(700, 300), (300, 700), (800, 620)] {
        let x = types(n, g, 5);
        // Five types give four strong components; the fifth lies in the noise.
        let exact = components(&x, 4, PcaSolver::Exact);
        for solver in [PcaSolver::Lanczos, PcaSolver::Auto] {
            let other = components(&x, 4, solver);
            assert!(close(&other.scores.mapv(f64::from), &exact.scores.mapv(f64::from), 1e-5), "{solver:?}");
            assert!(close(&other.loadings.mapv(f64::from), &exact.loadings.mapv(f64::from), 1e-5), "{solver:?}");
        }
        // The four are almost equally strong, so that the sketch finds their space before it tells them apart.
        let approximation = |found: &Pca| found.scores.dot(&found.loadings.t()).mapv(f64::from);
        let randomized = approximation(&components(&x, 4, PcaSolver::Randomized));
        assert!(close(&randomized, &approximation(&exact), 1e-3));
        let identity = exact.loadings.t().dot(&exact.loadings);
        assert!(close(&identity.mapv(f64::from), &Array2::eye(4), 1e-5));
        for scores in exact.scores.columns() {
            let extreme = scores.iter().fold(0.0f32, |m, &x| if x.abs() > m.abs() { x } else { m });
            assert!(extreme > 0.0);
        }
    }
}

#[test]
fn leading_pairs_are_those_of_the_full_decomposition() {
    let ctx = Context::default();
    let a = random(640, 640, 1);
    let gram = gemm::product(a.view(), a.t()).unwrap();
    let few = eigen::leading(gram.clone(), 30, 0, &ctx).unwrap();
    // One by one from a tridiagonal matrix, and all by divide and conquer.
    let (some, mut all) = [30, 640].map(|k| eigen::full(gram.clone(), k, 0, &ctx).unwrap()).into();
    all.vectors = all.vectors.slice_move(s![.., ..30]);
    let iterated =
        lanczos::leading::<f64>(640, &lanczos::Settings::exact(30, 0, 640), &ctx, |b| gemm::product(gram.view(), b))
            .unwrap()
            .unwrap();
    for pairs in [&few, &some, &iterated] {
        assert!(pairs.values.iter().zip(&all.values).all(|(x, y)| (x - y).abs() < 1e-11 * all.values[0]));
        let overlap = (&pairs.vectors * &all.vectors).sum_axis(Axis(0));
        assert!(overlap.iter().all(|x| x.abs() > 1.0 - 1e-10), "{overlap}");
    }
    // A basis that outgrows its first room.
    let cramped = lanczos::Settings { first: 64, ..lanczos::Settings::exact(30, 0, 640) };
    let grown = lanczos::leading::<f64>(640, &cramped, &ctx, |b| gemm::product(gram.view(), b)).unwrap().unwrap();
    assert!(grown.values.iter().zip(&all.values).all(|(x, y)| (x - y).abs() < 1e-11 * all.values[0]));
    assert!(
        lanczos::leading::<f64>(640, &lanczos::Settings::exact(30, 0, 100), &ctx, |b| gemm::product(gram.view(), b))
            .unwrap()
            .is_none()
    );
}

#[test]
fn cancelling_stops_decompositions() {
    let gram = gemm::product(random(640, 640, 1).view(), random(640, 640, 1).t()).unwrap();
    let ctx = Context::default();
    let settings = lanczos::Settings::exact(30, 0, 640);
    let blocks = std::cell::Cell::new(0);
    let iterated = lanczos::leading::<f64>(640, &settings, &ctx, |block| {
        blocks.set(blocks.get() + 1);
        if blocks.get() == 2 {
            ctx.cancel();
        }
        gemm::product(gram.view(), block)
    });
    assert!(matches!(iterated, Err(Error::Cancelled)) && blocks.get() == 2);
    assert!(matches!(eigen::full(gram.clone(), 30, 0, &ctx), Err(Error::Cancelled)));
    assert!(matches!(eigen::leading(gram, 30, 0, &ctx), Err(Error::Cancelled)));
}

#[test]
fn more_components_than_rank() {
    // Six distinct cells, repeated: after centring the rank is five.
    let few = types(6, 50, 9);
    let Expression::Narrow(few) = few else { panic!("narrow expected") };
    let (mut pointers, mut columns, mut values) = (vec![0usize], Vec::new(), Vec::new());
    for i in 0..60 {
        let (c, v) = row(&few, i % 6);
        columns.extend_from_slice(c);
        values.extend_from_slice(v);
        pointers.push(columns.len());
    }
    let x = Expression::from_rows("x", 50, &pointers, &columns, &values).unwrap();
    for solver in [PcaSolver::Exact, PcaSolver::Lanczos, PcaSolver::Randomized] {
        let found = components(&x, 8, solver);
        assert!(found.singular_values[4] > 1.0 && found.singular_values[5] < 1e-5, "{solver:?}");
        assert!(found.loadings.iter().chain(&found.scores).all(|x| x.is_finite()));
        assert!(found.loadings.column(6).iter().all(|&x| x == 0.0), "{solver:?}");
    }
    let gram = Array2::from_shape_fn((600, 600), |(i, j)| if i == j && i < 20 { 1.0 + i as f64 } else { 0.0 });
    let found = eigen::leading(gram, 40, 0, &Context::default()).unwrap();
    assert!((found.values[0] - 20.0).abs() < 1e-12 && found.values[39].abs() < 1e-10);
    assert!(close(&found.vectors.t().dot(&found.vectors), &Array2::eye(40), 1e-10));
}

#[test]
fn bases_are_orthonormal_even_without_full_rank() {
    let full = random(200, 12, 4);
    // How much of one column is that of another: all of it, nearly all, or so much that only the first round is in doubt.
    for apart in [1.0, 0.0, 1e-9, 1e-5, 1e-3, 1e3] {
        let mut a = full.clone();
        let nearly = &full.column(0) + &(apart * &full.column(7));
        a.column_mut(7).assign(&nearly);
        let (q, r) = qr::thin(a.view()).unwrap();
        assert!(close(&q.t().dot(&q), &Array2::eye(12), 1e-12), "{apart}");
        assert!(close(&q.dot(&r), &a, 1e-12), "{apart}");
        assert!((0..12).all(|i| (0..i).all(|j| r[[i, j]] == 0.0)), "{apart}");
    }
    assert!(qr::thin(full.t()).is_err());
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let x = types(1100, 1050, 2);
    let bits = |threads: usize, solver| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| components(&x, 12, solver));
        let all = found.scores.iter().chain(&found.loadings).map(|x| x.to_bits());
        all.collect::<Vec<_>>()
    };
    for solver in [PcaSolver::Exact, PcaSolver::Lanczos, PcaSolver::Randomized] {
        let one = bits(1, solver);
        assert!(one == bits(2, solver) && one == bits(8, solver), "{solver:?}");
    }
    // The parallel decomposition of a large matrix.
    let a = random(1020, 1020, 1);
    let gram = gemm::product(a.view(), a.t()).unwrap();
    let full = |threads: usize, k: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| eigen::full(gram.clone(), k, 0, &Context::default()).unwrap().vectors)
    };
    // Eigenvectors one by one, and all at once.
    for k in [200, 300] {
        let one = full(1, k);
        assert!(one == full(2, k) && one == full(8, k));
    }
}

#[test]
fn impossible_numbers_of_components_are_refused() {
    let x = types(20, 10, 1);
    let (weights, genes, ctx) = (vec![1.0; 10], (0..10).collect::<Vec<u32>>(), Context::default());
    let scaled = Scaled::new(&x, &genes, Scale::Genes(vec![1.0; 10]), &weights, &ctx).unwrap();
    assert!(pca(&scaled, 0, PcaSolver::Exact, 0, &ctx).is_err());
    assert!(pca(&scaled, 11, PcaSolver::Exact, 0, &ctx).is_err());
    assert!(Scaled::new(&x, &genes, Scale::Genes(vec![1.0; 9]), &weights, &ctx).is_err());
}
