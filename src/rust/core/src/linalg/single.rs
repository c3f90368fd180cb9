//! Products of the scaled matrix in single precision, for approximate solvers: Aᵀ A B in one pass over the cells (A Aᵀ B in
//! two), and scores A V. A strip of columns of B stays in vector registers while the entries of a cell go by; sums over many
//! cells are double.

use super::operator::Projection;
use super::scaled::{DROPPED, STRIP, Scale, Scaled, Strip, add, packed, strips};
use crate::simd::vectorised;
use crate::sparse::row;
use crate::{Result, with_expression};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use sprs::SpIndex;
use std::ops::Range;

/// Column (or [`DROPPED`]) and factor of each gene.
type Factors = Vec<(u32, f32)>;

/// Tasks at most; each holds sums of the size of a strip of B.
const TASKS: usize = 16;

/// Cells whose sums are single precision, before they are added to double ones.
const CELLS: usize = 512;

/// Cells projected at a time.
const ROWS: usize = 128;

/// Cells that are read at once, multiplied, and multiplied again: what is read at random meanwhile, rows of B in one half and
/// sums in the other, is mostly that of frequent genes and stays in the cache.
const TOGETHER: usize = 32;

/// Entries of some cells.
#[derive(Default)]
struct Entries {
    /// Column and value.
    of_cells: Vec<(u32, f32)>,
    /// Where those of each cell end.
    ends: Vec<usize>,
}

impl Entries {
    /// Those of each cell.
    #[inline(always)]
    fn cells(&self) -> impl Iterator<Item = &[(u32, f32)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.of_cells[start..end])
    }
}

/// Columns of B row by row, and what centring takes from each of them.
struct Packed {
    rows: Vec<Strip<f32>>,
    shift: Strip<f32>,
}

impl Packed {
    fn new(rows: Vec<Strip<f32>>, centre: &[f64]) -> Self {
        let mut shift = [0.0; STRIP];
        for (row, &m) in rows.iter().zip(centre) {
            shift.iter_mut().zip(row).for_each(|(sum, &x)| *sum += m * f64::from(x));
        }
        Packed { rows, shift: shift.map(|sum: f64| sum as f32) }
    }

    /// The row of A B of a cell with these entries.
    #[inline(always)]
    fn row(&self, entries: &[(u32, f32)]) -> Strip<f32> {
        let mut sums = self.shift.map(|sum| -sum);
        for &(j, x) in entries {
            add(&mut sums, x, &self.rows[j as usize]);
        }
        sums
    }
}

/// Score of largest absolute value per component; of equal ones the first.
fn take_extremes<'a>(extremes: &mut [f32], scores: impl IntoIterator<Item = &'a f32>) {
    for (extreme, &x) in extremes.iter_mut().zip(scores) {
        *extreme = if x.abs() > extreme.abs() { x } else { *extreme };
    }
}

