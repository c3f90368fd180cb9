//! Optimises a layout in batches. In: positions of n vertices and directed edges with weights up to 1. Out: positions.
//!
//! In every epoch an edge of weight w is drawn when n·w passes a whole number, as umap-learn's epochs per sample do; its ends
//! pull each other, and random vertices push its source. All forces on a vertex are found from the positions of the epoch
//! before and gathered by the vertex itself, in the order of its edges, so that neither races nor the number of threads can
//! change a bit. As many forces at once would overshoot, the sum is turned into a step by Adam (Kingma & Ba 2015) with
//! β₁ 0.5 and β₂ 0.9, uwot's values for batches; the step's length falls linearly to 0.

use super::UmapOptions;
use crate::rng::Rng;
use crate::simd::vectorised;
use crate::{Context, Result};
use rayon::prelude::*;

/// Directed edges (source, target, weight relative to the heaviest).
pub type Edges = [(u32, u32, f64)];

/// Vertices per parallel block.
const BLOCK: usize = 256;
pub(crate) const STREAM: u64 = 0x6c61_7900;
pub(crate) const BETA1: f32 = 0.5;
pub(crate) const BETA2: f32 = 0.9;
const EPSILON: f32 = 1e-7;
/// Largest force along one dimension.
const CLIP: f32 = 4.0;

/// UMAP's forces on a vertex per unit of difference, as functions of the squared distance s.
pub struct Forces {
    /// −2ab s^{b−1} / (1 + a s^b).
    attraction: Table,
    /// 2γb / ((0.001 + s)(1 + a s^b)).
    repulsion: Table,
}

impl Forces {
    /// Curve parameters a and b, and the weight γ of pushing against pulling.
    pub fn new(a: f64, b: f64, gamma: f64) -> Self {
        Forces {
            attraction: Table::new(|s| -2.0 * a * b * s.powf(b - 1.0) / (1.0 + a * s.powf(b))),
            repulsion: Table::new(|s| 2.0 * gamma * b / ((0.001 + s) * (1.0 + a * s.powf(b)))),
        }
    }

    /// Attraction and repulsion at the points of [`Table`].
    pub(crate) fn tables(&self) -> (&[f32], &[f32]) {
        (&self.attraction.values, &self.repulsion.values)
    }
}

/// A smooth function of a positive number, interpolated between 64 points per octave: powers cost most of a layout.
struct Table {
    values: Vec<f32>,
}

impl Table {
    /// Bits of an `f32` below the table's points.
    const SHIFT: u32 = 17;
    /// 2⁻⁴⁰ and 2⁴⁰: far smaller and larger than any squared distance that matters.
    const LOWEST: u32 = (127 - 40) << 23;
    const HIGHEST: u32 = (127 + 40) << 23;

    fn new(f: impl Fn(f64) -> f64) -> Self {
        let points = (Self::LOWEST >> Self::SHIFT)..=(Self::HIGHEST >> Self::SHIFT);
        Table { values: points.map(|p| f(f64::from(f32::from_bits(p << Self::SHIFT))) as f32).collect() }
    }

    #[inline(always)]
    fn at(&self, s: f32) -> f32 {
        let bits = s.to_bits().clamp(Self::LOWEST, Self::HIGHEST - 1) - Self::LOWEST;
        let (point, rest) = ((bits >> Self::SHIFT) as usize, bits & ((1 << Self::SHIFT) - 1));
        let (low, high) = (self.values[point], self.values[point + 1]);
        low + (high - low) * (rest as f32 * (1.0 / (1u32 << Self::SHIFT) as f32))
    }
}

/// The links of every vertex: first those it is the source of, then those it is the target of.
pub(crate) struct Links {
    offsets: Vec<usize>,
    /// Where the links as target begin.
    middles: Vec<usize>,
    /// The other end, and the weight in units of 2⁻³².
    links: Vec<(u32, u32)>,
}

impl Links {
    pub(crate) fn new(n: usize, edges: &Edges) -> Self {
        let (mut sources, mut targets) = (vec![0; n], vec![0; n]);
        for &(i, j, _) in edges {
            sources[i as usize] += 1;
            targets[j as usize] += 1;
        }
        let mut offsets = vec![0; n + 1];
        (0..n).for_each(|i| offsets[i + 1] = offsets[i] + sources[i] + targets[i]);
        let middles: Vec<usize> = (0..n).map(|i| offsets[i] + sources[i]).collect();
        let (mut as_source, mut as_target) = (offsets.clone(), middles.clone());
        let mut links = vec![(0, 0); 2 * edges.len()];
        for &(i, j, weight) in edges {
            let rate = (weight * f64::from(u32::MAX)) as u32;
            for (next, from, to) in [(&mut as_source, i, j), (&mut as_target, j, i)] {
                links[next[from as usize]] = (to, rate);
                next[from as usize] += 1;
            }
        }
        Links { offsets, middles, links }
    }

    /// First link of each vertex, and the number of links at the end.
    pub(crate) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// First link of each vertex as target.
    pub(crate) fn middles(&self) -> &[usize] {
        &self.middles
    }

    /// The other end of each link, and its weight in units of 2⁻³².
    pub(crate) fn links(&self) -> &[(u32, u32)] {
        &self.links
    }

    fn as_source(&self, i: usize) -> &[(u32, u32)] {
        &self.links[self.offsets[i]..self.middles[i]]
    }

    fn as_target(&self, i: usize) -> &[(u32, u32)] {
        &self.links[self.middles[i]..self.offsets[i + 1]]
    }
}

/// A vertex's running means of the force and of its square.
#[derive(Clone, Copy)]
struct Moments<const D: usize> {
    first: [f32; D],
    second: [f32; D],
}

