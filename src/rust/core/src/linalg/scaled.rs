//! The scaled, weighted and centred expression matrix of SAM, never dense. A row keeps the sparsity of the expression:
//! where scaling would fill it (centring, clipping), the constant that all absent entries of a gene share is subtracted from
//! the whole gene, which centring would do anyway.

use super::gemm::{self, Real};
use super::operator::{Operator, Projection};
use crate::simd::vectorised;
use crate::sparse::{Expression, row};
use crate::{Context, Error, Result, with_expression};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use sprs::SpIndex;
use std::ops::Range;

/// How an entry x of gene g in cell i is scaled before its gene's weight is applied; all in `f32`, as the reference does.
#[derive(Debug, Clone)]
pub enum Scale {
    /// clip((x − mean) / sd, ±limit).
    Clipped {
        /// Mean per gene.
        mean: Vec<f32>,
        /// Standard deviation per gene (none is 0).
        sd: Vec<f32>,
        /// Bound of the scaled values.
        limit: f32,
    },
    /// x · factor of the gene.
    Genes(Vec<f32>),
    /// x / divisor of the cell.
    Cells(Vec<f32>),
}

/// Cells in a tile of rows.
const TILE: usize = 256;

/// Blocks of cells whose sums exist side by side.
const BLOCKS: usize = 16;

/// Genes, and cells, whose entries are put in order at once.
pub(super) const GENES: usize = 256;
const CELLS: usize = 2048;

/// Columns of a dense factor that are multiplied at once: what is read at random stays in the cache.
pub(super) const STRIP: usize = 32;

/// A row of such columns; those beyond the last are 0.
pub(super) type Strip<T = f64> = [T; STRIP];

/// Some rows of a dense result.
struct ArrayBlock<'a> {
    values: &'a mut [f64],
    width: usize,
}

/// Entries of some cells and genes in the order of the genes.
#[derive(Default)]
pub(super) struct Ordered {
    /// Cell, gene and scaled value, as they were found.
    found: Vec<(u32, u32, f32)>,
    /// Where the entries of each gene end.
    ends: Vec<usize>,
    /// Cell and scaled value.
    entries: Vec<(u32, f32)>,
}

impl Ordered {
    /// The entries of the gene with this number, by ascending cell.
    #[inline(always)]
    pub(super) fn of(&self, gene: usize) -> &[(u32, f32)] {
        &self.entries[if gene > 0 { self.ends[gene - 1] } else { 0 }..self.ends[gene]]
    }

    /// Without what was only needed to make it.
    pub(super) fn kept(mut self) -> Self {
        self.found = Vec::new();
        self
    }
}

/// No column.
pub(super) const DROPPED: u32 = u32::MAX;

/// Expression of chosen genes, scaled, weighted and centred: an [`Operator`] over all cells × the chosen genes.
pub struct Scaled<'a> {
    pub(super) expression: &'a Expression,
    /// Genes of the columns, ascending.
    genes: Vec<u32>,
    /// Column of each gene of the expression, or `DROPPED`.
    pub(super) position: Vec<u32>,
    pub(super) scale: Scale,
    /// Per gene of the expression.
    pub(super) weights: &'a [f64],
    /// Value of the absent entries per gene of the expression, weighted.
    base: Vec<f64>,
    /// Per column: what centring subtracts.
    centre: Vec<f64>,
    ctx: &'a Context,
}

impl<'a> Scaled<'a> {
    /// `genes`: ascending genes of the expression that are used; `weights`: one per gene of the expression. Columns are
    /// centred on their means.
    ///
    /// # Errors
    /// [`Error::Shape`] when the sizes do not fit.
    pub fn new(
        expression: &'a Expression,
        genes: &[u32],
        scale: Scale,
        weights: &'a [f64],
        ctx: &'a Context,
    ) -> Result<Self> {
        let (n, g) = (expression.cells(), expression.genes());
        let fits = match &scale {
            Scale::Clipped { mean, sd, .. } => mean.len() == g && sd.len() == g,
            Scale::Genes(factor) => factor.len() == g,
            Scale::Cells(divisor) => divisor.len() == n,
        };
        if !fits || weights.len() != g || genes.iter().any(|&gene| gene as usize >= g) {
            return Err(Error::shape(
                "scaling",
                format!("{n} cells and {g} genes"),
                format!("{} weights", weights.len()),
            ));
        }
        let mut position = vec![DROPPED; g];
        genes.iter().enumerate().for_each(|(column, &gene)| position[gene as usize] = column as u32);
        let base = match &scale {
            Scale::Clipped { mean, sd, limit } => {
                (0..g).map(|j| f64::from(clipped(0.0, mean[j], sd[j], *limit)) * weights[j]).collect()
            }
            _ => vec![0.0; g],
        };
        let (genes, centre) = (genes.to_vec(), Vec::new());
        let mut out = Scaled { expression, genes, position, scale, weights, base, centre, ctx };
        out.centre = out.means();
        Ok(out)
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.expression.cells()
    }

