//! The matrix of counts in a file: by cell (CSR), by gene (CSC) or dense, read in blocks into rows under construction. A
//! matrix by gene is turned in two passes over its entries: the first counts those of every cell, the second puts them in
//! their places. Memory beyond the result: a few blocks, and one number per cell or gene.

use super::{CountsFile, Format, tenx};
use crate::io::h5::{Array, H5File};
use crate::sparse::{Column, Graph, RowBuilder};
use crate::{Context, Error, Result};

/// Entries that are read at once.
const BLOCK: usize = 1 << 18;
/// Entries that are looked at to tell counts from other values.
const LOOK: usize = 100_000;

/// How a matrix is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Sparse, cell after cell.
    Cells,
    /// Sparse, gene after gene.
    Genes,
    /// All values, cell after cell.
    Dense,
}

/// A matrix in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Group or dataset.
    pub name: String,
    /// How it is stored.
    pub order: Order,
    /// Number of cells.
    pub cells: usize,
    /// Number of genes.
    pub genes: usize,
}

impl Matrix {
    /// A sparse matrix is a group with `data`, `indices` and `indptr`, and attributes that give its format and shape.
    pub fn of(file: &H5File, name: &str) -> Result<Matrix> {
        if !file.is_group(name) {
            let array = file.array(name)?;
            let &[cells, genes] = array.shape() else {
                return Err(array.broken(format!("has {} axes; counts are cells x genes", array.shape().len())));
            };
            return Ok(Matrix { name: name.to_owned(), order: Order::Dense, cells, genes });
        }
        // Files of AnnData 0.6 have other names for the attributes.
        let encoding = match file.text_attribute(name, "encoding-type")? {
            Some(encoding) => Some(encoding),
            None => file.text_attribute(name, "h5sparse_format")?,
        };
        let order = match encoding.as_deref() {
            Some("csr_matrix" | "csr") => Order::Cells,
            Some("csc_matrix" | "csc") => Order::Genes,
            other => {
                let encoding = other.map_or("no encoding".to_owned(), |other| format!("the encoding \"{other}\""));
                return Err(
                    file.broken(name, format!("has {encoding}; a matrix is \"csr_matrix\", \"csc_matrix\" or dense"))
                );
            }
        };
        let shape = file.number_attributes(name, "shape").or_else(|| file.number_attributes(name, "h5sparse_shape"));
        let axis =
            |at: usize| shape.as_ref().and_then(|shape| shape.get(at)).and_then(|&axis| usize::try_from(axis).ok());
        match (axis(0), axis(1)) {
            (Some(cells), Some(genes)) => Ok(Matrix { name: name.to_owned(), order, cells, genes }),
            _ => Err(file.broken(name, "has no usable attribute \"shape\"")),
        }
    }

