//! More entries than 32 bits can count, in a file of some megabytes: chunks that are not stored read as zeros.

use super::*;
use h5::types::VarLenUnicode;
use hdf5_metno as h5;
use ndarray::{Array1, s};

const CELLS: usize = 40_000;
const GENES: usize = 60_000;
const STORED: usize = (1 << 31) + 70_000;
const CHUNK: usize = 1 << 20;

/// A dataset of [`STORED`] elements; as many chunks at its start as the reader wants to see stored, and the last elements.
fn huge<T: h5::H5Type + Clone>(group: &h5::Group, name: &str, first: T, last: &[T]) {
    let data = group.new_dataset::<T>().chunk(CHUNK).shape(STORED).create(name).unwrap();
    data.write_slice(&Array1::from_elem(3 * CHUNK, first), s![0..3 * CHUNK]).unwrap();
    data.write_slice(&Array1::from_vec(last.to_vec()), s![STORED - last.len()..STORED]).unwrap();
}

#[test]
fn pointers_and_offsets_have_64_bits() {
    let path = std::env::temp_dir().join(format!("samap-huge-{}.h5ad", std::process::id()));
    let file = h5::File::create(&path).unwrap();
    let group = file.create_group("X").unwrap();
    let encoding: VarLenUnicode = "csr_matrix".parse().unwrap();
    group.new_attr::<VarLenUnicode>().create("encoding-type").unwrap().write_scalar(&encoding).unwrap();
    group.new_attr_builder().with_data(&[CELLS as i64, GENES as i64]).create("shape").unwrap();
    huge(&group, "data", 1_u8, &[7, 8, 9]);
    huge(&group, "indices", 0_u16, &[3, 5, 59_999]);
    let ends: Vec<i64> = (0..=CELLS).map(|cell| (cell * STORED / CELLS) as i64).collect();
    group.new_dataset_builder().with_data(&ends).create("indptr").unwrap();
    drop((group, file));
    // A program that another test starts meanwhile inherits the open file, and keeps it locked until it ends: a copy is not.
    let copy = path.with_extension("copy.h5ad");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::remove_file(&path).unwrap();

    let file = H5File::open(&copy).unwrap();
    let matrix = Matrix::of(&file, "X").unwrap();
    assert_eq!(matrix.stored(&file, &Context::default()).unwrap(), STORED);
    let pointers = matrix.pointers(&file).unwrap();
    assert!(pointers.iter().zip(&ends).all(|(&found, &end)| found == end as usize));
    let last = STORED - 3..STORED;
    assert_eq!(matrix.part(&file, "data").unwrap().numbers(last.clone()).unwrap(), [7.0, 8.0, 9.0]);
    assert_eq!(matrix.part(&file, "indices").unwrap().integers(last).unwrap(), [3, 5, 59_999]);
    assert_eq!(blocks(STORED, BLOCK).last(), Some(STORED / BLOCK * BLOCK..STORED));
    std::fs::remove_file(&copy).unwrap();
}
