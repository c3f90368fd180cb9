//! Writes an AnnData file (layout 0.1.0, as AnnData 0.8 and later do). In: tables, graphs, coordinates, parameters, and counts
//! of one or several species, which become one block diagonal matrix, cells × genes, one species at a time in memory. The
//! file is complete or not there: it is written beside its place and moved there at the end.

use super::{Column, Document, Node, Table};
use crate::io::counts::read_counts;
use crate::io::h5::first_sentence;
use crate::sparse::{Expression, Graph};
use crate::{Context, Error, Result, with_expression};
use hdf5_metno as h5;
use hdf5_metno::types::VarLenUnicode;
use ndarray::{ArrayView2, s};
use sprs::SpIndex;
use std::path::{Path, PathBuf};

/// Elements of a chunk of the file, and elements that are written at once.
const CHUNK: usize = 1 << 16;
/// Level of gzip: little slower than none, and half the size.
const LEVEL: u8 = 3;

/// Writes a document. Records the phase "write".
///
/// # Errors
/// [`Error::Dataset`] if the file cannot be written; the errors of reading counts; [`Error::Shape`]; [`Error::Cancelled`].
pub fn write(path: &Path, document: &Document, ctx: &Context) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let writer = Writer { path: path.to_owned(), compress: document.compress };
    let written = writer.create(&part).and_then(|file| writer.document(&file, document, ctx));
    let moved = written
        .and_then(|()| std::fs::rename(&part, path).map_err(|source| Error::Io { path: path.to_owned(), source }));
    if moved.is_err() {
        // What was written so far is of no use; that it is gone already is fine.
        drop(std::fs::remove_file(&part));
    }
    moved
}

struct Writer {
    path: PathBuf,
    compress: bool,
}

type Written<T> = std::result::Result<T, h5::Error>;

impl Writer {
    fn create(&self, part: &Path) -> Result<h5::File> {
        h5::silence_errors(true);
        h5::File::create(part).map_err(|error| self.failed("", &error))
    }

    fn failed(&self, name: &str, error: &h5::Error) -> Error {
        let found = format!("cannot be written ({})", first_sentence(error));
        Error::dataset("io", &self.path, name, found, "Is there such a folder, room on the disk, and leave to write?")
    }

    fn document(&self, file: &h5::File, document: &Document, ctx: &Context) -> Result<()> {
        let at = |name: &'static str| move |error: h5::Error| self.failed(name, &error);
        encoding(file, "anndata", "0.1.0").map_err(at(""))?;
        self.table(file, "obs", &document.obs).map_err(at("obs"))?;
        self.table(file, "var", &document.var).map_err(at("var"))?;
        for group in ["layers", "obsm", "varm", "obsp", "varp"] {
            dictionary(file, group).map_err(at(group))?;
        }
        ctx.phase("write", document.graphs.len() + document.arrays.len() + document.counts.len() + 1, || {
            for (name, graph) in &document.graphs {
                self.graph(file, name, graph).map_err(|error| self.failed(name, &error))?;
                ctx.advance(1)?;
            }
            for (name, array) in &document.arrays {
                self.matrix(file, name, array.view()).map_err(|error| self.failed(name, &error))?;
                ctx.advance(1)?;
            }
            self.group(file, "uns", &document.uns).map_err(at("uns"))?;
            ctx.advance(1)
        })?;
        if !document.counts.is_empty() {
            self.counts(file, document, ctx)?;
        }
        file.flush().map_err(at(""))
    }

    /// X: the counts of every species below and beside the last.
    fn counts(&self, file: &h5::File, document: &Document, ctx: &Context) -> Result<()> {
        let at = |error: h5::Error| self.failed("X", &error);
        let (cells, genes) = (document.obs.index.len(), document.var.index.len());
        let stored = document.counts.iter().flat_map(|(samples, _)| samples).map(|sample| sample.stored()).sum();
        let group = sparse_group(file, "X", [cells, genes]).map_err(at)?;
        let data = self.empty::<f32>(&group, "data", stored).map_err(at)?;
        let indices = self.empty::<i32>(&group, "indices", stored).map_err(at)?;
        let (mut pointers, mut first_gene) = (vec![0i64], 0);
        for (samples, own) in &document.counts {
            let counts = read_counts(samples, *own, ctx)?;
            let start = pointers[pointers.len() - 1];
            with_expression!(&counts, matrix => {
                pointers.extend(matrix.indptr().raw_storage()[1..].iter().map(|&end| start + end as i64));
            });
            self.entries(&counts, first_gene, start as usize, &data, &indices, ctx)?;
            first_gene += own;
        }
        if pointers.len() != cells + 1 || first_gene != genes || pointers[cells] != stored as i64 {
            let found = format!("{} x {first_gene} with {} entries", pointers.len() - 1, pointers[pointers.len() - 1]);
            return Err(Error::shape("writing counts", format!("{cells} x {genes} with {stored} entries"), found));
        }
        self.pointers(&group, &pointers).map_err(at)
    }

