//! Strings of variable length: read as HDF5 gives them, and refused with file and dataset where their heaps are
//! damaged.

#![cfg(feature = "hdf5")]
// A file that cannot be made fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hdf5_metno as h5;
use hdf5_metno::types::VarLenUnicode;
use samap_core::io::h5ad::{AtlasFile, Column, Selection, inspect};
use samap_core::{Context, Error};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/testthat/h5ad").join(name)
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("samap-strings-{}-{name}", std::process::id()))
}

fn describe(path: &Path) -> Result<AtlasFile, Error> {
    inspect(path, &Selection::default(), &Context::default())
}

/// What is said of a copy of a fixture whose bytes were changed.
fn error_of(name: &str, test: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let path = scratch(&format!("{test}-{name}"));
    let mut data = std::fs::read(fixture(name)).unwrap();
    change(&mut data);
    std::fs::write(&path, data).unwrap();
    let error = describe(&path).expect_err(test);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, Error::Dataset { kind: "parse", .. }), "{test}: {error}");
    assert!(error.to_string().contains(&format!("{test}-{name}")), "{test}: {error}");
    error.to_string()
}

/// Where the collections of strings begin.
fn heaps(data: &[u8]) -> Vec<usize> {
    (0..data.len()).filter(|&at| data[at..].starts_with(b"GCOL")).collect()
}

/// Where the references to the strings of a collection are.
fn references(data: &[u8], heap: usize) -> Vec<usize> {
    let address = (heap as u64).to_le_bytes();
    let sound = |at: usize| data[at - 1] == 0 && data[at - 2] == 0 && data[at - 4] != 0;
    (4..data.len() - 12).filter(|&at| data[at..].starts_with(&address) && sound(at)).map(|at| at - 4).collect()
}

/// Changes all references of a file.
fn each_reference(data: &mut [u8], change: impl Fn(&mut [u8])) {
    let places: Vec<usize> = heaps(data).iter().flat_map(|&heap| references(data, heap)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| change(&mut data[at..at + 16]));
}

#[test]
fn damaged_heaps_are_refused() {
    // Attributes, which are read first, have their strings in these files as well.
    for name in ["csr.h5ad", "dense.h5ad", "anndata-0.7.8.h5ad", "missing.h5ad"] {
        let all = |test: &str, from: usize, bytes: &[u8]| {
            error_of(name, test, |data| {
                heaps(data).into_iter().for_each(|at| data[at + from..at + from + bytes.len()].copy_from_slice(bytes));
            })
        };
        assert!(all("signature", 0, b"gcol").contains("points to what is no heap"), "{name}");
        assert!(all("version", 4, &[9]).contains("points to what is no heap"), "{name}");
        assert!(all("size", 8, &[0xff; 7]).contains("whose heap claims"), "{name}");
        assert!(all("small", 8, &[1, 0]).contains("whose heap claims 1 bytes"), "{name}");
        assert!(all("object", 24, &[0xff; 6]).contains("object 1 claims"), "{name}");
    }
}

#[test]
fn damaged_references_are_refused() {
    for name in ["csr.h5ad", "anndata-0.7.8.h5ad"] {
        let all = |test: &str, change: fn(&mut [u8])| error_of(name, test, |data| each_reference(data, change));
        assert!(all("index", |to| to[12..].copy_from_slice(&[0xff; 4])).contains("outside of its heap"), "{name}");
        assert!(all("length", |to| to[2] = 1).contains("of which its heap has"), "{name}");
        assert!(all("address", |to| to[9] = 1).contains("lies outside of the file"), "{name}");
        assert!(all("undefined", |to| to[4..12].fill(0xff)).contains("lies outside of the file"), "{name}");
        assert!(all("elsewhere", |to| to[4] ^= 8).contains("points to what is no heap"), "{name}");
    }
}

#[test]
fn the_attribute_whose_text_is_damaged_is_named() {
    let message = error_of("csr.h5ad", "attribute", |data| {
        each_reference(data, |to| to[12..].copy_from_slice(&[0xff; 4]));
    });
    assert!(message.contains("has the attribute \""), "{message}");
}

fn text(value: &str) -> VarLenUnicode {
    value.parse().unwrap()
}

