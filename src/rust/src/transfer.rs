//! Labels carried from one species to the others.

use crate::convert::{graph_from_r, labels};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::options;
use extendr_api::prelude::*;
use samap_core::analysis::{UNLABELLED, transfer_labels};

/// Transfers labels over a graph: `list(label, probability, entropy, iterations)`, `label` from 1, NA for none.
/// `reference`: TRUE for the cells of the species whose labels they are; `label`: from 1, NA for none.
#[extendr]
fn transfer_start(
    graph: Robj,
    reference: Robj,
    label: Robj,
    n_labels: f64,
    transfer_options: Robj,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        let marks = reference.as_logical_slice().ok_or_else(|| wrong("reference", "a logical vector"))?;
        let marks: Vec<bool> = marks.iter().map(|mark| mark.is_true()).collect();
        let types = n_labels as usize;
        let of = labels("label", &label, types)?;
        let options = options::transfer(&transfer_options)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("label transfer", options.max_iterations, || {
                transfer_labels(&graph, &marks, &of, types, &options, ctx)
            })?;
            Ok(Box::new(move || {
                let label: Vec<Option<i32>> =
                    found.label.iter().map(|&label| (label != UNLABELLED).then_some(label as i32 + 1)).collect();
                Ok(list!(
                    label = label,
                    probability = found.probability,
                    entropy = found.entropy,
                    iterations = found.iterations as f64
                )
                .into())
            }) as Pack)
        })
    })
}

extendr_module! {
    mod transfer;
    fn transfer_start;
}
