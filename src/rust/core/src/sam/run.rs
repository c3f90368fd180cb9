//! The SAM loop: genes weighted → principal components → nearest neighbours → weights from the dispersion of the genes over
//! neighbourhoods, until the weights settle (Tarashansky et al. 2019).

use super::harmony::{Batch, harmony};
use super::loadings::{inverse_sd, sd, spread};
use super::preprocess::Preprocessed;
pub use super::weights::WeightMode;
use super::weights::dispersion_ranking_on;
use crate::backend::{Backend, Cpu};
use crate::knn::{KnnOptions, Metric, Neighbours, search_self_on};
use crate::linalg::pca::{Pca, PcaSolver, pca};
use crate::linalg::scaled::Scale;
use crate::sparse::{Expression, row};
use crate::{Context, Error, Result, with_expression};
use ndarray::{Array2, Axis};

/// How expression is scaled before its genes are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scaling {
    /// Genes to mean 0 and standard deviation 1, clipped at ±10 (not clipped with `sparse_pca`).
    #[default]
    StandardScaler,
    /// Cells to length 1.
    Normalizer,
}

/// Options of [`run`].
#[derive(Debug, Clone, PartialEq)]
pub struct SamOptions {
    /// Most iterations; at least 5 are allowed.
    pub max_iter: usize,
    /// The loop stops once the root mean square change of the weights is at most this.
    pub stopping_condition: f64,
    /// Dispersions are cut at the mean of this many largest ones.
    pub num_norm_avg: usize,
    /// Neighbours per cell including itself; at least 5, and cells − 2 where there are not more than k cells.
    pub k: usize,
    /// Distance between cells.
    pub metric: Metric,
    /// Scaling before the weights.
    pub scaling: Scaling,
    /// Principal components. 100 is what the mapping asks for; the reference's own SAM class says 150.
    pub npcs: usize,
    /// Genes used, those of the largest weights; `None`: all.
    pub n_genes: Option<usize>,
    /// Whether scores are multiplied by √(explained variance / largest one).
    pub weight_pcs: bool,
    /// The reference's sparse path: no clipping, one component less at most, `n_genes` not cut to the expressed genes.
    pub sparse_pca: bool,
    /// How dispersions become weights.
    pub weight_mode: WeightMode,
    /// How principal components are found.
    pub solver: PcaSolver,
    /// How neighbours are searched.
    pub knn: KnnOptions,
    /// Seed of the solvers.
    pub seed: u64,
    /// Coordinates of the cells (cells × d) to use instead of principal components.
    pub components: Option<Array2<f32>>,
    /// Batches the principal components are corrected for.
    pub batch: Option<Batch>,
}

impl Default for SamOptions {
    fn default() -> Self {
        SamOptions {
            max_iter: 10,
            stopping_condition: 1e-2,
            num_norm_avg: 50,
            k: 20,
            metric: Metric::Cosine,
            scaling: Scaling::StandardScaler,
            npcs: 100,
            n_genes: Some(3000),
            weight_pcs: false,
            sparse_pca: false,
            weight_mode: WeightMode::Rms,
            solver: PcaSolver::Auto,
            knn: KnnOptions::default(),
            seed: 0,
            components: None,
            batch: None,
        }
    }
}

/// What SAM found.
#[derive(Debug, Clone)]
pub struct SamResult {
    /// Weight per gene, in [0, 1].
    pub weights: Vec<f64>,
    /// Dispersion over neighbourhoods per gene.
    pub dispersions: Vec<f64>,
    /// Neighbours per cell, the cell itself first.
    pub neighbours: Neighbours,
    /// Coordinates of the cells, cells × components; corrected where there are batches.
    pub scores: Array2<f32>,
    /// genes × components, before any correction; rows of genes that were not used are 0 (all of them where coordinates
    /// were given).
    pub loadings: Array2<f32>,
    /// Genes by falling weight, ties by index.
    pub ranked_genes: Vec<u32>,
    /// Weights after each iteration.
    pub weights_per_iteration: Vec<Vec<f64>>,
}

/// Most cells for which all genes are scaled densely by the reference; beyond, it takes its sparse path.
const DENSE_CELLS: usize = 10_000;

/// Bound of scaled values.
const CLIP: f32 = 10.0;

