//! Searches for neighbours, side by side: `knn DATA OUT.csv SIZE...`. DATA is what export_data.R wrote. The cells of a size lie
//! between cells of the human pancreas and their neighbours, in the coordinates SAM gives them. One row per method and size:
//! seconds, recall of the 20 nearest against the exact search, and how fast the exact search does its multiplications.

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use samap_benches::atlas::{Species, pair};
use samap_benches::{Failure, Result};
use samap_core::Context;
use samap_core::knn::{KnnOptions, Method, Metric, Neighbours, search_self};
use samap_core::plan::Rates;
use samap_core::rng::Rng;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

/// Neighbours per cell, itself included.
const K: usize = 20;

/// Cells of the pancreas pair.
const PANCREAS: usize = 4028;

/// Largest size for HNSW, which is built by one thread.
const HNSW: usize = 30_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, sizes @ ..] = arguments.as_slice() else { return Err("usage: knn DATA OUT.csv SIZE...".into()) };
    let ctx = Context::default();
    let peak = Rates::measure(rayon::current_num_threads())?.single;
    let (counts, _) = pair(Path::new(data), PANCREAS, 1)?;
    let human = Species::fit(counts.into_iter().next().ok_or_else(|| Failure::from("no species"))?, &ctx)?;
    let mut table = "method,cells,dimensions,seconds,recall,share_of_sgemm\n".to_owned();
    for size in sizes {
        let n = size.parse()?;
        let points = between(&human, n);
        let mut exact = None;
        for (name, method) in [("exact", Method::Exact), ("ivf", Method::InvertedFile), ("hnsw", Method::Hnsw)] {
            if method == Method::Hnsw && n > HNSW {
                continue;
            }
            let options = KnnOptions { method, ..KnnOptions::default() };
            let start = Instant::now();
            let found = search_self(points.view(), K, Metric::Cosine, &options, &ctx)?;
            let seconds = start.elapsed().as_secs_f64();
            let truth = exact.get_or_insert_with(|| found.clone());
            // A search within one set does each pair of cells once.
            let flops = (n * n * points.ncols()) as f64;
            let share = if method == Method::Exact { format!("{}", flops / seconds / peak) } else { String::new() };
            let recall = recall(&found, truth);
            writeln!(table, "{name},{n},{},{seconds},{recall},{share}", points.ncols())?;
            println!("{n:>7} cells  {name:<6} {seconds:>8.2} s  recall {recall:.4}  {share}");
        }
    }
    std::fs::write(out, table)?;
    Ok(())
}

/// Coordinates of n cells, each at a random place between a cell and one of its neighbours.
fn between(species: &Species, n: usize) -> Array2<f32> {
    let (scores, d) = (&species.scores, species.scores.ncols());
    let mut out = Array2::zeros((n, d));
    out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(i, mut row)| {
        let mut rng = Rng::keyed(1, 0x6b6e6e, i as u64);
        let cell = rng.below(scores.nrows());
        let other = species.neighbours.indices_of(cell)[rng.below(species.neighbours.k)] as usize;
        let share = rng.uniform() as f32;
        let both = scores.row(cell).into_iter().zip(scores.row(other));
        row.iter_mut().zip(both).for_each(|(x, (a, b))| *x = a + share * (b - a));
    });
    out
}

/// Share of the true neighbours that were found.
fn recall(found: &Neighbours, truth: &Neighbours) -> f64 {
    let of_cell = |i: usize| found.indices_of(i).iter().filter(|j| truth.indices_of(i).contains(j)).count();
    (0..truth.cells()).map(of_cell).sum::<usize>() as f64 / truth.indices.len() as f64
}