    /// Number of genes used.
    pub(super) fn genes(&self) -> usize {
        self.genes.len()
    }

    /// What centring takes from each column.
    pub(super) fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// Stops the work when somebody asked to.
    pub(super) fn check(&self) -> Result<()> {
        self.ctx.check()
    }

    /// Calls `f(column, value)` for every stored entry of a cell, before centring.
    #[inline(always)]
    pub(super) fn each(&self, cell: usize, mut f: impl FnMut(usize, f64)) {
        self.each_scaled(
            cell,
            &(0..self.genes()),
            #[inline(always)]
            |j, x| f(j, self.value(j, x)),
        );
    }

    /// The value of an entry of a column that was scaled to x.
    #[inline(always)]
    pub(super) fn value(&self, column: usize, x: f32) -> f64 {
        let (factor, base) = self.factor_and_base(column);
        f64::from(x) * factor - base
    }

    /// What makes a value of what was scaled: times the one, less the other.
    #[inline(always)]
    pub(super) fn factor_and_base(&self, column: usize) -> (f64, f64) {
        let gene = self.genes[column] as usize;
        (self.weights[gene], self.base[gene])
    }

    /// Calls `f(column, x)` for the entries of a cell in some columns: scaled, not yet weighted.
    #[inline(always)]
    fn each_scaled(&self, cell: usize, columns: &Range<usize>, mut f: impl FnMut(usize, f32)) {
        let columns = &self.genes[columns.clone()];
        let (Some(&first), Some(&last)) = (columns.first(), columns.last()) else { return };
        // Loops rather than iterators with closures: those would not be inlined, nor be vectorised with their caller.
        with_expression!(self.expression, matrix => {
            let (genes, values) = row(matrix, cell);
            let start = genes.partition_point(|gene| gene.index() < first as usize);
            let end = start + genes[start..].partition_point(|gene| gene.index() <= last as usize);
            let used = genes[start..end].iter().zip(&values[start..end]).map(|(gene, &x)| (gene.index(), x));
            match &self.scale {
                Scale::Clipped { mean, sd, limit } => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        f(self.position[gene] as usize, clipped(x, mean[gene], sd[gene], *limit));
                    }
                },
                Scale::Genes(factor) => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        f(self.position[gene] as usize, x * factor[gene]);
                    }
                },
                Scale::Cells(divisor) => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        f(self.position[gene] as usize, x / divisor[cell]);
                    }
                },
            }
        })
    }

    /// Puts the entries of some cells and genes in the order of the genes.
    #[inline(always)]
    pub(super) fn put_in_order(&self, genes: Range<usize>, cells: Range<usize>, ordered: &mut Ordered) {
        let Ordered { found, ends, entries } = ordered;
        found.clear();
        ends.clear();
        ends.resize(genes.len() + 1, 0);
        for cell in cells {
            self.each_scaled(
                cell,
                &genes,
                #[inline(always)]
                |j, x| {
                    ends[j - genes.start + 1] += 1;
                    found.push((cell as u32, (j - genes.start) as u32, x));
                },
            );
        }
        (1..ends.len()).for_each(|j| ends[j] += ends[j - 1]);
        entries.resize(found.len(), (0, 0.0));
        // What is the start of a gene becomes its end.
        for &(cell, j, x) in found.iter() {
            entries[ends[j as usize]] = (cell, x);
            ends[j as usize] += 1;
        }
    }

    /// Columns `strip` of rows of A B from `start` on, as many as `out` (× width) has room for. `packed` are those columns of
    /// B, `shift` what centring takes from each of them.
    #[inline(always)]
    fn apply_block(&self, packed: &[Strip], shift: &Strip, start: usize, strip: &Range<usize>, out: ArrayBlock) {
        for (i, out) in out.values.chunks_mut(out.width).enumerate() {
            let mut sums = shift.map(|s| -s);
            self.each(
                start + i,
                #[inline(always)]
                |j, x| add(&mut sums, x, &packed[j]),
            );
            out[strip.clone()].copy_from_slice(&sums[..strip.len()]);
        }
    }

    /// Adds what cells give to the rows of Aᵀ B from gene `first` on, of which `out` (× width) is the place. `packed`: strips of
    /// B. Gene by gene, sums stay in registers, and the rows of B in the cache.
    #[inline(always)]
    fn add_transposed(&self, packed: &[Vec<Strip>], first: usize, ordered: &Ordered, out: ArrayBlock) {
        for (strip, packed) in strips(out.width).zip(packed) {
            for (j, out) in out.values.chunks_mut(out.width).enumerate() {
                let (mut sums, out) = ([0.0; STRIP], &mut out[strip.clone()]);
                for &(cell, x) in ordered.of(j) {
                    add(&mut sums, self.value(first + j, x), &packed[cell as usize]);
                }
                out.iter_mut().zip(&sums).for_each(|(out, sum)| *out += sum);
            }
        }
    }

    /// Means of the columns, from the sums of at most [`BLOCKS`] blocks of cells.
    fn means(&self) -> Vec<f64> {
        let n = self.cells();
        let size = n.div_ceil(BLOCKS).max(TILE);
        let sums_of = |block: usize| {
            let mut sums = vec![0.0; self.genes()];
            let cells = block * size..((block + 1) * size).min(n);
            cells.for_each(|cell| self.each(cell, |j, x| sums[j] += x));
            sums
        };
        let partial: Vec<Vec<f64>> = (0..n.div_ceil(size)).into_par_iter().map(sums_of).collect();
        (0..self.genes()).map(|j| partial.iter().map(|sums| sums[j]).sum::<f64>() / n.max(1) as f64).collect()
    }
}

