//! Reading a large matrix takes little more memory than the matrix: at most 1.2 times, by cell and by gene; with expression in
//! files, reading it by cell and preprocessing it take less than the matrix. In a process of its own, since the peak is that of the process.
#![cfg(all(feature = "hdf5", target_os = "linux"))]
// A fixture that cannot be made fails the test.
#![allow(clippy::unwrap_used)]

use hdf5_metno as h5;
use samap_core::context::peak_memory;
use samap_core::io::counts::{Sample, Source, read_counts};
use samap_core::io::h5ad::{CountsFile, Selection, inspect};
use samap_core::sam::preprocess::{PreprocessOptions, preprocess};
use samap_core::sparse::Expression;
use samap_core::{Context, Error};
use std::path::Path;

const CELLS: usize = 8_000;
const GENES: usize = 20_000;
/// Entries per cell: every tenth gene, beginning elsewhere in each cell.
const PER_CELL: usize = GENES / 10;

#[test]
fn peak_memory_is_at_most_a_fifth_above_the_matrix() {
    let path = std::env::temp_dir().join(format!("samap-{}-memory.h5ad", std::process::id()));
    let matrix = CELLS * PER_CELL * (size_of::<u16>() + size_of::<f32>()) + (CELLS + 1) * size_of::<usize>();
    for format in ["csr_matrix", "csc_matrix"] {
        write(&path, format);
        let file = inspect(&path, &Selection::default(), &Context::default()).unwrap();
        assert_eq!(file.counts.stored, CELLS * PER_CELL);
        let (counts, used) = peak(|| read(&file.counts, &Context::default()).unwrap());
        println!("{format}: {:.3} of the matrix of {} MB", used / matrix as f64, matrix >> 20);
        assert!(used <= 1.2 * matrix as f64, "{format}: {used} bytes");
        assert_eq!(counts.stored(), CELLS * PER_CELL);
        drop(counts);

        // By gene the file is filled in leaps, which is slow where few pages may stay (docs/performance.md).
        if format == "csc_matrix" {
            continue;
        }
        let on_disk = Context::new(64 << 20).with_folder(Some(std::env::temp_dir()));
        let (done, used) = peak(|| {
            let counts = read(&file.counts, &on_disk).unwrap();
            let options = PreprocessOptions::default();
            on_disk.phase("preprocess", 1, || preprocess(counts, &options, &on_disk)).unwrap()
        });
        println!("{format}, on disk: {:.3} of the matrix", used / matrix as f64);
        assert!(used <= 0.7 * matrix as f64, "{format}: {used} bytes");
        assert!(done.expression.stored() > CELLS * PER_CELL / 2);
    }
    std::fs::remove_file(&path).unwrap();
}

/// What `work` returns, and by how much it raises the memory of the process at most.
fn peak<T>(work: impl FnOnce() -> T) -> (T, f64) {
    // The peak becomes what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_memory().unwrap();
    let value = work();
    (value, (peak_memory().unwrap() - before) as f64)
}

fn read(file: &CountsFile, ctx: &Context) -> Result<Expression, Error> {
    read_counts(&[Sample { source: Source::File(file.clone()), genes: None }], GENES, ctx)
}

/// A file of that format, in parts, compressed with lzf.
fn write(path: &Path, format: &str) {
    let file = h5::File::create(path).unwrap();
    let (outer, inner) = if format == "csr_matrix" { (CELLS, PER_CELL) } else { (GENES, CELLS / 10) };
    let group = file.create_group("X").unwrap();
    let text: h5::types::VarLenUnicode = format.parse().unwrap();
    group.new_attr::<h5::types::VarLenUnicode>().create("encoding-type").unwrap().write_scalar(&text).unwrap();
    group.new_attr_builder().with_data(&[CELLS as i64, GENES as i64]).create("shape").unwrap();
    let pointers: Vec<i64> = (0..=outer).map(|at| (at * inner) as i64).collect();
    group.new_dataset_builder().with_data(&pointers).create("indptr").unwrap();
    let stored = outer * inner;
    let indices = group.new_dataset::<i32>().chunk((1 << 16,)).lzf().shape(stored).create("indices").unwrap();
    let data = group.new_dataset::<f32>().chunk((1 << 16,)).lzf().shape(stored).create("data").unwrap();
    for (part, outers) in (0..outer).collect::<Vec<_>>().chunks(500).enumerate() {
        let own: Vec<i32> = outers.iter().flat_map(|&o| (0..inner).map(move |i| (i * 10 + o % 10) as i32)).collect();
        let values: Vec<f32> = own.iter().map(|&i| (1 + i % 7) as f32).collect();
        let start = part * 500 * inner;
        indices.write_slice(&own, ndarray::s![start..start + own.len()]).unwrap();
        data.write_slice(&values, ndarray::s![start..start + own.len()]).unwrap();
    }
    for (table, length) in [("obs", CELLS), ("var", GENES)] {
        let names: Vec<h5::types::VarLenUnicode> = (0..length).map(|i| i.to_string().parse().unwrap()).collect();
        let group = file.create_group(table).unwrap();
        group.new_dataset_builder().with_data(&names).create("_index").unwrap();
    }
}
