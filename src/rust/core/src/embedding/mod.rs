//! UMAP layout of a weighted graph (McInnes, Healy & Melville 2018). In: a graph of N cells (CSR, `f64`, row = source).
//! Out: N × `n_components` coordinates, `f32`.
//!
//! The graph is UMAP's fuzzy set as it stands: every stored entry is an edge from its row to its column, drawn as often as
//! its weight says; edges lighter than the heaviest / epochs are never drawn. Cells without an edge take part in no force
//! and are put among the others at the end.

mod curve;
mod eigen;
pub mod layout;
mod spectral;

use crate::backend::{Backend, Cpu};
use crate::rng::Rng;
use crate::sparse::{Graph, row};
use crate::{Context, Error, Result};
use layout::{Edges, Forces};
use ndarray::{Array2, ArrayView2};

/// Steps of the random streams.
const START: u64 = 0x756d_6101;
const NOISE: u64 = 0x756d_6102;
const ALONE: u64 = 0x756d_6103;

/// Where the layout starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Init {
    /// Eigenvectors of the graph's normalised Laplacian, each connected component on its own.
    #[default]
    Spectral,
    /// Principal components of the latent coordinates.
    Pca,
    /// Uniform random positions.
    Random,
}

/// Options of the layout; the defaults are those of SAMap's UMAP, but for the start.
#[derive(Debug, Clone, PartialEq)]
pub struct UmapOptions {
    /// Dimensions of the layout, 1 to 3.
    pub n_components: usize,
    /// How close cells may lie.
    pub min_dist: f64,
    /// Scale of the layout, at least `min_dist`.
    pub spread: f64,
    /// Passes over the edges; `None`: 500 for at most 10 000 cells, else 200.
    pub n_epochs: Option<usize>,
    /// Random cells that push a cell away, each time one of its edges is drawn.
    pub negative_sample_rate: usize,
    /// Length of the first steps.
    pub learning_rate: f64,
    /// Weight of pushing against pulling.
    pub repulsion: f64,
    /// Where the layout starts.
    pub init: Init,
    /// Seed of the start and of the random cells.
    pub seed: u64,
}

impl Default for UmapOptions {
    fn default() -> Self {
        UmapOptions {
            n_components: 2,
            min_dist: 0.1,
            spread: 1.0,
            n_epochs: None,
            negative_sample_rate: 5,
            learning_rate: 1.0,
            repulsion: 1.0,
            init: Init::Spectral,
            seed: 0,
        }
    }
}

impl UmapOptions {
    /// Epochs that a layout of `cells` cells takes; [`umap`] advances the context once per epoch (the first one draws nothing).
    pub fn epochs(&self, cells: usize) -> usize {
        self.n_epochs.unwrap_or(if cells <= 10_000 { 500 } else { 200 })
    }

    fn check(&self) -> Result<()> {
        let wrong = |name: &str, found: String, remedy: &str| Err(Error::argument(name, found, remedy));
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !(1..=3).contains(&self.n_components) {
            return wrong("n_components", format!("it is {}", self.n_components), "Use 1, 2 or 3 dimensions.");
        }
        if !positive(self.spread) {
            return wrong("spread", format!("it is {}", self.spread), "Use a number above 0.");
        }
        if !(self.min_dist >= 0.0 && self.min_dist <= self.spread) {
            let found = format!("it is {} with a spread of {}", self.min_dist, self.spread);
            return wrong("min_dist", found, "Use a number from 0 to `spread`.");
        }
        if !positive(self.learning_rate) {
            return wrong("learning_rate", format!("it is {}", self.learning_rate), "Use a number above 0.");
        }
        if !(self.repulsion.is_finite() && self.repulsion >= 0.0) {
            return wrong("repulsion", format!("it is {}", self.repulsion), "Use 0 or a number above it.");
        }
        Ok(())
    }
}

