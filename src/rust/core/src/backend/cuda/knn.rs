//! Exact nearest neighbours on the device. In: queries (n × d) and a database (m × d), `f32`. Out: the k nearest as if every
//! distance had been computed in `f64`, ties by index: the same as the CPU's.
//!
//! A tiled kernel scores all pairs in `f32` and keeps the best of each query, some more than k. Those are measured in `f64`.
//! Where the list ends within the rounding error of the k-th best score, a row outside of it might belong to the result:
//! that query is measured against all rows.

use super::gpu::{Buffer, Gpu, KNN, launch};
use super::projection::Latent;
use crate::knn::{KnnOptions, Method, Metric, Neighbours, check_sizes, slack};
use crate::{Context, Error, Result};
use cudarc::driver::CudaView;
use ndarray::ArrayView2;
use std::ops::Range;

/// Queries per block of the kernel.
const QUERIES: usize = 64;
/// Most queries between two looks at whether to stop.
const TILE: usize = 1 << 16;
/// Listed rows beyond k; lists are multiples of a warp.
const MARGIN: usize = 16;
/// The longest list.
const LONGEST: usize = 1024;

/// Why a search runs on the processor, if it does.
pub(super) fn why_not(k: usize, m: usize, d: usize, options: &KnnOptions) -> Option<String> {
    match options.method {
        Method::Hnsw => Some("HNSW graphs are built and searched on the processor only".to_owned()),
        Method::InvertedFile if d > 0 => Some("inverted files are searched on the processor only".to_owned()),
        _ if k <= m && k + MARGIN > LONGEST => Some(format!("{k} neighbours do not fit the lists of the GPU")),
        _ => None,
    }
}

/// Rows of coordinates on the device.
struct Rows<'a> {
    values: CudaView<'a, f32>,
    count: usize,
    d: usize,
    stride: usize,
}

/// What a search needs to know of rows.
struct Prepared {
    means: Buffer<f64>,
    squares: Buffer<f64>,
    scaled: Buffer<f32>,
    halves: Buffer<f32>,
}

/// How rows are scaled under Euclid: (x − centre) · factor.
struct Frame {
    centre: Vec<f64>,
    factor: f64,
}

