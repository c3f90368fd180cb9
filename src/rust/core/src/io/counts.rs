//! Counts of one species from wherever they are: matrices in memory and HDF5 files, one sample after the other, genes joined
//! by name beforehand. In: samples, each with the joint gene of its own genes. Out: one [`Expression`], cells × genes, which
//! is all that is ever held: files are read in blocks. Its entries lie in memory, or, where the context names a folder, in
//! files there.

use crate::io::h5ad::{self, CountsFile};
use crate::simd::vectorised;
use crate::sparse::{Column, Csr, Expression, RowBuilder, mapped};
use crate::{Context, Error, Result};
use std::borrow::Cow;

/// A sample in memory: the columns of R's genes × cells matrix, borrowed.
pub struct MemoryCounts<'a> {
    /// Number of genes.
    pub genes: usize,
    /// Where each cell begins; one more than there are cells.
    pub pointers: &'a [i32],
    /// Gene of every entry.
    pub indices: &'a [i32],
    /// Count of every entry.
    pub values: &'a [f64],
}

/// What tells at once whether a matrix may be one of counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Smallest of the stored values; infinite where there is none.
    pub smallest: f64,
    /// Largest of the stored values; minus infinity where there is none.
    pub largest: f64,
    /// Values that are NA or no numbers.
    pub missing: usize,
    /// Genes with entries.
    pub genes: usize,
}

/// Values compared side by side.
const LANES: usize = 8;

impl MemoryCounts<'_> {
    /// Range of the values and genes with entries, in one pass over each.
    pub fn summary(&self) -> Summary {
        let (mut smallest, mut largest, mut missing) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], [0; LANES]);
        vectorised(
            #[inline(always)]
            || {
                for values in self.values.chunks(LANES) {
                    for (lane, &x) in values.iter().enumerate() {
                        smallest[lane] = if x < smallest[lane] { x } else { smallest[lane] };
                        largest[lane] = if x > largest[lane] { x } else { largest[lane] };
                        missing[lane] += usize::from(x.is_nan());
                    }
                }
            },
        );
        let mut seen = vec![false; self.genes];
        for &gene in self.indices {
            if let Some(seen) = seen.get_mut(gene as usize) {
                *seen = true;
            }
        }
        Summary {
            smallest: smallest.into_iter().fold(f64::INFINITY, f64::min),
            largest: largest.into_iter().fold(f64::NEG_INFINITY, f64::max),
            missing: missing.into_iter().sum(),
            genes: seen.into_iter().filter(|&seen| seen).count(),
        }
    }
}

/// Where the counts of a sample are.
pub enum Source<'a> {
    /// In memory.
    Memory(MemoryCounts<'a>),
    /// In a file.
    File(CountsFile),
}

/// Counts of one sample.
pub struct Sample<'a> {
    /// Where they are.
    pub source: Source<'a>,
    /// The joint gene of each of its genes; `None`: the same.
    pub genes: Option<Vec<u32>>,
}

impl Sample<'_> {
    fn cells(&self) -> usize {
        match &self.source {
            Source::Memory(counts) => counts.pointers.len().saturating_sub(1),
            Source::File(file) => file.cells,
        }
    }

    /// Number of stored entries.
    pub fn stored(&self) -> usize {
        match &self.source {
            Source::Memory(counts) => counts.values.len(),
            Source::File(file) => file.stored,
        }
    }

    fn genes(&self) -> usize {
        match &self.source {
            Source::Memory(counts) => counts.genes,
            Source::File(file) => file.genes,
        }
    }

    /// The joint gene of every gene.
    fn joint(&self, genes: usize) -> Result<Cow<'_, [u32]>> {
        match &self.genes {
            Some(joint) if joint.len() == self.genes() => Ok(Cow::Borrowed(joint)),
            None if self.genes() == genes => Ok(Cow::Owned((0..genes as u32).collect())),
            _ => Err(Error::shape("joining samples", format!("{} genes", self.genes()), format!("{genes} genes"))),
        }
    }
}

