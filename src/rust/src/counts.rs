//! Counts as R has them: a `dgCMatrix`, read in place, or a source that stays out of R (files, or files and matrices of
//! several samples).

use crate::convert::{Fields, SparseSlots, expression_to_r, indices};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::io::counts::{MemoryCounts, Sample, Source, read_counts};
use samap_core::io::h5ad::{CountsFile, Format};
use samap_core::sparse::Expression;
use samap_core::{Context, Result};
use std::path::PathBuf;

/// Formats of files by their names in R.
pub const FORMATS: &[(&str, Format)] = &[("h5ad", Format::H5ad), ("10x", Format::TenX)];

/// Counts of a species. Borrows from the R object it was made of: whoever holds this holds that, too.
pub enum Counts {
    /// One matrix.
    Matrix(SparseSlots),
    /// Samples, and the number of their genes together.
    Samples(Vec<Own>, usize),
}

/// Counts of one sample, and the joint gene of each of its genes.
pub struct Own {
    place: Place,
    genes: Option<Vec<u32>>,
}

enum Place {
    Memory(SparseSlots),
    File(CountsFile),
}

impl Counts {
    /// From a `dgCMatrix`, or from `list(dim, samples)` with samples `list(counts = <dgCMatrix or list(path, format, matrix,
    /// dim, nonzeros)>, genes = <NULL or integers>)`.
    pub fn of(object: &Robj) -> Result<Self> {
        if !object.is_list() {
            return Ok(Counts::Matrix(SparseSlots::of("counts", object)?));
        }
        let fields = Fields::of("counts", object)?;
        let (genes, _) = dim(&fields)?;
        let samples = fields.get("samples")?.as_list().ok_or_else(|| wrong("samples", "a list"))?;
        let samples = samples.values().map(|sample| Own::of(&sample, genes)).collect::<Result<_>>()?;
        Ok(Counts::Samples(samples, genes))
    }

    /// The counts, cells × genes.
    pub fn read(&self, ctx: &Context) -> Result<Expression> {
        match self {
            Counts::Matrix(slots) if ctx.folder().is_none() => slots.expression("counts"),
            _ => read_counts(&self.samples(), self.genes(), ctx),
        }
    }

    /// Number of genes.
    pub fn genes(&self) -> usize {
        match self {
            Counts::Matrix(slots) => slots.dim.0,
            Counts::Samples(_, genes) => *genes,
        }
    }

    /// As samples that borrow from this; a matrix is one of them.
    pub fn samples(&self) -> Vec<Sample<'_>> {
        match self {
            Counts::Matrix(slots) => vec![Sample { source: memory(slots), genes: None }],
            Counts::Samples(samples, _) => samples.iter().map(Own::borrowed).collect(),
        }
    }
}

impl Own {
    fn of(object: &Robj, genes: usize) -> Result<Self> {
        let fields = Fields::of("sample", object)?;
        let counts = fields.get("counts")?;
        let place = if counts.is_list() {
            Place::File(file(&Fields::of("counts", counts)?)?)
        } else {
            Place::Memory(SparseSlots::of("counts", counts)?)
        };
        let genes = fields.optional("genes").map(|joint| indices("genes", joint, genes)).transpose()?;
        Ok(Own { place, genes })
    }

    fn borrowed(&self) -> Sample<'_> {
        let source = match &self.place {
            Place::File(file) => Source::File(file.clone()),
            Place::Memory(slots) => memory(slots),
        };
        Sample { source, genes: self.genes.clone() }
    }
}

fn in_memory(slots: &SparseSlots) -> MemoryCounts<'_> {
    let (pointers, indices, values) = (slots.pointers, slots.rows, slots.values);
    MemoryCounts { genes: slots.dim.0, pointers, indices, values }
}

fn memory(slots: &SparseSlots) -> Source<'_> {
    Source::Memory(in_memory(slots))
}

/// Genes and cells.
fn dim(fields: &Fields) -> Result<(usize, usize)> {
    match fields.numbers("dim")?.as_slice() {
        [genes, cells] if *genes >= 0.0 && *cells >= 0.0 => Ok((*genes as usize, *cells as usize)),
        _ => Err(wrong("dim", "two numbers")),
    }
}

fn file(fields: &Fields) -> Result<CountsFile> {
    let (genes, cells) = dim(fields)?;
    Ok(CountsFile {
        path: PathBuf::from(fields.text("path")?),
        format: fields.choice("format", FORMATS)?,
        matrix: fields.text("matrix")?.to_owned(),
        cells,
        genes,
        stored: fields.count("nonzeros")?,
    })
}

/// Counts that stay out of R, for R: `list(counts)`, a `dgCMatrix` of genes × cells.
#[extendr]
fn counts_start(source: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let counts = Counts::of(&source)?;
        Job::start(threads, memory, vec![source.clone()], move |ctx| {
            let read = counts.read(ctx)?;
            Ok(Box::new(move || Ok(list!(counts = expression_to_r(&read)?).into())) as Pack)
        })
    })
}

/// What a `dgCMatrix` of counts looks like: `list(smallest, largest, missing, genes)`, the range of its values, how many are NA,
/// and how many genes have entries.
#[extendr]
fn count_summary(counts: Robj) -> Robj {
    outcome(|| {
        let found = in_memory(&SparseSlots::of("counts", &counts)?).summary();
        let (missing, genes) = (found.missing as f64, found.genes as f64);
        Ok(list!(smallest = found.smallest, largest = found.largest, missing = missing, genes = genes).into())
    })
}

extendr_module! {
    mod counts;
    fn count_summary;
    fn counts_start;
}
