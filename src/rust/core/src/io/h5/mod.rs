//! An open HDF5 file whose errors name the file and the dataset, and whose reads are never larger than what the file can
//! justify: sizes in a file are claims, and a damaged file may claim anything.
//!
//! libhdf5 opens files and reads numbers; what it would trust in a damaged file is checked before ([`structure`],
//! [`chunks`]), and strings of variable length are read without it ([`heap`]).
//!
//! Numbers come as `f64` or `i64` and text as UTF-8, whatever their type in the file. Compression: none, gzip, lzf.

mod chunks;
mod heap;
mod messages;
mod raw;
mod references;
mod structure;
mod values;

use heap::Heap;
use raw::Raw;
use structure::Dataset;
pub use values::Kind;
use values::Values;

use crate::{Error, Result};
use hdf5_metno as h5;
use hdf5_metno::types::TypeDescriptor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Largest ratio that deflate and lzf reach (deflate: 1032 : 1).
const RATIO: u64 = 1100;
/// What any file may claim.
const FREE: u64 = 1 << 20;
/// Largest chunk that is read from a file that is smaller.
const CHUNK: u64 = 64 << 20;
/// Largest attribute in bytes.
const ATTRIBUTE: usize = 16 << 20;

/// A result, or the end of a sentence about a dataset.
type Found<T> = std::result::Result<T, String>;

/// An HDF5 file open for reading.
pub struct H5File {
    path: PathBuf,
    file: h5::File,
    heap: Heap,
    /// What is to be checked of the datasets that were not used yet.
    unchecked: RefCell<HashMap<String, Dataset>>,
    bytes: u64,
}

impl H5File {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such file; [`Error::Dataset`] if it is no HDF5 file or was cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        if about.is_dir() {
            let remedy = "Give the path of an .h5ad file, or of the .h5 file of Cell Ranger.";
            return Err(Error::dataset("parse", path, "", "is a folder", remedy));
        }
        let (raw, datasets) = check_structure(path)?;
        h5::silence_errors(true);
        let file = h5::File::open(path).map_err(|error| {
            let found = format!("cannot be opened as an HDF5 file ({})", first_sentence(&error));
            Error::dataset(
                "parse",
                path,
                "",
                found,
                "It is of another format, or was cut off: write or download it again.",
            )
        })?;
        let heap = Heap::new(raw);
        Ok(H5File { path: path.to_owned(), file, heap, unchecked: RefCell::new(datasets), bytes: about.len() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Something in this file that cannot be used.
    pub fn broken(&self, dataset: &str, found: impl Into<String>) -> Error {
        Error::dataset(
            "parse",
            &self.path,
            dataset,
            found,
            "The file is damaged, or was not written by AnnData or Cell Ranger.",
        )
    }

    /// Whether there is an object of this name that can be opened.
    pub fn has(&self, name: &str) -> bool {
        self.file.dataset(name).is_ok() || self.file.group(name).is_ok()
    }

    /// Whether this is a group.
    pub fn is_group(&self, name: &str) -> bool {
        self.file.group(name).is_ok()
    }

    /// Names of the objects in a group, sorted; none if there is no such group.
    pub fn names(&self, group: &str) -> Vec<String> {
        let mut names = self.file.group(group).and_then(|group| group.member_names()).unwrap_or_default();
        names.sort();
        names
    }

    /// A dataset, its claims checked.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there is none, if it is compressed by something else than gzip or lzf, or if it claims to be
    /// larger than its file can hold.
    pub fn array(&self, name: &str) -> Result<Array<'_>> {
        self.check_dataset(name)?;
        let data = self
            .file
            .dataset(name)
            .map_err(|error| self.broken(name, format!("there is no such dataset ({})", first_sentence(&error))))?;
        let shape = data.get_shape().map_err(|error| self.broken(name, first_sentence(&error)))?;
        let array = Array { file: self, name: name.to_owned(), data, shape, member: None };
        array.check_filters()?;
        array.check_claims()?;
        Ok(array)
    }

    /// Checks what libhdf5 will read of a dataset, once.
    fn check_dataset(&self, name: &str) -> Result<()> {
        let name = name.trim_matches('/');
        let Some(dataset) = self.unchecked.borrow().get(name).cloned() else { return Ok(()) };
        let chunks = dataset.chunks.map_or(Ok(()), |found| chunks::check(self.heap.raw(), &found));
        let fill = || dataset.fill.map_or(Ok(()), |fill| self.heap.check(&fill));
        chunks.and_then(|()| fill()).map_err(|found| self.broken(name, found))?;
        self.unchecked.borrow_mut().remove(name);
        Ok(())
    }

    /// A text attribute of a group or dataset; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Dataset`] if its text cannot be read.
    pub fn text_attribute(&self, object: &str, name: &str) -> Result<Option<String>> {
        Ok(self.text_attributes(object, name)?.and_then(|texts| texts.into_iter().next()))
    }

    /// All values of a text attribute; `None` if there is none, or one that is no text.
    ///
    /// # Errors
    /// [`Error::Dataset`] if its text cannot be read.
    pub fn text_attributes(&self, object: &str, name: &str) -> Result<Option<Vec<String>>> {
        let Some(attribute) = self.attribute(object, name) else { return Ok(None) };
        let values = Values { data: &attribute, heap: &self.heap, member: None };
        if values.kind() != Kind::Text {
            return Ok(None);
        }
        let texts = values.texts(0..attribute.size());
        texts.map(Some).map_err(|found| self.broken(object, format!("has the attribute \"{name}\", which {found}")))
    }

    /// All values of a numeric attribute; `None` if there is none.
    pub fn number_attributes(&self, object: &str, name: &str) -> Option<Vec<i64>> {
        let attribute = self.attribute(object, name)?;
        let integer = Values { data: &attribute, heap: &self.heap, member: None }.kind() == Kind::Integer;
        if integer { attribute.read_raw::<i64>().ok() } else { None }
    }

    fn attribute(&self, object: &str, name: &str) -> Option<h5::Attribute> {
        let attribute = match self.file.group(object) {
            Ok(group) => group.attr(name),
            Err(_) => self.file.dataset(object).and_then(|data| data.attr(name)),
        };
        let size = |attribute: &h5::Attribute| {
            let element = attribute.dtype().map_or(usize::MAX, |kind| kind.size());
            attribute.size().saturating_mul(element)
        };
        attribute.ok().filter(|attribute| size(attribute) <= ATTRIBUTE)
    }
}

/// A dataset whose claims were checked.
pub struct Array<'f> {
    file: &'f H5File,
    name: String,
    data: h5::Dataset,
    shape: Vec<usize>,
    member: Option<String>,
}