impl Scaled<'_> {
    /// Aᵀ A B, or A Aᵀ B where there are no more cells than genes.
    pub(super) fn gram_times(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let (mut out, factors) = (Array2::zeros(b.dim()), self.factors());
        for strip in strips(b.ncols()) {
            let rows = packed(b, &strip);
            let mut out = out.slice_mut(s![.., strip]);
            if self.cells() > self.genes() {
                let b = Packed::new(rows, self.centre());
                let image = self.transpose_times(
                    &factors,
                    #[inline(always)]
                    |_, entries| b.row(entries),
                )?;
                let rows = out.axis_iter_mut(Axis(0)).zip(image);
                rows.for_each(|(mut out, row)| out.iter_mut().zip(row).for_each(|(out, x)| *out = x));
            } else {
                let image = self.transpose_times(
                    &factors,
                    #[inline(always)]
                    |cell, _| rows[cell],
                )?;
                let image = Packed::new(image.into_iter().map(|row| row.map(|x| x as f32)).collect(), self.centre());
                let blocks = out.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter().enumerate();
                blocks.try_for_each(|(i, mut out)| {
                    self.check()?;
                    vectorised(
                        #[inline(always)]
                        || self.times(&factors, &image, i * ROWS, &mut out),
                    );
                    Ok::<_, crate::Error>(())
                })?;
            }
        }
        Ok(out)
    }

    /// Aᵀ S; the row of S of a cell is made from its number and its entries.
    fn transpose_times(
        &self,
        factors: &Option<Factors>,
        s: impl Fn(usize, &[(u32, f32)]) -> Strip<f32> + Sync,
    ) -> Result<Vec<Strip>> {
        let n = self.cells();
        let size = n.div_ceil(TASKS).max(CELLS);
        let of_block = |block: usize| self.transpose_block(factors, block * size..((block + 1) * size).min(n), &s);
        let partial: Vec<Vec<Strip<f32>>> =
            (0..n.div_ceil(size)).into_par_iter().map(of_block).collect::<Result<_>>()?;
        let sum = |j: usize| {
            let mut sums = [0.0; STRIP];
            for rows in &partial {
                sums.iter_mut().zip(&rows[j]).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            sums
        };
        Ok((0..self.genes()).into_par_iter().map(sum).collect())
    }

    /// The share of some cells in Aᵀ S.
    fn transpose_block(
        &self,
        factors: &Option<Factors>,
        cells: Range<usize>,
        s: &(impl Fn(usize, &[(u32, f32)]) -> Strip<f32> + Sync),
    ) -> Result<Vec<Strip<f32>>> {
        let mut total = vec![[0.0f64; STRIP]; self.genes()];
        let (mut sums, mut shift) = (vec![[0.0f32; STRIP]; self.genes()], [0.0f64; STRIP]);
        let mut entries = Entries::default();
        for start in cells.clone().step_by(CELLS) {
            self.check()?;
            let end = (start + CELLS).min(cells.end);
            vectorised(
                #[inline(always)]
                || {
                    for first in (start..end).step_by(TOGETHER) {
                        let together = first..(first + TOGETHER).min(end);
                        self.add_rows(factors, together, s, &mut entries, &mut sums, &mut shift);
                    }
                },
            );
            for (total, sums) in total.iter_mut().zip(&mut sums) {
                total.iter_mut().zip(sums.iter()).for_each(|(total, &sum)| *total += f64::from(sum));
                *sums = [0.0; STRIP];
            }
        }
        let centred = |(total, &m): (&Strip, &f64)| std::array::from_fn(|k| (total[k] - m * shift[k]) as f32);
        Ok(total.iter().zip(self.centre()).map(centred).collect())
    }

    /// Adds the rows of S of a few cells to the columns of their entries.
    #[inline(always)]
    fn add_rows(
        &self,
        factors: &Option<Factors>,
        cells: Range<usize>,
        s: &impl Fn(usize, &[(u32, f32)]) -> Strip<f32>,
        entries: &mut Entries,
        sums: &mut [Strip<f32>],
        shift: &mut Strip,
    ) {
        let mut rows = [[0.0; STRIP]; TOGETHER];
        self.read(factors, cells.clone(), entries);
        for ((cell, entries), row) in cells.zip(entries.cells()).zip(&mut rows) {
            *row = s(cell, entries);
            shift.iter_mut().zip(row.iter()).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        for (entries, row) in entries.cells().zip(&rows) {
            for &(j, x) in entries {
                add(&mut sums[j as usize], x, row);
            }
        }
    }

    /// Column and factor of each gene of the expression, where scaling is a factor.
    fn factors(&self) -> Option<Factors> {
        let Scale::Genes(factors) = &self.scale else { return None };
        let factor = |(&factor, &weight): (&f32, &f64)| (f64::from(factor) * weight) as f32;
        Some(self.position.iter().copied().zip(factors.iter().zip(self.weights).map(factor)).collect())
    }

    /// Reads the entries of some cells.
    #[inline(always)]
    fn read(&self, factors: &Option<Factors>, cells: Range<usize>, out: &mut Entries) {
        let Entries { of_cells: entries, ends } = out;
        entries.clear();
        ends.clear();
        for cell in cells {
            match factors {
                Some(factors) => with_expression!(self.expression, matrix => {
                    let (genes, values) = row(matrix, cell);
                    let mut end = entries.len();
                    entries.resize(end + genes.len(), (0, 0.0));
                    for (gene, &x) in genes.iter().zip(values) {
                        // Written in any case, and overwritten by the next one if the gene is not used: no branch.
                        let (column, factor) = factors[gene.index()];
                        entries[end] = (column, x * factor);
                        end += usize::from(column != DROPPED);
                    }
                    entries.truncate(end);
                }),
                None => self.each(
                    cell,
                    #[inline(always)]
                    |j, x| entries.push((j as u32, x as f32)),
                ),
            }
            ends.push(entries.len());
        }
    }

    /// Rows of A B from `start` on.
    #[inline(always)]
    fn times(&self, factors: &Option<Factors>, b: &Packed, start: usize, out: &mut ArrayViewMut2<f64>) {
        let (mut entries, end) = (Entries::default(), start + out.nrows());
        let mut rows = out.axis_iter_mut(Axis(0));
        for first in (start..end).step_by(TOGETHER) {
            self.read(factors, first..(first + TOGETHER).min(end), &mut entries);
            for (entries, out) in entries.cells().zip(&mut rows) {
                let row = b.row(entries);
                for (out, x) in out.into_iter().zip(row) {
                    *out = f64::from(x);
                }
            }
        }
    }

    /// A V.
    pub(super) fn scores(&self, v: ArrayView2<f64>, keep: bool) -> Result<Projection> {
        let (n, k, factors) = (self.cells(), v.ncols(), self.factors());
        let packed: Vec<Packed> = strips(k).map(|strip| Packed::new(packed(v, &strip), self.centre())).collect();
        let of_block = |start: usize, out: &mut [f32]| -> Result<Vec<f32>> {
            self.check()?;
            let mut extremes = vec![0.0; k];
            vectorised(
                #[inline(always)]
                || self.project_block(&factors, &packed, start, k, out, &mut extremes),
            );
            Ok(extremes)
        };
        let mut scores = keep.then(|| Array2::zeros((n, k)));
        let of_blocks: Vec<Vec<f32>> = match scores.as_mut().and_then(|scores| scores.as_slice_mut()) {
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
        let mut extremes = vec![0.0; k];
        of_blocks.iter().for_each(|later| take_extremes(&mut extremes, later));
        Ok(Projection { scores, negative: extremes.iter().map(|&x| x < 0.0).collect() })
    }

    #[inline(always)]
    fn project_block(
        &self,
        factors: &Option<Factors>,
        v: &[Packed],
        start: usize,
        k: usize,
        out: &mut [f32],
        extremes: &mut [f32],
    ) {
        let (mut entries, cells) = (Entries::default(), start..start + out.len() / k);
        for first in cells.clone().step_by(TOGETHER) {
            let together = first..(first + TOGETHER).min(cells.end);
            self.read(factors, together.clone(), &mut entries);
            let out = &mut out[(first - start) * k..(together.end - start) * k];
            for (strip, v) in v.iter().enumerate() {
                for (entries, out) in entries.cells().zip(out.chunks_mut(k)) {
                    let (scores, out) = (v.row(entries), &mut out[strip * STRIP..k.min((strip + 1) * STRIP)]);
                    out.copy_from_slice(&scores[..out.len()]);
                }
            }
            out.chunks(k).for_each(|scores| take_extremes(extremes, scores));
        }
    }
}
