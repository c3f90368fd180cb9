//! Messages of the headers of objects, as far as libhdf5 relies on them: versions up to 1.10 at least decode them
//! without looking where they end. `None` stands for one that runs beyond its end or contradicts itself.
//!
//! Source: HDF5 File Format Specification, IV.A.2.

use super::raw::Fields;

/// Most axes of an array.
const AXES: u64 = 32;
/// Most types within types.
const DEPTH: usize = 16;

/// Lengths of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Number of axes.
    pub axes: usize,
    /// Number of elements.
    pub elements: u64,
}

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Bytes of an element in the file.
    pub bytes: u64,
    /// Whether it is a string or list of any length, of which the file has references.
    pub reference: bool,
    /// Whether there is such a one in it.
    pub references: bool,
}

/// Where the elements of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// In the message, in so many bytes.
    Compact(u64),
    /// In chunks, found by a tree at that address: their lengths along the axes, and the bytes of an element.
    Chunks(u64, Vec<u64>),
    /// In one piece, or in a way that has checksums.
    Other,
}

/// A filter of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Its number.
    pub id: u64,
    /// Its parameters.
    pub values: Vec<u64>,
}

/// Class of strings and lists of any length.
const LIST: u64 = 9;

/// The shape of a dataset or attribute.
pub fn space(mut fields: Fields) -> Option<Space> {
    let version = fields.number(1)?;
    let (axes, flags) = (fields.number(1)?, fields.number(1)?);
    let kind = fields.number(1)?;
    if version == 1 {
        fields.bytes(4)?;
    }
    if !(1..=2).contains(&version) || axes > AXES {
        return None;
    }
    let mut elements = u64::from(version == 1 || kind != 2);
    for _ in 0..axes {
        elements = elements.checked_mul(fields.length()?)?;
    }
    if flags & 1 != 0 {
        (0..axes).try_for_each(|_| fields.length().map(drop))?;
    }
    Some(Space { axes: axes as usize, elements })
}

/// A type.
pub fn kind(mut fields: Fields) -> Option<Kind> {
    let mut references = false;
    let class = Fields::number(&mut fields.clone(), 1)? & 15;
    let bytes = nested_kind(&mut fields, DEPTH, &mut references)?;
    Some(Kind { bytes, reference: class == LIST, references })
}

/// Bytes of a type in the file. Notes whether it has strings or lists of any length.
fn nested_kind(fields: &mut Fields, depth: usize, references: &mut bool) -> Option<u64> {
    let depth = depth.checked_sub(1)?;
    let (class, bits, size) = (fields.number(1)?, fields.number(3)?, fields.number(4)?);
    let version = class >> 4;
    // Later ones are unknown to libraries that do not check them.
    if version > 3 {
        fields.bytes(fields.left())?;
        return Some(size);
    }
    let (unit, width) = if version < 3 { (8, 4) } else { (1, (size.max(1).ilog2() / 8 + 1) as usize) };
    let fits = match class & 15 {
        0 | 4 => within(fields.number(2)?, fields.number(2)?, size),
        1 => real(fields, bits, size)?,
        2 => fields.bytes(2).map(|_| true)?,
        3 | 7 => true,
        5 => fields.bytes(bits as usize & 0xff).map(|_| true)?,
        6 => {
            let members = bits & 0xffff;
            (0..members).try_for_each(|_| {
                let _name = fields.name(unit)?;
                let offset = fields.number(width)?;
                let copies = if version == 1 { copies(fields)? } else { 1 };
                let bytes = nested_kind(fields, depth, references)?.checked_mul(copies)?;
                (offset.checked_add(bytes)? <= size).then_some(())
            })?;
            members > 0
        }
        8 => {
            let base = nested_kind(fields, depth, references)?;
            let values = bits & 0xffff;
            (0..values).try_for_each(|_| fields.name(unit).map(drop))?;
            fields.bytes(usize::try_from(values.checked_mul(base)?).ok()?)?;
            base == size
        }
        LIST => {
            nested_kind(fields, depth, references)?;
            *references = true;
            return (bits & 15 < 2).then_some(fields.reference());
        }
        10 => {
            let axes = fields.number(1)?;
            if version < 3 {
                fields.bytes(3)?;
            }
            let lengths = (0..axes).try_fold(1_u64, |all, _| all.checked_mul(fields.number(4)?))?;
            if version < 3 {
                fields.bytes(4 * axes as usize)?;
            }
            axes <= AXES && nested_kind(fields, depth, references)?.checked_mul(lengths)? == size
        }
        _ => false,
    };
    (version > 0 && fits).then_some(size)
}

