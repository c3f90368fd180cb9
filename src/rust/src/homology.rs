//! Homology from BLAST tables, and the row-maximum filter.

use crate::convert::indices_to_r;
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::mapping::Homology;
use extendr_api::prelude::*;
use samap_core::io::blast::{BlastOptions, PairEdges, read_blast, reciprocal_edges};
use std::path::PathBuf;

/// Reads the tables of both directions: `list(genes_a, genes_b, gene_a, gene_b, weight)`, where `gene_a` and
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
        genes_b = pairs.genes_b
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
    fn filter_homology_;
}
