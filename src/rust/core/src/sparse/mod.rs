//! The sparse types of the engine: graphs (CSR, `f64`) and expression matrices (CSR, `f32`, narrow columns).

mod averages;
mod blocks;
mod buffer;
mod builder;
pub mod mapped;
mod symmetric;

pub(crate) use averages::{LANES, Lanes, PORTIONS, Shares, add_sums, portion, total};
pub(crate) use blocks::in_blocks;
pub use buffer::Buffer;
pub use builder::{Flaw, Region, RowBuilder};

use crate::{Error, Result};
use bytemuck::Pod;
use rayon::prelude::*;
use sprs::{CompressedStorage, CsMatBase, CsMatI, SpIndex};
use std::ops::Deref;
pub use symmetric::{components, larger_of_both};

/// A weighted directed graph or any other `f64` matrix: CSR, row = source, columns ascending.
pub type Graph = CsMatI<f64, u32, usize>;

/// A cells × genes matrix with columns of type `C`, its entries in memory or in a file.
pub type Csr<C> = CsMatBase<f32, C, Vec<usize>, Buffer<C>, Buffer<f32>, usize>;

/// Column index of an expression matrix: `u16` below 65 536 genes, else `u32`.
pub trait Column: SpIndex + Pod + Send + Sync + 'static {}
impl Column for u16 {}
impl Column for u32 {}

/// Expression of one species, cells × genes. The width of the columns is chosen once, when it is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Fewer than 65 536 genes: 6 bytes an entry.
    Narrow(Csr<u16>),
    /// 65 536 genes or more: 8 bytes an entry.
    Wide(Csr<u32>),
}

/// Runs `$body` with `$matrix` bound to the CSR matrix inside an [`Expression`], whatever its width.
#[macro_export]
macro_rules! with_expression {
    ($expression:expr, $matrix:ident => $body:expr) => {
        match $expression {
            $crate::sparse::Expression::Narrow($matrix) => $body,
            $crate::sparse::Expression::Wide($matrix) => $body,
        }
    };
}

impl Expression {
    /// Counts as R and HDF5 hold them: `cells + 1` row pointers, ascending columns, finite values ≥ 0. Stored zeros stay.
    ///
    /// # Errors
    /// [`Error::Argument`] naming `argument` when pointers, columns or values are not as said.
    pub fn from_rows<P, I, V>(argument: &str, genes: usize, pointers: &[P], columns: &[I], values: &[V]) -> Result<Self>
    where
        P: SpIndex + Sync,
        I: SpIndex + Sync,
        V: Copy + Into<f64> + Sync,
    {
        if genes < 1 << 16 {
            Ok(Expression::Narrow(checked_rows(argument, genes, pointers, columns, values)?))
        } else {
            Ok(Expression::Wide(checked_rows(argument, genes, pointers, columns, values)?))
        }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        with_expression!(self, matrix => matrix.rows())
    }

    /// Number of genes.
    pub fn genes(&self) -> usize {
        with_expression!(self, matrix => matrix.cols())
    }

    /// Number of stored entries.
    pub fn stored(&self) -> usize {
        with_expression!(self, matrix => matrix.nnz())
    }
}

