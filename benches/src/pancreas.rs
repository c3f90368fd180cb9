//! The pancreas pair, and atlases of any size made from it: every cell is a cell of the pancreas drawn at random, of whose
//! molecules a share is kept (each by itself, so that a count x becomes binomial). A cell depends on (seed, species, cell)
//! alone: neither on the size of the atlas nor on the number of threads.
//!
//! A large atlas is then a heap of copies. With [`Pancreas::mixed`] cells lie between two cells of one type instead.

use crate::{Failure, Result};
use rayon::prelude::*;
use samap_core::rng::Rng;
use std::collections::HashMap;
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
    mixed: f64,
    species: u64,
    /// The cells of each type.
    kin: HashMap<String, Vec<usize>>,
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
    /// The cell of the pancreas each row was mostly made from, whose type it has.
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
        let types = lines("types")?;
        let pancreas = Pancreas {
            genes: lines("genes")?,
            kin: kin(&types),
            types,
            mixed: 0.0,
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

    /// The same, whose cells have up to a share `mixed` of their genes from another cell of their type.
    pub fn mixed(self, mixed: f64) -> Self {
        Pancreas { mixed, ..self }
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

    /// The cell of the pancreas that a cell is mostly made from, and its counts.
    fn cell(&self, cell: usize, seed: u64) -> (usize, Vec<(u32, f32)>) {
        let mut rng = Rng::keyed(seed, STEP + self.species, cell as u64);
        let source = rng.below(self.types.len());
        let kept = KEPT.0 + (KEPT.1 - KEPT.0) * rng.uniform();
        let mixed = if self.mixed > 0.0 { self.between(source, &mut rng) } else { self.entries(source).collect() };
        let thinned = mixed.into_iter().map(|(gene, count)| (gene, binomial(count, kept, &mut rng) as f32));
        (source, thinned.filter(|&(_, count)| count > 0.0).collect())
    }

    /// Each gene as in the cell `source`, or with some probability as in another cell of its type.
    fn between(&self, source: usize, rng: &mut Rng) -> Vec<(u32, u32)> {
        let kin = &self.kin[&self.types[source]];
        let other = kin[rng.below(kin.len())];
        let share = self.mixed * rng.uniform();
        let genes = union(self.entries(source), self.entries(other));
        genes.map(|(gene, own, others)| (gene, if rng.uniform() < share { others } else { own })).collect()
    }

    /// Genes and counts of a cell of the pancreas.
    fn entries(&self, cell: usize) -> impl Iterator<Item = (u32, u32)> {
        let entries = self.pointers[cell]..self.pointers[cell + 1];
        self.columns[entries.clone()].iter().copied().zip(self.counts[entries].iter().copied())
    }
}

/// The cells of each type.
fn kin(types: &[String]) -> HashMap<String, Vec<usize>> {
    let mut kin: HashMap<String, Vec<usize>> = HashMap::new();
    for (cell, name) in types.iter().enumerate() {
        kin.entry(name.clone()).or_default().push(cell);
    }
    kin
}

/// The genes of either cell, ascending, with the counts of both.
fn union(
    a: impl Iterator<Item = (u32, u32)>,
    b: impl Iterator<Item = (u32, u32)>,
) -> impl Iterator<Item = (u32, u32, u32)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let gene = [a.peek(), b.peek()].into_iter().flatten().map(|&(gene, _)| gene).min()?;
        let own = a.next_if(|entry| entry.0 == gene).map_or(0, |(_, count)| count);
        let others = b.next_if(|entry| entry.0 == gene).map_or(0, |(_, count)| count);
        Some((gene, own, others))
    })
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
        let types = ["x", "y"].map(str::to_owned);
        Pancreas {
            genes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            kin: kin(&types),
            types: types.to_vec(),
            mixed: 0.0,
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
    fn a_cell_has_genes_of_two_cells_of_its_type() {
        let types = ["x", "x"].map(str::to_owned);
        let genes = 200;
        let pancreas = Pancreas {
            genes: (0..genes).map(|gene| gene.to_string()).collect(),
            kin: kin(&types),
            types: types.to_vec(),
            mixed: 0.5,
            species: 0,
            pointers: vec![0, genes, 2 * genes],
            columns: (0..genes as u32).chain(0..genes as u32).collect(),
            counts: [vec![1000; genes], vec![10; genes]].concat(),
        };
        let rows = pancreas.cells(0, 60, 3);
        let foreign = |cell: usize| {
            let counts = &rows.counts[rows.pointers[cell]..rows.pointers[cell + 1]];
            let low = counts.iter().filter(|&&count| count <= 10.0).count();
            if rows.sources[cell] == 0 { low } else { genes - low }
        };
        let shares: Vec<f64> = (0..60).map(|cell| foreign(cell) as f64 / genes as f64).collect();
        assert!(shares.iter().all(|&share| share < 0.65), "{shares:?}");
        // Half of the cells have themselves as second source; the others differ by a quarter of their genes on average.
        let mixed: Vec<f64> = shares.into_iter().filter(|&share| share > 0.0).collect();
        assert!((15..45).contains(&mixed.len()), "{}", mixed.len());
        assert!((mixed.iter().sum::<f64>() / mixed.len() as f64 - 0.25).abs() < 0.1);
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
