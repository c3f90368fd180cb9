//! Names of genes in different forms. In: the genes of an atlas, and names that should be the same genes (of a homology, or the
//! headers of a FASTA file). Out: every transformation that was tried, how many genes it matches, and the best one.
//!
//! A transformation is a composition. On the names: take a part (first word, field between `|`, `gene=…`), then look up its gene
//! in an annotation. On the genes of the atlas: take a part (first word, field between `|`). Then on both sides: drop a prefix of
//! all names, drop the version suffix, write `-` for `_`, ignore case.
//! Parts that are the same as another's and steps that change nothing are not tried, which leaves few of the products.

use super::annotation::Annotation;
use crate::{Context, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Keys of fields in the headers of FASTA files (`key=value` or `key:value`), in the order in which they are tried: Ensembl, NCBI,
/// UniProt, FlyBase and WormBase, Phytozome.
const KEYS: [&str; 11] =
    ["gene_symbol", "gene_name", "gene", "gene_id", "GN", "GeneID", "symbol", "locus_tag", "locus", "parent", "name"];
/// Share of the names that must begin with a prefix for it to be one of all names.
const PREFIX_SHARE: f64 = 0.9;
/// A simpler transformation is preferred when it matches this share of what the best one matches.
const AS_GOOD: f64 = 0.99;

/// The part of a name that may be the gene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    FirstWord,
    /// The n-th of the fields of the first word that are separated by `|`.
    Pipe(usize),
    LastPipe,
    Field(&'static str),
}

/// Parts of the genes of an atlas.
const SIMPLE: [Part; 5] = [Part::Whole, Part::FirstWord, Part::Pipe(0), Part::Pipe(1), Part::LastPipe];

impl Part {
    /// Parts of names of any origin.
    fn all() -> Vec<Part> {
        SIMPLE.into_iter().chain(KEYS.map(Part::Field)).collect()
    }

    fn of(self, name: &str) -> Option<&str> {
        let word = name.split_whitespace().next().unwrap_or_default();
        let part = match self {
            Part::Whole => Some(name),
            Part::FirstWord => Some(word),
            Part::Pipe(at) => word.split('|').nth(at).filter(|_| word.contains('|')),
            Part::LastPipe => word.rsplit('|').next().filter(|_| word.contains('|')),
            Part::Field(key) => field(name, key),
        };
        part.filter(|part| !part.is_empty())
    }

    fn description(self) -> Option<String> {
        match self {
            Part::Whole => None,
            Part::FirstWord => Some("taking the first word".to_owned()),
            Part::Pipe(at) => Some(format!("taking field {} between `|`", at + 1)),
            Part::LastPipe => Some("taking the last field between `|`".to_owned()),
            Part::Field(key) => Some(format!("taking the field `{key}`")),
        }
    }
}

/// The value of `key=value` or `key:value`, up to white space or one of `];,|`. The key begins a word.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.match_indices(key).find_map(|(at, _)| {
        let begins = text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "[;|,(=".contains(c));
        let value = text[at + key.len()..].strip_prefix(['=', ':'])?;
        let end = value.find(|c: char| c.is_whitespace() || "];,|".contains(c)).unwrap_or(value.len());
        (begins && end > 0).then(|| value[..end].trim_matches('"'))
    })
}

/// Steps that are taken on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Steps {
    prefix: bool,
    version: bool,
    dash: bool,
    case: bool,
}

impl Steps {
    fn all() -> impl Iterator<Item = Steps> {
        let bit = |n: u8, at: u8| n >> at & 1 == 1;
        (0..16).map(move |n| Steps { version: bit(n, 0), case: bit(n, 1), dash: bit(n, 2), prefix: bit(n, 3) })
    }

