//! Nearest neighbours on the device. In: queries (n × d) and a database (m × d), `f32`. Out: k neighbours per query, nearest
//! first, ties by index; distances in `f64`.
//!
//! A tiled kernel scores pairs in `f32` and keeps the best of each query, some more than k. Those are measured in `f64`. Where
//! the list ends within the rounding error of the k-th best score, a row outside of it might belong to the result: that query
//! is measured against all rows. So an exact search finds what the CPU finds. Above `exact_limit` cells, or where it is asked
//! for, blocks of queries go through the lists of an inverted file only, which is made on the processor.

use super::gpu::{Buffer, Gpu, KNN, launch};
use super::projection::Latent;
use crate::knn::{KnnOptions, Method, Metric, Neighbours, Plan, check_sizes, choose, plan};
use crate::{Context, Error, Result};
use cudarc::driver::CudaView;
use ndarray::{ArrayView2, s};
use std::ops::Range;

/// Queries per block of the kernel, and its threads.
const QUERIES: usize = 64;
const THREADS: u32 = 128;
/// Scaled rows are padded to a multiple of this many coordinates.
const DEPTH: usize = 8;
/// Most queries between two looks at whether to stop.
const TILE: usize = 1 << 16;
/// Listed rows beyond k; lists are multiples of a warp.
const MARGIN: usize = 16;
/// The longest list.
const LONGEST: usize = 1024;

/// Why a search runs on the processor, if it does.
pub(super) fn why_not(k: usize, m: usize, options: &KnnOptions) -> Option<String> {
    match options.method {
        Method::Hnsw => Some("HNSW graphs are built and searched on the processor only".to_owned()),
        _ if k <= m && k + MARGIN > LONGEST => Some(format!("{k} neighbours do not fit the lists of the GPU")),
        _ => None,
    }
}

/// More than twice what a score of two rows of `dimension` coordinates, no longer than 1, can be off by: γ_d = d·u / (1 − d·u),
/// u = 2⁻²⁴ (Higham 2002, section 3.1), plus the rounding of the scaled coordinates, of |y|²/2 and of the sums with it.
fn slack(dimension: usize) -> f32 {
    let rounding = f64::from(f32::EPSILON) / 2.0;
    let terms = (dimension + 16) as f64 * rounding;
    (2.5 * terms / (1.0 - terms).max(0.5)) as f32
}

/// Coordinates of a scaled row.
fn padded(d: usize) -> usize {
    d.next_multiple_of(DEPTH)
}

/// Rows of coordinates on the device.
struct Rows<'a> {
    values: CudaView<'a, f32>,
    count: usize,
    d: usize,
}

impl<'a> Rows<'a> {
    fn new(buffer: &'a Buffer<f32>, count: usize, d: usize) -> Self {
        Rows { values: buffer.slice(..count * d), count, d }
    }

    fn part(&self, rows: Range<usize>) -> Rows<'_> {
        Rows { values: self.values.slice(rows.start * self.d..rows.end * self.d), count: rows.len(), d: self.d }
    }

    /// The same rows in another order.
    fn gather(&self, gpu: &Gpu, order: &[u32]) -> Result<Buffer<f32>> {
        let mut out = gpu.unset::<f32>(order.len() * self.d)?;
        let (order, count, d) = (gpu.send(order)?, order.len() as u32, self.d as u32);
        launch!(gpu, KNN, "gather_rows", (count as usize, 1), 64, &self.values, &order, &count, &d, &d, &mut out);
        Ok(out)
    }
}

/// What a search needs to know of rows.
struct Prepared {
    means: Buffer<f64>,
    squares: Buffer<f64>,
    scaled: Buffer<f32>,
    halves: Buffer<f32>,
}

/// The metric, and how rows are scaled under Euclid: (x − centre) · factor.
struct Frame {
    metric: Metric,
    centre: Vec<f64>,
    factor: f64,
}

impl Frame {
    /// For an angle.
    fn angle(metric: Metric) -> Self {
        Frame { metric, centre: Vec::new(), factor: 1.0 }
    }

