//! Approximate search in an inverted file: the database is cut into about 2 √m lists by k-means, and only a number of lists whose
//! centroids score best are searched. In: queries (n × d), database (m × d). Out: the k nearest among the rows of the searched
//! lists, measured in `f64`: exactly, unless there are so many coordinates that only the principal ones are scored and the
//! best few hundred rows measured.
//!
//! The centroids come from a sample keyed by the seed, with a fixed number of Lloyd steps and ties broken by index.

use super::candidates::{Best, Scaled, finish, score, threshold};
use super::points::Points;
use super::principal;
use super::{KnnOptions, Metric, Neighbours, is_same};
use crate::linalg::integers::{self, Panels};
use crate::simd::vectorised;
use crate::{Context, Error, Result};
use ndarray::ArrayView2;
use rayon::prelude::*;

/// Queries per block; one task.
const QUERIES: usize = 256;
/// Lists per root of the number of rows.
pub(crate) const LISTS: f64 = 2.0;
/// Sampled rows per list that the centroids are found from.
const SAMPLE: usize = 32;
/// Principal directions that rows of at least twice as many coordinates are scored in.
pub(crate) const DIRECTIONS: usize = 128;
/// Lloyd steps.
const STEPS: usize = 10;
/// Step of the random stream.
const STREAM: u64 = 0x6976_6600;

/// The database in lists.
struct Lists<'a> {
    /// How rows are scaled.
    database: Scaled<'a>,
    /// The rows of each list.
    panels: Vec<Panels>,
    /// Half the square of the row at each place, as in [`Scaled::half`].
    halves: Vec<i32>,
    /// Row of the database at each place.
    order: Vec<u32>,
    /// First place of each list, and the number of rows.
    offsets: Vec<usize>,
    centroids: Centroids,
}

/// L × width centroids of scaled rows, and half their squares.
struct Centroids {
    rows: Vec<f32>,
    halves: Vec<f32>,
}

impl Centroids {
    fn new(rows: Vec<f32>, d: usize) -> Self {
        let half = |row: &[f32]| 0.5 * row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let halves = rows.chunks(d).map(|row| half(row) as f32).collect();
        Centroids { rows, halves }
    }

    fn count(&self) -> usize {
        self.halves.len()
    }

    /// Scores x·c of `block` (rows × d): the mean cosine with the rows of each list, where these have length 1. With `nearest`
    /// less |c|²/2: the nearest centroid has the highest.
    fn score(&self, block: &[f32], nearest: bool, d: usize) -> Vec<f32> {
        let mut scores = vec![0.0; block.len() / d * self.count()];
        let halves = nearest.then_some(self.halves.as_slice());
        score(block, &self.rows, halves, d, &mut scores, self.count());
        scores
    }

    /// Nearest centroid of each row of `block`.
    fn assign(&self, block: &[f32], d: usize) -> Vec<u32> {
        self.score(block, true, d).chunks(self.count()).map(first_largest).collect()
    }

    /// Nearest centroid of each of the points.
    fn nearest(&self, scaled: &Scaled, points: &Points, ctx: &Context) -> Result<Vec<u32>> {
        let d = scaled.width();
        let all: Vec<usize> = (0..points.count()).collect();
        let of_block = |chosen: &[usize]| -> Result<Vec<u32>> {
            ctx.check()?;
            Ok(self.assign(&scaled.scale(points, chosen), d))
        };
        let blocks: Vec<Vec<u32>> = all.par_chunks(QUERIES).map(of_block).collect::<Result<_>>()?;
        Ok(blocks.concat())
    }
}

fn first_largest(scores: &[f32]) -> u32 {
    let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    (0..scores.len()).fold(0, better) as u32
}

/// The `k` nearest rows of the `probes` best lists for each of `queries`; 1 ≤ k ≤ m, d ≥ 1.
pub(super) fn search(
    queries: &Points,
    database: &Points,
    k: usize,
    probes: usize,
    seed: u64,
    ctx: &Context,
) -> Result<Neighbours> {
    let lists = Lists::new(database, queries, seed, ctx)?;
    let probes = lists.at_most(probes)?;
    let order = lists.order_of(queries, ctx)?;
    let blocks: Vec<Vec<(f64, u32)>> =
        order.par_chunks(QUERIES).map(|chosen| lists.search(queries, chosen, k, probes, ctx)).collect::<Result<_>>()?;
    let mut rows: Vec<&[(f64, u32)]> = vec![&[]; queries.count()];
    for (i, found) in order.into_iter().zip(blocks.iter().flat_map(|block| block.chunks(k))) {
        rows[i] = found;
    }
    Ok(Neighbours::from_pairs(k, rows.into_iter().flatten().copied()))
}

