//! Files in and out.

pub mod blast;
pub mod gene_sets;
pub mod lines;
