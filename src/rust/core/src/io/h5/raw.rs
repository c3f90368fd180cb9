//! The bytes of an HDF5 file, read beside libhdf5, and its superblock: how it writes numbers and where its root is.
//!
//! Source: HDF5 File Format Specification, II.A.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The first bytes of the superblock.
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// How a file writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bytes before the file proper (the user block), from whose end addresses count.
    pub base: u64,
    /// Bytes of an address.
    pub address: usize,
    /// Bytes of a length.
    pub length: usize,
}

/// The bytes of a file.
pub struct Raw {
    file: File,
    /// How many there are.
    pub bytes: u64,
    /// How numbers are written.
    pub format: Format,
}

/// What the superblock says.
#[derive(Debug, Clone, Copy)]
pub struct Superblock {
    /// Address behind the last byte.
    pub end: u64,
    /// Address of the header of the root group.
    pub root: u64,
    /// Half of the most symbols that a leaf of a group has, and of the most children of a node.
    pub halves: (u64, u64),
}

impl Raw {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, format: Format) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Raw { file, bytes, format })
    }

    /// Opens a file and finds its superblock; `None` where it has none that is known.
    ///
    /// # Errors
    /// What the system says.
    pub fn with_superblock(path: &Path) -> std::io::Result<(Self, Option<Superblock>)> {
        let mut raw = Raw::open(path, Format { base: 0, address: 8, length: 8 })?;
        let superblock = raw.superblock();
        Ok((raw, superblock))
    }

    /// Some bytes at an address; `None` where the file does not have all of them or they cannot be read.
    pub fn read(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let at = self.format.base.checked_add(address)?;
        let end = at.checked_add(size as u64)?;
        if end > self.bytes {
            return None;
        }
        let mut data = vec![0; size];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut data).ok()?;
        Some(data)
    }

    /// The superblock is at the start, or behind a user block of 512 bytes or a power of two times as many.
    fn superblock(&mut self) -> Option<Superblock> {
        let mut base = 0_u64;
        while self.read(base, 8)? != SIGNATURE {
            base = if base == 0 { 512 } else { base.checked_mul(2)? };
        }
        let start = self.read(base, 24)?;
        let old = match start[8] {
            0 | 1 => true,
            2 | 3 => false,
            _ => return None,
        };
        let at = if old { 13 } else { 9 };
        self.format = Format { base, address: start[at].into(), length: start[at + 1].into() };
        let format = self.format;
        if !([2, 4, 8].contains(&format.address) && [2, 4, 8].contains(&format.length)) {
            return None;
        }
        let fields = match start[8] {
            0 => 24,
            1 => 28,
            _ => 12,
        };
        let data = self.read(0, fields + 6 * format.address)?;
        let mut fields = Fields::new(&data[fields..], format);
        let _base = fields.address()?;
        let _free_space = fields.address()?;
        let end = fields.address()?;
        let (_driver, _name) = if old { (fields.address()?, fields.address()?) } else { (0, 0) };
        let root = fields.address()?;
        let halves = if old { (number(&start[16..18]), number(&start[18..20])) } else { (4, 16) };
        Some(Superblock { end, root, halves })
    }
}

/// Bytes that are read from their start on. `None`: there are not as many.
#[derive(Clone, Copy)]
pub struct Fields<'d> {
    data: &'d [u8],
    format: Format,
}

impl<'d> Fields<'d> {
    /// All of some bytes.
    pub fn new(data: &'d [u8], format: Format) -> Self {
        Fields { data, format }
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.data.len()
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.data.split_at_checked(count)?;
        self.data = rest;
        Some(taken)
    }

    /// Part of them, as fields of their own.
    pub fn part(&mut self, count: usize) -> Option<Fields<'d>> {
        Some(Fields { data: self.bytes(count)?, format: self.format })
    }

    /// A number of so many bytes, at most 8.
    pub fn number(&mut self, width: usize) -> Option<u64> {
        self.bytes(width).map(number)
    }

    /// An address.
    pub fn address(&mut self) -> Option<u64> {
        self.number(self.format.address)
    }

    /// A length.
    pub fn length(&mut self) -> Option<u64> {
        self.number(self.format.length)
    }

    /// Bytes of a reference to a string or list of any length: its length, an address and an index.
    pub fn reference(&self) -> u64 {
        8 + self.format.address as u64
    }

    /// A name that ends with NUL, filled up to a multiple of `unit` bytes.
    pub fn name(&mut self, unit: usize) -> Option<&'d [u8]> {
        let end = self.data.iter().position(|&byte| byte == 0)?;
        let name = self.bytes((end + 1).next_multiple_of(unit))?;
        Some(&name[..end])
    }
}

/// A number of at most 8 bytes, the lowest first.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