    /// The centre of the database, and the scale that leaves no row longer than 1.
    fn euclidean(queries: ArrayView2<f32>, database: ArrayView2<f32>) -> Self {
        let mut centre = vec![0.0; database.ncols()];
        for row in database.rows() {
            centre.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        centre.iter_mut().for_each(|sum| *sum /= database.nrows().max(1) as f64);
        let square =
            |row: ndarray::ArrayView1<f32>| row.iter().zip(&centre).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum();
        let longest = queries.rows().into_iter().chain(database.rows()).map(square).fold(0.0, f64::max).sqrt();
        Frame { metric: Metric::Euclidean, factor: if longest > 0.0 { 1.0 / longest } else { 1.0 }, centre }
    }

    /// As the kernels number metrics.
    fn code(&self) -> u32 {
        match self.metric {
            Metric::Cosine => 0,
            Metric::Correlation => 1,
            Metric::Euclidean => 2,
        }
    }

    fn prepare(&self, gpu: &Gpu, argument: &str, rows: &Rows) -> Result<Prepared> {
        let (count, d, kind, blocks) = (rows.count as u32, rows.d as u32, self.code(), (rows.count.div_ceil(128), 1));
        let (mut means, mut squares) = (gpu.unset::<f64>(rows.count)?, gpu.unset::<f64>(rows.count)?);
        launch!(gpu, KNN, "row_moments", blocks, 128, &rows.values, &count, &d, &d, &kind, &mut means, &mut squares);
        if let Some(i) = gpu.receive(&squares, rows.count)?.iter().position(|square| !square.is_finite()) {
            let found = format!("row {} holds a coordinate that is missing or infinite", i + 1);
            return Err(Error::argument(argument, found, "Pass finite coordinates."));
        }
        let (centre, factor) = (gpu.send(&self.centre)?, self.factor);
        let width = padded(rows.d);
        let (mut scaled, mut halves) = (gpu.unset::<f32>(rows.count * width)?, gpu.unset::<f32>(rows.count)?);
        let width = width as u32;
        launch!(
            gpu,
            KNN,
            "scale_rows",
            blocks,
            128,
            &rows.values,
            &count,
            &d,
            &d,
            &kind,
            &means,
            &squares,
            &centre,
            &factor,
            &width,
            &mut scaled,
            &mut halves
        );
        Ok(Prepared { means, squares, scaled, halves })
    }
}

/// The `k` nearest rows of `database` for each of `queries`.
///
/// # Errors
/// As [`crate::knn::search`]; [`Error::Device`].
pub(super) fn search(
    gpu: &Gpu,
    queries: ArrayView2<f32>,
    database: ArrayView2<f32>,
    k: usize,
    metric: Metric,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    check_sizes(queries, database, k)?;
    let send = |view: ArrayView2<f32>| gpu.send(view.as_standard_layout().as_slice().unwrap_or_default());
    let same = std::ptr::eq(queries.as_ptr(), database.as_ptr()) && queries.dim() == database.dim();
    let on_device = send(database)?;
    let of_queries = if same { None } else { Some(send(queries)?) };
    let rows = |buffer, view: ArrayView2<f32>| Rows::new(buffer, view.nrows(), view.ncols());
    let (from, to) = (rows(of_queries.as_ref().unwrap_or(&on_device), queries), rows(&on_device, database));
    let frame = match metric {
        Metric::Euclidean => Frame::euclidean(queries, database),
        _ => Frame::angle(metric),
    };
    match choose(options, database.nrows(), database.ncols(), ctx) {
        Method::InvertedFile => {
            let plan = plan(queries, database, (k, metric, QUERIES), options, ctx)?;
            through_lists(gpu, &from, &to, k, &frame, &plan, ctx)
        }
        _ => among_all(gpu, &from, &to, k, &frame, ctx),
    }
}

/// The `k` nearest of the cells `database` for the cells `queries` of the latent space, by cosine.
///
/// # Errors
/// As [`search`].
pub(super) fn search_latent(
    gpu: &Gpu,
    latent: &Latent,
    queries: Range<usize>,
    database: Range<usize>,
    k: usize,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    let all = Rows::new(latent.buffer(), latent.cells(), latent.width());
    let (from, to, frame) = (all.part(queries.clone()), all.part(database.clone()), Frame::angle(Metric::Cosine));
    match choose(options, database.len(), latent.width(), ctx) {
        Method::InvertedFile => {
            let host = latent.to_host(gpu)?;
            let (queries, database) = (host.slice(s![queries, ..]), host.slice(s![database, ..]));
            let plan = plan(queries, database, (k, Metric::Cosine, QUERIES), options, ctx)?;
            through_lists(gpu, &from, &to, k, &frame, &plan, ctx)
        }
        _ => among_all(gpu, &from, &to, k, &frame, ctx),
    }
}

/// The k nearest of all rows.
fn among_all(gpu: &Gpu, queries: &Rows, database: &Rows, k: usize, frame: &Frame, ctx: &Context) -> Result<Neighbours> {
    let m = database.count as u32;
    let search = Search {
        names: gpu.send(&(0..m).collect::<Vec<u32>>())?,
        pointers: gpu.send(&[0, 1])?,
        ranges: gpu.send(&[0, m])?,
        planned: false,
        ..Search::new(gpu, database, k, frame)?
    };
    search.run(queries, ctx)
}

/// The k nearest among the rows of the planned lists.
fn through_lists(
    gpu: &Gpu,
    queries: &Rows,
    database: &Rows,
    k: usize,
    frame: &Frame,
    plan: &Plan,
    ctx: &Context,
) -> Result<Neighbours> {
    let (from, to) = (queries.gather(gpu, &plan.queries)?, database.gather(gpu, &plan.order)?);
    let (from, to) = (Rows::new(&from, queries.count, queries.d), Rows::new(&to, database.count, database.d));
    let search = Search {
        names: gpu.send(&plan.order)?,
        pointers: gpu.send(&plan.pointers)?,
        ranges: gpu.send(&plan.ranges)?,
        planned: true,
        ..Search::new(gpu, &to, k, frame)?
    };
    let found = search.run(&from, ctx)?;
    let (mut indices, mut distances) = (vec![0; found.indices.len()], vec![0.0; found.distances.len()]);
    for (place, &query) in plan.queries.iter().enumerate() {
        let (from, to) = (found.of(place), query as usize * k..(query as usize + 1) * k);
        indices[to.clone()].copy_from_slice(from.0);
        distances[to].copy_from_slice(from.1);
    }
    Ok(Neighbours { k, indices, distances })
}

/// A search in one database.
struct Search<'a> {
    gpu: &'a Gpu,
    database: &'a Rows<'a>,
    prepared: Prepared,
    frame: &'a Frame,
    k: usize,
    /// Length of the list of each query.
    length: usize,
    /// Index of each row as it was given.
    names: Buffer<u32>,
    /// Ranges of rows: of each block of queries, or one for all.
    pointers: Buffer<u32>,
    ranges: Buffer<u32>,
    /// Whether blocks have ranges of their own; then what lies outside of them does not count.
    planned: bool,
}

