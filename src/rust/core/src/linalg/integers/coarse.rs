//! Rows in fewer bits: a first look at products of rows. In: rows of 16-bit coordinates. Out: for every pair of rows a number
//! that tells which products cannot reach a limit, at half the cost of the products.
//!
//! The few coordinates that are longest over all rows keep their bits. Each other one, x, becomes a multiple x̂ of 2⁶ of 8 bits. What
//! that takes from the product of two rows is, over these coordinates,
//!
//! ```text
//! x·y − x̂·ŷ = (x − x̂)·y + x̂·(y − ŷ) ≤ |x − x̂| |y| + |x̂| |y − ŷ|        (Cauchy-Schwarz)
//! ```
//!
//! and this bound is the product of two more pairs, (|x − x̂|, |x̂|) and (|y|, |y − ŷ|): what comes out, leading coordinates + bound +
//! x̂·ŷ, is no less than the product. It is given in units of 2¹² and cut to whole ones.
//!
//! A row is a row of words: leading pairs, the pair of the bound, an offset, and four 8-bit coordinates in each word that is left. The
//! instruction multiplies bytes with a sign by bytes without one. So those of panels are stored plus 128, and the offset of the row that
//! goes by takes 128 times its sum away again.

use super::{Pair, Panels, Path};
use bytemuck::must_cast;
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// Bits that are dropped of the others.
const DROPPED: i32 = 6;
/// Bits that are dropped of a product.
pub(super) const SHIFT: u32 = 2 * DROPPED as u32;
/// Words of 8-bit coordinates that are written at a time.
const QUADS: usize = 16;
/// Coordinates that rows may have: fewer gain little, and with more the lengths in a bound may not fit its 16 bits.
const DIMENSIONS: RangeInclusive<usize> = 64..=4096;

/// How many of the coordinates keep their bits.
fn leading(dimension: usize) -> usize {
    2 * (dimension / 16).clamp(8, 32)
}

/// Words of a row of `dimension` coordinates.
pub(crate) fn words(dimension: usize) -> usize {
    leading(dimension) / 2 + 2 + (dimension - leading(dimension)).div_ceil(4)
}

/// Which coordinates keep their bits.
#[derive(Debug, Clone)]
pub(crate) struct Coarse {
    /// All of them, the longest first.
    order: Vec<u32>,
    /// How many lead.
    lead: usize,
}

impl Coarse {
    /// Whether products of rows of `dimension` coordinates take longer than looks at them.
    pub(crate) fn pays(dimension: usize) -> bool {
        Path::best().prefers_bytes() && DIMENSIONS.contains(&dimension)
    }

    /// For rows whose coordinates have these sums of squares.
    pub(crate) fn of(squares: &[i64]) -> Self {
        let mut order: Vec<u32> = (0..squares.len() as u32).collect();
        order.sort_by_key(|&i| Reverse(squares[i as usize]));
        Coarse { lead: leading(order.len()), order }
    }

    /// Pairs at the front of a row: those that keep their bits, and the bound.
    fn pairs(&self) -> usize {
        self.lead / 2 + 1
    }

    /// Words of a row.
    pub(crate) fn words(&self) -> usize {
        words(self.order.len())
    }

    /// Writes a row of 16-bit coordinates, of length 1, as one that goes by panels.
    #[inline(always)]
    pub(crate) fn write(&self, row: &[Pair], out: &mut [Pair]) {
        let (row, pairs) = (row.as_flattened(), self.pairs());
        let (lead, rest) = self.order.split_at(self.lead);
        for (pair, of) in out.iter_mut().zip(lead.as_chunks::<2>().0) {
            *pair = of.map(|i| row[i as usize]);
        }
        // Many at a time: no row is longer than 1, so that its sums of squares fit.
        let (mut whole, mut kept, mut lost, mut sum) = (0, 0, 0, 0);
        for (words, of) in out[pairs + 1..].chunks_mut(QUADS).zip(rest.chunks(4 * QUADS)) {
            let mut x = [0; 4 * QUADS];
            x.iter_mut().zip(of).for_each(|(x, &i)| *x = i32::from(row[i as usize]));
            let short = x.map(|x| ((x + (1 << (DROPPED - 1))) >> DROPPED).clamp(-127, 127));
            for (x, short) in x.into_iter().zip(short) {
                whole += x * x;
                kept += short * short;
                lost += (x - (short << DROPPED)).pow(2);
                sum += short;
            }
            let quads: [Pair; QUADS] = must_cast(short.map(|short| short as i8));
            words.copy_from_slice(&quads[..words.len()]);
        }
        let length = |squares: i64| (squares as f64).sqrt().ceil() as i16;
        let longest = i64::from(whole).max(i64::from(kept) << SHIFT);
        out[pairs - 1] = [length(longest), length(lost.into())];
        out[pairs] = must_cast(128 * sum);
    }

