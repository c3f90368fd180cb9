//! Tables of eggNOG-mapper. In: `*.emapper.annotations` of version 1 or 2 (columns separated by tabs, the gene first, orthologous
//! groups as `OG@taxon` or `OG@taxon|name`, separated by commas), plain or gzipped. Out: the groups of every gene at one
//! taxonomic level.
//!
//! The column of the groups is found by its name (`eggNOG_OGs`, `eggNOG OGs`, `OGs`) in the line `#query…`; without such a name
//! (version 2.0 names the first 17 of its 22 columns only) it is the first column that holds an `@` with something on both
//! sides.

use super::lines::{Lines, name, shown};
use crate::{Context, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

/// What to do with a table that cannot be read.
const REMEDY: &str = "Give the file *.emapper.annotations as eggNOG-mapper writes it: columns separated by tabs, the gene first, \
                      and a column of groups such as KOG0331@2759|Eukaryota";

/// Names of the column of the groups, in lower case, with `_` for blanks.
const COLUMN_NAMES: [&str; 2] = ["eggnog_ogs", "ogs"];

/// Genes of a species and the groups they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupTable {
    /// All genes of the table, in the order of their code points; also those without a group.
    pub genes: Vec<String>,
    /// Names of the groups, likewise.
    pub groups: Vec<String>,
    /// Gene and group, as indices; each pair once, ascending.
    pub members: Vec<(u32, u32)>,
    /// Taxonomic levels of the table as they are written (`2759|Eukaryota`), with the number of rows that have them.
    pub levels: Vec<(String, usize)>,
}

/// Reads a table. `taxon`: the level, by number (`2759`) or name (`Eukaryota`, `euNOG`; in any case).
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::Parse`] when a row has no gene or too few columns, when no row has a group at any level
/// although there are rows, and when compressed data end early.
pub fn read_eggnog(path: &Path, taxon: &str, ctx: &Context) -> Result<GroupTable> {
    parse_lines(Lines::open(path, REMEDY, ctx)?, taxon)
}

/// As [`read_eggnog`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_eggnog`].
pub fn parse_eggnog(source: impl Read, path: &Path, taxon: &str, ctx: &Context) -> Result<GroupTable> {
    parse_lines(Lines::new(source, path, REMEDY, ctx)?, taxon)
}

fn parse_lines(mut lines: Lines, taxon: &str) -> Result<GroupTable> {
    let mut column = None;
    let mut genes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut levels: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = 0;
    while lines.advance()? {
        // Not the tabs: the last columns of a row may be empty.
        let line = without_end(lines.line());
        if line.starts_with(b"#") {
            column = column.or_else(|| named_column(line));
        } else if !line.trim_ascii().is_empty() {
            rows += 1;
            let row = parse_row(line, &mut column).map_err(|found| lines.error(found))?;
            let groups = genes.entry(row.gene.to_owned()).or_default();
            for token in row.tokens {
                let level = format!("{}{}{}", token.taxon, if token.name.is_empty() { "" } else { "|" }, token.name);
                *levels.entry(level).or_default() += 1;
                if token.is_at(taxon) {
                    groups.insert(token.group.to_owned());
                }
            }
        }
    }
    if rows > 0 && levels.is_empty() {
        return Err(lines.error(format!("no column with groups such as KOG0331@2759 in {rows} rows")));
    }
    Ok(GroupTable { levels: by_number(levels), ..GroupTable::new(genes) })
}

/// A line without its end, which may be that of Windows.
fn without_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &line[..end]
}

/// Levels, those of most rows first.
fn by_number(levels: BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut levels: Vec<_> = levels.into_iter().collect();
    levels.sort_by(|x, y| y.1.cmp(&x.1).then_with(|| x.0.cmp(&y.0)));
    levels
}

/// A group of a row.
struct Token<'a> {
    group: &'a str,
    taxon: &'a str,
    name: &'a str,
}

impl<'a> Token<'a> {
    /// `OG@taxon` or `OG@taxon|name`; `None` for anything else.
    fn of(text: &'a str) -> Option<Self> {
        let (group, level) = text.trim().split_once('@')?;
        let (taxon, name) = level.split_once('|').unwrap_or((level, ""));
        (!group.is_empty() && !taxon.is_empty()).then_some(Token { group, taxon, name })
    }

