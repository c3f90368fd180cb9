//! What a build without HDF5 says to every file.

use super::{AtlasFile, CountsFile, Document, SavedMapping, SavedSam, Selection};
use crate::sparse::{Column, RowBuilder};
use crate::{Context, Error, Result};
use ndarray::Array2;
use std::path::Path;

/// Describes a file.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn inspect(path: &Path, _: &Selection, _: &Context) -> Result<AtlasFile> {
    Err(Error::NoHdf5 { path: path.to_owned() })
}

/// Reads the counts of a file.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn append<C: Column>(file: &CountsFile, _: &[u32], _: &mut RowBuilder<C>, _: &Context) -> Result<()> {
    Err(Error::NoHdf5 { path: file.path.clone() })
}

/// Writes a file.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn write(path: &Path, _: &Document, _: &Context) -> Result<()> {
    Err(Error::NoHdf5 { path: path.to_owned() })
}

/// Reads a run of SAM.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn read_sam(path: &Path, _: &Context) -> Result<SavedSam> {
    Err(Error::NoHdf5 { path: path.to_owned() })
}

/// Reads coordinates of the cells.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn read_reduction(path: &Path, _: &str) -> Result<Array2<f64>> {
    Err(Error::NoHdf5 { path: path.to_owned() })
}

/// Reads a mapping.
///
/// # Errors
/// Always [`Error::NoHdf5`].
pub fn read_mapping(path: &Path, _: &Context) -> Result<SavedMapping> {
    Err(Error::NoHdf5 { path: path.to_owned() })
}
