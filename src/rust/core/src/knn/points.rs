//! Points as the searches use them: rows of `f32` coordinates, checked once, with what their metric needs to know of each.
//! In: an n × d view. Out: distances in `f64` between any two rows, and rows scaled so that an `f32` dot product ranks them.

use super::Metric;
use crate::rng::Rng;
use crate::{Error, Result};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows per parallel block.
const BLOCK: usize = 256;

/// n × d finite coordinates.
pub(super) struct Points<'a> {
    rows: Cow<'a, [f32]>,
    count: usize,
    dimension: usize,
    metric: Metric,
    /// What is subtracted from each coordinate of a row: its mean under correlation, else 0.
    means: Vec<f64>,
    /// Sum of squares of each row after that subtraction.
    squares: Vec<f64>,
}

impl<'a> Points<'a> {
    /// # Errors
    /// [`Error::Argument`] naming `argument` when a coordinate is not finite.
    pub(super) fn new(argument: &str, rows: ArrayView2<'a, f32>, metric: Metric) -> Result<Self> {
        let (count, dimension) = rows.dim();
        let rows = rows.to_slice().map_or_else(|| Cow::Owned(rows.iter().copied().collect()), Cow::Borrowed);
        let mut points = Points { rows, count, dimension, metric, means: Vec::new(), squares: Vec::new() };
        points.means = points.map_rows(|row| match metric {
            Metric::Correlation if dimension > 0 => row.iter().map(|&x| f64::from(x)).sum::<f64>() / dimension as f64,
            _ => 0.0,
        });
        let square = |i: usize| dot(points.row(i), points.means[i], points.row(i), points.means[i]);
        points.squares = (0..count).into_par_iter().with_min_len(BLOCK).map(square).collect();
        match points.squares.iter().position(|square| !square.is_finite()) {
            None => Ok(points),
            Some(i) => Err(Error::argument(
                argument,
                format!("row {} holds a coordinate that is missing or infinite", i + 1),
                "Pass finite coordinates.",
            )),
        }
    }

    fn map_rows(&self, f: impl Fn(&[f32]) -> f64 + Sync) -> Vec<f64> {
        (0..self.count()).into_par_iter().with_min_len(BLOCK).map(|i| f(self.row(i))).collect()
    }

    /// Number of rows.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Number of coordinates.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The metric these points are prepared for.
    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    /// Coordinates of row `i` as they were given.
    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dimension..(i + 1) * self.dimension]
    }

    /// At most `size` of the rows, drawn and ordered by random numbers keyed by `stream` and the row.
    pub(super) fn sample(&self, size: usize, (seed, stream): (u64, u64)) -> Vec<usize> {
        let key = |i| (Rng::keyed(seed, stream, i as u64).next_u64(), i);
        let mut rows: Vec<(u64, usize)> = (0..self.count).map(key).collect();
        rows.sort_unstable();
        rows.truncate(size);
        rows.into_iter().map(|(_, i)| i).collect()
    }

    /// Distance between row `i` and row `j` of `other`, in `f64` from the `f32` coordinates. Equal rows are exactly 0 apart
    /// (unless they are zero vectors under an angle), because √(s·s) = s.
    #[inline(always)]
    pub(super) fn distance(&self, i: usize, other: &Points, j: usize) -> f64 {
        let (x, y) = (self.row(i), other.row(j));
        if self.metric == Metric::Euclidean {
            return square_distance(x, y).sqrt();
        }
        let norms = (self.squares[i] * other.squares[j]).sqrt();
        if norms > 0.0 { (1.0 - dot(x, self.means[i], y, other.means[j]) / norms).clamp(0.0, 2.0) } else { 1.0 }
    }

    /// Distance of row `i` from `centre`, squared.
    pub(super) fn square_from(&self, i: usize, centre: &[f64]) -> f64 {
        self.row(i).iter().zip(centre).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum()
    }

    /// Square of row `i` as [`Points::write_scaled`] scales it. A zero vector counts as a unit vector of a direction of its own, whose
    /// similarity with everything is 0.
    pub(super) fn scaled_square(&self, i: usize, centre: &[f64], scale: f64) -> f64 {
        if self.metric == Metric::Euclidean { scale.powi(2) * self.square_from(i, centre) } else { 1.0 }
    }

    /// Whether an angle with row `i` is meant, and there is none.
    pub(super) fn is_without_angle(&self, i: usize) -> bool {
        self.metric != Metric::Euclidean && self.squares[i] == 0.0
    }

    /// The largest of these over all rows.
    pub(super) fn largest_square(&self, centre: &[f64]) -> f64 {
        let of = |i| self.square_from(i, centre);
        (0..self.count).into_par_iter().with_min_len(BLOCK).map(of).reduce(|| 0.0, f64::max)
    }

    /// Mean of every coordinate over the rows.
    pub(super) fn centre(&self) -> Vec<f64> {
        let mut centre = vec![0.0; self.dimension()];
        for i in 0..self.count() {
            for (sum, &x) in centre.iter_mut().zip(self.row(i)) {
                *sum += f64::from(x);
            }
        }
        centre.iter_mut().for_each(|sum| *sum /= self.count().max(1) as f64);
        centre
    }

    /// Writes row `i` as a unit vector (zero vectors stay zero), or under Euclid as (row − `centre`) · `scale`.
    #[inline(always)]
    pub(super) fn write_scaled(&self, i: usize, centre: &[f64], scale: f64, out: &mut [f32]) {
        let row = self.row(i);
        if self.metric == Metric::Euclidean {
            for ((out, &x), c) in out.iter_mut().zip(row).zip(centre) {
                *out = ((f64::from(x) - c) * scale) as f32;
            }
            return;
        }
        let (mean, norm) = (self.means[i], self.squares[i].sqrt());
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        for (out, &x) in out.iter_mut().zip(row) {
            *out = ((f64::from(x) - mean) * scale) as f32;
        }
    }
}

/// Σ (x − a)(y − b) in `f64`, in eight lanes whose order is fixed.
#[inline(always)]
pub(crate) fn dot(x: &[f32], a: f64, y: &[f32], b: f64) -> f64 {
    if a == 0.0 && b == 0.0 {
        return lanes(x, y, |x, y| f64::from(x) * f64::from(y));
    }
    lanes(x, y, |x, y| (f64::from(x) - a) * (f64::from(y) - b))
}

/// Σ (x − y)² in `f64`, in eight lanes whose order is fixed.
#[inline(always)]
fn square_distance(x: &[f32], y: &[f32]) -> f64 {
    lanes(x, y, |x, y| {
        let difference = f64::from(x) - f64::from(y);
        difference * difference
    })
}

#[inline(always)]
fn lanes(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let ((x_chunks, x_tail), (y_chunks, y_tail)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..8 {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    sums.iter().sum::<f64>() + x_tail.iter().zip(y_tail).map(|(&x, &y)| term(x, y)).sum::<f64>()
}
