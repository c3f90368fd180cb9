//! The one error type of the engine. Every message says what was found and what to do about it.

use std::path::{Path, PathBuf};

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option or an input object that cannot be used.
    #[error("`{argument}`: {found}. {remedy}")]
    Argument {
        /// Name of the argument as the caller knows it.
        argument: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// Two objects whose sizes do not fit together.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The operation that was asked for.
        operation: &'static str,
        /// The size that was needed.
        expected: String,
        /// The size that was found.
        found: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{path}, line {line}: {found}. {remedy}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A program that was started and failed.
    #[error("`{program}` failed: {reason}. {output}")]
    Program {
        /// The program.
        program: String,
        /// How it ended.
        reason: String,
        /// The end of what it printed.
        output: String,
    },
    /// A dataset of an HDF5 file that is not what it should be.
    #[error("{path}, {dataset}: {found}. {remedy}")]
    Dataset {
        /// One word for what is wrong, as [`Error::kind`] reports it.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Name of the dataset or group; empty: the file as a whole.
        dataset: String,
        /// What was found, as the end of a sentence that begins with the dataset.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// An HDF5 file given to a build without HDF5.
    #[error("{path} cannot be read or written: this build of samap has no HDF5")]
    NoHdf5 {
        /// The file.
        path: PathBuf,
    },
    /// More memory than there is.
    #[error("{what} needs {bytes} bytes, which cannot be had")]
    Memory {
        /// What the memory is for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// More room on a disk than there is.
    #[error("{} has no room for a file of {bytes} bytes", .folder.display())]
    Disk {
        /// The folder of the file.
        folder: PathBuf,
        /// How much was asked for.
        bytes: u64,
        /// How much there is, where the system tells.
        free: Option<u64>,
    },
    /// A device that cannot be used.
    #[error("the device \"{device}\" cannot be used: {reason}")]
    Device {
        /// The device that was asked for.
        device: String,
        /// Why not.
        reason: String,
    },
    /// A factorisation or iteration that failed.
    #[error("{operation} failed: {reason}")]
    Numerical {
        /// The operation.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Result with the engine's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An unusable argument: its name, what was found, what to do.
    pub fn argument(argument: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Argument { argument: argument.into(), found: found.into(), remedy: remedy.into() }
    }

    /// Sizes that do not fit together.
    pub fn shape(operation: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Error::Shape { operation, expected: expected.into(), found: found.into() }
    }

    /// A dataset that is not what it should be.
    pub fn dataset(
        kind: &'static str,
        path: &Path,
        dataset: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (dataset, found, remedy) = (dataset.into(), found.into(), remedy.into());
        Error::Dataset { kind, path: path.to_owned(), dataset, found, remedy }
    }

    /// One word for the kind of error; the R side makes the condition class `samap_error_<kind>` of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Argument { .. } => "argument",
            Error::Shape { .. } => "shape",
            Error::Io { .. } => "io",
            Error::Parse { .. } => "parse",
            Error::Program { .. } => "program",
            Error::Dataset { kind, .. } => kind,
            Error::NoHdf5 { .. } => "no_hdf5",
            Error::Memory { .. } => "memory",
            Error::Disk { .. } => "disk",
            Error::Device { .. } => "device",
            Error::Numerical { .. } => "numerical",
            Error::Cancelled => "cancelled",
        }
    }
}
