//! Gene sets from files. In: a GAF file (GO annotations, version 1 or 2: at least 15 columns separated by tabs), or a GMT file (a set
//! per line: name, description, genes, separated by tabs), plain or gzipped. Out: pairs of gene and term, each once.
//!
//! Formats: <https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/>,
//! <https://software.broadinstitute.org/cancer/software/gsea/wiki/index.php/Data_formats>.

use super::lines::{Lines, name, shown};
use crate::{Context, Result};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Least number of columns of a GAF file.
const COLUMNS: usize = 15;
/// Longest line of a GMT file in bytes: a set may have all genes of a species.
const LONGEST_SET: u64 = 1 << 24;
const GAF_REMEDY: &str = "Give a GAF file as the GO consortium distributes it; the file may have been cut off";
const GMT_REMEDY: &str = "A line of a GMT file is a name, a description and genes, separated by tabs";

/// What names the genes of a GAF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GeneId {
    /// The symbol, column 3.
    #[default]
    Symbol,
    /// The id in the database, column 2.
    Accession,
}

/// Which annotations of a GAF file count. Those that are negated (`NOT`) never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GafOptions {
    /// What names the genes.
    pub id: GeneId,
    /// Aspects of GO, column 9: P, F, C.
    pub aspects: Vec<String>,
    /// Evidence codes, column 7, that are left out.
    pub exclude_evidence: Vec<String>,
}

impl Default for GafOptions {
    fn default() -> Self {
        let aspects = ["P", "F", "C"].map(str::to_owned).to_vec();
        GafOptions { id: GeneId::default(), aspects, exclude_evidence: vec!["ND".to_owned()] }
    }
}

/// Pairs of gene and term.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GeneSetTable {
    /// Names of the genes, in order of appearance.
    pub genes: Vec<String>,
    /// Names of the terms, in order of appearance.
    pub terms: Vec<String>,
    /// Positions of gene and term, ascending, each pair once.
    pub pairs: Vec<(u32, u32)>,
}

/// Reads a GAF file. Lines that are empty or start with `!` are skipped.
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::Parse`] with the line when it has too few columns, or an empty gene or term.
pub fn read_gaf(path: &Path, options: &GafOptions, ctx: &Context) -> Result<GeneSetTable> {
    parse_gaf(Lines::open(path, GAF_REMEDY, ctx)?, options)
}

/// Reads a GMT file. Empty lines are skipped; a set without genes has none.
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::Parse`] with the line when it has no description, or an empty name.
pub fn read_gmt(path: &Path, ctx: &Context) -> Result<GeneSetTable> {
    parse_gmt(Lines::open(path, GMT_REMEDY, ctx)?)
}

/// As [`read_gaf`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_gaf`].
pub fn gaf_from(source: impl Read, path: &Path, options: &GafOptions, ctx: &Context) -> Result<GeneSetTable> {
    parse_gaf(Lines::new(source, path, GAF_REMEDY, ctx)?, options)
}

/// As [`read_gmt`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_gmt`].
pub fn gmt_from(source: impl Read, path: &Path, ctx: &Context) -> Result<GeneSetTable> {
    parse_gmt(Lines::new(source, path, GMT_REMEDY, ctx)?)
}

fn parse_gaf(mut lines: Lines, options: &GafOptions) -> Result<GeneSetTable> {
    let mut table = Builder::default();
    while lines.advance()? {
        if lines.line().is_empty() || lines.line().starts_with(b"!") {
            continue;
        }
        let columns: Vec<&[u8]> = lines.line().split(|byte| *byte == b'\t').collect();
        if columns.len() < COLUMNS {
            let found = format!("{} columns instead of {COLUMNS}: \"{}\"", columns.len(), shown(lines.line()));
            return Err(lines.error(found));
        }
        let is = |column: usize, values: &[String]| values.iter().any(|value| value.as_bytes() == columns[column]);
        let negated = columns[3].split(|byte| *byte == b'|').any(|qualifier| qualifier == b"NOT");
        if negated || !is(8, &options.aspects) || is(6, &options.exclude_evidence) {
            continue;
        }
        let gene = match options.id {
            GeneId::Symbol => columns[2],
            GeneId::Accession => columns[1],
        };
        let gene = name(gene, "a gene").map_err(|found| lines.error(found))?;
        let term = name(columns[4], "a term").map_err(|found| lines.error(found))?;
        table.add(gene, term);
    }
    Ok(table.finish())
}

