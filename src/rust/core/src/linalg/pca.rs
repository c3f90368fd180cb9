//! Principal components of a centred matrix A = U S Vᵀ (cells × genes): scores U S, loadings V, explained variance
//! S² / (cells − 1). In each component the cell with the largest absolute score has a positive one (ties: first cell).

use super::operator::{Operator, Projection};
use super::{eigen, lanczos, randomized_svd};
use crate::{Context, Error, Result};
use ndarray::{Array2, Axis};

/// How principal components are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PcaSolver {
    /// Exact while the smaller side has at most 3000 rows, else randomized.
    #[default]
    Auto,
    /// Through the Gram matrix of the smaller side, exact to rounding.
    Exact,
    /// Block Lanczos on the implicitly centred matrix (ARPACK's role), residuals below 1e-12 of the largest eigenvalue.
    Lanczos,
    /// Randomized block Krylov iteration with implicit centring, seeded.
    Randomized,
}

/// Largest smaller side that `Auto` treats exactly. Approximate components move the scores of small types by some hundredths.
pub const EXACT_LIMIT: usize = 3000;

/// A component whose singular value is below this share of the largest one is rounding noise: its scores and loadings are 0.
const RANK_TOLERANCE: f64 = 1e-7;

/// The same where products are single precision.
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
    match resolve(solver, n, g, ctx) {
        PcaSolver::Randomized => from_right(operator, randomized_svd::right(operator, k, seed, ctx)?, keep),
        PcaSolver::Lanczos => {
            let (u, values) = lanczos_left(operator, k, seed, ctx)?;
            finish(operator, u, values)
        }
        PcaSolver::Exact | PcaSolver::Auto => {
            let gram = operator.gram()?;
            let eigen = eigen::leading(gram.view(), k, seed, ctx)?;
            drop(gram);
            let (u, values) = from_side(operator, eigen)?;
            finish(operator, u, values)
        }
    }
}

fn resolve(solver: PcaSolver, cells: usize, genes: usize, ctx: &Context) -> PcaSolver {
    if solver != PcaSolver::Auto {
        return solver;
    }
    let side = cells.min(genes);
    if side <= EXACT_LIMIT {
        ctx.choose("pca_solver", "exact", format!("the smaller side has {side} rows, at most {EXACT_LIMIT}"));
        PcaSolver::Exact
    } else {
        ctx.choose("pca_solver", "randomized", format!("the smaller side has {side} rows, over {EXACT_LIMIT}"));
        PcaSolver::Randomized
    }
}

/// Left singular vectors and singular values by Lanczos on the Gram operator of the smaller side.
fn lanczos_left(operator: &impl Operator, k: usize, seed: u64, ctx: &Context) -> Result<(Array2<f64>, Vec<f64>)> {
    let (n, g) = (operator.rows(), operator.columns());
    let settings = lanczos::Settings::exact(k, seed, n.min(g));
    let found = lanczos::leading(n.min(g), &settings, ctx, |block| match n <= g {
        true => operator.apply(operator.apply_transpose(block)?.view()),
        false => operator.apply_transpose(operator.apply(block)?.view()),
    })?;
    // A basis of the whole space has no room left to converge in: decompose.
    let eigen = match found {
        Some(eigen) => eigen,
        None => eigen::full(operator.gram()?.view(), k, ctx)?,
    };
    from_side(operator, eigen)
}

/// Left singular vectors and singular values from the eigenpairs of the smaller side's Gram matrix.
fn from_side(operator: &impl Operator, eigen: eigen::Eigen) -> Result<(Array2<f64>, Vec<f64>)> {
    let values: Vec<f64> = eigen.values.iter().map(|v| v.max(0.0).sqrt()).collect();
    if operator.rows() <= operator.columns() {
        return Ok((eigen.vectors, values));
    }
    let mut u = operator.apply(eigen.vectors.view())?;
    divide_columns(&mut u, &values);
    Ok((u, values))
}

/// Divides column j by `values[j]`; columns that are rounding noise become 0.
fn divide_columns(a: &mut Array2<f64>, values: &[f64]) {
    let floor = values.first().map_or(0.0, |first| first * RANK_TOLERANCE);
    for (mut column, &value) in a.axis_iter_mut(Axis(1)).zip(values) {
        let factor = if value > floor { 1.0 / value } else { 0.0 };
        column.mapv_inplace(|x| x * factor);
    }
}

/// Components from right singular vectors: scores A V, whose lengths are the singular values.
fn from_right(operator: &impl Operator, eigen: eigen::Eigen, keep: bool) -> Result<Pca> {
    let mut v = eigen.vectors;
    let Projection { scores, mut lengths, negative } = operator.project(v.view(), keep)?;
    let mut scores = scores.unwrap_or_default();
    let floor = lengths.iter().copied().fold(0.0, f64::max) * SINGLE_RANK_TOLERANCE;
    for (j, length) in lengths.iter_mut().enumerate() {
        let noise = *length <= floor;
        if noise {
            *length = 0.0;
        }
        if noise || negative[j] {
            let factor = if noise { 0.0 } else { -1.0 };
            v.column_mut(j).mapv_inplace(|x| x * factor);
            if keep {
                scores.column_mut(j).mapv_inplace(|x| x * factor as f32);
            }
        }
    }
    Ok(Pca {
        scores,
        loadings: v.mapv(|x| x as f32),
        explained_variance: explained(&lengths, operator.rows()),
        singular_values: lengths,
    })
}

/// S² / (cells − 1).
fn explained(values: &[f64], cells: usize) -> Vec<f64> {
    let degrees = cells.saturating_sub(1).max(1) as f64;
    values.iter().map(|s| s * s / degrees).collect()
}

/// Fixes the signs, then loadings V = Aᵀ U / S and scores U S.
fn finish(operator: &impl Operator, mut u: Array2<f64>, values: Vec<f64>) -> Result<Pca> {
    for mut column in u.axis_iter_mut(Axis(1)) {
        let extreme = column.iter().fold(0.0f64, |best, &x| if x.abs() > best.abs() { x } else { best });
        if extreme < 0.0 {
            column.mapv_inplace(|x| -x);
        }
    }
    let mut v = operator.apply_transpose(u.view())?;
    divide_columns(&mut v, &values);
    for (mut column, &value) in u.axis_iter_mut(Axis(1)).zip(&values) {
        column.mapv_inplace(|x| x * value);
    }
    Ok(Pca {
        scores: u.mapv(|x| x as f32),
        loadings: v.mapv(|x| x as f32),
        explained_variance: explained(&values, operator.rows()),
        singular_values: values,
    })
}
