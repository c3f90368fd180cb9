//! Homology from BLAST tables and from groups of orthologs, and the row-maximum filter.

use crate::convert::{Fields, indices_to_r, strings};
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::mapping::Homology;
use extendr_api::prelude::*;
use samap_core::homology::Gene;
use samap_core::homology::groups::{GroupOptions, GroupPairs, group_pairs, no_pairs};
use samap_core::io::blast::{BlastOptions, PairEdges, read_blast, reciprocal_edges};
use samap_core::io::eggnog::{GroupTable, read_eggnog};
use samap_core::io::homology_file::{StoredHomology, read_homology, write_homology};
use samap_core::{Context, Result};
use std::collections::HashMap;
use std::path::PathBuf;

/// Reads the tables of both directions: `list(genes_a, genes_b, gene_a, gene_b, weight, within)`, where `gene_a` and
/// `gene_b` are positions in the sorted names of all genes that the tables mention.
#[extendr]
fn blast_start(forward: String, backward: String, evalue: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let options = BlastOptions { max_evalue: evalue };
        Job::start(threads, memory, vec![], move |ctx| {
            let pairs = ctx.phase("BLAST tables", 2, || {
                let ab = read_blast(&PathBuf::from(forward), &options, ctx)?;
                ctx.advance(1)?;
                let ba = read_blast(&PathBuf::from(backward), &options, ctx)?;
                ctx.advance(1)?;
                Ok(reciprocal_edges(&ab, &ba))
            })?;
            Ok(Box::new(move || Ok(pairs_to_r(pairs))) as Pack)
        })
    })
}

fn pairs_to_r(pairs: PairEdges) -> Robj {
    let weight: Vec<f64> = pairs.edges.iter().map(|edge| edge.2).collect();
    list!(
        gene_a = indices_to_r(pairs.edges.iter().map(|edge| edge.0)),
        gene_b = indices_to_r(pairs.edges.iter().map(|edge| edge.1)),
        weight = weight,
        genes_a = pairs.genes_a,
        genes_b = pairs.genes_b,
        within = pairs.within as f64
    )
    .into()
}

/// One species of `eggnog_start()`: its files, and the new names of some genes.
struct Annotated {
    files: Vec<String>,
    names: HashMap<String, String>,
}

impl Annotated {
    /// From `list(files, from, to)`.
    fn of(object: &Robj) -> Result<Self> {
        let fields = Fields::of("files", object)?;
        let (from, to) = (strings("from", fields.get("from")?)?, strings("to", fields.get("to")?)?);
        // The first mention of a name counts.
        let names = from.into_iter().zip(to).rev().collect();
        Ok(Annotated { files: strings("files", fields.get("files")?)?, names })
    }

    /// The table of all files.
    fn read(&self, taxon: &str, ctx: &Context) -> Result<GroupTable> {
        let mut tables = Vec::new();
        for file in &self.files {
            tables.push(read_eggnog(&PathBuf::from(file), taxon, ctx)?);
            ctx.advance(1)?;
        }
        Ok(GroupTable::joined(&tables).renamed(&self.names))
    }
}

/// Pairs of genes that share a group of orthologs at a level. species: per species `list(files, from, to)`. Returns
/// `list(genes, species_a, gene_a, species_b, gene_b, groups, skipped, largest)`; `genes` has the names per species.
#[extendr]
fn eggnog_start(species: List, taxon: String, max_group_size: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let species: Vec<Annotated> = species.values().map(|one| Annotated::of(&one)).collect::<Result<_>>()?;
        let options = GroupOptions { max_group_size: max_group_size as usize };
        Job::start(threads, memory, vec![], move |ctx| {
            let n_files = species.iter().map(|one| one.files.len()).sum();
            let tables: Vec<GroupTable> =
                ctx.phase("eggNOG tables", n_files, || species.iter().map(|one| one.read(&taxon, ctx)).collect())?;
            let pairs = ctx.phase("pairs", 1, || group_pairs(&tables, &options, ctx))?;
            if pairs.pairs.is_empty() {
                return Err(no_pairs(&tables, &pairs, &taxon));
            }
            Ok(Box::new(move || Ok(group_pairs_to_r(tables, &pairs))) as Pack)
        })
    })
}

fn group_pairs_to_r(tables: Vec<GroupTable>, pairs: &GroupPairs) -> Robj {
    let of = |part: fn(&(Gene, Gene)) -> u32| indices_to_r(pairs.pairs.iter().map(part));
    list!(
        genes = List::from_values(tables.into_iter().map(|table| table.genes)),
        species_a = of(|pair| pair.0.species),
        gene_a = of(|pair| pair.0.index),
        species_b = of(|pair| pair.1.species),
        gene_b = of(|pair| pair.1.index),
        groups = pairs.groups as f64,
        skipped = pairs.skipped as f64,
        largest = pairs.largest as f64
    )
    .into()
}

/// Writes a homology. genes: a named list with the genes of every species. homology: as in `mapping_start()`.
#[extendr]
fn write_homology_start(path: String, genes: List, homology: Robj, filter: f64, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let mut stored = StoredHomology { filter, ..StoredHomology::default() };
        for (species, names) in genes.iter() {
            stored.species.push(species.to_owned());
            stored.genes.push(strings("genes", &names)?);
        }
        let fields = Fields::of("homology", &homology)?;
        let n_genes = stored.genes.iter().map(Vec::len).sum();
        let (a, b) = (fields.indices("gene_a", n_genes)?, fields.indices("gene_b", n_genes)?);
        let ends = a.into_iter().zip(b);
        stored.edges = ends.zip(fields.numbers("weight")?).map(|((a, b), weight)| (a, b, weight)).collect();
        Job::start(threads, memory, vec![], move |ctx| {
            ctx.phase("homology", 1, || write_homology(&stored, &PathBuf::from(path)))?;
            Ok(Box::new(|| Ok(NULL.into())) as Pack)
        })
    })
}

/// Reads a homology: `list(species, genes, gene_a, gene_b, weight, filter)`, genes of the edges as positions among the genes of
/// all species.
#[extendr]
fn read_homology_start(path: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        Job::start(threads, memory, vec![], move |ctx| {
            let stored = ctx.phase("homology", 1, || read_homology(&PathBuf::from(path), ctx))?;
            Ok(Box::new(move || Ok(stored_to_r(stored))) as Pack)
        })
    })
}

fn stored_to_r(stored: StoredHomology) -> Robj {
    let weight: Vec<f64> = stored.edges.iter().map(|edge| edge.2).collect();
    list!(
        species = stored.species,
        genes = List::from_values(stored.genes),
        gene_a = indices_to_r(stored.edges.iter().map(|edge| edge.0)),
        gene_b = indices_to_r(stored.edges.iter().map(|edge| edge.1)),
        weight = weight,
        filter = stored.filter
    )
    .into()
}

/// Which edges of a homology graph pass the row-maximum filter. `homology`: as in `mapping_start()`.
#[extendr]
fn filter_homology_(homology: Robj, share: f64) -> Robj {
    outcome(|| {
        let homology = Homology::of(&homology)?;
        let kept = homology.graph.filter(share);
        let kept: Vec<bool> = homology.values(&kept.weights).into_iter().map(|weight| weight > 0.0).collect();
        Ok(kept.into())
    })
}

extendr_module! {
    mod homology;
    fn blast_start;
    fn eggnog_start;
    fn filter_homology_;
    fn read_homology_start;
    fn write_homology_start;
}
