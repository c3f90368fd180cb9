//! Exact search by all pairs. In: queries (n × d), database (m × d). Out: the k nearest, as if every distance had been
//! computed in `f64`. A tile of pairs at a time is scored by a product of integers; nothing of size n × m exists.
//!
//! A tile serves both of its sides where both are wanted: two species that search each other, or one that searches itself,
//! for which half of the tiles are enough. Once a block of rows has seen some others, or where it is known which are likely near,
//! it is shown the next ones in fewer bits first ([`Coarse`]), and only pairs that these do not leave out are scored: the same
//! rows are found, as nothing is left out that could be among the nearest. Nor does the result depend on the order in which
//! tiles come by.

use super::candidates::{Best, Scaled, finish, scan_columns, scan_rows, threshold};
use super::points::Points;
use super::{Likely, Neighbours};
use crate::linalg::integers::coarse::Coarse;
use crate::linalg::integers::{self, Pair, Panels};
use crate::simd::vectorised;
use crate::{Context, Result};
use rayon::prelude::*;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows per block; the scores of two blocks stay in the second-level cache.
const BLOCK: usize = 384;
/// Database rows per tile where single queries are searched.
const TILE: usize = 1024;
/// Rows of each side from which leading coordinates are chosen.
const SAMPLE: usize = 1024;
/// Rows per neighbour that are seen whole before the others are first looked at in fewer bits: until then, too many are taken in.
const FIRST: usize = 48;
/// Pairs that are looked at in fewer bits per product that follows, below which the looks cost more than they save.
const FEW: usize = 8;

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
        scan_columns(&mut best, (products, &database.halves[rows], first), threshold, |_, _, score| score);
    }
    Ok(finish(best))
}

/// The `k` nearest rows of `points` for each of them, itself among them.
pub(super) fn search_self(points: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(points, points);
    let coarse = leading(&[&scaled]);
    let side = Side::new(&scaled, &scaled, coarse.as_ref(), k);
    Tiles::new(&side, &side, ctx).show_within()?;
    side.finish()
}

/// The `k.0` nearest rows of `right` for each row of `left`, and the `k.1` nearest of `left` for each of `right`.
pub(super) fn search_both(
    left: &Points,
    right: &Points,
    k: (usize, usize),
    likely: Likely,
    ctx: &Context,
) -> Result<(Neighbours, Neighbours)> {
    let of_right = Scaled::new(right, left);
    let of_left = of_right.alike(left);
    let coarse = leading(&[&of_left, &of_right]);
    let side = |scaled, database, k| Side::new(scaled, database, coarse.as_ref(), k);
    let mut sides = (side(&of_left, &of_right, k.0), side(&of_right, &of_left, k.1));
    sides.0.presume(likely.map(|(right, _)| right), &of_right);
    sides.1.presume(likely.map(|(_, left)| left), &of_left);
    Tiles::new(&sides.0, &sides.1, ctx).show_each_other()?;
    Ok((sides.0.finish()?, sides.1.finish()?))
}

/// How rows are written in fewer bits, where that pays.
fn leading(sides: &[&Scaled]) -> Option<Coarse> {
    Coarse::pays(sides[0].points.dimension()).then(|| Coarse::of(&squares(sides)))
}

/// Σ x² of each coordinate over some rows of each side.
fn squares(sides: &[&Scaled]) -> Vec<i64> {
    let mut squares = vec![0; sides[0].points.dimension()];
    for side in sides {
        let count = side.points.count();
        for i in (0..count).step_by(count.div_ceil(SAMPLE).max(1)) {
            let row = side.row(i).as_flattened();
            squares.iter_mut().zip(row).for_each(|(sum, &x)| *sum += i64::from(x).pow(2));
        }
    }
    squares
}

/// Rows that search and are found, with what each has found so far, block by block.
struct Side<'q> {
    scaled: &'q Scaled<'q>,
    short: Option<Short<'q>>,
    found: Vec<Mutex<Found<'q>>>,
    k: usize,
}

