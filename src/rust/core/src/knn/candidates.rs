//! Candidates by integer scores, kept with a margin and measured in `f64`. In: scaled rows and tiles of scores. Out: the k
//! nearest among all rows that were scored, as if every distance had been computed in `f64`.
//!
//! Rows are scaled to unit vectors, or under Euclid to lengths of at most 1, and rounded to whole units ([`integers`]). The nearest
//! have the highest score x·y − |y|²/2 = (|x|² − |x − y|²) / 2, which is computed exactly. A coordinate has moved by half a unit at
//! most, a row by e = √d / 2, and a distance by 2 e. So none of the k nearest is more than 4 e farther, once rounded, than the
//! k-th nearest of the rounded rows, and whatever lies that near is measured: nothing that belongs to the result is ever
//! dropped.

use super::Metric;
use super::points::Points;
use crate::linalg::integers::{self, LANES, Line, Pair, UNITS};
use crate::simd::{bits, vectorised};
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;

/// Rows per parallel block.
const BLOCK: usize = 256;
/// Scores that are compared at a time.
const CHUNK: usize = 32;
/// Candidates held per neighbour where rows are scored in fewer directions than they have.
pub(crate) const HELD: usize = 20;

/// The database, scaled and rounded.
pub(super) struct Scaled<'a> {
    /// The rows as they were given.
    pub(super) points: &'a Points<'a>,
    /// m × lines: scaled coordinates in whole units.
    rows: Vec<Line>,
    /// |y|²/2 of each of them, in units².
    pub(super) halves: Vec<i32>,
    centre: Vec<f64>,
    scale: f64,
    /// width × d: the directions that are scored; empty where rows are scored in all their coordinates.
    directions: Vec<f32>,
}

impl<'a> Scaled<'a> {
    /// Scales `points` such that no row of theirs or of `queries` is longer than 1.
    pub(super) fn new(points: &'a Points<'a>, queries: &Points) -> Self {
        Self::frame(points, queries).filled()
    }

    /// The centre and scale of [`Scaled::new`], without rows.
    pub(super) fn frame(points: &'a Points<'a>, queries: &Points) -> Self {
        let euclidean = points.metric() == Metric::Euclidean;
        let centre = if euclidean { points.centre() } else { Vec::new() };
        let longest = points.largest_square(&centre).max(queries.largest_square(&centre)).sqrt();
        let scale = if longest > 0.0 { 1.0 / longest } else { 1.0 };
        Scaled { points, rows: Vec::new(), halves: Vec::new(), centre, scale, directions: Vec::new() }
    }

    /// Scored in these directions (width × d, orthonormal) alone.
    pub(super) fn along(mut self, directions: Vec<f32>) -> Self {
        self.directions = directions;
        self
    }

    /// Coordinates that are scored.
    pub(super) fn width(&self) -> usize {
        let d = self.points.dimension();
        if self.directions.is_empty() { d } else { self.directions.len() / d }
    }

    /// Other points, in the same centre and scale: queries of this database, which may be its database as well.
    pub(super) fn alike(&self, points: &'a Points<'a>) -> Self {
        let (centre, scale, directions) = (self.centre.clone(), self.scale, self.directions.clone());
        Scaled { points, rows: Vec::new(), halves: Vec::new(), centre, scale, directions }.filled()
    }

    fn filled(mut self) -> Self {
        let (points, pairs, lines) = (self.points, self.pairs(), self.lines());
        let mut rows = vec![Line::default(); points.count() * lines];
        let fill = |(block, rows): (usize, &mut [Line])| {
            let first = block * BLOCK;
            let chosen: Vec<usize> = (first..first + rows.len() / lines).collect();
            let rounded = self.rounded(points, &chosen);
            for (row, rounded) in rows.chunks_mut(lines).zip(rounded.chunks(pairs)) {
                for (line, coordinates) in row.iter_mut().zip(rounded.as_flattened().chunks(LANES)) {
                    line.0[..coordinates.len()].copy_from_slice(coordinates);
                }
            }
        };
        rows.par_chunks_mut((BLOCK * lines).max(1)).enumerate().for_each(fill);
        self.rows = rows;
        let half = |i| self.half(points, i, self.row(i));
        self.halves = (0..points.count()).into_par_iter().with_min_len(BLOCK).map(half).collect();
        self
    }

