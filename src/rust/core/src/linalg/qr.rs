//! Orthonormal bases: by Cholesky factors, which are matrix products, where columns are far from dependent, else by Householder
//! reflections.

use super::gemm;
use crate::{Error, Result};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Conj, Mat, Par};
use ndarray::{Array2, ArrayView2, s};
use std::cmp::Ordering;

/// Columns are far from dependent while at least this share of each lies outside of those before it: rounding then leaves some
/// 10⁻⁸ of it for the second round. And columns are nearly orthonormal, as those of the second round must be.
const INDEPENDENT: f64 = 1e-4;
const ORTHONORMAL: f64 = 0.9;

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
    match by_cholesky(a)? {
        Some(found) => Ok(found),
        None => by_reflections(a),
    }
}

/// CholeskyQR2 (Yamamoto et al. 2015): aᵀa = rᵀr and q = a r⁻¹, twice. `None` where columns are nearly dependent.
fn by_cholesky(a: ArrayView2<f64>) -> Result<Option<(Array2<f64>, Array2<f64>)>> {
    let Some((q, first)) = by_cholesky_once(a, INDEPENDENT)? else { return Ok(None) };
    let Some((q, second)) = by_cholesky_once(q.view(), ORTHONORMAL)? else { return Ok(None) };
    Ok(Some((q, second.dot(&first))))
}

fn by_cholesky_once(a: ArrayView2<f64>, least: f64) -> Result<Option<(Array2<f64>, Array2<f64>)>> {
    let Some(r) = cholesky(gemm::product(a.t(), a)?, least) else { return Ok(None) };
    let q = gemm::product(a, inverse(&r).view())?;
    Ok(Some((q, r)))
}

/// r, upper triangular, with rᵀ r = `gram`; `None` where a pivot is not above `least` times the length of its column, or not a
/// number.
fn cholesky(gram: Array2<f64>, least: f64) -> Option<Array2<f64>> {
    let p = gram.nrows();
    let mut r = Array2::<f64>::zeros((p, p));
    for i in 0..p {
        let above = r.slice(s![..i, i]);
        let pivot = (gram[[i, i]] - above.dot(&above)).sqrt();
        if pivot.partial_cmp(&(least * gram[[i, i]].sqrt())) != Some(Ordering::Greater) {
            return None;
        }
        for j in i + 1..p {
            let product = r.slice(s![..i, i]).dot(&r.slice(s![..i, j]));
            r[[i, j]] = (gram[[i, j]] - product) / pivot;
        }
        r[[i, i]] = pivot;
    }
    Some(r)
}

/// r⁻¹ of an upper triangular matrix, by back substitution.
fn inverse(r: &Array2<f64>) -> Array2<f64> {
    let p = r.nrows();
    let mut inverse = Array2::zeros((p, p));
    for j in 0..p {
        inverse[[j, j]] = 1.0 / r[[j, j]];
        for i in (0..j).rev() {
            let product = r.slice(s![i, i + 1..=j]).dot(&inverse.slice(s![i + 1..=j, j]));
            inverse[[i, j]] = -product / r[[i, i]];
        }
    }
    inverse
}

/// The same by Householder reflections, for any columns.
fn by_reflections(a: ArrayView2<f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let (n, p) = a.dim();
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
