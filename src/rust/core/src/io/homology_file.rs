//! A homology in one file. In and out: species, the names of their genes, weighted edges, and the row-maximum filter that was applied.
//!
//! The file is gzipped text, so that its checksum tells when it was damaged, and anything can read it:
//!
//! ```text
//! samap-homology  1                  format and its version
//! filter          0.25               share of the row-maximum filter, 0 for none
//! species         2   human          number of genes and the id of a species, then one gene per line
//! GCG
//! INS
//! species         1   mouse
//! Ins2
//! edges           1                  number of edges, then gene, gene, weight; genes of all species are counted from 0
//! 1               2   210.5
//! end
//! ```

use super::lines::Lines;
use crate::{Context, Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::str::FromStr;

/// First word of a file.
const FORMAT: &str = "samap-homology";
/// Version of the format that is written, and the newest that is read.
const VERSION: u32 = 1;
/// What to do with a file that cannot be read.
const REMEDY: &str = "The file is damaged or was not made by save_homology(): make it again";
/// Entries that are allocated before they are read: numbers in a damaged file are not to be trusted.
const TRUSTED: usize = 1 << 16;

/// A homology as it is stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredHomology {
    /// Ids of the species.
    pub species: Vec<String>,
    /// Names of the genes of each species.
    pub genes: Vec<Vec<String>>,
    /// Gene, gene, weight; genes of all species are counted one species after the other.
    pub edges: Vec<(u32, u32, f64)>,
    /// Share of the row-maximum filter that was applied.
    pub filter: f64,
}

/// Writes a homology; the file appears when it is complete.
///
/// # Errors
/// [`Error::Io`]; [`Error::Argument`] for a name with a line break.
pub fn write_homology(homology: &StoredHomology, path: &Path) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let names = homology.species.iter().chain(homology.genes.iter().flatten());
    if let Some(name) = names.clone().find(|name| name.is_empty() || name.contains(['\n', '\r'])) {
        let found = format!("the name {name:?}");
        return Err(Error::argument("homology", found, "Names must not be empty or have line breaks."));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let file = File::create(&part).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut out = GzEncoder::new(BufWriter::new(file), Compression::default());
    write_text(homology, &mut out).map_err(io)?;
    out.finish().and_then(|mut file| file.flush()).map_err(io)?;
    std::fs::rename(&part, path).map_err(io)
}

fn write_text(homology: &StoredHomology, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{FORMAT}\t{VERSION}\nfilter\t{}", homology.filter)?;
    for (species, genes) in homology.species.iter().zip(&homology.genes) {
        writeln!(out, "species\t{}\t{species}", genes.len())?;
        for gene in genes {
            writeln!(out, "{gene}")?;
        }
    }
    writeln!(out, "edges\t{}", homology.edges.len())?;
    for (a, b, weight) in &homology.edges {
        writeln!(out, "{a}\t{b}\t{weight}")?;
    }
    writeln!(out, "end")
}

/// Reads what [`write_homology`] wrote.
///
/// # Errors
/// [`Error::Io`]; [`Error::Parse`] for anything else than a complete, undamaged file of a version that is known.
pub fn read_homology(path: &Path, ctx: &Context) -> Result<StoredHomology> {
    parse_lines(Lines::open(path, REMEDY, ctx)?)
}

/// As [`read_homology`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_homology`].
pub fn parse_homology(source: impl Read, path: &Path, ctx: &Context) -> Result<StoredHomology> {
    parse_lines(Lines::new(source, path, REMEDY, ctx)?)
}

fn parse_lines(mut lines: Lines) -> Result<StoredHomology> {
    let version: u32 = entry(&mut lines, FORMAT)?.0;
    if version == 0 || version > VERSION {
        return Err(lines.error(format!("version {version} of the format; this is samap for versions up to {VERSION}")));
    }
    let filter: f64 = entry(&mut lines, "filter")?.0;
    if !(0.0..=1.0).contains(&filter) {
        return Err(lines.error(format!("the filter {filter}")));
    }
    let mut out = StoredHomology { filter, ..StoredHomology::default() };
    let mut n_genes = 0;
    let n_edges = loop {
        let text = next(&mut lines)?;
        if let Some(edges) = value::<usize>(&text, "edges") {
            break edges.0;
        }
        let Some((n, species)) = value::<usize>(&text, "species").filter(|(_, species)| !species.is_empty()) else {
            return Err(lines.error("neither a species nor edges"));
        };
        let mut genes = Vec::with_capacity(n.min(TRUSTED));
        for _ in 0..n {
            genes.push(next(&mut lines)?);
        }
        n_genes += n;
        out.species.push(species.to_owned());
        out.genes.push(genes);
    };
    out.edges.reserve(n_edges.min(TRUSTED));
    for _ in 0..n_edges {
        out.edges.push(edge(&mut lines, n_genes)?);
    }
    if next(&mut lines)? != "end" || lines.advance()? {
        return Err(lines.error("more than the edges it announced"));
    }
    Ok(out)
}