    /// Row pointers, as narrow as they can be: SciPy wants those and the indices of one width, scanpy the narrow one.
    fn pointers(&self, group: &h5::Group, pointers: &[i64]) -> Written<()> {
        let narrow: std::result::Result<Vec<i32>, _> = pointers.iter().map(|&end| i32::try_from(end)).collect();
        match narrow {
            Ok(narrow) => self.values(group, "indptr", &narrow),
            Err(_) => self.values(group, "indptr", pointers),
        }
    }

    /// Entries of a species from entry `start` of X, in blocks.
    fn entries(
        &self,
        counts: &Expression,
        first_gene: usize,
        start: usize,
        data: &h5::Dataset,
        indices: &h5::Dataset,
        ctx: &Context,
    ) -> Result<()> {
        let mut at = start;
        with_expression!(counts, matrix => {
            for (genes, values) in matrix.indices().chunks(16 * CHUNK).zip(matrix.data().chunks(16 * CHUNK)) {
                let genes: Vec<i32> = genes.iter().map(|gene| (first_gene + gene.index()) as i32).collect();
                let range = at..at + values.len();
                data.write_slice(values, s![range.clone()])
                    .and_then(|()| indices.write_slice(&genes, s![range.clone()]))
                    .map_err(|error| self.failed("X", &error))?;
                at = range.end;
                ctx.check()?;
            }
        });
        Ok(())
    }

    fn graph(&self, file: &h5::File, name: &str, graph: &Graph) -> Written<()> {
        let group = sparse_group(file, name, [graph.rows(), graph.cols()])?;
        let indices: Vec<i32> = graph.indices().iter().map(|&column| column as i32).collect();
        let pointers: Vec<i64> = graph.indptr().raw_storage().iter().map(|&end| end as i64).collect();
        self.values(&group, "data", graph.data())?;
        self.values(&group, "indices", &indices)?;
        self.pointers(&group, &pointers)
    }

    fn matrix(&self, file: &h5::File, name: &str, matrix: ArrayView2<f64>) -> Written<()> {
        let matrix = matrix.as_standard_layout();
        let data = file.new_dataset_builder().with_data(matrix.view()).create(name)?;
        encoding(&data, "array", "0.2.0")
    }

    fn table(&self, parent: &h5::Group, name: &str, table: &Table) -> Written<()> {
        let group = parent.create_group(name)?;
        encoding(&group, "dataframe", "0.2.0")?;
        text_attribute(&group, "_index", "_index")?;
        let names: Vec<VarLenUnicode> = table.columns.iter().map(|(name, _)| text(name)).collect::<Written<_>>()?;
        group.new_attr_builder().with_data(&names).create("column-order")?;
        self.texts(&group, "_index", table.index.iter().map(String::as_str))?;
        for (name, column) in &table.columns {
            self.column(&group, name, column)?;
        }
        Ok(())
    }

    fn column(&self, group: &h5::Group, name: &str, column: &Column) -> Written<()> {
        // A `/` would be a group in a group.
        let name = &name.replace('/', "_");
        match column {
            Column::Real(values) => self.array(group, name, values),
            Column::Integer(values) => self.nullable(group, name, values, "nullable-integer"),
            Column::Flag(values) => self.nullable(group, name, values, "nullable-boolean"),
            Column::Category { levels, codes } => {
                let codes: Vec<i32> = codes.iter().map(|code| code.map_or(-1, |code| code as i32)).collect();
                self.categories(group, name, levels.iter().map(String::as_str), &codes)
            }
            Column::Text(values) if values.iter().all(Option::is_some) => {
                self.texts(group, name, values.iter().flatten().map(String::as_str))
            }
            // Strings have no missing values in AnnData; categories do.
            Column::Text(values) => {
                let mut levels: Vec<&str> = values.iter().flatten().map(String::as_str).collect();
                levels.sort_unstable();
                levels.dedup();
                let code = |value: &str| levels.binary_search(&value).map_or(-1, |code| code as i32);
                let codes: Vec<i32> = values.iter().map(|value| value.as_deref().map_or(-1, code)).collect();
                self.categories(group, name, levels.iter().copied(), &codes)
            }
        }
    }

