//! The `.h5` files of Cell Ranger: group `matrix` (version 3 and later), or a group per genome (version 2). The matrix is
//! genes × cells by cell, so that it is read as cells × genes. Of the features of version 3 only genes are taken.

use super::layout::{doubt, fits, quoted};
use super::matrix::{Matrix, Order};
use super::{AtlasFile, CountsFile, Format, Selection};
use crate::io::h5::H5File;
use crate::{Context, Error, Result};

/// What Cell Ranger calls the counts of genes.
const GENES: &str = "Gene Expression";

/// Whether Cell Ranger wrote this file.
pub fn is_tenx(file: &H5File) -> bool {
    !groups(file).is_empty()
}

/// Groups that hold a matrix of Cell Ranger.
fn groups(file: &H5File) -> Vec<String> {
    let complete =
        |name: &String| ["barcodes", "indptr", "shape"].iter().all(|part| file.has(&format!("{name}/{part}")));
    file.names("/").into_iter().filter(complete).collect()
}

/// The matrix in a group, and which of its features are genes (`None`: all).
pub fn matrix(file: &H5File, group: &str) -> Result<(Matrix, Option<Vec<bool>>)> {
    let shape = file.array(&format!("{group}/shape"))?;
    let axes = shape.integers(0..shape.len())?;
    let axis = |at: usize| axes.get(at).and_then(|&axis| usize::try_from(axis).ok());
    let (Some(genes), Some(cells)) = (axis(0), axis(1)) else {
        return Err(shape.broken(format!("holds {axes:?}; the numbers of genes and of cells are needed")));
    };
    let matrix = Matrix { name: group.to_owned(), order: Order::Cells, cells, genes };
    let types = format!("{group}/features/feature_type");
    if !file.has(&types) {
        return Ok((matrix, None));
    }
    let types = file.array(&types)?;
    let taken: Vec<bool> = types.texts(0..types.len())?.iter().map(|kind| kind == GENES).collect();
    if taken.len() != genes {
        return Err(types.broken(format!("has {} elements for {genes} features", taken.len())));
    }
    if !taken.contains(&true) {
        return Err(types.broken(format!("has no features of the type \"{GENES}\"")));
    }
    let all = taken.iter().all(|&taken| taken);
    Ok((matrix, (!all).then_some(taken)))
}

/// Describes a file.
pub fn inspect(file: &H5File, selection: &Selection, ctx: &Context) -> Result<AtlasFile> {
    let group = group(file, selection.layer.as_deref())?;
    let (matrix, taken) = matrix(file, &group)?;
    let names = gene_names(file, &group, selection.var_names.as_deref())?;
    fits(file, &format!("{group}/features"), names.len(), &matrix, matrix.genes, "genes")?;
    let gene_names = match taken {
        None => names,
        Some(taken) => names.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(name, _)| name).collect(),
    };
    let barcodes = file.array(&format!("{group}/barcodes"))?;
    let barcodes = barcodes.texts(0..barcodes.len())?;
    fits(file, &format!("{group}/barcodes"), barcodes.len(), &matrix, matrix.cells, "cells")?;
    let fractional = doubt(&matrix.first_values(file)?).fractional;
    let counts = CountsFile {
        path: file.path().to_owned(),
        format: Format::TenX,
        // An upper bound where features are left out.
        stored: matrix.stored(file, ctx)?,
        matrix: group,
        cells: matrix.cells,
        genes: gene_names.len(),
    };
    Ok(AtlasFile { counts, gene_names, barcodes, columns: Vec::new(), fractional, passed_over: None })
}

/// The group to read: the only one, or that of the genome asked for.
fn group(file: &H5File, wanted: Option<&str>) -> Result<String> {
    let there = groups(file);
    match (wanted, there.as_slice()) {
        (Some(name), _) if there.iter().any(|group| group == name) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (Some(name), _) => {
            let found = format!("{} has no genome \"{name}\"", file.path().display());
            Err(Error::argument("layer", found, format!("It has {}.", quoted(&there))))
        }
        (None, _) => {
            let found = format!("{} has several genomes", file.path().display());
            Err(Error::argument("layer", found, format!("Name one of {}.", quoted(&there))))
        }
    }
}

/// Names of the features: `features/name` (version 3) or `gene_names` (version 2), or another column.
fn gene_names(file: &H5File, group: &str, column: Option<&str>) -> Result<Vec<String>> {
    let new = file.is_group(&format!("{group}/features"));
    let name = match (new, column) {
        (true, column) => format!("{group}/features/{}", column.unwrap_or("name")),
        (false, Some("id" | "gene_ids")) => format!("{group}/genes"),
        (false, column) => format!("{group}/{}", column.unwrap_or("gene_names")),
    };
    if !file.has(&name) {
        let table = if new { format!("{group}/features") } else { group.to_owned() };
        let found = format!("{} has no {name}", file.path().display());
        return Err(Error::argument("var_names", found, format!("There are {}.", quoted(&file.names(&table)))));
    }
    let names = file.array(&name)?;
    names.texts(0..names.len())
}
