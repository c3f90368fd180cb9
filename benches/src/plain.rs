//! Writes an atlas as plain files of 32-bit little-endian integers, a block of cells at a time: `.p`, `.i` and `.x` of a CSR
//! matrix (cells × genes), and the names as text. What R and Python read without a library.

use crate::Result;
use crate::pancreas::Rows;
use std::fs::{File, write};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The files of an atlas under construction.
pub struct Writer {
    stem: PathBuf,
    columns: BufWriter<File>,
    counts: BufWriter<File>,
    pointers: Vec<usize>,
    types: Vec<String>,
}

impl Writer {
    /// New files `<stem>.p`, `<stem>.i`, `<stem>.x`, `<stem>-genes.txt` and `<stem>-types.txt`.
    pub fn create(stem: &Path) -> Result<Self> {
        let open = |slot: &str| File::create(stem.with_extension(slot)).map(BufWriter::new);
        Ok(Writer { stem: stem.into(), columns: open("i")?, counts: open("x")?, pointers: vec![0], types: Vec::new() })
    }

    /// Appends cells with the type of each.
    pub fn append(&mut self, rows: &Rows, types: &[&str]) -> Result<()> {
        let first = self.pointers[self.pointers.len() - 1];
        for (&column, &count) in rows.columns.iter().zip(&rows.counts) {
            self.columns.write_all(&column.to_le_bytes())?;
            self.counts.write_all(&(count as u32).to_le_bytes())?;
        }
        self.pointers.extend(rows.pointers[1..].iter().map(|p| first + p));
        self.types.extend(types.iter().map(|&name| name.to_owned()));
        Ok(())
    }

    /// Writes pointers and names. More than 2³¹ − 1 entries do not fit.
    pub fn finish(mut self, genes: &[String]) -> Result<()> {
        self.columns.flush()?;
        self.counts.flush()?;
        let mut pointers = Vec::with_capacity(4 * self.pointers.len());
        for &pointer in &self.pointers {
            pointers.extend(i32::try_from(pointer)?.to_le_bytes());
        }
        write(self.stem.with_extension("p"), pointers)?;
        let named = |what: &str| PathBuf::from(format!("{}-{what}.txt", self.stem.display()));
        write(named("genes"), lines(genes))?;
        write(named("types"), lines(&self.types))?;
        Ok(())
    }
}

fn lines(names: &[String]) -> String {
    names.iter().flat_map(|name| [name.as_str(), "\n"]).collect()
}
