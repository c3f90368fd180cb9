//! Values of a dataset or attribute, or of one member of its records: numbers and flags whatever their width, sign and byte
//! order in the file; text of fixed or variable length, ASCII or UTF-8. Errors are ends of sentences about the dataset.

use super::heap::Heap;
use super::{Found, first_sentence, references};
use hdf5_metno as h5;
use hdf5_metno::H5Type;
use hdf5_metno::types::{CompoundField, CompoundType, FixedAscii, FixedUnicode, TypeDescriptor};
use ndarray::s;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes of strings of a fixed length, or of references to others, that are read at once.
const BYTES: usize = 4 << 20;

/// What a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Floating-point numbers.
    Real,
    /// True or false.
    Flag,
    /// Strings.
    Text,
    /// A table whose rows are records.
    Record,
    /// Anything else.
    Other,
}

/// The values of a dataset or attribute, or of one member of its records.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The dataset or attribute.
    pub data: &'a h5::Container,
    /// The strings of its file.
    pub heap: &'a Heap,
    /// The member; `None`: the elements themselves.
    pub member: Option<&'a str>,
}

impl Values<'_> {
    /// The type of the elements.
    fn descriptor(&self) -> Result<TypeDescriptor, h5::Error> {
        let whole = self.data.dtype()?.to_descriptor()?;
        match (self.member, whole) {
            (None, whole) => Ok(whole),
            (Some(member), TypeDescriptor::Compound(record)) => {
                let field = record.fields.into_iter().find(|field| field.name == member);
                field.map(|field| field.ty).ok_or_else(|| format!("no member {member}").into())
            }
            (Some(_), _) => Err("no records".into()),
        }
    }

    /// What kind of values they are.
    pub fn kind(&self) -> Kind {
        match self.descriptor() {
            Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Kind::Integer,
            Ok(TypeDescriptor::Float(_)) => Kind::Real,
            Ok(TypeDescriptor::Boolean) => Kind::Flag,
            Ok(TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode) => Kind::Text,
            Ok(TypeDescriptor::FixedAscii(_) | TypeDescriptor::FixedUnicode(_)) => Kind::Text,
            Ok(TypeDescriptor::Compound(_)) => Kind::Record,
            // Half and extended precision have no descriptor, but HDF5 converts them.
            Err(_) if self.data.dtype().is_ok_and(|dtype| dtype.conv_to::<f64>().is_some()) => Kind::Real,
            _ => Kind::Other,
        }
    }

    /// Elements `range` of an array of one axis.
    pub fn numbers(&self, range: Range<usize>) -> Found<Vec<f64>> {
        match self.kind() {
            Kind::Integer | Kind::Real => self.slice(range),
            Kind::Flag => Ok(self.slice::<Byte>(range)?.into_iter().map(|byte| f64::from(byte.0)).collect()),
            other => Err(format!("holds {} where numbers are needed", other.name())),
        }
    }

    /// Elements `range` of an array of one axis of whole numbers. What does not fit 64 bits with a sign becomes the largest
    /// number that does.
    pub fn integers(&self, range: Range<usize>) -> Found<Vec<i64>> {
        match self.kind() {
            Kind::Integer => self.slice(range),
            other => Err(format!("holds {} where whole numbers are needed", other.name())),
        }
    }

    /// Elements `range` of an array of one axis of booleans, or of numbers of which 0 is false.
    pub fn flags(&self, range: Range<usize>) -> Found<Vec<bool>> {
        Ok(self.numbers(range)?.into_iter().map(|value| value != 0.0).collect())
    }

    /// Rows `range` of an array of two axes, row by row.
    pub fn rows(&self, range: Range<usize>) -> Found<Vec<f64>> {
        let flat = |error: h5::Error| unreadable(&error);
        match self.kind() {
            Kind::Integer | Kind::Real => {
                let read = self.data.read_slice_2d::<f64, _>(s![range, ..]).map_err(flat)?;
                Ok(read.into_raw_vec_and_offset().0)
            }
            Kind::Flag => {
                let bytes = self.data.read_slice_2d::<Byte, _>(s![range, ..]).map_err(flat)?;
                Ok(bytes.into_iter().map(|byte| f64::from(byte.0)).collect())
            }
            other => Err(format!("holds {} where numbers are needed", other.name())),
        }
    }

    /// Elements `range` of an array of at most one axis. Strings of a fixed length are read into a longer type; HDF5 does not
    /// convert between character sets.
    pub fn texts(&self, range: Range<usize>) -> Found<Vec<String>> {
        match self.descriptor().map_err(|error| unreadable(&error))? {
            TypeDescriptor::VarLenUnicode | TypeDescriptor::VarLenAscii => self.strings_of_heap(range),
            TypeDescriptor::FixedAscii(0..=32) => self.strings::<FixedAscii<32>>(range, FixedAscii::as_bytes),
            TypeDescriptor::FixedAscii(0..=256) => self.strings::<FixedAscii<256>>(range, FixedAscii::as_bytes),
            TypeDescriptor::FixedAscii(0..=4096) => self.strings::<FixedAscii<4096>>(range, FixedAscii::as_bytes),
            TypeDescriptor::FixedUnicode(0..=32) => self.strings::<FixedUnicode<32>>(range, FixedUnicode::as_bytes),
            TypeDescriptor::FixedUnicode(0..=256) => self.strings::<FixedUnicode<256>>(range, FixedUnicode::as_bytes),
            TypeDescriptor::FixedUnicode(0..=4096) => self.strings::<FixedUnicode<4096>>(range, FixedUnicode::as_bytes),
            TypeDescriptor::FixedAscii(length) | TypeDescriptor::FixedUnicode(length) => {
                Err(format!("holds strings of {length} bytes; at most 4096 are read"))
            }
            _ => Err(format!("holds {} where text is needed", self.kind().name())),
        }
    }

    fn strings_of_heap(&self, range: Range<usize>) -> Found<Vec<String>> {
        let size = self.heap.reference();
        // Attributes and scalars have no slices.
        let whole = self.member.is_none() && range.len() <= BYTES / size && range == (0..self.data.size());
        let mut out = Vec::with_capacity(range.len().min(BYTES));
        // Every string has bytes of its own in the file. Damaged references may all point to the same one.
        let mut left = self.heap.bytes();
        let mut start = range.start;
        while start < range.end {
            let end = (start + BYTES / size).min(range.end);
            let read = references::read(self.data, self.member, (!whole).then_some(start..end), size);
            for reference in read.map_err(|error| unreadable(&error))?.chunks_exact(size) {
                let text = utf8(self.heap.string(reference)?)?;
                let rest = left.checked_sub(text.len() as u64);
                left = rest.ok_or_else(|| "holds more text than its file has bytes".to_owned())?;
                out.push(text);
            }
            start = end;
        }
        Ok(out)
    }

    fn strings<T: H5Type>(&self, range: Range<usize>, bytes: fn(&T) -> &[u8]) -> Found<Vec<String>> {
        let utf8 = |text: &T| utf8(bytes(text).to_vec());
        // Attributes and scalars have no slices.
        let small = range.len() * size_of::<T>() <= BYTES;
        if self.member.is_none() && small && range == (0..self.data.size()) {
            let all = self.data.read_raw::<T>().map_err(|error| unreadable(&error))?;
            return all.iter().map(utf8).collect();
        }
        let block = (BYTES / size_of::<T>()).max(1);
        let mut out = Vec::with_capacity(range.len());
        let mut start = range.start;
        while start < range.end {
            let end = (start + block).min(range.end);
            for text in &self.slice::<T>(start..end)? {
                out.push(utf8(text)?);
            }
            start = end;
        }
        Ok(out)
    }

    fn slice<T: H5Type>(&self, range: Range<usize>) -> Found<Vec<T>> {
        // Scalars have no slices.
        if self.data.ndim() == 0 && self.member.is_none() {
            return self.data.read_raw::<T>().map_err(|error| unreadable(&error));
        }
        let Some(member) = self.member else {
            let read = self.data.read_slice_1d::<T, _>(s![range]).map_err(|error| unreadable(&error))?;
            return Ok(read.into_raw_vec_and_offset().0);
        };
        MEMBER.with(|name| member.clone_into(&mut name.borrow_mut()));
        let read = self.data.read_slice_1d::<Member<T>, _>(s![range]).map_err(|error| unreadable(&error))?;
        Ok(read.into_iter().map(|member| member.0).collect())
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Integer => "whole numbers",
            Kind::Real => "numbers",
            Kind::Flag => "flags",
            Kind::Text => "text",
            Kind::Record => "records",
            Kind::Other => "values of an unknown type",
        }
    }
}

