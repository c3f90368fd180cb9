//! The structure of a file: headers of groups and datasets, symbols of groups and their names, checked before libhdf5
//! uses them. Versions up to 1.10 at least trust them, and read and write out of bounds or divide by 0 where they were
//! damaged. What newer formats write (headers of version 2) has checksums, which libhdf5 looks at, and is left out; so are
//! the members of such groups, which may have old headers.
//!
//! In: the bytes of a file. Out: what is left to be checked of its datasets once they are used. Every header is looked
//! at once.
//!
//! Source: HDF5 File Format Specification, III.A, III.B, III.D, IV.A.

use super::Found;
use super::messages::{self, Filter, Kind, Layout, Space};
use super::raw::{Fields, Raw, Superblock, number};
use std::collections::{HashMap, HashSet};

/// Largest part of the structure that is read at once.
const LARGEST: u64 = 64 << 20;

/// What is to be checked of a dataset.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its chunks, if it has them.
    pub chunks: Option<Chunks>,
    /// A reference to the string that elements have that were not written.
    pub fill: Option<Vec<u8>>,
}

/// Where the chunks of a dataset are, and what they are to be.
#[derive(Debug, Clone)]
pub struct Chunks {
    /// Address of the tree that finds them.
    pub tree: u64,
    /// Number of axes.
    pub axes: usize,
    /// Bytes of each.
    pub bytes: u64,
    /// What they go through when they are written.
    pub filters: Vec<Filter>,
}

/// What the header of an object says.
#[derive(Default)]
struct Header {
    space: Option<Space>,
    kind: Option<Kind>,
    fill: Vec<u8>,
    layout: Option<Layout>,
    filters: Vec<Filter>,
    group: Option<(u64, u64)>,
}

/// Looks through a file.
struct Walk<'r> {
    raw: &'r Raw,
    halves: (u64, u64),
    seen: HashSet<u64>,
    /// Names and headers of objects that are still to be looked at.
    open: Vec<(String, u64)>,
    datasets: HashMap<u64, Dataset>,
    /// Headers of objects by name; one may have several.
    headers: HashMap<String, u64>,
}

/// All datasets by name, once everything is found to be sound.
///
/// # Errors
/// Name of an object and what is wrong with it.
pub fn check(raw: &Raw, superblock: &Superblock) -> Result<HashMap<String, Dataset>, (String, String)> {
    let mut walk = Walk {
        raw,
        halves: superblock.halves,
        seen: HashSet::new(),
        open: vec![(String::new(), superblock.root)],
        datasets: HashMap::new(),
        headers: HashMap::new(),
    };
    while let Some((name, address)) = walk.open.pop() {
        if walk.seen.insert(address) {
            walk.object(&name, address).map_err(|found| (name.clone(), found))?;
        }
        walk.headers.insert(name, address);
    }
    let datasets = walk.headers.into_iter().filter_map(|(name, at)| Some((name, walk.datasets.get(&at)?.clone())));
    Ok(datasets.collect())
}

