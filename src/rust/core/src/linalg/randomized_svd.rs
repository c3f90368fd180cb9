//! Randomized SVD by block Krylov iteration (Musco & Musco 2015): from a random block of genes, an orthonormal basis of what
//! Aᵀ A makes of it again and again, and the best components within that basis. Each block is one pass over the cells, and
//! nothing that is held grows with their number.

use super::eigen::{self, Eigen};
use super::lanczos::{self, Settings};
use super::operator::Operator;
use crate::{Context, Error, Result};
use ndarray::Array2;

/// Vectors multiplied at once. Narrow blocks converge with fewer vectors: the powers of AᵀA in a basis go up by one a block.
pub(super) const BLOCK: usize = 32;

/// Where all residuals are below this share of the largest eigenvalue, a larger basis gains nothing: products are single
/// precision.
const TOLERANCE: f64 = 1e-6;

/// Vectors of the basis per component, and blocks at least, when convergence is looked at for the first time.
const PER_COMPONENT: usize = 2;
const LEAST_BLOCKS: usize = 10;
/// The basis grows to at most so many times that. Where it may not grow, alignment scores of small types move by 0.03 against
/// exact components; where it grows by half, by 0.008; doubled, not at all (docs/numerics.md).
const MOST: usize = 2;

/// Right singular vectors (genes × k) of the operator, and the squares of its singular values.
///
/// # Errors
/// Those of the operator; [`crate::Error::Cancelled`].
pub fn right(operator: &impl Operator, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let genes = operator.columns();
    let size = (PER_COMPONENT * k).max(LEAST_BLOCKS * BLOCK).div_ceil(BLOCK) * BLOCK;
    if size > genes {
        let gram = operator.apply_gram(Array2::eye(genes).view())?;
        return eigen::leading(gram.view(), k, seed, ctx);
    }
    let settings =
        Settings { k, block: BLOCK, tolerance: TOLERANCE, first: size, limit: MOST * size, approximate: true, seed };
    let found = lanczos::leading(genes, &settings, ctx, |block| operator.apply_gram(block))?;
    found.ok_or_else(|| Error::Numerical { operation: "randomized SVD", reason: "no basis was made".to_owned() })
}