/// The same search for a backend that scores ranges of rows: a block of queries goes through all lists that any of its queries
/// would go through.
pub(crate) struct Plan {
    /// Rows of the database, list by list.
    pub(crate) order: Vec<u32>,
    /// Queries, by their nearest list.
    pub(crate) queries: Vec<u32>,
    /// First range of each block of queries, and the number of ranges at the end.
    pub(crate) pointers: Vec<u32>,
    /// First place and end of each range within `order`.
    pub(crate) ranges: Vec<u32>,
}

/// Plans the search of blocks of `block` queries; k and options as in [`super::search`].
///
/// # Errors
/// As [`super::search`].
pub(crate) fn plan(
    queries: ArrayView2<f32>,
    database: ArrayView2<f32>,
    (k, metric, block): (usize, Metric, usize),
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Plan> {
    let probes = options.probes(is_same(queries, database));
    let (queries, database) = (Points::new("queries", queries, metric)?, Points::new("database", database, metric)?);
    let lists = Lists::new(&database, &queries, options.seed, ctx)?;
    let probes = lists.at_most(probes)?;
    let order = lists.order_of(&queries, ctx)?;
    let count = lists.centroids.count();
    let of_block = |chosen: &[usize]| -> Result<Vec<u32>> {
        ctx.check()?;
        let mut visited = vec![false; count];
        let scores = lists.promise(&lists.database.scale(&queries, chosen));
        let probed = scores.chunks(count).flat_map(|scores| lists.probed(scores, k, probes));
        probed.for_each(|list| visited[list] = true);
        let mut ranges: Vec<u32> = Vec::new();
        for list in (0..count).filter(|&list| visited[list] && lists.offsets[list] < lists.offsets[list + 1]) {
            let (first, end) = (lists.offsets[list] as u32, lists.offsets[list + 1] as u32);
            match ranges.last_mut() {
                Some(last) if *last == first => *last = end,
                _ => ranges.extend([first, end]),
            }
        }
        Ok(ranges)
    };
    let blocks: Vec<Vec<u32>> = order.par_chunks(block).map(of_block).collect::<Result<_>>()?;
    let mut pointers = vec![0];
    pointers.extend(blocks.iter().scan(0, |sum, ranges| {
        *sum += ranges.len() as u32 / 2;
        Some(*sum)
    }));
    let queries = order.into_iter().map(|i| i as u32).collect();
    Ok(Plan { order: lists.order, queries, pointers, ranges: blocks.concat() })
}

impl<'a> Lists<'a> {
    /// How many lists are searched per query: no more than there are.
    fn at_most(&self, probes: usize) -> Result<usize> {
        if probes > 0 {
            return Ok(probes.min(self.centroids.count()));
        }
        Err(Error::argument("probes", "it is 0", "Search at least one list per cell."))
    }

    /// What each list promises to `block` (rows × width): under an angle the mean similarity. Ranked by the distance to the centroid,
    /// more lists are needed to find as much (docs/numerics.md): queries from elsewhere are far from all of them.
    fn promise(&self, block: &[f32]) -> Vec<f32> {
        let euclidean = self.database.points.metric() == Metric::Euclidean;
        self.centroids.score(block, euclidean, self.database.width())
    }

    /// All queries, by their nearest list: those of the same list go through the same lists together.
    fn order_of(&self, queries: &Points, ctx: &Context) -> Result<Vec<usize>> {
        let nearest = self.centroids.nearest(&self.database, queries, ctx)?;
        let mut order: Vec<usize> = (0..queries.count()).collect();
        order.sort_by_key(|&i| nearest[i]);
        Ok(order)
    }

    /// The rows of `database` in lists, scaled together with those of `queries`.
    fn new(database: &'a Points<'a>, queries: &Points, seed: u64, ctx: &Context) -> Result<Self> {
        let m = database.count();
        let count = ((LISTS * (m as f64).sqrt()).round() as usize).clamp(1, m.max(1));
        let mut scaled = Scaled::frame(database, queries);
        if database.dimension() >= 2 * DIRECTIONS {
            let directions = principal::directions(&scaled, queries, DIRECTIONS, seed, ctx)?;
            scaled = scaled.along(directions);
        }
        let centroids = train(&scaled, count, seed, ctx)?;
        let list = centroids.nearest(&scaled, database, ctx)?;
        let mut offsets = vec![0; count + 1];
        list.iter().for_each(|&list| offsets[list as usize + 1] += 1);
        (0..count).for_each(|i| offsets[i + 1] += offsets[i]);
        let mut order: Vec<u32> = (0..m as u32).collect();
        order.sort_by_key(|&i| list[i as usize]);
        let pairs = scaled.pairs();
        let of_list = |list: usize| -> (Panels, Vec<i32>) {
            let chosen: Vec<usize> = order[offsets[list]..offsets[list + 1]].iter().map(|&i| i as usize).collect();
            let rows = scaled.rounded(database, &chosen);
            let halves = chosen.iter().zip(rows.chunks(pairs)).map(|(&i, row)| scaled.half(database, i, row));
            (Panels::new(&rows, pairs), halves.collect())
        };
        let (panels, halves): (Vec<Panels>, Vec<Vec<i32>>) = (0..count).into_par_iter().map(of_list).unzip();
        let halves = halves.concat();
        Ok(Lists { database: scaled, panels, halves, order, offsets, centroids })
    }

    /// The `k` nearest of each of the `chosen` queries, query by query.
    fn search<'q>(
        &self,
        queries: &'q Points<'q>,
        chosen: &[usize],
        k: usize,
        probes: usize,
        ctx: &Context,
    ) -> Result<Vec<(f64, u32)>>
    where
        'a: 'q,
    {
        let (width, pairs) = (self.database.width(), self.database.pairs());
        let block = self.database.scale(queries, chosen);
        let rounded = integers::rounded(&block, width);
        let row = |at: usize| &rounded[at * pairs..(at + 1) * pairs];
        let of = |(at, &i): (usize, &usize)| {
            Best::new((queries, i, self.database.half(queries, i, row(at))), &self.database, k)
        };
        let mut best: Vec<Best> = chosen.iter().enumerate().map(of).collect();
        // Which of the queries go through which list.
        let mut visitors = vec![Vec::new(); self.centroids.count()];
        for (at, scores) in self.promise(&block).chunks(self.centroids.count()).enumerate() {
            self.probed(scores, k, probes).into_iter().for_each(|list| visitors[list].push(at));
        }
        let mut products = Vec::new();
        for (list, visitors) in visitors.iter().enumerate() {
            let range = self.offsets[list]..self.offsets[list + 1];
            if visitors.is_empty() || range.is_empty() {
                continue;
            }
            ctx.check()?;
            products.resize(visitors.len() * range.len(), 0);
            self.panels[list].products(|i| row(visitors[i]), &mut products);
            vectorised(
                #[inline(always)]
                || {
                    for (&at, products) in visitors.iter().zip(products.chunks(range.len())) {
                        let halves = &self.halves[range.clone()];
                        best[at].scan((products, halves), threshold, |j| self.order[range.start + j], |_, score| score);
                    }
                },
            );
        }
        Ok(finish(best))
    }

    /// The `probes` best lists, and as many more as k rows need; in no order.
    fn probed(&self, scores: &[f32], k: usize, probes: usize) -> Vec<usize> {
        let better = |&a: &usize, &b: &usize| scores[b].total_cmp(&scores[a]).then(a.cmp(&b));
        let mut lists: Vec<usize> = (0..scores.len()).collect();
        if probes < lists.len() {
            lists.select_nth_unstable_by(probes - 1, better);
        }
        let rows = |&list: &usize| self.offsets[list + 1] - self.offsets[list];
        let mut held: usize = lists[..probes].iter().map(rows).sum();
        if held < k {
            lists[probes..].sort_unstable_by(better);
        }
        let mut end = probes;
        while held < k && end < lists.len() {
            held += rows(&lists[end]);
            end += 1;
        }
        lists.truncate(end);
        lists
    }
}

