//! The chunks of a dataset: what libhdf5 reads of each is to have the bytes of a chunk once the filters are undone.
//! Versions up to 1.10 at least do not look, and read on behind it where the shape of chunks, the type or the list of
//! filters was changed.
//!
//! All chunks have the same shape, type and filters, so that the first one is tried; of the others it is checked how
//! many bytes are stored and which filters were left out. What is changed in the bytes of a chunk itself the filters
//! find.
//!
//! Source: HDF5 File Format Specification, III.A.1.

use super::Found;
use super::raw::{Fields, Raw, number};
use super::structure::Chunks;
use std::collections::HashSet;

const DEFLATE: u64 = 1;
const FLETCHER: u64 = 3;
const LZF: u64 = 32000;
/// Bytes of the checksum of a chunk.
const CHECKSUM: u64 = 4;

/// A chunk as it is stored.
struct Stored {
    address: u64,
    size: u64,
    /// A bit for every filter that was left out.
    left_out: u64,
}

/// Checks the chunks of a dataset.
///
/// # Errors
/// Says what is wrong.
pub fn check(raw: &Raw, chunks: &Chunks) -> Found<()> {
    if let Some(lzf) = chunks.filters.iter().find(|filter| filter.id == LZF)
        && lzf.values.get(2).is_some_and(|&size| size != 0 && size < chunks.bytes)
    {
        return Err("has chunks larger than its compression says".to_owned());
    }
    let mut tried = false;
    each(raw, chunks, |stored| {
        let plain = plain_size(chunks, &stored);
        if plain.is_some_and(|plain| plain != Some(chunks.bytes)) || stored.size > raw.bytes {
            return Err(format!("has a chunk of {} bytes where {} are needed", stored.size, chunks.bytes));
        }
        if !tried && stored.left_out == 0 && plain.is_none() {
            tried = true;
            let size = raw.read(stored.address, stored.size as usize).and_then(|data| unpacked_size(chunks, &data));
            if let Some(size) = size.filter(|&size| size != chunks.bytes) {
                return Err(format!("has chunks of {size} bytes where {} are needed", chunks.bytes));
            }
        }
        Ok(())
    })
}

/// Calls `look` for every chunk.
fn each(raw: &Raw, chunks: &Chunks, mut look: impl FnMut(Stored) -> Found<()>) -> Found<()> {
    let damaged = || "has a damaged tree of chunks".to_owned();
    let undefined = u64::MAX >> (64 - 8 * raw.format.address);
    let (head, key) = (8 + 2 * raw.format.address, 8 + 8 * (chunks.axes + 1));
    let mut seen = HashSet::new();
    let mut nodes = vec![chunks.tree];
    while let Some(address) = nodes.pop().filter(|&address| address != undefined) {
        let start = raw.read(address, head).filter(|_| seen.insert(address)).ok_or_else(damaged)?;
        if !start.starts_with(b"TREE") || start[4] != 1 {
            return Err(damaged());
        }
        let (leaf, count) = (start[5] == 0, number(&start[6..8]) as usize);
        let data = raw.read(address, head + count * (key + raw.format.address)).ok_or_else(damaged)?;
        let mut fields = Fields::new(&data[head..], raw.format);
        for _ in 0..count {
            let mut entry = || {
                let (size, left_out) = (fields.number(4)?, fields.number(4)?);
                fields.bytes(key - 8)?;
                Some(Stored { address: fields.address()?, size, left_out })
            };
            let stored = entry().ok_or_else(damaged)?;
            if leaf { look(stored)? } else { nodes.push(stored.address) }
        }
    }
    Ok(())
}

/// Bytes of a chunk that is stored without compression, less its checksums; `None`: it is compressed.
fn plain_size(chunks: &Chunks, stored: &Stored) -> Option<Option<u64>> {
    let applied = |at: usize| at >= 32 || stored.left_out >> at & 1 == 0;
    let (mut checksums, mut packed) = (0, false);
    for filter in chunks.filters.iter().enumerate().filter(|(at, _)| applied(*at)).map(|(_, filter)| filter) {
        match filter.id {
            FLETCHER => checksums += CHECKSUM,
            2 => {}
            _ => packed = true,
        }
    }
    if packed && stored.size > checksums { None } else { Some(stored.size.checked_sub(checksums)) }
}

/// Bytes of a chunk once its filters are undone; `None` where that cannot be told, or where a filter will find that it
/// is damaged.
fn unpacked_size(chunks: &Chunks, data: &[u8]) -> Option<u64> {
    let packs = chunks.filters.iter().position(|filter| [DEFLATE, LZF].contains(&filter.id))?;
    let checksums = |filters: &[super::messages::Filter]| {
        CHECKSUM * filters.iter().filter(|filter| filter.id == FLETCHER).count() as u64
    };
    let known = |id: u64| [2, FLETCHER].contains(&id);
    let others = |(at, filter): (usize, &super::messages::Filter)| at == packs || known(filter.id);
    if !chunks.filters.iter().enumerate().all(others) {
        return None;
    }
    let (before, behind) = chunks.filters.split_at(packs);
    let data = &data[..data.len().checked_sub(checksums(behind) as usize)?];
    let limit = chunks.bytes.saturating_add(checksums(before));
    let size = if behind.first()?.id == DEFLATE { inflated_size(data, limit) } else { lzf_size(data) };
    size?.checked_sub(checksums(before))
}

/// Bytes that deflate makes of some, or more than `limit`.
fn inflated_size(mut data: &[u8], limit: u64) -> Option<u64> {
    let mut inflate = flate2::Decompress::new(true);
    let mut room = [0; 1 << 14];
    while inflate.total_out() <= limit {
        let (before, made) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(data, &mut room, flate2::FlushDecompress::None).ok()?;
        data = data.get((inflate.total_in() - before) as usize..)?;
        if status == flate2::Status::StreamEnd {
            break;
        }
        if inflate.total_in() == before && inflate.total_out() == made {
            return None;
        }
    }
    Some(inflate.total_out())
}

/// Bytes that lzf makes of some: runs of literals, and copies of what was there before.
fn lzf_size(data: &[u8]) -> Option<u64> {
    let (mut at, mut size) = (0, 0);
    while let Some(&control) = data.get(at) {
        let control = usize::from(control);
        if control < 32 {
            at += control + 2;
            size += control + 1;
        } else {
            let long = control >> 5 == 7;
            let more = if long { usize::from(*data.get(at + 1)?) } else { 0 };
            at += if long { 3 } else { 2 };
            size += (control >> 5) + more + 2;
        }
    }
    (at == data.len()).then_some(size as u64)
}
