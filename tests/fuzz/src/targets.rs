//! What is fuzzed: a reader, and how its files are spoiled.

use crate::change::{self, Generator};
use hdf5_metno as h5;
use samap_core::Context;
use samap_core::homology::annotation::read_annotation;
use samap_core::io::blast::{BlastOptions, read_blast};
use samap_core::io::counts::{Sample, Source, read_counts};
use samap_core::io::eggnog::read_eggnog;
use samap_core::io::fasta::read_fasta;
use samap_core::io::gene_sets::{GafOptions, read_gaf, read_gmt};
use samap_core::io::h5ad::{Selection, inspect, read_mapping, read_sam};
use samap_core::io::homology_file::{StoredHomology, read_homology, write_homology};
use std::error::Error;
use std::path::{Path, PathBuf};

/// A reader under test.
pub struct Target {
    pub name: &'static str,
    /// Name of the file of a case.
    pub file: &'static str,
    /// Writes a case.
    pub spoil: fn(&Path, &mut Generator) -> Result<(), Box<dyn Error>>,
    /// Reads it; what it returns does not matter.
    pub read: fn(&Path),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "h5ad-contents",
        file: "case.h5ad",
        spoil: |path, g| spoil_contents(path, H5AD, g),
        read: read_atlas,
    },
    Target { name: "h5ad-cut", file: "case.h5ad", spoil: |path, g| spoil_length(path, H5AD, g), read: read_atlas },
    Target { name: "h5ad-bytes", file: "case.h5ad", spoil: |path, g| spoil_bytes(path, H5AD, g), read: read_atlas },
    Target { name: "10x-contents", file: "case.h5", spoil: |path, g| spoil_contents(path, TENX, g), read: read_atlas },
    Target { name: "10x-cut", file: "case.h5", spoil: |path, g| spoil_length(path, TENX, g), read: read_atlas },
    Target { name: "10x-bytes", file: "case.h5", spoil: |path, g| spoil_bytes(path, TENX, g), read: read_atlas },
    Target { name: "sam-contents", file: "case.h5ad", spoil: |path, g| spoil_contents(path, SAM, g), read: read_run },
    Target { name: "sam-bytes", file: "case.h5ad", spoil: |path, g| spoil_bytes(path, SAM, g), read: read_run },
    Target {
        name: "mapping-contents",
        file: "case.h5ad",
        spoil: |path, g| spoil_contents(path, MAPPING, g),
        read: read_stitched,
    },
    Target {
        name: "mapping-bytes",
        file: "case.h5ad",
        spoil: |path, g| spoil_bytes(path, MAPPING, g),
        read: read_stitched,
    },
    Target { name: "blast", file: "case.txt", spoil: spoil_table, read: read_table },
    Target {
        name: "eggnog",
        file: "case.annotations",
        spoil: |path, g| spoil_text(path, EGGNOG, g),
        read: read_groups,
    },
    Target { name: "fasta", file: "case.fa", spoil: |path, g| spoil_text(path, FASTA, g), read: read_sequences },
    Target { name: "annotation", file: "case.gtf", spoil: |path, g| spoil_text(path, ANNOTATION, g), read: read_genes },
    Target { name: "homology", file: "case.samap", spoil: spoil_homology, read: read_pairs },
    Target { name: "gaf", file: "case.gaf", spoil: |path, g| spoil_text(path, GAF, g), read: read_terms },
    Target { name: "gmt", file: "case.gmt", spoil: |path, g| spoil_text(path, GMT, g), read: read_sets },
];

const H5AD: &[&str] =
    &["csr.h5ad", "csc.h5ad", "dense.h5ad", "layers.h5ad", "missing.h5ad", "anndata-0.7.8.h5ad", "anndata-0.6.22.h5ad"];
const SAM: &[&str] = &["sc-samap-3.0.1_pr.h5ad", "sc-samap-two_pr.h5ad"];
const MAPPING: &[&str] = &["sc-samap-stitched.h5ad"];
const TENX: &[&str] = &["cellranger2.h5", "cellranger3.h5"];

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testthat/h5ad").join(name)
}

/// A file cut off anywhere.
fn spoil_length(path: &Path, names: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut data = std::fs::read(corpus(generator.pick::<&str>(names)))?;
    data.truncate(generator.below(data.len()));
    Ok(std::fs::write(path, data)?)
}

