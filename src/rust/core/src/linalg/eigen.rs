//! Eigenpairs of symmetric matrices: all of them through faer's divide and conquer, or the leading ones by block Lanczos.

use super::{gemm, lanczos};
use crate::{Error, Result};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};
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
/// [`Error::Numerical`] when the decomposition fails, e.g. for values that are not finite.
pub fn leading(a: ArrayView2<f64>, k: usize, seed: u64) -> Result<Eigen> {
    let n = a.nrows();
    if n > SMALL && FEW * k < n {
        let found = lanczos::leading(n, k, seed, n / 2, |block| gemm::product(a, block))?;
        if let Some(eigen) = found {
            return Ok(eigen);
        }
    }
    full(a, k)
}

/// The `k` largest eigenpairs of a symmetric matrix (n × n, lower triangle read) by decomposing all of it.
///
/// # Errors
/// [`Error::Numerical`] when the decomposition fails.
pub fn full(a: ArrayView2<f64>, k: usize) -> Result<Eigen> {
    let (n, a) = (a.nrows(), gemm::view(a)?);
    let par = if n < LARGE { Par::Seq } else { Par::rayon(DEGREE) };
    let failed = |reason: String| Error::Numerical { operation: "eigendecomposition", reason };
    let (mut values, mut vectors) = (Diag::<f64>::zeros(n), Mat::<f64>::zeros(n, n));
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default());
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| failed(format!("no memory for a {n} × {n} matrix")))?;
    let stack = MemStack::new(&mut buffer);
    self_adjoint_evd(a, values.as_mut(), Some(vectors.as_mut()), par, stack, Default::default())
        .map_err(|error| failed(format!("{error:?} for a {n} × {n} matrix")))?;
    // faer sorts ascending.
    let k = k.min(n);
    let values = (0..k).map(|j| values.column_vector()[n - 1 - j]).collect();
    let vectors = Array2::from_shape_fn((n, k), |(i, j)| vectors[(i, n - 1 - j)]);
    Ok(Eigen { values, vectors })
}
