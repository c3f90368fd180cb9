//! Orthonormal bases: Householder QR for any matrix, and the parallel Cholesky QR, done twice (Yamamoto et al. 2015), for tall
//! well-conditioned ones.

use super::gemm;
use crate::{Error, Result};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::triangular_inverse::invert_lower_triangular;
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

/// Pivots of the Cholesky factor below this share of the largest one: too ill-conditioned to trust.
const PIVOT: f64 = 1e-6;

/// An orthonormal basis (n × p) of the columns of `a` (n × p, p ≤ n), each column made of the first ones of `a` up to it.
///
/// # Errors
/// As [`thin`].
pub fn orthonormal(a: ArrayView2<f64>) -> Result<Array2<f64>> {
    let once = match cholesky_qr(a)? {
        Some(q) => q,
        None => return Ok(thin(a)?.0),
    };
    match cholesky_qr(once.view())? {
        Some(q) => Ok(q),
        None => Ok(thin(a)?.0),
    }
}

/// `a` L⁻ᵀ with L Lᵀ = aᵀ a; `None` where `a` is (almost) rank deficient.
fn cholesky_qr(a: ArrayView2<f64>) -> Result<Option<Array2<f64>>> {
    let inverse = cholesky_inverse(&gemm::product(a.reversed_axes(), a)?)?;
    inverse.map(|inverse| gemm::product(a, inverse.view())).transpose()
}

/// L⁻ᵀ with L Lᵀ = `gram` (p × p); `None` where it is (almost) singular.
///
/// # Errors
/// [`Error::Shape`] when `gram` is no plain matrix.
pub(crate) fn cholesky_inverse(gram: &Array2<f64>) -> Result<Option<Array2<f64>>> {
    let p = gram.ncols();
    let mut factor = gemm::view(gram.view())?.to_owned();
    let mut buffer = MemBuffer::new(cholesky_in_place_scratch::<f64>(p, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut buffer);
    if cholesky_in_place(factor.as_mut(), Default::default(), Par::Seq, stack, Default::default()).is_err() {
        return Ok(None);
    }
    let largest = (0..p).map(|j| factor[(j, j)]).fold(0.0, f64::max);
    let full_rank = (0..p).all(|j| factor[(j, j)] > PIVOT * largest);
    if !full_rank {
        return Ok(None);
    }
    let mut inverse = Mat::zeros(p, p);
    invert_lower_triangular(inverse.as_mut(), factor.as_ref(), Par::Seq);
    Ok(Some(Array2::from_shape_fn((p, p), |(i, j)| if i <= j { inverse[(j, i)] } else { 0.0 })))
}
