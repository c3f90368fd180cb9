//! Products of rows of 16-bit integers. In: rows of `f32` coordinates, none longer than 1, rounded to whole [`UNITS`]; some of
//! them in panels, which stay while the others go by. Out: Σ x y of all pairs in units², exact in `i32`, hence the same on
//! every machine.
//!
//! Processors with VNNI multiply twice as many of these as of `f32`, and four times as many of 8 bits ([`coarse`]). The widest instructions are chosen at run time: AVX-512 VNNI, else
//! AVX2, else what the compiler makes of plain Rust.

pub(crate) mod coarse;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::simd::vectorised;
use bytemuck::{Pod, Zeroable, must_cast, must_cast_slice};
use std::array::from_fn;

/// Two coordinates side by side; an instruction multiplies them with two others and adds both products.
pub(crate) type Pair = [i16; 2];

/// Rows of a panel.
pub(crate) const LANES: usize = 32;
/// Rows that go by a panel together.
const ROWS: usize = 8;

/// Sums of a panel with rows that go by.
type Sums = [[i32; LANES]; ROWS];
/// Two coordinates of each row of a panel.
type Columns = [i16; 2 * LANES];

/// What a coordinate of 1 is rounded to.
///
/// The sum of any of the products of two rows is at most the product of their lengths (Cauchy-Schwarz). A row no longer than 1 is
/// at most units + √d / 2 long once it is rounded: for d ≤ 2²⁴ the sum stays below 1.2 · 2²⁹, and twice as much still fits
/// ([`coarse`]). For more coordinates: one that is not rounded to 0 has at most doubled, so that the sum is at most 4 units² < 2³¹.
pub(crate) const UNITS: f64 = 23_170.0;

/// Pairs of a row of `dimension` coordinates; the last one may hold a 0 in place of a coordinate.
pub(crate) fn pairs(dimension: usize) -> usize {
    dimension.div_ceil(2)
}

/// `rows` (n × dimension) in units, n × pairs.
pub(crate) fn rounded(rows: &[f32], dimension: usize) -> Vec<Pair> {
    let (units, pairs) = (UNITS as f32, pairs(dimension));
    let mut out = vec![[0; 2]; rows.len().checked_div(dimension).unwrap_or(0) * pairs];
    vectorised(
        #[inline(always)]
        || {
            for (row, out) in rows.chunks(dimension.max(1)).zip(out.chunks_mut(pairs.max(1))) {
                for (x, out) in row.iter().zip(out.as_flattened_mut()) {
                    *out = (x * units).round_ties_even().clamp(-units, units) as i16;
                }
            }
        },
    );
    out
}

/// Σ x² of a rounded row.
#[inline(always)]
pub(crate) fn square(row: &[Pair]) -> i32 {
    // No sum wraps (`UNITS`), and additions that might can be reordered.
    row.as_flattened().iter().fold(0, |sum: i32, &x| sum.wrapping_add(i32::from(x).pow(2)))
}

/// A cache line of coordinates. A row on its own takes as many as it needs, and is 0 to the end of the last one.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [i16; LANES]);

// SAFETY: integers, as many as fill its 64 bytes.
unsafe impl Zeroable for Line {}
// SAFETY: as above.
unsafe impl Pod for Line {}

/// The pairs of rows on their own.
pub(crate) fn pairs_of(lines: &[Line]) -> &[Pair] {
    must_cast_slice(lines)
}

/// Σ x y of two rows on their own.
pub(crate) fn product(x: &[Line], y: &[Line]) -> i32 {
    Path::best().product(x, y)
}

/// Rows side by side: of each panel of [`LANES`] rows the first words of all, then the second ones, and so on. What is missing in
/// the last panel is 0.
pub(crate) struct Panels {
    count: usize,
    words: usize,
    /// How many of the words are pairs; the others are those of a [`coarse`] row.
    pairs: usize,
    columns: Vec<Columns>,
}

