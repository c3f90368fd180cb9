//! Harmony (Korsunsky et al. 2019): coordinates of cells without the differences between batches. In: coordinates Z
//! (cells × d) and a batch per cell. Out: corrected coordinates, cells × d.
//!
//! Two steps in turn. Clustering: cells z on the unit sphere belong to centroids y_k with the share
//! R_ik ∝ exp(−2 (1 − y_k·z_i) / σ) · ((E_bk + 1) / (O_bk + 1))^θ, b the batch of i, O_bk the sum of R_ik over the cells of b,
//! E_bk what it would be if every cluster held the batches as all cells do; so clusters rich in a batch take fewer of its
//! cells. Correction: in every cluster ridge regression of Z on the batch, with λ; z_i − Σ_k R_ik w_bk, and what the
//! intercept explains stays.

use crate::linalg::gemm;
use crate::rng::Rng;
use crate::{Context, Error, Result};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;

/// Options of [`harmony`]; the defaults are those of the R package harmony and of harmonypy 2.
#[derive(Debug, Clone, PartialEq)]
pub struct HarmonyOptions {
    /// θ, the weight of batch diversity; 0 asks for none.
    pub theta: f64,
    /// λ, the ridge penalty of a batch's difference; above 0.
    pub lambda: f64,
    /// σ, the width of the soft clusters; above 0.
    pub sigma: f64,
    /// Clusters; `None`: a thirtieth of the cells, at most 100.
    pub n_clusters: Option<usize>,
    /// Share of the cells whose memberships are updated at a time; above 0, at most 1.
    pub block_size: f64,
    /// Most turns of clustering and correction.
    pub max_iter: usize,
    /// Most rounds of one clustering.
    pub max_iter_clusters: usize,
    /// Relative change of the objective, averaged over three rounds, at which a clustering stops.
    pub epsilon_clusters: f64,
    /// Relative decrease of the objective below which no further turn is made.
    pub epsilon: f64,
}

impl Default for HarmonyOptions {
    fn default() -> Self {
        HarmonyOptions {
            theta: 2.0,
            lambda: 1.0,
            sigma: 0.1,
            n_clusters: None,
            block_size: 0.05,
            max_iter: 10,
            max_iter_clusters: 20,
            epsilon_clusters: 1e-5,
            epsilon: 1e-4,
        }
    }
}

/// The batch of each cell, and how it is corrected for.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Batch of each cell, numbered from 0.
    pub of: Vec<u32>,
    /// Options of the correction.
    pub options: HarmonyOptions,
}

/// Rounds over which the objective of a clustering is averaged.
const WINDOW: usize = 3;

/// Cells of one task.
const CELLS: usize = 256;

/// The first centroids: starts of k-means, most steps of each, and most cells they are found from.
const STARTS: u64 = 10;
const LLOYD: usize = 25;
const SAMPLE: usize = 10_000;

/// Step of the random streams: the order of the updates, and the first centroids.
const ORDER: u64 = 0x6861_726d;
const CENTROIDS: u64 = 0x6861_726e;

/// `z` (cells × d) corrected for the batches. The first centroids come from k-means, seeded.
///
/// # Errors
/// [`Error::Argument`] for an option out of its range; [`Error::Shape`] when there is not one batch per cell;
/// [`Error::Cancelled`].
pub fn harmony(z: ArrayView2<f64>, batch: &Batch, seed: u64, ctx: &Context) -> Result<Array2<f64>> {
    let thirtieth = (z.nrows() as f64 / 30.0).round_ties_even() as usize;
    let clusters = batch.options.n_clusters.unwrap_or(thirtieth.min(100)).clamp(1, z.nrows().max(1));
    check(&batch.options)?;
    if z.is_empty() {
        return Ok(z.to_owned());
    }
    let centroids = first_centroids(&unit_rows(z.to_owned()), clusters, seed, ctx)?;
    harmony_from(z, batch, centroids, seed, ctx)
}

