//! Matrix products, parallel over blocks of rows of the result.

use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::traits::RealField;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2, NdFloat};
use rayon::prelude::*;

/// A number of single or double precision.
pub trait Real: NdFloat + RealField {
    /// The nearest one of this precision.
    fn nearest(x: f64) -> Self;
    /// The same number in double precision.
    fn double(self) -> f64;
}

impl Real for f32 {
    fn nearest(x: f64) -> Self {
        x as f32
    }
    fn double(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn nearest(x: f64) -> Self {
        x
    }
    fn double(self) -> f64 {
        self
    }
}

/// Most rows of the result that one task computes.
const ROWS: usize = 128;

/// Rows per task: a sixteenth of them within sensible bounds, whatever the number of threads.
fn rows_per_task(rows: usize) -> usize {
    rows.div_ceil(16).clamp(16, ROWS)
}

/// The same matrix for faer.
///
/// # Errors
/// [`Error::Shape`] when neither rows nor columns are contiguous.
pub fn view<'a, T: Real>(a: ArrayView2<'a, T>) -> Result<MatRef<'a, T>> {
    let (rows, columns) = a.dim();
    if let Some(slice) = a.to_slice() {
        return Ok(MatRef::from_row_major_slice(slice, rows, columns));
    }
    match a.reversed_axes().to_slice() {
        Some(slice) => Ok(MatRef::from_column_major_slice(slice, rows, columns)),
        None => Err(Error::shape("matrix product", "contiguous rows or columns", "a strided view")),
    }
}

/// `a b` for `a` (m × n) and `b` (n × p).
///
/// # Errors
/// [`Error::Shape`] when the sizes do not fit.
pub fn product<T: Real>(a: ArrayView2<T>, b: ArrayView2<T>) -> Result<Array2<T>> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    multiply(&mut out, Accum::Replace, T::one(), a, b)?;
    Ok(out)
}

/// `out += alpha a b` for `a` (m × n), `b` (n × p) and `out` (m × p, rows contiguous).
///
/// # Errors
/// [`Error::Shape`] when the sizes do not fit.
pub fn accumulate<T: Real>(out: &mut Array2<T>, alpha: T, a: ArrayView2<T>, b: ArrayView2<T>) -> Result<()> {
    multiply(out, Accum::Add, alpha, a, b)
}

/// `out = alpha a b`, or adds to it.
fn multiply<T: Real>(out: &mut Array2<T>, how: Accum, alpha: T, a: ArrayView2<T>, b: ArrayView2<T>) -> Result<()> {
    let columns = b.ncols();
    if a.ncols() != b.nrows() || out.dim() != (a.nrows(), columns) {
        let found = format!("{:?} times {:?} into {:?}", a.dim(), b.dim(), out.dim());
        return Err(Error::shape("matrix product", "fitting sizes", found));
    }
    if out.is_empty() || a.ncols() == 0 {
        return Ok(());
    }
    let (a, b) = (view(a)?, view(b)?);
    row_blocks(out, rows_per_task(a.nrows()))?.for_each(|(start, rows, block)| {
        let block = MatMut::from_row_major_slice_mut(block, rows, columns);
        matmul(block, how, a.subrows(start, rows), b, alpha, Par::Seq);
    });
    Ok(())
}

/// Adds `a aᵀ` to the lower triangle of `out` (m × m) for `a` (m × n); what lies above is undefined.
///
/// # Errors
/// [`Error::Shape`] when the sizes do not fit.
pub fn accumulate_gram(out: &mut Array2<f64>, a: ArrayView2<f64>) -> Result<()> {
    let size = a.nrows();
    if out.dim() != (size, size) {
        return Err(Error::shape("Gram matrix", format!("{size} × {size}"), format!("{:?}", out.dim())));
    }
    if a.is_empty() {
        return Ok(());
    }
    let a = view(a)?;
    row_blocks(out, rows_per_task(a.nrows()))?.for_each(|(start, rows, block)| {
        let block = MatMut::from_row_major_slice_mut(block, rows, size).subcols_mut(0, start + rows);
        matmul(block, Accum::Add, a.subrows(start, rows), a.subrows(0, start + rows).transpose(), 1.0, Par::Seq);
    });
    Ok(())
}

/// Blocks of at most `rows` rows of `out`: first row, number of rows, values.
pub fn row_blocks<T: Real>(
    out: &mut Array2<T>,
    rows: usize,
) -> Result<impl IndexedParallelIterator<Item = (usize, usize, &mut [T])>> {
    let columns = out.ncols().max(1);
    let values = out.as_slice_mut().ok_or_else(|| Error::shape("row blocks", "contiguous rows", "a strided view"))?;
    Ok(values
        .par_chunks_mut(rows * columns)
        .enumerate()
        .map(move |(i, block)| (i * rows, block.len() / columns, block)))
}

/// Copies the lower triangle of a square matrix to the upper one.
pub fn mirror(a: &mut Array2<f64>) {
    const TILE: usize = 64;
    let size = a.nrows();
    for row in (0..size).step_by(TILE) {
        for column in (0..=row).step_by(TILE) {
            for i in row..(row + TILE).min(size) {
                for j in column..(column + TILE).min(i) {
                    a[[j, i]] = a[[i, j]];
                }
            }
        }
    }
}
