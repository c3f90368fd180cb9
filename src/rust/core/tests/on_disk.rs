//! Expression in files is expression in memory, bit for bit, whatever the counts come from and however they are normalised.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use samap_core::io::counts::{MemoryCounts, Sample, Source, read_counts};
use samap_core::sam::preprocess::{Norm, PreprocessOptions, Preprocessed, SumNorm, preprocess};
use samap_core::sparse::{Expression, mapped};
use samap_core::{Context, Error};

/// Counts of R: pointers, genes and values of 300 cells, in which the genes of a cell are every seventh.
fn counts(genes: usize) -> (Vec<i32>, Vec<i32>, Vec<f64>) {
    let (mut pointers, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for cell in 0..300 {
        for gene in (cell % 7..genes).step_by(if genes > 1000 { 701 } else { 7 }) {
            indices.push(gene as i32);
            values.push((1 + (gene * 31 + cell * 17) % 23) as f64);
        }
        pointers.push(indices.len() as i32);
    }
    (pointers, indices, values)
}

fn on_disk() -> Context {
    Context::new(16 << 20).with_folder(Some(std::env::temp_dir()))
}

fn read(genes: usize, ctx: &Context) -> Result<Expression, Error> {
    let (pointers, indices, values) = counts(genes);
    let memory = MemoryCounts { genes, pointers: &pointers, indices: &indices, values: &values };
    read_counts(&[Sample { source: Source::Memory(memory), genes: None }], genes, ctx)
}

#[test]
fn normalised_in_files_as_in_memory() {
    let norms = [Norm::Log2, Norm::Ftt, Norm::Asin, Norm::None, Norm::Multinomial];
    let sums = [SumNorm::CellMedian, SumNorm::GeneMedian, SumNorm::Total(1e3), SumNorm::None];
    for genes in [200, 70_000] {
        for (norm, sum_norm) in norms.iter().flat_map(|norm| sums.iter().map(move |sum| (*norm, *sum))) {
            let options = PreprocessOptions { norm, sum_norm, ..PreprocessOptions::default() };
            let of = |ctx: &Context| -> Result<Preprocessed, Error> { preprocess(read(genes, ctx)?, &options, ctx) };
            let (memory, files) = match (of(&Context::default()), of(&on_disk())) {
                (Ok(memory), Ok(files)) => (memory, files),
                (Err(Error::Argument { .. }), Err(Error::Argument { .. })) => continue,
                other => panic!("{norm:?}, {sum_norm:?}: {other:?}"),
            };
            assert!(mapped::any());
            assert_eq!(memory.expression, files.expression, "{norm:?}, {sum_norm:?}");
            assert_eq!(memory.dispersion_expression, files.dispersion_expression, "{norm:?}, {sum_norm:?}");
            assert_eq!((memory.means, memory.variances), (files.means, files.variances));
            assert_eq!(memory.kept, files.kept);
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let ctx = Context::default().with_folder(Some("/no/such/folder".into()));
    assert!(matches!(read(50, &ctx), Err(Error::Io { .. })));
}