/// The same from given centroids (clusters × d).
///
/// # Errors
/// As [`harmony`].
pub fn harmony_from(
    z: ArrayView2<f64>,
    batch: &Batch,
    centroids: Array2<f64>,
    seed: u64,
    ctx: &Context,
) -> Result<Array2<f64>> {
    check(&batch.options)?;
    if batch.of.len() != z.nrows() || centroids.ncols() != z.ncols() {
        let expected = format!("a batch for each of {} cells and {} coordinates per centroid", z.nrows(), z.ncols());
        let found = format!("{} batches and {} coordinates", batch.of.len(), centroids.ncols());
        return Err(Error::shape("Harmony", expected, found));
    }
    // Cells of a batch side by side: every sum over a batch is one over a range.
    let mut order: Vec<usize> = (0..z.nrows()).collect();
    order.sort_by_key(|&i| batch.of[i]);
    let corrected = State::new(z.select(Axis(0), &order), batch, &order, centroids, seed, ctx)?.run()?;
    let mut out = Array2::zeros(z.dim());
    order.iter().zip(corrected.outer_iter()).for_each(|(&i, row)| out.row_mut(i).assign(&row));
    Ok(out)
}

fn check(options: &HarmonyOptions) -> Result<()> {
    let o = options;
    let ranges = [
        ("theta", o.theta, o.theta >= 0.0, "of at least 0"),
        ("lambda", o.lambda, o.lambda > 0.0, "above 0"),
        ("sigma", o.sigma, o.sigma > 0.0, "above 0"),
        ("block_size", o.block_size, o.block_size > 0.0 && o.block_size <= 1.0, "above 0 and at most 1"),
        ("max_iter", o.max_iter as f64, o.max_iter > 0, "of at least 1"),
        ("max_iter_clusters", o.max_iter_clusters as f64, o.max_iter_clusters > 0, "of at least 1"),
        ("n_clusters", o.n_clusters.unwrap_or(1) as f64, o.n_clusters != Some(0), "of at least 1"),
    ];
    match ranges.iter().find(|(_, value, good, _)| !good || !value.is_finite()) {
        Some((name, value, _, range)) => {
            let remedy = format!("Give a finite number {range}.");
            Err(Error::argument("harmony", format!("{name} is {value}"), remedy))
        }
        None => Ok(()),
    }
}

/// What both steps work on. Cells are sorted by batch.
struct State<'a> {
    options: &'a HarmonyOptions,
    ctx: &'a Context,
    seed: u64,
    /// Rounds of clustering made so far.
    rounds: u64,
    /// Batch of each cell, the cells of each batch, and their share of all cells.
    batch: Vec<usize>,
    ranges: Vec<Range<usize>>,
    shares: Vec<f64>,
    /// The coordinates as they came, cells × d.
    z: Array2<f64>,
    /// Corrected coordinates on the unit sphere, cells × d.
    unit: Array2<f64>,
    /// R, cells × clusters.
    members: Array2<f64>,
    /// Y, clusters × d, on the unit sphere.
    centroids: Array2<f64>,
    /// O, batches × clusters.
    counts: Array2<f64>,
}

/// New memberships of some cells, what they add to O, and to the objective: Σ_k R_ik (2 (1 − y_k·z_i) + σ ln R_ik).
struct Assigned {
    members: Array2<f64>,
    counts: Array2<f64>,
    objective: f64,
}

impl<'a> State<'a> {
    fn new(
        z: Array2<f64>,
        batch: &'a Batch,
        order: &[usize],
        centroids: Array2<f64>,
        seed: u64,
        ctx: &'a Context,
    ) -> Result<Self> {
        // Batches without cells have no part in it: what counts is where the number changes.
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (at, &cell) in order.iter().enumerate() {
            match ranges.last_mut() {
                Some(last) if batch.of[order[last.start]] == batch.of[cell] => last.end = at + 1,
                _ => ranges.push(at..at + 1),
            }
        }
        let (n, clusters) = (z.nrows(), centroids.nrows());
        Ok(State {
            options: &batch.options,
            ctx,
            seed,
            rounds: 0,
            batch: ranges.iter().enumerate().flat_map(|(b, range)| range.clone().map(move |_| b)).collect(),
            shares: ranges.iter().map(|range| range.len() as f64 / n as f64).collect(),
            counts: Array2::zeros((ranges.len(), clusters)),
            ranges,
            unit: unit_rows(z.clone()),
            z,
            members: Array2::zeros((n, clusters)),
            centroids: unit_rows(centroids),
        })
    }

