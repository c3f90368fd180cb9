//! Which gene a transcript or protein belongs to. In: an annotation in GTF or GFF3 form, plain or gzipped, or pairs of names.
//! Out: for every id that the annotation knows, the id and the name of its gene.
//!
//! GTF names the gene in every row (`gene_id "…"; transcript_id "…"; gene_name "…"`). GFF3 links a row to its parent
//! (`ID=transcript:…;Parent=gene:…`); the gene is the end of the chain. Ids of GFF3 are known with and without the type that
//! Ensembl (`gene:`) and NCBI (`gene-`, `rna-`, `cds-`) put before them.

use crate::io::lines::{Lines, shown};
use crate::{Context, Result};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// What to do with a file that cannot be read.
const REMEDY: &str = "Give an annotation in GTF or GFF3 form: 9 columns separated by tabs, the last with attributes";
/// Attributes that hold another id of a feature.
const ALIASES: [&str; 5] = ["ID", "transcript_id", "protein_id", "gene_id", "Name"];
/// Attributes that hold the name of a gene, in order of preference.
const NAMES: [&str; 5] = ["gene_name", "gene", "Name", "gene_symbol", "locus_tag"];
/// Types that Ensembl and NCBI put before ids.
const TYPES: [&str; 8] = ["gene:", "transcript:", "CDS:", "gene-", "rna-", "cds-", "Gene:", "Transcript:"];
/// Longest chain of parents that is followed.
const DEPTH: usize = 8;

/// Ids and names of genes by the ids of what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotation {
    /// Id of the gene.
    pub ids: HashMap<String, String>,
    /// Name of the gene, where it has one.
    pub names: HashMap<String, String>,
}

