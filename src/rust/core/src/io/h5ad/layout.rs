//! What is where in a file, and which of its matrices holds the counts.

use super::matrix::Matrix;
use super::{AtlasFile, Column, CountsFile, Format, Selection, frame, tenx};
use crate::io::h5::H5File;
use crate::{Context, Error, Result};
use ndarray::Array2;
use std::path::Path;

/// Describes a file: which matrix holds the counts, how large it is, names of genes and cells, metadata.
///
/// # Errors
/// [`Error::Io`] and [`Error::Dataset`] for a file that cannot be read or is of another format; [`Error::Argument`] for a
/// layer or column that is not there; [`Error::Cancelled`].
pub fn inspect(path: &Path, selection: &Selection, ctx: &Context) -> Result<AtlasFile> {
    let file = H5File::open(path)?;
    if ["X", "layers", "raw", "raw.X"].iter().any(|name| file.has(name)) && file.has("obs") {
        return anndata(&file, selection, ctx);
    }
    if tenx::is_tenx(&file) {
        return tenx::inspect(&file, selection, ctx);
    }
    let (what, remedy) = if file.has("row_attrs") {
        ("is a loom file", "Convert it: in Python `anndata.read_loom(path).write_h5ad(\"file.h5ad\")`.")
    } else if file.has("assays") {
        ("is an h5Seurat file", "Load it in R with SeuratDisk, and give the Seurat object.")
    } else {
        (
            "is an HDF5 file, but not of AnnData or Cell Ranger",
            "Give an .h5ad file, or the .h5 file of `cellranger count`.",
        )
    };
    let found = format!("{what} (it holds {})", file.names("/").join(", "));
    Err(Error::dataset("parse", path, "", found, remedy))
}

fn anndata(file: &H5File, selection: &Selection, ctx: &Context) -> Result<AtlasFile> {
    let there = matrices(file);
    let (name, passed_over) = match &selection.layer {
        Some(layer) => (named_layer(file, layer, &there)?, None),
        None => likely_counts(file, &there)?,
    };
    let matrix = Matrix::of(file, &name)?;
    let genes = if name.starts_with("raw/") {
        "raw/var"
    } else if name == "raw.X" {
        "raw.var"
    } else {
        "var"
    };
    let gene_names = gene_names(file, genes, selection.var_names.as_deref())?;
    let barcodes = frame::index(file, "obs")?;
    fits(file, genes, gene_names.len(), &matrix, matrix.genes, "genes")?;
    fits(file, "obs", barcodes.len(), &matrix, matrix.cells, "cells")?;
    let columns = frame::columns(file, "obs", ctx)?;
    for (column, values) in &columns {
        fits(file, &format!("obs/{column}"), values.len(), &matrix, matrix.cells, "cells")?;
    }
    let fractional = doubt(&matrix.first_values(file)?).fractional;
    let counts = CountsFile {
        path: file.path().to_owned(),
        format: Format::H5ad,
        stored: matrix.stored(file, ctx)?,
        matrix: name,
        cells: matrix.cells,
        genes: matrix.genes,
    };
    Ok(AtlasFile { counts, gene_names, barcodes, columns, fractional, passed_over })
}

/// Coordinates of the cells of an AnnData file (`obsm`), cells × dimensions.
///
/// # Errors
/// [`Error::Io`] and [`Error::Dataset`]; [`Error::Argument`] if there are none of that name.
pub fn read_reduction(path: &Path, name: &str) -> Result<Array2<f64>> {
    let file = H5File::open(path)?;
    let at = format!("obsm/{name}");
    if !file.has(&at) {
        let found = format!("{} has no coordinates \"{name}\" in obsm", path.display());
        return Err(Error::argument("reduction", found, format!("It has {}.", quoted(&file.names("obsm")))));
    }
    dense(&file, &at, frame::index(&file, "obs")?.len())
}

