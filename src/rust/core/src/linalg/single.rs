//! Products of the scaled matrix in single precision, for approximate solvers: Aᵀ A B in one pass over the cells, and scores
//! A V. A strip of columns of B stays in vector registers while the entries of a cell go by; sums over many cells are double.

use super::operator::Projection;
use super::randomized_svd::BLOCK;
use super::scaled::Scaled;
use crate::Result;
use crate::simd::vectorised;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;

/// A row of a strip of B: as many columns as the Krylov iteration multiplies at once.
type Strip = [f32; BLOCK];

/// Tasks at most; each holds sums of the size of a strip of B.
const TASKS: usize = 16;

/// Cells whose sums are single precision, before they are added to double ones.
const CELLS: usize = 512;

/// Cells projected at a time.
const ROWS: usize = 128;

/// Columns `strip` of `b` row by row, and what centring takes from each of them.
struct Packed {
    rows: Vec<Strip>,
    shift: Strip,
}

impl Packed {
    fn new(b: ArrayView2<f64>, strip: Range<usize>, centre: &[f64]) -> Self {
        let (mut rows, mut shift) = (vec![[0.0; BLOCK]; b.nrows()], [0.0; BLOCK]);
        for ((row, packed), &m) in b.slice(s![.., strip]).axis_iter(Axis(0)).zip(&mut rows).zip(centre) {
            for ((packed, sum), &x) in packed.iter_mut().zip(&mut shift).zip(row) {
                *packed = x as f32;
                *sum += m * x;
            }
        }
        Packed { rows, shift: shift.map(|sum: f64| sum as f32) }
    }

    /// The row of A B of a cell with these entries.
    #[inline(always)]
    fn row(&self, entries: &[(u32, f32)]) -> Strip {
        let mut sums = self.shift.map(|sum| -sum);
        for &(j, x) in entries {
            add(&mut sums, x, &self.rows[j as usize]);
        }
        sums
    }
}

/// Strips of the columns of `b`.
fn strips(b: ArrayView2<f64>, centre: &[f64]) -> Vec<Packed> {
    let width = b.ncols();
    let strip = |start: usize| Packed::new(b, start..(start + BLOCK).min(width), centre);
    (0..width).step_by(BLOCK).map(strip).collect()
}

/// Lengths and extremes of scores under way.
struct Summary {
    squares: Vec<f64>,
    extremes: Vec<f32>,
}

impl Summary {
    fn new(k: usize) -> Self {
        Summary { squares: vec![0.0; k], extremes: vec![0.0; k] }
    }

    fn add(&mut self, scores: &[f32]) {
        for ((square, extreme), &x) in self.squares.iter_mut().zip(&mut self.extremes).zip(scores) {
            *square += f64::from(x) * f64::from(x);
            *extreme = if x.abs() > extreme.abs() { x } else { *extreme };
        }
    }

    fn merge(&mut self, later: &Summary) {
        self.squares.iter_mut().zip(&later.squares).for_each(|(sum, x)| *sum += x);
        for (extreme, &x) in self.extremes.iter_mut().zip(&later.extremes) {
            *extreme = if x.abs() > extreme.abs() { x } else { *extreme };
        }
    }
}