impl Panels {
    /// `rows` (n × pairs).
    pub(crate) fn new(rows: &[Pair], pairs: usize) -> Self {
        let count = rows.len().checked_div(pairs).unwrap_or(0);
        let mut columns = vec![[0; 2 * LANES]; count.div_ceil(LANES) * pairs];
        for (columns, rows) in columns.chunks_mut(pairs.max(1)).zip(rows.chunks(LANES * pairs.max(1))) {
            for (lane, row) in rows.chunks(pairs).enumerate() {
                for (columns, pair) in columns.iter_mut().zip(row) {
                    columns[2 * lane..2 * lane + 2].copy_from_slice(pair);
                }
            }
        }
        Panels { count, words: pairs, pairs, columns }
    }

    /// Writes the products of `row(0)`, `row(1)`, … with every row of the panels into `out` (rows × count).
    pub(crate) fn products<'r>(&self, row: impl Fn(usize) -> &'r [Pair], out: &mut [i32]) {
        self.products_by(Path::best(), row, out);
    }

    fn products_by<'r>(&self, path: Path, row: impl Fn(usize) -> &'r [Pair], out: &mut [i32]) {
        if self.count == 0 {
            return;
        }
        for (group, out) in out.chunks_mut(ROWS * self.count).enumerate() {
            // Where fewer are left, the last one goes by several times.
            let last = out.len() / self.count - 1;
            let rows: [&[Pair]; ROWS] = from_fn(|i| &row(ROWS * group + i.min(last))[..self.words]);
            for first in (0..self.count).step_by(LANES) {
                let panel = first / LANES * self.words;
                let sums = path.multiply(rows, &self.columns[panel..panel + self.words], self.pairs);
                let lanes = LANES.min(self.count - first);
                for (out, sums) in out.chunks_exact_mut(self.count).zip(&sums) {
                    out[first..first + lanes].copy_from_slice(&sums[..lanes]);
                }
            }
        }
    }
}

