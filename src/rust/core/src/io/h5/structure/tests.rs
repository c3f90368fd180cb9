use crate::io::h5::H5File;
use hdf5_metno as h5;
use std::path::PathBuf;

const LENGTH: usize = 1000;

/// A file with one dataset, its bytes changed: what opening and reading it says.
fn said(test: &str, create: impl FnOnce(&h5::File), change: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
    let path: PathBuf = std::env::temp_dir().join(format!("samap-structure-{}-{test}.h5", std::process::id()));
    create(&h5::File::create(&path).unwrap());
    let mut data = std::fs::read(&path).unwrap();
    change(&mut data);
    std::fs::write(&path, data).unwrap();
    let read = H5File::open(&path).and_then(|file| {
        let array = file.array("x")?;
        array.numbers(0..array.len())
    });
    std::fs::remove_file(&path).unwrap();
    match read {
        Ok(values) => {
            assert_eq!(values.len(), LENGTH, "{test}");
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn packed(file: &h5::File) {
    let values: Vec<i32> = (0..LENGTH as i32).collect();
    file.new_dataset_builder().with_data(&values).chunk(100).shuffle().deflate(4).create("x").unwrap();
}

fn plain(file: &h5::File) {
    let values: Vec<i32> = (0..LENGTH as i32).collect();
    file.new_dataset_builder().with_data(&values).chunk(100).create("x").unwrap();
}

/// Overwrites what follows the only place with some bytes.
fn overwrite(data: &mut [u8], found: &[u8], skip: usize, with: &[u8]) {
    let places: Vec<usize> = (0..data.len()).filter(|&at| data[at..].starts_with(found)).collect();
    assert_eq!(places.len(), 1, "{found:?}");
    let at = places[0] + skip;
    data[at..at + with.len()].copy_from_slice(with);
}

/// Overwrites the lengths of chunks in the layout: version 3, chunks, two numbers, address of the tree.
fn chunk(data: &mut [u8], lengths: [u32; 2]) {
    let at = (0..data.len()).find(|&at| data[at..].starts_with(&[3, 2, 2]) && data[at + 11] == 100).unwrap();
    data[at + 11..at + 15].copy_from_slice(&lengths[0].to_le_bytes());
    data[at + 15..at + 19].copy_from_slice(&lengths[1].to_le_bytes());
}

#[test]
fn sound_files_are_read() {
    said("packed", packed, |_| {}).unwrap();
    said("plain", plain, |_| {}).unwrap();
}

#[test]
fn chunks_that_are_larger_than_what_is_stored_are_refused() {
    for (name, create) in [("packed", packed as fn(&h5::File)), ("plain", plain)] {
        let of =
            |test: &str, lengths| said(&format!("{test}-{name}"), create, |data| chunk(data, lengths)).unwrap_err();
        let message = of("long", [200, 4]);
        assert!(message.contains("where 800 are needed"), "{message}");
        assert!(of("zero", [0, 4]).contains("has chunks of the shape [0, 4]"));
        assert!(of("wide", [100, 8]).contains("has chunks of the shape [100, 8]"));
    }
}

#[test]
fn a_chunk_that_was_not_packed_must_be_whole() {
    // The filters that were left out are said in the key of a chunk, behind its size; the first one begins at 0, 0.
    let left_out = |data: &mut Vec<u8>| {
        let at = (0..data.len()).find(|&at| data[at..].starts_with(b"TREE\x01")).unwrap() + 24;
        data[at + 4] = 2;
    };
    let message = said("left-out", packed, left_out).unwrap_err();
    assert!(message.contains("bytes where 400 are needed"), "{message}");
}

#[test]
fn damaged_trees_and_names_are_refused() {
    let of = |test: &str, change: fn(&mut Vec<u8>)| said(test, plain, change).unwrap_err();
    assert!(of("tree", |data| overwrite(data, b"TREE\x01", 0, b"tree")).contains("has a damaged tree of chunks"));
    assert!(of("members", |data| overwrite(data, b"TREE\0", 0, b"tree")).contains("has a damaged tree of members"));
    assert!(of("count", |data| overwrite(data, b"SNOD", 6, &[9])).contains("has a damaged list of members"));
    assert!(of("names", |data| overwrite(data, b"HEAP", 0, b"heap")).contains("has a damaged list of names"));
    assert!(of("gap", |data| overwrite(data, b"HEAP", 16, &[84])).contains("has a damaged list of names"));
    assert!(of("name", |data| overwrite(data, b"SNOD", 8, &[0xff])).contains("has a member without a name"));
    assert!(of("header", |data| overwrite(data, b"SNOD", 22, &[1])).contains("a header that lies outside of the file"));
}