/// Reads the counts of all samples, one below the other. Records the phase "read".
///
/// # Errors
/// [`Error::Io`], [`Error::Dataset`] and [`Error::NoHdf5`] for files, also for one that is not as it was described;
/// [`Error::Argument`] for a matrix; [`Error::Memory`] or [`Error::Disk`]; [`Error::Cancelled`].
pub fn read_counts(samples: &[Sample], genes: usize, ctx: &Context) -> Result<Expression> {
    let stored = samples.iter().map(Sample::stored).sum();
    if let Some(folder) = ctx.folder().filter(|folder| mapped::is_in_memory(folder)) {
        ctx.warn(format!(
            "files in {} are themselves in memory (tmpfs): `on_disk` saves none there; name a folder on a disk",
            folder.display()
        ));
    }
    ctx.phase("read", stored, || {
        if genes < 1 << 16 {
            Ok(Expression::Narrow(assemble(samples, genes, stored, ctx)?))
        } else {
            Ok(Expression::Wide(assemble(samples, genes, stored, ctx)?))
        }
    })
}

fn assemble<C: Column>(samples: &[Sample], genes: usize, stored: usize, ctx: &Context) -> Result<Csr<C>> {
    let cells = samples.iter().map(Sample::cells).sum();
    let mut rows = RowBuilder::<C>::new(cells, genes, stored, ctx.folder())?;
    for sample in samples {
        let joint = sample.joint(genes)?;
        match &sample.source {
            Source::Memory(counts) => copy(counts, &joint, &mut rows, ctx)?,
            Source::File(file) => h5ad::append(file, &joint, &mut rows, ctx)?,
        }
    }
    rows.finish()
}

fn copy<C: Column>(counts: &MemoryCounts, joint: &[u32], rows: &mut RowBuilder<C>, ctx: &Context) -> Result<()> {
    let broken = |found: String| Error::argument("counts", found, "Pass a valid sparse matrix of counts.");
    for pair in counts.pointers.windows(2) {
        let range = pair[0] as usize..pair[1] as usize;
        let entries = counts.indices.get(range.clone()).zip(counts.values.get(range.clone()));
        let (indices, values) =
            entries.ok_or_else(|| broken("the pointers of the sparse matrix do not fit its entries".to_owned()))?;
        for (&gene, &value) in indices.iter().zip(values) {
            let gene = joint.get(gene as usize).ok_or_else(|| broken(format!("it has no gene {gene}")))?;
            rows.push(*gene as usize, value).map_err(|flaw| broken(format!("the matrix {flaw}")))?;
        }
        rows.end_row().map_err(|flaw| broken(format!("the matrix {flaw}")))?;
        ctx.advance(range.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_sees_every_value() {
        let (pointers, indices) = ([0, 19], (0..19).map(|i| 2 * (i % 9)).collect::<Vec<i32>>());
        let mut values: Vec<f64> = (0..19).map(|i| f64::from(i + 1)).collect();
        let of = |values: &[f64]| MemoryCounts { genes: 20, pointers: &pointers, indices: &indices, values }.summary();
        assert_eq!(of(&values), Summary { smallest: 1.0, largest: 19.0, missing: 0, genes: 9 });
        (values[0], values[7], values[18]) = (f64::NAN, -3.0, f64::INFINITY);
        assert_eq!(of(&values), Summary { smallest: -3.0, largest: f64::INFINITY, missing: 1, genes: 9 });
    }

    #[test]
    fn samples_are_joined_by_their_genes() {
        let (pointers, indices, values) = ([0, 2, 3], [0, 1, 1], [1.0, 2.0, 3.0]);
        let memory = || MemoryCounts { genes: 2, pointers: &pointers, indices: &indices, values: &values };
        let samples = [
            Sample { source: Source::Memory(memory()), genes: Some(vec![0, 1]) },
            Sample { source: Source::Memory(memory()), genes: Some(vec![2, 0]) },
        ];
        let joined = read_counts(&samples, 3, &Context::default()).unwrap();
        let expected = Expression::from_rows(
            "x",
            3,
            &[0usize, 2, 3, 5, 6],
            &[0u32, 1, 1, 0, 2, 0],
            &[1.0f32, 2.0, 3.0, 2.0, 1.0, 3.0],
        );
        assert_eq!(joined, expected.unwrap());
        let wrong = [Sample { source: Source::Memory(memory()), genes: None }];
        assert!(matches!(read_counts(&wrong, 3, &Context::default()), Err(Error::Shape { .. })));
    }
}