/// A byte that HDF5 calls a boolean: read as a number, since a damaged file may hold any value.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Byte(i8);

// SAFETY: one byte, as the descriptor says (the enumeration FALSE = 0, TRUE = 1 of h5py), and every value of it is valid.
unsafe impl H5Type for Byte {
    fn type_descriptor() -> TypeDescriptor {
        TypeDescriptor::Boolean
    }
}

thread_local! {
    /// Name of the member that [`Member`] reads: HDF5 finds members by their names, which are known at run time only.
    static MEMBER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// One member of a record.
#[repr(transparent)]
struct Member<T>(T);

// SAFETY: a record with one member at its start has the layout of the member, for which `T` answers.
unsafe impl<T: H5Type> H5Type for Member<T> {
    fn type_descriptor() -> TypeDescriptor {
        let ty = T::type_descriptor();
        let size = ty.size();
        let name = MEMBER.with(|name| name.borrow().clone());
        TypeDescriptor::Compound(CompoundType { fields: vec![CompoundField { name, ty, offset: 0, index: 0 }], size })
    }
}

fn utf8(bytes: Vec<u8>) -> Found<String> {
    String::from_utf8(bytes).map_err(|_| "holds text that is not UTF-8".to_owned())
}

/// The end of a sentence about a dataset that HDF5 cannot read.
fn unreadable(error: &h5::Error) -> String {
    format!("cannot be read ({})", first_sentence(error))
}