/// The next line.
fn next(lines: &mut Lines) -> Result<String> {
    if !lines.advance()? {
        return Err(lines.error("an early end"));
    }
    match std::str::from_utf8(lines.line()) {
        Ok("") => Err(lines.error("an empty line")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(lines.error("text that is not UTF-8")),
    }
}

/// The line `key value`, and what follows.
fn entry<T: FromStr>(lines: &mut Lines, key: &str) -> Result<(T, String)> {
    let text = next(lines)?;
    match value(&text, key) {
        Some((value, rest)) => Ok((value, rest.to_owned())),
        None => Err(lines.error(format!("not a line `{key}`"))),
    }
}

fn value<'a, T: FromStr>(text: &'a str, key: &str) -> Option<(T, &'a str)> {
    let rest = text.strip_prefix(key)?.strip_prefix('\t')?;
    let (value, rest) = rest.split_once('\t').unwrap_or((rest, ""));
    Some((value.parse().ok()?, rest))
}

fn edge(lines: &mut Lines, n_genes: usize) -> Result<(u32, u32, f64)> {
    let text = next(lines)?;
    let mut parts = text.split('\t');
    let mut gene = || parts.next()?.parse::<u32>().ok().filter(|&gene| (gene as usize) < n_genes);
    let (a, b) = (gene(), gene());
    let weight = parts.next().and_then(|weight| weight.parse::<f64>().ok()).filter(|w| w.is_finite() && *w > 0.0);
    match (a, b, weight, parts.next()) {
        (Some(a), Some(b), Some(weight), None) if a != b => Ok((a, b, weight)),
        _ => Err(lines.error("an edge that is not two genes and a positive weight")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> StoredHomology {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        StoredHomology {
            species: owned(&["human", "z_f"]),
            genes: vec![owned(&["GCG", " a\tb", "é"]), owned(&["GCG"])],
            edges: vec![(0, 3, 210.5), (2, 3, 1.0 / 3.0)],
            filter: 0.25,
        }
    }

    fn bytes() -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("samap homology {:?}.gz", std::thread::current().id()));
        write_homology(&example(), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<StoredHomology> {
        parse_homology(bytes, Path::new("x"), &Context::default())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&bytes()).unwrap(), example());
    }

    #[test]
    fn damaged_files_are_errors() {
        let good = bytes();
        for cut in 0..good.len() {
            assert!(matches!(read(&good[..cut]), Err(Error::Parse { .. })), "{cut}");
        }
        let mut rng = crate::rng::Rng::keyed(5, 0, 0);
        for _ in 0..1000 {
            let mut bad = good.clone();
            let at = 10 + rng.below(bad.len() - 10);
            bad[at] ^= 1 << rng.below(8);
            // The checksum of gzip knows every flipped bit; those that only fill up the last byte say nothing.
            assert!(matches!(read(&bad), Err(Error::Parse { .. })) || read(&bad).unwrap() == example(), "byte {at}");
        }
    }

    #[test]
    fn files_that_lie_are_errors() {
        let text = "samap-homology\t1\nfilter\t0\nspecies\t1\ta\nx\nspecies\t1\tb\ny\nedges\t1\n0\t1\t2\nend\n";
        assert_eq!(read(text.as_bytes()).unwrap().edges, [(0, 1, 2.0)]);
        for (from, to, message) in [
            ("\t1\nfilter", "\t2\nfilter", "version 2"),
            ("filter\t0", "filter\tNaN", "the filter"),
            ("0\t1\t2", "0\t2\t2", "an edge that"),
            ("0\t1\t2", "0\t1\t-2", "an edge that"),
            ("edges\t1", "edges\t18446744073709551615", "an edge that"),
            ("species\t1\tb", "species\t99999999\tb", "an early end"),
            ("end\n", "end\nmore\n", "more than"),
            ("samap", "x", "not a line `samap-homology`"),
        ] {
            match read(text.replace(from, to).as_bytes()) {
                Err(Error::Parse { found, .. }) => assert!(found.contains(message), "{found}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        let bad = StoredHomology { species: vec!["a\nb".to_owned()], genes: vec![vec![]], ..StoredHomology::default() };
        assert!(matches!(write_homology(&bad, Path::new("x")), Err(Error::Argument { .. })));
    }
}