fn parse_gmt(lines: Lines) -> Result<GeneSetTable> {
    let mut lines = lines.with_longest(LONGEST_SET);
    let mut table = Builder::default();
    while lines.advance()? {
        if lines.line().is_empty() {
            continue;
        }
        let mut columns = lines.line().split(|byte| *byte == b'\t');
        let term = name(columns.next().unwrap_or_default(), "a name of a set").map_err(|found| lines.error(found))?;
        if columns.next().is_none() {
            return Err(lines.error(format!("no description and no genes: \"{}\"", shown(lines.line()))));
        }
        // Some writers pad the lines of small sets.
        for gene in columns.filter(|gene| !gene.trim_ascii().is_empty()) {
            table.add(name(gene, "a gene").map_err(|found| lines.error(found))?, term);
        }
    }
    Ok(table.finish())
}

/// Names in order of appearance.
#[derive(Default)]
struct Names {
    places: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let place = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }
}

#[derive(Default)]
struct Builder {
    genes: Names,
    terms: Names,
    pairs: Vec<(u32, u32)>,
}

impl Builder {
    fn add(&mut self, gene: &str, term: &str) {
        self.pairs.push((self.genes.place(gene), self.terms.place(term)));
    }

    fn finish(mut self) -> GeneSetTable {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        GeneSetTable { genes: self.genes.names, terms: self.terms.names, pairs: self.pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn row(id: &str, symbol: &str, qualifier: &str, term: &str, evidence: &str, aspect: &str) -> String {
        format!(
            "DB\t{id}\t{symbol}\t{qualifier}\t{term}\tref\t{evidence}\t\t{aspect}\tname\t\tprotein\ttaxon:1\t2020\tDB\t\t\n"
        )
    }

    fn gaf(text: &str, options: &GafOptions) -> Result<GeneSetTable> {
        gaf_from(text.as_bytes(), Path::new("a.gaf"), options, &Context::default())
    }

    fn named(table: &GeneSetTable) -> Vec<(&str, &str)> {
        table.pairs.iter().map(|&(g, t)| (&*table.genes[g as usize], &*table.terms[t as usize])).collect()
    }

    #[test]
    fn annotations_that_count() {
        let text = "!gaf-version: 2.2\n".to_owned()
            + &row("P1", "INS", "enables", "GO:2", "IDA", "F")
            + &row("P1", "INS", "involved_in", "GO:1", "IEA", "P")
            + &row("P1", "INS", "involved_in", "GO:1", "IDA", "P")
            + &row("P2", "GCG", "NOT|involved_in", "GO:1", "IDA", "P")
            + &row("P2", "GCG", "involved_in", "GO:3", "ND", "P")
            + "\r\n"
            + &row("P3", "SST", "located_in", "GO:4", "IDA", "C").replace('\n', "\r\n");
        let all = gaf(&text, &GafOptions::default()).unwrap();
        assert_eq!(named(&all), [("INS", "GO:2"), ("INS", "GO:1"), ("SST", "GO:4")]);
        let options = GafOptions {
            id: GeneId::Accession,
            aspects: vec!["P".to_owned()],
            exclude_evidence: vec!["IEA".to_owned()],
        };
        assert_eq!(named(&gaf(&text, &options).unwrap()), [("P1", "GO:1"), ("P2", "GO:3")]);
    }

    #[test]
    fn lines_that_are_no_annotations_are_named() {
        let good = row("P1", "INS", "", "GO:1", "IDA", "P");
        for (line, found) in
            [("a\tb\n", "2 columns"), (&*row("P1", "", "", "GO:1", "IDA", "P"), "a gene that is empty")]
        {
            match gaf(&format!("{good}{line}"), &GafOptions::default()) {
                Err(Error::Parse { line: 2, found: text, .. }) => assert!(text.contains(found), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(gaf("", &GafOptions::default()).unwrap(), GeneSetTable::default());
    }

    #[test]
    fn sets_by_line_plain_and_gzipped() {
        let text = "one\tfirst\tA\tB\t\t\n\ntwo\t\tB\tB\tC\nnone\tempty\n";
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        for bytes in [text.as_bytes(), &packed] {
            let table = gmt_from(bytes, Path::new("a.gmt"), &Context::default()).unwrap();
            assert_eq!(named(&table), [("A", "one"), ("B", "one"), ("B", "two"), ("C", "two")]);
        }
        let cut = gmt_from(&packed[..packed.len() - 9], Path::new("a.gmt"), &Context::default());
        assert!(matches!(cut, Err(Error::Parse { .. })));
        let bad = gmt_from(&b"one\tx\tA\nalone\n"[..], Path::new("a.gmt"), &Context::default());
        assert!(matches!(bad, Err(Error::Parse { line: 2, .. })));
        let absent = read_gmt(Path::new("no/such.gmt"), &Context::default());
        assert!(matches!(absent, Err(Error::Io { .. })));
    }
}
