//! Exact search by all pairs. In: queries (n × d), database (m × d). Out: the k nearest, as if every distance had been
//! computed in `f64`. A tile of pairs at a time is scored by an `f32` matrix product; nothing of size n × m exists.
//!
//! A tile serves both of its sides where both are wanted: two species that search each other, or one that searches itself,
//! for which half of the tiles are enough. The result does not depend on the order in which tiles come by.

use super::Neighbours;
use super::candidates::{Best, Scaled, finish, score, subtract};
use super::points::Points;
use crate::simd::vectorised;
use crate::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows per block; the scores of two blocks stay in the second-level cache.
const BLOCK: usize = 384;
/// Database rows per tile where single queries are searched.
const TILE: usize = 1024;

/// The `k` nearest rows of `database` for each of `queries`; 1 ≤ k ≤ m.
pub(super) fn search(queries: &Points, database: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(database, queries);
    let chosen: Vec<usize> = (0..queries.count()).collect();
    let blocks: Vec<Vec<(f64, u32)>> = chosen
        .par_chunks(BLOCK / 2)
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
        scan(&mut best, scores, first);
    }
    Ok(finish(best))
}

/// The `k` nearest rows of `points` for each of them, itself among them.
pub(super) fn search_self(points: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(points, points);
    let side = Side::new(&scaled, &scaled, k);
    (0..side.best.len()).into_par_iter().try_for_each_init(Tile::default, |tile, i| {
        (i..side.best.len()).try_for_each(|j| tile.score((&side, i), (&side, j), i != j, ctx))
    })?;
    side.finish()
}

/// The `k.0` nearest rows of `right` for each row of `left`, and the `k.1` nearest of `left` for each of `right`.
pub(super) fn search_both(
    left: &Points,
    right: &Points,
    k: (usize, usize),
    ctx: &Context,
) -> Result<(Neighbours, Neighbours)> {
    let of_right = Scaled::new(right, left);
    let of_left = of_right.alike(left);
    let sides = (Side::new(&of_left, &of_right, k.0), Side::new(&of_right, &of_left, k.1));
    let blocks = sides.1.best.len();
    (0..sides.0.best.len()).into_par_iter().try_for_each_init(Tile::default, |tile, i| {
        // Each starts at another place, so that threads seldom wait for each other.
        (0..blocks).try_for_each(|j| tile.score((&sides.0, i), (&sides.1, (i + j) % blocks), true, ctx))
    })?;
    Ok((sides.0.finish()?, sides.1.finish()?))
}

/// Rows that search and are found, with what each has found so far, block by block.
struct Side<'q> {
    scaled: &'q Scaled<'q>,
    best: Vec<Mutex<Vec<Best<'q>>>>,
    k: usize,
}

impl<'q> Side<'q> {
    /// `scaled` searching in `database`.
    fn new(scaled: &'q Scaled<'q>, database: &Scaled<'q>, k: usize) -> Self {
        let rows: Vec<usize> = (0..scaled.points.count()).collect();
        let of = |&row: &usize| Best::new(scaled.points, row, database, k);
        let best = rows.chunks(BLOCK).map(|rows| Mutex::new(rows.iter().map(of).collect())).collect();
        Side { scaled, best, k }
    }

    /// What the rows of a block have found. A thread that panicked takes the whole search with it.
    fn best(&self, block: usize) -> MutexGuard<'_, Vec<Best<'q>>> {
        self.best[block].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a block.
    fn block(&self, block: usize) -> Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.scaled.points.count())
    }

    /// Scaled rows of a block, and their half squares under Euclid.
    fn rows(&self, block: usize) -> (&[f32], Option<&[f32]>) {
        let (rows, d) = (self.block(block), self.scaled.points.dimension());
        (&self.scaled.rows[rows.start * d..rows.end * d], self.scaled.halves.get(rows))
    }

    fn finish(self) -> Result<Neighbours> {
        let of_block = |best: Mutex<Vec<Best>>| -> Vec<(f64, u32)> {
            finish(best.into_inner().unwrap_or_else(PoisonError::into_inner))
        };
        let found: Vec<Vec<(f64, u32)>> = self.best.into_par_iter().map(of_block).collect();
        Ok(Neighbours::from_pairs(self.k, found.into_iter().flatten()))
    }
}

/// Scores of two blocks, and the same turned over.
#[derive(Default)]
struct Tile {
    scores: Vec<f32>,
    turned: Vec<f32>,
}

impl Tile {
    /// Shows the rows of block `j` to those of block `i`, and the other way round where `both`.
    fn score(&mut self, (a, i): (&Side, usize), (b, j): (&Side, usize), both: bool, ctx: &Context) -> Result<()> {
        ctx.check()?;
        let d = a.scaled.points.dimension();
        let ((left, left_halves), (right, right_halves)) = (a.rows(i), b.rows(j));
        let (height, width) = (a.block(i).len(), b.block(j).len());
        self.scores.resize(height * width, 0.0);
        score(left, right, None, d, &mut self.scores, width);
        if both {
            self.turned.resize(height * width, 0.0);
            turn(&self.scores, &mut self.turned, width);
            if let Some(halves) = left_halves {
                subtract(&mut self.turned, halves);
            }
            scan(&mut b.best(j), &self.turned, i * BLOCK);
        }
        if let Some(halves) = right_halves {
            subtract(&mut self.scores, halves);
        }
        scan(&mut a.best(i), &self.scores, j * BLOCK);
        Ok(())
    }
}

/// Shows the scores of consecutive rows from `first` on to each query.
fn scan(best: &mut [Best], scores: &[f32], first: usize) {
    let width = scores.len() / best.len().max(1);
    if width == 0 {
        return;
    }
    vectorised(
        #[inline(always)]
        || {
            for (best, scores) in best.iter_mut().zip(scores.chunks_exact(width)) {
                best.scan(scores, |j| (first + j) as u32);
            }
        },
    );
}

/// The transpose of a matrix with `width` columns, in squares that fit a few cache lines.
fn turn(from: &[f32], to: &mut [f32], width: usize) {
    const SQUARE: usize = 16;
    let height = from.len() / width;
    for i in (0..height).step_by(SQUARE) {
        for j in (0..width).step_by(SQUARE) {
            for column in j..width.min(j + SQUARE) {
                for row in i..height.min(i + SQUARE) {
                    to[column * height + row] = from[row * width + column];
                }
            }
        }
    }
}