impl<'a> Search<'a> {
    fn new(gpu: &'a Gpu, database: &'a Rows<'a>, k: usize, frame: &'a Frame) -> Result<Self> {
        let (prepared, length) = (frame.prepare(gpu, "database", database)?, (k + MARGIN).next_multiple_of(32));
        let none = || gpu.unset::<u32>(0);
        let (names, pointers, ranges) = (none()?, none()?, none()?);
        Ok(Search { gpu, database, prepared, frame, k, length, names, pointers, ranges, planned: false })
    }

    fn run(&self, queries: &Rows, ctx: &Context) -> Result<Neighbours> {
        let bytes = self.length * 16 + self.k * 12 + padded(queries.d) * 4 + 32;
        let tile = self.gpu.tile("the neighbour search", queries.count, bytes, QUERIES)?.min(TILE);
        // Rounded up: a few queries left over would take as long as all.
        let tile = tile.next_multiple_of(QUERIES);
        let mut found = Neighbours { k: self.k, indices: Vec::new(), distances: Vec::new() };
        let mut again = 0;
        for first in (0..queries.count).step_by(tile) {
            ctx.check()?;
            again += self.tile(&queries.part(first..queries.count.min(first + tile)), first, &mut found, ctx)?;
        }
        if again > 0 {
            let reason = "their lists ended among near ties, and they were measured against all cells";
            ctx.choose("knn, near ties", format!("{again} cells"), reason);
        }
        Ok(found)
    }

