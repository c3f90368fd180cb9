//! Exact search by all pairs. In: queries (n × d), database (m × d). Out: the k nearest, as if every distance had been
//! computed in `f64`.
//!
//! An `f32` matrix product scores a tile of pairs at a time, and whatever lies within the product's rounding error of the
//! k-th best score is kept and measured again in `f64`. The rounding error of a dot product of length d is at most
//! γ_d |x||y| with γ_d = d·u / (1 − d·u), u = 2⁻²⁴ (Higham 2002, section 3.1), so nothing that belongs to the result is
//! ever dropped. The score is x·y of unit vectors, or x·y − |y|²/2 under Euclid.

use super::points::Points;
use super::{Metric, Neighbours};
use crate::{Context, Result};
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Queries per block; one task.
const QUERIES: usize = 192;
/// Database rows per tile of a matrix product.
const TILE: usize = 1024;

/// The database, scaled for the matrix product.
pub(super) struct Scaled<'a, 'b> {
    points: &'a Points<'b>,
    rows: Vec<f32>,
    /// |y|²/2 of each scaled row under Euclid, else empty.
    halves: Vec<f32>,
    centre: Vec<f64>,
    scale: f64,
}

impl<'a, 'b> Scaled<'a, 'b> {
    /// Scales `points` such that no row of theirs or of `queries` is longer than 1.
    pub(super) fn new(points: &'a Points<'b>, queries: &Points) -> Self {
        let euclidean = points.metric() == Metric::Euclidean;
        let centre = if euclidean { points.centre() } else { Vec::new() };
        let longest = points.largest_square(&centre).max(queries.largest_square(&centre)).sqrt();
        let scale = if longest > 0.0 { 1.0 / longest } else { 1.0 };
        let mut scaled = Scaled { points, rows: Vec::new(), halves: Vec::new(), centre, scale };
        let d = points.dimension();
        scaled.rows = vec![0.0; points.count() * d];
        let (centre, scale) = (&scaled.centre, scaled.scale);
        if d > 0 {
            let write = |(i, row): (usize, &mut [f32])| points.write_scaled(i, centre, scale, row);
            scaled.rows.par_chunks_mut(d).enumerate().with_min_len(TILE).for_each(write);
        }
        if euclidean && d > 0 {
            let half = |row: &[f32]| 0.5 * row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            scaled.halves = scaled.rows.par_chunks(d).map(|row| half(row) as f32).collect();
        }
        scaled
    }

    /// More than twice what a score of two rows no longer than 1 can be off by: γ_d, plus the rounding of the scaled
    /// coordinates, of |y|²/2 and of the sums with it.
    fn slack(&self) -> f32 {
        let rounding = f64::from(f32::EPSILON) / 2.0;
        let terms = (self.points.dimension() + 16) as f64 * rounding;
        (2.5 * terms / (1.0 - terms).max(0.5)) as f32
    }
}

/// What may still be among the k nearest of one query.
struct Best<'q> {
    query: usize,
    queries: &'q Points<'q>,
    database: &'q Points<'q>,
    k: usize,
    slack: f32,
    /// A lower score cannot be among the k best any more.
    threshold: f32,
    pending: Vec<(f32, u32)>,
    /// At most k, measured exactly; only used when too many are pending.
    measured: Vec<(f64, u32)>,
}

