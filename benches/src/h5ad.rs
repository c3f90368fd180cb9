//! Writes an atlas as an h5ad file (AnnData's format 0.1.0), a block of cells at a time: `X` in CSR, `obs/cell_type`, and the
//! names of cells and genes.

use crate::Result;
use crate::pancreas::Rows;
use hdf5_metno::types::VarLenUnicode;
use hdf5_metno::{Dataset, Extent, File, Group, H5Type, Location};
use std::path::Path;

/// Entries per chunk of the file.
const CHUNK: usize = 1 << 18;

/// An h5ad file under construction.
pub struct Writer {
    file: File,
    counts: Dataset,
    columns: Dataset,
    pointers: Vec<i64>,
    types: Vec<i8>,
}

impl Writer {
    /// A new file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)?;
        encode(&file, "anndata", "0.1.0")?;
        let x = file.create_group("X")?;
        encode(&x, "csr_matrix", "0.1.0")?;
        let (counts, columns) = (growing::<f32>(&x, "data")?, growing::<i32>(&x, "indices")?);
        Ok(Writer { file, counts, columns, pointers: vec![0], types: Vec::new() })
    }

    /// Appends cells; `types`: the type of each as an index.
    pub fn append(&mut self, rows: &Rows, types: &[i8]) -> Result<()> {
        let first = self.counts.size();
        let end = first + rows.counts.len();
        let columns: Vec<i32> = rows.columns.iter().map(|&column| column as i32).collect();
        self.counts.resize(end)?;
        self.counts.write_slice(&rows.counts, first..end)?;
        self.columns.resize(end)?;
        self.columns.write_slice(&columns, first..end)?;
        self.pointers.extend(rows.pointers[1..].iter().map(|&p| (first + p) as i64));
        self.types.extend(types);
        Ok(())
    }

    /// Writes what describes cells and genes.
    pub fn finish(self, prefix: &str, genes: &[String], type_names: &[String]) -> Result<()> {
        let cells = self.types.len();
        let x = self.file.group("X")?;
        x.new_dataset_builder().with_data(&self.pointers).create("indptr")?;
        let shape = [cells as i64, genes.len() as i64];
        x.new_attr::<i64>().shape([2]).create("shape")?.write(&shape)?;

        let obs = frame(&self.file, "obs", &["cell_type"])?;
        let names: Vec<String> = (0..cells).map(|cell| format!("{prefix}{cell}")).collect();
        strings(&obs, "_index", &names)?;
        let types = obs.create_group("cell_type")?;
        encode(&types, "categorical", "0.2.0")?;
        types.new_attr::<bool>().create("ordered")?.write_scalar(&false)?;
        types.new_dataset_builder().with_data(&self.types).create("codes")?;
        strings(&types, "categories", type_names)?;

        strings(&frame(&self.file, "var", &[])?, "_index", genes)
    }
}

/// A dataset of one dimension that grows.
fn growing<T: H5Type>(group: &Group, name: &str) -> Result<Dataset> {
    Ok(group.new_dataset::<T>().chunk(CHUNK).shape(Extent::resizable(0)).create(name)?)
}

/// An empty data frame.
fn frame(file: &File, name: &str, columns: &[&str]) -> Result<Group> {
    let group = file.create_group(name)?;
    encode(&group, "dataframe", "0.2.0")?;
    group.new_attr::<VarLenUnicode>().create("_index")?.write_scalar(&"_index".parse::<VarLenUnicode>()?)?;
    let columns: Vec<VarLenUnicode> = columns.iter().map(|c| c.parse()).collect::<std::result::Result<_, _>>()?;
    group.new_attr::<VarLenUnicode>().shape([columns.len()]).create("column-order")?.write(&columns)?;
    Ok(group)
}

/// An array of strings.
fn strings(group: &Group, name: &str, values: &[String]) -> Result<()> {
    let values: Vec<VarLenUnicode> = values.iter().map(|v| v.parse()).collect::<std::result::Result<_, _>>()?;
    let dataset = group.new_dataset_builder().with_data(&values).create(name)?;
    encode(&dataset, "string-array", "0.2.0")
}

/// The attributes by which AnnData knows what an element is.
fn encode(element: &Location, kind: &str, version: &str) -> Result<()> {
    for (name, value) in [("encoding-type", kind), ("encoding-version", version)] {
        element.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&value.parse::<VarLenUnicode>()?)?;
    }
    Ok(())
}
