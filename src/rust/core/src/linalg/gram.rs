//! Gram matrices of the scaled matrix, exact to rounding. Few of the values are stored, so what many rows have in common goes
//! through dense products, and the rest from entry to entry; centring is taken out of the sums at the end.

use super::gemm;
use super::scaled::Scaled;
use crate::Result;
use crate::simd::vectorised;
use ndarray::Array2;
use rayon::prelude::*;
use std::ops::Range;

/// Genes with at least this share of the cells are multiplied as dense ones when the Gram matrix of the cells is made.
const DENSE_SHARE: f64 = 0.2;

/// Dense rows are multiplied faster than entries where more than this share of all pairs of genes is there (measured).
const DENSE_PAIRS: f64 = 0.1;

/// Genes in a dense tile, and cells in a dense tile of rows.
const TILE: usize = 256;

/// Cells whose entries are multiplied gene by gene: they stay in the cache meanwhile.
const CELLS: usize = 1024;

/// Genes whose entries are put in order at once.
const GENES: usize = 256;

/// The entries of some genes: cell and scaled value, by ascending cell.
struct Ordered {
    /// Where those of each gene end.
    ends: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Ordered {
    fn of(&self, gene: usize) -> &[(u32, f32)] {
        &self.entries[if gene > 0 { self.ends[gene - 1] } else { 0 }..self.ends[gene]]
    }
}

/// Entries of some cells, stored twice: cell by cell with ascending columns, and column by column as places in the former.
struct Entries {
    /// First entry of each cell, and the number of entries.
    of_cell: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    /// First entry of each column, and the number of entries.
    of_column: Vec<usize>,
    /// The cell of each entry, from 0, and its place in `values`.
    cells: Vec<(u32, u32)>,
}

impl Entries {
    fn of(scaled: &Scaled, cells: Range<usize>) -> Self {
        let (mut of_cell, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut of_column = vec![0; scaled.genes() + 1];
        for cell in cells {
            scaled.each(cell, |j, x| {
                columns.push(j as u32);
                values.push(x);
                of_column[j + 1] += 1;
            });
            of_cell.push(values.len());
        }
        (1..of_column.len()).for_each(|j| of_column[j] += of_column[j - 1]);
        let (mut next, mut places) = (of_column.clone(), vec![(0, 0); values.len()]);
        for (cell, entries) in of_cell.windows(2).enumerate() {
            for place in entries[0]..entries[1] {
                let at = &mut next[columns[place] as usize];
                places[*at] = (cell as u32, place as u32);
                *at += 1;
            }
        }
        Entries { of_cell, columns, values, of_column, cells: places }
    }

    fn column(&self, j: usize) -> &[(u32, u32)] {
        &self.cells[self.of_column[j]..self.of_column[j + 1]]
    }

    /// Adds Σ_i x_ij x_ik for all k ≤ j.
    #[inline(always)]
    fn add_products(&self, j: usize, sums: &mut [f64]) {
        for &(cell, place) in self.column(j) {
            let (start, place) = (self.of_cell[cell as usize], place as usize);
            let x = self.values[place];
            for (&k, value) in self.columns[start..=place].iter().zip(&self.values[start..=place]) {
                sums[k as usize] += x * value;
            }
        }
    }
}

impl Scaled<'_> {
    /// cells × cells: genes that many cells express go through dense tiles, the others from entry to entry.
    pub(super) fn gram_of_cells(&self) -> Result<Array2<f64>> {
        let n = self.cells();
        let by_gene = self.by_gene();
        let of = |j: usize| by_gene[j / GENES].of(j % GENES);
        let is_dense = |j: usize| of(j).len() as f64 >= DENSE_SHARE * n as f64;
        let dense: Vec<usize> = (0..self.genes()).filter(|&j| is_dense(j)).collect();
        let mut out = Array2::zeros((n, n));
        for genes in dense.chunks(TILE) {
            self.check()?;
            // Transposed: rows are genes.
            let mut tile = Array2::zeros((genes.len(), n));
            gemm::row_blocks(&mut tile, 1)?.for_each(|(row, _, values)| {
                let j = genes[row];
                of(j).iter().for_each(|&(cell, x)| values[cell as usize] = self.value(j, x));
            });
            gemm::accumulate_gram(&mut out, tile.t())?;
        }
        let sparse: Vec<&[(u32, f32)]> = (0..self.genes()).map(|j| if is_dense(j) { &[] } else { of(j) }).collect();
        gemm::row_blocks(&mut out, 16)?.for_each(|(start, _, block)| {
            vectorised(
                #[inline(always)]
                || self.add_sparse_products(start, &sparse, block),
            );
        });
        let shift: Vec<f64> = (0..n).into_par_iter().map(|i| self.dot_centre(i)).collect();
        let square: f64 = self.centre().iter().map(|m| m * m).sum();
        gemm::row_blocks(&mut out, 16)?.for_each(|(start, rows, block)| {
            for (i, sums) in (start..start + rows).zip(block.chunks_mut(n)) {
                sums[..=i].iter_mut().zip(&shift).for_each(|(sum, s)| *sum += square - shift[i] - s);
            }
        });
        gemm::mirror(&mut out);
        Ok(out)
    }

