//! Expression gene by gene without a second orientation of the matrix. In: cells × genes in CSR, and a label per cell. Out:
//! whatever `work` makes of each tile, a range of genes transposed. Tiles are as wide as the memory budget allows. Each thread
//! goes through runs of tiles from left to right and remembers for every row how far it came. What a gene's result is does not
//! depend on where tiles and runs begin and end.

use super::{Labels, UNLABELLED};
use crate::sparse::{Column, Csr, Expression, row};
use crate::{Context, Result, with_expression};
use rayon::prelude::*;
use std::hint::black_box;
use std::ops::Range;

/// Most genes of a tile: what is written at the same time should stay in the cache.
const MAX_GENES: usize = 1024;
/// Runs of tiles per thread, so that no thread waits long for the last one.
const RUNS_PER_THREAD: usize = 4;
/// Rows that memory is asked for at once: one after the other each would wait for its own.
const AHEAD: usize = 32;
/// Rows counted by one task.
const ROWS: usize = 4096;

/// The values other than 0 that the labelled cells have of a range of genes.
#[derive(Debug, Default)]
pub(super) struct GeneTile {
    /// The genes.
    pub genes: Range<usize>,
    pointers: Vec<usize>,
    entries: Vec<u64>,
}

impl GeneTile {
    /// Values and labels (see [`entry`]) of a gene of the range, by ascending cells.
    pub fn gene(&mut self, gene: usize) -> &mut [u64] {
        let at = gene - self.genes.start;
        &mut self.entries[self.pointers[at]..self.pointers[at + 1]]
    }

    /// Transposes the next range of genes. `next`: where in each row the range begins; afterwards, where it ends.
    fn fill<C: Column>(&mut self, x: &Csr<C>, labels: &[u32], counts: &[usize], genes: Range<usize>, next: &mut [u32]) {
        self.pointers.clear();
        self.pointers.push(0);
        let mut total = 0;
        for count in &counts[genes.clone()] {
            total += count;
            self.pointers.push(total);
        }
        self.entries.resize(total, 0);
        let mut places = self.pointers.clone();
        for (block, next) in next.chunks_mut(AHEAD).enumerate() {
            let rows = block * AHEAD..;
            black_box(
                rows.clone().zip(&*next).map(|(i, &next)| touched(x, i, next as usize)).fold(0, u32::wrapping_add),
            );
            for (i, next) in rows.zip(next).filter(|(i, _)| labels[*i] != UNLABELLED) {
                let (columns, values) = row(x, i);
                let first = *next as usize;
                for (column, &value) in columns[first..].iter().zip(&values[first..]) {
                    let gene = column.index_unchecked();
                    if gene >= genes.end {
                        break;
                    }
                    if value != 0.0 {
                        let place = &mut places[gene - genes.start];
                        self.entries[*place] = entry(value, labels[i]);
                        *place += 1;
                    }
                    *next += 1;
                }
            }
        }
        self.genes = genes;
    }
}

/// Something of a column and a value of a row, which are in the cache afterwards.
fn touched<C: Column>(x: &Csr<C>, i: usize, entry: usize) -> u32 {
    let (columns, values) = row(x, i);
    let column = columns.get(entry).map_or(0, |column| column.index_unchecked() as u32);
    column ^ values.get(entry).map_or(0, |value| value.to_bits())
}

/// A value and the label of its cell, the value in the upper half: larger values are larger numbers.
fn entry(value: f32, label: u32) -> u64 {
    ascending_bits(value) << 32 | u64::from(label)
}

