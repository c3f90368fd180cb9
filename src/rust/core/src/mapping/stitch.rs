//! Stitching: from mutual partners to one graph over the cells of all species. Rescaling by correlation, the K strongest
//! partners, and the within-species neighbours that take the rest of each cell's weight.

use super::cross_knn::{CENTRE, FLOOR};
use super::projection::tanh_scale;
use crate::knn::{Neighbours, dot};
use crate::linalg::integers::{LANES, Line, UNITS, product};
use crate::simd::vectorised;
use crate::sparse::{Graph, graph_from_rows, row};
use ndarray::Array2;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Edges below this are rounding.
const SMALLEST_EDGE: f64 = 1e-9;
/// Weights that agree to this many units per 1 are ties.
const TIE: f64 = 1e9;
/// Steepest rise of [`tanh_scale`] with centre 0.7.
const SLOPE: f32 = 10.0 * (1.0 - CENTRE) as f32;
/// Largest error of [`near_scaled`].
const NEAR: f32 = 3e-6;
/// Squares of weights that differ by more are no ties.
const MARGIN: f64 = 10.0 / TIE;
/// Latent coordinates (one row per cell of all species) with each cell's mean and inverse deviation over the components.
pub struct Coordinates<'a> {
    /// Coordinates row by row, `width` a cell.
    latent: Cow<'a, [f32]>,
    width: usize,
    mean: Vec<f64>,
    /// 1 / √Σ(x − mean)²; 0 for a constant row.
    inverse: Vec<f64>,
    /// (x − mean) · inverse in whole [`UNITS`].
    rounded: Vec<Line>,
    /// Lines a cell.
    lines: usize,
    /// 1 / units².
    square_unit: f32,
}

impl<'a> Coordinates<'a> {
    /// Means, deviations and rounded coordinates of all cells.
    pub fn new(latent: &'a Array2<f32>) -> Self {
        let of_cell = |cell: usize| {
            let x = latent.row(cell);
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len().max(1) as f64;
            let squares: f64 = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
            (mean, if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 })
        };
        let (mean, inverse): (Vec<f64>, Vec<f64>) = (0..latent.nrows()).into_par_iter().map(of_cell).unzip();
        let rows = latent.as_slice().map_or_else(|| latent.iter().copied().collect(), Cow::Borrowed);
        let width = latent.ncols();
        let lines = width.div_ceil(LANES);
        let mut rounded = vec![Line::default(); mean.len() * lines];
        let round = |(cell, lines): (usize, &mut [Line])| {
            let (mean, unit, row) = (mean[cell], inverse[cell] * UNITS, &rows[cell * width..][..width]);
            vectorised(
                #[inline(always)]
                || {
                    for (line, x) in lines.iter_mut().zip(row.chunks(LANES)) {
                        for (out, &x) in line.0.iter_mut().zip(x) {
                            *out = ((f64::from(x) - mean) * unit).round_ties_even() as i16;
                        }
                    }
                },
            );
        };
        rounded.par_chunks_mut(lines.max(1)).enumerate().for_each(round);
        let square_unit = (1.0 / UNITS.powi(2)) as f32;
        Coordinates { latent: rows, width, mean, inverse, rounded, lines, square_unit }
    }

    fn row(&self, cell: usize) -> &[f32] {
        &self.latent[cell * self.width..(cell + 1) * self.width]
    }

    fn rounded(&self, cell: usize) -> &[Line] {
        &self.rounded[cell * self.lines..(cell + 1) * self.lines]
    }

    /// Pearson correlation over the components of two cells; 0 where one is constant.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        dot(self.row(i), self.mean[i], self.row(j), self.mean[j]) * self.inverse[i] * self.inverse[j]
    }

    /// The same from rounded coordinates; off by at most [`Coordinates::error`].
    pub(super) fn near_correlation(&self, i: usize, j: usize) -> f32 {
        product(self.rounded(i), self.rounded(j)) as f32 * self.square_unit
    }

    /// Largest error of [`Coordinates::near_correlation`]: d coordinates, each off by half a unit, put a row of length 1 off by
    /// e = √d / 2 units, and a product of two such rows by 2 e + e²; and the result is a number of single precision.
    fn error(&self) -> f64 {
        let e = 0.5 * (self.width as f64).sqrt() / UNITS;
        2.0 * e + e * e + f64::from(f32::EPSILON)
    }

    /// The partners of a cell that are strongest by M' = √(M ∘ t(c / best)): c their correlation with it, at least 10⁻³, best
    /// the largest of the row, t = [`tanh_scale`] (centre 0.7); M' scaled so that the row's maximum stays. `k` are kept of each
    /// of the `parts` of the row, which names places as in [`Coordinates::correlations`]; the result names cells. Approximate correlations (`near`) rule out most partners, and the others are computed in
    /// full: the result is that of exact ones.
    pub fn strongest(
        &self,
        cell: u32,
        partners: &[(u32, f64)],
        cell_at: &[u32],
        parts: &[Range<usize>],
        near: &[f32],
        k: usize,
    ) -> Vec<(u32, f64)> {
        let (cell, partner) = (cell as usize, |at: usize| cell_at[partners[at].0 as usize]);
        let exact = |at: usize| self.correlation(cell, partner(at) as usize).max(FLOOR);
        let error = self.error();
        let nearest = f64::from(near.iter().copied().fold(f32::MIN, f32::max));
        let may_be_best = (0..near.len()).filter(|&at| f64::from(near[at]) >= nearest - 2.0 * error);
        let best = may_be_best.map(exact).fold(FLOOR, f64::max);
        let square = |at: usize, c: f64| partners[at].1 * tanh_scale(c / best, CENTRE);
        let off = (error / best) as f32;
        let between = |(&t, &(_, m)): (&f32, &(u32, f64))| {
            let off = steepest(t, off) * off + NEAR;
            (m * f64::from(t - off), m * f64::from(t + off))
        };
        let bounds: Vec<(f64, f64)> = near_scaled(near, best).iter().zip(partners).map(between).collect();
        let may_be_kept = |part: &Range<usize>| {
            let mut lower: Vec<f64> = bounds[part.clone()].iter().map(|&(lower, _)| lower).collect();
            let least = match k {
                0 => f64::INFINITY,
                k if k < lower.len() => *lower.select_nth_unstable_by(k - 1, |x, y| y.total_cmp(x)).1 - MARGIN,
                _ => f64::NEG_INFINITY,
            };
            let kept = part.clone().filter(|&at| bounds[at].1 >= least);
            kept.map(|at| (partner(at), square(at, exact(at)).sqrt())).collect::<Vec<_>>()
        };
        let mut kept: Vec<Vec<(u32, f64)>> = parts.iter().map(may_be_kept).collect();
        let new = kept.iter().map(|part| largest(part)).fold(0.0, f64::max);
        let factor = if new > 0.0 { largest(partners) / new } else { 1.0 };
        kept.iter_mut().flatten().for_each(|(_, weight)| *weight *= factor);
        kept.into_iter().flat_map(|part| top_k(part, k)).collect()
    }
}

