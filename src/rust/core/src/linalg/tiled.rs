//! Products of the scaled matrix with dense ones: A B, Aᵀ B and both at once, in single or double precision. Its entries are put
//! in order once: tile by tile of [`TILE`] cells, gene by gene within a tile. A product then goes through the rows of B one
//! after the other, and what it reads and writes at random, a strip of columns for the cells of a tile, stays in the nearest
//! cache.

use super::gemm::{self, Real};
use super::scaled::Scaled;
use crate::Result;
use crate::simd::vectorised;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::hint::black_box;
use std::ops::Range;
use std::sync::OnceLock;

/// Cells in a tile.
pub(crate) const TILE: usize = 128;

/// Genes whose entries one task sums up.
const GENES: usize = 256;

/// Cells in a section: what is put in order at once. Sections stay in order while they fit the memory budget; others are put in
/// order for each product.
pub(crate) const SECTION: usize = 64 * TILE;

/// Columns of a dense factor that are multiplied at once, in single and in double precision: two cache lines.
pub(super) const SINGLE: usize = 32;
pub(super) const DOUBLE: usize = 16;

/// A row of W such columns, in cache lines of its own; those beyond the last are 0.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Strip<T, const W: usize>([T; W]);

impl<T: Real, const W: usize> Strip<T, W> {
    fn zeros() -> Self {
        Strip([T::zero(); W])
    }

    /// Adds factor · row.
    #[inline(always)]
    fn add(&mut self, factor: T, row: &Self) {
        for k in 0..W {
            self.0[k] += factor * row.0[k];
        }
    }
}

/// Column ranges of at most W columns.
fn strips<const W: usize>(width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..width).step_by(W).map(move |start| start..(start + W).min(width))
}

/// The columns of `b`, a strip after the other, row by row.
fn packed<S: Real, T: Real, const W: usize>(b: ArrayView2<S>) -> Vec<Vec<Strip<T, W>>> {
    let of_strip = |strip: Range<usize>| {
        let mut rows = vec![Strip::zeros(); b.nrows()];
        for (packed, row) in rows.iter_mut().zip(b.slice(s![.., strip]).outer_iter()) {
            packed.0.iter_mut().zip(row).for_each(|(p, &x)| *p = T::nearest(x.double()));
        }
        rows
    };
    strips::<W>(b.ncols()).map(of_strip).collect()
}

/// Columns of B row by row, and what centring takes from each of them.
struct Packed<T, const W: usize> {
    rows: Vec<Strip<T, W>>,
    shift: Strip<T, W>,
}

impl<T: Real, const W: usize> Packed<T, W> {
    fn of(b: ArrayView2<f64>, centre: &[f64]) -> Vec<Self> {
        let with_shift = |rows: Vec<Strip<T, W>>| {
            let mut shift = [0.0; W];
            for (row, &m) in rows.iter().zip(centre) {
                shift.iter_mut().zip(&row.0).for_each(|(sum, x)| *sum += m * x.double());
            }
            Packed { rows, shift: Strip(shift.map(T::nearest)) }
        };
        packed(b).into_iter().map(with_shift).collect()
    }
}

/// The entries of some cells, column by column, by ascending cell.
struct Tile<T> {
    /// Place among [`GENES`] columns and number of entries of each column that has any, such columns by ascending number: how
    /// often a loop over the entries of a column runs is then what the processor expects.
    columns: Vec<(u8, u8)>,
    /// First of `columns` and first entry of every [`GENES`] columns, and how many there are.
    starts: Vec<(u32, u32)>,
    /// Cell of each entry, from 0.
    cells: Vec<u8>,
    values: Vec<T>,
}

/// What is needed to put a tile in order.
#[derive(Default)]
struct Scratch<T> {
    /// Cell, column and value, as they were found.
    found: Vec<(u8, u32, T)>,
    /// The place of the next entry of each column.
    next: Vec<u32>,
}

