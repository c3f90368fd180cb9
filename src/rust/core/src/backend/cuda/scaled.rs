//! The scaled, weighted and centred expression of SAM on the device, as a sparse matrix and its transpose, `f64`. Products
//! are made there; of what a block of the randomized SVD passes through, only genes × block goes there and comes back.

use super::Resident;
use super::gpu::{Buffer, DENSE, Gpu, SPARSE, launch};
use crate::linalg::operator::Operator;
use crate::linalg::scaled::Scale;
use crate::{Context, Error, Result};
use ndarray::{Array2, ArrayView2};

/// A column that is not used.
const DROPPED: u32 = u32::MAX;
/// Blocks of rows that are transposed side by side.
const BLOCKS: usize = 256;
/// Rows made dense at a time for a Gram matrix.
const ROWS: usize = 2048;
/// Columns of a dense factor, or rows and columns of a tile, per block.
const STRIP: usize = 32;
const TILE: usize = 64;
/// A sparse matrix on the device, CSR.
struct Sparse {
    pointers: Buffer<u64>,
    columns: Buffer<u32>,
    values: Buffer<f64>,
    rows: usize,
    width: usize,
    stored: usize,
}

/// A dense matrix on the device, row-major.
struct Dense {
    values: Buffer<f64>,
    rows: usize,
    columns: usize,
}

/// Cells × used genes.
pub struct Scaled<'a> {
    gpu: &'a Gpu,
    by_cell: Sparse,
    by_gene: Sparse,
    /// What centring subtracts per gene.
    centre: Buffer<f64>,
    /// A single 1.
    one: Buffer<f64>,
    ctx: &'a Context,
}

/// Prefix sums from 0.
pub(super) fn pointers(counts: &[u32]) -> Vec<u64> {
    let mut sums = vec![0];
    sums.extend(counts.iter().scan(0, |sum, &count| {
        *sum += u64::from(count);
        Some(*sum)
    }));
    sums
}

impl<'a> Scaled<'a> {
    /// As [`crate::linalg::scaled::Scaled::new`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the sizes do not fit; [`Error::Device`].
    pub(super) fn new(
        gpu: &'a Gpu,
        x: &Resident,
        genes: &[u32],
        scale: &Scale,
        weights: &[f64],
        ctx: &'a Context,
    ) -> Result<Self> {
        let (n, g) = (x.host.cells(), x.host.genes());
        let (kind, first, second, limit): (u32, &[f32], &[f32], f32) = match scale {
            Scale::Clipped { mean, sd, limit } => (0, mean, sd, *limit),
            Scale::Genes(factor) => (1, factor, &[], 0.0),
            Scale::Cells(divisor) => (2, divisor, &[], 0.0),
        };
        let fits = first.len() == if kind == 2 { n } else { g } && second.len() == if kind == 0 { g } else { 0 };
        if !fits || weights.len() != g || genes.iter().any(|&gene| gene as usize >= g) {
            let found = format!("{} weights", weights.len());
            return Err(Error::shape("scaling", format!("{n} cells and {g} genes"), found));
        }
        let mut position = vec![DROPPED; g];
        genes.iter().enumerate().for_each(|(column, &gene)| position[gene as usize] = column as u32);
        let (position, cells) = (gpu.send(&position)?, n as u32);
        let mut counts = gpu.unset::<u32>(n)?;
        let (from, columns, values) = (&x.device.pointers, &x.device.columns, &x.device.values);
        launch!(gpu, SPARSE, "count_used", (n.div_ceil(128), 1), 128, from, columns, &position, &cells, &mut counts);
        let to = pointers(&gpu.receive(&counts, n)?);
        let stored = to[n] as usize;
        let mut by_cell = Sparse {
            pointers: gpu.send(&to)?,
            columns: gpu.unset(stored)?,
            values: gpu.unset(stored)?,
            rows: n,
            width: genes.len(),
            stored,
        };
        let (first, second, weights) = (gpu.send(first)?, gpu.send(second)?, gpu.send(weights)?);
        launch!(
            gpu,
            SPARSE,
            "scale_entries",
            (n.div_ceil(4), 1),
            128,
            from,
            columns,
            values,
            &cells,
            &position,
            &kind,
            &first,
            &second,
            &limit,
            &weights,
            &by_cell.pointers,
            &mut by_cell.columns,
            &mut by_cell.values
        );
        let by_gene = by_cell.transpose(gpu)?;
        let (centre, one) = (gpu.zeros(genes.len())?, gpu.send(&[1.0])?);
        let mut out = Scaled { gpu, by_cell, by_gene, centre, one, ctx };
        if n > 0 {
            let sums = out.apply_transpose(Array2::from_elem((n, 1), 1.0).view())?;
            let means: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
            out.centre = gpu.send(&means)?;
        }
        Ok(out)
    }

