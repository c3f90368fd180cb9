//! Sequences in FASTA form. In: a file, plain or gzipped. Out: headers, lengths and kinds of molecule; the same sequences under
//! numbers, as search engines get them (which read ids each in their own way); tables of hits with the ids put back; the longest
//! sequence of every gene.

use super::lines::{Lines, name, shown};
use crate::{Context, Error, Result};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// What to do with a file that cannot be read.
const REMEDY: &str = "Give sequences in FASTA form: a line `>id description`, then lines of letters";
/// Longest line: a sequence may be one line, a chromosome's too.
const LONGEST_LINE: u64 = 1 << 32;
/// A sequence is of nucleotides when this share of its letters is A, C, G, T, U or N.
const NUCLEOTIDE_SHARE: f64 = 0.95;

/// A sequence, but for its letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its line without `>`.
    pub header: String,
    /// Number of letters.
    pub length: u64,
    /// How many of them are A, C, G, T, U or N.
    pub bases: u64,
}

impl Record {
    /// The first word of the header.
    pub fn id(&self) -> &str {
        self.header.split_whitespace().next().unwrap_or_default()
    }

    /// Is it DNA or RNA?
    pub fn is_nucleotide(&self) -> bool {
        self.length > 0 && self.bases as f64 >= NUCLEOTIDE_SHARE * self.length as f64
    }
}

/// Reads headers and lengths, without holding the sequences.
///
/// # Errors
/// [`Error::Io`]; [`Error::Parse`] for a file that does not begin with `>`, a header without an id or with one that is not UTF-8,
/// a character that is no letter of a sequence, and compressed data that end early.
pub fn read_fasta(path: &Path, ctx: &Context) -> Result<Vec<Record>> {
    walk(Lines::open(path, REMEDY, ctx)?, |_, _| Ok(()))
}

/// As [`read_fasta`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_fasta`].
pub fn parse_fasta(source: impl Read, path: &Path, ctx: &Context) -> Result<Vec<Record>> {
    walk(Lines::new(source, path, REMEDY, ctx)?, |_, _| Ok(()))
}

/// Goes through a file; `visit` gets the number of the sequence and a line of its letters.
fn walk(lines: Lines, mut visit: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<Vec<Record>> {
    let mut lines = lines.with_longest(LONGEST_LINE);
    let mut records: Vec<Record> = Vec::new();
    while lines.advance()? {
        let line = lines.line().trim_ascii();
        if let Some(header) = line.strip_prefix(b">") {
            let first = header.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            name(first, "an id").map_err(|found| lines.error(found))?;
            records.push(Record { header: String::from_utf8_lossy(header).into_owned(), ..Record::default() });
        } else if !line.is_empty() && !line.starts_with(b";") {
            let at = records.len();
            let Some(record) = records.last_mut() else {
                return Err(lines.error(format!("no `>` before \"{}\"", shown(line))));
            };
            if let Some(bad) = line.iter().find(|letter| !is_residue(**letter)) {
                return Err(lines.error(format!(
                    "the character {:?} in a sequence: \"{}\"",
                    char::from(*bad),
                    shown(line)
                )));
            }
            record.length += line.iter().filter(|letter| letter.is_ascii_alphabetic()).count() as u64;
            record.bases += line.iter().filter(|letter| b"ACGTUNacgtun".contains(letter)).count() as u64;
            visit(at - 1, line)?;
        }
    }
    Ok(records)
}

/// Letters, and the signs for a gap or a stop.
fn is_residue(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'*' | b'-' | b'.')
}

/// A file that is written.
struct Output<'a> {
    path: &'a Path,
    file: BufWriter<File>,
}

impl<'a> Output<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let file = File::create(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(Output { path, file: BufWriter::new(file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::Io { path: self.path.to_owned(), source })
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(|source| Error::Io { path: self.path.to_owned(), source })
    }
}

