//! Principal components of a centred matrix A = U S Vᵀ (cells × genes): scores U S, loadings V, explained variance
//! S² / (cells − 1). In each component the cell with the largest absolute score has a positive one (ties: first cell).

use super::eigen::{self, Eigen};
use super::operator::{Operator, Projection};
use super::tiled::SINGLE;
use super::{lanczos, randomized_svd};
use crate::{Context, Error, Result};
use ndarray::{Array2, s};

/// How principal components are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PcaSolver {
    /// Exact while the smaller side has at most twice as many rows as the randomized solver needs vectors, else randomized.
    #[default]
    Auto,
    /// Exact to rounding: as with Lanczos where few components are wanted, else through the Gram matrix of the smaller side.
    Exact,
    /// Block Lanczos on the implicitly centred matrix (ARPACK's role), residuals below 1e-12 of the largest eigenvalue.
    Lanczos,
    /// Randomized block Krylov iteration with implicit centring, seeded.
    Randomized,
}

/// `Auto` is exact while the smaller side has at most so many rows per vector of the randomized solver's basis.
const EXACT_LIMIT: usize = 2;

/// Loadings made at once: more would only need more memory.
const COLUMNS: usize = SINGLE;

/// A component whose singular value is below this share of the largest one is rounding noise: its scores and loadings are 0.
const RANK_TOLERANCE: f64 = 1e-7;

/// The same where products are in single precision.
const SINGLE_RANK_TOLERANCE: f64 = 1e-5;

/// The leading principal components.
#[derive(Debug, Clone)]
pub struct Pca {
    /// cells × k.
    pub scores: Array2<f32>,
    /// genes × k, orthonormal columns.
    pub loadings: Array2<f32>,
    /// k singular values, descending.
    pub singular_values: Vec<f64>,
    /// k explained variances.
    pub explained_variance: Vec<f64>,
}

/// The `k` leading components of a centred matrix.
///
/// # Errors
/// [`Error::Argument`] when `k` is 0 or more than the smaller side of the matrix; [`Error::Numerical`] when a
/// decomposition fails; [`Error::Cancelled`].
pub fn pca(operator: &impl Operator, k: usize, solver: PcaSolver, seed: u64, ctx: &Context) -> Result<Pca> {
    solve(operator, k, solver, seed, true, ctx)
}

/// Loadings of the `k` leading components (genes × k). The scores, of which there may be many, are not held.
///
/// # Errors
/// As [`pca`].
pub fn loadings(
    operator: &impl Operator,
    k: usize,
    solver: PcaSolver,
    seed: u64,
    ctx: &Context,
) -> Result<Array2<f32>> {
    Ok(solve(operator, k, solver, seed, false, ctx)?.loadings)
}

/// With `keep = false` a solver that does not need the scores leaves them empty.
fn solve(operator: &impl Operator, k: usize, solver: PcaSolver, seed: u64, keep: bool, ctx: &Context) -> Result<Pca> {
    let (n, g) = (operator.rows(), operator.columns());
    let side = n.min(g);
    if k == 0 || k > side {
        let found = format!("{k} components of a matrix of {n} cells × {g} genes");
        return Err(Error::argument("npcs", found, format!("Ask for 1 to {side} components.")));
    }
    ctx.check()?;
    let solver = resolve(solver, k, side, ctx);
    let eigen = match solver {
        PcaSolver::Randomized => randomized_svd::leading(operator, k, seed, ctx)?,
        PcaSolver::Lanczos => proven(operator, k, side, seed, ctx)?,
        PcaSolver::Exact | PcaSolver::Auto if eigen::are_few(k, side) => proven(operator, k, side / 2, seed, ctx)?,
        PcaSolver::Exact | PcaSolver::Auto => eigen::full(operator.gram()?, k, seed, ctx)?,
    };
    let single = solver == PcaSolver::Randomized;
    if n <= g { from_left(operator, eigen, single, keep) } else { from_right(operator, eigen, keep) }
}

fn resolve(solver: PcaSolver, k: usize, side: usize, ctx: &Context) -> PcaSolver {
    if solver != PcaSolver::Auto {
        return solver;
    }
    let limit = exact_limit(k);
    if side <= limit {
        ctx.choose("pca_solver", "exact", format!("the smaller side has {side} rows, at most {limit}"));
        PcaSolver::Exact
    } else {
        ctx.choose("pca_solver", "randomized", format!("the smaller side has {side} rows, over {limit}"));
        PcaSolver::Randomized
    }
}

/// Largest smaller side of which `Auto` finds `k` components exactly.
pub fn exact_limit(k: usize) -> usize {
    EXACT_LIMIT * randomized_svd::basis(k)
}

