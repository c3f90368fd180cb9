//! What the benchmarks share: the pancreas pair as `export_data.R` writes it, atlases of any size made from it, and a count
//! of the memory that is allocated.

pub mod allocation;
pub mod atlas;
pub mod h5ad;
pub mod legacy;
pub mod pancreas;
pub mod plain;
pub mod timed;

/// Whatever stops a benchmark.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result of a step of a benchmark.
pub type Result<T> = std::result::Result<T, Failure>;