    fn part<'f>(&self, file: &'f H5File, part: &str) -> Result<Array<'f>> {
        file.array(&format!("{}/{part}", self.name))
    }

    /// Where every row (or column) of a sparse matrix begins, and where the last one ends. Checked: ascending from 0 to the
    /// number of entries.
    fn pointers(&self, file: &H5File) -> Result<Vec<usize>> {
        let array = self.part(file, "indptr")?;
        let (outer, what) = if self.order == Order::Genes { (self.genes, "genes") } else { (self.cells, "cells") };
        if array.len() != outer.saturating_add(1) {
            return Err(array.broken(format!("has {} elements for {outer} {what}", array.len())));
        }
        let mut pointers = Vec::with_capacity(array.len());
        for range in blocks(array.len(), array.block(BLOCK)) {
            for value in array.integers(range)? {
                let least = pointers.last().copied().unwrap_or(0);
                match usize::try_from(value) {
                    Ok(value) if value >= least => pointers.push(value),
                    _ => return Err(array.broken(format!("does not ascend: {value} follows {least}"))),
                }
            }
        }
        let (data, indices) = (self.part(file, "data")?.len(), self.part(file, "indices")?.len());
        let last = pointers.last().copied().unwrap_or(0);
        if pointers.first() != Some(&0) || last != data || last != indices {
            let found = format!(
                "goes from {:?} to {last}, but there are {data} values and {indices} indices",
                pointers.first()
            );
            return Err(array.broken(found));
        }
        Ok(pointers)
    }

    /// Number of stored entries; of a dense matrix those that are not 0.
    pub fn stored(&self, file: &H5File, ctx: &Context) -> Result<usize> {
        if self.order != Order::Dense {
            return Ok(self.pointers(file)?.last().copied().unwrap_or(0));
        }
        let mut stored = 0;
        self.each_dense_block(file, ctx, |_, values| {
            stored += values.iter().filter(|&&value| value != 0.0).count();
            Ok(())
        })?;
        Ok(stored)
    }

    /// A square matrix as a graph, its rows sorted.
    pub fn graph(&self, file: &H5File) -> Result<Graph> {
        if self.order != Order::Cells {
            return Err(file.broken(&self.name, "is not stored by rows"));
        }
        let pointers = self.pointers(file)?;
        let (data, indices) = (self.part(file, "data")?, self.part(file, "indices")?);
        let values = data.numbers(0..data.len())?;
        let columns = indices.integers(0..indices.len())?.into_iter().map(|column| {
            let known = u32::try_from(column).ok().filter(|&known| (known as usize) < self.genes);
            known.ok_or_else(|| outside(&indices, column, self.genes))
        });
        let columns = columns.collect::<Result<Vec<u32>>>()?;
        let shape = (self.cells, self.genes);
        let graph = sprs::CsMatI::new_from_unsorted(shape, pointers, columns, values);
        graph.map_err(|(_, _, _, error)| indices.broken(error.to_string()))
    }

    /// The first entries that are not 0, at most 100 000.
    pub fn first_values(&self, file: &H5File) -> Result<Vec<f64>> {
        let values = match self.order {
            Order::Dense => {
                let array = file.array(&self.name)?;
                array.rows(0..self.cells.min((LOOK / self.genes.max(1)).max(1)))?
            }
            _ => {
                let array = self.part(file, "data")?;
                array.numbers(0..array.len().min(LOOK))?
            }
        };
        Ok(values.into_iter().filter(|&value| value != 0.0).collect())
    }

    fn append<C: Column>(&self, file: &H5File, joint: &[u32], rows: &mut RowBuilder<C>, ctx: &Context) -> Result<()> {
        match self.order {
            Order::Cells => self.append_by_cell(file, joint, rows, ctx),
            Order::Genes => self.append_by_gene(file, joint, rows, ctx),
            Order::Dense => self.append_dense(file, joint, rows, ctx),
        }
    }

    fn append_by_cell<C: Column>(
        &self,
        file: &H5File,
        joint: &[u32],
        rows: &mut RowBuilder<C>,
        ctx: &Context,
    ) -> Result<()> {
        let pointers = self.pointers(file)?;
        let (data, indices) = (self.part(file, "data")?, self.part(file, "indices")?);
        let broken = |flaw: String| data.broken(flaw);
        let mut cell = 0;
        let mut end_rows = |at: usize, rows: &mut RowBuilder<C>| -> Result<()> {
            while cell < self.cells && pointers[cell + 1] == at {
                rows.end_row().map_err(|flaw| indices.broken(format!("{flaw} (cell {cell})")))?;
                cell += 1;
            }
            Ok(())
        };
        end_rows(0, rows)?;
        for range in blocks(data.len(), data.block(BLOCK)) {
            let values = data.numbers(range.clone())?;
            let genes = indices.integers(range.clone())?;
            for (at, (&gene, &value)) in range.clone().zip(genes.iter().zip(&values)) {
                let gene = joint_gene(gene, joint).ok_or_else(|| outside(&indices, gene, self.genes))?;
                if gene != DROPPED {
                    rows.push(gene as usize, value).map_err(broken)?;
                }
                end_rows(at + 1, rows)?;
            }
            ctx.advance(range.len())?;
        }
        Ok(())
    }

    fn append_by_gene<C: Column>(
        &self,
        file: &H5File,
        joint: &[u32],
        rows: &mut RowBuilder<C>,
        ctx: &Context,
    ) -> Result<()> {
        let pointers = self.pointers(file)?;
        let (data, indices) = (self.part(file, "data")?, self.part(file, "indices")?);
        let cell_of = |cell: i64| {
            let known = usize::try_from(cell).ok().filter(|&cell| cell < self.cells);
            known.ok_or_else(|| indices.broken(format!("names cell {cell} of a matrix with {} cells", self.cells)))
        };
        let mut lengths = vec![0; self.cells];
        for range in blocks(indices.len(), indices.block(BLOCK)) {
            for cell in indices.integers(range)? {
                lengths[cell_of(cell)?] += 1;
            }
            ctx.check()?;
        }
        let first = rows.cells();
        let mut region = rows.open(&lengths)?;
        drop(lengths);
        let mut gene = 0;
        for range in blocks(data.len(), data.block(BLOCK)) {
            let (values, cells) = (data.numbers(range.clone())?, indices.integers(range.clone())?);
            for (at, (&cell, &value)) in range.clone().zip(cells.iter().zip(&values)) {
                while pointers[gene + 1] <= at {
                    gene += 1;
                }
                let joint = joint.get(gene).copied().unwrap_or(DROPPED) as usize;
                region.push(cell_of(cell)?, joint, value).map_err(|flaw| data.broken(flaw))?;
            }
            ctx.advance(range.len())?;
        }
        rows.close(first..first + self.cells)
            .map_err(|(cell, flaw)| indices.broken(format!("{flaw} (cell {})", cell - first)))
    }

    fn append_dense<C: Column>(
        &self,
        file: &H5File,
        joint: &[u32],
        rows: &mut RowBuilder<C>,
        ctx: &Context,
    ) -> Result<()> {
        let array = file.array(&self.name)?;
        self.each_dense_block(file, ctx, |_, values| {
            let before = rows.stored();
            for cell in values.chunks(self.genes.max(1)) {
                for (gene, &value) in cell.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                    rows.push(joint[gene] as usize, value).map_err(|flaw| array.broken(flaw))?;
                }
                rows.end_row().map_err(|flaw| array.broken(flaw))?;
            }
            ctx.advance(rows.stored() - before)
        })
    }

    /// Calls `each(first cell, values)` for blocks of rows of a dense matrix.
    fn each_dense_block(
        &self,
        file: &H5File,
        ctx: &Context,
        mut each: impl FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<()> {
        let array = file.array(&self.name)?;
        if self.genes == 0 {
            return Err(array.broken("has no genes"));
        }
        for range in blocks(self.cells, array.block((BLOCK / self.genes).max(1))) {
            let first = range.start;
            each(first, &array.rows(range)?)?;
            ctx.check()?;
        }
        Ok(())
    }
}