    fn apply<'a>(self, name: &'a str, prefix: &str) -> Cow<'a, str> {
        let name = if self.prefix { name.strip_prefix(prefix).unwrap_or(name) } else { name };
        let mut name = Cow::Borrowed(if self.version { without_version(name) } else { name });
        if self.dash && name.contains('_') {
            name = Cow::Owned(name.replace('_', "-"));
        }
        if self.case {
            name = Cow::Owned(name.to_lowercase());
        }
        name
    }

    fn descriptions(self, genes: &str, names: &str) -> Vec<String> {
        let prefixes: Vec<String> = [genes, names]
            .into_iter()
            .filter(|prefix| !prefix.is_empty())
            .map(|prefix| format!("`{prefix}`"))
            .collect();
        let steps = [
            (self.prefix, format!("dropping the prefix {}", prefixes.join(" and "))),
            (self.version, "dropping the version suffix (`.1`)".to_owned()),
            (self.dash, "writing `-` for `_` (Seurat does)".to_owned()),
            (self.case, "ignoring case".to_owned()),
        ];
        steps.into_iter().filter(|step| step.0).map(|step| step.1).collect()
    }
}

/// `ENSG01.12` without `.12`.
pub fn without_version(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, version)) if !stem.is_empty() && is_number(version) => stem,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text up to the first `_`, `-`, `:`, `|` or `.` that nearly all names begin with; empty if there is none.
fn common_prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut total = 0;
    for name in names {
        total += 1;
        if let Some(at) = name.find(['_', '-', ':', '|', '.']).filter(|&at| at + 1 < name.len()) {
            *counts.entry(&name[..=at]).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by(|x, y| x.1.cmp(&y.1).then_with(|| y.0.cmp(x.0)));
    most.filter(|most| total > 1 && most.1 as f64 >= PREFIX_SHARE * total as f64)
        .map_or(String::new(), |most| most.0.to_owned())
}

/// A transformation and what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its steps in words; none: names as they are.
    pub steps: Vec<String>,
    /// Genes of the atlas that some name becomes.
    pub genes: usize,
    /// Names that become a gene of the atlas.
    pub names: usize,
    /// Different results among the names, matched or not.
    pub different: usize,
    /// A gene and a name that match by this; rather ones that are not the same before.
    pub example: Option<(u32, u32)>,
}

/// What [`match_ids`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMatch {
    /// All that was tried: most genes first, then fewest steps. Names as they are, are always there.
    pub tried: Vec<Tried>,
    /// The one to use: the simplest that matches nearly as many genes as the best.
    pub best: usize,
    /// Gene of each name by that one. A name that is a gene as it stands is that gene; where several genes become the same, the
    /// first stands for all.
    pub gene_of: Vec<Option<u32>>,
}

/// Genes or names after a part was taken and looked up.
struct Side<'a> {
    steps: Vec<String>,
    names: Vec<Option<&'a str>>,
    prefix: String,
}

impl Side<'_> {
    fn any(&self, test: fn(&str) -> bool) -> bool {
        self.names.iter().flatten().any(|name| test(name))
    }

    /// The names after the steps that both sides take.
    fn after(&self, steps: Steps) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        self.names.iter().map(move |name| name.map(|name| steps.apply(name, &self.prefix)))
    }
}

/// Tries all transformations of names into genes.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub fn match_ids(
    genes: &[String],
    names: &[String],
    annotation: Option<&Annotation>,
    ctx: &Context,
) -> Result<IdMatch> {
    let exact: HashMap<&str, u32> = first_of_each(genes.iter().map(|gene| Some(gene.as_str())));
    let mut atlas = sides(genes, &SIMPLE, None);
    for step in atlas.iter_mut().flat_map(|side| &mut side.steps) {
        step.push_str(" of the atlas's names");
    }
    let mut tried: Vec<(Tried, Vec<Option<u32>>)> = Vec::new();
    for other in sides(names, &Part::all(), annotation) {
        for own in &atlas {
            ctx.check()?;
            let steps: Vec<Steps> = Steps::all().filter(|steps| changes(*steps, own, &other)).collect();
            let found = steps.into_par_iter().map(|steps| score(genes, own, names, &other, &exact, steps));
            tried.extend(found.collect::<Vec<_>>());
        }
    }
    tried.sort_by(|(x, _), (y, _)| y.genes.cmp(&x.genes).then(x.steps.len().cmp(&y.steps.len())));
    let enough = AS_GOOD * tried.first().map_or(0, |most| most.0.genes) as f64;
    let good = tried.iter().enumerate().filter(|(_, (one, _))| one.genes as f64 >= enough);
    let best = good.min_by_key(|(at, (one, _))| (one.steps.len(), *at)).map_or(0, |(at, _)| at);
    let gene_of = tried.get(best).map_or(Vec::new(), |one| one.1.clone());
    Ok(IdMatch { tried: tried.into_iter().map(|one| one.0).collect(), best, gene_of })
}