    /// Pairs of a row in whole units.
    pub(super) fn pairs(&self) -> usize {
        integers::pairs(self.width())
    }

    /// Lines of a row in whole units.
    fn lines(&self) -> usize {
        self.width().div_ceil(LANES)
    }

    /// Row `i` in whole units, with zeros to the end of its last line.
    pub(super) fn line(&self, i: usize) -> &[Line] {
        &self.rows[i * self.lines()..(i + 1) * self.lines()]
    }

    /// Row `i` in whole units.
    pub(super) fn row(&self, i: usize) -> &[Pair] {
        &integers::pairs_of(self.line(i))[..self.pairs()]
    }

    /// Rows in whole units, one after the other.
    pub(super) fn side_by_side(&self, rows: Range<usize>) -> Vec<Pair> {
        rows.flat_map(|i| self.row(i)).copied().collect()
    }

    /// |x|²/2 of row `i` of `points`, rounded to `row`, in units²; of the row as it was where `row` is not all of it.
    pub(super) fn half(&self, points: &Points, i: usize, row: &[Pair]) -> i32 {
        if self.directions.is_empty() && !points.is_without_angle(i) {
            return integers::square(row) / 2;
        }
        let square = points.scaled_square(i, &self.centre, self.scale);
        (0.5 * UNITS.powi(2) * square) as i32
    }

    /// The `chosen` rows of `points`, scaled like the database, in whole units.
    pub(super) fn rounded(&self, points: &Points, chosen: &[usize]) -> Vec<Pair> {
        integers::rounded(&self.scale(points, chosen), self.width())
    }

    /// The `chosen` rows of `points`, scaled like the database.
    pub(super) fn scale(&self, points: &Points, chosen: &[usize]) -> Vec<f32> {
        let d = points.dimension();
        let mut block = vec![0.0; chosen.len() * d];
        vectorised(
            #[inline(always)]
            || {
                for (&i, row) in chosen.iter().zip(block.chunks_mut(d.max(1))) {
                    points.write_scaled(i, &self.centre, self.scale, row);
                }
            },
        );
        if self.directions.is_empty() {
            return block;
        }
        let mut along = vec![0.0; chosen.len() * self.width()];
        score(&block, &self.directions, None, d, &mut along, self.width());
        along
    }

    /// How much farther than the worst of those held another row may seem, in units: 4 e. What is added to e stands for all other
    /// rounding, of the coordinates to `f32` and of the distances in `f64`. Scores in fewer directions are no more than a guide.
    fn slack(&self) -> f64 {
        if self.directions.is_empty() { 4.0 * (0.51 * (self.width() as f64).sqrt() + 0.1) } else { 0.0 }
    }

    /// Candidates held until `k` of them are measured.
    fn held(&self, k: usize) -> usize {
        if self.directions.is_empty() { k } else { HELD * k }
    }
}

/// Candidates that are pending at most: few more than are held, as the threshold lags behind until they are pruned.
fn capacity(held: usize) -> usize {
    held + held / 2 + 8
}

/// What may still be among the k nearest of one query.
pub(super) struct Best<'q> {
    query: usize,
    queries: &'q Points<'q>,
    database: &'q Points<'q>,
    k: usize,
    /// Best scores among which the k nearest are: k, unless rows are scored in fewer directions than they have.
    held: usize,
    /// |x|²/2 of the query.
    half: i32,
    slack: f64,
    /// A lower score cannot be among those any more.
    threshold: i32,
    pending: Vec<(i32, u32)>,
    /// At most k, measured exactly; only used when too many are pending.
    measured: Vec<(f64, u32)>,
}

