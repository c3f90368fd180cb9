//! A cells × genes matrix built row by row, from parts that may name their genes otherwise. In: entries (gene, count) of
//! one cell after the other. Out: an [`Expression`] whose rows ascend. Memory is taken once, for the announced size.

use super::{Buffer, Column, Csr};
use crate::{Error, Result};
use std::ops::Range;
use std::path::Path;

/// Why an entry or a row cannot be used, as the end of a sentence.
pub type Flaw = String;

/// Rows under construction.
pub struct RowBuilder<C: Column> {
    genes: usize,
    pointers: Vec<usize>,
    columns: Buffer<C>,
    values: Buffer<f32>,
    ascending: bool,
}

impl<C: Column> RowBuilder<C> {
    /// Room for `cells` rows with `stored` entries: in memory, or in files in `folder`.
    ///
    /// # Errors
    /// [`Error::Memory`] or [`Error::Disk`] if there is not that much, [`Error::Io`] for files.
    pub fn new(cells: usize, genes: usize, stored: usize, folder: Option<&Path>) -> Result<Self> {
        let mut pointers = Vec::new();
        pointers
            .try_reserve_exact(cells + 1)
            .map_err(|_| Error::Memory { what: "the matrix of counts", bytes: cells * size_of::<usize>() })?;
        pointers.push(0);
        let (columns, values) = (Buffer::with_room(stored, folder)?, Buffer::with_room(stored, folder)?);
        Ok(RowBuilder { genes, pointers, columns, values, ascending: true })
    }

    /// Entries so far.
    pub fn stored(&self) -> usize {
        self.columns.len()
    }

    /// Adds an entry to the row under construction.
    ///
    /// # Errors
    /// A gene outside of the matrix; a count that is negative or no finite number; more entries than a file has room for.
    #[inline]
    pub fn push(&mut self, gene: usize, value: f64) -> std::result::Result<(), Flaw> {
        if gene >= self.genes {
            return Err(format!("names gene {gene} of a matrix with {} genes", self.genes));
        }
        let start = self.pointers[self.pointers.len() - 1];
        if self.columns.len() > start && self.columns[self.columns.len() - 1].index() >= gene {
            self.ascending = false;
        }
        let value = count(value)?;
        if self.columns.push(C::from_usize(gene)) && self.values.push(value) { Ok(()) } else { Err(no_room()) }
    }

    /// Ends a row; sorts it where it has to be.
    ///
    /// # Errors
    /// A gene that occurs twice.
    pub fn end_row(&mut self) -> std::result::Result<(), Flaw> {
        let start = self.pointers[self.pointers.len() - 1];
        if !self.ascending {
            sort_row(&mut self.columns[start..], &mut self.values[start..])?;
            self.ascending = true;
        }
        self.pointers.push(self.columns.len());
        Ok(())
    }

