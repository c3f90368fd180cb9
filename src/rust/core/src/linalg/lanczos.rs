//! Leading eigenpairs of a large symmetric operator by block Lanczos with full reorthogonalisation (Golub & Underwood
//! 1977): in: the operator as a function on n × b blocks; out: k Ritz pairs whose residuals are proven small, or the best
//! ones of a basis of given size. It plays ARPACK's role for the truncated SVD, gives the exact solver its leading pairs, and
//! the randomized one its approximations.

use super::eigen::{self, Eigen};
use super::gemm::{self, Real};
use super::qr;
use super::tiled::DOUBLE;
use crate::rng::Rng;
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2, Zip, s};

/// Vectors multiplied at once.
const BLOCK: usize = DOUBLE;

/// A Ritz pair (θ, v) has converged once ‖Av − θv‖ ≤ `TOLERANCE` · θ₁.
const TOLERANCE: f64 = 1e-12;

/// Ritz vectors made at once.
const COLUMNS: usize = 64;

/// How much the basis of exact pairs grows from one look at their residuals to the next.
const GROWTH: f64 = 1.25;

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
    /// How much larger the basis is when it is looked for again.
    pub growth: f64,
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
        Settings { k, block: BLOCK, tolerance: TOLERANCE, first, growth: GROWTH, limit, approximate: false, seed }
    }
}

/// Step of the random start (see [`Rng::keyed`]).
const STEP: u64 = 0x1a2c_705e;

/// Krylov basis (rows, orthonormal to the precision of `T`) with the projection of the operator on it.
struct Basis<T> {
    vectors: Array2<T>,
    size: usize,
    /// The projection, which is symmetric: of each block the columns above and on the diagonal.
    projected: Vec<Array2<T>>,
}

impl<T: Real> Basis<T> {
    /// Room for `room` vectors of length `n`.
    fn new(room: usize, n: usize) -> Self {
        Basis { vectors: Array2::zeros((room, n)), size: 0, projected: Vec::new() }
    }

    /// One more block; the room doubles where it is used up.
    fn push(&mut self, block: &Array2<f64>) {
        let (n, end) = (block.nrows(), self.size + block.ncols());
        if end > self.vectors.nrows() {
            let mut larger = Array2::zeros((2 * end, n));
            larger.slice_mut(s![..self.size, ..]).assign(&self.rows());
            self.vectors = larger;
        }
        Zip::from(self.vectors.slice_mut(s![self.size..end, ..])).and(block.t()).for_each(|x, &y| *x = T::nearest(y));
        self.size = end;
    }

    fn rows(&self) -> ArrayView2<'_, T> {
        self.vectors.slice(s![..self.size, ..])
    }

    /// Takes the part within the vectors from `first` on out of `block` and returns its coefficients.
    fn remove_from(&self, first: usize, block: &mut Array2<T>) -> Result<Array2<T>> {
        let vectors = self.vectors.slice(s![first..self.size, ..]);
        let coefficients = gemm::product(vectors, block.view())?;
        gemm::accumulate(block, -T::one(), vectors.reversed_axes(), coefficients.view())?;
        Ok(coefficients)
    }

    /// Takes the part within the basis out of `block`, twice: what rounding leaves behind the first time is gone after the
    /// second. The first time it is enough to look at the vectors from `first` on if nearly all of that part lies there.
    fn remove_fully_from(&self, first: usize, block: Array2<f64>) -> Result<(Array2<f64>, Array2<T>)> {
        let mut rest = block.mapv(T::nearest);
        let most = self.remove_from(first, &mut rest)?;
        let mut coefficients = self.remove_from(0, &mut rest)?;
        coefficients.slice_mut(s![first.., ..]).zip_mut_with(&most, |sum, &x| *sum += x);
        Ok((rest.mapv(T::double), coefficients))
    }

    /// Eigenpairs of the projected operator, in coordinates of the basis.
    fn ritz(&self, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
        let mut projected = Array2::zeros((self.size, self.size));
        for columns in &self.projected {
            let (end, width) = columns.dim();
            projected.slice_mut(s![..end, end - width..end]).zip_mut_with(columns, |x, y| *x = y.double());
        }
        eigen::full(projected, k, seed, ctx)
    }

    /// The vectors with the coordinates of `ritz`, for which the basis is given up before they are held in double precision.
    fn into_vectors(self, ritz: &Eigen) -> Result<Array2<f64>> {
        let mut vectors = Array2::zeros((self.vectors.ncols(), ritz.values.len()));
        // Some columns at a time: a product has rows of its own.
        for start in (0..ritz.values.len()).step_by(COLUMNS) {
            let columns = s![.., start..(start + COLUMNS).min(ritz.values.len())];
            let coordinates = ritz.vectors.slice(columns).mapv(T::nearest);
            vectors.slice_mut(columns).assign(&gemm::product(self.rows().reversed_axes(), coordinates.view())?);
        }
        drop(self);
        Ok(vectors.mapv(T::double))
    }
}

/// The `k` largest eigenpairs of the symmetric positive semidefinite operator `apply` of size `n` (n × b blocks in and
/// out), from a basis in the precision `T`. `None` when they have not converged in the largest basis, unless approximations
/// will do.
///
/// # Errors
/// Those of `apply` and of the small decompositions; [`crate::Error::Cancelled`] between two blocks.
pub fn leading<T: Real>(
    n: usize,
    settings: &Settings,
    ctx: &Context,
    apply: impl Fn(ArrayView2<f64>) -> Result<Array2<f64>>,
) -> Result<Option<Eigen>> {
    let (k, b, limit) = (settings.k, settings.block.min(n), settings.limit.min(n));
    let mut basis = Basis::<T>::new(limit.min(2 * settings.first), n);
    let mut next_check = settings.first;
    let mut block = qr::thin(random(n, b, settings.seed).view())?.0;
    while basis.size + b <= limit {
        ctx.check()?;
        basis.push(&block);
        let from = basis.size - b;
        // The image of a block lies in the span of the blocks before it, itself and the next one, but for rounding.
        let (image, coefficients) = basis.remove_fully_from(from.saturating_sub(b), apply(block.view())?)?;
        basis.projected.push(coefficients);
        let (mut next, remainder) = qr::thin(image.view())?;
        let last = basis.size + b > limit;
        if basis.size >= next_check || last {
            let ritz = basis.ritz(k, settings.seed, ctx)?;
            if converged(&ritz, &remainder, settings.tolerance) || (last && settings.approximate) {
                let vectors = basis.into_vectors(&ritz)?;
                return Ok(Some(Eigen { values: ritz.values, vectors }));
            }
            next_check = (basis.size as f64 * settings.growth) as usize;
        }
        if !well_conditioned(&remainder) {
            // A remainder close to zero leaves directions that QR made up: they must be orthogonal, too.
            next = qr::thin(basis.remove_fully_from(0, next)?.0.view())?.0;
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
