//! Tables of sequence hits. In: BLAST `-outfmt 6`, DIAMOND or MMseqs2 tables (at least 12 columns separated by tabs: query,
//! target, …, e-value 11th, bit score 12th), plain or gzipped whatever their name. Out: the best hit of each (query, target)
//! pair, and from the tables of both directions the reciprocal homology edges between two species.
//!
//! Of several rows for one pair (HSPs) the largest bit score counts; SAMap 3.0.1 keeps the last row.

use super::lines::{Lines, name, shown};
use crate::{Context, Result};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Columns of a table.
const COLUMNS: usize = 12;
/// What to do with a table that cannot be read.
const REMEDY: &str = "Write the table again with the 12 standard columns separated by tabs (BLAST+ -outfmt 6, the default of \
                      DIAMOND and MMseqs2); the file may have been cut off";

/// How hits are read.
#[derive(Debug, Clone, PartialEq)]
pub struct BlastOptions {
    /// Hits with a larger e-value are left out.
    pub max_evalue: f64,
}

impl Default for BlastOptions {
    fn default() -> Self {
        BlastOptions { max_evalue: 1e-6 }
    }
}

/// The best hit of a query in a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Index into [`BlastTable::queries`].
    pub query: u32,
    /// Index into [`BlastTable::targets`].
    pub target: u32,
    /// Bit score, above 0.
    pub score: f64,
}

/// Hits of the sequences of one species in those of another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BlastTable {
    /// Names of all queries, in the order of their code points; also of those with rejected rows only.
    pub queries: Vec<String>,
    /// Names of all targets, likewise.
    pub targets: Vec<String>,
    /// One hit per pair, by query, then target.
    pub hits: Vec<Hit>,
    /// Rows of the table.
    pub rows: usize,
    /// Rows left out: e-value too large, or a bit score of 0 or less.
    pub rejected: usize,
    /// Rows whose query and target have the same name: many of them say that a species was compared with itself.
    pub self_hits: usize,
}

/// Reads a table. Lines that are empty or start with `#`, and a line of column names at the top, are skipped. An empty
/// file is an empty table.
///
/// # Errors
/// [`Error::Io`] when the file cannot be opened or read; [`Error::Parse`] with the line when a row has too few columns, an
/// empty name or one that is not UTF-8, an e-value or bit score that is no number, or when compressed data end early.
pub fn read_blast(path: &Path, options: &BlastOptions, ctx: &Context) -> Result<BlastTable> {
    parse_lines(Lines::open(path, REMEDY, ctx)?, options, ctx)
}

/// As [`read_blast`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_blast`].
pub fn parse_blast(source: impl Read, path: &Path, options: &BlastOptions, ctx: &Context) -> Result<BlastTable> {
    parse_lines(Lines::new(source, path, REMEDY, ctx)?, options, ctx)
}

fn parse_lines(mut lines: Lines, options: &BlastOptions, ctx: &Context) -> Result<BlastTable> {
    let mut table = Builder::default();
    while lines.advance()? {
        if !lines.ended() {
            let path = lines.path().display();
            ctx.warn(format!("{path}: the last line has no end, so the table may have been cut off"));
        }
        if let Some(row) = parse(lines.line(), lines.number() == 1).map_err(|found| lines.error(found))? {
            table.add(row, options).map_err(|found| lines.error(found))?;
        }
    }
    Ok(table.finish())
}

/// The columns that matter.
struct Row<'a> {
    query: &'a str,
    target: &'a str,
    evalue: f64,
    score: f64,
}

/// A row; `None` for a line to skip; else what is wrong with it.
fn parse(line: &[u8], first: bool) -> std::result::Result<Option<Row<'_>>, String> {
    let line = line.trim_ascii_end();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let mut columns = [&line[..0]; COLUMNS];
    let mut count = 0;
    for (column, text) in columns.iter_mut().zip(line.split(|byte| *byte == b'\t')) {
        *column = text;
        count += 1;
    }
    if count < COLUMNS {
        return Err(format!("{count} columns instead of {COLUMNS}: \"{}\"", shown(line)));
    }
    if first && columns[10].eq_ignore_ascii_case(b"evalue") {
        return Ok(None);
    }
    let (query, target) = (name(columns[0], "a query name")?, name(columns[1], "a target name")?);
    let text = |at: usize| std::str::from_utf8(columns[at]).map_or("", str::trim);
    let evalue = text(10);
    // Old versions of BLAST write 1e-100 as e-100.
    let value = if evalue.starts_with('e') { format!("1{evalue}").parse() } else { evalue.parse::<f64>() };
    let evalue = value.ok().filter(|e| *e >= 0.0).ok_or_else(|| format!("the e-value \"{}\"", shown(columns[10])))?;
    let score = text(11).parse().ok().filter(|s: &f64| s.is_finite());
    let score = score.ok_or_else(|| format!("the bit score \"{}\"", shown(columns[11])))?;
    Ok(Some(Row { query, target, evalue, score }))
}

/// Names in the order in which they come.
#[derive(Default)]
struct Names {
    index: HashMap<String, u32>,
    last: Option<(String, u32)>,
}

