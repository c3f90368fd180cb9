//! Expression of chosen genes, for plots.

use crate::alignment_scores::OwnLabels;
use crate::convert::{Fields, matrix_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::sam::{Species, held};
use extendr_api::prelude::*;
use samap_core::analysis;

/// Means and fractions of genes in the types of one species: `list(mean, fraction)`, both genes × types. `species`:
/// `list(expression, genes, labels, n_labels)`.
#[extendr]
fn type_expression_start(species: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("species", &species)?;
        let expression: Species = held("expression", fields.get("expression")?)?;
        let genes = fields.indices("genes", expression.expression.genes())?;
        let labels = OwnLabels::of(&fields)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("expression by type", 1, || {
                analysis::type_expression(&expression.expression, &genes, labels.view(), ctx)
            })?;
            Ok(Box::new(move || {
                let (mean, fraction) = (matrix_to_r(found.means.view())?, matrix_to_r(found.fractions.view())?);
                Ok(list!(mean = mean, fraction = fraction).into())
            }) as Pack)
        })
    })
}

/// Values of genes in the cells of one species: `list(values)`, cells × genes.
#[extendr]
fn cell_expression_start(pointer: Robj, genes: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let expression: Species = held("pointer", &pointer)?;
        let genes = crate::convert::indices("genes", &genes, expression.expression.genes())?;
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("expression", 1, || analysis::cell_expression(&expression.expression, &genes))?;
            Ok(Box::new(move || Ok(list!(values = matrix_to_r(found.view())?).into())) as Pack)
        })
    })
}

extendr_module! {
    mod gene_expression;
    fn type_expression_start;
    fn cell_expression_start;
}
