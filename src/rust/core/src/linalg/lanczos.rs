//! Leading eigenpairs of a large symmetric operator by block Lanczos with full reorthogonalisation (Golub & Underwood
//! 1977): in: the operator as a function on n × b blocks; out: k Ritz pairs whose residuals are proven small, or the best
//! ones of a basis of given size. It plays ARPACK's role for the truncated SVD, gives the exact solver its leading pairs, and
//! the randomized one its approximations.

use super::eigen::{self, Eigen};
use super::{gemm, qr};
use crate::rng::Rng;
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2, s};

/// Vectors multiplied at once.
const BLOCK: usize = 16;

/// A Ritz pair (θ, v) has converged once ‖Av − θv‖ ≤ `TOLERANCE` · θ₁.
const TOLERANCE: f64 = 1e-12;

/// What is sought, and when the search ends.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Pairs wanted.
    pub k: usize,
    /// Vectors multiplied at once.
    pub block: usize,
    /// A Ritz pair (θ, v) has converged once ‖Av − θv‖ ≤ `tolerance` · θ₁.
    pub tolerance: f64,
    /// Size of the basis at which convergence is first looked for.
    pub first: usize,
    /// Largest basis.
    pub limit: usize,
    /// Whether the pairs of the largest basis will do where they have not converged.
    pub approximate: bool,
    /// Seed of the random start.
    pub seed: u64,
}

impl Settings {
    /// `k` pairs to rounding.
    pub fn exact(k: usize, seed: u64, limit: usize) -> Self {
        let first = (6 * k).max(k + 8 * BLOCK);
        Settings { k, block: BLOCK, tolerance: TOLERANCE, first, limit, approximate: false, seed }
    }
}

/// Step of the random start (see [`Rng::keyed`]).
const STEP: u64 = 0x1a2c_705e;

/// Krylov basis (rows, orthonormal) with the projection of the operator on it.
struct Basis {
    vectors: Array2<f64>,
    size: usize,
    projected: Array2<f64>,
}

impl Basis {
    /// One more block; the room grows by doubling, up to `limit` vectors.
    fn push(&mut self, block: &Array2<f64>, limit: usize) {
        let (n, b) = block.dim();
        if self.size + b > self.vectors.nrows() {
            let room = (2 * (self.size + b)).min(limit);
            let mut vectors = Array2::zeros((room, n));
            vectors.slice_mut(s![..self.size, ..]).assign(&self.vectors.slice(s![..self.size, ..]));
            let mut projected = Array2::zeros((room, room));
            let filled = s![..self.size, ..self.size];
            projected.slice_mut(filled).assign(&self.projected.slice(filled));
            (self.vectors, self.projected) = (vectors, projected);
        }
        self.vectors.slice_mut(s![self.size..self.size + b, ..]).assign(&block.t());
        self.size += b;
    }

    fn rows(&self) -> ArrayView2<'_, f64> {
        self.vectors.slice(s![..self.size, ..])
    }

    /// Takes the part within the basis out of `block` and returns its coefficients.
    fn remove_from(&self, block: &mut Array2<f64>) -> Result<Array2<f64>> {
        let coefficients = gemm::product(self.rows(), block.view())?;
        gemm::accumulate(block, -1.0, self.rows().reversed_axes(), coefficients.view())?;
        Ok(coefficients)
    }

    /// Eigenpairs of the projected operator, in coordinates of the basis.
    fn ritz(&self, k: usize, ctx: &Context) -> Result<Eigen> {
        let projected = self.projected.slice(s![..self.size, ..self.size]).to_owned();
        eigen::full(projected.view(), k, ctx)
    }
}

/// The `k` largest eigenpairs of the symmetric positive semidefinite operator `apply` of size `n` (n × b blocks in and
/// out). `None` when they have not converged in the largest basis, unless approximations will do.
///
/// # Errors
/// Those of `apply` and of the small decompositions; [`crate::Error::Cancelled`] between two blocks.
pub fn leading(
    n: usize,
    settings: &Settings,
    ctx: &Context,
    apply: impl Fn(ArrayView2<f64>) -> Result<Array2<f64>>,
) -> Result<Option<Eigen>> {
    let (k, b, limit) = (settings.k, settings.block.min(n), settings.limit.min(n));
    let mut basis = Basis { vectors: Array2::zeros((0, n)), size: 0, projected: Array2::zeros((0, 0)) };
    let mut next_check = settings.first;
    let mut block = qr::thin(random(n, b, settings.seed).view())?.0;
    while basis.size + b <= limit {
        ctx.check()?;
        basis.push(&block, limit);
        let mut image = apply(block.view())?;
        let mut coefficients = basis.remove_from(&mut image)?;
        coefficients += &basis.remove_from(&mut image)?;
        let (from, to) = (basis.size - b, basis.size);
        // The projection is symmetric: the lower triangle is enough.
        basis.projected.slice_mut(s![from..to, ..to]).assign(&coefficients.t());
        let (mut next, remainder) = qr::thin(image.view())?;
        let last = basis.size + b > limit;
        if basis.size >= next_check || last {
            let ritz = basis.ritz(k, ctx)?;
            if converged(&ritz, &remainder, settings.tolerance) || (last && settings.approximate) {
                let vectors = gemm::product(basis.rows().reversed_axes(), ritz.vectors.view())?;
                return Ok(Some(Eigen { values: ritz.values, vectors }));
            }
            next_check = basis.size * 5 / 4;
        }
        if !well_conditioned(&remainder) {
            // A remainder close to zero leaves directions that QR made up: they must be orthogonal, too.
            basis.remove_from(&mut next)?;
            next = qr::thin(next.view())?.0;
        }
        block = next;
    }
    Ok(None)
}

/// The residual of a Ritz vector is the remainder of the last block times its last coordinates.
fn converged(ritz: &Eigen, remainder: &Array2<f64>, tolerance: f64) -> bool {
    let (size, b) = (ritz.vectors.nrows(), remainder.nrows());
    let residuals = remainder.dot(&ritz.vectors.slice(s![size - b.., ..]));
    let largest = ritz.values.first().copied().unwrap_or(0.0);
    residuals.columns().into_iter().all(|r| r.dot(&r).sqrt() <= tolerance * largest)
}

/// Whether QR keeps the orthogonality of what it factors: no pivot is small beside the largest.
fn well_conditioned(remainder: &Array2<f64>) -> bool {
    let pivots = remainder.diag().mapv(f64::abs);
    let largest = pivots.iter().copied().fold(0.0, f64::max);
    largest > 0.0 && pivots.iter().all(|&pivot| pivot > 1e-4 * largest)
}

/// n × b independent normal numbers.
pub(crate) fn random(n: usize, b: usize, seed: u64) -> Array2<f64> {
    let mut out = Array2::zeros((n, b));
    for (i, mut row) in out.outer_iter_mut().enumerate() {
        let mut rng = Rng::keyed(seed, STEP, i as u64);
        row.iter_mut().for_each(|x| *x = rng.normal());
    }
    out
}