impl<'q> Best<'q> {
    /// Nothing scored yet for row `query` of `queries`, with half its square as in [`Scaled::half`].
    pub(super) fn new((queries, query, half): (&'q Points<'q>, usize, i32), database: &Scaled<'q>, k: usize) -> Self {
        let (held, slack) = (database.held(k), database.slack());
        let (threshold, pending) = (i32::MIN, Vec::with_capacity(capacity(held)));
        let (database, measured) = (database.points, Vec::new());
        Best { query, queries, half, database, k, held, slack, threshold, pending, measured }
    }

    /// Takes in rows by numbers that are compared, `products` less `halves`: a row is `row(j)`, and its score `score(j, number)`,
    /// wherever the number reaches `limit(threshold)`.
    #[inline(always)]
    pub(super) fn scan(
        &mut self,
        (products, halves): (&[i32], &[i32]),
        limit: impl Fn(i32) -> i32,
        row: impl Fn(usize) -> u32,
        mut score: impl FnMut(usize, i32) -> i32,
    ) {
        for (chunk, (products, halves)) in products.chunks(CHUNK).zip(halves.chunks(CHUNK)).enumerate() {
            let limit = limit(self.threshold);
            let reached = products.iter().zip(halves).map(|(product, half)| product - half >= limit);
            for at in bits(hits(reached)) {
                let j = chunk * CHUNK + at;
                self.offer(score(j, products[at] - halves[at]), row(j));
            }
        }
    }

    /// Takes in the score of a row, unless it is too low.
    #[inline(always)]
    fn offer(&mut self, score: i32, row: u32) {
        if score >= self.threshold {
            self.pending.push((score, row));
            if self.pending.len() >= capacity(self.held) {
                self.prune();
            }
        }
    }

    /// Raises the threshold to what may still be among the nearest once `held` different rows of the database are known to score `worst`
    /// or more.
    pub(super) fn raise(&mut self, worst: i32) {
        // Halves of odd squares are rounded.
        let (half, worst) = (f64::from(self.half), f64::from(worst));
        let farthest = (2.0 * (half - worst).max(0.0)).sqrt() + self.slack;
        self.threshold = self.threshold.max((half - 0.5 * farthest.powi(2) - 2.0) as i32);
    }

    /// Raises the threshold by the scores that are pending. Where too much lies within the slack, it is measured.
    #[inline(never)]
    fn prune(&mut self) {
        let (_, worst, _) = self.pending.select_nth_unstable_by_key(self.held - 1, |pending| Reverse(pending.0));
        let worst = worst.0;
        self.raise(worst);
        let threshold = self.threshold;
        self.pending.retain(|(score, _)| *score >= threshold);
        if self.pending.len() > (capacity(self.held) + self.held) / 2 {
            self.measure();
        }
    }

    fn measure(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        vectorised(
            #[inline(always)]
            || {
                for &(_, row) in &pending {
                    self.take_in(row);
                }
            },
        );
        keep_nearest(&mut self.measured, self.k);
        self.pending = pending;
        self.pending.clear();
    }

    /// Measures a row of the database.
    #[inline(always)]
    fn take_in(&mut self, row: u32) {
        self.measured.push((self.queries.distance(self.query, self.database, row as usize), row));
    }
}

