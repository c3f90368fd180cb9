//! Approximate search in a graph of navigable small worlds (Malkov & Yashunin 2018), by hnsw_rs. The graph is built
//! serially, since parallel insertion gives another graph every time; queries run in parallel. What it finds is measured
//! again in `f64`; a query for which it finds fewer than k rows is searched exactly.

use super::candidates::{Scaled, keep_nearest};
use super::points::Points;
use super::{KnnOptions, Metric, Neighbours, exact};
use crate::{Context, Error, Result};
use hnsw_rs::prelude::{Distance, Hnsw};
use rayon::prelude::*;

/// Layers of the graph, hnsw_rs's own maximum.
const LAYERS: usize = 16;
/// Rows inserted between two looks at the cancel flag; queries per task.
const BLOCK: usize = 256;

/// 1 − x·y of unit vectors, never negative (hnsw_rs panics where rounding makes its own dot distance so), or |x − y|².
struct Scored(Metric);

impl Distance<f32> for Scored {
    fn eval(&self, x: &[f32], y: &[f32]) -> f32 {
        match self.0 {
            Metric::Euclidean => lanes(x, y, |x, y| (x - y) * (x - y)),
            Metric::Cosine | Metric::Correlation => (1.0 - lanes(x, y, |x, y| x * y)).max(0.0),
        }
    }
}

fn lanes(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; 16];
    let ((x_chunks, x_tail), (y_chunks, y_tail)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..16 {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    sums.iter().sum::<f32>() + x_tail.iter().zip(y_tail).map(|(&x, &y)| term(x, y)).sum::<f32>()
}

/// The approximately `k` nearest rows of `database` for each of `queries`; 1 ≤ k ≤ m.
pub(super) fn search(
    queries: &Points,
    database: &Points,
    k: usize,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    check(options)?;
    let scaled = Scaled::new(database, queries);
    let graph = build(&scaled, options, ctx)?;
    let chosen: Vec<usize> = (0..queries.count()).collect();
    let blocks: Vec<Vec<(f64, u32)>> = chosen
        .par_chunks(BLOCK)
        .map(|chosen| {
            ctx.check()?;
            search_block(&graph, queries, chosen, &scaled, k, options, ctx)
        })
        .collect::<Result<_>>()?;
    Ok(Neighbours::from_pairs(k, blocks.into_iter().flatten()))
}

fn check(options: &KnnOptions) -> Result<()> {
    let wrong = |name: &str, found: usize, remedy: &str| Err(Error::argument(name, format!("it is {found}"), remedy));
    if !(2..=256).contains(&options.hnsw_m) {
        // hnsw_rs would end the whole process.
        return wrong("hnsw_m", options.hnsw_m, "Use 2 to 256 connections per layer.");
    }
    if options.hnsw_ef_construction == 0 {
        return wrong("hnsw_ef_construction", 0, "Hold at least one candidate; 200 is usual.");
    }
    Ok(())
}

fn build<'a>(database: &Scaled, options: &KnnOptions, ctx: &Context) -> Result<Hnsw<'a, f32, Scored>> {
    let (points, d) = (database.points, database.points.dimension());
    let distance = Scored(points.metric());
    let graph = Hnsw::new(options.hnsw_m, points.count(), LAYERS, options.hnsw_ef_construction, distance);
    let all: Vec<usize> = (0..points.count()).collect();
    for chosen in all.chunks(BLOCK) {
        ctx.check()?;
        let rows = database.scale(points, chosen);
        rows.chunks(d).zip(chosen).for_each(|(row, &i)| graph.insert((row, i)));
    }
    Ok(graph)
}

fn search_block<'q>(
    graph: &Hnsw<f32, Scored>,
    queries: &'q Points<'q>,
    chosen: &[usize],
    database: &Scaled<'q>,
    k: usize,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Vec<(f64, u32)>> {
    let d = queries.dimension();
    let (block, ef) = (database.scale(queries, chosen), options.hnsw_ef.max(k));
    let mut out = Vec::with_capacity(chosen.len() * k);
    for (at, &i) in chosen.iter().enumerate() {
        let candidates = graph.search(&block[at * d..(at + 1) * d], ef, ef);
        let measure = |j: usize| (queries.distance(i, database.points, j), j as u32);
        let mut found: Vec<(f64, u32)> = candidates.iter().map(|candidate| measure(candidate.d_id)).collect();
        keep_nearest(&mut found, k);
        if found.len() < k {
            found = exact::search_block(queries, &[i], database, k, ctx)?;
        }
        out.append(&mut found);
    }
    Ok(out)
}
