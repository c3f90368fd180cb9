//! The scaled, weighted and centred expression matrix of SAM, never dense. A row keeps the sparsity of the expression:
//! where scaling would fill it (centring, clipping), the constant that all absent entries of a gene share is subtracted from
//! the whole gene, which centring would do anyway.

use super::gemm;
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

/// Columns of a dense factor that are multiplied at once: what is read at random stays in the cache.
const STRIP: usize = 32;

/// A row of such columns; those beyond the last are 0.
type Strip = [f64; STRIP];

/// Some rows of a dense result.
struct ArrayBlock<'a> {
    values: &'a mut [f64],
    width: usize,
}

/// No column.
const DROPPED: u32 = u32::MAX;

/// Expression of chosen genes, scaled, weighted and centred: an [`Operator`] over all cells × the chosen genes.
pub struct Scaled<'a> {
    expression: &'a Expression,
    /// Column of each gene of the expression, or `DROPPED`.
    position: Vec<u32>,
    scale: Scale,
    /// Per gene of the expression.
    weights: &'a [f64],
    /// Value of the absent entries per gene of the expression, already weighted.
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
            _ => Vec::new(),
        };
        let centre = vec![0.0; genes.len()];
        let mut out = Scaled { expression, position, scale, weights, base, centre, ctx };
        if n > 0 {
            let sums = out.apply_transpose(Array2::from_elem((n, 1), 1.0).view())?;
            out.centre = sums.iter().map(|sum| sum / n as f64).collect();
        }
        Ok(out)
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.expression.cells()
    }

    /// Number of genes used.
    pub(super) fn genes(&self) -> usize {
        self.centre.len()
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
        // Loops rather than iterators with closures: those would not be inlined, nor be vectorised with their caller.
        with_expression!(self.expression, matrix => {
            let (genes, values) = row(matrix, cell);
            let used = genes.iter().zip(values).map(|(gene, &x)| (gene.index(), x));
            match &self.scale {
                Scale::Clipped { mean, sd, limit } => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        let scaled = f64::from(clipped(x, mean[gene], sd[gene], *limit));
                        f(self.position[gene] as usize, scaled * self.weights[gene] - self.base[gene]);
                    }
                },
                Scale::Genes(factor) => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        f(self.position[gene] as usize, f64::from(x * factor[gene]) * self.weights[gene]);
                    }
                },
                Scale::Cells(divisor) => for (gene, x) in used {
                    if self.position[gene] != DROPPED {
                        f(self.position[gene] as usize, f64::from(x / divisor[cell]) * self.weights[gene]);
                    }
                },
            }
        })
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

    /// Aᵀ B over a strip of the columns of B (cells × width), one sum per block of cells. The blocks depend on the number
    /// of cells alone.
    fn partial_sums(&self, b: ArrayView2<f64>, strip: &Range<usize>) -> Vec<Vec<Strip>> {
        let n = self.rows();
        let cells = n.div_ceil(n.div_ceil(TILE).clamp(1, 16)).max(1);
        let sums_of = |block: usize| {
            let cells = block * cells..((block + 1) * cells).min(n);
            vectorised(
                #[inline(always)]
                || self.sum_block(b, strip, cells),
            )
        };
        (0..n.div_ceil(cells)).into_par_iter().map(sums_of).collect()
    }

    #[inline(always)]
    fn sum_block(&self, b: ArrayView2<f64>, strip: &Range<usize>, cells: Range<usize>) -> Vec<Strip> {
        let (mut sums, mut shift, mut factors) = (vec![[0.0; STRIP]; self.columns()], [0.0; STRIP], [0.0; STRIP]);
        for i in cells {
            factors.iter_mut().zip(b.slice(s![i, strip.clone()])).for_each(|(f, value)| *f = *value);
            add(&mut shift, 1.0, &factors);
            self.each(
                i,
                #[inline(always)]
                |j, x| add(&mut sums[j], x, &factors),
            );
        }
        sums.iter_mut().zip(&self.centre).for_each(|(sum, &m)| add(sum, -m, &shift));
        sums
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
        self.centre.len()
    }

    fn apply(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        let width = b.ncols();
        check_rows("apply", b, self.columns())?;
        let mut out = Array2::zeros((self.rows(), width));
        for strip in strips(width) {
            let (mut packed, mut shift) = (vec![[0.0; STRIP]; b.nrows()], [0.0; STRIP]);
            for ((packed, row), &m) in
                packed.iter_mut().zip(b.slice(s![.., strip.clone()]).outer_iter()).zip(&self.centre)
            {
                packed.iter_mut().zip(row).for_each(|(p, x)| *p = *x);
                add(&mut shift, m, packed);
            }
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
        let (g, width) = (self.columns(), b.ncols());
        check_rows("apply transposed", b, self.rows())?;
        let mut out = Array2::zeros((g, width));
        for strip in strips(width) {
            let partial = self.partial_sums(b, &strip);
            let mut columns = out.slice_mut(s![.., strip.clone()]);
            columns.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(j, mut row)| {
                for (k, value) in row.iter_mut().enumerate() {
                    *value = partial.iter().map(|sums| sums[j][k]).sum();
                }
            });
        }
        Ok(out)
    }

    fn gram(&self) -> Result<Array2<f64>> {
        if self.rows() <= self.columns() { self.gram_of_cells() } else { self.gram_of_genes() }
    }

    fn apply_gram(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply twice", b, self.columns())?;
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

/// Column ranges of at most `STRIP` columns.
fn strips(width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..width).step_by(STRIP).map(move |start| start..(start + STRIP).min(width))
}

/// out += factor · row.
#[inline(always)]
fn add(out: &mut Strip, factor: f64, row: &Strip) {
    for k in 0..STRIP {
        out[k] += factor * row[k];
    }
}
