//! Files in and out.

pub mod blast;
pub mod eggnog;
pub mod fasta;
pub mod homology_file;
pub mod lines;
pub mod process;
