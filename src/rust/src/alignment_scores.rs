//! Alignment scores of cell types.

use crate::convert::{Fields, graph_from_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::analysis::{self, AlignmentScore, Labels, UNLABELLED};

/// Labels of the cells of one species, owned.
pub struct OwnLabels {
    of: Vec<u32>,
    types: usize,
}

impl OwnLabels {
    /// From `list(labels, n_labels)`: integers from 1, NA for cells without a label.
    pub fn of(fields: &Fields) -> Result<Self> {
        let types = fields.count("n_labels")?;
        Ok(OwnLabels { of: crate::convert::labels("labels", fields.get("labels")?, types)?, types })
    }

    /// As the engine takes them.
    pub fn view(&self) -> Labels<'_> {
        Labels { of: &self.of, types: self.types }
    }
}

/// The elements of an unnamed list of named lists.
pub fn each_species(object: &Robj) -> Result<Vec<Fields>> {
    let list = object.as_list().ok_or_else(|| wrong("species", "a list"))?;
    list.values().map(|species| Fields::of("species", &species)).collect()
}

/// 0, n_1, n_1 + n_2, ...
pub fn offsets(sizes: &[f64]) -> Vec<usize> {
    let mut offsets = vec![0];
    for size in sizes {
        offsets.push(offsets[offsets.len() - 1] + *size as usize);
    }
    offsets
}

/// Scores of all pairs of types of different species, best first. `species`: list of `list(labels, n_labels)`, with
/// `labels = NULL` for a species that is left out; `n_cells`: cells per species.
#[extendr]
#[allow(clippy::too_many_arguments)] // R's side of the call has no structs
fn alignment_start(
    graph: Robj,
    n_cells: Vec<f64>,
    species: Robj,
    k: f64,
    n_top: f64,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let graph = graph_from_r("graph", &graph)?;
        let own: Vec<Option<OwnLabels>> = each_species(&species)?
            .iter()
            .map(|fields| fields.optional("labels").map(|_| OwnLabels::of(fields)).transpose())
            .collect::<Result<_>>()?;
        Job::start(threads, memory, vec![], move |ctx| {
            let labels: Vec<Option<Labels>> = own.iter().map(|own| own.as_ref().map(OwnLabels::view)).collect();
            let cells = offsets(&n_cells);
            let scores = ctx.phase("alignment scores", 1, || {
                analysis::alignment_scores(&graph, &cells, &labels, k as usize, n_top as usize, ctx)
            })?;
            Ok(Box::new(move || Ok(scores_to_r(&scores))) as Pack)
        })
    })
}

fn scores_to_r(scores: &[AlignmentScore]) -> Robj {
    let numbers = |of: fn(&AlignmentScore) -> f64| scores.iter().map(of).collect::<Vec<f64>>();
    let ids = |of: fn(&AlignmentScore) -> u32| crate::convert::indices_to_r(scores.iter().map(of));
    data_frame!(
        species_a = ids(|s| s.species_a),
        type_a = ids(|s| s.type_a),
        species_b = ids(|s| s.species_b),
        type_b = ids(|s| s.type_b),
        score = numbers(|s| s.score),
        score_ab = numbers(|s| s.score_ab),
        score_ba = numbers(|s| s.score_ba),
        n_a = numbers(|s| s.n_a as f64),
        n_b = numbers(|s| s.n_b as f64)
    )
}

/// Scores from R's table, as `scores_to_r` made it.
pub fn scores_from_r(object: &Robj) -> Result<Vec<AlignmentScore>> {
    let fields = Fields::of("scores", object)?;
    let ids = |name: &str| fields.indices(name, UNLABELLED as usize);
    let (species_a, type_a) = (ids("species_a")?, ids("type_a")?);
    let (species_b, type_b) = (ids("species_b")?, ids("type_b")?);
    let numbers = |name: &str| fields.numbers(name);
    let (score, score_ab, score_ba) = (numbers("score")?, numbers("score_ab")?, numbers("score_ba")?);
    let (n_a, n_b) = (numbers("n_a")?, numbers("n_b")?);
    let row = |i: usize| AlignmentScore {
        species_a: species_a[i],
        type_a: type_a[i],
        species_b: species_b[i],
        type_b: type_b[i],
        score: score[i],
        score_ab: score_ab[i],
        score_ba: score_ba[i],
        n_a: n_a[i] as usize,
        n_b: n_b[i] as usize,
    };
    Ok((0..score.len()).map(row).collect())
}

extendr_module! {
    mod alignment_scores;
    fn alignment_start;
}