/// [`near_tanh_scale`] of each correlation, at least 10⁻³, over the best one.
fn near_scaled(correlations: &[f32], best: f64) -> Vec<f32> {
    let (floor, inverse) = (FLOOR as f32, (1.0 / best) as f32);
    let mut scaled = correlations.to_vec();
    vectorised(
        #[inline(always)]
        || {
            for x in &mut scaled {
                *x = near_tanh_scale(x.max(floor) * inverse);
            }
        },
    );
    scaled
}

/// [`tanh_scale`] with centre 0.7, for 0 ≤ x ≤ 2, by tanh y = 1 − 2 / (1 + exp 2y). Nothing of it branches, so
/// that a loop does many at once.
#[inline(always)]
fn near_tanh_scale(x: f32) -> f32 {
    // Added to a number, it leaves the nearest integer in the lowest bits.
    const INTEGER: f32 = 1.5 * (1 << 23) as f32;
    // Taylor series of 2^f for |f| ≤ 1/2: powers of ln 2 over factorials.
    const SERIES: [f32; 6] =
        [1.540_353e-4, 1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2];
    let centre = CENTRE as f32;
    let power = (20.0 * std::f32::consts::LOG2_E) * (x.clamp(0.0, 2.0) - centre);
    let shifted = power + INTEGER;
    let f = power - (shifted - INTEGER);
    let exponent = shifted.to_bits().wrapping_sub(INTEGER.to_bits()).wrapping_add(127) << 23;
    let mut series = 0.0;
    for coefficient in SERIES {
        series = (series + coefficient) * f;
    }
    let exp = (1.0 + series) * f32::from_bits(exponent);
    centre + (1.0 - centre) * (1.0 - 2.0 / (1.0 + exp))
}