impl Best<'_> {
    fn capacity(&self) -> usize {
        4 * self.k + 256
    }

    /// Takes in the scores of the rows from `first` on.
    fn scan(&mut self, scores: &[f32], first: usize) {
        const CHUNK: usize = 16;
        for (chunk, scores) in scores.chunks(CHUNK).enumerate() {
            let largest = scores.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            if largest < self.threshold {
                continue;
            }
            let start = first + chunk * CHUNK;
            let near = scores.iter().enumerate().filter(|(_, score)| **score >= self.threshold);
            self.pending.extend(near.map(|(j, &score)| (score, (start + j) as u32)));
            if self.pending.len() >= self.capacity() {
                self.prune();
            }
        }
    }

    /// Raises the threshold to the k-th best score less the slack. Where too much lies within the slack, it is measured.
    fn prune(&mut self) {
        let (_, kth, _) = self.pending.select_nth_unstable_by(self.k - 1, |a, b| b.0.total_cmp(&a.0));
        self.threshold = self.threshold.max(kth.0 - self.slack);
        let threshold = self.threshold;
        self.pending.retain(|(score, _)| *score >= threshold);
        if self.pending.len() > self.capacity() / 2 {
            self.measure();
        }
    }

    fn measure(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let distance = |j: u32| self.queries.distance(self.query, self.database, j as usize);
        self.measured.extend(pending.iter().map(|&(_, j)| (distance(j), j)));
        self.pending = pending;
        self.pending.clear();
        keep_nearest(&mut self.measured, self.k);
    }

    /// The k nearest, in order.
    fn finish(mut self) -> Vec<(f64, u32)> {
        if self.pending.len() > self.k {
            self.prune();
        }
        self.measure();
        self.measured
    }
}

/// Sorts by distance, then index, and keeps the first `k`.
pub(super) fn keep_nearest(found: &mut Vec<(f64, u32)>, k: usize) {
    found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.truncate(k);
}

/// The `k` nearest rows of `database` for each of `queries`; 1 ≤ k ≤ m.
pub(super) fn search(queries: &Points, database: &Points, k: usize, ctx: &Context) -> Result<Neighbours> {
    let scaled = Scaled::new(database, queries);
    let blocks: Vec<Vec<(f64, u32)>> = (0..queries.count().div_ceil(QUERIES))
        .into_par_iter()
        .map(|block| {
            let range = block * QUERIES..((block + 1) * QUERIES).min(queries.count());
            search_block(queries, &range.collect::<Vec<_>>(), &scaled, k, ctx)
        })
        .collect::<Result<_>>()?;
    Ok(Neighbours::from_pairs(k, blocks.iter().flatten()))
}

/// The `k` nearest of the given queries, one after the other.
pub(super) fn search_block<'q>(
    queries: &'q Points<'q>,
    chosen: &[usize],
    database: &'q Scaled<'q, 'q>,
    k: usize,
    ctx: &Context,
) -> Result<Vec<(f64, u32)>> {
    let (d, m) = (queries.dimension(), database.points.count());
    let mut block = vec![0.0f32; chosen.len() * d];
    for (i, row) in chosen.iter().zip(block.chunks_mut(d.max(1))) {
        queries.write_scaled(*i, &database.centre, database.scale, row);
    }
    let start = |&query: &usize| Best {
        query,
        queries,
        database: database.points,
        k,
        slack: database.slack(),
        threshold: f32::NEG_INFINITY,
        pending: Vec::with_capacity(4 * k + 256 + TILE),
        measured: Vec::new(),
    };
    let mut best: Vec<Best> = chosen.iter().map(start).collect();
    let mut scores = vec![0.0f32; chosen.len() * TILE.min(m)];
    for first in (0..m).step_by(TILE) {
        ctx.check()?;
        let width = TILE.min(m - first);
        let scores = &mut scores[..chosen.len() * width];
        let rows = MatRef::from_row_major_slice(&database.rows[first * d..(first + width) * d], width, d);
        let block = MatRef::from_row_major_slice(&block, chosen.len(), d);
        let product = MatMut::from_row_major_slice_mut(scores, chosen.len(), width);
        matmul(product, Accum::Replace, block, rows.transpose(), 1.0, Par::Seq);
        for (scores, best) in scores.chunks_mut(width).zip(&mut best) {
            if let Some(halves) = database.halves.get(first..first + width) {
                scores.iter_mut().zip(halves).for_each(|(score, half)| *score -= half);
            }
            best.scan(scores, first);
        }
    }
    Ok(best.into_iter().flat_map(Best::finish).collect())
}