/// Reads an annotation in GTF or GFF3 form.
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::Parse`] for a row with less than 9 columns and for compressed data that end early.
pub fn read_annotation(path: &Path, ctx: &Context) -> Result<Annotation> {
    parse_lines(Lines::open(path, REMEDY, ctx)?)
}

/// As [`read_annotation`], from any source; `path` is what messages call it.
///
/// # Errors
/// As [`read_annotation`].
pub fn parse_annotation(source: impl Read, path: &Path, ctx: &Context) -> Result<Annotation> {
    parse_lines(Lines::new(source, path, REMEDY, ctx)?)
}

/// What is known of a feature by its id.
#[derive(Default)]
struct Feature {
    parent: Option<String>,
    name: Option<String>,
    aliases: Vec<String>,
}

fn parse_lines(mut lines: Lines) -> Result<Annotation> {
    let mut out = Annotation::default();
    let mut features: HashMap<String, Feature> = HashMap::new();
    while lines.advance()? {
        let line = lines.line().trim_ascii_end();
        // Sequences may follow the features of a GFF3 file.
        if line.starts_with(b"##FASTA") || line.starts_with(b">") {
            break;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Some(text) = line.splitn(9, |byte| *byte == b'\t').nth(8) else {
            return Err(lines.error(format!("fewer than 9 columns: \"{}\"", shown(line))));
        };
        let attributes = Attributes::of(&String::from_utf8_lossy(text));
        match (attributes.get("ID"), attributes.get("Parent"), attributes.get("gene_id")) {
            (None, None, Some(gene)) => add_row(&mut out, &attributes, gene),
            (id, parent, _) => add_feature(&mut features, &attributes, id, parent),
        }
    }
    resolve(&features, &mut out);
    Ok(out)
}

/// The attributes of a row, `key "value";` or `key=value;`.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(text: &str) -> Self {
        let pairs = text.split(';').filter_map(|pair| {
            let (key, value) = pair.trim().split_once(['=', ' '])?;
            let value = value.trim().trim_matches('"');
            (!value.is_empty()).then(|| (key.to_owned(), value.to_owned()))
        });
        Attributes(pairs.collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.0 == key).map(|pair| pair.1.as_str())
    }
}

/// A row of a GTF file.
fn add_row(out: &mut Annotation, attributes: &Attributes, gene: &str) {
    let name = NAMES.iter().find_map(|key| attributes.get(key));
    for alias in ALIASES.iter().filter_map(|key| attributes.get(key)).chain(name) {
        out.add(alias, gene, name);
    }
}

/// A row of a GFF3 file. A row without an id of its own (an exon, say) can still tell the protein of its parent.
fn add_feature(
    features: &mut HashMap<String, Feature>,
    attributes: &Attributes,
    id: Option<&str>,
    parent: Option<&str>,
) {
    let parent = parent.and_then(|parents| parents.split(',').next());
    let Some(key) = id.or(parent) else { return };
    let feature = features.entry(key.to_owned()).or_default();
    if id.is_some() && feature.parent.is_none() {
        feature.parent = parent.map(str::to_owned);
    }
    if feature.name.is_none() && id.is_some() {
        feature.name = NAMES.iter().find_map(|name| attributes.get(name)).map(str::to_owned);
    }
    for alias in ALIASES.iter().filter_map(|name| attributes.get(name)) {
        if !feature.aliases.iter().any(|known| known == alias) {
            feature.aliases.push(alias.to_owned());
        }
    }
}

/// Follows every feature to its gene.
fn resolve(features: &HashMap<String, Feature>, out: &mut Annotation) {
    let mut sorted: Vec<(&String, &Feature)> = features.iter().collect();
    sorted.sort_unstable_by_key(|feature| feature.0);
    for (key, feature) in sorted {
        let (mut gene, mut top) = (key.as_str(), feature);
        for _ in 0..DEPTH {
            let Some(parent) = top.parent.as_deref() else { break };
            gene = parent;
            match features.get(parent) {
                Some(above) => top = above,
                None => break,
            }
        }
        let name = top.name.as_deref();
        for alias in feature.aliases.iter().map(String::as_str).chain([key.as_str()]) {
            out.add(alias, without_type(gene), name);
        }
    }
}

fn without_type(id: &str) -> &str {
    TYPES.iter().find_map(|kind| id.strip_prefix(kind)).unwrap_or(id)
}

impl Annotation {
    /// From pairs of a name and its gene; the first mention of a name counts.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut out = Annotation::default();
        for (name, gene) in pairs {
            out.ids.entry(name).or_insert(gene);
        }
        out
    }

    /// `alias` belongs to a gene; the first mention counts.
    fn add(&mut self, alias: &str, gene: &str, name: Option<&str>) {
        for alias in [alias, without_type(alias)] {
            if !self.ids.contains_key(alias) {
                self.ids.insert(alias.to_owned(), gene.to_owned());
            }
            if let Some(name) = name
                && !self.names.contains_key(alias)
            {
                self.names.insert(alias.to_owned(), name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Annotation {
        parse_annotation(text.as_bytes(), Path::new("x"), &Context::default()).unwrap()
    }

    fn known<'a>(annotation: &'a Annotation, id: &str) -> (&'a str, &'a str) {
        let text = |map: &'a HashMap<String, String>| map.get(id).map_or("", String::as_str);
        (text(&annotation.ids), text(&annotation.names))
    }

    #[test]
    fn gtf_rows_name_their_gene() {
        let gtf = "#!genome\n1\te\tgene\t1\t2\t.\t+\t.\tgene_id \"G1\"; gene_name \"INS\";\n\
            1\te\ttranscript\t1\t2\t.\t+\t.\tgene_id \"G1\"; transcript_id \"T1.2\"; gene_name \"INS\";\n\
            1\te\tCDS\t1\t2\t.\t+\t.\tgene_id \"G1\"; transcript_id \"T1.2\"; protein_id \"P1\"; gene_name \"INS\";\n";
        let found = read(gtf);
        for id in ["G1", "T1.2", "P1", "INS"] {
            assert_eq!(known(&found, id), ("G1", "INS"), "{id}");
        }
    }

    #[test]
    fn gff3_rows_are_followed_to_their_gene_in_any_order() {
        let gff = "##gff-version 3\n1\te\tCDS\t1\t2\t.\t+\t0\tID=CDS:P1;Parent=transcript:T1;protein_id=P1\n\
            1\te\tmRNA\t1\t2\t.\t+\t.\tID=transcript:T1;Parent=gene:G1;Name=INS-201;transcript_id=T1\n\
            1\te\tgene\t1\t2\t.\t+\t.\tID=gene:G1;Name=INS;gene_id=G1\n\
            2\tr\tgene\t1\t2\t.\t+\t.\tID=gene-ABC;Name=ABC;gene=ABC\n\
            2\tr\tmRNA\t1\t2\t.\t+\t.\tID=rna-NM_1.1;Parent=gene-ABC;gene=ABC;transcript_id=NM_1.1\n\
            2\tr\tCDS\t1\t2\t.\t+\t0\tID=cds-NP_1.1;Parent=rna-NM_1.1;gene=ABC;protein_id=NP_1.1\n##FASTA\n>x\nACGT\n";
        let found = read(gff);
        for id in ["P1", "T1", "G1", "transcript:T1"] {
            assert_eq!(known(&found, id), ("G1", "INS"), "{id}");
        }
        for id in ["NM_1.1", "NP_1.1", "ABC", "gene-ABC"] {
            assert_eq!(known(&found, id), ("ABC", "ABC"), "{id}");
        }
    }

    #[test]
    fn a_circle_of_parents_ends_and_short_rows_are_errors() {
        let row = |id: &str, parent: &str| format!("1\te\tx\t1\t2\t.\t+\t.\tID={id};Parent={parent}\n");
        assert!(read(&(row("a", "b") + &row("b", "a"))).ids.contains_key("a"));
        assert!(parse_annotation(b"1\te\tx\n".as_slice(), Path::new("x"), &Context::default()).is_err());
    }

    #[test]
    fn any_bytes_are_an_annotation_or_an_error() {
        let mut rng = crate::rng::Rng::keyed(17, 0, 0);
        let text = "1\te\tCDS\t1\t2\t.\t+\t0\tID=CDS:P1;Parent=transcript:T1,b;protein_id=P1\n\
            1\te\tgene\t1\t2\t.\t+\t.\tgene_id \"G1\"; gene_name \"INS\";\n";
        for _ in 0..2000 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..6 {
                let at = rng.below(bytes.len());
                bytes[at] = rng.below(256) as u8;
            }
            if let Ok(found) = parse_annotation(bytes.as_slice(), Path::new("x"), &Context::default()) {
                assert!(found.names.keys().all(|name| found.ids.contains_key(name)));
            }
        }
    }
}
