//! Changes of files: bytes of any file, and the datasets and attributes of an HDF5 file.

use hdf5_metno as h5;
use std::error::Error;

/// SplitMix64.
pub struct Generator(u64);

impl Generator {
    pub fn new(seed: u64) -> Self {
        Generator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A whole number of the kind that breaks readers.
    pub fn odd_number(&mut self) -> i64 {
        let near = self.below(200) as i64 - 3;
        *self.pick(&[0, -1, 1, near, near, i64::MAX, i64::MIN, i64::from(i32::MAX), 1 << 40])
    }
}

/// Flips, overwrites, inserts, removes, doubles or cuts off bytes.
pub fn bytes(data: &mut Vec<u8>, generator: &mut Generator) {
    for _ in 0..=generator.below(4) {
        if data.is_empty() {
            return;
        }
        let at = generator.below(data.len());
        match generator.below(7) {
            0 => data[at] ^= 1 << generator.below(8),
            1 => data[at] = generator.next() as u8,
            2 => data.insert(at, *generator.pick(b"\t\n\r ,;0-9e.NaN\xff\0")),
            3 => drop(data.drain(at..(at + 1 + generator.below(40)).min(data.len()))),
            4 => data.truncate(at),
            5 => {
                let piece = data[at..(at + 1 + generator.below(60)).min(data.len())].to_vec();
                let to = generator.below(data.len());
                data.splice(to..to, piece);
            }
            _ => {
                let number = generator.odd_number().to_string();
                data.splice(at..at, number.into_bytes());
            }
        }
    }
}

/// Flips and overwrites bytes of an HDF5 file, whose length stays: anywhere, in its structure, in the heaps of its
/// strings, or in the references to them.
pub fn damage(data: &mut [u8], generator: &mut Generator) {
    let heaps = places(data, &[b"GCOL"]);
    let structure = places(data, &[b"TREE", b"SNOD", b"HEAP"]);
    let size = data.len();
    let near = |places: &[usize], before: usize, behind: usize, generator: &mut Generator| {
        let at = if places.is_empty() { 0 } else { *generator.pick(places) };
        let from = at.saturating_sub(before);
        (from, (at + behind).min(size) - from)
    };
    for _ in 0..=generator.below(4) {
        let (from, length) = match generator.below(6) {
            0 => (0, data.len()),
            1 => field_of_heap(data, &heaps, generator),
            2 => reference(data, &heaps, generator),
            3 => near(&heaps, 0, 4096, generator),
            // Headers of objects have no signature; they lie beside what has one.
            _ => near(&structure, 1024, 1024, generator),
        };
        let at = from + generator.below(length);
        match generator.below(3) {
            0 => data[at] ^= 1 << generator.below(8),
            1 => data[at] = generator.next() as u8,
            _ => {
                let width = (1 << generator.below(4)).min(data.len() - at);
                let number = generator.odd_number().to_le_bytes();
                data[at..at + width].copy_from_slice(&number[..width]);
            }
        }
    }
}

/// Where something with one of these signatures begins.
fn places(data: &[u8], signatures: &[&[u8; 4]]) -> Vec<usize> {
    let begins = |&at: &usize| signatures.iter().any(|signature| data[at..].starts_with(&signature[..]));
    (0..data.len()).step_by(8).filter(begins).collect()
}

/// The header of a heap, or of one of its objects: place and length.
fn field_of_heap(data: &[u8], heaps: &[usize], generator: &mut Generator) -> (usize, usize) {
    if heaps.is_empty() {
        return (0, data.len());
    }
    let mut at = *generator.pick(heaps);
    for _ in 0..generator.below(40) {
        let next = if data[at..].starts_with(b"GCOL") {
            at + 16
        } else {
            let size = data.get(at + 8..at + 16).and_then(|size| size.try_into().ok()).map_or(0, u64::from_le_bytes);
            at + 16 + (size as usize % 4096).next_multiple_of(8)
        };
        if next + 16 > data.len() {
            break;
        }
        at = next;
    }
    (at, 16.min(data.len() - at))
}

/// A reference to a string: place and length.
fn reference(data: &[u8], heaps: &[usize], generator: &mut Generator) -> (usize, usize) {
    let start = generator.below(data.len());
    let points = |at: usize| {
        let address = data.get(at + 4..at + 12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        address.is_some_and(|address| heaps.binary_search(&(address as usize)).is_ok())
    };
    let found = (start..data.len()).chain(0..start).find(|&at| points(at));
    found.map_or((0, data.len()), |at| (at, 16))
}

/// Changes values, lengths, types and attributes of datasets, or removes them: a file that HDF5 finds sound and that lies.
pub fn contents(file: &h5::File, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut places = Vec::new();
    walk(file, "", &mut places)?;
    places.sort();
    for _ in 0..=generator.below(3) {
        let place = generator.pick(&places).clone();
        // What an earlier change has removed cannot be changed.
        if file.dataset(&place).is_err() && file.group(&place).is_err() {
            continue;
        }
        change(file, &place, generator)?;
    }
    Ok(())
}

fn walk(group: &h5::Group, prefix: &str, places: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for name in group.member_names()? {
        let place = format!("{prefix}{name}");
        if let Ok(inner) = group.group(&name) {
            walk(&inner, &format!("{place}/"), places)?;
        }
        places.push(place);
    }
    Ok(())
}

fn change(file: &h5::File, place: &str, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let Ok(data) = file.dataset(place) else { return change_group(file, place, generator) };
    // What an earlier change claimed to be huge cannot be read, here either.
    if data.size() > 1 << 20 {
        return Ok(());
    }
    let numbers =
        data.read_raw::<f64>().or_else(|_| data.read_raw::<i64>().map(|v| v.iter().map(|&x| x as f64).collect()));
    let mut numbers = numbers.unwrap_or_default();
    match generator.below(6) {
        0 => {
            file.unlink(place)?;
            return Ok(());
        }
        1 => numbers.truncate(generator.below(numbers.len() + 1)),
        2 => numbers.extend((0..generator.below(9)).map(|x| x as f64)),
        3 if !numbers.is_empty() => {
            let at = generator.below(numbers.len());
            numbers[at] = *generator.pick(&[f64::NAN, f64::INFINITY, -1.0, 0.5, 1e300]);
        }
        4 if numbers.len() > 1 => {
            let (a, b) = (generator.below(numbers.len()), generator.below(numbers.len()));
            numbers.swap(a, b);
        }
        _ => {
            for _ in 0..=generator.below(3) {
                if !numbers.is_empty() {
                    let at = generator.below(numbers.len());
                    numbers[at] = generator.odd_number() as f64;
                }
            }
        }
    }
    replace(file, place, &numbers, generator)
}

/// The same place with other numbers, in a type of any width; sometimes claimed to be far larger than it is.
fn replace(file: &h5::File, place: &str, numbers: &[f64], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    file.unlink(place)?;
    let integers: Vec<i64> = numbers.iter().map(|&x| x as i64).collect();
    match generator.below(8) {
        0 => drop(file.new_dataset_builder().with_data(numbers).create(place)?),
        1 => {
            let narrow: Vec<i8> = integers.iter().map(|&x| x as i8).collect();
            file.new_dataset_builder().with_data(&narrow).create(place)?;
        }
        2 => {
            let unsigned: Vec<u64> = integers.iter().map(|&x| x as u64).collect();
            file.new_dataset_builder().with_data(&unsigned).create(place)?;
        }
        3 => drop(
            file.new_dataset::<i64>().chunk((1 << 10,)).shape(1usize << (10 + generator.below(40))).create(place)?,
        ),
        4 => drop(file.new_dataset::<f32>().shape((integers.len(), generator.below(4))).create(place)?),
        5 => {
            let texts: Vec<h5::types::VarLenUnicode> =
                numbers.iter().filter_map(|x| x.to_string().parse().ok()).collect();
            file.new_dataset_builder().with_data(&texts).create(place)?;
        }
        _ => drop(file.new_dataset_builder().with_data(&integers).create(place)?),
    }
    Ok(())
}

fn change_group(file: &h5::File, place: &str, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let group = file.group(place)?;
    let names = group.attr_names()?;
    if names.is_empty() || generator.below(4) == 0 {
        file.unlink(place)?;
        return Ok(());
    }
    let name = generator.pick(&names);
    group.delete_attr(name)?;
    match generator.below(3) {
        0 => {}
        1 => {
            let numbers: Vec<i64> = (0..generator.below(4)).map(|_| generator.odd_number()).collect();
            group.new_attr_builder().with_data(&numbers).create(name.as_str())?;
        }
        _ => {
            let word = *generator.pick(&["csr_matrix", "csc_matrix", "categorical", "", "\u{e9}", "_index", "X"]);
            let text: h5::types::VarLenUnicode = word.parse()?;
            group.new_attr::<h5::types::VarLenUnicode>().create(name.as_str())?.write_scalar(&text)?;
        }
    }
    Ok(())
}
