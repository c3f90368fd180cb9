//! Leading eigenvectors of a symmetric operator, by thick-restarted Lanczos with full orthogonalisation (Wu & Simon 2000).
//! In: the operator on vectors of length n and vectors to stay orthogonal to. Out: eigenvectors of the largest eigenvalues,
//! largest first. Sums have a fixed order.

use crate::linalg::eigen::{Eigen, full};
use crate::rng::Rng;
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Vectors in the basis before a restart, and those kept by it.
const BASIS: usize = 40;
const KEPT: usize = 16;
const RESTARTS: usize = 25;
/// Residual of a unit eigenvector, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-4;
const BLOCK: usize = 4096;
const STREAM: u64 = 0x6569_6700;

/// `count` (at most [`KEPT`]) eigenvectors of `apply`, which writes the operator's image of its first argument into the second.
/// What has not converged after the last restart is returned as it is: a start for a layout need not be exact.
pub(super) fn leading(
    n: usize,
    count: usize,
    deflate: &[Vec<f64>],
    apply: impl Fn(&[f64], &mut [f64]),
    seed: u64,
    ctx: &Context,
) -> Result<Vec<Vec<f64>>> {
    let size = BASIS.min(n.saturating_sub(deflate.len()));
    let count = count.min(size).min(KEPT);
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut projected = Array2::zeros((size, size));
    let mut draws = 0;
    let mut random = || {
        draws += 1;
        (0..n).map(|i| Rng::keyed(seed, STREAM + draws, i as u64).normal()).collect::<Vec<f64>>()
    };
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(size + 1);
    let mut next = random();
    orthogonalise(&mut next, deflate);
    normalise(&mut next);
    let mut restarts = 0;
    loop {
        let mut residual = 0.0;
        while basis.len() < size {
            ctx.check()?;
            (next, residual) = extend(&mut basis, &mut projected, next, deflate, &apply);
            if residual < 1e-12 {
                // An invariant subspace: go on in a new direction.
                residual = 0.0;
                next = random();
                orthogonalise(&mut next, deflate);
                orthogonalise(&mut next, &basis);
                normalise(&mut next);
            }
        }
        let Eigen { values, vectors } = full(projected.clone(), size, seed, ctx)?;
        let off = |i: usize| (residual * vectors[[size - 1, i]]).abs();
        let converged = (0..count).all(|i| off(i) <= TOLERANCE * values[0].abs());
        if converged || restarts == RESTARTS || size < BASIS {
            return Ok(combine(&basis, vectors.view(), count));
        }
        restarts += 1;
        basis = combine(&basis, vectors.view(), KEPT);
        projected.fill(0.0);
        (0..KEPT).for_each(|i| projected[[i, i]] = values[i]);
    }
}

/// Takes `vector` into the basis and its products into `projected`. Out: what of its image lies outside of the basis, as a
/// unit vector, and how long that was.
fn extend(
    basis: &mut Vec<Vec<f64>>,
    projected: &mut Array2<f64>,
    vector: Vec<f64>,
    deflate: &[Vec<f64>],
    apply: &impl Fn(&[f64], &mut [f64]),
) -> (Vec<f64>, f64) {
    let last = basis.len();
    let mut next = vec![0.0; vector.len()];
    apply(&vector, &mut next);
    basis.push(vector);
    orthogonalise(&mut next, deflate);
    for (i, h) in orthogonalise(&mut next, basis).into_iter().enumerate() {
        (projected[[i, last]], projected[[last, i]]) = (h, h);
    }
    let length = normalise(&mut next);
    (next, length)
}

/// The first `count` columns of basis · vectors.
fn combine(basis: &[Vec<f64>], vectors: ArrayView2<f64>, count: usize) -> Vec<Vec<f64>> {
    let column = |c: usize| {
        let mut out = vec![0.0; basis[0].len()];
        for (i, vector) in basis.iter().enumerate() {
            let weight = vectors[[i, c]];
            out.iter_mut().zip(vector).for_each(|(out, x)| *out += weight * x);
        }
        out
    };
    (0..count).into_par_iter().map(column).collect()
}

/// Takes the components along `basis` (orthonormal) out of `x`, twice, and returns them.
fn orthogonalise(x: &mut [f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut total = vec![0.0; basis.len()];
    for _ in 0..2 {
        let along: Vec<f64> = basis.par_iter().map(|vector| dot(vector, x)).collect();
        x.par_chunks_mut(BLOCK).enumerate().for_each(|(block, x)| {
            for (vector, h) in basis.iter().zip(&along) {
                let vector = &vector[block * BLOCK..block * BLOCK + x.len()];
                x.iter_mut().zip(vector).for_each(|(x, v)| *x -= h * v);
            }
        });
        total.iter_mut().zip(along).for_each(|(total, h)| *total += h);
    }
    total
}

/// Makes `x` a unit vector and returns its former length.
fn normalise(x: &mut [f64]) -> f64 {
    let length = dot(x, x).sqrt();
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
    length
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let ((x_chunks, x_tail), (y_chunks, y_tail)) = (x.as_chunks::<4>(), y.as_chunks::<4>());
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        (0..4).for_each(|lane| sums[lane] += x[lane] * y[lane]);
    }
    sums.iter().sum::<f64>() + x_tail.iter().zip(y_tail).map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_of_a_path() {
        // The path of n vertices: eigenvalues 2 cos(π j / (n + 1)).
        for n in [1usize, 2, 5, 60, 300] {
            let apply = |x: &[f64], out: &mut [f64]| {
                for i in 0..n {
                    out[i] = if i > 0 { x[i - 1] } else { 0.0 } + if i + 1 < n { x[i + 1] } else { 0.0 };
                }
            };
            let found = leading(n, 2, &[], apply, 1, &Context::default()).unwrap();
            assert_eq!(found.len(), n.min(2));
            for (j, vector) in found.iter().enumerate() {
                let mut image = vec![0.0; n];
                apply(vector, &mut image);
                let value = 2.0 * (std::f64::consts::PI * (j + 1) as f64 / (n + 1) as f64).cos();
                assert!((dot(vector, &image) - value).abs() < 1e-4 && (dot(vector, vector) - 1.0).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn deflated_directions_are_left_out() {
        let n = 50;
        let apply = |x: &[f64], out: &mut [f64]| (0..n).for_each(|i| out[i] = (n - i) as f64 * x[i]);
        let first: Vec<f64> = (0..n).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect();
        let found = leading(n, 1, &[first], apply, 1, &Context::default()).unwrap();
        assert!(found[0][0].abs() < 1e-10 && found[0][1].abs() > 0.999);
    }
}