impl Array<'_> {
    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements. One without axes has one, or none at all (AnnData's null).
    pub fn len(&self) -> usize {
        if self.shape.is_empty() {
            self.data.space().map_or(0, |space| space.size())
        } else {
            self.shape.iter().product()
        }
    }

    /// What kind of values it has.
    pub fn kind(&self) -> Kind {
        self.values().kind()
    }

    /// Elements along the first axis that are read at once: about `wanted`, and whole chunks of the file where these are not
    /// much larger.
    pub fn block(&self, wanted: usize) -> usize {
        let chunk = self.data.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1).max(1);
        if chunk > wanted.saturating_mul(8) { wanted } else { (wanted / chunk).max(1) * chunk }
    }

    /// An error about this dataset.
    pub fn broken(&self, found: impl Into<String>) -> Error {
        self.file.broken(&self.name, found)
    }

    /// One with a kind and remedy of its own.
    pub fn refused(&self, kind: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::dataset(kind, &self.file.path, &self.name, found, remedy)
    }

    /// Elements `range` of an array of one axis, as numbers.
    ///
    /// # Errors
    /// [`Error::Dataset`] if it has another shape, is not numeric, or cannot be decompressed.
    pub fn numbers(&self, range: std::ops::Range<usize>) -> Result<Vec<f64>> {
        self.check_axes(1)?;
        self.values().numbers(range).map_err(|found| self.broken(found))
    }

    /// Elements `range` of an array of one axis that must be whole numbers.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn integers(&self, range: std::ops::Range<usize>) -> Result<Vec<i64>> {
        self.check_axes(1)?;
        self.values().integers(range).map_err(|found| self.broken(found))
    }

    /// Elements `range` of an array of one axis that must be text.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn texts(&self, range: std::ops::Range<usize>) -> Result<Vec<String>> {
        self.check_axes(1)?;
        self.values().texts(range).map_err(|found| self.broken(found))
    }

    /// Elements `range` of an array of one axis that must be true or false.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn flags(&self, range: std::ops::Range<usize>) -> Result<Vec<bool>> {
        self.check_axes(1)?;
        self.values().flags(range).map_err(|found| self.broken(found))
    }

    /// The number a dataset without axes holds.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn scalar(&self) -> Result<f64> {
        self.check_axes(0)?;
        self.values().numbers(0..1).and_then(one).map_err(|found| self.broken(found))
    }

    /// The text a dataset without axes holds.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn scalar_text(&self) -> Result<String> {
        self.check_axes(0)?;
        self.values().texts(0..1).and_then(one).map_err(|found| self.broken(found))
    }

    /// Rows `range` of an array of two axes, row by row.
    ///
    /// # Errors
    /// As [`Array::numbers`].
    pub fn rows(&self, range: std::ops::Range<usize>) -> Result<Vec<f64>> {
        self.check_axes(2)?;
        self.values().rows(range).map_err(|found| self.broken(found))
    }

    /// Names of the members of its records; none if it has none.
    pub fn members(&self) -> Vec<String> {
        match self.data.dtype().and_then(|dtype| dtype.to_descriptor()) {
            Ok(TypeDescriptor::Compound(record)) => record.fields.into_iter().map(|field| field.name).collect(),
            _ => Vec::new(),
        }
    }

    /// One member of its records.
    pub fn member(self, name: &str) -> Self {
        Array { name: format!("{} ({name})", self.name), member: Some(name.to_owned()), ..self }
    }

    fn values(&self) -> Values<'_> {
        Values { data: &self.data, heap: &self.file.heap, member: self.member.as_deref() }
    }

    fn check_axes(&self, axes: usize) -> Result<()> {
        if self.shape.len() == axes {
            return Ok(());
        }
        Err(self.broken(format!("has {} axes where {axes} are needed", self.shape.len())))
    }

    fn check_filters(&self) -> Result<()> {
        for filter in self.data.filters() {
            if matches!(filter.id(), 1..=3 | 32000) && filter.is_available() {
                continue;
            }
            let found = format!("is compressed with {}, which is not supported", filter_name(filter.id()));
            let remedy = "Write it again with gzip, lzf or no compression: in Python \
                          `anndata.read_h5ad(path).write_h5ad(path, compression = \"gzip\")`.";
            return Err(self.refused("compression", found, remedy));
        }
        Ok(())
    }

    /// The size of the dataset and of its chunks against what is stored.
    fn check_claims(&self) -> Result<()> {
        let element = self.data.dtype().map_or(1, |kind| kind.size()) as u64;
        let size = |axes: &[usize]| axes.iter().try_fold(element, |size, &axis| size.checked_mul(axis as u64));
        let justified = self.data.storage_size().min(self.file.bytes).saturating_mul(RATIO).saturating_add(FREE);
        let fits = size(&self.shape).is_some_and(|bytes| bytes <= justified)
            && self.data.chunk().is_none_or(|chunk| size(&chunk).is_some_and(|bytes| bytes <= justified.max(CHUNK)));
        if fits {
            return Ok(());
        }
        Err(self.broken(format!(
            "claims the shape {:?}, more than the {} bytes stored for it can hold",
            self.shape,
            self.data.storage_size()
        )))
    }
}