/// Writes the sequences in capital letters with their numbers (from 0) as ids, gaps left out and stops inside as X. Sequences
/// without letters are left out.
///
/// # Errors
/// As [`read_fasta`], and [`Error::Io`] when the file cannot be written.
pub fn number_sequences(path: &Path, to: &Path, ctx: &Context) -> Result<()> {
    let mut output = Output::create(to)?;
    let mut current = None;
    walk(Lines::open(path, REMEDY, ctx)?, |record, line| {
        let letters = line.iter().filter(|letter| **letter != b'-');
        let letters: Vec<u8> = letters.map(|letter| letter.to_ascii_uppercase()).collect();
        let letters: Vec<u8> = letters.into_iter().map(|l| if l.is_ascii_alphabetic() { l } else { b'X' }).collect();
        if letters.is_empty() {
            return Ok(());
        }
        if current != Some(record) {
            output.write(format!(">{record}\n").as_bytes())?;
            current = Some(record);
        }
        output.write(&letters)?;
        output.write(b"\n")
    })?;
    output.finish()
}

/// Writes a table of hits between numbered sequences again with their ids; returns the number of rows.
///
/// # Errors
/// [`Error::Io`]; [`Error::Parse`] for a row with fewer than 12 columns or a number without a sequence.
pub fn name_hits(table: &Path, to: &Path, queries: &[Record], targets: &[Record], ctx: &Context) -> Result<usize> {
    let remedy = "The search engine wrote something else than its table: report this with the version of the engine";
    let mut lines = Lines::open(table, remedy, ctx)?;
    let mut output = Output::create(to)?;
    let mut rows = 0;
    while lines.advance()? {
        let line = lines.line();
        let mut columns = line.splitn(3, |byte| *byte == b'\t');
        let mut id_among = |records: &'_ [Record]| {
            let number = std::str::from_utf8(columns.next()?).ok()?.parse::<usize>().ok()?;
            records.get(number).map(|record| record.id().to_owned())
        };
        let (query, target) = (id_among(queries), id_among(targets));
        let rest = columns.next().filter(|rest| rest.split(|byte| *byte == b'\t').count() >= 10);
        let (Some(query), Some(target), Some(rest)) = (query, target, rest) else {
            return Err(lines.error(format!("the row \"{}\"", shown(line))));
        };
        output.write(format!("{query}\t{target}\t").as_bytes())?;
        output.write(rest)?;
        output.write(b"\n")?;
        rows += 1;
    }
    output.finish()?;
    Ok(rows)
}

/// Writes the longest sequence of every gene under the gene's name; `genes`: per sequence, its gene or none. Of equally long ones
/// the first. Returns the number of genes.
///
/// # Errors
/// As [`read_fasta`]; [`Error::Shape`] when there is not one gene per sequence.
pub fn write_longest(path: &Path, to: &Path, genes: &[Option<&str>], ctx: &Context) -> Result<usize> {
    let records = read_fasta(path, ctx)?;
    if records.len() != genes.len() {
        let expected = format!("{} genes, one per sequence", records.len());
        return Err(Error::shape("writing the longest sequences", expected, genes.len().to_string()));
    }
    let mut longest: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (at, gene) in genes.iter().enumerate() {
        if let Some(gene) = gene {
            let best = longest.entry(gene).or_insert(at);
            if records[at].length > records[*best].length {
                *best = at;
            }
        }
    }
    let mut output = Output::create(to)?;
    let mut current = None;
    walk(Lines::open(path, REMEDY, ctx)?, |record, line| {
        let Some(gene) = genes[record].filter(|gene| longest.get(gene) == Some(&record)) else {
            return Ok(());
        };
        if current != Some(record) {
            output.write(format!(">{gene}\n").as_bytes())?;
            current = Some(record);
        }
        output.write(line)?;
        output.write(b"\n")
    })?;
    output.finish()?;
    Ok(longest.len())
}

#[cfg(test)]
mod tests;
