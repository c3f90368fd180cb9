//! Text files line by line, plain or gzipped whatever their name. In: a path or any source. Out: lines as bytes, without their
//! end, and errors that say in which line of which file.

use crate::{Context, Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Size of the read buffer in bytes.
const BUFFER: usize = 1 << 20;
/// Lines between two looks at the cancel flag.
const LINES_PER_CHECK: usize = 1 << 16;
/// Longest line of a table: longer ones are no rows.
pub const LONGEST_ROW: u64 = 1 << 20;

/// A file that is read line by line.
pub struct Lines<'a> {
    reader: Box<dyn BufRead + 'a>,
    path: PathBuf,
    remedy: &'static str,
    ctx: &'a Context,
    longest: u64,
    line: Vec<u8>,
    number: usize,
    ended: bool,
}

impl<'a> Lines<'a> {
    /// Opens a file. `remedy`: what messages advise, a sentence without its full stop.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened or read.
    pub fn open(path: &Path, remedy: &'static str, ctx: &'a Context) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::new(file, path, remedy, ctx)
    }

    /// As [`Lines::open`], from any source; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn new(source: impl Read + 'a, path: &Path, remedy: &'static str, ctx: &'a Context) -> Result<Self> {
        let mut source = BufReader::with_capacity(BUFFER, source);
        let start = source.fill_buf().map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let reader: Box<dyn BufRead + 'a> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        };
        let (line, path) = (Vec::new(), path.to_owned());
        Ok(Lines { reader, path, remedy, ctx, longest: LONGEST_ROW, line, number: 0, ended: true })
    }

    /// The same with another limit for the length of a line, in bytes.
    pub fn with_longest(self, longest: u64) -> Self {
        Lines { longest, ..self }
    }

    /// Reads the next line; false at the end of the file.
    ///
    /// # Errors
    /// [`Error::Parse`] for a line longer than the limit and for compressed data that are broken or end early;
    /// [`Error::Io`]; [`Error::Cancelled`].
    pub fn advance(&mut self) -> Result<bool> {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if self.number.is_multiple_of(LINES_PER_CHECK) {
            self.ctx.check()?;
        }
        self.number += 1;
        self.line.clear();
        match self.reader.by_ref().take(self.longest).read_until(b'\n', &mut self.line) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                return Err(self.error(format!("compressed data that are broken or end early ({error})")));
            }
            Err(source) => return Err(Error::Io { path: self.path.clone(), source }),
        }
        self.ended = self.line.pop_if(|byte| *byte == b'\n').is_some();
        if !self.ended && self.line.len() as u64 == self.longest {
            return Err(self.error(format!("a line of more than {} bytes", self.longest)));
        }
        self.line.pop_if(|byte| *byte == b'\r');
        Ok(true)
    }

    /// The line that was read last.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Its number, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Did it end with a line break? The last line of a file that was cut off does not.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line that was read last cannot be used.
    pub fn error(&self, found: impl Into<String>) -> Error {
        let remedy = format!("{}.", self.remedy);
        Error::Parse { path: self.path.clone(), line: self.number, found: found.into(), remedy }
    }
}

/// The beginning of a text, for a message.
pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(60).collect()
}

/// A name: UTF-8, not empty, without white space around it. `what`: what messages call it, with its article.
pub fn name<'a>(text: &'a [u8], what: &str) -> std::result::Result<&'a str, String> {
    match std::str::from_utf8(text).map(str::trim) {
        Ok("") => Err(format!("{what} that is empty")),
        Ok(name) => Ok(name),
        Err(_) => Err(format!("{what} that is not UTF-8: \"{}\"", shown(text))),
    }
}