/// All parts and look-ups of names that differ from each other; names as they are among them.
fn sides<'a>(names: &'a [String], parts: &[Part], annotation: Option<&'a Annotation>) -> Vec<Side<'a>> {
    let mut sides: Vec<Side> = Vec::new();
    let mut add = |steps: Vec<String>, names: Vec<Option<&'a str>>| {
        let any = names.iter().any(Option::is_some) || steps.is_empty();
        if any && sides.iter().all(|side| side.names != names) {
            let prefix = common_prefix(names.iter().flatten().copied());
            sides.push(Side { steps, names, prefix });
        }
    };
    for part in parts {
        let found: Vec<Option<&str>> = names.iter().map(|name| part.of(name)).collect();
        let steps: Vec<String> = part.description().into_iter().collect();
        for (map, what) in annotation.into_iter().flat_map(|all| [(&all.ids, "id"), (&all.names, "name")]) {
            let genes = found.iter().map(|name| {
                let name = (*name)?;
                map.get(name).or_else(|| map.get(without_version(name))).map(String::as_str)
            });
            let look = format!("looking up the gene's {what} in the annotation");
            add([steps.clone(), vec![look]].concat(), genes.collect());
        }
        add(steps, found);
    }
    sides
}

/// Does every step change some gene or name? Steps that do not are tried without.
fn changes(steps: Steps, own: &Side, other: &Side) -> bool {
    let any = |test: fn(&str) -> bool| own.any(test) || other.any(test);
    let idle = [
        steps.prefix && own.prefix.is_empty() && other.prefix.is_empty(),
        steps.version && !any(|name| without_version(name).len() < name.len()),
        steps.dash && !any(|name| name.contains('_')),
        steps.case && !any(|name| name.chars().any(char::is_uppercase)),
    ];
    !idle.contains(&true)
}

/// Where each name occurs first.
fn first_of_each<T: Eq + std::hash::Hash>(names: impl Iterator<Item = Option<T>>) -> HashMap<T, u32> {
    let mut index = HashMap::new();
    for (name, at) in names.zip(0..) {
        if let Some(name) = name {
            index.entry(name).or_insert(at);
        }
    }
    index
}

/// What one transformation matches, and the gene of every name by it.
fn score(
    genes: &[String],
    own: &Side,
    names: &[String],
    other: &Side,
    exact: &HashMap<&str, u32>,
    steps: Steps,
) -> (Tried, Vec<Option<u32>>) {
    let index = first_of_each(own.after(steps));
    let results: Vec<Option<Cow<str>>> = other.after(steps).collect();
    let gene_of: Vec<Option<u32>> = names
        .iter()
        .zip(&results)
        .map(|(name, result)| exact.get(name.as_str()).or_else(|| index.get(result.as_ref()?)).copied())
        .collect();
    let pairs = || gene_of.iter().zip(0..).filter_map(|(gene, name)| gene.map(|gene| (gene, name)));
    let differs = |&(gene, name): &(u32, u32)| genes[gene as usize] != names[name as usize];
    let tried = Tried {
        steps: [other.steps.clone(), own.steps.clone(), steps.descriptions(&own.prefix, &other.prefix)].concat(),
        genes: pairs().map(|pair| pair.0).collect::<HashSet<_>>().len(),
        names: pairs().count(),
        different: results.iter().flatten().collect::<HashSet<_>>().len(),
        example: pairs().find(differs).or_else(|| pairs().next()),
    };
    (tried, gene_of)
}

#[cfg(test)]
mod tests;
