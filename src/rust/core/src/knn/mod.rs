//! Nearest neighbours. In: queries (n × d) and a database (m × d), `f32`, one row per cell. Out: k neighbours per query,
//! nearest first, ties by index; distances are computed in `f64` from the `f32` coordinates whatever the search was.

mod candidates;
mod exact;
mod hnsw;
mod ivf;
mod points;
mod principal;

use crate::backend::{Backend, Cpu};
use crate::{Context, Error, Result};
pub(crate) use candidates::HELD;
pub(crate) use ivf::{DIRECTIONS, LISTS, Plan, plan};
use ndarray::ArrayView2;
use points::Points;
pub(crate) use points::dot;

/// How far two cells are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metric {
    /// 1 − cosine of the angle; a zero vector has the similarity 0 with everything.
    #[default]
    Cosine,
    /// 1 − Pearson correlation of the coordinates.
    Correlation,
    /// Euclidean distance.
    Euclidean,
}

/// How neighbours are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Exact up to `KnnOptions::exact_limit` cells in the database, else an inverted file.
    #[default]
    Auto,
    /// All pairs, by blocked matrix products.
    Exact,
    /// Inverted file: the lists whose centroids are nearest are searched exactly.
    InvertedFile,
    /// Hierarchical navigable small worlds (hnsw_rs), built serially so that the index is the same every time.
    Hnsw,
}

/// Options of a neighbour search.
#[derive(Debug, Clone, PartialEq)]
pub struct KnnOptions {
    /// How to search.
    pub method: Method,
    /// Largest database that `Auto` searches exactly.
    pub exact_limit: usize,
    /// Lists of the inverted file searched per query: a number, not a share, so that time does not grow with the square of the
    /// database. Where a set searches itself, a quarter of them: strangers lie between lists.
    pub probes: usize,
    /// Connections per layer of the HNSW graph (at most 256).
    pub hnsw_m: usize,
    /// Candidates held while the HNSW graph is built.
    pub hnsw_ef_construction: usize,
    /// Candidates held while the HNSW graph is searched.
    pub hnsw_ef: usize,
    /// Seed of the inverted file's centroids.
    pub seed: u64,
}

impl Default for KnnOptions {
    fn default() -> Self {
        KnnOptions {
            method: Method::Auto,
            exact_limit: 30_000,
            probes: 128,
            hnsw_m: 48,
            hnsw_ef_construction: 200,
            hnsw_ef: 200,
            seed: 0,
        }
    }
}

impl KnnOptions {
    /// Lists searched per query.
    pub(crate) fn probes(&self, within_one_set: bool) -> usize {
        if within_one_set { self.probes.div_ceil(4) } else { self.probes }
    }

    /// Whether a database of `m` cells is searched exactly.
    pub(crate) fn are_exact(&self, m: usize) -> bool {
        self.method == Method::Exact || (self.method == Method::Auto && m <= self.exact_limit)
    }
}

/// `k` neighbours of each of n cells, row by row, nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Neighbours per cell.
    pub k: usize,
    /// n × k indices into the database.
    pub indices: Vec<u32>,
    /// n × k distances.
    pub distances: Vec<f64>,
}

impl Neighbours {
    /// Number of cells whose neighbours these are.
    pub fn cells(&self) -> usize {
        self.indices.len().checked_div(self.k).unwrap_or(0)
    }

    /// From n × k pairs, cell by cell.
    fn from_pairs(k: usize, pairs: impl Iterator<Item = (f64, u32)>) -> Self {
        let (distances, indices) = pairs.unzip();
        Neighbours { k, indices, distances }
    }

    /// Neighbours of cell `i`.
    pub fn indices_of(&self, i: usize) -> &[u32] {
        &self.indices[i * self.k..(i + 1) * self.k]
    }

    /// Neighbours of cell `i` and their distances.
    pub fn of(&self, i: usize) -> (&[u32], &[f64]) {
        let range = i * self.k..(i + 1) * self.k;
        (&self.indices[range.clone()], &self.distances[range])
    }
}

/// Rows that are likely near those of either of two sets, such as the neighbours that an earlier search found: k different ones
/// each, row by row. No result depends on them; an exact search is the faster the nearer they are.
pub type Likely<'a> = Option<(&'a [u32], &'a [u32])>;

/// The `k` nearest rows of `database` (m × d) for every row of `queries` (n × d). Where both are the same view, an exact search
/// scores every pair once.
///
/// # Errors
/// [`Error::Shape`] when the dimensions differ; [`Error::Argument`] when `k` is 0 or larger than the database, or a
/// coordinate is not finite.
pub fn search(
    queries: ArrayView2<f32>,
    database: ArrayView2<f32>,
    k: usize,
    metric: Metric,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    check_sizes(queries, database, k)?;
    let (d, m) = (queries.ncols(), database.nrows());
    let same = is_same(queries, database);
    let queries = Points::new("queries", queries, metric)?;
    if same && d > 0 && options.are_exact(m) {
        choose(options, m, d, ctx);
        return exact::search_self(&queries, k, ctx);
    }
    let database = Points::new("database", database, metric)?;
    match choose(options, m, d, ctx) {
        Method::Exact | Method::Auto => exact::search(&queries, &database, k, ctx),
        Method::InvertedFile => ivf::search(&queries, &database, k, options.probes(same), options.seed, ctx),
        Method::Hnsw => hnsw::search(&queries, &database, k, options, ctx),
    }
}