/// A record of AnnData 0.6 with strings of variable length.
#[derive(h5::H5Type, Clone)]
#[repr(C)]
struct Row {
    count: i32,
    index: VarLenUnicode,
    kind: VarLenUnicode,
}

/// A file as of AnnData 0.6: tables of records. `shape` of the file, and whether the tables are compressed.
fn old_file(path: &Path, create: impl FnOnce(&mut h5::FileBuilder) -> &mut h5::FileBuilder, compressed: bool) {
    let mut builder = h5::File::with_options();
    let file = create(&mut builder).create(path).unwrap();
    let rows = |prefix: &str, length: i32| -> Vec<Row> {
        let row = |at: i32| Row {
            count: at,
            index: text(&format!("{prefix}-\u{e9}{at}")),
            kind: text(&"k".repeat(at as usize)),
        };
        (0..length).map(row).collect()
    };
    for (name, rows) in [("obs", rows("cell", 3)), ("var", rows("gene", 2))] {
        let builder = file.new_dataset_builder();
        let builder = if compressed { builder.deflate(4).chunk(2) } else { builder };
        builder.with_data(&rows).create(name).unwrap();
    }
    file.new_dataset_builder().with_data(&ndarray::arr2(&[[1.0, 0.0], [2.0, 3.0], [0.0, 4.0]])).create("X").unwrap();
}

fn check_old_file(path: &Path) {
    let file = describe(path).unwrap();
    assert_eq!(file.barcodes, ["cell-\u{e9}0", "cell-\u{e9}1", "cell-\u{e9}2"]);
    assert_eq!(file.gene_names, ["gene-\u{e9}0", "gene-\u{e9}1"]);
    let kinds = ["", "k", "kk"].map(|kind| Some(kind.to_owned())).to_vec();
    assert!(file.columns.contains(&("kind".to_owned(), Column::Text(kinds))), "{:?}", file.columns);
}

#[test]
fn strings_in_records_are_read_and_checked() {
    for (name, compressed) in [("records.h5ad", false), ("compressed-records.h5ad", true)] {
        let path = scratch(name);
        old_file(&path, |builder| builder, compressed);
        check_old_file(&path);
        let mut data = std::fs::read(&path).unwrap();
        for at in heaps(&data) {
            data[at + 4] = 9;
        }
        std::fs::write(&path, data).unwrap();
        let message = describe(&path).unwrap_err().to_string();
        assert!(message.contains("var (index): holds a string that points to what is no heap"), "{message}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn files_with_a_user_block_or_narrow_addresses_are_read() {
    use hdf5_metno::file::{Sizeof, SizeofInfo};
    let path = scratch("user-block.h5ad");
    old_file(&path, |builder| builder.with_fcpl(|plist| plist.userblock(1024)), false);
    assert_eq!(std::fs::read(&path).unwrap()[..4], [0; 4]);
    check_old_file(&path);
    std::fs::remove_file(&path).unwrap();
    let path = scratch("narrow.h5ad");
    let sizes = SizeofInfo { sizeof_addr: Sizeof::Bytes4, sizeof_size: Sizeof::Bytes4 };
    old_file(&path, |builder| builder.with_fcpl(|plist| plist.sizes(sizes)), true);
    check_old_file(&path);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn many_and_long_strings_are_read() {
    let path = scratch("many.h5ad");
    let file = h5::File::create(&path).unwrap();
    let names: Vec<VarLenUnicode> = (0..300_000).map(|at| text(&format!("cell-{at}"))).collect();
    let long: Vec<VarLenUnicode> = (0..2).map(|at| text(&"\u{e9}".repeat(100_000 + at))).collect();
    for (frame, index) in [("obs", &names), ("var", &long)] {
        let group = file.create_group(frame).unwrap();
        group.new_dataset_builder().deflate(1).with_data(index).create("_index").unwrap();
    }
    file.new_dataset_builder().with_data(&ndarray::Array2::<f32>::zeros((names.len(), 2))).create("X").unwrap();
    drop(file);
    let found = describe(&path).unwrap();
    assert_eq!(found.barcodes.len(), names.len());
    assert!(found.barcodes.iter().zip(&names).all(|(found, name)| found == name.as_str()));
    assert!(found.gene_names.iter().zip(&long).all(|(found, name)| found == name.as_str()));
    std::fs::remove_file(&path).unwrap();
}