/// Leading eigenpairs of the Gram matrix of the smaller side, whose residuals are proven small: from a Krylov basis of at most
/// `limit` vectors, for which that matrix is never made, or, where that does not suffice, from the whole matrix.
fn proven(operator: &impl Operator, k: usize, limit: usize, seed: u64, ctx: &Context) -> Result<Eigen> {
    let (side, settings) = (operator.rows().min(operator.columns()), lanczos::Settings::exact(k, seed, limit));
    let found = lanczos::leading::<f64>(side, &settings, ctx, |block| operator.apply_twice(block))?;
    found.map_or_else(|| eigen::full(operator.gram()?, k, seed, ctx), Ok)
}

/// Components from left singular vectors U, the eigenvectors of A Aᵀ: loadings Aᵀ U / S, in `single` precision if that is
/// what the vectors have.
fn from_left(operator: &impl Operator, eigen: Eigen, single: bool, keep: bool) -> Result<Pca> {
    let noise = if single { SINGLE_RANK_TOLERANCE } else { RANK_TOLERANCE };
    let (values, u) = (singular_values(&eigen, noise), eigen.vectors);
    let mut extremes = vec![0.0f64; values.len()];
    for row in u.outer_iter() {
        extremes.iter_mut().zip(row).for_each(|(best, &x)| *best = if x.abs() > best.abs() { x } else { *best });
    }
    let signed: Vec<f64> = values.iter().zip(&extremes).map(|(&s, &x)| if x < 0.0 { -s } else { s }).collect();
    let inverse: Vec<f64> = signed.iter().map(|&s| if s != 0.0 { 1.0 / s } else { 0.0 }).collect();
    let mut loadings = Array2::zeros((operator.columns(), values.len()));
    for start in (0..values.len()).step_by(COLUMNS) {
        let columns = start..(start + COLUMNS).min(values.len());
        let (u, inverse) = (u.slice(s![.., columns.clone()]), &inverse[columns.clone()]);
        let v = if single { operator.project_transposed(u)? } else { operator.apply_transpose(u)? };
        loadings.slice_mut(s![.., columns]).assign(&columns_times(&v, inverse));
    }
    Ok(Pca {
        scores: if keep { columns_times(&u, &signed) } else { Array2::default((0, 0)) },
        loadings,
        explained_variance: explained(&values, operator.rows()),
        singular_values: values,
    })
}

/// Column j times `factors[j]`.
fn columns_times(a: &Array2<f64>, factors: &[f64]) -> Array2<f32> {
    let mut out = Array2::zeros(a.dim());
    for (mut out, row) in out.outer_iter_mut().zip(a.outer_iter()) {
        out.iter_mut().zip(row).zip(factors).for_each(|((out, x), factor)| *out = (x * factor) as f32);
    }
    out
}

/// Components from right singular vectors V, the eigenvectors of Aᵀ A: scores A V, in single precision.
fn from_right(operator: &impl Operator, eigen: Eigen, keep: bool) -> Result<Pca> {
    let values = singular_values(&eigen, SINGLE_RANK_TOLERANCE);
    let Projection { mut scores, negative } = operator.project(eigen.vectors.view(), keep)?;
    let sign = |(&s, &negative): (&f64, &bool)| {
        if s == 0.0 {
            0.0
        } else if negative {
            -1.0
        } else {
            1.0
        }
    };
    let signs: Vec<f64> = values.iter().zip(&negative).map(sign).collect();
    for mut row in scores.iter_mut().flat_map(|scores| scores.outer_iter_mut()) {
        row.iter_mut().zip(&signs).for_each(|(x, &sign)| *x *= sign as f32);
    }
    Ok(Pca {
        scores: scores.unwrap_or_default(),
        loadings: columns_times(&eigen.vectors, &signs),
        explained_variance: explained(&values, operator.rows()),
        singular_values: values,
    })
}

/// Square roots of the eigenvalues; 0 for what is below `noise` times the largest.
fn singular_values(eigen: &Eigen, noise: f64) -> Vec<f64> {
    let root = |value: &f64| value.max(0.0).sqrt();
    let floor = noise * eigen.values.first().map_or(0.0, root);
    eigen.values.iter().map(root).map(|s| if s > floor { s } else { 0.0 }).collect()
}

/// S² / (cells − 1).
fn explained(values: &[f64], cells: usize) -> Vec<f64> {
    let degrees = cells.saturating_sub(1).max(1) as f64;
    values.iter().map(|s| s * s / degrees).collect()
}
