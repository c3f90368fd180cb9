//! A mapping that the Python reference wrote, and files that lie about one. What is in it is compared in R, with what the
//! reference says of it (`test-read_samap.R`).
#![cfg(feature = "hdf5")]
// A fixture that cannot be read fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hdf5_metno as h5;
use samap_core::io::h5ad::read_mapping;
use samap_core::{Context, Error};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/testthat/h5ad")
}

#[test]
fn a_mapping_has_its_species_genes_and_edges() {
    let mapping = read_mapping(&folder().join("sc-samap-stitched.h5ad"), &Context::default()).unwrap();
    assert_eq!(
        (mapping.species.as_slice(), mapping.cells.as_slice()),
        (&["one".into(), "two".into()][..], &[40, 30][..])
    );
    assert_eq!((mapping.genes[0].as_str(), mapping.genes[119].as_str()), ("gene0", "gene59"));
    assert_eq!((mapping.k, mapping.edges.len(), mapping.strangers), (5.0, 60, 0));
    assert!(mapping.edges.iter().all(|edge| mapping.gene_species[edge.a as usize] == 0 && edge.b >= 60));
}

/// Names a mistake, makes it in a copy of the file, and says what is in the message.
type Lie = (&'static str, fn(&h5::File), &'static str);

#[test]
fn what_is_no_mapping_says_why() {
    let lies: [Lie; 7] = [
        ("no-graph", |f| f.unlink("obsp/connectivities").unwrap(), "obsp/connectivities"),
        ("no-k", |f| f.unlink("uns/mapping_K").unwrap(), "uns/mapping_K"),
        ("negative", |f| set(f, "obsp/connectivities/data", |x: &mut Vec<f64>| x[0] = -1.0), "holds the weight -1"),
        ("nan", |f| set(f, "varp/homology_graph/data", |x: &mut Vec<f64>| x[0] = f64::NAN), "holds the weight NaN"),
        ("scattered", |f| set(f, "obs/species/codes", |x: &mut Vec<i8>| x[0] = 1), "in several places"),
        ("sole", |f| set(f, "obs/species/codes", |x: &mut Vec<i8>| x.fill(0)), "names 1 species"),
        ("column", |f| set(f, "obs/batch/codes", |x: &mut Vec<i8>| x.truncate(9)), "has 9 rows for 70 cells"),
    ];
    for (name, lie, expected) in lies {
        let path = std::env::temp_dir().join(format!("samap-{}-{name}.h5ad", std::process::id()));
        std::fs::copy(folder().join("sc-samap-stitched.h5ad"), &path).unwrap();
        lie(&h5::File::open_rw(&path).unwrap());
        let error = read_mapping(&path, &Context::default()).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let Error::Dataset { kind, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(*kind == "no_samap", name.starts_with("no-"), "{name}");
        assert!(format!("{error:?} {error}").contains(expected), "{name}: {error}");
    }
}

#[test]
fn refined_pairs_beyond_the_given_ones_are_counted() {
    let path = std::env::temp_dir().join(format!("samap-{}-strangers.h5ad", std::process::id()));
    std::fs::copy(folder().join("sc-samap-stitched.h5ad"), &path).unwrap();
    // The first pair of gene 0 goes to gene 50 of the second species instead, which has none.
    let to_gene_50 = |x: &mut Vec<i32>| x[0] = 110;
    set(&h5::File::open_rw(&path).unwrap(), "varp/homology_graph_reweighted/indices", to_gene_50);
    let mapping = read_mapping(&path, &Context::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((mapping.edges.len(), mapping.strangers), (60, 1));
}

fn set<T: h5::H5Type + Clone>(file: &h5::File, name: &str, change: impl FnOnce(&mut Vec<T>)) {
    let mut values = file.dataset(name).unwrap().read_raw::<T>().unwrap();
    change(&mut values);
    file.unlink(name).unwrap();
    file.new_dataset_builder().with_data(&values).create(name).unwrap();
}