    /// Values that may be missing: with a mask if any is.
    fn nullable<T>(&self, group: &h5::Group, name: &str, values: &[Option<T>], kind: &str) -> Written<()>
    where
        T: h5::H5Type + Copy + Default,
    {
        let plain: Vec<T> = values.iter().map(|value| value.unwrap_or_default()).collect();
        let missing: Vec<bool> = values.iter().map(Option::is_none).collect();
        if !missing.contains(&true) {
            return self.array(group, name, &plain);
        }
        let column = group.create_group(name)?;
        encoding(&column, kind, "0.1.0")?;
        self.array(&column, "values", &plain)?;
        self.array(&column, "mask", &missing)
    }

    fn categories<'t>(
        &self,
        group: &h5::Group,
        name: &str,
        levels: impl Iterator<Item = &'t str>,
        codes: &[i32],
    ) -> Written<()> {
        let column = group.create_group(name)?;
        encoding(&column, "categorical", "0.2.0")?;
        column.new_attr::<bool>().create("ordered")?.write_scalar(&false)?;
        self.texts(&column, "categories", levels)?;
        self.array(&column, "codes", codes)
    }

    fn group(&self, parent: &h5::Group, name: &str, nodes: &[(String, Node)]) -> Written<()> {
        let group = dictionary(parent, name)?;
        for (name, node) in nodes {
            let name = &name.replace('/', "_");
            match node {
                Node::Group(nodes) => self.group(&group, name, nodes)?,
                Node::Table(table) => self.table(&group, name, table)?,
                Node::Text(value) => {
                    let data = group.new_dataset::<VarLenUnicode>().create(name.as_str())?;
                    data.write_scalar(&text(value)?)?;
                    encoding(&data, "string", "0.2.0")?;
                }
                Node::Number(value) => scalar(&group, name, value)?,
                Node::Flag(value) => scalar(&group, name, value)?,
                Node::Texts(values) => self.texts(&group, name, values.iter().map(String::as_str))?,
                Node::Numbers(values) => self.array(&group, name, values)?,
                Node::Flags(values) => self.array(&group, name, values)?,
            }
        }
        Ok(())
    }

    /// An array that says what it is.
    fn array<T: h5::H5Type>(&self, group: &h5::Group, name: &str, values: &[T]) -> Written<()> {
        self.values(group, name, values)?;
        let data = group.dataset(name)?;
        encoding(&data, "array", "0.2.0")
    }

    fn texts<'t>(&self, group: &h5::Group, name: &str, values: impl Iterator<Item = &'t str>) -> Written<()> {
        let values: Vec<VarLenUnicode> = values.map(text).collect::<Written<_>>()?;
        let data = group.new_dataset_builder().with_data(&values).create(name)?;
        encoding(&data, "string-array", "0.2.0")
    }

    fn values<T: h5::H5Type>(&self, group: &h5::Group, name: &str, values: &[T]) -> Written<()> {
        self.empty::<T>(group, name, values.len())?.write(values)
    }

    /// A dataset of one axis, in compressed chunks where it is large.
    fn empty<T: h5::H5Type>(&self, group: &h5::Group, name: &str, length: usize) -> Written<h5::Dataset> {
        let mut builder = group.new_dataset::<T>();
        if self.compress && length > CHUNK {
            builder = builder.chunk((CHUNK,)).shuffle().deflate(LEVEL);
        }
        builder.shape(length).create(name)
    }
}

fn scalar<T: h5::H5Type>(group: &h5::Group, name: &str, value: &T) -> Written<()> {
    let data = group.new_dataset::<T>().create(name)?;
    data.write_scalar(value)?;
    encoding(&data, "numeric-scalar", "0.2.0")
}

fn sparse_group(file: &h5::File, name: &str, shape: [usize; 2]) -> Written<h5::Group> {
    let group = file.create_group(name)?;
    encoding(&group, "csr_matrix", "0.1.0")?;
    group.new_attr_builder().with_data(&shape.map(|axis| axis as i64)).create("shape")?;
    Ok(group)
}

fn dictionary(parent: &h5::Group, name: &str) -> Written<h5::Group> {
    let group = parent.create_group(name)?;
    encoding(&group, "dict", "0.1.0")?;
    Ok(group)
}

fn encoding(object: &h5::Location, kind: &str, version: &str) -> Written<()> {
    text_attribute(object, "encoding-type", kind)?;
    text_attribute(object, "encoding-version", version)
}

fn text_attribute(object: &h5::Location, name: &str, value: &str) -> Written<()> {
    object.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(value)?)
}

/// HDF5's strings end at the first zero byte: one with such a byte is cut there.
fn text(value: &str) -> Written<VarLenUnicode> {
    let end = value.find('\0').unwrap_or(value.len());
    value[..end].parse().map_err(|_| h5::Error::from("text that HDF5 cannot hold"))
}
