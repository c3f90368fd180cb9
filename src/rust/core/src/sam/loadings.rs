//! The loadings that the mapping projects through: principal components of all genes, scaled and weighted, without
//! clipping.

use super::preprocess::moments;
use crate::backend::{Backend, Cpu};
use crate::linalg::gemm;
use crate::linalg::pca::{self, PcaSolver};
use crate::linalg::scaled::Scale;
use crate::sparse::Expression;
use crate::{Context, Error, Result};
use ndarray::{Array2, ArrayView2, Axis};

/// How many principal components there are to be, and how they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Components {
    /// Most components.
    pub count: usize,
    /// How they are found.
    pub solver: PcaSolver,
    /// Seed of the solver.
    pub seed: u64,
}

/// Loadings V (genes × components) of S = X / sd · W, centred, X being cells × genes. The number of components is at most
/// min(cells, genes) − 1; the signs are such that the extreme cell of each component is positive (they matter: the
/// mapping correlates across components). Genes that are constant or have no weight have loadings 0.
///
/// # Errors
/// [`Error::Shape`] when there is not one weight per gene; [`Error::Argument`] when there are fewer than two cells or genes.
pub fn mapping_loadings(
    x: &Expression,
    weights: &[f64],
    npcs: usize,
    solver: PcaSolver,
    seed: u64,
    ctx: &Context,
) -> Result<Array2<f32>> {
    mapping_loadings_on(&Cpu, x, weights, npcs, solver, seed, ctx)
}

/// [`mapping_loadings`] on a backend.
///
/// # Errors
/// As [`mapping_loadings`]; those of the backend.
pub fn mapping_loadings_on<B: Backend>(
    backend: &B,
    x: &Expression,
    weights: &[f64],
    npcs: usize,
    solver: PcaSolver,
    seed: u64,
    ctx: &Context,
) -> Result<Array2<f32>> {
    let found = found_on(backend, x, weights, Components { count: npcs, solver, seed }, false, ctx)?;
    Ok(spread(&found.loadings, &found.used, x.genes(), found.count))
}

/// Loadings that carry other coordinates Z of the cells (cells × d: corrected for batches, or found elsewhere) into the
/// mapping: V B (genes × d), V those of [`mapping_loadings`] and B = argmin ‖S V B − Z‖, Z centred. The cells of this
/// species, projected, lie where their coordinates say, as far as a linear map of the components can put them there.
///
/// # Errors
/// As [`mapping_loadings`]; [`Error::Shape`] when there is not one row of coordinates per cell; those of the backend.
pub fn carried_loadings_on<B: Backend>(
    backend: &B,
    x: &Expression,
    weights: &[f64],
    z: ArrayView2<f32>,
    components: Components,
    ctx: &Context,
) -> Result<Array2<f32>> {
    if z.nrows() != x.cells() {
        let (expected, found) = (format!("coordinates of {} cells", x.cells()), format!("{}", z.nrows()));
        return Err(Error::shape("loadings", expected, found));
    }
    let found = found_on(backend, x, weights, components, true, ctx)?;
    Ok(spread(&towards(&found, z)?, &found.used, x.genes(), z.ncols()))
}

/// Principal components of S.
struct Found {
    /// Used genes × components.
    loadings: Array2<f32>,
    /// Cells × components; empty unless asked for, since there may be many.
    scores: Array2<f32>,
    /// The genes the components are over.
    used: Vec<u32>,
    /// How many components were to be had.
    count: usize,
}

fn found_on<B: Backend>(
    backend: &B,
    x: &Expression,
    weights: &[f64],
    components: Components,
    keep_scores: bool,
    ctx: &Context,
) -> Result<Found> {
    let g = x.genes();
    if weights.len() != g {
        return Err(Error::shape("loadings", format!("{g} weights"), format!("{}", weights.len())));
    }
    let count = components.count.min(x.cells().min(g).saturating_sub(1));
    let (_, variances) = moments(x);
    // A gene that adds nothing would only make the problem larger.
    let used: Vec<u32> = (0..g as u32).filter(|&j| variances[j as usize] > 0.0 && weights[j as usize] > 0.0).collect();
    let expression = backend.expression(x)?;
    let scaled = backend.scaled(&expression, &used, inverse_sd(&variances), weights, ctx)?;
    let k = count.min(used.len());
    let Components { solver, seed, .. } = components;
    let (loadings, scores) = if keep_scores {
        let found = pca::pca(&scaled, k, solver, seed, ctx)?;
        (found.loadings, found.scores)
    } else {
        (pca::loadings(&scaled, k, solver, seed, ctx)?, Array2::zeros((0, 0)))
    };
    Ok(Found { loadings, scores, used, count })
}

/// V B (genes × d) with B = argmin ‖U S B − Z‖: the components U S are orthogonal and centred, so that B = S⁻² (U S)ᵀ Z,
/// whatever the mean of Z. Components that are rounding noise have scores 0, and no part in it.
fn towards(found: &Found, z: ArrayView2<f32>) -> Result<Array2<f32>> {
    let scores = found.scores.mapv(f64::from);
    let mut b = gemm::product(scores.t(), z.mapv(f64::from).view())?;
    for (mut row, component) in b.outer_iter_mut().zip(scores.axis_iter(Axis(1))) {
        let square = component.iter().map(|x| x * x).sum::<f64>();
        row.mapv_inplace(|x| if square > 0.0 { x / square } else { 0.0 });
    }
    Ok(gemm::product(found.loadings.mapv(f64::from).view(), b.view())?.mapv(|x| x as f32))
}

/// Scaling by 1 / sd, with sd 0 → 1.
pub(super) fn inverse_sd(variances: &[f32]) -> Scale {
    Scale::Genes(variances.iter().map(|&v| 1.0 / sd(v)).collect())
}

/// Standard deviation, 1 for a gene that does not vary.
pub(super) fn sd(variance: f32) -> f32 {
    if variance == 0.0 { 1.0 } else { variance.sqrt() }
}

/// Loadings of the used genes among all of them, with columns of zeros up to `npcs`.
pub(super) fn spread(loadings: &Array2<f32>, used: &[u32], genes: usize, npcs: usize) -> Array2<f32> {
    let mut out = Array2::zeros((genes, npcs));
    for (&gene, values) in used.iter().zip(loadings.axis_iter(Axis(0))) {
        out.row_mut(gene as usize).iter_mut().zip(values).for_each(|(o, v)| *o = *v);
    }
    out
}
