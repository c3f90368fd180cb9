//! Whole runs from raw counts against the reference: preprocessing, SAM, loadings, mapping in all recorded variants, tables.

#![allow(clippy::unwrap_used)] // helpers of tests

mod annotated;
mod atlases;
mod common;
mod emulator;

use annotated::{Annotated, gene_pair_columns};
use atlases::{Atlases, RUNS, options_of};
use common::{Golden, jaccard};
use emulator::Gpu;
use ndarray::Array2;
use samap_core::analysis::{GenePairOptions, Test};
use samap_core::backend::{Backend, Cpu};
use samap_core::sam::run::{SamOptions, Scaling, WeightMode};
use std::collections::BTreeSet;

/// The settings of the reference's runs.
fn settings() -> SamOptions {
    let (weight_mode, scaling) = (WeightMode::Rms, Scaling::StandardScaler);
    SamOptions { npcs: 100, k: 20, n_genes: Some(3000), weight_mode, scaling, ..SamOptions::default() }
}

/// How far a run is from the reference's.
struct Distance {
    what: String,
    /// Largest difference of an alignment score.
    scores: f64,
    /// Shared edges of the stitched graphs over all edges.
    edges: f64,
    /// Pearson correlation of the refined weights of the homologous genes.
    refined: f64,
    /// Shared rows of the tables of gene pairs over all rows, where the reference has a table.
    pairs: Option<f64>,
}

impl Distance {
    fn is_small(&self) -> bool {
        self.scores <= 0.01 && self.edges >= 0.97 && self.refined >= 0.999 && self.pairs.is_none_or(|p| p >= 0.95)
    }

    fn line(&self) -> String {
        let pairs = self.pairs.map_or(String::new(), |p| format!(", gene pairs {p:.5}"));
        let Distance { what, scores, edges, refined, .. } = self;
        format!("{what}: scores {scores:.2e}, edges {edges:.5}, refined {refined:.8}{pairs}")
    }
}

fn largest_difference(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    (x - y).iter().fold(0.0, |largest, d| largest.max(d.abs()))
}

/// Types and genes of the rows of the reference's table, and of ours.
fn pair_tables(golden: &Golden, ours: &Annotated) -> [BTreeSet<(String, String)>; 2] {
    let columns = gene_pair_columns(&golden.frame("analysis/default/gene_pairs"));
    let rows = columns.into_iter().flat_map(|(types, rows)| rows.into_iter().map(move |row| (types.clone(), row.0)));
    let options = GenePairOptions { min_score: 0.2, ..GenePairOptions::default() };
    [rows.collect(), ours.pairs(&options).iter().map(|row| ours.names(row)).collect()]
}

/// Shared rows over all rows. The reference fills its table with rows of score 0, in no defined order; ours has none of them
/// (see the tables in `golden_analysis`), and they count against us here.
fn shared_pairs(golden: &Golden, ours: &Annotated) -> f64 {
    let [reference, found] = pair_tables(golden, ours);
    reference.intersection(&found).count() as f64 / reference.union(&found).count() as f64
}

/// Recorded runs of a fixture; SAM runs once.
fn compare(backend: &impl Backend, name: &str, runs: &[&str]) {
    let golden = Golden::open(name);
    let atlases = Atlases::from_counts_on(backend, &golden, &settings());
    let frame = golden.frame("analysis/default/mapping_scores");
    let distances: Vec<Distance> = runs
        .iter()
        .map(|&variant| {
            let options = options_of(variant, atlases.ids.len());
            let scores = |run: &Annotated| run.score_matrix(options.cross_species_k, 0, &frame.index);
            let reference = Annotated::reference(&golden, &atlases, variant);
            let expected = if variant == "default" { frame.matrix() } else { scores(&reference) };
            let ours = Annotated::ours(&golden, &atlases, atlases.map_on(backend, &options));
            Distance {
                what: format!("{name} {variant}"),
                scores: largest_difference(&scores(&ours), &expected),
                edges: jaccard(&ours.stitched, &reference.stitched),
                refined: atlases.refined_pearson(&ours.refined, &reference.refined),
                pairs: (variant == "default").then(|| shared_pairs(&golden, &ours)),
            }
        })
        .collect();
    let lines: Vec<String> = distances.iter().map(Distance::line).collect();
    println!("{}", lines.join("\n"));
    assert!(distances.iter().all(Distance::is_small), "too far from the reference:\n{}", lines.join("\n"));
}

#[test]
fn two_species() {
    compare(&Cpu, "small2", &RUNS);
}

#[test]
fn three_species() {
    compare(&Cpu, "small3", &RUNS);
}

#[test]
#[ignore = "needs a GPU or its emulator: make test-cuda"]
fn two_species_on_the_gpu() {
    compare(&Gpu::open().backend(), "small2", &RUNS[..3]);
}

#[test]
#[ignore = "needs a GPU or its emulator: make test-cuda"]
fn three_species_on_the_gpu() {
    compare(&Gpu::open().backend(), "small3", &RUNS[..1]);
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let golden = Golden::open("small3");
    let all = || {
        let atlases = Atlases::from_counts(&golden, &settings());
        let mapping = atlases.map(&options_of("default", 3));
        let bits = atlases.bits(&mapping);
        let run = Annotated::ours(&golden, &atlases, mapping);
        (bits, run.scores(20, 0), run.markers(Test::Reference), run.pairs(&GenePairOptions::default()))
    };
    let expected = all();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(all) == expected, "{threads} threads");
    }
}