impl Walk<'_> {
    fn fields<'d>(&self, data: &'d [u8]) -> Fields<'d> {
        Fields::new(data, self.raw.format)
    }

    fn read(&self, address: u64, size: u64, what: &str) -> Found<Vec<u8>> {
        let data = if size <= LARGEST { self.raw.read(address, size as usize) } else { None };
        data.ok_or_else(|| format!("has {what} that lies outside of the file"))
    }

    fn object(&mut self, name: &str, address: u64) -> Found<()> {
        let prefix = self.read(address, 16, "a header")?;
        if prefix.starts_with(b"OHDR") {
            return Ok(());
        }
        if prefix[0] != 1 {
            return Err("has a header of an unknown version".to_owned());
        }
        let mut header = Header::default();
        let start = address.saturating_add(16);
        let mut blocks = vec![(start, number(&prefix[8..12]))];
        let mut known = HashSet::from([start]);
        while let Some((at, size)) = blocks.pop() {
            let data = self.read(at, size, "a header")?;
            for (at, size) in self.block(&data, &mut header)? {
                if !known.insert(at) {
                    return Err("has a header that goes in a circle".to_owned());
                }
                blocks.push((at, size));
            }
        }
        if let Some((tree, names)) = header.group {
            self.group(name, tree, names)?;
        }
        match header.layout.take() {
            Some(layout) => self.dataset(address, layout, header),
            None => Ok(()),
        }
    }

    /// Takes the messages of a block into a header. Returns where the header goes on.
    fn block(&mut self, data: &[u8], header: &mut Header) -> Found<Vec<(u64, u64)>> {
        let mut fields = self.fields(data);
        let mut more = Vec::new();
        while fields.left() >= 8 {
            let mut next = || Some((fields.number(2)?, fields.number(2)?, fields.number(1)?, fields.bytes(3)?));
            let Some((id, size, flags, _)) = next() else { break };
            let damaged = || format!("has a damaged header (message {id})");
            let message = fields.part(size as usize).ok_or_else(damaged)?;
            let taken = if flags & 2 != 0 { self.elsewhere(message) } else { take(id, message, header, &mut more) };
            taken.ok_or_else(damaged)?;
        }
        Ok(more)
    }

    /// A message that is kept in the header of another object.
    fn elsewhere(&mut self, mut message: Fields) -> Option<()> {
        let (version, _kind) = (message.number(1)?, message.number(1)?);
        if version == 1 {
            message.bytes(6)?;
        }
        let address = message.address()?;
        self.open.push(("a named type".to_owned(), address));
        Some(())
    }

    fn dataset(&mut self, address: u64, layout: Layout, header: Header) -> Found<()> {
        let (Some(space), Some(kind)) = (header.space, header.kind) else { return Ok(()) };
        let (bytes, filled) = (kind.bytes, !header.fill.is_empty());
        if filled && (header.fill.len() as u64) < bytes {
            return Err("has a fill value smaller than its elements".to_owned());
        }
        // HDF5 reads the string that a fill value refers to.
        if filled && kind.references && !kind.reference && header.fill.iter().any(|&byte| byte != 0) {
            return Err("has a fill value with text in records, which is not read".to_owned());
        }
        let fill = (filled && kind.reference).then_some(header.fill);
        let chunks = match layout {
            Layout::Compact(size) if space.elements.checked_mul(bytes).is_none_or(|needed| needed > size) => {
                return Err(format!("claims {} elements of {bytes} bytes in {size} bytes", space.elements));
            }
            Layout::Compact(_) | Layout::Other => None,
            Layout::Chunks(tree, lengths) => {
                let all = lengths.iter().try_fold(1_u64, |all, &length| all.checked_mul(length));
                let axes = space.axes;
                let sound = axes > 0 && lengths.len() == axes + 1 && lengths.last() == Some(&bytes);
                let Some(bytes) = all.filter(|&all| sound && all > 0) else {
                    return Err(format!("has chunks of the shape {lengths:?}, with the bytes of an element"));
                };
                Some(Chunks { tree, axes, bytes, filters: header.filters })
            }
        };
        if chunks.is_some() || fill.is_some() {
            self.datasets.insert(address, Dataset { chunks, fill });
        }
        Ok(())
    }

    /// The members of a group.
    fn group(&mut self, name: &str, tree: u64, names: u64) -> Found<()> {
        let names = self.names(names)?;
        let mut nodes = vec![tree];
        while let Some(address) = nodes.pop() {
            // A node within itself, or of two groups.
            if !self.seen.insert(address) {
                return Err("has a tree of members that is no tree".to_owned());
            }
            let start = self.read(address, 8, "a tree of members")?;
            if start.starts_with(b"SNOD") {
                self.symbols(name, &names, address, number(&start[6..8]))?;
                continue;
            }
            let (count, widths) = (number(&start[6..8]), self.raw.format);
            if !start.starts_with(b"TREE") || start[4] != 0 || count > 2 * self.halves.1 {
                return Err("has a damaged tree of members".to_owned());
            }
            let size = (8 + 2 * widths.address) as u64 + count * (widths.address + widths.length) as u64;
            let data = self.read(address, size, "a tree of members")?;
            let mut fields = self.fields(&data);
            fields.bytes(8 + 2 * widths.address);
            nodes.extend((0..count).filter_map(|_| fields.length().and_then(|_| fields.address())));
        }
        Ok(())
    }

    /// The members that a leaf of a group names.
    fn symbols(&mut self, group: &str, names: &[u8], address: u64, count: u64) -> Found<()> {
        if count > 2 * self.halves.0 {
            return Err("has a damaged list of members".to_owned());
        }
        let size = 8 + count * (2 * self.raw.format.address + 24) as u64;
        let data = self.read(address, size, "a list of members")?;
        let mut fields = self.fields(&data);
        fields.bytes(8);
        let mut symbol = || {
            let (name, header) = (fields.address()?, fields.address()?);
            let (kind, _, link) = (fields.number(4)?, fields.number(4)?, fields.number(4)?);
            fields.bytes(12).map(|_| (name, header, kind, link))
        };
        for (name, header, kind, link) in (0..count).map_while(|_| symbol()).collect::<Vec<_>>() {
            let damaged = || "has a member without a name".to_owned();
            let name = String::from_utf8_lossy(text(names, name).ok_or_else(damaged)?).into_owned();
            // A link to a name has no header of its own.
            if kind == 2 {
                text(names, link).ok_or_else(damaged)?;
            } else {
                let path = if group.is_empty() { name } else { format!("{group}/{name}") };
                self.open.push((path, header));
            }
        }
        Ok(())
    }

    /// The names of the members of a group, and the list of gaps between them.
    fn names(&self, address: u64) -> Found<Vec<u8>> {
        let widths = self.raw.format;
        let data = self.read(address, (8 + 2 * widths.length + widths.address) as u64, "a list of names")?;
        let mut fields = self.fields(&data);
        let start = fields.bytes(8).filter(|start| start.starts_with(b"HEAP") && start[4] == 0);
        let read = start.and_then(|_| Some((fields.length()?, fields.length()?, fields.address()?)));
        let (size, mut gap, at) = read.ok_or_else(|| "has a damaged list of names".to_owned())?;
        let names = self.read(at, size, "a list of names")?;
        let none = [1, u64::MAX >> (64 - 8 * widths.length)];
        let mut gaps = 0;
        while !none.contains(&gap) {
            let mut fields = self.fields(usize::try_from(gap).ok().and_then(|gap| names.get(gap..)).unwrap_or(&[]));
            let read = fields.length().zip(fields.length()).filter(|&(_, length)| length <= size - gap);
            gaps += 1;
            match read {
                Some((next, _)) if gap > 0 && gaps <= size => gap = next,
                _ => return Err("has a damaged list of names".to_owned()),
            }
        }
        Ok(names)
    }
}

/// What ends with NUL at a place of some names.
fn text(names: &[u8], at: u64) -> Option<&[u8]> {
    let rest = names.get(usize::try_from(at).ok()?..)?;
    rest.iter().position(|&byte| byte == 0).map(|end| &rest[..end])
}

/// Takes a message into a header.
fn take(id: u64, mut message: Fields, header: &mut Header, more: &mut Vec<(u64, u64)>) -> Option<()> {
    match id {
        0x01 => header.space = Some(messages::space(message)?),
        0x03 => header.kind = Some(messages::kind(message)?),
        0x04 => header.fill = messages::old_fill(message)?.to_vec(),
        0x05 => header.fill = messages::fill(message)?.to_vec(),
        0x08 => header.layout = Some(messages::layout(message)?),
        0x0b => header.filters = messages::filters(message)?,
        0x0c => messages::attribute(message)?,
        0x10 => more.push((message.address()?, message.length()?)),
        0x11 => header.group = Some((message.address()?, message.address()?)),
        // Times and the number of links.
        0x0e => drop(message.bytes(16)?),
        0x12 => drop(message.bytes(8)?),
        0x16 => drop(message.bytes(5)?),
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests;