fn checked_rows<P, I, V, C>(argument: &str, genes: usize, pointers: &[P], columns: &[I], values: &[V]) -> Result<Csr<C>>
where
    P: SpIndex + Sync,
    I: SpIndex + Sync,
    V: Copy + Into<f64> + Sync,
    C: Column,
{
    let broken = |found: String| Error::argument(argument, found, "Pass a valid sparse matrix of counts.");
    let pointers: Vec<usize> = pointers
        .iter()
        .map(|p| p.try_index().ok_or_else(|| broken("a row pointer is negative".to_owned())))
        .collect::<Result<_>>()?;
    let well_formed = pointers.first() == Some(&0)
        && pointers.windows(2).all(|w| w[0] <= w[1])
        && pointers.last() == Some(&columns.len())
        && columns.len() == values.len();
    if !well_formed {
        return Err(broken("the pointers of the sparse matrix do not fit its entries".to_owned()));
    }
    let (mut own, mut single) = (vec![C::zeroed(); columns.len()], vec![0.0; values.len()]);
    rows_mut(&pointers, &mut own, &mut single).into_par_iter().zip(pointers.par_windows(2)).try_for_each(
        |((own, single), w)| {
            let mut next = 0;
            for (own, column) in own.iter_mut().zip(&columns[w[0]..w[1]]) {
                match column.try_index() {
                    Some(c) if c >= next && c < genes => {
                        *own = C::from_usize(c);
                        next = c + 1;
                    }
                    _ => return Err(broken("gene indices are not ascending or lie outside of the matrix".to_owned())),
                }
            }
            for (single, &value) in single.iter_mut().zip(&values[w[0]..w[1]]) {
                let value: f64 = value.into();
                *single = value as f32;
                if !(single.is_finite() && value >= 0.0) {
                    let found = format!("the counts hold the value {value}");
                    return Err(Error::argument(
                        argument,
                        found,
                        "Pass counts that are finite, not negative and below 1e38.",
                    ));
                }
            }
            Ok(())
        },
    )?;
    let cells = pointers.len() - 1;
    // SAFETY: as was checked just now, pointers ascend from 0 to the number of entries, and so do the columns of each row, up to
    // the number of genes.
    Ok(unsafe { known_rows((cells, genes), pointers, own.into(), single.into()) })
}

/// A matrix without another pass over its entries, which is all that making one of few changes takes.
///
/// # Safety
/// `pointers` ascend from 0 to the number of columns and values, one more than rows; the columns of a row ascend, all below
/// the number of columns of the matrix.
pub(crate) unsafe fn known_rows<C: Column>(
    shape: (usize, usize),
    pointers: Vec<usize>,
    columns: Buffer<C>,
    values: Buffer<f32>,
) -> Csr<C> {
    // SAFETY: what is asked for is what the caller promises.
    unsafe { Csr::new_unchecked(CompressedStorage::CSR, shape, pointers, columns, values) }
}

/// Columns and values of every row, to be written by several threads.
pub(crate) fn rows_mut<'a, C>(
    pointers: &[usize],
    mut columns: &'a mut [C],
    mut values: &'a mut [f32],
) -> Vec<(&'a mut [C], &'a mut [f32])> {
    let row = |w: &[usize]| {
        let own = columns.split_off_mut(..w[1] - w[0]).unwrap_or_default();
        (own, values.split_off_mut(..w[1] - w[0]).unwrap_or_default())
    };
    pointers.windows(2).map(row).collect()
}

/// A graph from its rows, each a list of (column, weight) with ascending columns.
pub fn graph_from_rows(columns: usize, rows: Vec<Vec<(u32, f64)>>) -> Graph {
    let mut pointers = Vec::with_capacity(rows.len() + 1);
    pointers.push(0);
    let mut total = 0;
    for row in &rows {
        total += row.len();
        pointers.push(total);
    }
    let count = rows.len();
    let mut indices = Vec::with_capacity(total);
    let mut values = Vec::with_capacity(total);
    for (column, weight) in rows.into_iter().flatten() {
        indices.push(column);
        values.push(weight);
    }
    Graph::new((count, columns), pointers, indices, values)
}

/// A graph from its rows, one after the other: the (column, weight) of each, by ascending column.
pub(crate) fn graph_of<R: IntoIterator<Item = (u32, f64)>>(columns: usize, rows: impl Iterator<Item = R>) -> Graph {
    let (mut pointers, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        for (column, weight) in row {
            indices.push(column);
            values.push(weight);
        }
        pointers.push(indices.len());
    }
    Graph::new((pointers.len() - 1, columns), pointers, indices, values)
}

/// The entries of one row.
pub(crate) fn edges(graph: &Graph, i: usize) -> impl Iterator<Item = (u32, f64)> {
    let (columns, weights) = row(graph, i);
    columns.iter().copied().zip(weights.iter().copied())
}

