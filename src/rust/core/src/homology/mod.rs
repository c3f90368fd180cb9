//! The homology graph: genes of all species, linked by weights (BLAST bit scores or any other similarity).

mod filter;
pub mod graph;
pub mod groups;

pub use graph::{Edge, Gene, HomologyGraph, upper_triangle};
