//! The reference backend: every step is the function of the module it belongs to.

use super::{Averaged, Backend};
use crate::embedding::UmapOptions;
use crate::embedding::layout::{self, Edges, Forces};
use crate::knn::{self, KnnOptions, Likely, Metric, Neighbours};
use crate::linalg::scaled::{Scale, Scaled};
use crate::mapping::cross_knn::Blocks;
use crate::mapping::expand::{self, Expander, Pattern};
use crate::mapping::mutual::{self, Cut, Neighbourhood};
use crate::mapping::stitch::Coordinates;
use crate::mapping::{Atlas, Expansion, RefineOptions, projection, refine};
use crate::sam::weights::{self, Sums};
use crate::sparse::{Expression, Graph};
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2, s};
use std::ops::Range;

/// The processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu;

impl Backend for Cpu {
    type Expression<'a> = &'a Expression;
    type Scaled<'a> = Scaled<'a>;
    type Projector<'a> = projection::Scaled<'a>;
    type Latent = Array2<f32>;
    type Neighbourhood = Neighbourhood;

    fn expression<'a>(&self, x: &'a Expression) -> Result<&'a Expression> {
        Ok(x)
    }

    fn neighbours(
        &self,
        queries: ArrayView2<f32>,
        database: ArrayView2<f32>,
        k: usize,
        metric: Metric,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<Neighbours> {
        knn::search(queries, database, k, metric, options, ctx)
    }

    fn scaled<'a, 'x: 'a>(
        &'a self,
        x: &&'x Expression,
        genes: &[u32],
        scale: Scale,
        weights: &'a [f64],
        ctx: &'a Context,
    ) -> Result<Scaled<'a>> {
        Scaled::new(x, genes, scale, weights, ctx)
    }

    fn sums_of_averages(&self, x: &&Expression, neighbours: &Neighbours, ctx: &Context) -> Result<Sums> {
        weights::sums_of_averages(x, neighbours, ctx)
    }

    fn projector<'a, 'x: 'a>(
        &'a self,
        atlas: &'a Atlas<'a>,
        _: &&'x Expression,
        ctx: &Context,
    ) -> Result<projection::Scaled<'a>> {
        projection::Scaled::new(atlas, ctx)
    }

    fn project_own(
        &self,
        species: &[projection::Scaled<'_>],
        cell_offsets: &[usize],
        ctx: &Context,
    ) -> Result<Array2<f32>> {
        projection::project_own(species, cell_offsets, ctx)
    }

    fn project_cross(
        &self,
        species: &[projection::Scaled<'_>],
        scaled: &Graph,
        offsets: (&[usize], &[usize]),
        pairwise: bool,
        latent: &mut Array2<f32>,
        ctx: &Context,
    ) -> Result<()> {
        projection::project_cross(species, scaled, offsets, pairwise, latent, ctx)
    }

    fn latent_neighbours(
        &self,
        latent: &Array2<f32>,
        queries: Range<usize>,
        database: Range<usize>,
        k: usize,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<Neighbours> {
        let (queries, database) = (latent.slice(s![queries, ..]), latent.slice(s![database, ..]));
        knn::search(queries, database, k, Metric::Cosine, options, ctx)
    }

    fn latent_neighbours_both(
        &self,
        latent: &Array2<f32>,
        (a, b): (Range<usize>, Range<usize>),
        k: (usize, usize),
        likely: Likely,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<(Neighbours, Neighbours)> {
        let (a, b) = (latent.slice(s![a, ..]), latent.slice(s![b, ..]));
        knn::search_both(a, b, k, likely, Metric::Cosine, options, ctx)
    }

    fn expand(
        &self,
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Pattern> {
        expand::expand(neighbours, budgets, size, expansion, ctx)
    }

    fn neighbourhood(
        &self,
        groups: &[u32],
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Neighbourhood> {
        let expander = Expander::new(neighbours, budgets.to_vec(), size, expansion);
        Neighbourhood::of_expander(groups, expander, ctx.memory() / 4, ctx)
    }

    fn neighbourhood_of_groups(&self, groups: &[u32]) -> Neighbourhood {
        Neighbourhood::of_groups(groups)
    }

    fn mutual_graph(
        &self,
        blocks: &Blocks,
        neighbourhoods: &[Neighbourhood],
        cell_offsets: &[usize],
        latent: Option<&Array2<f32>>,
        cut: Cut,
        ctx: &Context,
    ) -> Result<Graph> {
        let coordinates = latent.map(Coordinates::new);
        mutual::mutual_graph(blocks, neighbourhoods, cell_offsets, coordinates.as_ref(), cut, ctx)
    }

    fn correlations(
        &self,
        over: &Averaged<'_, &Expression>,
        edges: &[(u32, u32)],
        options: &RefineOptions,
        ctx: &Context,
    ) -> Result<Vec<f64>> {
        refine::correlations(over.atlases, over.homology, over.stitched, edges, options, ctx)
    }

    fn layout<const D: usize>(
        &self,
        mut positions: Vec<[f32; D]>,
        edges: &Edges,
        forces: &Forces,
        epochs: usize,
        options: &UmapOptions,
        ctx: &Context,
    ) -> Result<Vec<[f32; D]>> {
        layout::optimise(&mut positions, edges, forces, epochs, options, ctx)?;
        Ok(positions)
    }

    fn latent(&self, latent: Array2<f32>) -> Result<Array2<f32>> {
        Ok(latent)
    }
}