    /// A B on the device.
    fn times(&self, b: &Dense) -> Result<Dense> {
        let shift = b.column_sums(self.gpu, &self.centre, true)?;
        self.by_cell.times(self.gpu, b, &self.one, false, &shift)
    }

    /// Aᵀ B on the device.
    fn transpose_times(&self, b: &Dense) -> Result<Dense> {
        let shift = b.column_sums(self.gpu, &self.one, false)?;
        self.by_gene.times(self.gpu, b, &self.centre, true, &shift)
    }

    /// Lower triangle of the Gram matrix of the smaller side; rows of `sparse` are the larger side.
    fn gram_over(&self, sparse: &Sparse, per_row: bool) -> Result<Array2<f64>> {
        let (gpu, width) = (self.gpu, sparse.width);
        gpu.tile("the Gram matrix", 2, width * width * 8 + ROWS * width * 8, 1)?;
        let (mut out, mut tile) = (gpu.zeros::<f64>(width * width)?, gpu.unset::<f64>(ROWS * width)?);
        let (columns, by_row) = (width as u32, u32::from(per_row));
        for first in (0..sparse.rows).step_by(ROWS) {
            self.ctx.check()?;
            let (rows, start) = (ROWS.min(sparse.rows - first), first as u32);
            launch!(
                gpu,
                SPARSE,
                "densify",
                (rows, 1),
                256,
                &sparse.pointers,
                &sparse.columns,
                &sparse.values,
                &start,
                &columns,
                &self.centre,
                &by_row,
                &mut tile
            );
            gram(gpu, &tile, (rows, width), ROWS, &mut out)?;
        }
        let (blocks, side) = (width.div_ceil(32), width as u32);
        launch!(gpu, DENSE, "mirror", (blocks, blocks), 256, &mut out, &side);
        matrix(gpu.receive(&out, width * width)?, (width, width))
    }
}

impl Sparse {
    fn transpose(&self, gpu: &Gpu) -> Result<Sparse> {
        let block = self.rows.div_ceil(BLOCKS).max(1);
        let blocks = self.rows.div_ceil(block);
        let mut counts = gpu.zeros::<u32>(blocks * self.width)?;
        let mut totals = gpu.zeros::<u32>(self.width)?;
        let (rows, of_block, width, number) = (self.rows as u32, block as u32, self.width as u32, blocks as u32);
        launch!(
            gpu,
            SPARSE,
            "count_columns",
            (blocks, 1),
            256,
            &self.pointers,
            &self.columns,
            &rows,
            &of_block,
            &width,
            &mut counts
        );
        launch!(
            gpu,
            SPARSE,
            "scan_columns",
            (self.width.div_ceil(128), 1),
            128,
            &mut counts,
            &number,
            &width,
            &mut totals
        );
        let mut out = Sparse {
            pointers: gpu.send(&pointers(&gpu.receive(&totals, self.width)?))?,
            columns: gpu.unset(self.stored)?,
            values: gpu.unset(self.stored)?,
            rows: self.width,
            width: self.rows,
            stored: self.stored,
        };
        launch!(
            gpu,
            SPARSE,
            "place_columns",
            (blocks, 1),
            256,
            &self.pointers,
            &self.columns,
            &self.values,
            &rows,
            &of_block,
            &width,
            &mut counts,
            &out.pointers,
            &mut out.columns,
            &mut out.values
        );
        Ok(out)
    }

