//! The homology graph: genes of all species, linked by weights (BLAST bit scores or any other similarity).

pub mod annotation;
mod filter;
pub mod graph;
pub mod groups;
pub mod id_kinds;
pub mod ids;

pub use graph::{Edge, Gene, HomologyGraph, upper_triangle};