    /// Opens as many rows as there are `lengths`, to be filled in any order. Ends with [`RowBuilder::close`].
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Shape`] for more entries than a file has room for.
    pub fn open(&mut self, lengths: &[usize]) -> Result<Region<'_, C>> {
        let first = self.pointers.len() - 1;
        let mut next = Vec::new();
        next.try_reserve_exact(lengths.len())
            .map_err(|_| Error::Memory { what: "the matrix of counts", bytes: lengths.len() * 8 })?;
        let mut end = self.columns.len();
        for length in lengths {
            next.push(end);
            end += length;
            self.pointers.push(end);
        }
        if !(self.columns.lengthen(end) && self.values.lengthen(end)) {
            return Err(Error::shape("reading counts", "as many entries as announced", format!("{end} entries")));
        }
        let genes = self.genes;
        let ends = &self.pointers[first + 1..];
        Ok(Region { genes, next, ends, columns: &mut self.columns, values: &mut self.values })
    }

    /// Sorts rows `range` that were filled in another order than that of their genes.
    ///
    /// # Errors
    /// A gene that occurs twice in a cell: the cell, and the end of a sentence.
    pub fn close(&mut self, range: Range<usize>) -> std::result::Result<(), (usize, Flaw)> {
        for cell in range {
            let entries = self.pointers[cell]..self.pointers[cell + 1];
            let columns = &mut self.columns[entries.clone()];
            if !columns.windows(2).all(|pair| pair[0].index() < pair[1].index()) {
                sort_row(columns, &mut self.values[entries]).map_err(|flaw| (cell, flaw))?;
            }
        }
        Ok(())
    }

    /// Rows finished so far.
    pub fn cells(&self) -> usize {
        self.pointers.len() - 1
    }

    /// The matrix.
    ///
    /// # Errors
    /// [`Error::Numerical`], which would be a mistake of ours.
    pub fn finish(self) -> Result<Csr<C>> {
        let shape = (self.cells(), self.genes);
        Csr::try_new(shape, self.pointers, self.columns, self.values)
            .map_err(|(_, _, _, error)| Error::Numerical { operation: "reading counts", reason: error.to_string() })
    }
}

/// Rows that are filled in any order.
pub struct Region<'a, C: Column> {
    genes: usize,
    next: Vec<usize>,
    ends: &'a [usize],
    columns: &'a mut [C],
    values: &'a mut [f32],
}

impl<C: Column> Region<'_, C> {
    /// Adds an entry to a row of the region.
    ///
    /// # Errors
    /// A row, gene or count that cannot be, or more entries in a row than were announced.
    #[inline]
    pub fn push(&mut self, row: usize, gene: usize, value: f64) -> std::result::Result<(), Flaw> {
        let room = self.next.get(row).is_some_and(|&at| at < self.ends[row]);
        if !room || gene >= self.genes {
            return Err(format!("changed while it was read, at cell {row}, gene {gene}"));
        }
        let at = self.next[row];
        self.columns[at] = C::from_usize(gene);
        self.values[at] = count(value)?;
        self.next[row] += 1;
        Ok(())
    }
}

fn no_room() -> Flaw {
    "holds more entries than when it was described".to_owned()
}

/// A count as the engine stores it.
fn count(value: f64) -> std::result::Result<f32, Flaw> {
    let single = value as f32;
    if value >= 0.0 && single.is_finite() {
        Ok(single)
    } else {
        Err(format!("holds the value {value}, where counts are finite and not negative"))
    }
}

fn sort_row<C: Column>(columns: &mut [C], values: &mut [f32]) -> std::result::Result<(), Flaw> {
    let mut entries: Vec<(C, f32)> = columns.iter().copied().zip(values.iter().copied()).collect();
    entries.sort_by_key(|entry| entry.0.index());
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0.index() == pair[1].0.index()) {
        return Err(format!("holds gene {} twice in one cell", pair[0].0.index()));
    }
    for (at, (column, value)) in entries.into_iter().enumerate() {
        columns[at] = column;
        values[at] = value;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_checked() {
        let mut rows = RowBuilder::<u16>::new(3, 4, 5, None).unwrap();
        for (gene, value) in [(3, 1.0), (0, 2.0)] {
            rows.push(gene, value).unwrap();
        }
        rows.end_row().unwrap();
        rows.end_row().unwrap();
        assert!(rows.push(4, 1.0).is_err() && rows.push(0, -1.0).is_err() && rows.push(1, f64::NAN).is_err());
        let mut rows = RowBuilder::<u16>::new(1, 4, 5, None).unwrap();
        rows.push(2, 1.0).unwrap();
        rows.push(2, 1.0).unwrap();
        assert!(rows.end_row().unwrap_err().contains("twice"));
    }

    #[test]
    fn a_region_is_filled_in_any_order() {
        let mut rows = RowBuilder::<u32>::new(3, 5, 4, None).unwrap();
        rows.push(1, 7.0).unwrap();
        rows.end_row().unwrap();
        let mut region = rows.open(&[2, 1]).unwrap();
        region.push(1, 0, 3.0).unwrap();
        region.push(0, 4, 1.0).unwrap();
        region.push(0, 2, 2.0).unwrap();
        assert!(region.push(1, 1, 1.0).is_err() && region.push(2, 1, 1.0).is_err());
        rows.close(1..3).unwrap();
        let matrix = rows.finish().unwrap();
        assert_eq!(matrix.indices(), &[1, 2, 4, 0]);
        assert_eq!(matrix.data(), &[7.0, 2.0, 1.0, 3.0]);
    }
}
