//! Exact search by all pairs. In: queries (n × d), database (m × d). Out: the k nearest, as if every distance had been
//! computed in `f64`. A tile of pairs at a time is scored by an `f32` matrix product; nothing of size n × m exists.

use super::Neighbours;
use super::candidates::{Best, Scaled, score};
use super::points::Points;
use crate::{Context, Result};
use rayon::prelude::*;

/// Queries per block; one task.
const QUERIES: usize = 192;
/// Database rows per tile; with the queries' scores it stays in the second-level cache.
const TILE: usize = 1024;

/// The `k` nearest rows of `database` for each of `queries`; 1 ≤ k ≤ m.
pub(super) fn search(queries: &Points, database: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(database, queries);
    let chosen: Vec<usize> = (0..queries.count()).collect();
    let blocks: Vec<Vec<(f64, u32)>> = chosen
        .par_chunks(QUERIES)
        .map(|chosen| search_block(queries, chosen, &scaled, k, ctx))
        .collect::<Result<_>>()?;
    Ok(Neighbours::from_pairs(k, blocks.into_iter().flatten()))
}

/// The `k` nearest of the `chosen` queries, one after the other.
pub(super) fn search_block<'q>(
    queries: &'q Points<'q>,
    chosen: &[usize],
    database: &Scaled<'q>,
    k: usize,
    ctx: &Context,
) -> Result<Vec<(f64, u32)>> {
    let (d, m) = (queries.dimension(), database.points.count());
    let block = database.scale(queries, chosen);
    let mut best: Vec<Best> = chosen.iter().map(|&query| Best::new(queries, query, database, k)).collect();
    let mut scores = vec![0.0f32; chosen.len() * TILE.min(m)];
    for first in (0..m).step_by(TILE) {
        ctx.check()?;
        let width = TILE.min(m - first);
        let scores = &mut scores[..chosen.len() * width];
        let rows = &database.rows[first * d..(first + width) * d];
        score(&block, rows, database.halves.get(first..first + width), d, scores, width);
        for (scores, best) in scores.chunks(width).zip(&mut best) {
            best.scan(scores, |j| (first + j) as u32);
        }
    }
    Ok(best.into_iter().flat_map(Best::finish).collect())
}
