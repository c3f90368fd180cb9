//! What is fuzzed: a reader, and how its files are spoiled.

use crate::change::{self, Generator};
use hdf5_metno as h5;
use samap_core::Context;
use samap_core::io::blast::{BlastOptions, read_blast};
use samap_core::io::counts::{Sample, Source, read_counts};
use samap_core::io::h5ad::{Selection, inspect};
use std::error::Error;
use std::path::{Path, PathBuf};

/// A reader under test.
pub struct Target {
    pub name: &'static str,
    /// Name of the file of a case.
    pub file: &'static str,
    /// Writes a case.
    pub spoil: fn(&Path, &mut Generator) -> Result<(), Box<dyn Error>>,
    /// Reads it; what it returns does not matter.
    pub read: fn(&Path),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "h5ad-contents",
        file: "case.h5ad",
        spoil: |path, g| spoil_contents(path, H5AD, g),
        read: read_atlas,
    },
    Target { name: "h5ad-cut", file: "case.h5ad", spoil: |path, g| spoil_length(path, H5AD, g), read: read_atlas },
    Target { name: "10x-contents", file: "case.h5", spoil: |path, g| spoil_contents(path, TENX, g), read: read_atlas },
    Target { name: "10x-cut", file: "case.h5", spoil: |path, g| spoil_length(path, TENX, g), read: read_atlas },
    Target { name: "blast", file: "case.txt", spoil: spoil_table, read: read_table },
];

const H5AD: &[&str] =
    &["csr.h5ad", "csc.h5ad", "dense.h5ad", "layers.h5ad", "missing.h5ad", "anndata-0.7.8.h5ad", "anndata-0.6.22.h5ad"];
const TENX: &[&str] = &["cellranger2.h5", "cellranger3.h5"];

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testthat/h5ad").join(name)
}

/// A file cut off anywhere. Other bytes of HDF5 files are left alone: libhdf5 1.10 itself reads out of bounds where the heap of
/// its strings is damaged (H5HG_read), which no check of ours comes before.
fn spoil_length(path: &Path, names: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut data = std::fs::read(corpus(generator.pick::<&str>(names)))?;
    data.truncate(generator.below(data.len()));
    Ok(std::fs::write(path, data)?)
}

fn spoil_contents(path: &Path, names: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    std::fs::copy(corpus(generator.pick::<&str>(names)), path)?;
    let file = h5::File::open_rw(path)?;
    change::contents(&file, generator)
}

fn read_atlas(path: &Path) {
    let ctx = Context::default();
    let Ok(found) = inspect(path, &Selection::default(), &ctx) else { return };
    let genes = found.counts.genes;
    if let Ok(counts) = read_counts(&[Sample { source: Source::File(found.counts), genes: None }], genes, &ctx) {
        assert_eq!(counts.genes(), found.gene_names.len());
        assert_eq!(counts.cells(), found.barcodes.len());
    }
}

/// A table of hits, as BLAST, DIAMOND and MMseqs2 write them.
fn spoil_table(path: &Path, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut table = Vec::new();
    for row in 0..1 + generator.below(30) {
        let (query, target) = (generator.below(9), generator.below(9));
        let line = format!("q{query}\tt{target}\t98.5\t120\t2\t0\t1\t120\t4\t123\t1e-{}\t{}.5\n", row % 80, row * 3);
        table.extend_from_slice(line.as_bytes());
    }
    change::bytes(&mut table, generator);
    Ok(std::fs::write(path, table)?)
}

fn read_table(path: &Path) {
    let ctx = Context::default();
    if let Ok(table) = read_blast(path, &BlastOptions::default(), &ctx) {
        let (queries, targets) = (table.queries.len() as u32, table.targets.len() as u32);
        assert!(table.hits.iter().all(|hit| hit.query < queries && hit.target < targets && hit.score > 0.0));
    }
}