    fn is_at(&self, taxon: &str) -> bool {
        self.taxon.eq_ignore_ascii_case(taxon) || self.name.eq_ignore_ascii_case(taxon)
    }
}

struct Row<'a> {
    gene: &'a str,
    tokens: Vec<Token<'a>>,
}

/// The column of the groups, by the names in a line of comments.
fn named_column(line: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(line);
    let of_names = text.trim_start_matches(['#', ' ']).to_ascii_lowercase().replace(' ', "_");
    let columns: Vec<&str> = of_names.split('\t').collect();
    COLUMN_NAMES.iter().find_map(|wanted| columns.iter().position(|column| column == wanted))
}

fn parse_row<'a>(line: &'a [u8], column: &mut Option<usize>) -> std::result::Result<Row<'a>, String> {
    let mut cells = line.split(|byte| *byte == b'\t');
    let gene = name(cells.next().unwrap_or_default(), "a gene name")?;
    let texts: Vec<&str> = cells.map(|cell| std::str::from_utf8(cell).unwrap_or_default()).collect();
    let tokens = |text: &'a str| text.split(',').filter_map(Token::of).collect::<Vec<_>>();
    if texts.is_empty() {
        return Err(format!("one column only: \"{}\"", shown(line)));
    }
    let Some(at) = *column else {
        // Rows without a group say nothing about the column.
        let first = texts.iter().position(|text| !tokens(text).is_empty());
        *column = first.map(|at| at + 1);
        return Ok(Row { gene, tokens: first.map_or(Vec::new(), |at| tokens(texts[at])) });
    };
    let cell = at.checked_sub(1).and_then(|at| texts.get(at)).ok_or_else(|| {
        format!("{} columns, but the groups should be in column {}: \"{}\"", texts.len() + 1, at + 1, shown(line))
    })?;
    Ok(Row { gene, tokens: tokens(cell) })
}

impl GroupTable {
    /// The table of genes with their groups.
    fn new(genes: BTreeMap<String, BTreeSet<String>>) -> Self {
        let groups: BTreeSet<&String> = genes.values().flatten().collect();
        let number: HashMap<&String, u32> = groups.iter().zip(0..).map(|(group, at)| (*group, at)).collect();
        let of_gene = genes.values().zip(0..);
        let members = of_gene.flat_map(|(own, gene)| own.iter().map(move |group| (gene, group)));
        let members = members.filter_map(|(gene, group)| Some((gene, *number.get(group)?))).collect();
        let groups = groups.into_iter().cloned().collect();
        GroupTable { genes: genes.into_keys().collect(), groups, members, levels: Vec::new() }
    }

    /// The table of several files of one species.
    pub fn joined(tables: &[GroupTable]) -> Self {
        let mut genes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut levels: BTreeMap<String, usize> = BTreeMap::new();
        for table in tables {
            table.genes.iter().for_each(|gene| {
                genes.entry(gene.clone()).or_default();
            });
            for &(gene, group) in &table.members {
                let own = genes.entry(table.genes[gene as usize].clone()).or_default();
                own.insert(table.groups[group as usize].clone());
            }
            for (level, rows) in &table.levels {
                *levels.entry(level.clone()).or_default() += rows;
            }
        }
        GroupTable { levels: by_number(levels), ..GroupTable::new(genes) }
    }

    /// The table with other names of genes: `names` maps the names that change. Genes that get the same name are one, with the
    /// groups of all of them.
    pub fn renamed(&self, names: &HashMap<String, String>) -> Self {
        let new_name = |gene: &String| names.get(gene).unwrap_or(gene).clone();
        let mut genes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for gene in &self.genes {
            genes.entry(new_name(gene)).or_default();
        }
        for &(gene, group) in &self.members {
            let own = genes.entry(new_name(&self.genes[gene as usize])).or_default();
            own.insert(self.groups[group as usize].clone());
        }
        GroupTable { levels: self.levels.clone(), ..GroupTable::new(genes) }
    }
}

#[cfg(test)]
mod tests;
