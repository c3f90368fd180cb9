//! The layout of the stitched graph.

use crate::convert::{graph_from_r, matrix_from_r, matrix_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::options;
use extendr_api::prelude::*;
use samap_core::{embedding, on_device};

/// UMAP of a stitched graph, cells × 2. `latent` (cells × d) is needed by `init = "pca"` alone.
#[extendr]
fn umap_start(graph: Robj, latent: Robj, umap_options: Robj, backend: &str, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        let latent = if latent.is_null() { None } else { Some(matrix_from_r("latent", &latent)?) };
        let options = options::umap(&umap_options)?;
        Job::start_on(options::backend(backend)?, threads, memory, move |device, ctx| {
            let view = latent.as_ref().map(|x| x.view());
            let layout = ctx.phase(
                "umap",
                1,
                || on_device!(device, backend => embedding::umap_on(backend, &graph, view, &options, ctx)),
            )?;
            Ok(Box::new(move || matrix_to_r(layout.view())) as Pack)
        })
    })
}

extendr_module! {
    mod embedding;
    fn umap_start;
}
