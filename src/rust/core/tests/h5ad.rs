//! Files written by AnnData itself (several versions) and in the layout of Cell Ranger, and files that lie. The fixtures are
//! made by `tests/h5ad/make_fixtures.py`, with their content beside them as CSV.
#![cfg(feature = "hdf5")]
// A fixture that cannot be read fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hdf5_metno as h5;
use samap_core::io::counts::{MemoryCounts, Sample, Source, read_counts};
use samap_core::io::h5ad::{AtlasFile, Column, Selection, inspect};
use samap_core::sparse::Expression;
use samap_core::{Context, Error};
use std::path::{Path, PathBuf};

const CELLS: usize = 40;
const GENES: usize = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/testthat/h5ad")
}

fn describe(name: &str, layer: Option<&str>) -> AtlasFile {
    let selection = Selection { layer: layer.map(str::to_owned), var_names: None };
    inspect(&folder().join(name), &selection, &Context::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(file: &AtlasFile) -> Result<Expression, Error> {
    let sample = Sample { source: Source::File(file.counts.clone()), genes: None };
    read_counts(&[sample], file.counts.genes, &Context::default())
}

/// The counts of the fixtures from their CSV file.
fn truth() -> Expression {
    let text = std::fs::read_to_string(folder().join("counts.csv")).unwrap();
    let (mut pointers, mut genes, mut values) = (vec![0usize], Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let fields: Vec<usize> = line.split(',').map(|field| field.parse().unwrap()).collect();
        pointers.resize(fields[0] + 1, genes.len());
        genes.push(fields[1] as u32);
        values.push(fields[2] as f32);
    }
    pointers.resize(CELLS + 1, genes.len());
    Expression::from_rows("counts", GENES, &pointers, &genes, &values).unwrap()
}

#[test]
fn every_layout_of_anndata_and_cell_ranger_has_the_same_counts() {
    let truth = truth();
    for name in [
        "csr.h5ad",
        "csc.h5ad",
        "dense.h5ad",
        "int64.h5ad",
        "uint16.h5ad",
        "float64.h5ad",
        "missing.h5ad",
        "anndata-0.7.8.h5ad",
        "anndata-0.6.22.h5ad",
        "cellranger2.h5",
        "cellranger3.h5",
    ] {
        let file = describe(name, None);
        assert_eq!((file.counts.cells, file.counts.genes), (CELLS, GENES), "{name}");
        assert_eq!(read(&file).unwrap(), truth, "{name}");
        let on_disk = Context::default().with_folder(Some(std::env::temp_dir()));
        let sample = Sample { source: Source::File(file.counts.clone()), genes: None };
        assert_eq!(read_counts(&[sample], GENES, &on_disk).unwrap(), truth, "{name}, on disk");
        assert_eq!((&*file.gene_names[59], file.fractional, &file.passed_over), ("gene59", 0.0, &None), "{name}");
    }
}

#[test]
fn a_layer_or_raw_is_taken_where_x_holds_no_counts() {
    let layers = describe("layers.h5ad", None);
    assert_eq!((&*layers.counts.matrix, layers.passed_over.as_deref()), ("layers/counts", Some("X")));
    assert_eq!(read(&layers).unwrap(), truth());
    let x = describe("layers.h5ad", Some("X"));
    assert!(x.fractional > 0.9 && x.passed_over.is_none());
    let doubled = describe("layers.h5ad", Some("spliced"));
    assert_eq!(doubled.counts.matrix, "layers/spliced");
    assert_ne!(read(&doubled).unwrap(), truth());
    let raw = describe("raw.h5ad", None);
    assert_eq!((&*raw.counts.matrix, raw.counts.genes), ("raw/X", GENES));
    assert_eq!(read(&raw).unwrap(), truth());
    assert_eq!(describe("raw.h5ad", Some("raw")).counts, raw.counts);
    assert_eq!(describe("raw.h5ad", Some("X")).counts.genes, GENES / 3);
    let unknown = Selection { layer: Some("other".to_owned()), var_names: None };
    let error = inspect(&folder().join("layers.h5ad"), &unknown, &Context::default()).unwrap_err();
    assert!(error.to_string().contains("\"layers/counts\""), "{error}");
}

#[test]
fn names_of_genes_come_from_any_column() {
    let named = |name: &str, column: &str| {
        let selection = Selection { layer: None, var_names: Some(column.to_owned()) };
        inspect(&folder().join(name), &selection, &Context::default()).map(|file| file.gene_names[1].clone())
    };
    assert_eq!(named("csr.h5ad", "gene_ids").unwrap(), "ENSG00000000001");
    assert_eq!(named("anndata-0.7.8.h5ad", "gene_ids").unwrap(), "ENSG00000000001");
    assert_eq!(named("cellranger3.h5", "id").unwrap(), "ENSG00000000001");
    assert_eq!(named("cellranger2.h5", "id").unwrap(), "ENSG00000000001");
    assert!(matches!(named("csr.h5ad", "none"), Err(Error::Argument { argument, .. }) if argument == "var_names"));
    assert!(named("csr.h5ad", "highly").is_err());
}

#[test]
fn metadata_of_the_cells_keep_their_types() {
    for name in ["missing.h5ad", "anndata-0.7.8.h5ad", "anndata-0.6.22.h5ad"] {
        let file = describe(name, None);
        let column = |wanted: &str| &file.columns.iter().find(|(name, _)| name == wanted).unwrap().1;
        assert_eq!(file.barcodes[39], "cell-39");
        let Column::Category { levels, codes } = column("cell_type") else {
            panic!("{name}: {:?}", column("cell_type"))
        };
        assert_eq!((levels.join(","), codes[0], codes[3]), ("delta,gamma,beta,alpha".to_owned(), Some(3), Some(0)));
        let donor = match column("donor") {
            Column::Category { levels, codes } => levels[codes[4].unwrap() as usize].clone(),
            Column::Text(values) => values[4].clone().unwrap(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(donor, "dé1", "{name}");
        assert!(matches!(column("n_counts"), Column::Integer(values) if values[5] == Some(15)), "{name}");
        assert!(matches!(column("score"), Column::Real(values) if values[5].is_nan() && values[6] == 0.75), "{name}");
        assert!(
            matches!(column("doublet"), Column::Flag(values) if values[7] == Some(true) && values[8] == Some(false))
        );
    }
    let file = describe("missing.h5ad", None);
    let column = |wanted: &str| &file.columns.iter().find(|(name, _)| name == wanted).unwrap().1;
    assert!(matches!(column("maybe_int"), Column::Integer(values) if values[3].is_none() && values[5] == Some(5)));
    assert!(matches!(column("maybe_flag"), Column::Flag(values) if values[4].is_none() && values[5] == Some(false)));
    assert!(matches!(column("some_type"), Column::Category { codes, .. } if codes[6].is_none() && codes[7] == Some(1)));
}

#[test]
fn files_and_matrices_stack() {
    let file = describe("csr.h5ad", None);
    let backwards: Vec<u32> = (0..GENES as u32).rev().collect();
    let (pointers, indices, values) = ([0, 1], [0], [5.0]);
    let samples = [
        Sample { source: Source::File(describe("csc.h5ad", None).counts), genes: Some(backwards.clone()) },
        Sample {
            source: Source::Memory(MemoryCounts { genes: 1, pointers: &pointers, indices: &indices, values: &values }),
            genes: Some(vec![3]),
        },
        Sample { source: Source::File(file.counts), genes: Some(backwards) },
    ];
    let Expression::Narrow(joined) = read_counts(&samples, GENES, &Context::default()).unwrap() else { panic!() };
    let Expression::Narrow(truth) = truth() else { panic!() };
    assert_eq!(joined.rows(), 2 * CELLS + 1);
    for cell in 0..CELLS {
        let mut expected: Vec<(u16, f32)> =
            truth.outer_view(cell).unwrap().iter().map(|(gene, &x)| (GENES as u16 - 1 - gene as u16, x)).collect();
        expected.reverse();
        for row in [cell, CELLS + 1 + cell] {
            let found: Vec<(u16, f32)> = joined.outer_view(row).unwrap().iter().map(|(g, &x)| (g as u16, x)).collect();
            assert_eq!(found, expected);
        }
    }
    assert_eq!(joined.outer_view(CELLS).unwrap().indices(), &[3]);
}

/// A copy of a fixture that `change` may spoil.
fn spoiled(name: &str, test: &str, change: impl FnOnce(&h5::File)) -> PathBuf {
    let path = std::env::temp_dir().join(format!("samap-{}-{test}.h5ad", std::process::id()));
    std::fs::copy(folder().join(name), &path).unwrap();
    change(&h5::File::open_rw(&path).unwrap());
    path
}

fn replace<T: h5::H5Type + Clone>(file: &h5::File, name: &str, values: &[T]) {
    file.unlink(name).unwrap();
    file.new_dataset_builder().with_data(values).create(name).unwrap();
}

/// The error of describing or reading a file, as text.
fn error_of(path: &Path) -> String {
    let found = inspect(path, &Selection::default(), &Context::default()).and_then(|file| read(&file));
    std::fs::remove_file(path).unwrap();
    found.expect_err("a broken file was read").to_string()
}

#[test]
fn files_that_lie_are_refused_with_file_and_dataset() {
    type Change = fn(&h5::File);
    let cases: &[(&str, Change, &str)] = &[
        ("range", |f| set(f, "X/indices", |x: &mut Vec<i32>| x[9] = 60), "X/indices: names gene 60"),
        ("negative-index", |f| set(f, "X/indices", |x: &mut Vec<i32>| x[9] = -1), "X/indices: names gene -1"),
        ("twice", |f| set(f, "X/indices", |x: &mut Vec<i32>| x[1] = x[0]), "twice in one cell (cell 0)"),
        ("pointers", |f| set(f, "X/indptr", |x: &mut Vec<i64>| x[2] = 0), "X/indptr: does not ascend"),
        ("few", |f| set(f, "X/indptr", |x: &mut Vec<i64>| x.truncate(40)), "X/indptr: has 40 elements for 40 cells"),
        ("last", |f| set(f, "X/indptr", |x: &mut Vec<i64>| x[40] += 1), "X/indptr: goes from"),
        ("first", |f| set(f, "X/indptr", |x: &mut Vec<i64>| x[0] = 1), "X/indptr: goes from Some(1)"),
        ("huge", |f| set(f, "X/indptr", |x: &mut Vec<i64>| x[40] = i64::MAX), "X/indptr: goes from"),
        ("count", |f| set(f, "X/data", |x: &mut Vec<f32>| x[3] = -1.0), "X/data: holds the value -1"),
        ("nan", |f| set(f, "X/data", |x: &mut Vec<f32>| x[3] = f32::NAN), "X/data: holds the value NaN"),
        ("infinite", |f| set(f, "X/data", |x: &mut Vec<f32>| x[3] = f32::INFINITY), "X/data: holds the value inf"),
        ("short", |f| set(f, "X/data", |x: &mut Vec<f32>| x.truncate(5)), "there are 5 values"),
        (
            "text",
            |f| replace(f, "X/data", &[h5::types::FixedAscii::<4>::new()]),
            "X/data: holds text where numbers are needed",
        ),
        ("shape", |f| shape(f, [40, 61]), "var: has 60 rows, but X has 61 genes"),
        ("cells", |f| shape(f, [39, 60]), "obs: has 40 rows, but X has 39 cells"),
        ("claims", |f| shape(f, [i64::MAX, 60]), "obs: has 40 rows, but X has 9223372036854775807 cells"),
        ("barcodes", |f| f.unlink("obs/_index").unwrap(), "obs/_index: there is no such dataset"),
        ("codes", |f| set(f, "obs/cell_type/codes", |x: &mut Vec<i8>| x[0] = 4), "holds the code 4"),
        ("nothing", |f| f.unlink("X").unwrap(), "has no matrix"),
        ("no-data", |f| f.unlink("X/data").unwrap(), "X/data: there is no such dataset"),
        ("giant", giant, "X/indices: claims the shape"),
    ];
    for (test, change, expected) in cases {
        let path = spoiled("csr.h5ad", test, change);
        let message = error_of(&path);
        assert!(message.contains(expected), "{test}: {message}");
        assert!(message.contains(&format!("{test}.h5ad")), "{test}: {message}");
    }
}

fn set<T: h5::H5Type + Clone>(file: &h5::File, name: &str, change: impl FnOnce(&mut Vec<T>)) {
    let mut values = file.dataset(name).unwrap().read_raw::<T>().unwrap();
    change(&mut values);
    replace(file, name, &values);
}

fn shape(file: &h5::File, shape: [i64; 2]) {
    let group = file.group("X").unwrap();
    group.delete_attr("shape").unwrap();
    group.new_attr_builder().with_data(&shape).create("shape").unwrap();
}

/// A dataset of a terabyte of which nothing is stored.
fn giant(file: &h5::File) {
    file.unlink("X/indices").unwrap();
    file.new_dataset::<i64>().chunk((1 << 16,)).shape(1usize << 37).create("X/indices").unwrap();
}

#[test]
fn rows_in_any_order_are_sorted() {
    let path = spoiled("csr.h5ad", "unsorted", |file| {
        let end = file.dataset("X/indptr").unwrap().read_raw::<i64>().unwrap()[1] as usize;
        set(file, "X/indices", |x: &mut Vec<i32>| x[..end].reverse());
        set(file, "X/data", |x: &mut Vec<f32>| x[..end].reverse());
    });
    let file = inspect(&path, &Selection::default(), &Context::default()).unwrap();
    assert_eq!(read(&file).unwrap(), truth());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let whole = std::fs::read(folder().join("csr.h5ad")).unwrap();
    let path = std::env::temp_dir().join(format!("samap-{}-cut.h5ad", std::process::id()));
    for tenth in 0..10 {
        std::fs::write(&path, &whole[..whole.len() * tenth / 10]).unwrap();
        let error = inspect(&path, &Selection::default(), &Context::default()).unwrap_err();
        assert!(matches!(error, Error::Dataset { kind: "parse", .. }), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(inspect(&path, &Selection::default(), &Context::default()), Err(Error::Io { .. })));
}

#[test]
fn a_file_that_was_changed_is_not_read() {
    let path = spoiled("csr.h5ad", "changed", |_| {});
    let mut file = inspect(&path, &Selection::default(), &Context::default()).unwrap();
    file.counts.cells += 1;
    assert!(matches!(read(&file), Err(Error::Dataset { kind: "no_counts", .. })));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn reading_can_be_cancelled() {
    let file = describe("csr.h5ad", None);
    let ctx = Context::default();
    ctx.cancel();
    let sample = Sample { source: Source::File(file.counts), genes: None };
    assert!(matches!(read_counts(&[sample], GENES, &ctx), Err(Error::Cancelled)));
}
