//! Principal components of a centred matrix A = U S Vᵀ (cells × genes): scores U S, loadings V, explained variance
//! S² / (cells − 1). In each component the cell with the largest absolute score has a positive one (ties: first cell).

use super::operator::Operator;
use super::{eigen, lanczos};
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
    /// Randomized SVD with implicit centring: oversampling 10, 4 power iterations, seeded.
    Randomized,
}

/// Largest smaller side that `Auto` treats exactly.
const EXACT_LIMIT: usize = 3000;

/// A component whose singular value is below this share of the largest one is rounding noise: its scores and loadings are 0.
const RANK_TOLERANCE: f64 = 1e-7;

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
    let (n, g) = (operator.rows(), operator.columns());
    let side = n.min(g);
    if k == 0 || k > side {
        let found = format!("{k} components of a matrix of {n} cells × {g} genes");
        return Err(Error::argument("npcs", found, format!("Ask for 1 to {side} components.")));
    }
    ctx.check()?;
    let (u, values) = match resolve(solver, side, ctx) {
        PcaSolver::Randomized => operator.randomized_left(k, seed, ctx)?,
        PcaSolver::Lanczos => lanczos_left(operator, k, seed, ctx)?,
        PcaSolver::Exact | PcaSolver::Auto => from_side(operator, eigen::leading(operator.gram()?.view(), k, seed)?)?,
    };
    finish(operator, u, values)
}

fn resolve(solver: PcaSolver, side: usize, ctx: &Context) -> PcaSolver {
    match solver {
        PcaSolver::Auto if side <= EXACT_LIMIT => {
            ctx.choose("pca_solver", "exact", format!("the smaller side has {side} rows, at most {EXACT_LIMIT}"));
            PcaSolver::Exact
        }
        PcaSolver::Auto => {
            ctx.choose("pca_solver", "randomized", format!("the smaller side has {side} rows, over {EXACT_LIMIT}"));
            PcaSolver::Randomized
        }
        chosen => chosen,
    }
}

/// Left singular vectors and singular values by Lanczos on the Gram operator of the smaller side.
fn lanczos_left(operator: &impl Operator, k: usize, seed: u64, ctx: &Context) -> Result<(Array2<f64>, Vec<f64>)> {
    let (n, g) = (operator.rows(), operator.columns());
    let found = lanczos::leading(n.min(g), k, seed, n.min(g), |block| {
        ctx.check()?;
        match n <= g {
            true => operator.apply(operator.apply_transpose(block)?.view()),
            false => operator.apply_transpose(operator.apply(block)?.view()),
        }
    })?;
    // A basis of the whole space has no room left to converge in: decompose.
    let eigen = match found {
        Some(eigen) => eigen,
        None => eigen::full(operator.gram()?.view(), k)?,
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
    let degrees = operator.rows().saturating_sub(1).max(1) as f64;
    Ok(Pca {
        scores: u.mapv(|x| x as f32),
        loadings: v.mapv(|x| x as f32),
        explained_variance: values.iter().map(|s| s * s / degrees).collect(),
        singular_values: values,
    })
}
