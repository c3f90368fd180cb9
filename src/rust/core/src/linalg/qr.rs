//! Orthonormal bases by Householder QR.

use super::gemm;
use crate::{Error, Result};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Conj, Mat, Par};
use ndarray::{Array2, ArrayView2};

/// `a = q r` for `a` (n × p, p ≤ n): `q` (n × p) with orthonormal columns even where `a` lacks rank, `r` (p × p) upper
/// triangular.
///
/// # Errors
/// [`Error::Numerical`] when there is no memory.
pub fn thin(a: ArrayView2<f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let (n, p) = a.dim();
    if p > n {
        return Err(Error::shape("QR", "at least as many rows as columns", format!("{n} × {p}")));
    }
    let block = recommended_block_size::<f64>(n, p).max(1);
    let mut factored: Mat<f64> = gemm::view(a)?.to_owned();
    let mut coefficients = Mat::zeros(block, p);
    let scratch =
        qr_in_place_scratch::<f64>(n, p, block, Par::Seq, Default::default()).or(apply_scratch::<f64>(n, block, p));
    let mut buffer = MemBuffer::try_new(scratch)
        .map_err(|_| Error::Numerical { operation: "QR", reason: format!("no memory for a {n} × {p} matrix") })?;
    let stack = MemStack::new(&mut buffer);
    qr_in_place(factored.as_mut(), coefficients.as_mut(), Par::Seq, stack, Default::default());
    let mut q = Mat::<f64>::identity(n, p);
    apply(factored.as_ref(), coefficients.as_ref(), Conj::No, q.as_mut(), Par::Seq, stack);
    let r = Array2::from_shape_fn((p, p), |(i, j)| if i <= j { factored[(i, j)] } else { 0.0 });
    Ok((Array2::from_shape_fn((n, p), |(i, j)| q[(i, j)]), r))
}