/// What the rows of a block have found, and among how many.
struct Found<'q> {
    best: Vec<Best<'q>>,
    seen: usize,
}

/// Rows in fewer bits.
struct Short<'q> {
    coarse: &'q Coarse,
    /// n × words.
    rows: Vec<Pair>,
    /// Half the square of each, in their units.
    halves: Vec<i32>,
}

impl<'q> Short<'q> {
    fn new(scaled: &Scaled, coarse: &'q Coarse) -> Self {
        let words = coarse.words();
        let mut rows = vec![[0; 2]; scaled.points.count() * words];
        let write = |(i, out): (usize, &mut [Pair])| {
            vectorised(
                #[inline(always)]
                || coarse.write(scaled.row(i), out),
            )
        };
        rows.par_chunks_mut(words).with_min_len(BLOCK).enumerate().for_each(write);
        Short { coarse, rows, halves: scaled.halves.iter().map(|&half| Coarse::units(half)).collect() }
    }

    fn rows(&self, rows: Range<usize>) -> &[Pair] {
        let words = self.coarse.words();
        &self.rows[rows.start * words..rows.end * words]
    }

    fn row(&self, i: usize) -> &[Pair] {
        self.rows(i..i + 1)
    }
}

/// A block of rows side by side, whole (made where it is used) and in fewer bits.
struct Block {
    whole: OnceCell<Panels>,
    short: Option<Panels>,
}

impl<'q> Side<'q> {
    /// `scaled` searching in `database`.
    fn new(scaled: &'q Scaled<'q>, database: &Scaled<'q>, coarse: Option<&'q Coarse>, k: usize) -> Self {
        let rows: Vec<usize> = (0..scaled.points.count()).collect();
        let of = |&row: &usize| Best::new((scaled.points, row, scaled.halves[row]), database, k);
        let nothing = |rows: &[usize]| Mutex::new(Found { best: rows.iter().map(of).collect(), seen: 0 });
        let short = coarse.map(|coarse| Short::new(scaled, coarse));
        Side { scaled, short, found: rows.chunks(BLOCK).map(nothing).collect(), k }
    }

    /// Nothing is taken in that is farther than the k rows of `database` that are `likely` near (n × k).
    fn presume(&mut self, likely: Option<&[u32]>, database: &Scaled) {
        let Some(likely) = likely else { return };
        let (scaled, k) = (self.scaled, self.k);
        self.found.par_iter_mut().enumerate().for_each(|(block, found)| {
            let found = found.get_mut().unwrap_or_else(PoisonError::into_inner);
            let likely = likely.chunks_exact(k).enumerate().skip(block * BLOCK);
            for (best, (i, rows)) in found.best.iter_mut().zip(likely) {
                let line = scaled.line(i);
                let score = |&j: &u32| integers::product(line, database.line(j as usize)) - database.halves[j as usize];
                best.raise(rows.iter().map(score).min().unwrap_or(i32::MIN));
            }
            // As if they had seen enough of the others.
            found.seen = FIRST * k;
        });
    }

    /// What the rows of a block have found. A thread that panicked takes the whole search with it.
    fn found(&self, block: usize) -> MutexGuard<'_, Found<'q>> {
        self.found[block].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a block has seen enough rows to be shown others in fewer bits.
    fn has_seen_enough(&self, block: usize) -> bool {
        self.found(block).seen >= FIRST * self.k
    }

    /// The rows of a block.
    fn block(&self, block: usize) -> Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.scaled.points.count())
    }

    fn panels(&self, block: usize) -> Block {
        let short = self.short.as_ref().map(|short| short.coarse.panels(short.rows(self.block(block))));
        Block { whole: OnceCell::new(), short }
    }

    fn finish(self) -> Result<Neighbours> {
        let of_block = |found: Mutex<Found>| -> Vec<(f64, u32)> {
            finish(found.into_inner().unwrap_or_else(PoisonError::into_inner).best)
        };
        let found: Vec<Vec<(f64, u32)>> = self.found.into_par_iter().map(of_block).collect();
        Ok(Neighbours::from_pairs(self.k, found.into_iter().flatten()))
    }
}