    /// Both steps in turn until the objective no longer falls.
    fn run(mut self) -> Result<Array2<f64>> {
        let all: Vec<usize> = (0..self.z.nrows()).collect();
        let own = self.update(&all, &Array2::ones(self.counts.dim()))?;
        let mut objectives = vec![own + self.diversity()];
        let mut before = objectives[0];
        let mut corrected = self.z.clone();
        for _ in 0..self.options.max_iter {
            self.cluster(&mut objectives)?;
            corrected = self.correct()?;
            self.unit = unit_rows(corrected.clone());
            let now = objectives[objectives.len() - 1];
            if (before - now) / before.abs() < self.options.epsilon {
                break;
            }
            before = now;
        }
        Ok(corrected)
    }

    /// Rounds of centroids and memberships, until the objective settles.
    fn cluster(&mut self, objectives: &mut Vec<f64>) -> Result<()> {
        for round in 0..self.options.max_iter_clusters {
            self.centroids = unit_rows(gemm::product(self.members.t(), self.unit.view())?);
            let own = self.update_all()?;
            objectives.push(own + self.diversity());
            if round > WINDOW && self.settled(objectives) {
                break;
            }
        }
        Ok(())
    }

    fn settled(&self, objectives: &[f64]) -> bool {
        let end = objectives.len();
        let sum = |range: Range<usize>| objectives[range].iter().sum::<f64>();
        let (old, new) = (sum(end - 1 - WINDOW..end - 1), sum(end - WINDOW..end));
        (old - new).abs() / old.abs() < self.options.epsilon_clusters
    }

    /// New memberships of all cells, block after block in a random order. Returns their part of the objective.
    fn update_all(&mut self) -> Result<f64> {
        let n = self.z.nrows();
        let mut order: Vec<usize> = (0..n).collect();
        let mut rng = Rng::keyed(self.seed, ORDER, self.rounds);
        (1..n).rev().for_each(|i| order.swap(i, rng.below(i + 1)));
        self.rounds += 1;
        let blocks = (1.0 / self.options.block_size).ceil() as usize;
        let (size, longer) = (n / blocks, n % blocks);
        let mut rest = &order[..];
        let mut objective = 0.0;
        for block in 0..blocks.min(n) {
            let (cells, after) = rest.split_at(size + usize::from(block < longer));
            rest = after;
            self.remove(cells);
            let penalty = self.penalty();
            objective += self.update(cells, &penalty)?;
        }
        Ok(objective)
    }

    /// Takes the cells out of O.
    fn remove(&mut self, cells: &[usize]) {
        let of_chunk = |chunk: &[usize]| {
            let mut sums = Array2::zeros(self.counts.dim());
            chunk.iter().for_each(|&i| add(&mut sums, self.batch[i], &self.members, i));
            sums
        };
        let sums: Vec<Array2<f64>> = cells.par_chunks(CELLS).map(of_chunk).collect();
        sums.iter().for_each(|sum| self.counts -= sum);
    }

    /// ((E + 1) / (O + 1))^θ, batches × clusters.
    fn penalty(&self) -> Array2<f64> {
        let mut ratio = self.over_representation();
        ratio.mapv_inplace(|x| x.powf(-self.options.theta));
        ratio
    }

    /// (O + 1) / (E + 1), batches × clusters.
    fn over_representation(&self) -> Array2<f64> {
        let totals = self.counts.sum_axis(Axis(0));
        Array2::from_shape_fn(self.counts.dim(), |(b, k)| {
            (self.counts[[b, k]] + 1.0) / (self.shares[b] * totals[k] + 1.0)
        })
    }