impl Names {
    /// The number of a name. Rows of one query follow each other, so the last name is tried first.
    fn intern(&mut self, name: &str) -> std::result::Result<u32, String> {
        if let Some((last, index)) = &self.last
            && last == name
        {
            return Ok(*index);
        }
        let index = match self.index.get(name) {
            Some(&index) => index,
            None => {
                let next = u32::try_from(self.index.len()).map_err(|_| "more than 2³² names".to_owned())?;
                self.index.insert(name.to_owned(), next);
                next
            }
        };
        match &mut self.last {
            Some((last, at)) => {
                last.clear();
                last.push_str(name);
                *at = index;
            }
            None => self.last = Some((name.to_owned(), index)),
        }
        Ok(index)
    }

    /// The names in the order of their code points, and the new number of each.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut names: Vec<(String, u32)> = self.index.into_iter().collect();
        names.sort_unstable();
        let mut new = vec![0; names.len()];
        names.iter().enumerate().for_each(|(at, (_, old))| new[*old as usize] = at as u32);
        (names.into_iter().map(|(name, _)| name).collect(), new)
    }
}

#[derive(Default)]
struct Builder {
    queries: Names,
    targets: Names,
    table: BlastTable,
}

impl Builder {
    fn add(&mut self, row: Row, options: &BlastOptions) -> std::result::Result<(), String> {
        let (query, target) = (self.queries.intern(row.query)?, self.targets.intern(row.target)?);
        self.table.rows += 1;
        self.table.self_hits += usize::from(row.query == row.target);
        if row.evalue <= options.max_evalue && row.score > 0.0 {
            self.table.hits.push(Hit { query, target, score: row.score });
        } else {
            self.table.rejected += 1;
        }
        Ok(())
    }

    fn finish(self) -> BlastTable {
        let (queries, query) = self.queries.sorted();
        let (targets, target) = self.targets.sorted();
        let mut hits = self.table.hits;
        for hit in &mut hits {
            (hit.query, hit.target) = (query[hit.query as usize], target[hit.target as usize]);
        }
        hits.sort_unstable_by(|a, b| (a.query, a.target).cmp(&(b.query, b.target)).then(b.score.total_cmp(&a.score)));
        hits.dedup_by_key(|hit| (hit.query, hit.target));
        BlastTable { queries, targets, hits, ..self.table }
    }
}

/// Homology between two species, genes by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairEdges {
    /// Names of species a in either table, in the order of their code points.
    pub genes_a: Vec<String>,
    /// Names of species b, likewise.
    pub genes_b: Vec<String>,
    /// Gene of a, gene of b, weight; by gene of a, then gene of b.
    pub edges: Vec<(u32, u32, f64)>,
    /// Hits of a species in itself, which were ignored.
    pub within: usize,
}

/// The edges that both directions know: w = (score of b in a + score of a in b) / 2.
///
/// A target that is a query of the same table, but none of the other one, is a gene of the species that was searched with
/// (the database held both species, or the sequence itself): such hits are counted and ignored. Where the species share
/// names, a name does not say whose gene it is, and every target is taken for one of the other species.
pub fn reciprocal_edges(ab: &BlastTable, ba: &BlastTable) -> PairEdges {
    let (own_a, own_b) = (own_targets(ab, ba), own_targets(ba, ab));
    let genes_a = union(&ab.queries, ba.targets.iter().zip(&own_b).filter(|target| !target.1).map(|target| target.0));
    let genes_b = union(&ba.queries, ab.targets.iter().zip(&own_a).filter(|target| !target.1).map(|target| target.0));
    let there = renumbered(ab, &own_a, &genes_a, &genes_b);
    let back = renumbered(ba, &own_b, &genes_b, &genes_a);
    let within = ab.hits.len() + ba.hits.len() - there.len() - back.len();
    let mut back: Vec<_> = back.into_iter().map(|(b, a, score)| (a, b, score)).collect();
    back.sort_unstable_by_key(|&(a, b, _)| (a, b));
    let mut edges = Vec::new();
    let mut other = back.iter().peekable();
    for (a, b, score) in there {
        while other.next_if(|hit| (hit.0, hit.1) < (a, b)).is_some() {}
        if let Some(hit) = other.next_if(|hit| (hit.0, hit.1) == (a, b)) {
            edges.push((a, b, (score + hit.2) / 2.0));
        }
    }
    PairEdges { genes_a, genes_b, edges, within }
}

/// Which targets of a table are genes of the species that was searched with.
fn own_targets(table: &BlastTable, other: &BlastTable) -> Vec<bool> {
    let among = |names: &[String], name| names.binary_search(name).is_ok();
    if table.queries.iter().any(|name| among(&other.queries, name)) {
        return vec![false; table.targets.len()];
    }
    table.targets.iter().map(|name| among(&table.queries, name) && !among(&other.queries, name)).collect()
}

/// Names of either list, each once, in the order of their code points.
fn union<'a>(these: &'a [String], those: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<&String> = these.iter().chain(those).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().cloned().collect()
}

/// Where the names of a sorted list are in a sorted list that holds those of interest.
fn places(names: &[String], all: &[String]) -> Vec<u32> {
    names.iter().map(|name| all.partition_point(|other| other < name) as u32).collect()
}

/// Hits of a table, but for those in its own species, with the numbers that its names have in longer lists; the order stays.
fn renumbered(table: &BlastTable, own: &[bool], queries: &[String], targets: &[String]) -> Vec<(u32, u32, f64)> {
    let (query, target) = (places(&table.queries, queries), places(&table.targets, targets));
    let foreign = table.hits.iter().filter(|hit| !own[hit.target as usize]);
    foreign.map(|hit| (query[hit.query as usize], target[hit.target as usize], hit.score)).collect()
}

#[cfg(test)]
mod tests;