/// All pairs of a row of one side and one of the other.
struct Tiles<'a, 'q> {
    sides: (&'a Side<'q>, &'a Side<'q>),
    /// Pairs that were looked at in fewer bits, and products that were made after that.
    looks: (AtomicUsize, AtomicUsize),
    ctx: &'a Context,
}

impl<'a, 'q> Tiles<'a, 'q> {
    fn new(a: &'a Side<'q>, b: &'a Side<'q>, ctx: &'a Context) -> Self {
        Tiles { sides: (a, b), looks: Default::default(), ctx }
    }

    /// All rows of each side to all of the other.
    fn show_each_other(&self) -> Result<()> {
        let (a, blocks) = (self.sides.0, self.sides.1.found.len());
        (0..a.found.len()).into_par_iter().try_for_each_init(Vec::new, |products, i| {
            let panels = a.panels(i);
            // Each starts at another place, so that threads seldom wait for each other.
            (0..blocks).try_for_each(|j| self.show((i, &panels), (i + j) % blocks, true, products))
        })
    }

    /// The same where both sides are the same rows.
    fn show_within(&self) -> Result<()> {
        let a = self.sides.0;
        (0..a.found.len()).into_par_iter().try_for_each_init(Vec::new, |products, i| {
            let panels = a.panels(i);
            (i..a.found.len()).try_for_each(|j| self.show((i, &panels), j, i != j, products))
        })
    }

    /// Shows the rows of block `j` to those of block `i`, and the other way round where `both`.
    fn show(&self, (i, panels): (usize, &Block), j: usize, both: bool, products: &mut Vec<i32>) -> Result<()> {
        self.ctx.check()?;
        let (a, b) = self.sides;
        products.resize(a.block(i).len() * b.block(j).len(), 0);
        match (&panels.short, &a.short, &b.short) {
            (Some(panels), Some(x), Some(y))
                if self.leave_out_most() && a.has_seen_enough(i) && b.has_seen_enough(j) =>
            {
                self.show_short((i, panels, x), (j, y), both, products);
            }
            _ => self.show_whole((i, &panels.whole), j, both, products),
        }
        Ok(())
    }

    fn show_whole(&self, (i, panels): (usize, &OnceCell<Panels>), j: usize, both: bool, products: &mut [i32]) {
        let ((a, b), score) = (self.sides, |_, _, score| score);
        let (left, right) = (a.block(i), b.block(j));
        let panels = panels.get_or_init(|| Panels::new(&a.scaled.side_by_side(left.clone()), a.scaled.pairs()));
        panels.products(|row| b.scaled.row(right.start + row), products);
        if both {
            let found = &mut b.found(j);
            found.seen += left.len();
            let halves = &a.scaled.halves[left.clone()];
            scan_rows(&mut found.best, (products, halves, left.start), threshold, score);
        }
        let found = &mut a.found(i);
        found.seen += right.len();
        scan_columns(&mut found.best, (products, &b.scaled.halves[right.clone()], right.start), threshold, score);
    }

    /// The same in fewer bits: what these do not leave out is scored.
    fn show_short(
        &self,
        (i, panels, x): (usize, &Panels, &Short),
        (j, y): (usize, &Short),
        both: bool,
        products: &mut [i32],
    ) {
        let (a, b) = self.sides;
        let (left, right) = (a.block(i), b.block(j));
        panels.products(|row| y.row(right.start + row), products);
        let product = |of, with| integers::product(a.scaled.line(left.start + of), b.scaled.line(right.start + with));
        let mut made = 0;
        if both {
            let rows = (&*products, &x.halves[left.clone()], left.start);
            scan_rows(&mut b.found(j).best, rows, Coarse::units, |query, row, _| {
                made += 1;
                product(row, query) - a.scaled.halves[left.start + row]
            });
        }
        let rows = (&*products, &y.halves[right.clone()], right.start);
        scan_columns(&mut a.found(i).best, rows, Coarse::units, |query, row, _| {
            made += 1;
            product(query, row) - b.scaled.halves[right.start + row]
        });
        self.looks.0.fetch_add(products.len(), Relaxed);
        self.looks.1.fetch_add(made, Relaxed);
    }