    /// Such rows (n × words) side by side.
    pub(crate) fn panels(&self, rows: &[Pair]) -> Panels {
        let (words, pairs) = (self.words(), self.pairs());
        let mut panels = Panels::new(rows, words);
        panels.pairs = pairs;
        for panel in panels.columns.chunks_mut(words) {
            panel[pairs - 1].as_chunks_mut::<2>().0.iter_mut().for_each(|bound| bound.swap(0, 1));
            panel[pairs + 1..].as_flattened_mut().iter_mut().for_each(|pair| *pair ^= i16::from_ne_bytes([128; 2]));
        }
        panels
    }

    /// A product, a limit or half a square in units of what comes out, rounded down. Where product − half ≥ limit, so are they in
    /// these units with what comes out instead of the product: it is whole, and more than product / 2¹² − 1.
    #[inline(always)]
    pub(crate) fn units(number: i32) -> i32 {
        number >> SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::integers::{UNITS, pairs, rounded};
    use crate::rng::Rng;

    /// n rows of length 1. Some coordinates are longer in all rows, and now and then one is far longer in a single row.
    fn rows(n: usize, d: usize, seed: u64) -> Vec<Pair> {
        let row = |i: usize| {
            let long = |j: usize| if j.is_multiple_of(37) { 20.0 } else { 1.0 };
            let far = |j: usize| if (i + j).is_multiple_of(211) { 20.0 } else { long(j) };
            let x: Vec<f64> = (0..d).map(|j| far(j) * Rng::keyed(seed, i as u64, j as u64).normal()).collect();
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.into_iter().map(move |x| (x / length) as f32)
        };
        rounded(&(0..n).flat_map(row).collect::<Vec<f32>>(), d)
    }

    /// Products in fewer bits by every path, and whole.
    fn products(x: &[Pair], y: &[Pair], d: usize, coarse: &Coarse) -> Vec<(i32, i64)> {
        let (pairs, words) = (pairs(d), coarse.words());
        let short = |rows: &[Pair]| {
            let mut out = vec![[0; 2]; rows.len() / pairs * words];
            rows.chunks(pairs).zip(out.chunks_mut(words)).for_each(|(row, out)| coarse.write(row, out));
            out
        };
        let (panels, going_by) = (coarse.panels(&short(x)), short(y));
        let mut found: Vec<Vec<i32>> = Path::all()
            .map(|path| {
                let mut out = vec![0; x.len() / pairs * (y.len() / pairs)];
                panels.products_by(path, |i| &going_by[i * words..(i + 1) * words], &mut out);
                out
            })
            .collect();
        let portable = found.pop().unwrap();
        assert!(found.into_iter().all(|other| other == portable));
        let product = |x: &[Pair], y: &[Pair]| -> i64 {
            x.as_flattened().iter().zip(y.as_flattened()).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum()
        };
        let whole = y.chunks(pairs).flat_map(|y| x.chunks(pairs).map(move |x| product(x, y)));
        portable.into_iter().zip(whole).collect()
    }

    #[test]
    fn no_product_is_larger_than_it_looks_and_most_are_little_smaller() {
        for d in [64, 101, 600] {
            let coarse = Coarse::of(&(0..d).map(|j: usize| i64::from(j.is_multiple_of(37))).collect::<Vec<_>>());
            let found = products(&rows(45, d, 1), &rows(37, d, 2), d, &coarse);
            assert_eq!(found.len(), 45 * 37);
            let limit = |whole: i64| Coarse::units(whole as i32);
            assert!(found.iter().all(|&(look, whole)| look >= limit(whole)), "{d} coordinates");
            let off: i64 = found.iter().map(|&(look, whole)| i64::from(look) - (whole >> SHIFT)).sum();
            let one = UNITS * UNITS / f64::from(1 << SHIFT);
            let off = off as f64 / (one * found.len() as f64);
            assert!(off < 0.1, "{d} coordinates: {off}");
        }
    }

    /// Lengths and sums that are as large as they may be.
    #[test]
    fn the_largest_rows_fit() {
        let d = *DIMENSIONS.end();
        let coarse = Coarse::of(&vec![1; d]);
        // One coordinate; all alike; as many as are rounded up to twice what they were.
        let one = |at: usize| (0..d).map(move |j| if j == at { -1.0 } else { 0.0 });
        let alike = std::iter::repeat_n(1.0 / (d as f32).sqrt(), d);
        let up = std::iter::repeat_n((32.0 / UNITS) as f32, d);
        let all: Vec<f32> = one(0).chain(one(d - 1)).chain(alike.clone()).chain(alike.map(|x| -x)).chain(up).collect();
        let rows = rounded(&all, d);
        let found = products(&rows, &rows, d, &coarse);
        assert!(found.iter().all(|&(look, whole)| look >= Coarse::units(whole as i32)));
    }
}