impl<const D: usize> Moments<D> {
    /// Takes the force in, and returns Adam's step for it; `corrections` are 1 − β₁ⁿ and 1 − β₂ⁿ.
    #[inline(always)]
    fn step(&mut self, force: [f32; D], corrections: (f32, f32)) -> [f32; D] {
        std::array::from_fn(|dim| {
            self.first[dim] = BETA1 * self.first[dim] + (1.0 - BETA1) * force[dim];
            self.second[dim] = BETA2 * self.second[dim] + (1.0 - BETA2) * force[dim] * force[dim];
            (self.first[dim] / corrections.0) / ((self.second[dim] / corrections.1).sqrt() + EPSILON)
        })
    }
}

/// Moves `positions` for `epochs` epochs.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub fn optimise<const D: usize>(
    positions: &mut Vec<[f32; D]>,
    edges: &Edges,
    forces: &Forces,
    epochs: usize,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<()> {
    let links = Links::new(positions.len(), edges);
    let mut moments = vec![Moments { first: [0.0; D], second: [0.0; D] }; positions.len()];
    let mut next = positions.clone();
    for epoch in 1..epochs {
        let rate = options.learning_rate as f32 * (1.0 - epoch as f32 / epochs as f32);
        let corrections = (1.0 - BETA1.powi(epoch as i32), 1.0 - BETA2.powi(epoch as i32));
        let now = &*positions;
        let blocks = next.par_chunks_mut(BLOCK).zip(moments.par_chunks_mut(BLOCK)).enumerate();
        blocks.try_for_each(|(block, (next, moments))| {
            ctx.check()?;
            vectorised(
                #[inline(always)]
                || {
                    for (i, (next, moments)) in (block * BLOCK..).zip(next.iter_mut().zip(&mut *moments)) {
                        let force = gather(i, now, &links, forces, epoch, options);
                        let step = moments.step(force, corrections);
                        *next = std::array::from_fn(|dim| now[i][dim] + rate * step[dim]);
                    }
                },
            );
            Ok(())
        })?;
        std::mem::swap(positions, &mut next);
        ctx.advance(1)?;
    }
    Ok(())
}

/// The force on vertex `i` in `epoch`.
#[inline(always)]
fn gather<const D: usize>(
    i: usize,
    positions: &[[f32; D]],
    links: &Links,
    forces: &Forces,
    epoch: usize,
    options: &UmapOptions,
) -> [f32; D] {
    let here = positions[i];
    let mut total = [0.0; D];
    let mut rng = Rng::keyed(options.seed, STREAM + epoch as u64, i as u64);
    let drawn = pull(&mut total, here, positions, links.as_source(i), forces, epoch);
    for _ in 0..drawn * options.negative_sample_rate {
        add(&mut total, &forces.repulsion, here, positions[rng.below(positions.len())]);
    }
    pull(&mut total, here, positions, links.as_target(i), forces, epoch);
    total
}

/// Adds the attraction along those of `links` that are drawn in `epoch`, and says how many are.
#[inline(always)]
fn pull<const D: usize>(
    total: &mut [f32; D],
    here: [f32; D],
    positions: &[[f32; D]],
    links: &[(u32, u32)],
    forces: &Forces,
    epoch: usize,
) -> usize {
    const CHUNK: usize = 64;
    let mut all = 0;
    for links in links.chunks(CHUNK) {
        // First who, without a branch that cannot be foreseen, then how strongly.
        let (mut others, mut count) = ([0u32; CHUNK], 0);
        for &(j, rate) in links {
            others[count] = j;
            count += usize::from(is_drawn(epoch, rate));
        }
        for &j in &others[..count] {
            add(total, &forces.attraction, here, positions[j as usize]);
        }
        all += count;
    }
    all
}

/// Whether n·w passes a whole number in epoch n: exactly when its fraction falls below w.
#[inline(always)]
fn is_drawn(epoch: usize, rate: u32) -> bool {
    (epoch as u32).wrapping_mul(rate) < rate
}

/// Adds the force from `there`; none from the same place.
#[inline(always)]
fn add<const D: usize>(total: &mut [f32; D], table: &Table, here: [f32; D], there: [f32; D]) {
    let difference: [f32; D] = std::array::from_fn(|dim| here[dim] - there[dim]);
    let square = difference.iter().fold(0.0, |sum, x| sum + x * x);
    if square > 0.0 {
        let force = table.at(square);
        for dim in 0..D {
            total[dim] += (force * difference[dim]).clamp(-CLIP, CLIP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_their_formulas() {
        let (a, b) = (1.577f64, 0.895f64);
        let forces = Forces::new(a, b, 1.0);
        for i in 0..10_000 {
            let s = 1e-6 * 1.003f64.powi(i);
            if s > 1e6 {
                break;
            }
            let pull = -2.0 * a * b * s.powf(b - 1.0) / (1.0 + a * s.powf(b));
            let push = 2.0 * b / ((0.001 + s) * (1.0 + a * s.powf(b)));
            assert!((f64::from(forces.attraction.at(s as f32)) / pull - 1.0).abs() < 5e-4, "{s}");
            assert!((f64::from(forces.repulsion.at(s as f32)) / push - 1.0).abs() < 5e-4, "{s}");
        }
        assert!(forces.attraction.at(0.0).is_finite() && forces.repulsion.at(f32::MAX).is_finite());
    }

    #[test]
    fn an_edge_is_drawn_as_often_as_its_weight_says() {
        for weight in [1.0, 0.5, 0.3, 0.01] {
            let rate = (weight * f64::from(u32::MAX)) as u32;
            let draws = (1..500).filter(|&epoch| is_drawn(epoch, rate)).count();
            assert!((draws as f64 - 499.0 * weight).abs() <= 1.0, "{weight}: {draws}");
        }
    }
}
