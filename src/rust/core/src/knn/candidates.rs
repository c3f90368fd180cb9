//! Candidates by `f32` scores, kept with a margin and measured in `f64`. In: scaled rows and tiles of scores. Out: the k
//! nearest among all rows that were scored, as if every distance had been computed in `f64`.
//!
//! The score is x·y of unit vectors, or x·y − |y|²/2 under Euclid. The rounding error of a dot product of length d is at
//! most γ_d |x||y| with γ_d = d·u / (1 − d·u), u = 2⁻²⁴ (Higham 2002, section 3.1). Whatever lies within that error of the
//! k-th best score is measured again, so nothing that belongs to the result is ever dropped.

use super::Metric;
use super::points::Points;
use crate::simd::vectorised;
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Rows per parallel block.
const BLOCK: usize = 256;
/// Candidates held per neighbour where rows are scored in fewer directions than they have.
pub(crate) const HELD: usize = 20;

/// The database, scaled for the matrix product.
pub(super) struct Scaled<'a> {
    /// The rows as they were given.
    pub(super) points: &'a Points<'a>,
    /// m × width scaled coordinates.
    pub(super) rows: Vec<f32>,
    /// |y|²/2 of each scaled row under Euclid, else empty.
    pub(super) halves: Vec<f32>,
    centre: Vec<f64>,
    scale: f64,
    /// width × d: the directions that are scored; empty where rows are scored in all their coordinates.
    directions: Vec<f32>,
}

impl<'a> Scaled<'a> {
    /// Scales `points` such that no row of theirs or of `queries` is longer than 1.
    pub(super) fn new(points: &'a Points<'a>, queries: &Points) -> Self {
        Self::frame(points, queries).filled(|i| i)
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
        Scaled { points, rows: Vec::new(), halves: Vec::new(), centre, scale, directions }.filled(|i| i)
    }

    /// With the scaled rows: at each place that of the point `point(place)`.
    pub(super) fn filled(mut self, point: impl Fn(usize) -> usize + Sync) -> Self {
        let (points, width) = (self.points, self.width());
        let mut rows = vec![0.0; points.count() * width];
        let fill = |(block, rows): (usize, &mut [f32])| {
            let first = block * BLOCK;
            let chosen: Vec<usize> = (first..first + rows.len() / width).map(&point).collect();
            rows.copy_from_slice(&self.scale(points, &chosen));
        };
        rows.par_chunks_mut((BLOCK * width).max(1)).enumerate().for_each(fill);
        if points.metric() == Metric::Euclidean && width > 0 {
            let half = |place| (0.5 * self.scale.powi(2) * points.square_from(point(place), &self.centre)) as f32;
            self.halves = (0..points.count()).into_par_iter().with_min_len(BLOCK).map(half).collect();
        }
        self.rows = rows;
        self
    }

    /// The `chosen` rows of `points`, scaled like the database.
    pub(super) fn scale(&self, points: &Points, chosen: &[usize]) -> Vec<f32> {
        let d = points.dimension();
        let mut block = vec![0.0; chosen.len() * d];
        for (&i, row) in chosen.iter().zip(block.chunks_mut(d.max(1))) {
            points.write_scaled(i, &self.centre, self.scale, row);
        }
        if self.directions.is_empty() {
            return block;
        }
        let mut along = vec![0.0; chosen.len() * self.width()];
        score(&block, &self.directions, None, d, &mut along, self.width());
        along
    }

    fn slack(&self) -> f32 {
        slack(self.points.dimension())
    }

    /// Candidates held until `k` of them are measured.
    fn held(&self, k: usize) -> usize {
        if self.directions.is_empty() { k } else { HELD * k }
    }
}

/// More than twice what a score of two rows of `dimension` coordinates, no longer than 1, can be off by: γ_d, plus the rounding
/// of the scaled coordinates, of |y|²/2 and of the sums with it.
pub(crate) fn slack(dimension: usize) -> f32 {
    let rounding = f64::from(f32::EPSILON) / 2.0;
    let terms = (dimension + 16) as f64 * rounding;
    (2.5 * terms / (1.0 - terms).max(0.5)) as f32
}

/// What may still be among the k nearest of one query.
pub(super) struct Best<'q> {
    query: usize,
    queries: &'q Points<'q>,
    database: &'q Points<'q>,
    k: usize,
    /// Best scores among which the k nearest are: k, unless rows are scored in fewer directions than they have.
    held: usize,
    slack: f32,
    /// A lower score cannot be among those any more.
    threshold: f32,
    pending: Vec<(f32, u32)>,
    /// At most k, measured exactly; only used when too many are pending.
    measured: Vec<(f64, u32)>,
}

impl<'q> Best<'q> {
    /// Nothing scored yet for row `query` of `queries`.
    pub(super) fn new(queries: &'q Points<'q>, query: usize, database: &Scaled<'q>, k: usize) -> Self {
        let (held, slack) = (database.held(k), database.slack());
        let (threshold, pending) = (f32::NEG_INFINITY, Vec::new());
        Best { query, queries, database: database.points, k, held, slack, threshold, pending, measured: Vec::new() }
    }

    fn capacity(&self) -> usize {
        2 * self.held + 64
    }

    /// Takes in the scores of the rows `row(0)`, `row(1)`, …
    #[inline(always)]
    pub(super) fn scan(&mut self, scores: &[f32], row: impl Fn(usize) -> u32) {
        const CHUNK: usize = 32;
        for (chunk, scores) in scores.chunks(CHUNK).enumerate() {
            // Without early exit, so that the compiler compares many at a time.
            let mut any = false;
            for &score in scores {
                any |= score >= self.threshold;
            }
            if !any {
                continue;
            }
            let start = chunk * CHUNK;
            let near = scores.iter().enumerate().filter(|(_, score)| **score >= self.threshold);
            self.pending.extend(near.map(|(j, &score)| (score, row(start + j))));
            if self.pending.len() >= self.capacity() {
                self.prune();
            }
        }
    }

    /// Raises the threshold to the worst score to be held less the slack. Where too much lies within the slack, it is measured.
    #[inline(never)]
    fn prune(&mut self) {
        let (_, worst, _) = self.pending.select_nth_unstable_by(self.held - 1, |a, b| b.0.total_cmp(&a.0));
        self.threshold = self.threshold.max(worst.0 - self.slack);
        let threshold = self.threshold;
        self.pending.retain(|(score, _)| *score >= threshold);
        if self.pending.len() > self.capacity() / 2 {
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

/// Scores of `queries` (q × d) against `rows` (w × d), both scaled, into q × w.
pub(super) fn score(queries: &[f32], rows: &[f32], halves: Option<&[f32]>, d: usize, scores: &mut [f32], width: usize) {
    let height = scores.len() / width;
    let queries = MatRef::from_row_major_slice(queries, height, d);
    let rows = MatRef::from_row_major_slice(rows, width, d);
    let product = MatMut::from_row_major_slice_mut(&mut *scores, height, width);
    matmul(product, Accum::Replace, queries, rows.transpose(), 1.0, Par::Seq);
    if let Some(halves) = halves {
        subtract(scores, halves);
    }
}

/// Takes |y|²/2 of each row of the database from the scores, query by query.
pub(super) fn subtract(scores: &mut [f32], halves: &[f32]) {
    for scores in scores.chunks_mut(halves.len()) {
        scores.iter_mut().zip(halves).for_each(|(score, half)| *score -= half);
    }
}
