//! Searches for neighbours, side by side: `knn DATA OUT.csv SIZE...`. DATA is what export_data.R wrote. One row per search and
//! size: seconds, recall of the 20 nearest against the exact search, and how fast the exact search does its multiplications.
//!
//! Within a species: cells that lie between cells of the human pancreas and their neighbours, in the coordinates SAM gives them.
//! Between species: a pair of atlases of mixed cells, half of the size each, in the latent space of the first pass; both
//! directions, of the seeds 0 to 4 the mean and the least recall.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;
use samap_benches::atlas::{Species, mixed_pair, pair};
use samap_benches::{Failure, Result};
use samap_core::Context;
use samap_core::knn::{KnnOptions, Method, Metric, Neighbours, search_both, search_self};
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

/// How far mixed cells lie between two cells of their type.
const MIXED: f64 = 0.5;

/// Seeds of the inverted file between species.
const SEEDS: u64 = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, sizes @ ..] = arguments.as_slice() else { return Err("usage: knn DATA OUT.csv SIZE...".into()) };
    let data = Path::new(data);
    let ctx = Context::default();
    let peak = Rates::measure(rayon::current_num_threads())?.single;
    let (counts, _) = pair(data, PANCREAS, 1)?;
    let human = Species::fit(counts.into_iter().next().ok_or_else(|| Failure::from("no species"))?, &ctx)?;
    let mut table = "where,method,cells,dimensions,seconds,recall,least,share_of_sgemm\n".to_owned();
    for size in sizes {
        let cells = size.parse()?;
        within(&human, cells, peak, &ctx, &mut table)?;
        between_species(data, cells, peak, &ctx, &mut table)?;
    }
    std::fs::write(out, table)?;
    Ok(())
}

/// The searches of n cells among themselves.
fn within(species: &Species, n: usize, peak: f64, ctx: &Context, table: &mut String) -> Result<()> {
    let points = between(species, n);
    let find = |options: KnnOptions| -> Result<Vec<Neighbours>> {
        Ok(vec![search_self(points.view(), K, Metric::Cosine, &options, ctx)?])
    };
    let (seconds, truth) = timed(|| find(with(Method::Exact, 0)))?;
    // A search within one set does each pair of cells once.
    let share = (n * n * points.ncols()) as f64 / seconds / peak;
    let row = format!("within,exact,{n},{},{seconds},1,1,{share}", points.ncols());
    note(table, &row)?;
    for (name, method) in [("ivf", Method::InvertedFile), ("hnsw", Method::Hnsw)] {
        if method == Method::Hnsw && n > HNSW {
            continue;
        }
        let (seconds, found) = timed(|| find(with(method, 0)))?;
        let recall = recall(&found, &truth);
        note(table, &format!("within,{name},{n},{},{seconds},{recall},{recall},", points.ncols()))?;
    }
    Ok(())
}

/// The searches of the cells of two species in each other.
fn between_species(data: &Path, n: usize, peak: f64, ctx: &Context, table: &mut String) -> Result<()> {
    let (counts, homology) = mixed_pair(data, n, MIXED, 1)?;
    let species: Vec<Species> = counts.into_iter().map(|counts| Species::fit(counts, ctx)).collect::<Result<_>>()?;
    let (latent, first) = samap_benches::atlas::latent(&species, &homology, ctx)?;
    let (left, right, d) = (latent.slice(s![..first, ..]), latent.slice(s![first.., ..]), latent.ncols());
    let find = |options: KnnOptions| -> Result<Vec<Neighbours>> {
        let (forward, back) = search_both(left, right, (K, K), None, Metric::Cosine, &options, ctx)?;
        Ok(vec![forward, back])
    };
    let (seconds, truth) = timed(|| find(with(Method::Exact, 0)))?;
    // Both directions come from the same products.
    let share = 2.0 * (left.nrows() * right.nrows() * d) as f64 / seconds / peak;
    note(table, &format!("between,exact,{n},{d},{seconds},1,1,{share}"))?;
    let mut runs = Vec::new();
    for seed in 0..SEEDS {
        let (seconds, found) = timed(|| find(with(Method::InvertedFile, seed)))?;
        runs.push((recall(&found, &truth), seconds));
    }
    let mean = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let least = runs.iter().map(|run| run.0).fold(1.0, f64::min);
    note(table, &format!("between,ivf,{n},{d},{},{},{least},", mean(|run| run.1), mean(|run| run.0)))
}

fn with(method: Method, seed: u64) -> KnnOptions {
    KnnOptions { method, seed, ..KnnOptions::default() }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed().as_secs_f64(), value))
}

fn note(table: &mut String, row: &str) -> Result<()> {
    println!("{row}");
    Ok(writeln!(table, "{row}")?)
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

/// Share of the true neighbours that were found, in all searches.
fn recall(found: &[Neighbours], truth: &[Neighbours]) -> f64 {
    let of_cell = |found: &Neighbours, truth: &Neighbours, i: usize| {
        found.indices_of(i).iter().filter(|j| truth.indices_of(i).contains(j)).count()
    };
    let of_search = |(found, truth): (&Neighbours, &Neighbours)| {
        (0..truth.cells()).map(|i| of_cell(found, truth, i)).sum::<usize>()
    };
    let shared: usize = found.iter().zip(truth).map(of_search).sum();
    shared as f64 / truth.iter().map(|truth| truth.indices.len()).sum::<usize>() as f64
}