    /// All entries, [`GENES`] genes at a time.
    fn by_gene(&self) -> Vec<Ordered> {
        let of_genes = |start: usize| self.ordered(start..(start + GENES).min(self.genes()));
        (0..self.genes().div_ceil(GENES)).into_par_iter().map(|i| of_genes(i * GENES)).collect()
    }

    fn ordered(&self, genes: Range<usize>) -> Ordered {
        let (mut found, mut ends) = (Vec::new(), vec![0; genes.len() + 1]);
        for cell in 0..self.cells() {
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
        let mut entries = vec![(0, 0.0); found.len()];
        // What is the start of a gene becomes its end.
        for (cell, j, x) in found {
            entries[ends[j as usize]] = (cell, x);
            ends[j as usize] += 1;
        }
        Ordered { ends, entries }
    }

    /// Adds the products of cells from `start` on with all cells up to themselves, over genes with these entries.
    #[inline(always)]
    fn add_sparse_products(&self, start: usize, genes: &[&[(u32, f32)]], out: &mut [f64]) {
        let n = self.cells();
        for (i, sums) in (start..).zip(out.chunks_mut(n)) {
            self.each(
                i,
                #[inline(always)]
                |j, x| {
                    let upto = genes[j].partition_point(|&(cell, _)| cell as usize <= i);
                    let (factor, base) = self.factor_and_base(j);
                    let (factor, base) = (x * factor, x * base);
                    for &(cell, y) in &genes[j][..upto] {
                        sums[cell as usize] += factor * f64::from(y) - base;
                    }
                },
            );
        }
    }

    /// genes × genes, a tile of cells at a time: from entry to entry where cells have few of them, else in dense rows.
    pub(super) fn gram_of_genes(&self) -> Result<Array2<f64>> {
        let (n, g) = (self.cells(), self.genes());
        let mut out = Array2::zeros((g, g));
        for start in (0..n).step_by(CELLS) {
            self.check()?;
            let cells = start..n.min(start + CELLS);
            // Pairs of entries that share a cell.
            let pairs: usize = cells.clone().into_par_iter().map(|cell| self.stored(cell).pow(2)).sum();
            if pairs as f64 > DENSE_PAIRS * cells.len() as f64 * (g * g) as f64 {
                self.add_dense_rows(cells, &mut out)?;
            } else {
                let entries = Entries::of(self, cells);
                gemm::row_blocks(&mut out, 1)?.for_each(|(j, _, sums)| {
                    vectorised(
                        #[inline(always)]
                        || entries.add_products(j, sums),
                    );
                });
            }
        }
        // Σ (x − m)(y − m') = Σ x y − n m m'.
        let centre = self.centre();
        gemm::row_blocks(&mut out, 16)?.for_each(|(start, rows, block)| {
            for (j, sums) in (start..start + rows).zip(block.chunks_mut(g)) {
                sums[..=j].iter_mut().zip(centre).for_each(|(sum, m)| *sum -= n as f64 * centre[j] * m);
            }
        });
        gemm::mirror(&mut out);
        Ok(out)
    }

    /// Number of entries of a cell.
    fn stored(&self, cell: usize) -> usize {
        let mut stored = 0;
        self.each(cell, |_, _| stored += 1);
        stored
    }

    /// Adds the products of some cells as dense rows.
    fn add_dense_rows(&self, cells: Range<usize>, out: &mut Array2<f64>) -> Result<()> {
        let g = self.genes();
        for start in cells.clone().step_by(TILE) {
            self.check()?;
            let mut tile = Array2::zeros((TILE.min(cells.end - start), g));
            gemm::row_blocks(&mut tile, 16)?.for_each(|(first, count, block)| {
                for (i, values) in (first..first + count).zip(block.chunks_mut(g)) {
                    self.each(start + i, |j, x| values[j] += x);
                }
            });
            gemm::accumulate_gram(out, tile.t())?;
        }
        Ok(())
    }

    fn dot_centre(&self, cell: usize) -> f64 {
        let mut sum = 0.0;
        self.each(cell, |j, x| sum += x * self.centre()[j]);
        sum
    }
}
