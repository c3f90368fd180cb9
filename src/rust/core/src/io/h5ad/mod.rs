//! AnnData files (`.h5ad`) and the `.h5` files of Cell Ranger. In: a path. Out: what is in it ([`AtlasFile`]: which matrix
//! holds the counts, names of genes and cells, metadata), and on demand its counts, row by row, into a matrix under
//! construction ([`append`]). Files of AnnData 0.6 to today, matrices by cell (CSR), by gene (CSC) or dense.
//!
//! A build without the feature `hdf5` has the same functions; they say so.

#[cfg(not(feature = "hdf5"))]
mod disabled;
#[cfg(feature = "hdf5")]
mod frame;
#[cfg(feature = "hdf5")]
mod layout;
#[cfg(feature = "hdf5")]
mod matrix;
#[cfg(feature = "hdf5")]
mod record;
#[cfg(feature = "hdf5")]
mod saved;
#[cfg(feature = "hdf5")]
mod stitched;
#[cfg(feature = "hdf5")]
mod tenx;
#[cfg(feature = "hdf5")]
mod write;

#[cfg(not(feature = "hdf5"))]
pub use disabled::{append, inspect, read_mapping, read_reduction, read_sam, write};
#[cfg(feature = "hdf5")]
pub use layout::{inspect, read_reduction};
#[cfg(feature = "hdf5")]
pub use matrix::append;
#[cfg(feature = "hdf5")]
pub use saved::read_sam;
#[cfg(feature = "hdf5")]
pub use stitched::read_mapping;
#[cfg(feature = "hdf5")]
pub use write::write;

use crate::io::counts::Sample;
use crate::sparse::Graph;
use ndarray::Array2;
use std::path::PathBuf;

/// Whether this build reads and writes HDF5 files.
pub const AVAILABLE: bool = cfg!(feature = "hdf5");

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// AnnData.
    H5ad,
    /// Cell Ranger 2 or 3.
    TenX,
}

/// Where the counts of a file are, and how many there were when it was described.
#[derive(Debug, Clone, PartialEq)]
pub struct CountsFile {
    /// The file.
    pub path: PathBuf,
    /// Who wrote it.
    pub format: Format,
    /// Group or dataset of the matrix, such as `X`, `layers/counts` or `raw/X`.
    pub matrix: String,
    /// Number of cells.
    pub cells: usize,
    /// Number of genes.
    pub genes: usize,
    /// Number of stored entries; of a dense matrix those that are not 0.
    pub stored: usize,
}

/// Which parts of a file to take.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// `X`, `raw`, the name of a layer, or the genome of a Cell Ranger 2 file. `None`: the first of X, the layer `counts` and
    /// raw that holds whole numbers, else X.
    pub layer: Option<String>,
    /// Column of `var` (`features` in a Cell Ranger file) with the names of the genes. `None`: its index (`name`).
    pub var_names: Option<String>,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct AtlasFile {
    /// Where the counts are.
    pub counts: CountsFile,
    /// Names of the genes, in the order of the matrix.
    pub gene_names: Vec<String>,
    /// Names of the cells.
    pub barcodes: Vec<String>,
    /// Metadata of the cells.
    pub columns: Vec<(String, Column)>,
    /// Share of the first entries that are no whole numbers.
    pub fractional: f64,
    /// The matrix that was passed over because its values are no counts.
    pub passed_over: Option<String>,
}

/// A run of SAM that the Python reference saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedSam {
    /// Weight per gene.
    pub weights: Vec<f64>,
    /// Dispersion over neighbourhoods per gene.
    pub dispersions: Vec<f64>,
    /// Mean of the normalised expression per gene.
    pub means: Vec<f64>,
    /// Its variance.
    pub variances: Vec<f64>,
    /// Which genes passed the filter.
    pub kept: Vec<bool>,
    /// Neighbours per cell, itself included.
    pub k: usize,
    /// The neighbours, k per cell, the cell itself first.
    pub indices: Vec<u32>,
    /// Their distances.
    pub distances: Vec<f64>,
    /// Coordinates of the cells.
    pub scores: Array2<f64>,
    /// Loadings of the genes.
    pub loadings: Array2<f64>,
    /// Parameters of the preprocessing.
    pub preprocess: Vec<(String, Node)>,
    /// Parameters of the run.
    pub run: Vec<(String, Node)>,
}

/// A mapping that the Python reference saved. Cells and genes are in the order of the species.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedMapping {
    /// Ids of the species.
    pub species: Vec<String>,
    /// Number of cells of each.
    pub cells: Vec<usize>,
    /// Names of the cells.
    pub barcodes: Vec<String>,
    /// Metadata of the cells.
    pub columns: Vec<(String, Column)>,
    /// Neighbours a cell has in each other species.
    pub k: f64,
    /// The stitched graph of the last pass, row = source.
    pub graph: Graph,
    /// Layout of the cells, if there is one.
    pub umap: Option<Array2<f64>>,
    /// Species of every gene.
    pub gene_species: Vec<u32>,
    /// Names of the genes, without their species.
    pub genes: Vec<String>,
    /// Whether the homology names the gene.
    pub matched: Vec<bool>,
    /// Homologous pairs, each once.
    pub edges: Vec<SavedEdge>,
    /// Refined pairs that are not among the given ones.
    pub strangers: usize,
}

/// A homologous pair of genes that the Python reference saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SavedEdge {
    /// Gene of the species that comes first, by its place among all genes.
    pub a: u32,
    /// Gene of the other one.
    pub b: u32,
    /// Weight as given.
    pub weight: f64,
    /// Refined correlation; NaN if there was no refinement.
    pub correlation: f64,
}

/// A column of metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Strings; `None` is missing.
    Text(Vec<Option<String>>),
    /// Categories: their names, and one per cell.
    Category {
        /// Names of the categories.
        levels: Vec<String>,
        /// Index of the category; `None` is missing.
        codes: Vec<Option<u32>>,
    },
    /// Numbers; NaN is missing.
    Real(Vec<f64>),
    /// Whole numbers of 32 bits; `None` is missing.
    Integer(Vec<Option<i32>>),
    /// True or false; `None` is missing.
    Flag(Vec<Option<bool>>),
}

/// A table to be written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Names of the rows.
    pub index: Vec<String>,
    /// The columns, as long as the index.
    pub columns: Vec<(String, Column)>,
}

/// A parameter to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// More of them, by name.
    Group(Vec<(String, Node)>),
    /// A table.
    Table(Table),
    /// One string.
    Text(String),
    /// One number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Several strings.
    Texts(Vec<String>),
    /// Several numbers.
    Numbers(Vec<f64>),
    /// Several flags.
    Flags(Vec<bool>),
}

/// What is written into an AnnData file.
#[derive(Default)]
pub struct Document<'a> {
    /// Cells.
    pub obs: Table,
    /// Genes.
    pub var: Table,
    /// Graphs by their place, such as `obsp/connectivities`.
    pub graphs: Vec<(String, Graph)>,
    /// Coordinates by their place, such as `obsm/X_umap`.
    pub arrays: Vec<(String, Array2<f64>)>,
    /// Parameters.
    pub uns: Vec<(String, Node)>,
    /// Counts and number of genes of every species, in the order of cells and genes; none: no `X`.
    pub counts: Vec<(Vec<Sample<'a>>, usize)>,
    /// Whether large arrays are compressed (gzip).
    pub compress: bool,
}

impl Column {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Column::Text(values) => values.len(),
            Column::Category { codes, .. } => codes.len(),
            Column::Real(values) => values.len(),
            Column::Integer(values) => values.len(),
            Column::Flag(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
