//! Readers and writers of files.

pub mod blast;
pub mod counts;
#[cfg(feature = "hdf5")]
mod h5;
pub mod h5ad;
