//! Some eigenpairs of a symmetric tridiagonal matrix T: eigenvalues by bisection on Sturm counts, eigenvectors by inverse
//! iteration (Barth, Martin & Wilkinson 1967; Peters & Wilkinson 1971). All work is per eigenvalue, and in parallel. What it
//! finds is proven to be right, or not handed out: eigenvalues that lie too close to each other are left to others.

use super::gemm;
use crate::Result;
use crate::rng::Rng;
use crate::simd::vectorised;
use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// Eigenvalues sought at once, so that their divisions overlap.
const LANES: usize = 16;

/// Halvings of the interval that all eigenvalues lie in: after them it is as narrow as rounding.
const HALVINGS: usize = 60;

/// Steps of inverse iteration from a random start.
const STEPS: usize = 3;

/// Step of the random starts (see [`Rng::keyed`]).
const STEP: u64 = 0x3d1a_60a1;

/// Inner products of unit eigenvectors may be so large before they are made orthogonal, and afterwards.
const OBLIQUE: f64 = 1e-2;
const ORTHOGONAL: f64 = 1e-14;

/// Largest residual ‖T v − λ v‖, relative to the norm of T.
const RESIDUAL: f64 = 1e-13;

/// A symmetric tridiagonal matrix.
pub struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Entries beside the diagonal, one fewer.
    beside: Vec<f64>,
    /// Bound of all absolute eigenvalues.
    norm: f64,
}

impl Tridiagonal {
    /// `beside` is one shorter than `diagonal`.
    pub fn new(diagonal: Vec<f64>, beside: Vec<f64>) -> Self {
        let n = diagonal.len();
        let next_to = |i: usize| if i < beside.len() { beside[i].abs() } else { 0.0 };
        let row = |i: usize| diagonal[i].abs() + next_to(i) + if i > 0 { next_to(i - 1) } else { 0.0 };
        let norm = (0..n).map(row).fold(f64::MIN_POSITIVE, f64::max);
        Tridiagonal { diagonal, beside, norm }
    }

    /// The `k` largest eigenvalues, descending, and their eigenvectors (k × n, orthonormal rows); `None` where they could not
    /// be told apart.
    ///
    /// # Errors
    /// Those of matrix products.
    pub fn leading(&self, k: usize, seed: u64) -> Result<Option<(Vec<f64>, Array2<f64>)>> {
        let values = self.largest_eigenvalues(k);
        let mut vectors = Array2::zeros((k, self.diagonal.len()));
        let rows = gemm::row_blocks(&mut vectors, 1)?;
        rows.for_each(|(j, _, vector)| {
            let mut rng = Rng::keyed(seed, STEP, j as u64);
            vector.iter_mut().for_each(|x| *x = rng.uniform() - 0.5);
            (0..STEPS).for_each(|_| self.solve_shifted(values[j], vector));
        });
        let Some(vectors) = orthonormal(vectors)? else { return Ok(None) };
        let exact = vectors.axis_iter(Axis(0)).zip(&values).all(|(row, &value)| {
            let square: f64 = (0..row.len()).map(|i| (self.times(i, |i| row[i]) - value * row[i]).powi(2)).sum();
            square.sqrt() <= RESIDUAL * self.norm
        });
        Ok(exact.then_some((values, vectors)))
    }

    /// Entries on the diagonal.
    pub fn diagonal(&self) -> &[f64] {
        &self.diagonal
    }

    /// Entries beside the diagonal.
    pub fn below(&self) -> &[f64] {
        &self.beside
    }

    /// (T x)_i.
    fn times(&self, i: usize, x: impl Fn(usize) -> f64) -> f64 {
        let before = if i > 0 { self.beside[i - 1] * x(i - 1) } else { 0.0 };
        let after = if i < self.beside.len() { self.beside[i] * x(i + 1) } else { 0.0 };
        before + self.diagonal[i] * x(i) + after
    }

