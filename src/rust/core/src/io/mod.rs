//! Files in and out.

pub mod blast;
pub mod gene_sets;
pub mod lines;
pub mod eggnog;
pub mod fasta;
pub mod homology_file;
pub mod process;