/// Lays out `graph` (N × N); `latent` (N × d) is only needed for [`Init::Pca`]. The result has the same bits for any number
/// of threads.
///
/// # Errors
/// [`Error::Shape`] when the graph is not square or `latent` has other rows; [`Error::Argument`] for an option out of range,
/// a weight that is negative or not finite, or `init = Pca` without usable `latent`.
pub fn umap(
    graph: &Graph,
    latent: Option<ArrayView2<f32>>,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<Array2<f32>> {
    umap_on(&Cpu, graph, latent, options, ctx)
}

/// [`umap`] with its epochs on a backend; where the layout starts is found on the processor.
///
/// # Errors
/// As [`umap`]; those of the backend.
pub fn umap_on<B: Backend>(
    backend: &B,
    graph: &Graph,
    latent: Option<ArrayView2<f32>>,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<Array2<f32>> {
    options.check()?;
    check_input(graph, latent, options)?;
    match options.n_components {
        1 => umap_in::<1, B>(backend, graph, latent, options, ctx),
        2 => umap_in::<2, B>(backend, graph, latent, options, ctx),
        _ => umap_in::<3, B>(backend, graph, latent, options, ctx),
    }
}

fn check_input(graph: &Graph, latent: Option<ArrayView2<f32>>, options: &UmapOptions) -> Result<()> {
    let n = graph.rows();
    if n != graph.cols() {
        return Err(Error::shape("layout", "a square graph", format!("{n} × {}", graph.cols())));
    }
    if let Some(weight) = graph.data().iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        let found = format!("it holds the weight {weight}");
        return Err(Error::argument("graph", found, "Pass weights that are finite and not negative."));
    }
    match latent {
        Some(latent) if latent.nrows() != n => {
            Err(Error::shape("layout", format!("{n} rows of latent coordinates"), format!("{}", latent.nrows())))
        }
        Some(latent) if options.init == Init::Pca && !latent.iter().all(|x| x.is_finite()) => {
            Err(Error::argument("latent", "a coordinate is missing or infinite", "Pass finite coordinates."))
        }
        None if options.init == Init::Pca => {
            Err(Error::argument("init", "a PCA start without latent coordinates", "Use \"spectral\" or \"random\"."))
        }
        _ => Ok(()),
    }
}

fn umap_in<const D: usize, B: Backend>(
    backend: &B,
    graph: &Graph,
    latent: Option<ArrayView2<f32>>,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<Array2<f32>> {
    let epochs = options.epochs(graph.rows());
    let (linked, edges) = strong_edges(graph, epochs, options);
    let positions = start::<D>(&linked, &edges, latent, options, ctx)?;
    let (a, b) = curve::fit(options.min_dist, options.spread)?;
    let forces = Forces::new(a, b, options.repulsion);
    let positions = backend.layout(positions, &edges, &forces, epochs, options, ctx)?;
    Ok(among_the_others(graph.rows(), &linked, &positions, options.seed))
}

/// The cells with at least one edge that is ever drawn, and those edges between them (numbered in the order of the cells).
fn strong_edges(graph: &Graph, epochs: usize, options: &UmapOptions) -> (Vec<u32>, Vec<(u32, u32, f64)>) {
    // With very few epochs nearly all edges would be dropped: there the usual number counts.
    let usual = UmapOptions { n_epochs: None, ..options.clone() }.epochs(graph.rows());
    let draws = if epochs > 10 { epochs } else { usual };
    let (n, largest) = (graph.rows(), graph.data().iter().copied().fold(0.0, f64::max));
    let mut edges = Vec::new();
    let mut number = vec![u32::MAX; n];
    for i in 0..n {
        let (columns, weights) = row(graph, i);
        for (&j, &weight) in columns.iter().zip(weights) {
            if j as usize != i && weight > 0.0 && weight >= largest / draws as f64 {
                edges.push((i as u32, j, weight / largest));
                (number[i], number[j as usize]) = (0, 0);
            }
        }
    }
    let linked: Vec<u32> = (0..n as u32).filter(|&i| number[i as usize] == 0).collect();
    for (new, &old) in linked.iter().enumerate() {
        number[old as usize] = new as u32;
    }
    for (i, j, _) in &mut edges {
        (*i, *j) = (number[*i as usize], number[*j as usize]);
    }
    (linked, edges)
}

/// Positions to start from, each dimension stretched over 0 to 10 as in umap-learn.
fn start<const D: usize>(
    linked: &[u32],
    edges: &Edges,
    latent: Option<ArrayView2<f32>>,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<Vec<[f32; D]>> {
    let n = linked.len();
    let mut positions = match (options.init, latent) {
        (Init::Spectral, _) => spectral::positions::<D>(n, edges, options.seed, ctx)?,
        (Init::Pca, Some(latent)) => spectral::principal::<D>(linked, latent, options.seed, ctx)?,
        _ => (0..n).map(|i| uniform(Rng::keyed(options.seed, START, i as u64), [-1.0; D], [1.0; D])).collect(),
    };
    let longest = positions.iter().flatten().fold(0.0f32, |a, x| a.max(x.abs()));
    let scale = if longest > 0.0 { 10.0 / longest } else { 0.0 };
    for (i, position) in positions.iter_mut().enumerate() {
        // A little noise parts cells that start at one point.
        let mut rng = Rng::keyed(options.seed, NOISE, i as u64);
        position.iter_mut().for_each(|x| *x = *x * scale + (1e-4 * rng.normal()) as f32);
    }
    let (low, high) = bounds(&positions);
    for position in &mut positions {
        for (dim, x) in position.iter_mut().enumerate() {
            let range = high[dim] - low[dim];
            *x = if range > 0.0 { 10.0 * (*x - low[dim]) / range } else { 0.0 };
        }
    }
    Ok(positions)
}

fn uniform<const D: usize>(mut rng: Rng, low: [f32; D], high: [f32; D]) -> [f32; D] {
    std::array::from_fn(|dim| low[dim] + rng.uniform() as f32 * (high[dim] - low[dim]))
}

/// Smallest and largest coordinates; 0 to 10 without positions.
fn bounds<const D: usize>(positions: &[[f32; D]]) -> ([f32; D], [f32; D]) {
    let Some(&first) = positions.first() else { return ([0.0; D], [10.0; D]) };
    positions.iter().fold((first, first), |(low, high), x| {
        (std::array::from_fn(|d| low[d].min(x[d])), std::array::from_fn(|d| high[d].max(x[d])))
    })
}

/// All `n` cells: the linked ones where they are, the others at random within their bounds.
fn among_the_others<const D: usize>(n: usize, linked: &[u32], positions: &[[f32; D]], seed: u64) -> Array2<f32> {
    let (low, high) = bounds(positions);
    let mut all: Vec<[f32; D]> = (0..n).map(|i| uniform(Rng::keyed(seed, ALONE, i as u64), low, high)).collect();
    for (&i, &position) in linked.iter().zip(positions) {
        all[i as usize] = position;
    }
    Array2::from_shape_fn((n, D), |(i, dim)| all[i][dim])
}

#[cfg(test)]
mod tests;