    /// The `k` largest eigenvalues, descending.
    fn largest_eigenvalues(&self, k: usize) -> Vec<f64> {
        let n = self.diagonal.len();
        let squares: Vec<f64> = self.beside.iter().map(|x| x * x).collect();
        let mut values = vec![0.0; k];
        values.par_chunks_mut(LANES).enumerate().for_each(|(chunk, values)| {
            // The eigenvalue number `rank` from below, from 0: as many lie below it.
            let rank: [usize; LANES] = std::array::from_fn(|lane| (n - 1).saturating_sub(chunk * LANES + lane));
            let found = vectorised(
                #[inline(always)]
                || self.bisect(&squares, &rank),
            );
            values.copy_from_slice(&found[..values.len()]);
        });
        values
    }

    #[inline(always)]
    fn bisect(&self, squares: &[f64], rank: &[usize; LANES]) -> [f64; LANES] {
        let (mut low, mut high) = ([-self.norm; LANES], [self.norm; LANES]);
        for _ in 0..HALVINGS {
            let middle: [f64; LANES] = std::array::from_fn(|lane| 0.5 * (low[lane] + high[lane]));
            let below = self.count_below(squares, &middle);
            for lane in 0..LANES {
                let is_below = below[lane] as usize <= rank[lane];
                low[lane] = if is_below { middle[lane] } else { low[lane] };
                high[lane] = if is_below { high[lane] } else { middle[lane] };
            }
        }
        std::array::from_fn(|lane| 0.5 * (low[lane] + high[lane]))
    }

    /// How many eigenvalues lie below each x: negative pivots of T − x (Sylvester's law of inertia).
    #[inline(always)]
    fn count_below(&self, squares: &[f64], x: &[f64; LANES]) -> [f64; LANES] {
        let (mut pivots, mut counts) = ([1.0; LANES], [0.0; LANES]);
        let smallest = self.norm * f64::EPSILON * f64::EPSILON;
        let before = std::iter::once(&0.0).chain(squares);
        for (diagonal, square) in self.diagonal.iter().zip(before) {
            for lane in 0..LANES {
                let pivot = diagonal - x[lane] - square / pivots[lane];
                let pivot = if pivot.abs() < smallest { -smallest } else { pivot };
                counts[lane] += if pivot < 0.0 { 1.0 } else { 0.0 };
                pivots[lane] = pivot;
            }
        }
        counts
    }

    /// Replaces x by the unit vector along (T − shift)⁻¹ x, by elimination with partial pivoting.
    fn solve_shifted(&self, shift: f64, x: &mut [f64]) {
        let n = x.len();
        let smallest = self.norm * f64::EPSILON;
        let pivot = |p: f64| if p.abs() < smallest { smallest.copysign(p) } else { p };
        let next_to = |i: usize| if i < self.beside.len() { self.beside[i] } else { 0.0 };
        // Rows of the triangular factor: its diagonal and the two entries beside it.
        let mut upper = vec![[0.0; 3]; n];
        let mut row = [self.diagonal[0] - shift, next_to(0)];
        for i in 0..n - 1 {
            let below = [self.beside[i], self.diagonal[i + 1] - shift, next_to(i + 1)];
            if row[0].abs() >= below[0].abs() {
                upper[i] = [pivot(row[0]), row[1], 0.0];
                let factor = below[0] / upper[i][0];
                x[i + 1] -= factor * x[i];
                row = [below[1] - factor * row[1], below[2]];
            } else {
                upper[i] = below;
                x.swap(i, i + 1);
                let factor = row[0] / below[0];
                x[i + 1] -= factor * x[i];
                row = [row[1] - factor * below[1], -factor * below[2]];
            }
        }
        upper[n - 1] = [pivot(row[0]), 0.0, 0.0];
        for i in (0..n).rev() {
            let known = (1..3).filter(|d| i + d < n).map(|d| upper[i][d] * x[i + d]).sum::<f64>();
            x[i] = (x[i] - known) / upper[i][0];
        }
        let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let length = x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt() * largest;
        x.iter_mut().for_each(|x| *x /= length);
    }
}