    /// Appends what was found for a tile of queries from `first` on; returns how many were measured against all rows.
    fn tile(&self, queries: &Rows, first: usize, found: &mut Neighbours, ctx: &Context) -> Result<usize> {
        let (gpu, k, kind) = (self.gpu, self.k, self.frame.code());
        let own = self.frame.prepare(gpu, "queries", queries)?;
        let (n, d, length, neighbours) = (queries.count as u32, queries.d as u32, self.length as u32, k as u32);
        let width = padded(queries.d) as u32;
        let mut scores = gpu.unset::<f32>(queries.count * self.length)?;
        let mut rows = gpu.unset::<u32>(queries.count * self.length)?;
        let (scaled, halves, per_block) = (&self.prepared.scaled, &self.prepared.halves, u32::from(self.planned));
        let pointers = self.pointers.slice(if self.planned { first / QUERIES } else { 0 }..);
        launch!(
            gpu,
            KNN,
            "nearest",
            (queries.count.div_ceil(QUERIES), 1),
            THREADS,
            &own.scaled,
            &n,
            scaled,
            halves,
            &pointers,
            &self.ranges,
            &per_block,
            &width,
            &length,
            &mut scores,
            &mut rows
        );
        let mut distances = gpu.unset::<f64>(queries.count * self.length)?;
        let (mut indices, mut nearest) = (gpu.unset::<u32>(queries.count * k)?, gpu.unset::<f64>(queries.count * k)?);
        let mut uncertain = gpu.unset::<u32>(queries.count)?;
        let margin = slack(queries.d);
        launch!(
            gpu,
            KNN,
            "measure",
            (queries.count.div_ceil(4), 1),
            128,
            &queries.values,
            &own.means,
            &own.squares,
            &n,
            &d,
            &self.database.values,
            &self.prepared.means,
            &self.prepared.squares,
            &self.names,
            &d,
            &d,
            &kind,
            &scores,
            &rows,
            &length,
            &margin,
            &neighbours,
            &mut distances,
            &mut indices,
            &mut nearest,
            &mut uncertain
        );
        let start = found.indices.len();
        found.indices.extend(gpu.receive(&indices, queries.count * k)?);
        found.distances.extend(gpu.receive(&nearest, queries.count * k)?);
        if self.planned || self.database.count <= self.length {
            return Ok(0);
        }
        let uncertain = gpu.receive(&uncertain, queries.count)?;
        let (means, squares) = (gpu.receive(&own.means, queries.count)?, gpu.receive(&own.squares, queries.count)?);
        let again: Vec<usize> = (0..queries.count).filter(|&i| uncertain[i] != 0).collect();
        for &i in &again {
            ctx.check()?;
            let (indices, distances) = self.against_all(&queries.part(i..i + 1), means[i], squares[i])?;
            found.indices[start + i * k..][..k].copy_from_slice(&indices);
            found.distances[start + i * k..][..k].copy_from_slice(&distances);
        }
        Ok(again.len())
    }

    /// The k nearest of all rows to one query.
    fn against_all(&self, query: &Rows, mean: f64, square: f64) -> Result<(Vec<u32>, Vec<f64>)> {
        let (gpu, m) = (self.gpu, self.database.count);
        let mut distances = gpu.unset::<f64>(m)?;
        let (count, d, kind) = (m as u32, self.database.d as u32, self.frame.code());
        launch!(
            gpu,
            KNN,
            "distances_of",
            (m.div_ceil(128), 1),
            128,
            &query.values,
            &mean,
            &square,
            &self.database.values,
            &self.prepared.means,
            &self.prepared.squares,
            &count,
            &d,
            &d,
            &kind,
            &mut distances
        );
        let (mut rows, mut nearest, neighbours) = (gpu.unset::<u32>(self.k)?, gpu.unset::<f64>(self.k)?, self.k as u32);
        launch!(gpu, KNN, "smallest", (1, 1), 256, &distances, &count, &neighbours, &mut rows, &mut nearest);
        Ok((gpu.receive(&rows, self.k)?, gpu.receive(&nearest, self.k)?))
    }
}