    /// Gives some cells new memberships, and adds them to O. Returns their part of the objective.
    fn update(&mut self, cells: &[usize], penalty: &Array2<f64>) -> Result<f64> {
        let chunks: Vec<Assigned> =
            cells.par_chunks(CELLS).map(|chunk| self.assign(chunk, penalty)).collect::<Result<_>>()?;
        let mut objective = 0.0;
        for (chunk, assigned) in cells.chunks(CELLS).zip(&chunks) {
            for (&i, row) in chunk.iter().zip(assigned.members.outer_iter()) {
                self.members.row_mut(i).assign(&row);
            }
            self.counts += &assigned.counts;
            objective += assigned.objective;
        }
        Ok(objective)
    }

    fn assign(&self, cells: &[usize], penalty: &Array2<f64>) -> Result<Assigned> {
        self.ctx.check()?;
        let sigma = self.options.sigma;
        let mut members = gemm::product(self.unit.select(Axis(0), cells).view(), self.centroids.t())?;
        let mut counts = Array2::zeros(self.counts.dim());
        let mut objective = 0.0;
        for (row, &i) in cells.iter().enumerate() {
            let mut shares = members.row_mut(row);
            let nearest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let similarity = shares.to_vec();
            let weights = penalty.row(self.batch[i]);
            shares.iter_mut().zip(weights).for_each(|(x, weight)| *x = (2.0 * (*x - nearest) / sigma).exp() * weight);
            let total = shares.sum();
            for (share, cosine) in shares.iter_mut().zip(similarity) {
                *share /= total;
                let entropy = if *share > 0.0 { *share * share.ln() } else { 0.0 };
                objective += *share * 2.0 * (1.0 - cosine) + sigma * entropy;
            }
            add(&mut counts, self.batch[i], &members, row);
        }
        Ok(Assigned { members, counts, objective })
    }

    /// σ θ Σ O ln((O + 1) / (E + 1)), what the objective adds for clusters rich in a batch.
    fn diversity(&self) -> f64 {
        let ratio = self.over_representation();
        let sum: f64 = self.counts.iter().zip(&ratio).map(|(count, ratio)| count * ratio.ln()).sum();
        self.options.sigma * self.options.theta * sum
    }

    /// z_i − Σ_k R_ik w_bk. With S_bk = Σ R_ik z_i over the cells of b and c_bk = 1 / (O_bk + λ), the ridge regression of
    /// cluster k has the intercept w_k = Σ_b c S / Σ_b c O and the differences w_bk = c_bk (S_bk − O_bk w_k).
    fn correct(&mut self) -> Result<Array2<f64>> {
        self.ctx.check()?;
        let mut sums = Vec::with_capacity(self.ranges.len());
        for (b, range) in self.ranges.iter().enumerate() {
            let members = self.members.slice(s![range.clone(), ..]);
            self.counts.row_mut(b).assign(&members.sum_axis(Axis(0)));
            sums.push(gemm::product(members.reversed_axes(), self.z.slice(s![range.clone(), ..]))?);
        }
        let shrink = self.counts.mapv(|count| 1.0 / (count + self.options.lambda));
        let mut intercept = Array2::<f64>::zeros(self.centroids.dim());
        for (k, mut row) in intercept.outer_iter_mut().enumerate() {
            let weight: f64 = (0..sums.len()).map(|b| shrink[[b, k]] * self.counts[[b, k]]).sum();
            if weight > 0.0 {
                sums.iter().enumerate().for_each(|(b, sum)| row.scaled_add(shrink[[b, k]] / weight, &sum.row(k)));
            }
        }
        let mut corrected = self.z.clone();
        for (b, (range, mut sum)) in self.ranges.iter().zip(sums).enumerate() {
            for (k, mut row) in sum.outer_iter_mut().enumerate() {
                row.scaled_add(-self.counts[[b, k]], &intercept.row(k));
                row.mapv_inplace(|x| x * shrink[[b, k]]);
            }
            let explained = gemm::product(self.members.slice(s![range.clone(), ..]), sum.view())?;
            let mut rows = corrected.slice_mut(s![range.clone(), ..]);
            rows -= &explained;
        }
        Ok(corrected)
    }
}

