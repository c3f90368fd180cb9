//! What the Python reference saved of a SAM run: its files `*_pr.h5ad` (`SAM.save_anndata()`) hold the weights of the genes
//! (`var`), the neighbours of the cells (`obsp`), coordinates and loadings, and the parameters (`uns`).

use super::layout::dense;
use super::matrix::Matrix;
use super::{Node, SavedSam, frame};
use crate::io::h5::{H5File, Kind};
use crate::sparse::{Graph, row};
use crate::{Context, Error, Result};
use std::path::Path;

/// Reads a run of SAM.
///
/// # Errors
/// [`Error::Io`] and [`Error::Dataset`]; of kind `no_sam` if the file holds none.
pub fn read_sam(path: &Path, ctx: &Context) -> Result<SavedSam> {
    let file = H5File::open(path)?;
    for part in ["var/weights", "obsp/connectivities", "obsp/distances", "uns/preprocess_args", "uns/run_args"] {
        if !file.has(part) {
            let remedy = "A file that `SAM.save_anndata()` or SAMap wrote (`_pr.h5ad`) is needed; others are atlases for `sam()`.";
            return Err(Error::dataset("no_sam", path, part, "is not there", remedy));
        }
    }
    ctx.check()?;
    let genes = frame::index(&file, "var")?.len();
    let cells = frame::index(&file, "obs")?.len();
    let numbers = |name: &str| -> Result<Vec<f64>> {
        let array = file.array(&format!("var/{name}"))?;
        if array.len() != genes {
            return Err(array.broken(format!("has {} elements for {genes} genes", array.len())));
        }
        array.numbers(0..genes)
    };
    let (k, indices, distances) = neighbours(&file, cells)?;
    Ok(SavedSam {
        weights: numbers("weights")?,
        dispersions: numbers("spatial_dispersions")?,
        means: numbers("means")?,
        variances: numbers("variances")?,
        kept: numbers("mask_genes")?.into_iter().map(|kept| kept != 0.0).collect(),
        k,
        indices,
        distances,
        scores: dense(&file, "obsm/X_pca", cells)?,
        loadings: dense(&file, "varm/PCs", genes)?,
        preprocess: parameters(&file, "uns/preprocess_args")?,
        run: parameters(&file, "uns/run_args")?,
    })
}

/// Neighbours of every cell, itself first, then by distance: their number, indices and distances. Who is a neighbour is in
/// `connectivities`; `distances` lacks those at distance 0.
fn neighbours(file: &H5File, cells: usize) -> Result<(usize, Vec<u32>, Vec<f64>)> {
    let (linked, far) = (square(file, "obsp/connectivities", cells)?, square(file, "obsp/distances", cells)?);
    let mut k = None;
    let (mut indices, mut distances) = (Vec::new(), Vec::new());
    for cell in 0..cells {
        let mut found: Vec<(f64, u32)> = row(&linked, cell)
            .0
            .iter()
            .filter(|&&other| other as usize != cell)
            .map(|&other| (far.get(cell, other as usize).copied().unwrap_or(0.0).max(0.0), other))
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        if *k.get_or_insert(found.len() + 1) != found.len() + 1 {
            return Err(file.broken("obsp/connectivities", format!("has rows of several lengths, such as cell {cell}")));
        }
        indices.push(cell as u32);
        distances.push(0.0);
        indices.extend(found.iter().map(|entry| entry.1));
        distances.extend(found.iter().map(|entry| entry.0));
    }
    Ok((k.unwrap_or(1), indices, distances))
}

/// A graph of that many cells or genes.
pub(super) fn square(file: &H5File, name: &str, size: usize) -> Result<Graph> {
    let matrix = Matrix::of(file, name)?;
    if (matrix.cells, matrix.genes) != (size, size) {
        return Err(
            file.broken(name, format!("is {} x {} where {size} x {size} is needed", matrix.cells, matrix.genes))
        );
    }
    matrix.graph(file)
}

/// Single values of a group; others are left out.
fn parameters(file: &H5File, group: &str) -> Result<Vec<(String, Node)>> {
    let mut nodes = Vec::new();
    for name in file.names(group) {
        let at = format!("{group}/{name}");
        if file.is_group(&at) {
            continue;
        }
        let array = file.array(&at)?;
        if !array.shape().is_empty() || array.len() == 0 {
            continue;
        }
        let node = match array.kind() {
            Kind::Text => Node::Text(array.scalar_text()?),
            Kind::Flag => Node::Flag(array.scalar()? != 0.0),
            Kind::Integer | Kind::Real => Node::Number(array.scalar()?),
            Kind::Record | Kind::Other => continue,
        };
        nodes.push((name, node));
    }
    Ok(nodes)
}
