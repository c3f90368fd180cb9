//! Expression gene by gene without a second orientation of the matrix. In: cells × genes in CSR. Out: whatever `work` makes
//! of a tile, a range of genes transposed; tiles are as wide as the memory budget allows and are worked on in parallel.
//! What a gene's result is does not depend on where tiles begin and end.

use crate::sparse::{Column, Csr, Expression, row};
use crate::{Context, Result, with_expression};
use rayon::prelude::*;
use std::ops::Range;

/// Most genes of a tile, so that there are tiles enough for all threads.
const MAX_GENES: usize = 256;
/// Rows counted by one task.
const ROWS: usize = 4096;

/// The entries other than 0 of a range of genes.
#[derive(Debug)]
pub(super) struct GeneTile {
    /// The genes.
    pub genes: Range<usize>,
    pointers: Vec<usize>,
    cells: Vec<u32>,
    values: Vec<f32>,
}

impl GeneTile {
    /// Cells (ascending) and values of a gene of the range.
    pub fn gene(&self, gene: usize) -> (&[u32], &[f32]) {
        let at = gene - self.genes.start;
        let range = self.pointers[at]..self.pointers[at + 1];
        (&self.cells[range.clone()], &self.values[range])
    }
}

/// Runs `work` on all tiles; results in the order of the genes.
pub(super) fn map_gene_tiles<T: Send>(
    x: &Expression,
    ctx: &Context,
    work: impl Fn(&GeneTile) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    with_expression!(x, matrix => {
        let counts = stored_per_gene(matrix);
        ranges(&counts, ctx)
            .into_par_iter()
            .map(|genes| {
                ctx.check()?;
                work(&transpose(matrix, &counts, genes))
            })
            .collect()
    })
}

/// Entries other than 0 of each gene.
fn stored_per_gene<C: Column>(x: &Csr<C>) -> Vec<usize> {
    let zero = || vec![0_usize; x.cols()];
    (0..x.rows().div_ceil(ROWS))
        .into_par_iter()
        .fold(zero, |mut counts, block| {
            let rows = block * ROWS..((block + 1) * ROWS).min(x.rows());
            for (columns, values) in rows.map(|i| row(x, i)) {
                for (column, _) in columns.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                    counts[column.index_unchecked()] += 1;
                }
            }
            counts
        })
        .reduce(zero, |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
}

/// Ranges of genes whose entries fit the share of the memory budget that one thread has.
fn ranges(counts: &[usize], ctx: &Context) -> Vec<Range<usize>> {
    // A transposed entry takes 8 bytes, and as much again while it is ranked.
    let most = (ctx.memory() / (16 * rayon::current_num_threads())).max(1);
    let mut ranges = Vec::new();
    let (mut start, mut entries) = (0, 0);
    for (gene, &count) in counts.iter().enumerate() {
        if gene > start && (entries + count > most || gene - start == MAX_GENES) {
            ranges.push(start..gene);
            (start, entries) = (gene, 0);
        }
        entries += count;
    }
    ranges.push(start..counts.len());
    ranges
}

fn transpose<C: Column>(x: &Csr<C>, counts: &[usize], genes: Range<usize>) -> GeneTile {
    let mut pointers = Vec::with_capacity(genes.len() + 1);
    let mut total = 0;
    pointers.push(0);
    for count in &counts[genes.clone()] {
        total += count;
        pointers.push(total);
    }
    let mut next = pointers.clone();
    let (mut cells, mut stored) = (vec![0; total], vec![0.0; total]);
    for i in 0..x.rows() {
        let (columns, values) = row(x, i);
        let first = columns.partition_point(|column| column.index_unchecked() < genes.start);
        for (column, &value) in columns[first..].iter().zip(&values[first..]) {
            let gene = column.index_unchecked();
            if gene >= genes.end {
                break;
            }
            if value != 0.0 {
                let at = &mut next[gene - genes.start];
                (cells[*at], stored[*at]) = (i as u32, value);
                *at += 1;
            }
        }
    }
    GeneTile { genes, pointers, cells, values: stored }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_the_columns_whatever_their_width() {
        // Gene 0 has a stored zero, gene 2 nothing.
        let columns = [0_usize, 1, 3, 1, 0, 3];
        let values = [1.0_f32, 2.0, 3.0, 4.0, 0.0, 5.0];
        let x = Expression::from_rows("x", 4, &[0_usize, 3, 4, 6], &columns, &values).unwrap();
        for memory in [1, 64, 1 << 20] {
            let tiles = map_gene_tiles(&x, &Context::new(memory), |tile| {
                Ok(tile.genes.clone().map(|g| (tile.gene(g).0.to_vec(), tile.gene(g).1.to_vec())).collect::<Vec<_>>())
            });
            let genes: Vec<_> = tiles.unwrap().into_iter().flatten().collect();
            let expected =
                [(vec![0], vec![1.0]), (vec![0, 1], vec![2.0, 4.0]), (vec![], vec![]), (vec![0, 2], vec![3.0, 5.0])];
            assert_eq!(genes, expected);
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        let x = Expression::from_rows::<usize, usize, f32>("x", 0, &[0], &[], &[]).unwrap();
        assert_eq!(map_gene_tiles(&x, &Context::default(), |tile| Ok(tile.genes.len())).unwrap(), [0]);
    }
}