/// Adds row `i` of `members` to row `batch` of `sums`.
fn add(sums: &mut Array2<f64>, batch: usize, members: &Array2<f64>, i: usize) {
    let mut sum = sums.row_mut(batch);
    sum += &members.row(i);
}

/// Every row to length 1; rows of zeros stay.
fn unit_rows(mut a: Array2<f64>) -> Array2<f64> {
    for mut row in a.outer_iter_mut() {
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length > 0.0 {
            row.mapv_inplace(|x| x / length);
        }
    }
    a
}

/// k-means on the unit sphere: the best of some starts, each seeded by k-means++ (Arthur & Vassilvitskii 2007) and refined
/// by Lloyd's steps, on a sample of the cells where there are many.
fn first_centroids(unit: &Array2<f64>, clusters: usize, seed: u64, ctx: &Context) -> Result<Array2<f64>> {
    let mut order: Vec<usize> = (0..unit.nrows()).collect();
    if order.len() > SAMPLE {
        let mut rng = Rng::keyed(seed, CENTROIDS, 0);
        (0..SAMPLE).for_each(|i| order.swap(i, i + rng.below(unit.nrows() - i)));
        order.truncate(SAMPLE);
        order.sort_unstable();
    }
    let cells = unit.select(Axis(0), &order);
    let mut best = (f64::NEG_INFINITY, Array2::zeros((clusters, unit.ncols())));
    for start in 1..=STARTS {
        let found = k_means(&cells, clusters, &mut Rng::keyed(seed, CENTROIDS, start), ctx)?;
        if found.0 > best.0 {
            best = found;
        }
    }
    Ok(best.1)
}

/// One start: the summed cosine of the cells with their centroids before the last step, and the centroids. A cluster that
/// loses all of its cells keeps its centroid.
fn k_means(cells: &Array2<f64>, clusters: usize, rng: &mut Rng, ctx: &Context) -> Result<(f64, Array2<f64>)> {
    let mut centroids = plus_plus(cells, clusters, rng, ctx)?;
    let (mut labels, mut total) = (Vec::new(), 0.0);
    for _ in 0..LLOYD {
        let nearest = nearest_centroids(cells, &centroids, ctx)?;
        total = nearest.iter().map(|(_, cosine)| cosine).sum();
        let now: Vec<usize> = nearest.into_iter().map(|(k, _)| k).collect();
        if now == labels {
            break;
        }
        labels = now;
        let mut sums = Array2::<f64>::zeros(centroids.dim());
        labels.iter().enumerate().for_each(|(i, &k)| add(&mut sums, k, cells, i));
        for (k, sum) in unit_rows(sums).outer_iter().enumerate() {
            if sum.iter().any(|&x| x != 0.0) {
                centroids.row_mut(k).assign(&sum);
            }
        }
    }
    Ok((total, centroids))
}

/// Cells as centroids: the first at random, every other with a chance that goes with its distance² from the nearest one.
fn plus_plus(unit: &Array2<f64>, clusters: usize, rng: &mut Rng, ctx: &Context) -> Result<Array2<f64>> {
    let n = unit.nrows();
    let mut distance = vec![f64::INFINITY; n];
    let mut chosen = vec![rng.below(n)];
    while chosen.len() < clusters {
        ctx.check()?;
        let last = unit.slice(s![chosen[chosen.len() - 1], ..]).insert_axis(Axis(1));
        let cosine = gemm::product(unit.view(), last.to_owned().view())?;
        distance.iter_mut().zip(&cosine).for_each(|(d, c)| *d = d.min((1.0 - c).max(0.0)));
        let mut left = rng.uniform() * distance.iter().sum::<f64>();
        let at = distance.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        // Fewer different cells than clusters: any will do.
        chosen.push(at.unwrap_or_else(|| rng.below(n)));
    }
    Ok(unit.select(Axis(0), &chosen))
}

