//! The pancreas pair, and atlases of any size made from it: every cell is a cell of the pancreas drawn at random, of whose
//! molecules a share is kept (each by itself, so that a count x becomes binomial). A cell depends on (seed, species, cell)
//! alone: neither on the size of the atlas nor on the number of threads.

use crate::{Failure, Result};
use rayon::prelude::*;
use samap_core::rng::Rng;
use std::fs;
use std::path::Path;

/// Species of the pair, in the order of their numbers.
pub const SPECIES: [&str; 2] = ["human", "mouse"];

/// Bounds of the share of its molecules that a cell keeps.
const KEPT: (f64, f64) = (0.6, 1.0);

/// Step of the random stream.
const STEP: u64 = 0x7468_696e;

/// One species of the pancreas pair.
pub struct Pancreas {
    /// Names of the genes.
    pub genes: Vec<String>,
    /// Type of each cell.
    pub types: Vec<String>,
    species: u64,
    pointers: Vec<usize>,
    columns: Vec<u32>,
    counts: Vec<u32>,
}

/// Cells × genes in CSR.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Rows {
    /// First entry of each row, and the number of entries.
    pub pointers: Vec<usize>,
    /// Genes, ascending within a row.
    pub columns: Vec<u32>,
    /// Counts.
    pub counts: Vec<f32>,
    /// The cell of the pancreas each row was made from.
    pub sources: Vec<usize>,
}

impl Pancreas {
    /// Reads species number `species` from the folder that `export_data.R` wrote.
    pub fn read(folder: &Path, species: usize) -> Result<Self> {
        let name = SPECIES[species];
        let numbers = |slot: &str| integers(&folder.join(format!("{name}.{slot}")));
        let lines = |what: &str| -> Result<Vec<String>> {
            let path = folder.join(format!("{name}-{what}.txt"));
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let pancreas = Pancreas {
            genes: lines("genes")?,
            types: lines("types")?,
            species: species as u64,
            pointers: numbers("p")?.into_iter().map(|p| p as usize).collect(),
            columns: numbers("i")?,
            counts: numbers("x")?,
        };
        let fits = pancreas.pointers.len() == pancreas.types.len() + 1
            && pancreas.columns.len() == pancreas.counts.len()
            && pancreas.pointers.last() == Some(&pancreas.columns.len());
        if fits { Ok(pancreas) } else { Err(Failure::from(format!("{}: the files do not fit", folder.display()))) }
    }

    /// The cells from `first` on, `count` of them, of the atlas that belongs to `seed`.
    pub fn cells(&self, first: usize, count: usize, seed: u64) -> Rows {
        let cells: Vec<(usize, Vec<(u32, f32)>)> =
            (first..first + count).into_par_iter().map(|cell| self.cell(cell, seed)).collect();
        let mut rows = Rows { pointers: vec![0], ..Rows::default() };
        for (source, entries) in cells {
            rows.columns.extend(entries.iter().map(|&(gene, _)| gene));
            rows.counts.extend(entries.iter().map(|&(_, count)| count));
            rows.pointers.push(rows.columns.len());
            rows.sources.push(source);
        }
        rows
    }

    /// The cell of the pancreas that a cell is made from, and the counts that are left of it.
    fn cell(&self, cell: usize, seed: u64) -> (usize, Vec<(u32, f32)>) {
        let mut rng = Rng::keyed(seed, STEP + self.species, cell as u64);
        let source = rng.below(self.types.len());
        let kept = KEPT.0 + (KEPT.1 - KEPT.0) * rng.uniform();
        let entries = self.pointers[source]..self.pointers[source + 1];
        let thinned = self.columns[entries.clone()].iter().zip(&self.counts[entries]);
        let thinned = thinned.map(|(&gene, &count)| (gene, binomial(count, kept, &mut rng) as f32));
        (source, thinned.filter(|&(_, count)| count > 0.0).collect())
    }
}

/// How many of `n` molecules are kept when each is kept with the given probability, to 1/65536.
fn binomial(n: u32, probability: f64, rng: &mut Rng) -> u32 {
    const MOLECULES: u32 = 4;
    let threshold = (probability * 65_536.0).round() as u64;
    let mut kept = 0;
    for first in (0..n).step_by(MOLECULES as usize) {
        let bits = rng.next_u64();
        let molecules = MOLECULES.min(n - first);
        kept += (0..molecules).filter(|i| (bits >> (16 * i)) & 0xffff < threshold).count() as u32;
    }
    kept
}

/// A file of 32-bit little-endian integers.
fn integers(path: &Path) -> Result<Vec<u32>> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_cells() -> Pancreas {
        Pancreas {
            genes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            types: ["x", "y"].map(str::to_owned).to_vec(),
            species: 0,
            pointers: vec![0, 2, 3],
            columns: vec![0, 2, 1],
            counts: vec![1, 4000, 9],
        }
    }

    #[test]
    fn a_cell_does_not_depend_on_those_made_with_it() {
        let pancreas = two_cells();
        let (all, late) = (pancreas.cells(0, 40, 7), pancreas.cells(30, 10, 7));
        assert_eq!(all.sources[30..], late.sources);
        assert_eq!(all.counts[all.pointers[30]..], late.counts);
        assert_ne!(all, pancreas.cells(0, 40, 8));
    }

    #[test]
    fn thinning_keeps_the_share_it_says() {
        let mut rng = Rng::keyed(1, 2, 3);
        let kept: u32 = (0..1000).map(|_| binomial(1001, 0.7, &mut rng)).sum();
        // Standard deviation of the share: √(0.7 · 0.3 / 10⁶) = 0.0005.
        assert!((f64::from(kept) / 1_001_000.0 - 0.7).abs() < 0.002);
        assert_eq!((binomial(0, 0.7, &mut rng), binomial(50, 1.0, &mut rng)), (0, 50));
    }
}
