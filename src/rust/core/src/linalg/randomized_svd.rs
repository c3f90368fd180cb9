//! Randomized SVD by block Krylov iteration (Musco & Musco 2015): from a random block, an orthonormal basis of what the Gram
//! matrix of the smaller side makes of it again and again, and the best components within that basis. Nothing that is held
//! grows with the larger side.

use super::eigen::{self, Eigen};
use super::lanczos::{self, Settings};
use super::operator::Operator;
use super::tiled::SINGLE;
use crate::{Context, Error, Result};

/// Vectors multiplied at once. Narrow blocks converge with fewer vectors: the powers in a basis go up by one a block.
const BLOCK: usize = SINGLE;

/// The basis is large enough once all residuals are below this share of the largest eigenvalue. How near alignment scores are
/// then to those of exact components: docs/numerics.md.
const TOLERANCE: f64 = 1e-6;

/// Vectors of the basis per component, and blocks at least, when convergence is looked at for the first time; how much the basis
/// grows from one look to the next, and how many times it grows to at most.
const PER_COMPONENT: usize = 4;
const LEAST_BLOCKS: usize = 22;
const GROWTH: f64 = 1.05;
const MOST: usize = 2;

/// Vectors of the basis for `k` components when convergence is looked at for the first time.
pub fn basis(k: usize) -> usize {
    (PER_COMPONENT * k).max(LEAST_BLOCKS * BLOCK).div_ceil(BLOCK) * BLOCK
}

/// The `k` leading eigenpairs of the Gram matrix of the operator's smaller side, in single precision.
///
/// # Errors
/// Those of the operator; [`crate::Error::Cancelled`].
pub fn leading(operator: &impl Operator, k: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let side = operator.rows().min(operator.columns());
    let size = basis(k);
    if size > side {
        return eigen::leading(operator.gram()?, k, seed, ctx);
    }
    let (first, growth, limit) = (size, GROWTH, MOST * size);
    let settings = Settings { k, block: BLOCK, tolerance: TOLERANCE, first, growth, limit, approximate: true, seed };
    let found = lanczos::leading::<f32>(side, &settings, ctx, |block| operator.apply_gram(block))?;
    found.ok_or_else(|| Error::Numerical { operation: "randomized SVD", reason: "no basis was made".to_owned() })
}
