//! The homology graph: genes of all species, linked by weights (BLAST bit scores or any other similarity).

pub mod graph;

pub use graph::HomologyGraph;