/// Smallest allowed number of iterations and of neighbours.
const LEAST: usize = 5;

/// Runs SAM on one species. Records the phase "sam".
///
/// # Errors
/// [`Error::Argument`] for fewer than 3 cells, no genes left or coordinates that do not fit; [`Error::Numerical`];
/// [`Error::Cancelled`].
pub fn run(data: &Preprocessed, options: &SamOptions, ctx: &Context) -> Result<SamResult> {
    run_on(&Cpu, data, options, ctx)
}

/// [`run`] on a backend.
///
/// # Errors
/// As [`run`]; those of the backend.
pub fn run_on<B: Backend>(backend: &B, data: &Preprocessed, options: &SamOptions, ctx: &Context) -> Result<SamResult> {
    let plan = Plan::new(data, options)?;
    ctx.phase("sam", plan.max_iter, || plan.run(backend, data, options, ctx))
}

/// The options after the reference's adjustments.
struct Plan {
    max_iter: usize,
    k: usize,
    n_genes: usize,
    sparse: bool,
}

/// A mean of values that may be negative is no scale: the root mean square takes its place, and the caller is told.
fn mode_for(x: &Expression, wanted: WeightMode, ctx: &Context) -> WeightMode {
    let negative = || with_expression!(x, matrix => matrix.data().iter().any(|&value| value < 0.0));
    if wanted != WeightMode::Dispersion || !negative() {
        return wanted;
    }
    let reason = "some values are negative, and variance / mean needs a mean that is not";
    ctx.choose("weight_mode", "rms", reason);
    ctx.warn(format!("weight_mode \"rms\" is used instead of \"dispersion\": {reason}"));
    WeightMode::Rms
}

/// Coordinates of the cells and the loadings they came from.
struct Coordinates {
    scores: Array2<f32>,
    loadings: Array2<f32>,
}

impl Plan {
    fn new(data: &Preprocessed, options: &SamOptions) -> Result<Plan> {
        let (n, g) = (data.expression.cells(), data.expression.genes());
        if n < 3 {
            let remedy = "Pass at least 3 cells, better hundreds.";
            return Err(Error::argument("counts", format!("{n} cells"), remedy));
        }
        if let Some(given) = options.components.as_ref().filter(|given| given.nrows() != n || given.ncols() == 0) {
            let found = format!("{} × {} coordinates for {n} cells", given.nrows(), given.ncols());
            return Err(Error::argument("components", found, "Pass one row per cell and at least one column."));
        }
        let expressed = data.means.iter().filter(|&&mean| mean > 0.0).count();
        if data.variances.iter().all(|&variance| variance == 0.0) {
            let remedy = "Pass counts in which genes differ between cells, or lower the thresholds.";
            return Err(Error::argument("counts", "no gene varies after preprocessing", remedy));
        }
        let sparse = options.sparse_pca || (options.n_genes.is_none() && n > DENSE_CELLS);
        let n_genes = options.n_genes.unwrap_or(g).min(if sparse { g } else { expressed }).max(1);
        let k = options.k.max(LEAST);
        let k = if k > n - 1 { n - 2 } else { k };
        Ok(Plan { max_iter: options.max_iter.max(LEAST), k, n_genes, sparse })
    }

    fn run<B: Backend>(
        &self,
        backend: &B,
        data: &Preprocessed,
        options: &SamOptions,
        ctx: &Context,
    ) -> Result<SamResult> {
        let x = data.for_dispersions();
        let expression = backend.expression(&data.expression)?;
        let averaged = if std::ptr::eq(x, &data.expression) { expression.clone() } else { backend.expression(x)? };
        let mode = mode_for(x, options.weight_mode, ctx);
        let mut weights = vec![1.0; x.genes()];
        let mut ranking = first_ranking(data);
        let mut per_iteration = Vec::new();
        loop {
            let genes = largest(&ranking, self.n_genes);
            let coordinates = match &options.components {
                Some(given) => {
                    Coordinates { scores: given.clone(), loadings: Array2::zeros((x.genes(), given.ncols())) }
                }
                None => self.coordinates((backend, &expression), data, &genes, &weights, options, ctx)?,
            };
            let scores = coordinates.scores.view();
            let neighbours = search_self_on(backend, scores, self.k, options.metric, &options.knn, ctx)?;
            let (top, n) = (options.num_norm_avg, x.cells());
            let (new, dispersions) = dispersion_ranking_on(backend, &averaged, n, &neighbours, top, mode, ctx)?;
            let change = root_mean_square_difference(&new, &weights);
            per_iteration.push(new.clone());
            ctx.advance(1)?;
            let settled = change <= options.stopping_condition || per_iteration.len() == self.max_iter;
            if settled || options.components.is_some() {
                let ranked_genes = descending(&new);
                let Coordinates { scores, loadings } = coordinates;
                let weights_per_iteration = per_iteration;
                let weights = new;
                return Ok(SamResult {
                    weights,
                    dispersions,
                    neighbours,
                    scores,
                    loadings,
                    ranked_genes,
                    weights_per_iteration,
                });
            }
            ranking = new.clone();
            weights = new;
        }
    }