/// A dense matrix with that many rows.
pub(super) fn dense(file: &H5File, name: &str, rows: usize) -> Result<Array2<f64>> {
    let array = file.array(name)?;
    match array.shape() {
        &[found, columns] if found == rows => Array2::from_shape_vec((rows, columns), array.rows(0..rows)?)
            .map_err(|error| array.broken(error.to_string())),
        shape => Err(array.broken(format!("has the shape {shape:?}; {rows} rows are needed"))),
    }
}

/// Matrices of a file that may hold counts, the likeliest first.
fn matrices(file: &H5File) -> Vec<String> {
    let fixed = ["X", "layers/counts", "raw/X", "raw.X"].into_iter().filter(|name| file.has(name)).map(str::to_owned);
    let layers = file.names("layers").into_iter().filter(|name| name != "counts").map(|name| format!("layers/{name}"));
    fixed.chain(layers).collect()
}

fn named_layer(file: &H5File, layer: &str, there: &[String]) -> Result<String> {
    let meant = [layer.to_owned(), format!("layers/{layer}"), format!("{layer}/X"), format!("{layer}.X")];
    let known = meant.iter().find(|name| there.contains(name));
    known.cloned().ok_or_else(|| {
        let found = format!("{} has no matrix \"{layer}\"", file.path().display());
        Error::argument("layer", found, format!("It has {}.", quoted(there)))
    })
}

pub(super) fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The first of X, the layer `counts` and raw whose values look like counts, and what was passed over for it; else the first.
fn likely_counts(file: &H5File, there: &[String]) -> Result<(String, Option<String>)> {
    let first = there.first().ok_or_else(|| file.broken("", "has no matrix"))?;
    for name in there.iter().filter(|name| matches!(name.as_str(), "X" | "layers/counts" | "raw/X" | "raw.X")) {
        if doubt(&Matrix::of(file, name)?.first_values(file)?).counts() {
            return Ok((name.clone(), (name != first).then(|| first.clone())));
        }
    }
    Ok((first.clone(), None))
}

/// What speaks against values being counts.
pub(super) struct Doubt {
    /// Share of values that are no whole numbers.
    pub fractional: f64,
    negative: bool,
}

impl Doubt {
    fn counts(&self) -> bool {
        self.fractional <= 0.5 && !self.negative
    }
}

pub(super) fn doubt(values: &[f64]) -> Doubt {
    let fractional = values.iter().filter(|value| value.fract() != 0.0).count() as f64 / values.len().max(1) as f64;
    Doubt { fractional, negative: values.iter().any(|&value| value < 0.0) }
}

/// Names of the genes: the index of their table, or one of its columns.
fn gene_names(file: &H5File, table: &str, column: Option<&str>) -> Result<Vec<String>> {
    let Some(name) = column else { return frame::index(file, table) };
    let there = frame::column_names(file, table)?;
    if !there.iter().any(|column| column == name) {
        let found = format!("{} has no column \"{name}\" in {table}", file.path().display());
        return Err(Error::argument("var_names", found, format!("It has {}.", quoted(&there))));
    }
    let names = match frame::column(file, table, name)? {
        Some(Column::Text(values)) => values,
        Some(Column::Category { levels, codes }) => {
            codes.into_iter().map(|code| code.and_then(|code| levels.get(code as usize).cloned())).collect()
        }
        Some(Column::Integer(values)) => values.into_iter().map(|value| value.map(|value| value.to_string())).collect(),
        _ => return Err(file.broken(&format!("{table}/{name}"), "holds no names")),
    };
    let count = names.len();
    let names: Vec<String> = names.into_iter().flatten().collect();
    if names.len() < count {
        let found = format!("has no name for {} genes", count - names.len());
        let remedy = "Take another column, or fill it in.";
        return Err(Error::dataset("names", file.path(), format!("{table}/{name}"), found, remedy));
    }
    Ok(names)
}

pub(super) fn fits(file: &H5File, table: &str, length: usize, matrix: &Matrix, size: usize, what: &str) -> Result<()> {
    if length == size {
        return Ok(());
    }
    Err(file.broken(table, format!("has {length} rows, but {} has {size} {what}", matrix.name)))
}
