//! Markers of cell types.

use crate::alignment_scores::OwnLabels;
use crate::convert::{Fields, matrix_to_r};
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::sam::{Species, held};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{Test, cluster_markers};

/// Names of the forms of the test.
pub const TESTS: &[(&str, Test)] = &[("tie_corrected", Test::TieCorrected), ("reference", Test::Reference)];

/// The form of the test, by its name in `fields`.
pub fn test(fields: &Fields) -> Result<Test> {
    fields.choice("test", TESTS)
}

/// Markers of all types of one species. `species`: `list(expression, labels, n_labels, test)`. All four tables are
/// genes × types.
#[extendr]
fn markers_start(species: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("species", &species)?;
        let expression: Species = held("expression", fields.get("expression")?)?;
        let labels = OwnLabels::of(&fields)?;
        let test = test(&fields)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let found =
                ctx.phase("markers", 1, || cluster_markers(&expression.expression, labels.view(), test, ctx))?;
            Ok(Box::new(move || {
                Ok(list!(
                    score = matrix_to_r(found.scores.view())?,
                    pval = matrix_to_r(found.pvals.view())?,
                    padj = matrix_to_r(found.padj.view())?,
                    fraction = matrix_to_r(found.fractions.view())?
                )
                .into())
            }) as Pack)
        })
    })
}

extendr_module! {
    mod cluster_markers;
    fn markers_start;
}
