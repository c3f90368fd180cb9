//! Expression gene by gene without a second orientation of the matrix. In: cells × genes in CSR. Out: whatever `work` makes
//! of each tile, a range of genes transposed. Tiles are as wide as the memory budget allows. Each thread goes through runs of
//! tiles from left to right and remembers for every row how far it came. What a gene's result is does not depend on where
//! tiles and runs begin and end.

use crate::sparse::{Column, Csr, Expression, row};
use crate::{Context, Result, with_expression};
use rayon::prelude::*;
use std::ops::Range;

/// Most genes of a tile: what is written at the same time should stay in the cache.
const MAX_GENES: usize = 256;
/// Runs of tiles per thread, so that no thread waits long for the last one.
const RUNS_PER_THREAD: usize = 4;
/// Rows counted by one task.
const ROWS: usize = 4096;

/// The entries other than 0 of a range of genes.
#[derive(Debug, Default)]
pub(super) struct GeneTile {
    /// The genes.
    pub genes: Range<usize>,
    pointers: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl GeneTile {
    /// Cells (ascending) and values of a gene of the range.
    pub fn gene(&self, gene: usize) -> &[(u32, f32)] {
        let at = gene - self.genes.start;
        &self.entries[self.pointers[at]..self.pointers[at + 1]]
    }

    /// Transposes the next range of genes. `next`: where in each row the range begins; afterwards, where it ends.
    fn fill<C: Column>(&mut self, x: &Csr<C>, counts: &[usize], genes: Range<usize>, next: &mut [u32]) {
        self.pointers.clear();
        self.pointers.push(0);
        let mut total = 0;
        for count in &counts[genes.clone()] {
            total += count;
            self.pointers.push(total);
        }
        self.entries.resize(total, (0, 0.0));
        let mut places = self.pointers.clone();
        for (i, next) in next.iter_mut().enumerate() {
            let (columns, values) = row(x, i);
            let first = *next as usize;
            for (column, &value) in columns[first..].iter().zip(&values[first..]) {
                let gene = column.index_unchecked();
                if gene >= genes.end {
                    break;
                }
                if value != 0.0 {
                    let place = &mut places[gene - genes.start];
                    self.entries[*place] = (i as u32, value);
                    *place += 1;
                }
                *next += 1;
            }
        }
        self.genes = genes;
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
        let runs: Vec<Vec<T>> = runs(&counts, ctx)
            .into_par_iter()
            .map(|tiles| {
                let start = tiles.first().map_or(0, |genes| genes.start);
                let mut next = first_of_rows(matrix, start);
                let mut tile = GeneTile::default();
                let of_tile = |genes| {
                    ctx.check()?;
                    tile.fill(matrix, &counts, genes, &mut next);
                    work(&tile)
                };
                tiles.into_iter().map(of_tile).collect()
            })
            .collect::<Result<_>>()?;
        Ok(runs.into_iter().flatten().collect())
    })
}

/// Where in each row the genes from `start` on begin.
fn first_of_rows<C: Column>(x: &Csr<C>, start: usize) -> Vec<u32> {
    let first = |i| row(x, i).0.partition_point(|column| column.index_unchecked() < start) as u32;
    (0..x.rows()).map(first).collect()
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

/// Tiles whose entries fit the share of the memory budget that one thread has, in runs of about the same size.
fn runs(counts: &[usize], ctx: &Context) -> Vec<Vec<Range<usize>>> {
    let threads = rayon::current_num_threads();
    // A transposed entry takes 8 bytes, and as much again while it is ranked.
    let most = (ctx.memory() / (16 * threads)).max(1);
    let mut tiles = Vec::new();
    let (mut start, mut entries) = (0, 0);
    for (gene, &count) in counts.iter().enumerate() {
        if gene > start && (entries + count > most || gene - start == MAX_GENES) {
            tiles.push((start..gene, entries));
            (start, entries) = (gene, 0);
        }
        entries += count;
    }
    tiles.push((start..counts.len(), entries));
    let share = counts.iter().sum::<usize>() / (threads * RUNS_PER_THREAD) + 1;
    let mut before = 0;
    let mut runs: Vec<Vec<Range<usize>>> = Vec::new();
    for (genes, entries) in tiles {
        // A run ends where another share of all entries begins.
        match runs.last_mut() {
            Some(run) if before % share + entries <= share => run.push(genes),
            _ => runs.push(vec![genes]),
        }
        before += entries;
    }
    runs
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
                Ok(tile.genes.clone().map(|gene| tile.gene(gene).to_vec()).collect::<Vec<_>>())
            });
            let genes: Vec<_> = tiles.unwrap().into_iter().flatten().collect();
            let expected = [vec![(0, 1.0)], vec![(0, 2.0), (1, 4.0)], vec![], vec![(0, 3.0), (2, 5.0)]];
            assert_eq!(genes, expected);
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        let x = Expression::from_rows::<usize, usize, f32>("x", 0, &[0], &[], &[]).unwrap();
        assert_eq!(map_gene_tiles(&x, &Context::default(), |tile| Ok(tile.genes.len())).unwrap(), [0]);
    }
}