    /// A B − factors shiftᵀ.
    fn times(&self, gpu: &Gpu, b: &Dense, factors: &Buffer<f64>, per_row: bool, shift: &Buffer<f64>) -> Result<Dense> {
        let mut out = Dense { values: gpu.unset(self.rows * b.columns)?, rows: self.rows, columns: b.columns };
        let (width, by_row) = (b.columns as u32, u32::from(per_row));
        launch!(
            gpu,
            SPARSE,
            "sparse_dense",
            (self.rows, b.columns.div_ceil(STRIP)),
            256,
            &self.pointers,
            &self.columns,
            &self.values,
            &b.values,
            &width,
            factors,
            &by_row,
            shift,
            &mut out.values
        );
        Ok(out)
    }
}

impl Dense {
    fn send(gpu: &Gpu, matrix: ArrayView2<f64>) -> Result<Dense> {
        let (rows, columns) = matrix.dim();
        let values = gpu.send(matrix.as_standard_layout().as_slice().unwrap_or_default())?;
        Ok(Dense { values, rows, columns })
    }

    fn receive(&self, gpu: &Gpu) -> Result<Array2<f64>> {
        let values = gpu.receive(&self.values, self.rows * self.columns)?;
        matrix(values, (self.rows, self.columns))
    }

    fn column_sums(&self, gpu: &Gpu, factors: &Buffer<f64>, per_row: bool) -> Result<Buffer<f64>> {
        let mut out = gpu.unset::<f64>(self.columns)?;
        let (rows, width, by_row) = (self.rows as u32, self.columns as u32, u32::from(per_row));
        let blocks = (self.columns.div_ceil(STRIP), 1);
        launch!(gpu, SPARSE, "column_sums", blocks, 1024, &self.values, &rows, &width, factors, &by_row, &mut out);
        Ok(out)
    }
}

/// Adds the lower triangle of AᵀA to `out`, one result per `part` rows.
fn gram(gpu: &Gpu, a: &Buffer<f64>, (rows, width): (usize, usize), part: usize, out: &mut Buffer<f64>) -> Result<()> {
    let tiles = width.div_ceil(TILE);
    let blocks = (tiles * (tiles + 1) / 2, rows.div_ceil(part));
    let (count, columns, of_part) = (rows as u32, width as u32, part as u32);
    launch!(gpu, DENSE, "gram", blocks, 256, a, &count, &columns, &of_part, out);
    Ok(())
}

fn matrix(values: Vec<f64>, (rows, columns): (usize, usize)) -> Result<Array2<f64>> {
    let found = format!("{} values", values.len());
    Array2::from_shape_vec((rows, columns), values)
        .map_err(|_| Error::shape("matrix of the device", format!("{rows} × {columns}"), found))
}

fn check_rows(operation: &'static str, b: ArrayView2<f64>, expected: usize) -> Result<()> {
    if b.nrows() == expected {
        return Ok(());
    }
    Err(Error::shape(operation, format!("{expected} rows"), format!("{}", b.nrows())))
}

impl Operator for Scaled<'_> {
    fn rows(&self) -> usize {
        self.by_cell.rows
    }

    fn columns(&self) -> usize {
        self.by_cell.width
    }

    fn apply(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply", b, self.columns())?;
        self.times(&Dense::send(self.gpu, b)?)?.receive(self.gpu)
    }

    fn apply_transpose(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply transposed", b, self.rows())?;
        self.transpose_times(&Dense::send(self.gpu, b)?)?.receive(self.gpu)
    }

    fn gram(&self) -> Result<Array2<f64>> {
        if self.rows() <= self.columns() {
            self.gram_over(&self.by_gene, true)
        } else {
            self.gram_over(&self.by_cell, false)
        }
    }

    /// With what lies between the two products on the device.
    fn apply_gram(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows("apply twice", b, self.rows().min(self.columns()))?;
        self.ctx.check()?;
        let b = Dense::send(self.gpu, b)?;
        match self.rows() <= self.columns() {
            true => self.times(&self.transpose_times(&b)?)?.receive(self.gpu),
            false => self.transpose_times(&self.times(&b)?)?.receive(self.gpu),
        }
    }

    /// The same: products are double precision.
    fn apply_twice(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        self.apply_gram(b)
    }
}
