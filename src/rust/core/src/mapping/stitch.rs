//! Stitching: from mutual partners to one graph over the cells of all species. Rescaling by correlation, the K strongest
//! partners, and the within-species neighbours that take the rest of each cell's weight.

use super::cross_knn::{CENTRE, FLOOR};
use super::projection::tanh_scale;
use crate::knn::Neighbours;
use crate::sparse::{Graph, graph_from_rows, row};
use crate::{Context, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::Array2;
use rayon::prelude::*;

/// Edges below this are rounding.
const SMALLEST_EDGE: f64 = 1e-9;
/// Weights that agree to this many units per 1 are ties.
const TIE: f64 = 1e9;
/// Partners per matrix product of correlations.
const TILE: usize = 512;
/// A matrix product is taken while it computes at most this many times the correlations that are wanted.
const WASTE: usize = 12;

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
            let x = latent.row(cell);
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len().max(1) as f64;
            let squares: f64 = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
            (mean, if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 })
        };
        let (mean, inverse) = (0..latent.nrows()).into_par_iter().map(of_cell).unzip();
        Coordinates { latent, mean, inverse }
    }

    /// Pearson correlation over the components of each of `cells` with each partner in its row; 0 where a cell is constant.
    /// Rows are ascending. Cells whose partners largely agree are correlated by one matrix product with all of them, in
    /// tiles; else each pair on its own.
    ///
    /// # Errors
    /// Cancelled.
    pub fn correlations(&self, cells: &[usize], rows: &[&[(u32, f64)]], ctx: &Context) -> Result<Vec<Vec<f64>>> {
        let mut partners: Vec<u32> = rows.iter().flat_map(|row| row.iter().map(|&(j, _)| j)).collect();
        let wanted = partners.len();
        partners.sort_unstable();
        partners.dedup();
        let centred = self.centred(cells.iter().copied());
        if cells.len() * partners.len() > WASTE * wanted {
            let alone = |(i, row): (usize, &&[(u32, f64)])| {
                ctx.check()?;
                let others = row.iter().map(|&(j, _)| self.products(self.row(&centred, i), 1, &[j]));
                Ok(others.flatten().collect())
            };
            return rows.iter().enumerate().map(alone).collect();
        }
        let mut found: Vec<Vec<f64>> = rows.iter().map(|row| Vec::with_capacity(row.len())).collect();
        for tile in partners.chunks(TILE) {
            ctx.check()?;
            let products = self.products(&centred, cells.len(), tile);
            for ((row, found), products) in rows.iter().zip(&mut found).zip(products.chunks_exact(tile.len())) {
                // Row and tile are both ascending: what is found so far is where the row's part in this tile starts.
                let part = row[found.len()..].iter().take_while(|(j, _)| *j <= tile[tile.len() - 1]);
                let mut places = tile.iter().zip(products);
                found.extend(
                    part.filter_map(|(j, _)| places.find(|(column, _)| *column == j)).map(|(_, product)| product),
                );
            }
        }
        Ok(found)
    }

    /// (x − mean) / √Σ(x − mean)² of some cells, row by row.
    fn centred(&self, cells: impl ExactSizeIterator<Item = usize>) -> Vec<f64> {
        let mut centred = vec![0.0; cells.len() * self.latent.ncols()];
        for (cell, out) in cells.zip(centred.chunks_exact_mut(self.latent.ncols().max(1))) {
            let (mean, inverse) = (self.mean[cell], self.inverse[cell]);
            out.iter_mut().zip(self.latent.row(cell)).for_each(|(out, &x)| *out = (f64::from(x) - mean) * inverse);
        }
        centred
    }

    fn row<'b>(&self, centred: &'b [f64], i: usize) -> &'b [f64] {
        &centred[i * self.latent.ncols()..(i + 1) * self.latent.ncols()]
    }

    /// Inner products of the `count` rows of `centred` with the centred rows of a tile of cells, row by row.
    fn products(&self, centred: &[f64], count: usize, tile: &[u32]) -> Vec<f64> {
        let width = self.latent.ncols();
        let others = self.centred(tile.iter().map(|&j| j as usize));
        let mut products = vec![0.0; count * tile.len()];
        let rows = MatRef::from_row_major_slice(centred, count, width);
        let others = MatRef::from_row_major_slice(&others, tile.len(), width);
        let out = MatMut::from_row_major_slice_mut(&mut products, count, tile.len());
        matmul(out, Accum::Replace, rows, others.transpose(), 1.0, Par::Seq);
        products
    }
}

/// M' = √(M ∘ c), scaled so that the row's maximum stays; c = `correlations`, at least 10⁻³, divided by the row's maximum,
/// through [`tanh_scale`] (centre 0.7). `partners`: row of M over all partner species.
pub fn rescale(partners: &mut [(u32, f64)], correlations: &[f64]) {
    let best = correlations.iter().copied().fold(FLOOR, f64::max);
    let old = largest(partners);
    for ((_, weight), correlation) in partners.iter_mut().zip(correlations) {
        *weight = (*weight * tanh_scale(correlation.max(FLOOR) / best, CENTRE)).sqrt();
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
        let partners = [(1, 1.0), (2, 1.0)];
        // One row alone is a matrix product; many rows without common partners are taken pair by pair.
        let mut rows: Vec<&[(u32, f64)]> = vec![&partners];
        for empty_rows in [0, 30] {
            rows.resize(1 + empty_rows, &[]);
            let found = coordinates.correlations(&vec![0; rows.len()], &rows, &Context::default()).unwrap();
            assert!((found[0][0] - expected).abs() < 1e-14);
            assert_eq!(found[0][1], 0.0);
        }
    }
}
