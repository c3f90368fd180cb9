//! samap-core: maps single-cell atlases of different species onto each other.
//!
//! Data flows one way: raw counts → [`sam`] (per species) and homology tables → [`homology`] meet in [`mapping`], whose
//! stitched graph feeds [`embedding`] and [`analysis`]. No R anywhere; the glue crate around it talks to R.
//!
//! Conventions: expression matrices are cells × genes, CSR, `f32`; graphs are CSR, `f64`; species, cells, genes and clusters
//! are integers; every reduction has a fixed order, so results do not depend on the number of threads.

// What only the CUDA backend uses.
#![cfg_attr(not(feature = "cuda"), allow(dead_code, unused_imports))]

pub mod analysis;
pub mod backend;
pub mod context;
pub mod embedding;
pub mod error;
pub mod homology;
pub mod io;
pub mod knn;
pub mod linalg;
pub mod mapping;
pub mod plan;
pub mod rng;
pub mod sam;
mod simd;
pub mod sparse;

pub use context::Context;
pub use error::{Error, Result};