/// k-means of a sample of the rows.
fn train(scaled: &Scaled, count: usize, seed: u64, ctx: &Context) -> Result<Centroids> {
    let d = scaled.width();
    let chosen = scaled.points.sample(count * SAMPLE, (seed, STREAM));
    let sample = scaled.scale(scaled.points, &chosen);
    let mut centroids = Centroids::new(sample[..count * d].to_vec(), d);
    for _ in 0..STEPS {
        let of_block = |block: &[f32]| -> Result<Vec<u32>> {
            ctx.check()?;
            Ok(centroids.assign(block, d))
        };
        let list: Vec<Vec<u32>> = sample.par_chunks(QUERIES * d).map(of_block).collect::<Result<_>>()?;
        let mut sums = vec![0.0f64; count * d];
        let mut held = vec![0usize; count];
        for (row, list) in sample.chunks(d).zip(list.into_iter().flatten()) {
            let list = list as usize;
            held[list] += 1;
            sums[list * d..(list + 1) * d].iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let mut next = centroids.rows;
        for list in (0..count).filter(|&list| held[list] > 0) {
            let range = list * d..(list + 1) * d;
            let mean = |sum: &f64| (sum / held[list] as f64) as f32;
            next[range.clone()].iter_mut().zip(&sums[range]).for_each(|(x, sum)| *x = mean(sum));
        }
        centroids = Centroids::new(next, d);
    }
    Ok(centroids)
}