/// The bits of a number such that larger numbers have larger bits.
pub(super) fn ascending_bits(value: f32) -> u64 {
    let bits = value.to_bits();
    u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

/// Runs `work` on all tiles; results in the order of the genes.
pub(super) fn map_gene_tiles<T: Send>(
    x: &Expression,
    labels: Labels,
    ctx: &Context,
    work: impl Fn(&mut GeneTile) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    with_expression!(x, matrix => {
        let counts = stored_per_gene(matrix, |i| labels.of[i] != UNLABELLED);
        let runs = runs(&counts, ctx);
        let starts: Vec<usize> = runs.iter().map(|tiles| tiles.first().map_or(0, |genes| genes.start)).collect();
        let first = first_of_rows(matrix, &starts);
        let done: Vec<Vec<T>> = runs
            .into_par_iter()
            .enumerate()
            .map_init(GeneTile::default, |tile, (run, tiles)| {
                let mut next: Vec<u32> = first.chunks_exact(starts.len()).map(|first| first[run]).collect();
                let of_tile = |genes| {
                    ctx.check()?;
                    tile.fill(matrix, labels.of, &counts, genes, &mut next);
                    work(tile)
                };
                tiles.into_iter().map(of_tile).collect()
            })
            .collect::<Result<_>>()?;
        Ok(done.into_iter().flatten().collect())
    })
}

/// Where in each row the genes from each of `starts` on begin: rows × starts.
pub(super) fn first_of_rows<C: Column>(x: &Csr<C>, starts: &[usize]) -> Vec<u32> {
    let mut first = vec![0; x.rows() * starts.len()];
    first.par_chunks_exact_mut(starts.len().max(1)).enumerate().for_each(|(i, first)| {
        let columns = row(x, i).0;
        for (first, &start) in first.iter_mut().zip(starts) {
            *first = columns.partition_point(|column| column.index_unchecked() < start) as u32;
        }
    });
    first
}

/// Entries other than 0 that each gene has in the cells of which `counts` says so.
pub(super) fn stored_per_gene<C: Column>(x: &Csr<C>, counts: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let zero = || vec![0_usize; x.cols()];
    (0..x.rows().div_ceil(ROWS))
        .into_par_iter()
        .fold(zero, |mut stored, block| {
            let rows = block * ROWS..((block + 1) * ROWS).min(x.rows());
            for (columns, values) in rows.filter(|&i| counts(i)).map(|i| row(x, i)) {
                for (column, _) in columns.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                    stored[column.index_unchecked()] += 1;
                }
            }
            stored
        })
        .reduce(zero, |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
}

/// Ranges of genes, about so many, of about the same number of entries.
pub(super) fn ranges(counts: &[usize], number: usize) -> Vec<Range<usize>> {
    cut(counts, counts.iter().sum::<usize>() / number.max(1) + 1, usize::MAX)
}

/// Ranges of genes that end before they have more than `most` entries, unless they are a single gene, or more than `widest`
/// genes.
fn cut(counts: &[usize], most: usize, widest: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut entries) = (0, 0);
    for (gene, &count) in counts.iter().enumerate() {
        if gene > start && (entries + count > most || gene - start == widest) {
            ranges.push(start..gene);
            (start, entries) = (gene, 0);
        }
        entries += count;
    }
    ranges.push(start..counts.len());
    ranges
}

/// Tiles whose entries fit the share of the memory budget that one thread has, in runs of about the same size.
fn runs(counts: &[usize], ctx: &Context) -> Vec<Vec<Range<usize>>> {
    let threads = rayon::current_num_threads();
    // A transposed entry takes 8 bytes.
    let most = (ctx.memory() / (8 * threads)).max(1);
    let run = |genes: Range<usize>| {
        let shift = |tile: Range<usize>| genes.start + tile.start..genes.start + tile.end;
        cut(&counts[genes.clone()], most, MAX_GENES).into_iter().map(shift).collect()
    };
    ranges(counts, threads * RUNS_PER_THREAD).into_iter().map(run).collect()
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
            for (last, of) in [(5.0, [7, 8, 9]), (5.0, [7, 8, UNLABELLED])] {
                let tiles = map_gene_tiles(&x, Labels { of: &of, types: 10 }, &Context::new(memory), |tile| {
                    Ok(tile.genes.clone().map(|gene| tile.gene(gene).to_vec()).collect::<Vec<_>>())
                });
                let genes: Vec<_> = tiles.unwrap().into_iter().flatten().collect();
                let labelled = |label: u32| (label != UNLABELLED).then(|| entry(last, label));
                let gene_3 = [Some(entry(3.0, 7)), labelled(of[2])].into_iter().flatten().collect();
                assert_eq!(genes, [vec![entry(1.0, 7)], vec![entry(2.0, 7), entry(4.0, 8)], vec![], gene_3]);
            }
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        let x = Expression::from_rows::<usize, usize, f32>("x", 0, &[0], &[], &[]).unwrap();
        assert_eq!(
            map_gene_tiles(&x, Labels { of: &[], types: 0 }, &Context::default(), |tile| Ok(tile.genes.len())).unwrap(),
            [0]
        );
    }

    #[test]
    fn ranges_share_the_entries() {
        assert_eq!(ranges(&[4, 1, 1, 1, 1, 9, 0, 2], 3), [0..4, 4..5, 5..6, 6..8]);
        assert_eq!(ranges(&[], 2).len(), 1);
    }

    #[test]
    fn bits_ascend() {
        let values = [f32::MIN, -1.5, -1e-40, 0.0, 1e-40, 2.0, f32::MAX];
        assert!(values.windows(2).all(|w| ascending_bits(w[0]) < ascending_bits(w[1])));
    }
}