fn code(metric: Metric) -> u32 {
    match metric {
        Metric::Cosine => 0,
        Metric::Correlation => 1,
        Metric::Euclidean => 2,
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
    ctx: &Context,
) -> Result<Neighbours> {
    check_sizes(queries, database, k)?;
    let frame =
        if metric == Metric::Euclidean { frame(queries, database) } else { Frame { centre: vec![], factor: 1.0 } };
    let send = |view: ArrayView2<f32>| gpu.send(view.as_standard_layout().as_slice().unwrap_or_default());
    let same = std::ptr::eq(queries.as_ptr(), database.as_ptr()) && queries.dim() == database.dim();
    let on_device = send(database)?;
    let of_queries = if same { None } else { Some(send(queries)?) };
    let rows = |buffer, view: ArrayView2<f32>| Rows {
        values: Buffer::slice(buffer, ..),
        count: view.nrows(),
        d: view.ncols(),
        stride: view.ncols(),
    };
    let queries = rows(of_queries.as_ref().unwrap_or(&on_device), queries);
    search_rows(gpu, &queries, &rows(&on_device, database), k, metric, &frame, ctx)
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
    ctx: &Context,
) -> Result<Neighbours> {
    let width = latent.width();
    let rows = |cells: Range<usize>| Rows {
        count: cells.len(),
        values: latent.buffer().slice(cells.start * width..cells.end * width),
        d: width,
        stride: width,
    };
    let frame = Frame { centre: vec![], factor: 1.0 };
    search_rows(gpu, &rows(queries), &rows(database), k, Metric::Cosine, &frame, ctx)
}

/// The centre of the database, and the scale that leaves no row longer than 1.
fn frame(queries: ArrayView2<f32>, database: ArrayView2<f32>) -> Frame {
    let mut centre = vec![0.0; database.ncols()];
    for row in database.rows() {
        centre.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    centre.iter_mut().for_each(|sum| *sum /= database.nrows().max(1) as f64);
    let square =
        |row: ndarray::ArrayView1<f32>| row.iter().zip(&centre).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum();
    let longest = queries.rows().into_iter().chain(database.rows()).map(square).fold(0.0, f64::max).sqrt();
    Frame { factor: if longest > 0.0 { 1.0 / longest } else { 1.0 }, centre }
}

fn prepare(gpu: &Gpu, argument: &str, rows: &Rows, metric: Metric, frame: &Frame) -> Result<Prepared> {
    let (count, d, stride, kind) = (rows.count as u32, rows.d as u32, rows.stride as u32, code(metric));
    let mut means = gpu.unset::<f64>(rows.count)?;
    let mut squares = gpu.unset::<f64>(rows.count)?;
    let blocks = (rows.count.div_ceil(128), 1);
    launch!(gpu, KNN, "row_moments", blocks, 128, &rows.values, &count, &d, &stride, &kind, &mut means, &mut squares);
    if let Some(i) = gpu.receive(&squares, rows.count)?.iter().position(|square| !square.is_finite()) {
        let found = format!("row {} holds a coordinate that is missing or infinite", i + 1);
        return Err(Error::argument(argument, found, "Pass finite coordinates."));
    }
    let (centre, factor) = (gpu.send(&frame.centre)?, frame.factor);
    let mut scaled = gpu.unset::<f32>(rows.count * rows.d)?;
    let mut halves = gpu.unset::<f32>(rows.count)?;
    launch!(
        gpu,
        KNN,
        "scale_rows",
        blocks,
        128,
        &rows.values,
        &count,
        &d,
        &stride,
        &kind,
        &means,
        &squares,
        &centre,
        &factor,
        &mut scaled,
        &mut halves
    );
    Ok(Prepared { means, squares, scaled, halves })
}

fn search_rows(
    gpu: &Gpu,
    queries: &Rows,
    database: &Rows,
    k: usize,
    metric: Metric,
    frame: &Frame,
    ctx: &Context,
) -> Result<Neighbours> {
    let prepared = prepare(gpu, "database", database, metric, frame)?;
    let length = (k + MARGIN).next_multiple_of(32);
    let bytes = length * 16 + k * 12 + database.d * 4 + 32;
    let tile = gpu.tile("the neighbour search", queries.count, bytes, QUERIES)?.min(TILE);
    let mut found = Neighbours { k, indices: Vec::new(), distances: Vec::new() };
    let mut again = 0;
    for first in (0..queries.count).step_by(tile.max(1)) {
        ctx.check()?;
        let count = tile.min(queries.count - first);
        let start = first * queries.stride;
        let part = Rows {
            values: queries.values.slice(start..start + count * queries.stride),
            count,
            d: queries.d,
            stride: queries.stride,
        };
        let search = Search { gpu, queries: &part, database, prepared: &prepared, k, length, metric };
        again += search.tile(frame, &mut found, ctx)?;
    }
    let reason = format!("all pairs on the GPU; {again} cells with near ties were measured against all others");
    ctx.choose("knn", "exact", reason);
    Ok(found)
}

/// The search of a tile of queries.
struct Search<'a> {
    gpu: &'a Gpu,
    queries: &'a Rows<'a>,
    database: &'a Rows<'a>,
    prepared: &'a Prepared,
    k: usize,
    length: usize,
    metric: Metric,
}

impl Search<'_> {
    /// Appends what was found; returns how many queries were measured against all rows.
    fn tile(&self, frame: &Frame, found: &mut Neighbours, ctx: &Context) -> Result<usize> {
        let (gpu, queries, k) = (self.gpu, self.queries, self.k);
        let own = prepare(gpu, "queries", queries, self.metric, frame)?;
        let (n, m, d) = (queries.count as u32, self.database.count as u32, queries.d as u32);
        let (length, neighbours) = (self.length as u32, k as u32);
        let mut scores = gpu.send(&vec![f32::NEG_INFINITY; queries.count * self.length])?;
        let mut rows = gpu.unset::<u32>(queries.count * self.length)?;
        let (scaled, halves) = (&self.prepared.scaled, &self.prepared.halves);
        launch!(
            gpu,
            KNN,
            "nearest",
            (queries.count.div_ceil(QUERIES), 1),
            256,
            &own.scaled,
            &n,
            scaled,
            halves,
            &m,
            &d,
            &length,
            &mut scores,
            &mut rows
        );
        let mut distances = gpu.unset::<f64>(queries.count * self.length)?;
        let mut indices = gpu.unset::<u32>(queries.count * k)?;
        let mut nearest = gpu.unset::<f64>(queries.count * k)?;
        let mut uncertain = gpu.unset::<u32>(queries.count)?;
        let (stride, database_stride) = (queries.stride as u32, self.database.stride as u32);
        let (kind, margin) = (code(self.metric), slack(queries.d));
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
            &stride,
            &self.database.values,
            &self.prepared.means,
            &self.prepared.squares,
            &m,
            &database_stride,
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
        let uncertain = gpu.receive(&uncertain, queries.count)?;
        let again: Vec<usize> = (0..queries.count).filter(|&i| uncertain[i] != 0).collect();
        let (means, squares) = (gpu.receive(&own.means, queries.count)?, gpu.receive(&own.squares, queries.count)?);
        for &i in &again {
            ctx.check()?;
            let (indices, distances) = self.against_all(i, means[i], squares[i])?;
            found.indices[start + i * k..][..k].copy_from_slice(&indices);
            found.distances[start + i * k..][..k].copy_from_slice(&distances);
        }
        Ok(again.len())
    }

    /// The k nearest of all rows to query `i`.
    fn against_all(&self, i: usize, mean: f64, square: f64) -> Result<(Vec<u32>, Vec<f64>)> {
        let (gpu, m) = (self.gpu, self.database.count);
        let query = self.queries.values.slice(i * self.queries.stride..i * self.queries.stride + self.queries.d);
        let mut distances = gpu.unset::<f64>(m)?;
        let (count, stride, d, kind) =
            (m as u32, self.database.stride as u32, self.database.d as u32, code(self.metric));
        launch!(
            gpu,
            KNN,
            "distances_of",
            (m.div_ceil(128), 1),
            128,
            &query,
            &mean,
            &square,
            &self.database.values,
            &self.prepared.means,
            &self.prepared.squares,
            &count,
            &stride,
            &d,
            &kind,
            &mut distances
        );
        let mut rows = gpu.unset::<u32>(self.k)?;
        let mut nearest = gpu.unset::<f64>(self.k)?;
        let neighbours = self.k as u32;
        launch!(gpu, KNN, "smallest", (1, 1), 256, &distances, &count, &neighbours, &mut rows, &mut nearest);
        Ok((gpu.receive(&rows, self.k)?, gpu.receive(&nearest, self.k)?))
    }
}