/// The bytes of a file and its datasets, once libhdf5 may be trusted with it.
fn check_structure(path: &Path) -> Result<(Raw, HashMap<String, Dataset>)> {
    let remedy = "It is of another format, or was cut off: write or download it again.";
    let refused = |found: String| Error::dataset("parse", path, "", found, remedy);
    let opened = Raw::with_superblock(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let (raw, Some(superblock)) = opened else {
        return Err(refused("cannot be opened as an HDF5 file (it has no superblock that is known)".to_owned()));
    };
    if superblock.end > raw.bytes {
        return Err(refused(format!("has {} bytes of {}", raw.bytes, superblock.end)));
    }
    let datasets = structure::check(&raw, &superblock).map_err(|(name, found)| {
        Error::dataset("parse", path, name, found, "The file is damaged: write or download it again.")
    })?;
    Ok((raw, datasets))
}

fn one<T>(values: Vec<T>) -> std::result::Result<T, String> {
    values.into_iter().next().ok_or_else(|| "holds nothing".to_owned())
}

fn filter_name(id: i32) -> String {
    let name = match id {
        4 => "szip",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return format!("filter {id}"),
    };
    name.to_owned()
}

/// What HDF5 said, without its stack.
pub fn first_sentence(error: &h5::Error) -> String {
    let text = error.to_string();
    text.split(['\n', ':']).next().unwrap_or("").trim().to_owned()
}
