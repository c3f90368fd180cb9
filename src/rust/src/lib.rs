//! Glue between R and samap-core: parses R objects, calls the engine, packs what it returns. No algorithm lives here.

#![allow(missing_docs)] // extendr_module! makes public functions of its own

mod alignment_scores;
mod cell_scores;
mod cluster;
mod cluster_markers;
mod convert;
mod counts;
mod device;
mod edge_changes;
mod embedding;
mod enrichment;
mod error;
mod expression_overlap;
mod gene_expression;
mod gene_ids;
mod gene_pairs;
mod gene_sets;
mod h5ad;
mod homology;
mod job;
mod mapping;
mod options;
mod plan;
mod sam;
mod sequences;
mod substitutions;
mod transfer;
mod triangles;

use extendr_api::prelude::*;

extendr_module! {
    mod samap;
    use alignment_scores;
    use cell_scores;
    use cluster;
    use cluster_markers;
    use counts;
    use device;
    use edge_changes;
    use embedding;
    use enrichment;
    use gene_ids;
    use expression_overlap;
    use gene_expression;
    use gene_pairs;
    use gene_sets;
    use h5ad;
    use homology;
    use job;
    use mapping;
    use options;
    use plan;
    use sam;
    use substitutions;
    use triangles;
    use sequences;
    use transfer;
}