/// Shows consecutive rows from `first` on to each query by numbers that are compared, `products` (rows × queries) less the rows'
/// `halves`: the score of a row is `score(query, row, number)` wherever the number reaches `limit(threshold)`.
pub(super) fn scan_columns(
    best: &mut [Best],
    (products, halves, first): (&[i32], &[i32], usize),
    limit: impl Fn(i32) -> i32,
    mut score: impl FnMut(usize, usize, i32) -> i32,
) {
    let mut limits: Vec<i32> = best.iter().map(|best| limit(best.threshold)).collect();
    vectorised(
        #[inline(always)]
        || {
            for (row, (products, &half)) in products.chunks_exact(best.len()).zip(halves).enumerate() {
                for (chunk, products) in products.chunks(CHUNK).enumerate() {
                    let before = chunk * CHUNK;
                    let (best, limits) =
                        (&mut best[before..][..products.len()], &mut limits[before..][..products.len()]);
                    let reached = products.iter().zip(&*limits).map(|(product, limit)| product - half >= *limit);
                    for at in bits(hits(reached)) {
                        best[at].offer(score(before + at, row, products[at] - half), (first + row) as u32);
                        limits[at] = limit(best[at].threshold);
                    }
                }
            }
        },
    );
}

/// The same of `products` (queries × rows).
pub(super) fn scan_rows(
    best: &mut [Best],
    (products, halves, first): (&[i32], &[i32], usize),
    limit: impl Fn(i32) -> i32,
    mut score: impl FnMut(usize, usize, i32) -> i32,
) {
    vectorised(
        #[inline(always)]
        || {
            for (query, (best, products)) in best.iter_mut().zip(products.chunks_exact(halves.len())).enumerate() {
                best.scan((products, halves), &limit, |j| (first + j) as u32, |j, number| score(query, j, number));
            }
        },
    );
}

/// Scores that are compared themselves: their limit is the threshold.
pub(super) fn threshold(threshold: i32) -> i32 {
    threshold
}

/// Bits of those that are true, of at most [`CHUNK`]: seldom any, which is found without early exit, many at a time.
#[inline(always)]
fn hits(found: impl Iterator<Item = bool> + Clone) -> u64 {
    if !found.clone().fold(false, |any, found| any | found) {
        return 0;
    }
    found.enumerate().fold(0, |hits, (at, found)| hits | u64::from(found) << at)
}

/// The k nearest of every query, in order, query by query. Rows are measured in their own order, each for all queries that hold it: where many hold
/// the same, it comes from memory once.
pub(super) fn finish(mut best: Vec<Best>) -> Vec<(f64, u32)> {
    let mut pairs = Vec::new();
    for (at, best) in best.iter_mut().enumerate() {
        if best.pending.len() > best.held {
            best.prune();
        }
        pairs.extend(best.pending.drain(..).map(|(_, row)| (row, at as u32)));
    }
    pairs.sort_unstable();
    vectorised(
        #[inline(always)]
        || {
            for &(row, at) in &pairs {
                best[at as usize].take_in(row);
            }
        },
    );
    let nearest = |mut best: Best| {
        keep_nearest(&mut best.measured, best.k);
        best.measured
    };
    best.into_iter().flat_map(nearest).collect()
}

/// Sorts by distance, then index, and keeps the first `k`.
pub(super) fn keep_nearest(found: &mut Vec<(f64, u32)>, k: usize) {
    let nearer = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if k > 0 && found.len() > k {
        found.select_nth_unstable_by(k - 1, nearer);
    }
    found.truncate(k);
    found.sort_unstable_by(nearer);
}

/// Products of `queries` (q × d) with `rows` (w × d), less `halves` where there are any, into q × w.
pub(super) fn score(queries: &[f32], rows: &[f32], halves: Option<&[f32]>, d: usize, scores: &mut [f32], width: usize) {
    let height = scores.len() / width;
    let queries = MatRef::from_row_major_slice(queries, height, d);
    let rows = MatRef::from_row_major_slice(rows, width, d);
    let product = MatMut::from_row_major_slice_mut(&mut *scores, height, width);
    matmul(product, Accum::Replace, queries, rows.transpose(), 1.0, Par::Seq);
    for scores in scores.chunks_mut(width) {
        scores.iter_mut().zip(halves.unwrap_or_default()).for_each(|(score, half)| *score -= half);
    }
}
