//! The scaled, weighted and centred expression matrix of SAM, never dense. A row keeps the sparsity of the expression:
//! where scaling would fill it (centring, clipping), the constant that all absent entries of a gene share is subtracted from
//! the whole gene, which centring would do anyway.

use super::operator::{Operator, Projection};
use super::tiled::{DOUBLE, Precision, SINGLE, Tiles};
use crate::sparse::{Expression, row};
use crate::{Context, Error, Result, with_expression};
use ndarray::{Array2, ArrayView1, ArrayView2, s};
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

/// Least number of cells in a block whose sums are made on their own, and number of such blocks at most.
const LEAST: usize = 256;
const BLOCKS: usize = 16;

/// No column.
const DROPPED: u32 = u32::MAX;

/// Expression of chosen genes, scaled, weighted and centred: an [`Operator`] over all cells × the chosen genes.
pub struct Scaled<'a> {
    expression: &'a Expression,
    /// Genes of the columns, ascending.
    genes: Vec<u32>,
    /// Column of each gene of the expression, or `DROPPED`.
    position: Vec<u32>,
    scale: Scale,
    /// Per gene of the expression.
    weights: &'a [f64],
    /// Value of the absent entries per gene of the expression, weighted.
    base: Vec<f64>,
    /// Per column: what centring subtracts.
    centre: Vec<f64>,
    /// Entries in the order in which products read them, made when one does.
    single: Tiles<f32>,
    double: Tiles<f64>,
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
        let (genes, centre, single, double) = (genes.to_vec(), Vec::new(), Tiles::new(n), Tiles::new(n));
        let mut out = Scaled { expression, genes, position, scale, weights, base, centre, single, double, ctx };
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

    /// Bytes that working sets may take.
    pub(super) fn memory(&self) -> usize {
        self.ctx.memory()
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
    pub(super) fn each_scaled(&self, cell: usize, columns: &Range<usize>, mut f: impl FnMut(usize, f32)) {
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

    /// Means of the columns, from the sums of at most [`BLOCKS`] blocks of cells.
    fn means(&self) -> Vec<f64> {
        let n = self.cells();
        let size = n.div_ceil(BLOCKS).max(LEAST);
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
        check_rows("apply", b, self.columns())?;
        self.times::<f64, DOUBLE>(b)
    }

    fn apply_transpose(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply transposed", b, self.rows())?;
        self.transposed_times::<f64, DOUBLE>(b)
    }

    fn gram(&self) -> Result<Array2<f64>> {
        if self.rows() <= self.columns() { self.gram_of_cells() } else { self.gram_of_genes() }
    }

    fn apply_gram(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply twice", b, self.rows().min(self.columns()))?;
        self.gram_times::<f32, SINGLE>(b)
    }

    fn apply_twice(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply twice", b, self.rows().min(self.columns()))?;
        self.gram_times::<f64, DOUBLE>(b)
    }

    fn project(&self, v: ArrayView2<f64>, keep: bool) -> Result<Projection> {
        check_rows("project", v, self.columns())?;
        let mut scores = keep.then(|| Array2::zeros((self.rows(), v.ncols())));
        let mut extremes = vec![0.0f32; v.ncols()];
        self.each_product::<f32, SINGLE>(v, |start, rows| {
            rows.outer_iter().for_each(|row| take_extremes(&mut extremes, row));
            if let Some(scores) = &mut scores {
                scores.slice_mut(s![start..start + rows.nrows(), ..]).assign(&rows);
            }
            Ok(())
        })?;
        Ok(Projection { scores, negative: extremes.iter().map(|&x| x < 0.0).collect() })
    }

    fn project_transposed(&self, u: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("project transposed", u, self.rows())?;
        self.transposed_times::<f32, SINGLE>(u)
    }
}

impl Precision for f32 {
    fn tiles<'s>(scaled: &'s Scaled) -> &'s Tiles<f32> {
        &scaled.single
    }
}

impl Precision for f64 {
    fn tiles<'s>(scaled: &'s Scaled) -> &'s Tiles<f64> {
        &scaled.double
    }
}

/// Score of largest absolute value per component; of equal ones the first.
fn take_extremes(extremes: &mut [f32], scores: ArrayView1<f32>) {
    for (extreme, &x) in extremes.iter_mut().zip(scores) {
        *extreme = if x.abs() > extreme.abs() { x } else { *extreme };
    }
}

/// A dense factor must have `expected` rows.
fn check_rows(operation: &'static str, b: ArrayView2<f64>, expected: usize) -> Result<()> {
    if b.nrows() == expected {
        return Ok(());
    }
    Err(Error::shape(operation, format!("{expected} rows"), format!("{}", b.nrows())))
}
