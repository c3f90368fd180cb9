//! Readers and writers of files.

pub mod blast;
pub mod counts;
pub mod eggnog;
pub mod fasta;
pub mod gene_sets;
#[cfg(feature = "hdf5")]
mod h5;
pub mod h5ad;
pub mod homology_file;
pub mod lines;
pub mod process;