/// The centroid nearest to each cell, ties to the first, and the cosine with it.
fn nearest_centroids(unit: &Array2<f64>, centroids: &Array2<f64>, ctx: &Context) -> Result<Vec<(usize, f64)>> {
    let starts: Vec<usize> = (0..unit.nrows()).step_by(CELLS).collect();
    let of_chunk = |&start: &usize| -> Result<Vec<(usize, f64)>> {
        ctx.check()?;
        let rows = unit.slice(s![start..(start + CELLS).min(unit.nrows()), ..]);
        let cosines = gemm::product(rows, centroids.t())?;
        let first_largest = |row: ndarray::ArrayView1<f64>| {
            (0..row.len()).fold((0, row[0]), |best, k| if row[k] > best.1 { (k, row[k]) } else { best })
        };
        Ok(cosines.outer_iter().map(first_largest).collect())
    };
    let chunks: Vec<Vec<(usize, f64)>> = starts.par_iter().map(of_chunk).collect::<Result<_>>()?;
    Ok(chunks.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two types of cells in two batches, the second shifted by `shift` in the third coordinate.
    fn shifted(cells: usize, shift: f64) -> (Array2<f64>, Batch) {
        let mut rng = Rng::keyed(3, 0, 0);
        let batch: Vec<u32> = (0..cells).map(|i| (i % 2) as u32).collect();
        let z = Array2::from_shape_fn((cells, 3), |(i, j)| {
            let centre = match j {
                0 => {
                    if i % 4 < 2 {
                        4.0
                    } else {
                        -4.0
                    }
                }
                2 => shift * f64::from(batch[i]),
                _ => 0.0,
            };
            centre + 0.3 * rng.normal()
        });
        (z, Batch { of: batch, options: HarmonyOptions::default() })
    }

    fn mean(z: &Array2<f64>, keep: impl Fn(usize) -> bool, j: usize) -> f64 {
        let values: Vec<f64> = (0..z.nrows()).filter(|&i| keep(i)).map(|i| z[[i, j]]).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn the_shift_of_a_batch_goes_and_the_types_stay() {
        let (z, batch) = shifted(400, 3.0);
        let out = harmony(z.view(), &batch, 0, &Context::default()).unwrap();
        let gap = (mean(&out, |i| i % 2 == 1, 2) - mean(&out, |i| i % 2 == 0, 2)).abs();
        assert!(gap < 0.3, "{gap}");
        let types = mean(&out, |i| i % 4 < 2, 0) - mean(&out, |i| i % 4 >= 2, 0);
        assert!((types - 8.0).abs() < 0.3, "{types}");
    }

    #[test]
    fn one_batch_needs_no_correction() {
        let (z, mut batch) = shifted(100, 0.0);
        batch.of.fill(7);
        let out = harmony(z.view(), &batch, 0, &Context::default()).unwrap();
        assert!((&out - &z).iter().all(|x| x.abs() < 1e-9));
    }

    #[test]
    fn threads_change_no_bit_and_the_order_of_batches_does_not_matter() {
        let (z, batch) = shifted(2000, 2.0);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| harmony(z.view(), &batch, 5, &Context::default()).unwrap())
        };
        let one = run(1);
        assert!(one == run(2) && one == run(8));
    }

    #[test]
    fn bad_options_and_sizes_are_errors() {
        let (z, batch) = shifted(40, 1.0);
        let with = |change: fn(&mut HarmonyOptions)| {
            let mut batch = batch.clone();
            change(&mut batch.options);
            harmony(z.view(), &batch, 0, &Context::default())
        };
        assert!(matches!(with(|o| o.lambda = 0.0), Err(Error::Argument { .. })));
        assert!(matches!(with(|o| o.sigma = -1.0), Err(Error::Argument { .. })));
        assert!(matches!(with(|o| o.theta = f64::NAN), Err(Error::Argument { .. })));
        assert!(matches!(with(|o| o.block_size = 1.5), Err(Error::Argument { .. })));
        assert!(matches!(with(|o| o.n_clusters = Some(0)), Err(Error::Argument { .. })));
        let short = Batch { of: vec![0; 39], options: HarmonyOptions::default() };
        assert!(matches!(harmony(z.view(), &short, 0, &Context::default()), Err(Error::Shape { .. })));
        let ctx = Context::default();
        ctx.cancel();
        assert!(matches!(harmony(z.view(), &batch, 0, &ctx), Err(Error::Cancelled)));
    }
}
