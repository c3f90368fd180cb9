//! Where the heavy steps run. [`Backend`] is the list of those steps; the CPU is the reference, CUDA the other one. A step is
//! generic over the backend; [`Device`] is matched once, at the top, by [`on_device!`](crate::on_device).

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "cuda_disabled.rs"]
pub mod cuda;
mod device;

pub use cpu::Cpu;
pub use cuda::Cuda;
pub use device::{Device, Inventory, Request, inventory};

use crate::embedding::UmapOptions;
use crate::embedding::layout::{Edges, Forces};
use crate::homology::HomologyGraph;
use crate::knn::{KnnOptions, Likely, Metric, Neighbours};
use crate::linalg::operator::Operator;
use crate::linalg::scaled::Scale;
use crate::mapping::cross_knn::Blocks;
use crate::mapping::expand::Pattern;
use crate::mapping::mutual::Cut;
use crate::mapping::{Atlas, Expansion, RefineOptions};
use crate::sam::weights::Sums;
use crate::sparse::{Expression, Graph};
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

/// The heavy steps of the engine. What stays between steps (expression, projectors, latent coordinates) lives where the
/// backend computes. All steps are deterministic: the same input gives the same bits on the same device.
///
/// Every method can fail with [`crate::Error::Cancelled`], with what its CPU counterpart says of its arguments, and with
/// [`crate::Error::Device`] where a device fails.
pub trait Backend: Sync + Sized {
    /// Expression of one species, cells × genes.
    type Expression<'a>: Clone + Sync;
    /// Scaled, weighted and centred expression, as the principal components need it.
    type Scaled<'a>: Operator
    where
        Self: 'a;
    /// What the projection needs of one species and no pass changes.
    type Projector<'a>
    where
        Self: 'a;
    /// Latent coordinates of the cells of all species.
    type Latent;
    /// The neighbourhoods of one species, as mutual partners are found by them.
    type Neighbourhood;

    /// Brings expression to where it is used.
    fn expression<'a>(&self, x: &'a Expression) -> Result<Self::Expression<'a>>;

    /// The `k` nearest rows of `database` (m × d) for every row of `queries` (n × d); see [`crate::knn::search`].
    fn neighbours(
        &self,
        queries: ArrayView2<f32>,
        database: ArrayView2<f32>,
        k: usize,
        metric: Metric,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<Neighbours>;

    /// The operator of the principal components; see [`crate::linalg::scaled::Scaled::new`].
    fn scaled<'a, 'x: 'a>(
        &'a self,
        x: &Self::Expression<'x>,
        genes: &[u32],
        scale: Scale,
        weights: &'a [f64],
        ctx: &'a Context,
    ) -> Result<Self::Scaled<'a>>;

    /// Sums over all cells of the averages over each cell's neighbours, and of their squares, per gene; see
    /// [`crate::sam::weights::sums_of_averages`].
    fn sums_of_averages(&self, x: &Self::Expression<'_>, neighbours: &Neighbours, ctx: &Context) -> Result<Sums>;

    /// What projecting a species needs; see [`crate::mapping::projection::Scaled::new`].
    fn projector<'a, 'x: 'a>(
        &'a self,
        atlas: &'a Atlas<'a>,
        x: &Self::Expression<'x>,
        ctx: &Context,
    ) -> Result<Self::Projector<'a>>;

    /// The latent space with every species' own block; see [`crate::mapping::projection::project_own`].
    fn project_own(
        &self,
        species: &[Self::Projector<'_>],
        cell_offsets: &[usize],
        ctx: &Context,
    ) -> Result<Self::Latent>;

    /// Overwrites the blocks between species; see [`crate::mapping::projection::project_cross`].
    fn project_cross(
        &self,
        species: &[Self::Projector<'_>],
        scaled: &Graph,
        offsets: (&[usize], &[usize]),
        pairwise: bool,
        latent: &mut Self::Latent,
        ctx: &Context,
    ) -> Result<()>;

    /// The `k` nearest of the cells `database` for each of the cells `queries`, by cosine in the latent space.
    fn latent_neighbours(
        &self,
        latent: &Self::Latent,
        queries: Range<usize>,
        database: Range<usize>,
        k: usize,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<Neighbours>;

    /// The `k.0` nearest of the cells `b` for each of the cells `a`, and the `k.1` nearest of `a` for each of `b`. Cells that are
    /// `likely` near may make the search faster, and change nothing else; see [`crate::knn::search_both`].
    fn latent_neighbours_both(
        &self,
        latent: &Self::Latent,
        (a, b): (Range<usize>, Range<usize>),
        k: (usize, usize),
        _likely: Likely,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<(Neighbours, Neighbours)> {
        let forward = self.latent_neighbours(latent, a.clone(), b.clone(), k.0, options, ctx)?;
        Ok((forward, self.latent_neighbours(latent, b, a, k.1, options, ctx)?))
    }

    /// The neighbourhood of every cell; see [`crate::mapping::expand::expand`].
    fn expand(
        &self,
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Pattern>;

    /// The neighbourhoods of one species by [`Backend::expand`], as [`Backend::mutual_graph`] reads them. `groups`, that of each
    /// cell, may decide which cells are worked on together, and changes no result.
    fn neighbourhood(
        &self,
        groups: &[u32],
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Self::Neighbourhood>;

    /// The same with the group of each cell as its neighbourhood, the cell included.
    fn neighbourhood_of_groups(&self, groups: &[u32]) -> Self::Neighbourhood;

    /// The strongest mutual partners, rescaled by the correlation in the latent space where one is given; see
    /// [`crate::mapping::mutual::mutual_graph`].
    fn mutual_graph(
        &self,
        blocks: &Blocks,
        neighbourhoods: &[Self::Neighbourhood],
        cell_offsets: &[usize],
        latent: Option<&Self::Latent>,
        cut: Cut,
        ctx: &Context,
    ) -> Result<Graph>;

    /// Correlation of the two genes of each of `edges` (genes of the homology graph) over the stitched graph; see
    /// [`crate::mapping::refine::correlations`].
    fn correlations(
        &self,
        over: &Averaged<'_, Self::Expression<'_>>,
        edges: &[(u32, u32)],
        options: &RefineOptions,
        ctx: &Context,
    ) -> Result<Vec<f64>>;

    /// Moves the vertices of a layout for `epochs` epochs; see [`crate::embedding::layout::optimise`].
    fn layout<const D: usize>(
        &self,
        positions: Vec<[f32; D]>,
        edges: &Edges,
        forces: &Forces,
        epochs: usize,
        options: &UmapOptions,
        ctx: &Context,
    ) -> Result<Vec<[f32; D]>>;

    /// The latent coordinates, cells × (d of species 0, d of species 1, …).
    fn latent(&self, latent: Self::Latent) -> Result<Array2<f32>>;
}

/// Expression of all species, averaged over a stitched graph.
#[derive(Debug, Clone, Copy)]
pub struct Averaged<'a, E> {
    /// The species.
    pub atlases: &'a [Atlas<'a>],
    /// Their expression, where the backend has it.
    pub expression: &'a [E],
    /// The homology graph.
    pub homology: &'a HomologyGraph,
    /// Cells × cells of all species.
    pub stitched: &'a Graph,
}