impl<T: Real> Tile<T> {
    fn of(scaled: &Scaled, cells: Range<usize>, scratch: &mut Scratch<T>) -> Self {
        let Scratch { found, next } = scratch;
        // How many entries a column has, and then where they begin.
        next.clear();
        next.resize(scaled.genes(), 0);
        found.clear();
        for (i, cell) in (0..).zip(cells) {
            scaled.each(
                cell,
                #[inline(always)]
                |j, x| {
                    next[j] += 1;
                    found.push((i, j as u32, T::nearest(x)));
                },
            );
        }
        let (mut columns, mut starts, mut end) = (Vec::new(), vec![(0, 0)], 0);
        for next in next.chunks_mut(GENES) {
            let first = columns.len();
            let with_entries = (0..=u8::MAX).zip(next.iter()).filter(|&(_, &count)| count > 0);
            columns.extend(with_entries.map(|(column, &count)| (column, count as u8)));
            columns[first..].sort_unstable_by_key(|&(column, count)| (count, column));
            for &(column, count) in &columns[first..] {
                next[usize::from(column)] = end;
                end += u32::from(count);
            }
            starts.push((columns.len() as u32, end));
        }
        let (mut cells, mut values) = (vec![0; found.len()], vec![T::zero(); found.len()]);
        for &(cell, j, x) in found.iter() {
            let place = &mut next[j as usize];
            (cells[*place as usize], values[*place as usize]) = (cell, x);
            *place += 1;
        }
        Tile { columns, starts, cells, values }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.columns) + size_of_val(&*self.starts) + self.cells.len() + size_of_val(&*self.values)
    }

    /// Calls `take` with each column of the `chunk`-th [`GENES`] ones that has entries: its place among them, and the entries'
    /// cells and values.
    #[inline(always)]
    fn each_column(&self, chunk: usize, mut take: impl FnMut(usize, &[u8], &[T])) {
        let ((first, start), (last, _)) = (self.starts[chunk], self.starts[chunk + 1]);
        let mut start = start as usize;
        for &(column, count) in &self.columns[first as usize..last as usize] {
            let end = start + usize::from(count);
            take(usize::from(column), &self.cells[start..end], &self.values[start..end]);
            start = end;
        }
    }

    /// Adds a strip of A B to the rows of the cells.
    #[inline(always)]
    fn add_product<const W: usize>(&self, b: &[Strip<T, W>], sums: &mut [Strip<T, W>; TILE]) {
        for (chunk, b) in b.chunks(GENES).enumerate() {
            self.each_column(
                chunk,
                #[inline(always)]
                |column, cells, values| {
                    let row = &b[column];
                    for (&cell, &x) in cells.iter().zip(values) {
                        sums[usize::from(cell) % TILE].add(x, row);
                    }
                },
            );
        }
    }

    /// Adds a strip of Aᵀ S to the rows of [`GENES`] columns from the `chunk`-th such number on. `s`: rows of the cells.
    #[inline(always)]
    fn add_transposed<const W: usize>(
        &self,
        chunk: usize,
        s: &[Strip<T, W>],
        strip: &Range<usize>,
        out: &mut [f64],
        width: usize,
    ) {
        self.each_column(
            chunk,
            #[inline(always)]
            |column, cells, values| {
                let mut sums = Strip::zeros();
                for (&cell, &x) in cells.iter().zip(values) {
                    sums.add(x, &s[usize::from(cell)]);
                }
                // So that they are added up in whole registers: else the compiler cuts them as the conversion to `f64` below likes.
                let sums = black_box(sums);
                let out = &mut out[column * width..][strip.clone()];
                for k in 0..out.len().min(W) {
                    out[k] += sums.0[k].double();
                }
            },
        );
    }
}

/// The entries in order, section by section, as far as they are held.
pub(super) struct Tiles<T> {
    sections: Vec<OnceLock<Vec<Tile<T>>>>,
}

impl<T> Tiles<T> {
    pub(super) fn new(cells: usize) -> Self {
        Tiles { sections: (0..cells.div_ceil(SECTION)).map(|_| OnceLock::new()).collect() }
    }
}

impl<T: Real> Tiles<T> {
    fn bytes(&self) -> usize {
        self.sections.iter().filter_map(OnceLock::get).flatten().map(Tile::bytes).sum()
    }
}

/// A precision in which products are made.
pub(super) trait Precision: Real + Default {
    /// The entries in this precision.
    fn tiles<'s>(scaled: &'s Scaled) -> &'s Tiles<Self>;
}