/// The larger weight of both directions of every edge: a graph without directions.
pub fn either_direction(graph: &Graph) -> Graph {
    let back = graph.transpose_view().to_csr();
    let rows = (0..graph.rows()).map(|i| {
        let ((to, weights), (from, others)) = (row(graph, i), row(&back, i));
        let mut merged = Vec::with_capacity(to.len() + from.len());
        let (mut a, mut b) = (0, 0);
        while a < to.len() || b < from.len() {
            let (next_to, next_from) = (to.get(a).copied(), from.get(b).copied());
            let column = next_to.into_iter().chain(next_from).min().unwrap_or_default();
            let here = if next_to == Some(column) { weights[a] } else { f64::NEG_INFINITY };
            let there = if next_from == Some(column) { others[b] } else { f64::NEG_INFINITY };
            a += usize::from(next_to == Some(column));
            b += usize::from(next_from == Some(column));
            merged.push((column, here.max(there)));
        }
        merged
    });
    graph_from_rows(graph.cols(), rows.collect())
}

/// Columns and values of one row.
#[inline(always)]
pub fn row<V, C, P, J, D>(matrix: &CsMatBase<V, C, P, J, D, usize>, i: usize) -> (&[C], &[V])
where
    C: SpIndex,
    P: Deref<Target = [usize]>,
    J: Deref<Target = [C]>,
    D: Deref<Target = [V]>,
{
    let range = matrix.indptr().outer_inds_sz(i);
    (&matrix.indices()[range.clone()], &matrix.data()[range])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_checked() {
        let good = Expression::from_rows("counts", 3, &[0i32, 2, 2], &[0i32, 2], &[1.0f64, 4.0]).unwrap();
        assert_eq!((good.cells(), good.genes(), good.stored()), (2, 3, 2));
        for (columns, values) in [
            ([2, 0], [1.0, 1.0]),
            ([0, 3], [1.0, 1.0]),
            ([0, 1], [-1.0, 1.0]),
            ([0, 1], [f64::NAN, 1.0]),
            ([0, 1], [1e300, 1.0]),
        ] {
            let bad = Expression::from_rows("counts", 3, &[0i32, 2, 2], &columns, &values);
            assert!(matches!(bad, Err(Error::Argument { .. })), "{columns:?} {values:?}");
        }
        assert!(Expression::from_rows("counts", 3, &[0i32, 3], &[0i32, 1], &[1.0, 1.0]).is_err());
        assert!(Expression::from_rows("counts", 3, &[0i32, -1, 2], &[0i32, 1], &[1.0, 1.0]).is_err());
    }

    #[test]
    fn columns_are_as_narrow_as_they_can_be() {
        let of = |genes| Expression::from_rows("counts", genes, &[0usize, 1], &[0u32], &[1.0f32]).unwrap();
        assert!(matches!(of(65_535), Expression::Narrow(_)) && matches!(of(65_536), Expression::Wide(_)));
    }

    #[test]
    fn either_direction_takes_the_larger_weight() {
        let graph = graph_from_rows(3, vec![vec![(1, 1.0), (2, 0.5)], vec![(0, 3.0)], vec![]]);
        let both = either_direction(&graph);
        assert_eq!(both.to_dense(), both.transpose_view().to_csr().to_dense());
        assert_eq!((both.get(0, 1), both.get(2, 0), both.nnz()), (Some(&3.0), Some(&0.5), 4));
    }

    #[test]
    fn rows_make_a_graph() {
        let graph = graph_from_rows(3, vec![vec![(0, 1.0), (2, 2.0)], vec![], vec![(1, 3.0)]]);
        assert_eq!(graph.shape(), (3, 3));
        assert_eq!(row(&graph, 0), (&[0u32, 2][..], &[1.0, 2.0][..]));
        assert_eq!(row(&graph, 1).0.len(), 0);
    }
}