impl Scaled<'_> {
    /// Aᵀ A B.
    pub(super) fn gram_times(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let (n, mut out) = (self.cells(), Array2::zeros(b.dim()));
        let size = n.div_ceil(TASKS).max(CELLS);
        let starts: Vec<usize> = (0..n).step_by(size).collect();
        for (strip, packed) in strips(b, self.centre()).iter().enumerate() {
            let of_block = |&start: &usize| self.gram_block(packed, start..(start + size).min(n));
            let partial: Vec<Vec<[f64; BLOCK]>> = starts.par_iter().map(of_block).collect::<Result<_>>()?;
            let columns = strip * BLOCK..((strip + 1) * BLOCK).min(b.ncols());
            out.slice_mut(s![.., columns]).axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(
                |(j, mut row)| {
                    row.iter_mut().enumerate().for_each(|(k, sum)| *sum = partial.iter().map(|rows| rows[j][k]).sum());
                },
            );
        }
        Ok(out)
    }

    /// The share of some cells in Aᵀ A B.
    fn gram_block(&self, b: &Packed, cells: Range<usize>) -> Result<Vec<[f64; BLOCK]>> {
        let mut total = vec![[0.0f64; BLOCK]; b.rows.len()];
        let (mut sums, mut shift) = (vec![[0.0f32; BLOCK]; b.rows.len()], [0.0f64; BLOCK]);
        for start in cells.clone().step_by(CELLS) {
            self.check()?;
            vectorised(
                #[inline(always)]
                || self.add_gram(b, start..(start + CELLS).min(cells.end), &mut sums, &mut shift),
            );
            for (total, sums) in total.iter_mut().zip(&mut sums) {
                total.iter_mut().zip(sums.iter()).for_each(|(total, &sum)| *total += f64::from(sum));
                *sums = [0.0; BLOCK];
            }
        }
        for (total, m) in total.iter_mut().zip(self.centre()) {
            total.iter_mut().zip(&shift).for_each(|(total, s)| *total -= m * s);
        }
        Ok(total)
    }

    #[inline(always)]
    fn add_gram(&self, b: &Packed, cells: Range<usize>, sums: &mut [Strip], shift: &mut [f64; BLOCK]) {
        let mut entries = Vec::new();
        for cell in cells {
            self.entries(cell, &mut entries);
            let scores = b.row(&entries);
            shift.iter_mut().zip(&scores).for_each(|(sum, &x)| *sum += f64::from(x));
            for &(j, x) in &entries {
                add(&mut sums[j as usize], x, &scores);
            }
        }
    }

    #[inline(always)]
    fn entries(&self, cell: usize, out: &mut Vec<(u32, f32)>) {
        out.clear();
        self.each(
            cell,
            #[inline(always)]
            |j, x| out.push((j as u32, x as f32)),
        );
    }

    /// A V.
    pub(super) fn scores(&self, v: ArrayView2<f64>, keep: bool) -> Result<Projection> {
        let (n, k) = (self.cells(), v.ncols());
        let packed = strips(v, self.centre());
        let of_block = |start: usize, out: &mut [f32]| -> Result<Summary> {
            self.check()?;
            let mut summary = Summary::new(k);
            vectorised(
                #[inline(always)]
                || self.project_block(&packed, start, k, out, &mut summary),
            );
            Ok(summary)
        };
        let mut scores = keep.then(|| Array2::zeros((n, k)));
        let summaries: Vec<Summary> = match scores.as_mut().and_then(|scores| scores.as_slice_mut()) {
            Some(scores) => {
                let blocks = scores.par_chunks_mut(ROWS * k).enumerate();
                blocks.map(|(i, out)| of_block(i * ROWS, out)).collect::<Result<_>>()?
            }
            None => {
                let blocks = (0..n.div_ceil(ROWS)).into_par_iter();
                let held = |i: usize| of_block(i * ROWS, &mut vec![0.0; ROWS.min(n - i * ROWS) * k]);
                blocks.map(held).collect::<Result<_>>()?
            }
        };
        let mut all = Summary::new(k);
        summaries.iter().for_each(|summary| all.merge(summary));
        let lengths = all.squares.iter().map(|square| square.sqrt()).collect();
        Ok(Projection { scores, lengths, negative: all.extremes.iter().map(|&x| x < 0.0).collect() })
    }

    #[inline(always)]
    fn project_block(&self, v: &[Packed], start: usize, k: usize, out: &mut [f32], summary: &mut Summary) {
        let mut entries = Vec::new();
        for (cell, out) in (start..).zip(out.chunks_mut(k)) {
            self.entries(cell, &mut entries);
            for (strip, out) in v.iter().zip(out.chunks_mut(BLOCK)) {
                let scores = strip.row(&entries);
                out.copy_from_slice(&scores[..out.len()]);
            }
            summary.add(out);
        }
    }
}

/// out += factor · row.
#[inline(always)]
fn add(out: &mut Strip, factor: f32, row: &Strip) {
    for k in 0..BLOCK {
        out[k] += factor * row[k];
    }
}