    /// Whether looks have left out most pairs so far. No result depends on it.
    fn leave_out_most(&self) -> bool {
        self.looks.1.load(Relaxed) <= self.looks.0.load(Relaxed) / FEW + BLOCK * BLOCK / FEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::Metric;
    use crate::rng::Rng;
    use ndarray::Array2;

    /// n rows around a few centres, `spread` from them.
    fn around(n: usize, d: usize, spread: f64, seed: u64) -> Array2<f32> {
        let normal = |a: usize, j: usize, stream: u64| Rng::keyed(stream, a as u64, j as u64).normal();
        Array2::from_shape_fn((n, d), |(i, j)| (normal(i % 7, j, 1) + spread * normal(i, j, seed)) as f32)
    }

    type Searched = ((Neighbours, Neighbours), [usize; 2]);

    /// What two sets find in each other, whole or in fewer bits first; and how many looks and products of rows that took.
    fn both(left: &Points, right: &Points, k: (usize, usize), short: bool, likely: Likely) -> Searched {
        let of_right = Scaled::new(right, left);
        let of_left = of_right.alike(left);
        let coarse = short.then(|| Coarse::of(&squares(&[&of_left, &of_right])));
        let side = |scaled, database, k| Side::new(scaled, database, coarse.as_ref(), k);
        let mut sides = (side(&of_left, &of_right, k.0), side(&of_right, &of_left, k.1));
        sides.0.presume(likely.map(|(right, _)| right), &of_right);
        sides.1.presume(likely.map(|(_, left)| left), &of_left);
        let ctx = Context::default();
        let tiles = Tiles::new(&sides.0, &sides.1, &ctx);
        tiles.show_each_other().unwrap();
        let looks = [&tiles.looks.0, &tiles.looks.1].map(|count| count.load(Relaxed));
        ((sides.0.finish().unwrap(), sides.1.finish().unwrap()), looks)
    }

    #[test]
    fn fewer_bits_leave_out_much_and_change_nothing() {
        let (n, m, k) = (1300, 1000, (4, 3));
        for (metric, d) in [(Metric::Cosine, 100), (Metric::Correlation, 67), (Metric::Euclidean, 64)] {
            let (left, right) = (around(n, d, 0.7, 2), around(m, d, 0.7, 3));
            let points = |x| Points::new("x", x, metric).unwrap();
            let (left, right) = (points(left.view()), points(right.view()));
            let (short, [looks, made]) = both(&left, &right, k, true, None);
            let (whole, none) = both(&left, &right, k, false, None);
            assert_eq!(short, whole, "{metric:?}");
            assert_eq!(none, [0, 0]);
            assert!(looks > n * m / 3 && made < looks / FEW, "{metric:?}: {made} of {looks}");
            // Where neighbours are known, all pairs are looked at, and still fewer are scored.
            let likely = Some((short.0.indices.as_slice(), short.1.indices.as_slice()));
            let (again, [all, fewer]) = both(&left, &right, k, true, likely);
            assert_eq!(again, whole, "{metric:?}");
            assert!(all == n * m && fewer < made, "{metric:?}: {fewer} of {all}, {made} of {looks} before");
        }
    }

    /// Rows that hardly differ cannot be told apart in fewer bits: these are given up soon.
    #[test]
    fn fewer_bits_are_given_up_where_they_leave_out_little() {
        let (left, right) = (around(3000, 80, 1e-4, 2), around(3000, 80, 1e-4, 3));
        let points = |x| Points::new("x", x, Metric::Euclidean).unwrap();
        let (left, right) = (points(left.view()), points(right.view()));
        let (short, [looks, _]) = both(&left, &right, (3, 3), true, None);
        assert_eq!(short, both(&left, &right, (3, 3), false, None).0);
        assert!(looks < 3000 * 3000 / 2, "{looks}");
    }
}