/// Stands for a gene that is not taken, such as an antibody in a Cell Ranger file.
pub const DROPPED: u32 = u32::MAX;

fn joint_gene(gene: i64, joint: &[u32]) -> Option<u32> {
    usize::try_from(gene).ok().and_then(|gene| joint.get(gene)).copied()
}

fn outside(indices: &Array, gene: i64, genes: usize) -> Error {
    indices.broken(format!("names gene {gene} of a matrix with {genes} genes"))
}

/// 0 .. length in pieces.
fn blocks(length: usize, block: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..length.div_ceil(block)).map(move |at| at * block..((at + 1) * block).min(length))
}

/// Adds the cells of a file to a matrix under construction. `joint`: the gene of that matrix of each gene of the file.
///
/// # Errors
/// [`Error::Io`] and [`Error::Dataset`] for a file that cannot be read, whose matrix is not what a matrix must be (pointers
/// that do not ascend, indices out of range, genes that occur twice in a cell, counts that are negative or not finite), or
/// which is not as it was described (kind `no_counts`); [`Error::Memory`]; [`Error::Cancelled`].
pub fn append<C: Column>(described: &CountsFile, joint: &[u32], rows: &mut RowBuilder<C>, ctx: &Context) -> Result<()> {
    let file = H5File::open(&described.path)?;
    let (matrix, taken) = match described.format {
        Format::H5ad => (Matrix::of(&file, &described.matrix)?, None),
        Format::TenX => tenx::matrix(&file, &described.matrix)?,
    };
    let genes = taken.as_ref().map_or(matrix.genes, |taken: &Vec<bool>| taken.iter().filter(|&&taken| taken).count());
    if (matrix.cells, genes) != (described.cells, described.genes) || joint.len() != genes {
        return Err(changed(described, format!("has {} cells and {genes} genes", matrix.cells)));
    }
    let before = rows.stored();
    match taken {
        None => matrix.append(&file, joint, rows, ctx)?,
        Some(taken) => {
            let mut own = joint.iter();
            let joint: Vec<u32> = taken
                .iter()
                .map(|&taken| if taken { own.next().copied().unwrap_or(DROPPED) } else { DROPPED })
                .collect();
            matrix.append(&file, &joint, rows, ctx)?;
        }
    }
    let stored = rows.stored() - before;
    if stored <= described.stored { Ok(()) } else { Err(changed(described, format!("has {stored} entries"))) }
}

fn changed(described: &CountsFile, found: String) -> Error {
    let found = format!(
        "{found}, but had {} cells, {} genes and {} entries when the run began",
        described.cells, described.genes, described.stored
    );
    let remedy = "The file was changed: restore it, or run again.";
    Error::dataset("no_counts", &described.path, &described.matrix, found, remedy)
}

#[cfg(test)]
mod tests;
