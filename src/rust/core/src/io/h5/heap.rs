//! Strings of variable length. A dataset or attribute holds references to them, `{u32 length, address, u32 index}`, and
//! the bytes are objects of global heap collections: `GCOL`, version 1, 3 bytes, the size of the collection, then objects
//! `{u16 index, u16 count, u32 reserved, size, bytes}`, each padded to 8 bytes; the object 0 is free space.
//!
//! They are read here and not by libhdf5, which trusts what a heap says: where an index, a size or a length was
//! changed, versions up to 1.10 at least read and write out of bounds. Here every number is checked before it is used.
//! Errors are ends of sentences about the dataset.
//!
//! Source: HDF5 File Format Specification, III.E.

use super::Found;
use super::raw::{Fields, Raw, number};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// Collections that are kept, in bytes.
const KEPT: usize = 4 << 20;
/// Largest collection that is read. It has 4 to 64 KiB, or as much as one string needs.
const LARGEST: u64 = 64 << 20;
/// What sizes and places in a collection are multiples of.
const ALIGNMENT: usize = 8;

/// The strings of a file.
pub struct Heap {
    raw: Raw,
    kept: RefCell<Kept>,
}

/// The collections read last.
#[derive(Default)]
struct Kept {
    collections: HashMap<u64, Collection>,
    bytes: usize,
}

/// A collection and where in it its objects are.
struct Collection {
    data: Vec<u8>,
    objects: HashMap<u16, Range<usize>>,
}

impl Heap {
    /// The strings of a file.
    pub fn new(raw: Raw) -> Self {
        Heap { raw, kept: RefCell::default() }
    }

    /// Bytes of a reference to a string.
    pub fn reference(&self) -> usize {
        4 + self.raw.format.address + 4
    }

    /// The bytes of the file.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Bytes of the file, and more than all of its strings have.
    pub fn bytes(&self) -> u64 {
        self.raw.bytes
    }

    /// Bytes before the first object of a collection, and before each of them.
    fn header(&self) -> usize {
        (8 + self.raw.format.length).next_multiple_of(ALIGNMENT)
    }

    /// The string that a reference points to, up to its first NUL, as HDF5 gives it. An empty one has no object.
    ///
    /// # Errors
    /// Says what is wrong with the reference or with the collection it points to.
    pub fn string(&self, reference: &[u8]) -> Found<Vec<u8>> {
        self.object(reference, false)
    }

    /// Checks a string that libhdf5 will read: it takes all that there is, whatever the reference says.
    ///
    /// # Errors
    /// As [`Heap::string`]; if there are more bytes than the reference says.
    pub fn check(&self, reference: &[u8]) -> Found<()> {
        self.object(reference, true).map(drop)
    }

    fn object(&self, reference: &[u8], exactly: bool) -> Found<Vec<u8>> {
        let mut fields = Fields::new(reference, self.raw.format);
        let mut numbers = || Some((fields.number(4)?, fields.address()?, fields.number(4)?));
        // An index has 4 bytes in a reference and 2 in a collection.
        let Some((length, address, index)) = numbers() else {
            return Err("holds references of an unknown size".to_owned());
        };
        if address == 0 || length == 0 && !exactly {
            return Ok(Vec::new());
        }
        let mut kept = self.kept.borrow_mut();
        let collection = kept.collection(address, || self.collection(address))?;
        let object = u16::try_from(index).ok().filter(|&index| index != 0);
        let Some(object) = object.and_then(|index| collection.objects.get(&index)) else {
            return Err(format!("holds a string that points outside of its heap (object {index})"));
        };
        if length > object.len() as u64 || exactly && length < object.len() as u64 {
            let size = object.len();
            return Err(format!("holds a string of {length} bytes of which its heap has {size} (object {index})"));
        }
        let bytes = &collection.data[object.start..object.start + length as usize];
        Ok(bytes.iter().copied().take_while(|&byte| byte != 0).collect())
    }

    fn collection(&self, address: u64) -> Found<Collection> {
        let outside = || "holds a string whose heap lies outside of the file".to_owned();
        let header = self.header();
        let at = self.raw.format.base.checked_add(address).ok_or_else(outside)?;
        let room = self.raw.bytes.checked_sub(at).ok_or_else(outside)?;
        let start = self.raw.read(address, header).ok_or_else(outside)?;
        if &start[..4] != b"GCOL" || start[4] != 1 {
            return Err(format!("holds a string that points to what is no heap (byte {at} of the file)"));
        }
        let size = number(&start[8..8 + self.raw.format.length]);
        if size < header as u64 || size > room {
            return Err(format!("holds a string whose heap claims {size} bytes of the {room} there are"));
        }
        if size > LARGEST {
            return Err(format!("holds a string in a heap of {size} bytes; at most {LARGEST} are read"));
        }
        let data = self.raw.read(address, size as usize).ok_or_else(outside)?;
        let objects = self.objects(&data)?;
        Ok(Collection { data, objects })
    }

    /// Where the objects of a collection are. Of several with the same index the last one counts, as for HDF5.
    fn objects(&self, data: &[u8]) -> Found<HashMap<u16, Range<usize>>> {
        let header = self.header();
        let mut objects = HashMap::new();
        let mut at = header;
        while data.len() - at >= header {
            let index = number(&data[at..at + 2]) as u16;
            let size = number(&data[at + 8..at + 8 + self.raw.format.length]);
            let room = data.len() - at - header;
            // The size of free space counts its header. There may be objects behind it.
            let (from, needed) =
                if index == 0 { (at, size) } else { (at + header, size.saturating_add(header as u64)) };
            if needed < header as u64 || needed > (room + header) as u64 {
                let broken = format!("holds a string in a heap whose object {index} claims {size} bytes of {room}");
                return Err(broken);
            }
            if index != 0 {
                objects.insert(index, from..from + size as usize);
            }
            at = (at + needed as usize).next_multiple_of(ALIGNMENT).min(data.len());
        }
        Ok(objects)
    }
}

impl Kept {
    /// The collection at an address, read if it is not there. Those read before are forgotten once they are too many.
    fn collection(&mut self, address: u64, read: impl FnOnce() -> Found<Collection>) -> Found<&Collection> {
        if !self.collections.contains_key(&address) {
            let collection = read()?;
            if self.bytes + collection.data.len() > KEPT {
                self.collections.clear();
                self.bytes = 0;
            }
            self.bytes += collection.data.len();
            self.collections.insert(address, collection);
        }
        self.collections.get(&address).ok_or_else(|| "holds a string whose heap is not there".to_owned())
    }
}

#[cfg(test)]
mod tests;