/// Whether a set of points searches itself.
fn is_same(queries: ArrayView2<f32>, database: ArrayView2<f32>) -> bool {
    queries.as_ptr() == database.as_ptr() && queries.raw_dim() == database.raw_dim()
}

/// Queries and database must have the same coordinates, and the database k rows.
pub(crate) fn check_sizes(queries: ArrayView2<f32>, database: ArrayView2<f32>, k: usize) -> Result<()> {
    let (d, m) = (queries.ncols(), database.nrows());
    if d != database.ncols() {
        let (expected, found) = (format!("{} coordinates, as in the database", database.ncols()), format!("{d}"));
        return Err(Error::shape("neighbour search", expected, found));
    }
    if k == 0 || k > m || m > u32::MAX as usize {
        let found = format!("{k} neighbours were asked for among {m} cells");
        return Err(Error::argument(
            "k",
            found,
            "Ask for at least 1 and at most as many neighbours as there are cells.",
        ));
    }
    Ok(())
}

/// Two sets of points that search each other: the `k.0` nearest rows of `right` for every row of `left`, and the `k.1`
/// nearest of `left` for every row of `right`. The same as two searches, at half the cost where both are exact.
///
/// # Errors
/// As [`search`]; [`Error::Shape`] or [`Error::Argument`] when `likely` names other than k different rows each.
pub fn search_both(
    left: ArrayView2<f32>,
    right: ArrayView2<f32>,
    k: (usize, usize),
    likely: Likely,
    metric: Metric,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<(Neighbours, Neighbours)> {
    let (d, n, m) = (left.ncols(), left.nrows(), right.nrows());
    if d == 0 || !options.are_exact(n.max(m)) {
        let forward = search(left, right, k.0, metric, options, ctx)?;
        return Ok((forward, search(right, left, k.1, metric, options, ctx)?));
    }
    check_sizes(left, right, k.0)?;
    check_sizes(right, left, k.1)?;
    check_likely(likely.map(|(right, _)| right), (n, m, k.0))?;
    check_likely(likely.map(|(_, left)| left), (m, n, k.1))?;
    for m in [m, n] {
        choose(options, m, d, ctx);
    }
    let (left, right) = (Points::new("queries", left, metric)?, Points::new("database", right, metric)?);
    exact::search_both(&left, &right, k, likely, ctx)
}

/// Rows that are likely near must be k different rows of the database for each query.
fn check_likely(likely: Option<&[u32]>, (n, m, k): (usize, usize, usize)) -> Result<()> {
    let Some(likely) = likely else { return Ok(()) };
    if likely.len() != n * k {
        return Err(Error::shape(
            "likely neighbours",
            format!("{k} for each of {n} cells"),
            format!("{}", likely.len()),
        ));
    }
    let are_different = |rows: &[u32]| {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.windows(2).all(|pair| pair[0] < pair[1]) && rows.last().is_none_or(|&last| (last as usize) < m)
    };
    match likely.chunks_exact(k).position(|rows| !are_different(rows)) {
        None => Ok(()),
        Some(i) => {
            let found = format!("{:?} for cell {i} among {m}", &likely[i * k..(i + 1) * k]);
            Err(Error::argument("likely", found, "Name each cell once, by its number."))
        }
    }
}

/// The method that will be used; without coordinates only the exact one works.
pub(crate) fn choose(options: &KnnOptions, m: usize, d: usize, ctx: &Context) -> Method {
    if d == 0 {
        return Method::Exact;
    }
    if options.method != Method::Auto {
        return options.method;
    }
    let limit = options.exact_limit;
    if options.are_exact(m) {
        ctx.choose("knn", "exact", format!("{m} cells to search among, at most {limit}"));
        Method::Exact
    } else {
        ctx.choose("knn", "inverted file", format!("{m} cells to search among, more than {limit}"));
        Method::InvertedFile
    }
}

/// The `k` nearest rows for every row of `points` (n × d): the row itself first, at distance 0 even where it is a zero
/// vector or has duplicates, then the k − 1 nearest others.
///
/// # Errors
/// As [`search`].
pub fn search_self(
    points: ArrayView2<f32>,
    k: usize,
    metric: Metric,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    search_self_on(&Cpu, points, k, metric, options, ctx)
}

/// [`search_self`] on a backend.
///
/// # Errors
/// As [`search`]; those of the backend.
pub fn search_self_on<B: Backend>(
    backend: &B,
    points: ArrayView2<f32>,
    k: usize,
    metric: Metric,
    options: &KnnOptions,
    ctx: &Context,
) -> Result<Neighbours> {
    let mut found = backend.neighbours(points, points, k, metric, options, ctx)?;
    for (i, (indices, distances)) in found.indices.chunks_mut(k).zip(found.distances.chunks_mut(k)).enumerate() {
        // Without itself, the last of the k is one too many.
        let at = indices.iter().position(|&j| j as usize == i).unwrap_or(k - 1);
        indices[..=at].rotate_right(1);
        distances[..=at].rotate_right(1);
        (indices[0], distances[0]) = (i as u32, 0.0);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
