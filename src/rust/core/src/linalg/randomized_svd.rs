//! Randomized SVD with power iterations (Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.1): a random sketch of the
//! range, sharpened by alternating products with orthonormalisation in between, and the SVD of the projection on it.

use super::lanczos::random;
use super::operator::Operator;
use super::{eigen, gemm, qr};
use crate::{Context, Result};
use ndarray::Array2;

/// Columns of the sketch beyond k.
const OVERSAMPLING: usize = 10;

/// Power iterations.
pub(crate) const POWER: usize = 4;

/// Columns of the sketch.
pub(crate) fn width(operator: &impl Operator, k: usize) -> usize {
    (k + OVERSAMPLING).min(operator.rows()).min(operator.columns())
}

/// Leading left singular vectors (cells × k) of the operator and its singular values.
///
/// # Errors
/// Those of the operator; [`crate::Error::Cancelled`].
pub fn left(operator: &impl Operator, k: usize, seed: u64, ctx: &Context) -> Result<(Array2<f64>, Vec<f64>)> {
    let mut range = operator.apply(random(operator.columns(), width(operator, k), seed).view())?;
    for _ in 0..POWER {
        ctx.check()?;
        let onto = operator.apply_transpose(qr::orthonormal(range.view())?.view())?;
        range = operator.apply(qr::orthonormal(onto.view())?.view())?;
    }
    let basis = qr::orthonormal(range.view())?;
    // The SVD of B = Qᵀ A through B Bᵀ = Z S² Zᵀ, which gives U = Q Z.
    let projected = operator.apply_transpose(basis.view())?;
    let eigen = eigen::full(gemm::product(projected.t(), projected.view())?.view(), k)?;
    let values = eigen.values.iter().map(|v| v.max(0.0).sqrt()).collect();
    Ok((gemm::product(basis.view(), eigen.vectors.view())?, values))
}