    fn coordinates<B: Backend>(
        &self,
        (backend, expression): (&B, &B::Expression<'_>),
        data: &Preprocessed,
        genes: &[u32],
        weights: &[f64],
        options: &SamOptions,
        ctx: &Context,
    ) -> Result<Coordinates> {
        let x = &data.expression;
        let scale = match options.scaling {
            Scaling::Normalizer => Scale::Cells(lengths(x, genes)),
            Scaling::StandardScaler if self.sparse => inverse_sd(&data.variances),
            Scaling::StandardScaler => Scale::Clipped {
                mean: data.means.clone(),
                sd: data.variances.iter().map(|&v| sd(v)).collect(),
                limit: CLIP,
            },
        };
        let scaled = backend.scaled(expression, genes, scale, weights, ctx)?;
        let side = x.cells().min(genes.len());
        let npcs = options.npcs.min(if self.sparse { side.saturating_sub(1) } else { side }).max(1);
        let mut found = pca(&scaled, npcs, options.solver, options.seed, ctx)?;
        if options.weight_pcs {
            weight_scores(&mut found);
        }
        let loadings = spread(&found.loadings, genes, x.genes(), npcs);
        let scores = match &options.batch {
            Some(batch) => harmony(found.scores.mapv(f64::from).view(), batch, options.seed, ctx)?.mapv(|z| z as f32),
            None => found.scores,
        };
        Ok(Coordinates { scores, loadings })
    }
}

/// What ranks the genes before there are weights: variance / mean (mean 0 → 1).
fn first_ranking(data: &Preprocessed) -> Vec<f64> {
    let ratio = |(&mean, &variance): (&f32, &f32)| f64::from(if mean == 0.0 { variance } else { variance / mean });
    data.means.iter().zip(&data.variances).map(ratio).collect()
}

/// Scores times √(explained variance / largest one).
fn weight_scores(found: &mut Pca) {
    let largest = found.explained_variance.first().copied().unwrap_or(0.0);
    if largest > 0.0 {
        for (mut column, variance) in found.scores.axis_iter_mut(Axis(1)).zip(&found.explained_variance) {
            let factor = (variance / largest).sqrt();
            column.mapv_inplace(|x| (f64::from(x) * factor) as f32);
        }
    }
}

/// Euclidean length of each cell over some genes; 1 for an empty cell.
fn lengths(x: &Expression, genes: &[u32]) -> Vec<f32> {
    let mut used = vec![false; x.genes()];
    genes.iter().for_each(|&gene| used[gene as usize] = true);
    with_expression!(x, matrix => (0..x.cells())
        .map(|cell| {
            let (genes, values) = row(matrix, cell);
            let entries = genes.iter().zip(values).filter(|(gene, _)| used[sprs::SpIndex::index(**gene)]);
            let square: f64 = entries.map(|(_, &value)| f64::from(value) * f64::from(value)).sum();
            if square > 0.0 { square.sqrt() as f32 } else { 1.0 }
        })
        .collect())
}

/// Indices by falling value, ties by index.
fn descending(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
    order
}

/// The `count` indices of the largest values, ascending.
fn largest(values: &[f64], count: usize) -> Vec<u32> {
    let mut order = descending(values);
    order.truncate(count);
    order.sort_unstable();
    order
}

fn root_mean_square_difference(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sum / a.len().max(1) as f64).sqrt()
}