/// Bound of the slope of [`tanh_scale`] (centre 0.7) within `distance` of where its value is `t`. The slope 3 (1 − tanh²)
/// changes by a factor of at most exp(20 · distance), which is less than 1 / (1 − 20 · distance). `t` is off by at most
/// [`NEAR`], and tanh² by 2 / 0.3 times that.
fn steepest(t: f32, distance: f32) -> f32 {
    let tanh = (t - CENTRE as f32) / (1.0 - CENTRE as f32);
    let change = 1.0 - 20.0 * distance;
    if change > 0.0 { (SLOPE * (1.0 - tanh * tanh + NEAR / 0.1) / change).min(SLOPE) } else { SLOPE }
}

fn largest(row: &[(u32, f64)]) -> f64 {
    row.iter().map(|&(_, weight)| weight).fold(0.0, f64::max)
}

/// The `k` entries of largest weight, by ascending column; weights that agree to 10⁻⁹ are ties, which go to the lowest column.
pub fn top_k(mut row: Vec<(u32, f64)>, k: usize) -> Vec<(u32, f64)> {
    let key = |entry: &(u32, f64)| (entry.1 * TIE).round_ties_even();
    let order = |x: &(u32, f64), y: &(u32, f64)| key(y).total_cmp(&key(x)).then(x.0.cmp(&y.0));
    if k > 0 && k < row.len() {
        row.select_nth_unstable_by(k - 1, order);
    }
    row.truncate(k);
    row.sort_unstable_by_key(|&(j, _)| j);
    row
}

