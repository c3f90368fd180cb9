//! What kind of names genes have. In: names. Out: how many are of each kind.

use crate::{Error, Result};
use regex::Regex;

/// Kinds of names and what they look like; the first that fits counts. Those before [`SYMBOL`] are certain, symbols are a guess.
const KINDS: [(&str, &str); 20] = [
    ("ensembl_gene", r"^ENS([A-Z]{3,6})?G[0-9]{11}(\.[0-9]+)?$"),
    ("ensembl_transcript", r"^ENS([A-Z]{3,6})?T[0-9]{11}(\.[0-9]+)?$"),
    ("ensembl_protein", r"^ENS([A-Z]{3,6})?P[0-9]{11}(\.[0-9]+)?$"),
    ("refseq_transcript", r"^[NX][MR]_[0-9]{6,}(\.[0-9]+)?$"),
    ("refseq_protein", r"^[NXY]P_[0-9]{6,}(\.[0-9]+)?$"),
    ("ncbi_gene", r"^(LOC|GeneID:)?[0-9]{3,9}$"),
    ("hgnc", r"^HGNC:[0-9]+$"),
    ("mgi", r"^MGI:[0-9]+$"),
    ("zfin", r"^ZDB-[A-Z]*GENE[A-Z]*-[0-9]{6}-[0-9]+$"),
    ("flybase_gene", r"^FBgn[0-9]{7}$"),
    ("flybase_transcript", r"^FBtr[0-9]{7}$"),
    ("flybase_protein", r"^FBpp[0-9]{7}$"),
    ("wormbase_gene", r"^WBGene[0-9]{8}$"),
    ("wormbase_parasite", r"^[A-Z][a-z]{1,3}[A-Za-z0-9]*_[0-9]{5,}([a-z]|\.[0-9]+)*$"),
    ("xenbase", r"^X[BE]-?GENE-?[0-9]+$|^XBXL[0-9.]+_[A-Za-z0-9]+$"),
    ("tair", r"^A[tT][0-9CM][gG][0-9]{5}(\.[0-9]+)?$"),
    ("trinity", r"^(TRINITY_)?(DN|GG)[0-9]+(_[0-9]+)?_c[0-9]+_g[0-9]+(_i[0-9]+)?$"),
    (
        "uniprot",
        r"^([a-z]{2}\|)?([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})([-.][0-9]+)?(\|[A-Z0-9]+_[A-Z0-9]+)?$",
    ),
    ("symbol", r"^[A-Za-z][A-Za-z0-9()@:'/-]{0,19}(\.[0-9A-Za-z]+)*$"),
    ("unknown", ""),
];

/// Names of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The kind, such as `ensembl_gene`; `symbol` is a guess, and `unknown` is all else.
    pub kind: &'static str,
    /// Number of names.
    pub count: usize,
    /// How many of them end with a version (`.1`).
    pub versioned: usize,
    /// Positions of the first three.
    pub examples: Vec<usize>,
}

/// The kinds that occur, most frequent first; ties in the order of [`KINDS`].
///
/// # Errors
/// [`Error::Numerical`] when a pattern cannot be compiled (a mistake of ours).
pub fn id_kinds<S: AsRef<str>>(names: &[S]) -> Result<Vec<Kind>> {
    let compile = |pattern: &str| {
        Regex::new(pattern)
            .map_err(|error| Error::Numerical { operation: "patterns of gene names", reason: error.to_string() })
    };
    let patterns: Vec<Regex> = KINDS.iter().map(|kind| compile(kind.1)).collect::<Result<_>>()?;
    let new = |kind: &(&'static str, _)| Kind { kind: kind.0, count: 0, versioned: 0, examples: Vec::new() };
    let mut kinds: Vec<Kind> = KINDS.iter().map(new).collect();
    for (at, name) in names.iter().map(AsRef::as_ref).enumerate() {
        // The last pattern fits everything.
        let fits = patterns.iter().position(|pattern| pattern.is_match(name)).unwrap_or(KINDS.len() - 1);
        kinds[fits].count += 1;
        kinds[fits].versioned += usize::from(super::ids::without_version(name).len() < name.len());
        if kinds[fits].examples.len() < 3 {
            kinds[fits].examples.push(at);
        }
    }
    kinds.retain(|kind| kind.count > 0);
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> &'static str {
        id_kinds(&[name]).unwrap()[0].kind
    }

    #[test]
    fn every_kind_is_recognised() {
        let cases = [
            ("ENSG00000254647", "ensembl_gene"),
            ("ENSMUSG00000000215.11", "ensembl_gene"),
            ("ENSDART00000000042.9", "ensembl_transcript"),
            ("ENSP00000250971", "ensembl_protein"),
            ("NM_000207.3", "refseq_transcript"),
            ("XP_054185213.1", "refseq_protein"),
            ("3630", "ncbi_gene"),
            ("LOC105374952", "ncbi_gene"),
            ("HGNC:6081", "hgnc"),
            ("MGI:96573", "mgi"),
            ("ZDB-GENE-980526-110", "zfin"),
            ("FBgn0000055", "flybase_gene"),
            ("FBpp0080430", "flybase_protein"),
            ("WBGene00000912", "wormbase_gene"),
            ("Smp_123450.1", "wormbase_parasite"),
            ("AT1G01010", "tair"),
            ("TRINITY_DN1000_c0_g1_i2", "trinity"),
            ("P01308", "uniprot"),
            ("sp|P01308|INS_HUMAN", "uniprot"),
            ("A0A024R161", "uniprot"),
            ("INS", "symbol"),
            ("HLA-DRA", "symbol"),
            ("", "unknown"),
            ("dd_Smed_v6_1234_0", "unknown"),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn kinds_are_counted_with_versions_and_examples() {
        let kinds = id_kinds(&["INS", "NM_000207.3", "NM_000208", "NM_000209.1", "NM_000210.1"]).unwrap();
        let nm = Kind { kind: "refseq_transcript", count: 4, versioned: 3, examples: vec![1, 2, 3] };
        assert_eq!((&kinds[0], kinds[1].kind, kinds[1].count), (&nm, "symbol", 1));
    }
}
