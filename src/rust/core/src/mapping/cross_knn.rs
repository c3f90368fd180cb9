//! Cross-species nearest neighbours. In: latent coordinates of all cells. Out: for every ordered pair of species (a, b) a
//! graph, cells of a × cells of b, with K neighbours per row whose weights sum to 1.

use super::projection::tanh_scale;
use crate::knn::{self, KnnOptions, Metric, Neighbours};
use crate::sparse::{Graph, graph_from_rows};
use crate::{Context, Result};
use ndarray::{Array2, s};

/// Smallest similarity of two cells.
pub(super) const FLOOR: f64 = 1e-3;
/// Centre of the scaling of similarities and correlations between cells.
pub(super) const CENTRE: f64 = 0.7;

/// `blocks[a][b]`: the graph from the cells of species a to those of b; `None` on the diagonal and between species without
/// homology.
pub type Blocks = Vec<Vec<Option<Graph>>>;

/// The cross-species neighbour graphs of the pairs (a, b) for which `linked[a][b]`. K is at most the number of cells of b.
///
/// # Errors
/// Those of [`knn::search`].
pub fn cross_knn(
    latent: &Array2<f32>,
    cell_offsets: &[usize],
    linked: &[Vec<bool>],
    k: usize,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Blocks> {
    let cells = |s: usize| latent.slice(s![cell_offsets[s]..cell_offsets[s + 1], ..]);
    let count = |s: usize| cell_offsets[s + 1] - cell_offsets[s];
    let mut blocks: Blocks = linked.iter().map(|row| row.iter().map(|_| None).collect()).collect();
    for (a, b) in (0..linked.len()).flat_map(|a| (0..a).map(move |b| (b, a))) {
        let (to_b, to_a) = (k.min(count(b)), k.min(count(a)));
        if linked[a][b] && linked[b][a] {
            let found = knn::search_both(cells(a), cells(b), (to_b, to_a), Metric::Cosine, options, ctx)?;
            blocks[a][b] = Some(neighbour_weights(&found.0, count(b)));
            blocks[b][a] = Some(neighbour_weights(&found.1, count(a)));
            ctx.advance(2)?;
        } else if linked[a][b] || linked[b][a] {
            let (from, to, k) = if linked[a][b] { (a, b, to_b) } else { (b, a, to_a) };
            let found = knn::search(cells(from), cells(to), k, Metric::Cosine, options, ctx)?;
            blocks[from][to] = Some(neighbour_weights(&found, count(to)));
            ctx.advance(1)?;
        }
    }
    Ok(blocks)
}

/// Similarity max(1 − distance, 10⁻³), divided by its row's maximum, through [`tanh_scale`] (centre 0.7), divided by its
/// row's sum. `neighbours` found by cosine distance among `targets` cells.
pub fn neighbour_weights(neighbours: &Neighbours, targets: usize) -> Graph {
    let of_cell = |i: usize| {
        let (columns, distances) = neighbours.of(i);
        let mut row: Vec<(u32, f64)> = columns.iter().zip(distances).map(|(&j, d)| (j, (1.0 - d).max(FLOOR))).collect();
        row.sort_unstable_by_key(|&(j, _)| j);
        let largest = row.iter().fold(FLOOR, |m, &(_, weight)| m.max(weight));
        row.iter_mut().for_each(|(_, weight)| *weight = tanh_scale(*weight / largest, CENTRE));
        let sum: f64 = row.iter().map(|&(_, weight)| weight).sum();
        row.iter_mut().for_each(|(_, weight)| *weight /= sum);
        row
    };
    graph_from_rows(targets, (0..neighbours.cells()).map(of_cell).collect())
}