#[inline(always)]
fn clipped(x: f32, mean: f32, sd: f32, limit: f32) -> f32 {
    ((x - mean) / sd).clamp(-limit, limit)
}

impl Operator for Scaled<'_> {
    fn rows(&self) -> usize {
        self.expression.cells()
    }

    fn columns(&self) -> usize {
        self.genes.len()
    }

    fn apply(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let width = b.ncols();
        check_rows("apply", b, self.columns())?;
        let mut out = Array2::zeros((self.rows(), width));
        for strip in strips(width) {
            let (packed, mut shift) = (packed(b, &strip), [0.0; STRIP]);
            packed.iter().zip(&self.centre).for_each(|(row, &m)| add(&mut shift, m, row));
            gemm::row_blocks(&mut out, TILE)?.for_each(|(start, _, values)| {
                vectorised(
                    #[inline(always)]
                    || self.apply_block(&packed, &shift, start, &strip, ArrayBlock { values, width }),
                );
            });
        }
        Ok(out)
    }

    fn apply_transpose(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let width = b.ncols();
        check_rows("apply transposed", b, self.rows())?;
        let packed: Vec<Vec<Strip>> = strips(width).map(|strip| packed(b, &strip)).collect();
        let (sums, mut out) = (b.sum_axis(Axis(0)), Array2::zeros((self.columns(), width)));
        gemm::row_blocks(&mut out, GENES)?.for_each_init(Ordered::default, |ordered, (start, rows, values)| {
            let genes = start..start + rows;
            // Fresh memory that is read before it is written costs twice.
            values.fill(0.0);
            for first in (0..self.cells()).step_by(CELLS) {
                let cells = first..(first + CELLS).min(self.cells());
                vectorised(
                    #[inline(always)]
                    || {
                        self.put_in_order(genes.clone(), cells, ordered);
                        self.add_transposed(&packed, start, ordered, ArrayBlock { values, width });
                    },
                );
            }
            for (out, m) in values.chunks_mut(width).zip(&self.centre[genes]) {
                out.iter_mut().zip(&sums).for_each(|(out, sum)| *out -= m * sum);
            }
        });
        Ok(out)
    }

    fn gram(&self) -> Result<Array2<f64>> {
        if self.rows() <= self.columns() { self.gram_of_cells() } else { self.gram_of_genes() }
    }

    fn apply_gram(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply twice", b, self.rows().min(self.columns()))?;
        self.gram_times(b)
    }

    fn project(&self, v: ArrayView2<f64>, keep: bool) -> Result<Projection> {
        check_rows("project", v, self.columns())?;
        self.scores(v, keep)
    }
}

/// A dense factor must have `expected` rows.
fn check_rows(operation: &'static str, b: ArrayView2<f64>, expected: usize) -> Result<()> {
    if b.nrows() == expected {
        return Ok(());
    }
    Err(Error::shape(operation, format!("{expected} rows"), format!("{}", b.nrows())))
}

/// Columns `strip` of `b`, row by row.
pub(super) fn packed<T: Real>(b: ArrayView2<f64>, strip: &Range<usize>) -> Vec<Strip<T>> {
    let mut rows = vec![[T::zero(); STRIP]; b.nrows()];
    for (packed, row) in rows.iter_mut().zip(b.slice(s![.., strip.clone()]).outer_iter()) {
        packed.iter_mut().zip(row).for_each(|(p, &x)| *p = T::nearest(x));
    }
    rows
}

/// Column ranges of at most `STRIP` columns.
pub(super) fn strips(width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..width).step_by(STRIP).map(move |start| start..(start + STRIP).min(width))
}

/// out += factor · row.
#[inline(always)]
pub(super) fn add<T: Real>(out: &mut Strip<T>, factor: T, row: &Strip<T>) {
    for k in 0..STRIP {
        out[k] += factor * row[k];
    }
}
