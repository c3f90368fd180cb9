//! Leading eigenpairs of symmetric matrices: by block Lanczos where few are wanted, else through a tridiagonal matrix.

use super::tridiagonal::Tridiagonal;
use super::{gemm, lanczos};
use crate::{Context, Error, Result};
use faer::diag::{Diag, DiagRef};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd as tridiagonal_evd,
};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply_reflections,
};
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::prelude::ReborrowMut;
use faer::{Conj, Mat, MatMut, Par};
use ndarray::Array2;

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

/// Eigenvectors of a tridiagonal matrix are found one by one while they are at most one in so many.
const SOME: usize = 4;

/// From this size on a decomposition runs in parallel. Its bits depend on the degree, which is therefore constant.
const LARGE: usize = 1000;
const DEGREE: usize = 4;

/// Whether `k` eigenpairs of a matrix of `n` rows are found faster from a Krylov basis than from a decomposition.
pub(crate) fn are_few(k: usize, n: usize) -> bool {
    n > SMALL && FEW * k < n
}

/// The `k` largest eigenpairs of a symmetric matrix (n × n, both triangles filled). Exact to rounding: the residuals of
/// the leading pairs are proven small, or the whole matrix is decomposed.
///
/// # Errors
/// [`Error::Numerical`] when the decomposition fails, e.g. for values that are not finite; [`Error::Cancelled`].
pub fn leading(a: Array2<f64>, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let n = a.nrows();
    if are_few(k, n) {
        let settings = lanczos::Settings::exact(k, seed, n / 2);
        let found = lanczos::leading::<f64>(n, &settings, ctx, |block| gemm::product(a.view(), block))?;
        if let Some(eigen) = found {
            return Ok(eigen);
        }
    }
    full(a, k, seed, ctx)
}

/// The `k` largest eigenpairs of a symmetric matrix (n × n, upper triangle read, its memory used): A = Q T Qᵀ with T
/// tridiagonal, eigenpairs of T, and Q times the k vectors that are wanted. Cancelling takes effect between those three.
///
/// # Errors
/// [`Error::Numerical`] when the decomposition fails; [`Error::Cancelled`].
pub fn full(mut a: Array2<f64>, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let n = a.nrows();
    let k = k.min(n);
    if n < 2 {
        return Ok(Eigen { values: a.iter().copied().take(k).collect(), vectors: Array2::ones((n, k)) });
    }
    let par = if n < LARGE { Par::Seq } else { Par::rayon(DEGREE) };
    let block = recommended_block_size::<f64>(n, n);
    let scratch = tridiag_in_place_scratch::<f64>(n, par, Default::default()).or(apply_scratch::<f64>(n, block, k));
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| no_memory(n))?;
    let stack = MemStack::new(&mut buffer);
    let strided = || Error::shape("eigendecomposition", "a square matrix with contiguous rows", "another one");
    // The rows of a symmetric matrix are its columns.
    let mut reduced = MatMut::from_column_major_slice_mut(a.as_slice_mut().ok_or_else(strided)?, n, n);
    let mut reflections = Mat::zeros(block, n - 1);
    ctx.check()?;
    tridiag_in_place(reduced.rb_mut(), reflections.as_mut(), par, stack, Default::default());
    let diagonal = (0..n).map(|i| reduced[(i, i)]).collect();
    let below = (0..n - 1).map(|i| reduced[(i + 1, i)]).collect();
    ctx.check()?;
    let (values, mut vectors) = of_tridiagonal(&Tridiagonal::new(diagonal, below), k, seed, par)?;
    ctx.check()?;
    let rows = vectors.as_slice_mut().ok_or_else(strided)?;
    let columns = MatMut::from_column_major_slice_mut(rows, n, k).subrows_mut(1, n - 1);
    let reflectors = reduced.as_ref().submatrix(1, 0, n - 1, n - 1);
    apply_reflections(reflectors, reflections.as_ref(), Conj::No, columns, par, stack);
    Ok(Eigen { values, vectors: vectors.t().as_standard_layout().into_owned() })
}

/// The `k` largest eigenvalues of a tridiagonal matrix, descending, and their eigenvectors (k × n): one by one, or, where those
/// are many or hard to tell apart, all by divide and conquer.
fn of_tridiagonal(t: &Tridiagonal, k: usize, seed: u64, par: Par) -> Result<(Vec<f64>, Array2<f64>)> {
    let n = t.diagonal().len();
    if SOME * k <= n
        && let Some(found) = t.leading(k, seed)?
    {
        return Ok(found);
    }
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default());
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| no_memory(n))?;
    let (mut vectors, mut values) = (Mat::<f64>::zeros(n, n), Diag::zeros(n));
    let (diagonal, below) = (DiagRef::from_slice(t.diagonal()), DiagRef::from_slice(t.below()));
    let stack = MemStack::new(&mut buffer);
    tridiagonal_evd(diagonal, below, values.as_mut(), Some(vectors.as_mut()), par, stack, Default::default())
        .map_err(|error| failed(format!("{error:?} for a {n} × {n} matrix")))?;
    // faer sorts ascending.
    let leading = Array2::from_shape_fn((k, n), |(j, i)| vectors[(i, n - 1 - j)]);
    Ok(((0..k).map(|j| values[n - 1 - j]).collect(), leading))
}

fn failed(reason: String) -> Error {
    Error::Numerical { operation: "eigendecomposition", reason }
}

fn no_memory(n: usize) -> Error {
    failed(format!("no memory for a {n} × {n} matrix"))
}