/// A file some of whose bytes were changed.
fn spoil_bytes(path: &Path, names: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut data = std::fs::read(corpus(generator.pick::<&str>(names)))?;
    change::damage(&mut data, generator);
    Ok(std::fs::write(path, data)?)
}

fn spoil_contents(path: &Path, names: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    std::fs::copy(corpus(generator.pick::<&str>(names)), path)?;
    let file = h5::File::open_rw(path)?;
    change::contents(&file, generator)
}

fn read_atlas(path: &Path) {
    let ctx = Context::default();
    let Ok(found) = inspect(path, &Selection::default(), &ctx) else { return };
    let genes = found.counts.genes;
    if let Ok(counts) = read_counts(&[Sample { source: Source::File(found.counts), genes: None }], genes, &ctx) {
        assert_eq!(counts.genes(), found.gene_names.len());
        assert_eq!(counts.cells(), found.barcodes.len());
    }
}

/// A table of hits, as BLAST, DIAMOND and MMseqs2 write them.
fn spoil_table(path: &Path, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let mut table = Vec::new();
    for row in 0..1 + generator.below(30) {
        let (query, target) = (generator.below(9), generator.below(9));
        let line = format!("q{query}\tt{target}\t98.5\t120\t2\t0\t1\t120\t4\t123\t1e-{}\t{}.5\n", row % 80, row * 3);
        table.extend_from_slice(line.as_bytes());
    }
    change::bytes(&mut table, generator);
    Ok(std::fs::write(path, table)?)
}

fn read_table(path: &Path) {
    let ctx = Context::default();
    if let Ok(table) = read_blast(path, &BlastOptions::default(), &ctx) {
        let (queries, targets) = (table.queries.len() as u32, table.targets.len() as u32);
        assert!(table.hits.iter().all(|hit| hit.query < queries && hit.target < targets && hit.score > 0.0));
    }
}

fn read_run(path: &Path) {
    drop(read_sam(path, &Context::default()));
}

fn read_stitched(path: &Path) {
    if let Ok(mapping) = read_mapping(path, &Context::default()) {
        let (cells, genes) = (mapping.barcodes.len(), mapping.genes.len() as u32);
        assert_eq!(mapping.cells.iter().sum::<usize>(), cells);
        assert_eq!(mapping.graph.shape(), (cells, cells));
        assert!(mapping.edges.iter().all(|edge| edge.a < edge.b && edge.b < genes && edge.weight > 0.0));
    }
}

/// One of the texts, some of its lines repeated, then bytes changed; now and then compressed.
fn spoil_text(path: &Path, texts: &[&str], generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let lines: Vec<&str> = generator.pick::<&str>(texts).split_inclusive('\n').collect();
    let mut data = lines.concat().into_bytes();
    for _ in 0..generator.below(12) {
        data.extend_from_slice(generator.pick::<&str>(&lines).as_bytes());
    }
    change::bytes(&mut data, generator);
    if generator.below(8) == 0 {
        data = compressed(&data)?;
        change::bytes(&mut data, generator);
    }
    Ok(std::fs::write(path, data)?)
}

fn compressed(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data)?;
    encoder.finish()
}

