//! SAM's gene weights. In: expression X (cells × genes) and k neighbours per cell. Averages over neighbours A = D X, D the
//! row-normalised neighbour matrix; v = var(A), μ = √mean(A²) or mean(A); dispersion v / μ per gene, cut at the mean of the
//! largest ones; weight √(dispersion / largest). A is streamed, eight cells at a time that share neighbours.

use crate::backend::{Backend, Cpu};
use crate::knn::Neighbours;
use crate::simd::vectorised;
use crate::sparse::{Expression, LANES, Lanes, Shares, add_sums, in_blocks, portion, total};
use crate::{Context, Error, Result, with_expression};
use rayon::prelude::*;

/// What a gene's variance over neighbourhoods is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightMode {
    /// The root mean square.
    #[default]
    Rms,
    /// The mean.
    Dispersion,
    /// Nothing: the variance itself.
    Variance,
    /// The larger of the weights by mean and by root mean square.
    Combined,
}

/// Sum and sum of squares of the neighbour averages per gene.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Sums over the cells.
    pub first: Vec<f64>,
    /// Sums of the squares.
    pub second: Vec<f64>,
}

/// Weights in [0, 1] and dispersions per gene (those by mean in the mode `Combined`).
///
/// # Errors
/// [`Error::Shape`] when the neighbours are not those of the cells; [`Error::Cancelled`].
pub fn dispersion_ranking(
    x: &Expression,
    neighbours: &Neighbours,
    num_norm_avg: usize,
    mode: WeightMode,
    ctx: &Context,
) -> Result<(Vec<f64>, Vec<f64>)> {
    dispersion_ranking_on(&Cpu, &x, x.cells(), neighbours, num_norm_avg, mode, ctx)
}

/// [`dispersion_ranking`] of the expression of `n` cells that a backend has.
///
/// # Errors
/// As [`dispersion_ranking`]; those of the backend.
pub fn dispersion_ranking_on<B: Backend>(
    backend: &B,
    x: &B::Expression<'_>,
    n: usize,
    neighbours: &Neighbours,
    num_norm_avg: usize,
    mode: WeightMode,
    ctx: &Context,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if neighbours.cells() != n || neighbours.indices.iter().any(|&j| j as usize >= n) {
        return Err(Error::shape("dispersions", format!("neighbours of {n} cells"), format!("{}", neighbours.cells())));
    }
    let sums = backend.sums_of_averages(x, neighbours, ctx)?;
    let count = n.max(1) as f64;
    let mean: Vec<f64> = sums.first.iter().map(|s| s / count).collect();
    let square: Vec<f64> = sums.second.iter().map(|s| s / count).collect();
    let variance: Vec<f64> = mean.iter().zip(&square).map(|(m, s)| (s - m * m).max(0.0)).collect();
    let rms: Vec<f64> = square.iter().map(|s| s.sqrt()).collect();
    let weighted = |dispersions: Vec<f64>| (weights_of(&dispersions, num_norm_avg), dispersions);
    Ok(match mode {
        WeightMode::Variance => weighted(variance),
        WeightMode::Rms => weighted(ratios(&variance, &rms)),
        WeightMode::Dispersion => weighted(ratios(&variance, &mean)),
        WeightMode::Combined => {
            let (by_mean, dispersions) = weighted(ratios(&variance, &mean));
            let by_rms = weights_of(&ratios(&variance, &rms), num_norm_avg);
            (by_mean.into_iter().zip(by_rms).map(|(a, b)| a.max(b)).collect(), dispersions)
        }
    })
}

/// variance / scale, 0 where the scale is not positive.
fn ratios(variance: &[f64], scale: &[f64]) -> Vec<f64> {
    variance.iter().zip(scale).map(|(v, &s)| if s > 0.0 { v / s } else { 0.0 }).collect()
}

/// √(min(d, m) / max), m the mean of the `top` largest dispersions; all 0 where no gene varies.
fn weights_of(dispersions: &[f64], top: usize) -> Vec<f64> {
    let mut sorted = dispersions.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.truncate(top.max(1));
    let limit = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
    let largest = sorted.first().map_or(0.0, |first| first.min(limit));
    if largest <= 0.0 {
        return vec![0.0; dispersions.len()];
    }
    dispersions.iter().map(|d| (d.min(limit) / largest).sqrt()).collect()
}

/// Sums over all cells of the average of each cell's neighbours, and of the squares of those averages.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn sums_of_averages(x: &Expression, neighbours: &Neighbours, ctx: &Context) -> Result<Sums> {
    let cells = 0..x.cells() as u32;
    let order = in_blocks(LANES, cells.clone(), cells, |cell| neighbours.indices_of(cell as usize), |_| 0);
    let of_portion = |cells: &[u32]| {
        let (mut sums, mut lanes) = (Sums::zeros(x.genes()), vec![[0.0; LANES]; x.genes()]);
        let mut shares = Shares::new();
        for cells in cells.chunks(LANES) {
            ctx.check()?;
            for (lane, &cell) in cells.iter().enumerate() {
                shares.extend(neighbours.indices_of(cell as usize).iter().map(|&j| (j, lane, 1.0)));
            }
            vectorised(
                #[inline(always)]
                || {
                    with_expression!(x, matrix => add_sums(matrix, &mut shares, |gene| gene, &mut lanes));
                    sums.take_in(&mut lanes, 1.0 / neighbours.k as f64);
                },
            );
            shares.clear();
        }
        Ok(sums)
    };
    let partial: Vec<Sums> = order.par_chunks(portion(order.len())).map(of_portion).collect::<Result<_>>()?;
    let mut out = Sums::zeros(x.genes());
    for sums in &partial {
        out.first.iter_mut().zip(&sums.first).for_each(|(a, b)| *a += b);
        out.second.iter_mut().zip(&sums.second).for_each(|(a, b)| *a += b);
    }
    Ok(out)
}

impl Sums {
    fn zeros(genes: usize) -> Self {
        Sums { first: vec![0.0; genes], second: vec![0.0; genes] }
    }

    /// Adds the averages of some cells and their squares; leaves zeros.
    #[inline(always)]
    fn take_in(&mut self, totals: &mut [Lanes], share: f64) {
        for ((totals, first), second) in totals.iter_mut().zip(&mut self.first).zip(&mut self.second) {
            let (mut averages, mut squares) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                averages[lane] = totals[lane] * share;
                squares[lane] = averages[lane] * averages[lane];
                totals[lane] = 0.0;
            }
            *first += total(&averages);
            *second += total(&squares);
        }
    }
}
