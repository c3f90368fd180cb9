//! Cross-species nearest neighbours. In: latent coordinates of all cells. Out: for every ordered pair of species (a, b) a
//! graph, cells of a × cells of b, with K neighbours per row whose weights sum to 1.

use super::projection::tanh_scale;
use crate::backend::{Backend, Cpu};
use crate::knn::{KnnOptions, Neighbours};
use crate::sparse::{Graph, graph_from_rows};
use crate::{Context, Result};
use ndarray::Array2;
use rayon::prelude::*;

/// Cells per parallel block.
const BLOCK: usize = 256;
/// Smallest similarity of two cells.
pub(crate) const FLOOR: f64 = 1e-3;
/// Centre of the scaling of similarities and correlations between cells.
pub(crate) const CENTRE: f64 = 0.7;

/// `blocks[a][b]`: the graph from the cells of species a to those of b; `None` on the diagonal and between species without
/// homology.
pub type Blocks = Vec<Vec<Option<Graph>>>;

/// The cross-species neighbour graphs of the pairs (a, b) for which `linked[a][b]`. K is at most the number of cells of b.
///
/// # Errors
/// Those of [`crate::knn::search`].
pub fn cross_knn(
    latent: &Array2<f32>,
    cell_offsets: &[usize],
    linked: &[Vec<bool>],
    k: usize,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Blocks> {
    cross_knn_on(&Cpu, latent, cell_offsets, linked, (k, None), options, ctx)
}

/// [`cross_knn`] in the latent space of a backend. `before`: the graphs of another pass; no result depends on them, an exact
/// search is faster with them.
///
/// # Errors
/// As [`cross_knn`]; those of the backend.
pub fn cross_knn_on<B: Backend>(
    backend: &B,
    latent: &B::Latent,
    cell_offsets: &[usize],
    linked: &[Vec<bool>],
    (k, before): (usize, Option<&Blocks>),
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Blocks> {
    let cells = |s: usize| cell_offsets[s]..cell_offsets[s + 1];
    let mut blocks: Blocks = linked.iter().map(|row| row.iter().map(|_| None).collect()).collect();
    for (a, b) in (0..linked.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let (to_a, to_b) = (k.min(cells(a).len()), k.min(cells(b).len()));
        if linked[a][b] && linked[b][a] {
            let near = |a: usize, b: usize| before.and_then(|before| before[a][b].as_ref()).map(Graph::indices);
            let likely = near(a, b).zip(near(b, a));
            let (both, k) = ((cells(a), cells(b)), (to_b, to_a));
            let found = backend.latent_neighbours_both(latent, both, k, likely, options, ctx)?;
            blocks[a][b] = Some(neighbour_weights(&found.0, cells(b).len()));
            blocks[b][a] = Some(neighbour_weights(&found.1, cells(a).len()));
            ctx.advance(2)?;
        } else if linked[a][b] || linked[b][a] {
            let (from, to, k) = if linked[a][b] { (a, b, to_b) } else { (b, a, to_a) };
            let found = backend.latent_neighbours(latent, cells(from), cells(to), k, options, ctx)?;
            blocks[from][to] = Some(neighbour_weights(&found, cells(to).len()));
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
    graph_from_rows(targets, (0..neighbours.cells()).into_par_iter().with_min_len(BLOCK).map(of_cell).collect())
}
