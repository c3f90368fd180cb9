//! Exact search by all pairs. In: queries (n × d), database (m × d). Out: the k nearest, as if every distance had been
//! computed in `f64`. A tile of pairs at a time is scored by a product of integers; nothing of size n × m exists.
//!
//! A tile serves both of its sides where both are wanted: two species that search each other, or one that searches itself,
//! for which half of the tiles are enough. The result does not depend on the order in which tiles come by.

use super::Neighbours;
use super::candidates::{Best, Scaled, finish, scan_columns, scan_rows};
use super::points::Points;
use crate::linalg::integers::Panels;
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
    let m = database.points.count();
    let (block, pairs) = (database.rounded(queries, chosen), database.pairs());
    let panels = Panels::new(&block, pairs);
    let of = |(at, &query): (usize, &usize)| {
        let half = database.half(queries, query, &block[at * pairs..(at + 1) * pairs]);
        Best::new((queries, query, half), database, k)
    };
    let mut best: Vec<Best> = chosen.iter().enumerate().map(of).collect();
    let mut products = vec![0; chosen.len() * TILE.min(m)];
    for first in (0..m).step_by(TILE) {
        ctx.check()?;
        let rows = first..(first + TILE).min(m);
        let products = &mut products[..chosen.len() * rows.len()];
        panels.products(|i| database.row(first + i), products);
        scan_columns(&mut best, products, &database.halves[rows], first);
    }
    Ok(finish(best))
}

/// The `k` nearest rows of `points` for each of them, itself among them.
pub(super) fn search_self(points: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(points, points);
    let side = Side::new(&scaled, &scaled, k);
    (0..side.best.len()).into_par_iter().try_for_each_init(Vec::new, |products, i| {
        let panels = side.panels(i);
        (i..side.best.len()).try_for_each(|j| show((&side, i), &panels, (&side, j), i != j, products, ctx))
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
    (0..sides.0.best.len()).into_par_iter().try_for_each_init(Vec::new, |products, i| {
        let panels = sides.0.panels(i);
        // Each starts at another place, so that threads seldom wait for each other.
        (0..blocks).try_for_each(|j| show((&sides.0, i), &panels, (&sides.1, (i + j) % blocks), true, products, ctx))
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
        let of = |&row: &usize| Best::new((scaled.points, row, scaled.halves[row]), database, k);
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

    /// The scaled rows of a block, side by side.
    fn panels(&self, block: usize) -> Panels {
        let (rows, pairs) = (self.block(block), self.scaled.pairs());
        Panels::new(&self.scaled.rows[rows.start * pairs..rows.end * pairs], pairs)
    }

    fn finish(self) -> Result<Neighbours> {
        let of_block = |best: Mutex<Vec<Best>>| -> Vec<(f64, u32)> {
            finish(best.into_inner().unwrap_or_else(PoisonError::into_inner))
        };
        let found: Vec<Vec<(f64, u32)>> = self.best.into_par_iter().map(of_block).collect();
        Ok(Neighbours::from_pairs(self.k, found.into_iter().flatten()))
    }
}

/// Shows the rows of block `j` to those of block `i`, which lie in `panels`, and the other way round where `both`.
fn show(
    (a, i): (&Side, usize),
    panels: &Panels,
    (b, j): (&Side, usize),
    both: bool,
    products: &mut Vec<i32>,
    ctx: &Context,
) -> Result<()> {
    ctx.check()?;
    let (left, right) = (a.block(i), b.block(j));
    products.resize(left.len() * right.len(), 0);
    panels.products(|row| b.scaled.row(right.start + row), products);
    if both {
        scan_rows(&mut b.best(j), products, &a.scaled.halves[left.clone()], left.start);
    }
    scan_columns(&mut a.best(i), products, &b.scaled.halves[right.clone()], right.start);
    Ok(())
}