/// Rows as eggNOG-mapper 1 and 2 write them.
const EGGNOG: &[&str] = &[
    "# emapper version: emapper-1.0.3 emapper DB: 4.5.1\n#query_name\tseed_eggNOG_ortholog\tseed_ortholog_evalue\t\
     seed_ortholog_score\tpredicted_gene_name\tGO_terms\tKEGG_KOs\tBiGG_reactions\tAnnotation_tax_scope\tOGs\t\
     bestOG|evalue|score\tCOG cat\teggNOG annot\ng1\t9606.P1\t1e-9\t100.0\tABC\t\t\t\teuNOG[107]\t0A3R2@opiNOG,\
     KOG0331@euNOG\t0A3R2|1e-9|100\tO\tchaperone\n# 1 queries scanned\n",
    "## emapper-2.1.9\n#query\tseed_ortholog\tevalue\tscore\teggNOG_OGs\tmax_annot_lvl\tCOG_category\tDescription\n\
     g1\t9606.P1\t1e-9\t100.0\tCOG0513@1|root,KOG0331@2759|Eukaryota\t2759|Eukaryota\tA\thelicase\ng2\t-\t-\t-\t-\t-\t-\t-\n",
    "g1\tx\tKOG1@2759|Eukaryota\tother@2759\n",
];
const FASTA: &[&str] = &[
    ">sp|P1|INS_HUMAN Insulin GN=INS\nMALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKT\n>t2 gene=GCG\nMKSIYFVAGLF*\n",
    "; a comment\n>t1.1\nACGTNacgtn\nACG-T\n>t1.2\n>t3\r\nACGT\r\n",
];
const ANNOTATION: &[&str] = &[
    "#!genome-build X\n1\thavana\tgene\t1\t90\t.\t+\t.\tgene_id \"G1\"; gene_name \"INS\";\n1\thavana\ttranscript\t1\t90\t.\t+\t.\t\
     gene_id \"G1\"; transcript_id \"T1\"; gene_name \"INS\"; protein_id \"P1\";\n",
    "##gff-version 3\n1\tRefSeq\tgene\t1\t90\t.\t+\t.\tID=gene-INS;Name=INS\n1\tRefSeq\tmRNA\t1\t90\t.\t+\t.\tID=rna-1;\
     Parent=gene-INS;gene=INS\n1\tRefSeq\tCDS\t1\t90\t.\t+\t0\tID=cds-1;Parent=rna-1;protein_id=NP_1%3B2\n##FASTA\n>1\nACGT\n",
];
const GAF: &[&str] = &[
    "!gaf-version: 2.2\nUniProtKB\tP1\tINS\tinvolved_in\tGO:0006006\tPMID:1\tIDA\t\tP\tInsulin\tINS|IDDM\tprotein\ttaxon:9606\t\
     20200101\tUniProt\t\t\nUniProtKB\tP2\tGCG\tNOT|enables\tGO:0005179\tPMID:2\tIEA\t\tF\t\t\tprotein\ttaxon:9606\t20200101\tGOC\n",
];
const GMT: &[&str] = &["HALLMARK_X\thttp://x\tINS\tGCG\tSST\nSET_2\t\tINS\n"];

fn read_groups(path: &Path) {
    if let Ok(table) = read_eggnog(path, "2759", &Context::default()) {
        let (genes, groups) = (table.genes.len() as u32, table.groups.len() as u32);
        assert!(table.members.iter().all(|&(gene, group)| gene < genes && group < groups));
    }
}

fn read_sequences(path: &Path) {
    if let Ok(records) = read_fasta(path, &Context::default()) {
        for record in records {
            let _ = (record.id().len(), record.is_nucleotide());
        }
    }
}

fn read_genes(path: &Path) {
    drop(read_annotation(path, &Context::default()));
}

/// What `save_homology()` writes: its text changed and compressed anew, or the compressed bytes changed.
fn spoil_homology(path: &Path, generator: &mut Generator) -> Result<(), Box<dyn Error>> {
    let names = |prefix: &str, n: usize| (0..n).map(|gene| format!("{prefix}{gene}")).collect::<Vec<_>>();
    let sizes = (1 + generator.below(9), 1 + generator.below(9));
    let edge = |at: u32| (at % sizes.0 as u32, sizes.0 as u32 + at % sizes.1 as u32, f64::from(at) + 0.5);
    let homology = StoredHomology {
        species: vec!["human".to_owned(), "mouse".to_owned()],
        genes: vec![names("H", sizes.0), names("m", sizes.1)],
        edges: (0..generator.below(20) as u32).map(edge).collect(),
        filter: 0.25,
    };
    write_homology(&homology, path)?;
    let mut data = std::fs::read(path)?;
    if generator.below(4) > 0 {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&data[..]), &mut text)?;
        change::bytes(&mut text, generator);
        data = compressed(&text)?;
    } else {
        change::bytes(&mut data, generator);
    }
    Ok(std::fs::write(path, data)?)
}

fn read_pairs(path: &Path) {
    if let Ok(homology) = read_homology(path, &Context::default()) {
        let genes = homology.genes.iter().map(Vec::len).sum::<usize>() as u32;
        assert!(homology.edges.iter().all(|&(a, b, weight)| a < genes && b < genes && weight.is_finite()));
    }
}

fn read_terms(path: &Path) {
    drop(read_gaf(path, &GafOptions::default(), &Context::default()));
}

fn read_sets(path: &Path) {
    drop(read_gmt(path, &Context::default()));
}
