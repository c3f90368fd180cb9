//! Eigenpairs of symmetric matrices: all of them through faer's divide and conquer, or the leading ones by block Lanczos.

use super::{gemm, lanczos};
use crate::{Context, Error, Result};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::tridiag_in_place;
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd as tridiagonal_evd,
};
use faer::linalg::householder::apply_block_householder_sequence_on_the_left_in_place_with_conj as apply_reflections;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::prelude::ReborrowMut;
use faer::{Conj, Mat, Par};
use ndarray::{Array2, ArrayView2};

/// Leading eigenpairs, largest eigenvalue first.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// k eigenvalues, descending.
    pub values: Vec<f64>,
    /// n × k eigenvectors, one a column, orthonormal.
    pub vectors: Array2<f64>,
}

/// Below this size the full decomposition is the faster one.
const SMALL: usize = 500;

/// The leading pairs are worth an iteration of their own while they are fewer than one in this many.
const FEW: usize = 8;

/// From this size on a decomposition runs in parallel. Its bits depend on the degree, which is therefore constant.
const LARGE: usize = 1000;
const DEGREE: usize = 4;

/// The `k` largest eigenpairs of a symmetric matrix (n × n, both triangles filled). Exact to rounding: the residuals of
/// the leading pairs are proven small, or the whole matrix is decomposed.
///
/// # Errors
/// [`Error::Numerical`] when the decomposition fails, e.g. for values that are not finite; [`Error::Cancelled`].
pub fn leading(a: ArrayView2<f64>, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let n = a.nrows();
    if n > SMALL && FEW * k < n {
        let settings = lanczos::Settings::exact(k, seed, n / 2);
        let found = lanczos::leading(n, &settings, ctx, |block| gemm::product(a, block))?;
        if let Some(eigen) = found {
            return Ok(eigen);
        }
    }
    full(a, k, ctx)
}

/// The `k` largest eigenpairs of a symmetric matrix (n × n, lower triangle read): A = Q T Qᵀ with T tridiagonal, all
/// eigenpairs of T, and Q times the k vectors that are wanted. Cancelling takes effect between those three.
///
/// # Errors
/// [`Error::Numerical`] when the decomposition fails; [`Error::Cancelled`].
pub fn full(a: ArrayView2<f64>, k: usize, ctx: &Context) -> Result<Eigen> {
    let (n, a) = (a.nrows(), gemm::view(a)?);
    let k = k.min(n);
    if n < 2 {
        return Ok(Eigen { values: (0..k).map(|i| a[(i, i)]).collect(), vectors: Array2::ones((n, k)) });
    }
    let par = if n < LARGE { Par::Seq } else { Par::rayon(DEGREE) };
    let failed = |reason: String| Error::Numerical { operation: "eigendecomposition", reason };
    let block = recommended_block_size::<f64>(n, n);
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default());
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| failed(format!("no memory for a {n} × {n} matrix")))?;
    let stack = MemStack::new(&mut buffer);
    let (mut reduced, mut reflections) = (Mat::zeros(n, n), Mat::zeros(block, n - 1));
    reduced.copy_from_triangular_lower(a);
    ctx.check()?;
    tridiag_in_place(reduced.as_mut(), reflections.as_mut(), par, stack, Default::default());
    let (mut diagonal, mut below, mut values) = (Diag::zeros(n), Diag::zeros(n), Diag::zeros(n));
    for i in 0..n {
        diagonal[i] = reduced[(i, i)];
        below[i] = if i + 1 < n { reduced[(i + 1, i)] } else { 0.0 };
    }
    let mut vectors = Mat::<f64>::zeros(n, n);
    ctx.check()?;
    let (main, lower) = (diagonal.as_ref(), below.as_ref());
    tridiagonal_evd(main, lower, values.as_mut(), Some(vectors.as_mut()), par, stack, Default::default())
        .map_err(|error| failed(format!("{error:?} for a {n} × {n} matrix")))?;
    ctx.check()?;
    // faer sorts ascending.
    let mut leading = vectors.subcols_mut(n - k, k);
    let reflectors = reduced.submatrix(1, 0, n - 1, n - 1);
    apply_reflections(reflectors, reflections.as_ref(), Conj::No, leading.rb_mut().subrows_mut(1, n - 1), par, stack);
    let values = (0..k).map(|j| values[n - 1 - j]).collect();
    Ok(Eigen { values, vectors: Array2::from_shape_fn((n, k), |(i, j)| leading[(i, k - 1 - j)]) })
}
