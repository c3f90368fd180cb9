//! Stitching: from mutual partners to one graph over the cells of all species. Rescaling by correlation, the K strongest
//! partners, and the within-species neighbours that take the rest of each cell's weight.

use super::cross_knn::{CENTRE, FLOOR};
use super::projection::tanh_scale;
use crate::knn::Neighbours;
use crate::sparse::{Graph, graph_from_rows, row};
use ndarray::Array2;
use rayon::prelude::*;

/// Edges below this are rounding.
const SMALLEST_EDGE: f64 = 1e-9;
/// Weights that agree to this many units per 1 are ties.
const TIE: f64 = 1e9;

/// Latent coordinates (one row per cell of all species) with each cell's mean and inverse deviation over the components.
pub struct Coordinates<'a> {
    latent: &'a Array2<f32>,
    mean: Vec<f64>,
    /// 1 / √Σ(x − mean)²; 0 for a constant row.
    inverse: Vec<f64>,
}

impl<'a> Coordinates<'a> {
    /// Means and deviations of all cells.
    pub fn new(latent: &'a Array2<f32>) -> Self {
        let of_cell = |cell: usize| {
            let x = coordinates(latent, cell);
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len().max(1) as f64;
            let squares: f64 = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
            (mean, if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 })
        };
        let (mean, inverse) = (0..latent.nrows()).into_par_iter().map(of_cell).unzip();
        Coordinates { latent, mean, inverse }
    }

    /// Pearson correlation of two cells over the components; 0 if one of them is constant.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let (x, y) = (coordinates(self.latent, i), coordinates(self.latent, j));
        let product = dot(x, y) - x.len() as f64 * self.mean[i] * self.mean[j];
        product * self.inverse[i] * self.inverse[j]
    }
}

fn coordinates(latent: &Array2<f32>, cell: usize) -> &[f32] {
    // The latent space is made by this crate in standard layout, where every row is a slice.
    latent.row(cell).to_slice().unwrap_or(&[])
}

/// Inner product in `f64`, in eight partial sums.
fn dot(x: &[f32], y: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (x_blocks, x_rest) = x.as_chunks::<8>();
    let (y_blocks, y_rest) = y.as_chunks::<8>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for lane in 0..8 {
            sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    sums.iter().sum::<f64>() + rest
}

/// M' = √(M ∘ c), scaled so that the row's maximum stays; c_j = the correlation of `cell` with j, at least 10⁻³, divided by
/// its row's maximum, through [`tanh_scale`] (centre 0.7). `partners`: row of M over all partner species.
pub fn rescale(partners: &mut [(u32, f64)], cell: usize, coordinates: &Coordinates) {
    let correlations: Vec<f64> =
        partners.iter().map(|&(j, _)| coordinates.correlation(cell, j as usize).max(FLOOR)).collect();
    let best = correlations.iter().copied().fold(FLOOR, f64::max);
    let old = largest(partners);
    for ((_, weight), correlation) in partners.iter_mut().zip(correlations) {
        *weight = (*weight * tanh_scale(correlation / best, CENTRE)).sqrt();
    }
    let new = largest(partners);
    if new > 0.0 {
        partners.iter_mut().for_each(|(_, weight)| *weight *= old / new);
    }
}

fn largest(row: &[(u32, f64)]) -> f64 {
    row.iter().map(|&(_, weight)| weight).fold(0.0, f64::max)
}

/// The `k` entries of largest weight, by ascending column; weights that agree to 10⁻⁹ are ties, which go to the lowest column.
pub fn top_k(row: &[(u32, f64)], k: usize) -> Vec<(u32, f64)> {
    let key = |entry: &(u32, f64)| (entry.1 * TIE).round_ties_even();
    let mut kept = row.to_vec();
    let order = |x: &(u32, f64), y: &(u32, f64)| key(y).total_cmp(&key(x)).then(x.0.cmp(&y.0));
    if k < kept.len() {
        if k > 0 {
            kept.select_nth_unstable_by(k - 1, order);
        }
        kept.truncate(k);
        kept.sort_unstable_by_key(|&(j, _)| j);
    }
    kept
}

/// The stitched graph A = x_i · 1[j is a neighbour of i within its species] + M_ij with x_i = 1 − Σ_j M_ij / `denominator`;
/// no diagonal, no weights below 10⁻⁹. `mutual`: M, cells × cells of all species; `neighbours` per species.
pub fn stitch(mutual: &Graph, neighbours: &[&Neighbours], cell_offsets: &[usize], denominator: f64) -> Graph {
    let of_cell = |(species, i): (usize, usize)| {
        let cell = cell_offsets[species] + i;
        let (partners, weights) = row(mutual, cell);
        let within = 1.0 - weights.iter().sum::<f64>() / denominator;
        let own = neighbours[species].indices_of(i).iter().map(|&j| (j + cell_offsets[species] as u32, within));
        let cross = partners.iter().copied().zip(weights.iter().copied());
        let kept = |&(j, weight): &(u32, f64)| j as usize != cell && weight.abs() >= SMALLEST_EDGE;
        let mut edges: Vec<(u32, f64)> = own.chain(cross).filter(kept).collect();
        edges.sort_unstable_by_key(|&(j, _)| j);
        edges
    };
    let cells: Vec<(usize, usize)> =
        (0..neighbours.len()).flat_map(|s| (0..neighbours[s].cells()).map(move |i| (s, i))).collect();
    graph_from_rows(mutual.cols(), cells.into_par_iter().map(of_cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_column() {
        let row = [(3, 0.5), (5, 0.7), (8, 0.5 + 1e-12), (9, 0.5)];
        assert_eq!(top_k(&row, 2), [(3, 0.5), (5, 0.7)]);
        assert_eq!(top_k(&row, 9), row);
        assert_eq!(top_k(&row, 0), []);
    }

    #[test]
    fn correlation_is_pearson_and_constant_cells_have_none() {
        let rows =
            [[1.0, 2.0, 4.0, 0.5, 3.0, 1.5, 2.5, 0.0, 9.0], [2.0, 1.0, 5.0, 0.0, 2.0, 1.0, 3.0, 1.0, 7.0], [3.0; 9]];
        let latent = Array2::from_shape_fn((3, 9), |(i, j)| rows[i][j] as f32);
        let coordinates = Coordinates::new(&latent);
        let mean = |x: &[f64; 9]| x.iter().sum::<f64>() / 9.0;
        let covariance = |x: &[f64; 9], y: &[f64; 9]| (0..9).map(|i| (x[i] - mean(x)) * (y[i] - mean(y))).sum::<f64>();
        let (x, y) = (&rows[0], &rows[1]);
        let expected = covariance(x, y) / (covariance(x, x) * covariance(y, y)).sqrt();
        assert!((coordinates.correlation(0, 1) - expected).abs() < 1e-14);
        assert_eq!(coordinates.correlation(0, 2), 0.0);
    }
}