/// The stitched graph A = x_i · 1[j is a neighbour of i within its species] + M_ij with x_i = 1 − Σ_j M_ij / `denominator`;
/// no diagonal, no weights below 10⁻⁹. `mutual`: M, cells × cells of all species; `neighbours` per species.
pub fn stitch(mutual: &Graph, neighbours: &[&Neighbours], cell_offsets: &[usize], denominator: f64) -> Graph {
    let of_cell = |(species, i): (usize, usize)| {
        let cell = cell_offsets[species] + i;
        let (partners, weights) = row(mutual, cell);
        let within = 1.0 - weights.iter().sum::<f64>() / denominator;
        let own = neighbours[species].indices_of(i).iter().map(|&j| (j + cell_offsets[species] as u32, within));
        let cross = partners.iter().copied().zip(weights.iter().copied());
        let kept = |&(j, weight): &(u32, f64)| j as usize != cell && weight.abs() >= SMALLEST_EDGE;
        let mut edges: Vec<(u32, f64)> = own.chain(cross).filter(kept).collect();
        edges.sort_unstable_by_key(|&(j, _)| j);
        edges
    };
    let cells: Vec<(usize, usize)> =
        (0..neighbours.len()).flat_map(|s| (0..neighbours[s].cells()).map(move |i| (s, i))).collect();
    graph_from_rows(mutual.cols(), cells.into_par_iter().map(of_cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn ties_go_to_the_lowest_column() {
        let row = vec![(9, 0.5), (3, 0.5), (8, 0.5 + 1e-12), (5, 0.7)];
        assert_eq!(top_k(row.clone(), 2), [(3, 0.5), (5, 0.7)]);
        assert_eq!(top_k(row.clone(), 9), [(3, 0.5), (5, 0.7), (8, 0.5 + 1e-12), (9, 0.5)]);
        assert_eq!(top_k(row, 0), []);
    }

    #[test]
    fn correlation_is_pearson_and_constant_cells_have_none() {
        let rows =
            [[1.0, 2.0, 4.0, 0.5, 3.0, 1.5, 2.5, 0.0, 9.0], [2.0, 1.0, 5.0, 0.0, 2.0, 1.0, 3.0, 1.0, 7.0], [3.0; 9]];
        let latent = Array2::from_shape_fn((3, 9), |(i, j)| rows[i][j] as f32);
        let coordinates = Coordinates::new(&latent);
        let mean = |x: &[f64; 9]| x.iter().sum::<f64>() / 9.0;
        let covariance = |x: &[f64; 9], y: &[f64; 9]| (0..9).map(|i| (x[i] - mean(x)) * (y[i] - mean(y))).sum::<f64>();
        let (x, y) = (&rows[0], &rows[1]);
        let expected = covariance(x, y) / (covariance(x, x) * covariance(y, y)).sqrt();
        let by_column = latent.t().as_standard_layout().into_owned().reversed_axes();
        assert_eq!(Coordinates::new(&by_column).correlation(0, 1), coordinates.correlation(0, 1));
        assert!((f64::from(coordinates.near_correlation(0, 1)) - expected).abs() <= coordinates.error());
        assert_eq!(coordinates.near_correlation(0, 2), 0.0);
    }

    #[test]
    fn rounded_coordinates_are_within_their_error() {
        let mut rng = Rng::keyed(4, 5, 6);
        // Far from 0, in one direction alone, and opposite to each other.
        let latent = Array2::from_shape_fn((40, 601), |(i, d)| match i % 4 {
            0 => rng.normal() as f32,
            1 => 1e4 + rng.normal() as f32,
            2 => f32::from(d == i),
            _ => (if i % 8 == 3 { -1.0 } else { 1.0 }) * (d as f32).sin(),
        });
        let coordinates = Coordinates::new(&latent);
        for (i, j) in (0..40).flat_map(|i| (0..40).map(move |j| (i, j))) {
            let (near, exact) = (f64::from(coordinates.near_correlation(i, j)), coordinates.correlation(i, j));
            assert!((near - exact).abs() <= coordinates.error(), "{i} {j}: {near} and {exact}");
        }
    }

    /// M' of the whole row, as its formula says.
    fn rescaled(partners: &[(u32, f64)], correlations: &[f64]) -> Vec<(u32, f64)> {
        let best = correlations.iter().copied().fold(FLOOR, f64::max);
        let scaled = partners.iter().zip(correlations);
        let mut row: Vec<(u32, f64)> =
            scaled.map(|(&(j, m), c)| (j, (m * tanh_scale(c.max(FLOOR) / best, CENTRE)).sqrt())).collect();
        let factor = largest(partners) / largest(&row);
        row.iter_mut().for_each(|(_, weight)| *weight *= factor);
        row
    }

    #[test]
    fn approximate_scaling_is_near() {
        for best in [0.3, 0.71, 0.999] {
            let correlations: Vec<f32> = (1..=1000).map(|step| (step as f64 * 0.001 * best) as f32).collect();
            for (near, &c) in near_scaled(&correlations, best).into_iter().zip(&correlations) {
                let exact = tanh_scale(f64::from(c).max(FLOOR) / best, CENTRE);
                assert!((f64::from(near) - exact).abs() < f64::from(NEAR), "{c}");
            }
        }
        for step in 0..=4000 {
            let x = step as f32 / 2000.0;
            let (near, exact) = (f64::from(near_tanh_scale(x)), tanh_scale(f64::from(x), CENTRE));
            assert!((near - exact).abs() < f64::from(NEAR), "{x}: {near} and {exact}");
            for distance in [1e-5, 1e-3, 0.02, 0.5] {
                let rise = tanh_scale(f64::from(x + distance), CENTRE) - exact;
                assert!(rise <= f64::from(steepest(near as f32, distance)) * f64::from(distance) + 1e-6, "{x}");
            }
        }
    }

    #[test]
    fn approximate_correlations_change_nothing() {
        let mut rng = Rng::keyed(1, 2, 3);
        // Cells in few directions: many partners are nearly as good as each other, and some are equal.
        let ways = Array2::from_shape_fn((4, 40), |_| rng.normal());
        let latent = Array2::from_shape_fn((300, 40), |(i, d)| {
            let noise = if i % 3 == 0 { 0.0 } else { 1e-6 * (i as f64) * (d as f64).sin() };
            (ways[[i % 4, d]] + noise) as f32
        });
        let coordinates = Coordinates::new(&latent);
        let cell_at: Vec<u32> = (0..20).chain((20..300).rev()).collect();
        for cell in 0..20 {
            let mut partners: Vec<(u32, f64)> = (20..300).map(|j| (j, 0.1 + 0.9 * rng.uniform())).collect();
            // Some rows whose weights are all alike: correlation alone decides.
            if cell % 2 == 0 {
                partners.iter_mut().for_each(|(_, weight)| *weight = 0.5);
            }
            let places = || partners.iter().map(|&(place, _)| cell_at[place as usize] as usize);
            let near: Vec<f32> = places().map(|j| coordinates.near_correlation(cell as usize, j)).collect();
            let exact: Vec<f64> = places().map(|j| coordinates.correlation(cell as usize, j)).collect();
            let mut row = rescaled(&partners, &exact);
            row.iter_mut().for_each(|(partner, _)| *partner = cell_at[*partner as usize]);
            let whole = vec![280];
            for (k, ends) in [(0, &whole), (20, &whole), (400, &whole), (7, &vec![100, 100, 280])] {
                let parts: Vec<Range<usize>> =
                    std::iter::once(0).chain(ends.iter().copied()).zip(ends).map(|(start, &end)| start..end).collect();
                let want: Vec<(u32, f64)> =
                    parts.iter().flat_map(|part| top_k(row[part.clone()].to_vec(), k)).collect();
                let found = coordinates.strongest(cell, &partners, &cell_at, &parts, &near, k);
                assert_eq!(found, want, "{cell} {k}");
            }
        }
    }
}