impl Scaled<'_> {
    /// Calls `work` with each section: its first cell, and its tiles.
    fn each_section<T: Precision>(&self, mut work: impl FnMut(usize, &[Tile<T>]) -> Result<()>) -> Result<()> {
        let tiles = T::tiles(self);
        for (i, section) in tiles.sections.iter().enumerate() {
            self.check()?;
            let cells = i * SECTION..((i + 1) * SECTION).min(self.cells());
            let Some(held) = section.get() else {
                let made = self.in_order(cells.clone());
                let bytes = made.iter().map(Tile::bytes).sum::<usize>() + tiles.bytes();
                let made = if bytes <= self.memory() { section.get_or_init(|| made) } else { &made };
                work(cells.start, made)?;
                continue;
            };
            work(cells.start, held)?;
        }
        Ok(())
    }

    fn in_order<T: Real + Default>(&self, cells: Range<usize>) -> Vec<Tile<T>> {
        let tile = |scratch: &mut Scratch<T>, start: usize| {
            let cells = start..(start + TILE).min(cells.end);
            vectorised(
                #[inline(always)]
                || Tile::of(self, cells.clone(), scratch),
            )
        };
        let starts: Vec<usize> = cells.clone().step_by(TILE).collect();
        starts.into_par_iter().map_init(Scratch::default, tile).collect()
    }

    /// Rows of A B of the cells of some tiles; B has `width` columns.
    fn rows_of_product<T: Real, const W: usize>(
        &self,
        tiles: &[Tile<T>],
        cells: usize,
        b: &[Packed<T, W>],
        width: usize,
    ) -> Result<Array2<T>> {
        let mut out = Array2::zeros((cells, width));
        gemm::row_blocks(&mut out, TILE)?.for_each(|(start, _, out)| {
            vectorised(
                #[inline(always)]
                || {
                    for (b, strip) in b.iter().zip(strips::<W>(width)) {
                        let mut sums = [Strip(b.shift.0.map(|sum| -sum)); TILE];
                        tiles[start / TILE].add_product(&b.rows, &mut sums);
                        let rows = out.chunks_mut(width).zip(&sums);
                        rows.for_each(|(out, sums)| out[strip.clone()].copy_from_slice(&sums.0[..strip.len()]));
                    }
                },
            );
        });
        Ok(out)
    }

    /// Adds Xᵀ S to `out` (genes × width), X being A before centring and S (cells of some tiles × width) in strips.
    fn add_transposed<T: Real, const W: usize>(
        &self,
        tiles: &[Tile<T>],
        s: &[Vec<Strip<T, W>>],
        out: &mut Array2<f64>,
    ) -> Result<()> {
        let width = out.ncols();
        gemm::row_blocks(out, GENES)?.for_each(|(start, _, out)| {
            vectorised(
                #[inline(always)]
                || {
                    for (s, strip) in s.iter().zip(strips::<W>(width)) {
                        for (tile, s) in tiles.iter().zip(s.chunks(TILE)) {
                            tile.add_transposed(start / GENES, s, &strip, out, width);
                        }
                    }
                },
            );
        });
        Ok(())
    }

    /// Takes m 1ᵀ S from Xᵀ S: the product with A, whose columns are centred. `sums`: 1ᵀ S.
    fn centre_rows(&self, out: &mut Array2<f64>, sums: &[f64]) {
        for (mut out, m) in out.outer_iter_mut().zip(self.centre()) {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out -= m * sum);
        }
    }

    /// A B, handed out as rows of some cells after the other: the first cell, and the rows.
    pub(super) fn each_product<T: Precision, const W: usize>(
        &self,
        b: ArrayView2<f64>,
        mut take: impl FnMut(usize, Array2<T>) -> Result<()>,
    ) -> Result<()> {
        let packed = Packed::<T, W>::of(b, self.centre());
        self.each_section(|start, tiles| {
            let cells = SECTION.min(self.cells() - start);
            take(start, self.rows_of_product(tiles, cells, &packed, b.ncols())?)
        })
    }

    /// A B.
    pub(super) fn times<T: Precision, const W: usize>(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((self.cells(), b.ncols()));
        self.each_product::<T, W>(b, |start, rows| {
            let mut out = out.slice_mut(s![start..start + rows.nrows(), ..]);
            out.zip_mut_with(&rows, |out, x| *out = x.double());
            Ok(())
        })?;
        Ok(out)
    }

    /// Aᵀ B.
    pub(super) fn transposed_times<T: Precision, const W: usize>(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((self.genes(), b.ncols()));
        self.each_section::<T>(|start, tiles| {
            let rows = b.slice(s![start..(start + SECTION).min(self.cells()), ..]);
            self.add_transposed(tiles, &packed::<_, T, W>(rows), &mut out)
        })?;
        self.centre_rows(&mut out, &b.sum_axis(Axis(0)).to_vec());
        Ok(out)
    }

    /// Aᵀ A B, or A Aᵀ B where there are no more cells than genes.
    pub(super) fn gram_times<T: Precision, const W: usize>(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        if self.cells() <= self.genes() {
            return self.times::<T, W>(self.transposed_times::<T, W>(b)?.view());
        }
        let (mut out, mut sums) = (Array2::zeros(b.dim()), vec![0.0; b.ncols()]);
        let packed_b = Packed::<T, W>::of(b, self.centre());
        self.each_section::<T>(|start, tiles| {
            let cells = SECTION.min(self.cells() - start);
            let rows = self.rows_of_product(tiles, cells, &packed_b, b.ncols())?;
            for row in rows.outer_iter() {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.double());
            }
            self.add_transposed(tiles, &packed::<_, T, W>(rows.view()), &mut out)
        })?;
        self.centre_rows(&mut out, &sums);
        Ok(out)
    }
}
