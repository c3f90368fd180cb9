//! Glue between R and samap-core: parses R objects, calls the engine, packs what it returns. No algorithm lives here.

#![allow(missing_docs)] // extendr_module! makes public functions of its own

mod alignment_scores;
mod cluster_markers;
mod convert;
mod counts;
mod device;
mod embedding;
mod error;
mod gene_ids;
mod gene_pairs;
mod h5ad;
mod homology;
mod job;
mod mapping;
mod options;
mod plan;
mod sam;
mod sequences;

use extendr_api::prelude::*;

extendr_module! {
    mod samap;
    use alignment_scores;
    use cluster_markers;
    use device;
    use embedding;
    use gene_ids;
    use gene_pairs;
    use h5ad;
    use homology;
    use job;
    use mapping;
    use options;
    use plan;
    use sam;
    use sequences;
}