/// Rows that are almost orthonormal, made so: X ← (3 − X Xᵀ) X / 2 until nothing is left to do (Björck & Bowie 1971). `None`
/// where they are not.
fn orthonormal(mut x: Array2<f64>) -> Result<Option<Array2<f64>>> {
    let mut allowed = OBLIQUE;
    loop {
        let mut gram = gemm::product(x.view(), x.t())?;
        let off = |((i, j), &x): ((usize, usize), &f64)| (x - if i == j { 1.0 } else { 0.0 }).abs();
        let worst =
            gram.indexed_iter().map(off).fold(0.0, |worst: f64, x| if x > worst || x.is_nan() { x } else { worst });
        if worst <= ORTHOGONAL {
            return Ok(Some(x));
        }
        // Rounding may not let it converge.
        if worst.is_nan() || worst > allowed {
            return Ok(None);
        }
        allowed = worst / 2.0;
        gram.mapv_inplace(|x| -0.5 * x);
        gram.diag_mut().mapv_inplace(|x| x + 1.5);
        x = gemm::product(gram.view(), x.view())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
    use crate::linalg::eigen::{Eigen, full};
    use std::f64::consts::PI;

    #[test]
    fn eigenpairs_of_a_path_are_sines() {
        let n = 700;
        let path = Tridiagonal::new(vec![0.0; n], vec![1.0; n - 1]);
        let (values, vectors) = path.leading(40, 3).unwrap().unwrap();
        for (j, (&value, vector)) in values.iter().zip(vectors.outer_iter()).enumerate() {
            let angle = PI * (j + 1) as f64 / (n + 1) as f64;
            assert!((value - 2.0 * angle.cos()).abs() < 1e-14);
            let expected = |i: usize| (angle * (i + 1) as f64).sin() * (2.0 / (n + 1) as f64).sqrt();
            let overlap: f64 = vector.iter().enumerate().map(|(i, x)| x * expected(i)).sum();
            assert!(overlap.abs() > 1.0 - 1e-12, "{j} {overlap}");
        }
        let products = vectors.dot(&vectors.t()) - Array2::<f64>::eye(40);
        assert!(products.iter().all(|x| x.abs() < 1e-13));
    }

    #[test]
    fn pivots_of_zero_and_matrices_in_pieces_do_no_harm() {
        // The middle eigenvalue of a path of odd length is 0, where every other pivot vanishes; the second matrix falls apart.
        let path = Tridiagonal::new(vec![0.0; 5], vec![1.0; 4]);
        let (values, vectors) = path.leading(3, 1).unwrap().unwrap();
        assert!(
            (values[0] - 3.0f64.sqrt()).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15 && values[2].abs() < 1e-15
        );
        assert!((vectors[[2, 0]].abs() - 3.0f64.sqrt().recip()).abs() < 1e-14 && vectors[[2, 1]].abs() < 1e-14);
        let pieces = Tridiagonal::new(vec![1.0, 2.0, 3.0, 4.0], vec![0.0, 0.5, 0.0]);
        let (values, _) = pieces.leading(4, 1).unwrap().unwrap();
        let half = 0.5f64.sqrt();
        let expected = [4.0, 2.5 + half, 2.5 - half, 1.0];
        assert!(values.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-14), "{values:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_to_others() {
        // One eigenvalue, forty times: inverse iteration returns where it started, and nothing makes that orthogonal.
        let equal = Tridiagonal::new(vec![2.0; 40], vec![0.0; 39]);
        assert!(equal.leading(10, 1).unwrap().is_none());
        let Eigen { values, vectors } = full(2.0 * Array2::<f64>::eye(40), 10, 1, &Context::default()).unwrap();
        assert!(values.iter().all(|x| (x - 2.0).abs() < 1e-14));
        let products = vectors.t().dot(&vectors) - Array2::<f64>::eye(10);
        assert!(products.iter().all(|x| x.abs() < 1e-13));
        let wrong = Tridiagonal::new(vec![f64::NAN; 8], vec![0.0; 7]);
        assert!(wrong.leading(2, 1).unwrap().is_none());
    }
}
