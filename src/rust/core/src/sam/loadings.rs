//! The loadings that the mapping projects through: principal components of all genes, scaled and weighted, without
//! clipping.

use super::preprocess::moments;
use crate::backend::{Backend, Cpu};
use crate::linalg::pca::{PcaSolver, pca};
use crate::linalg::scaled::Scale;
use crate::sparse::Expression;
use crate::{Context, Error, Result};
use ndarray::{Array2, Axis};

/// Loadings (genes × components) of X / sd · W, centred, X being cells × genes. The number of components is at most
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
    let g = x.genes();
    if weights.len() != g {
        return Err(Error::shape("loadings", format!("{g} weights"), format!("{}", weights.len())));
    }
    let npcs = npcs.min(x.cells().min(g).saturating_sub(1));
    let (_, variances) = moments(x);
    // A gene that adds nothing would only make the problem larger.
    let used: Vec<u32> = (0..g as u32).filter(|&j| variances[j as usize] > 0.0 && weights[j as usize] > 0.0).collect();
    let expression = backend.expression(x)?;
    let scaled = backend.scaled(&expression, &used, inverse_sd(&variances), weights, ctx)?;
    let found = pca(&scaled, npcs.min(used.len()), solver, seed, ctx)?.loadings;
    Ok(spread(&found, &used, g, npcs))
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