/// How sums are computed. Made by [`Path::all`] alone: the machine has what a path needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Path {
    /// All that work on this machine, the fastest first.
    fn all() -> impl Iterator<Item = Path> {
        #[cfg(target_arch = "x86_64")]
        let wide = [(x86::has_vnni(), Path::Vnni), (is_x86_feature_detected!("avx2"), Path::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let wide = [];
        wide.into_iter().filter_map(|(works, path)| works.then_some(path)).chain([Path::Portable])
    }

    fn best() -> Path {
        Path::all().next().unwrap_or(Path::Portable)
    }

    /// Whether it multiplies more bytes than 16-bit integers at a time.
    fn prefers_bytes(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Path::Vnni;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// `pairs`: how many of the words are pairs.
    fn multiply(self, rows: [&[Pair]; ROWS], panel: &[Columns], pairs: usize) -> Sums {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has these instructions (`Path::all`).
            Path::Vnni => unsafe { x86::vnni(rows, panel, pairs) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Path::Avx2 if pairs == panel.len() => unsafe { x86::avx2(rows, panel) },
            _ => portable(rows, panel, pairs),
        }
    }

    fn product(self, x: &[Line], y: &[Line]) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has these instructions (`Path::all`).
            Path::Vnni => unsafe { x86::vnni_product(x, y) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Path::Avx2 => unsafe { x86::avx2_product(x, y) },
            Path::Portable => portable_product(x, y),
        }
    }
}

fn portable_product(x: &[Line], y: &[Line]) -> i32 {
    let of_line =
        |(x, y): (&Line, &Line)| x.0.iter().zip(&y.0).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>();
    x.iter().zip(y).map(of_line).sum()
}

fn portable(rows: [&[Pair]; ROWS], panel: &[Columns], pairs: usize) -> Sums {
    rows.map(|row| {
        let mut sums = [0; LANES];
        for (&[x, y], columns) in row[..pairs].iter().zip(panel) {
            for (sum, column) in sums.iter_mut().zip(columns.as_chunks::<2>().0) {
                *sum += i32::from(x) * i32::from(column[0]) + i32::from(y) * i32::from(column[1]);
            }
        }
        if let Some((&offset, quads)) = row[pairs..].split_first() {
            let offset: i32 = must_cast(offset);
            sums.iter_mut().for_each(|sum| *sum = (*sum >> coarse::SHIFT) - offset);
            for (&quad, columns) in quads.iter().zip(&panel[pairs + 1..]) {
                let row: [i8; 4] = must_cast(quad);
                for (sum, &column) in sums.iter_mut().zip(columns.as_chunks::<2>().0) {
                    let column: [u8; 4] = must_cast(column);
                    *sum += row.iter().zip(column).map(|(&x, y)| i32::from(x) * i32::from(y)).sum::<i32>();
                }
            }
        }
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// n rows of length 1.
    fn unit(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let row = |i: usize| {
            let x: Vec<f64> = (0..d).map(|j| Rng::keyed(seed, i as u64, j as u64).normal()).collect();
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.into_iter().map(move |x| (x / length) as f32)
        };
        (0..n).flat_map(row).collect()
    }

    /// All paths against sums in `i64`.
    fn assert_exact(x: &[f32], y: &[f32], d: usize) {
        let (x, y, pairs) = (rounded(x, d), rounded(y, d), pairs(d));
        let row = |i: usize| &y[i * pairs..(i + 1) * pairs];
        let product = |x: &[Pair], y: &[Pair]| -> i64 {
            x.as_flattened().iter().zip(y.as_flattened()).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum()
        };
        let expected: Vec<i64> = y.chunks(pairs).flat_map(|y| x.chunks(pairs).map(|x| product(x, y))).collect();
        for path in Path::all() {
            let mut out = vec![-1; expected.len()];
            Panels::new(&x, pairs).products_by(path, row, &mut out);
            assert!(out.iter().map(|&x| i64::from(x)).eq(expected.iter().copied()), "{path:?}, {d} coordinates");
        }
        assert!(x.chunks(pairs).all(|x| i64::from(square(x)) == product(x, x)));
        let alone = |row: &[Pair]| -> Vec<Line> {
            let line = |x: &[i16]| Line(from_fn(|i| x.get(i).copied().unwrap_or(0)));
            row.as_flattened().chunks(LANES).map(line).collect()
        };
        for (x, y) in x.chunks(pairs).flat_map(|x| y.chunks(pairs).map(move |y| (x, y))) {
            for path in Path::all() {
                assert_eq!(i64::from(path.product(&alone(x), &alone(y))), product(x, y), "{path:?}, {d} coordinates");
            }
        }
    }

    #[test]
    fn every_path_multiplies_exactly() {
        for (n, m, d) in [(1, 1, 1), (33, 9, 2), (31, 8, 3), (32, 7, 16), (65, 17, 101), (3, 1, 600)] {
            assert_exact(&unit(n, d, 1), &unit(m, d, 2), d);
        }
        assert_exact(&unit(5, 7, 1), &[], 7);
        assert_exact(&[], &unit(5, 7, 1), 7);
    }

    /// Rows as long as they may be.
    #[test]
    fn the_largest_sums_fit() {
        for d in [1, 2, 1000] {
            let one = (0..d).map(|i| if i == d / 2 { -1.0 } else { 0.0 });
            let same = std::iter::repeat_n(-1.0 / (d as f32).sqrt(), d);
            let rows: Vec<f32> = one.chain(same.clone()).chain(same.map(|x| -x)).collect();
            assert_exact(&rows, &rows, d);
        }
        // Every coordinate is rounded up by nearly half a unit: the sum is larger than that of rows of length 1.
        let d = 1 << 20;
        let rows = vec![(22.51 / UNITS) as f32; d];
        assert!(rounded(&rows, d).as_flattened().iter().all(|&x| x == 23));
        assert_exact(&rows, &rows, d);
    }

    #[test]
    fn coordinates_beyond_one_are_cut() {
        assert_eq!(rounded(&[1.5, -1.5, (0.5 / UNITS) as f32], 3), [[23_170, -23_170], [0, 0]]);
    }

    #[test]
    fn sums_of_any_number_of_coordinates_fit() {
        for d in [0, 1, 1 << 24] {
            assert!((UNITS + 0.5 * f64::from(d).sqrt()).powi(2) < 1.2 * f64::from(1 << 29));
        }
        assert!(4.0 * UNITS.powi(2) < f64::from(i32::MAX));
    }
}