/// Whether some bits are there, within so many bytes.
fn within(first: u64, bits: u64, bytes: u64) -> bool {
    bits > 0 && first + bits <= 8 * bytes
}

fn real(fields: &mut Fields, bits: u64, size: u64) -> Option<bool> {
    let all = within(fields.number(2)?, fields.number(2)?, size);
    let exponent = within(fields.number(1)?, fields.number(1)?, size);
    let mantissa = within(fields.number(1)?, fields.number(1)?, size);
    fields.bytes(4)?;
    Some(all && exponent && mantissa && within(bits >> 8 & 0xff, 1, size))
}

/// How many values a member of a record has, in the first version of types.
fn copies(fields: &mut Fields) -> Option<u64> {
    let axes = fields.number(1)? as usize;
    fields.bytes(11)?;
    let mut lengths = [0; 4];
    for length in &mut lengths {
        *length = fields.number(4)?;
    }
    lengths.get(..axes)?.iter().try_fold(1_u64, |all, &length| all.checked_mul(length))
}

/// The value of elements that were not written; empty if it is none of their own.
pub fn fill<'d>(mut fields: Fields<'d>) -> Option<&'d [u8]> {
    let version = fields.number(1)?;
    let defined = if version < 3 { fields.number(3)? >> 16 != 0 } else { fields.number(1)? & 0x20 != 0 };
    if !defined { Some(&[]) } else { old_fill(fields) }
}

/// The same in old files.
pub fn old_fill<'d>(mut fields: Fields<'d>) -> Option<&'d [u8]> {
    let size = fields.number(4)?;
    // None at all is -1.
    if size == u64::from(u32::MAX) {
        return Some(&[]);
    }
    fields.bytes(usize::try_from(size).ok()?)
}

/// Where the elements of a dataset are.
pub fn layout(mut fields: Fields) -> Option<Layout> {
    let version = fields.number(1)?;
    let (axes, class, address) = match version {
        1 | 2 => {
            let (axes, class) = (fields.number(1)?, fields.number(1)?);
            fields.bytes(5)?;
            (axes, class, if class == 0 { 0 } else { fields.address()? })
        }
        3 => match fields.number(1)? {
            2 => (fields.number(1)?, 2, fields.address()?),
            1 => (0, 1, fields.address().zip(fields.length())?.0),
            class => (0, class, 0),
        },
        _ => return Some(Layout::Other),
    };
    let mut lengths = Vec::new();
    for _ in 0..axes {
        lengths.push(fields.number(4)?);
    }
    match class {
        0 => {
            let size = fields.number(if version == 3 { 2 } else { 4 })?;
            fields.bytes(size as usize).map(|_| Layout::Compact(size))
        }
        1 => Some(Layout::Other),
        2 if axes <= AXES + 1 => Some(Layout::Chunks(address, lengths)),
        _ => None,
    }
}

/// The filters of chunks, in the order of writing.
pub fn filters(mut fields: Fields) -> Option<Vec<Filter>> {
    let (version, count) = (fields.number(1)?, fields.number(1)?);
    if version == 1 {
        fields.bytes(6)?;
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = fields.number(2)?;
        let length = if version == 1 || id >= 256 { fields.number(2)? as usize } else { 0 };
        let (_flags, count) = (fields.number(2)?, fields.number(2)?);
        if length > 0 {
            fields.part(length)?.name(1)?;
        }
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(fields.number(4)?);
        }
        if version == 1 && count % 2 == 1 {
            fields.bytes(4)?;
        }
        filters.push(Filter { id, values });
    }
    Some(filters)
}

/// An attribute: name, type, shape and values are where they must be.
pub fn attribute(mut fields: Fields) -> Option<()> {
    let (version, flags) = (fields.number(1)?, fields.number(1)?);
    let (name, kind_size, space_size) = (fields.number(2)?, fields.number(2)?, fields.number(2)?);
    if version > 2 {
        fields.bytes(1)?;
    }
    let unit = if version == 1 { 8 } else { 1 };
    let mut part = |size: u64| fields.part((size as usize).next_multiple_of(unit));
    part(name)?.name(1)?;
    let (kind_fields, space_fields) = (part(kind_size)?, part(space_size)?);
    // Type and shape may be kept elsewhere.
    if version > 1 && flags & 3 != 0 {
        return Some(());
    }
    let bytes = kind(kind_fields)?.bytes.checked_mul(space(space_fields)?.elements)?;
    (bytes <= fields.left() as u64).then_some(())
}

#[cfg(test)]
mod tests;
