//! The projection into the latent space, which stays on the device. Means and deviations of the genes are found on the host,
//! once per run; σ, the operators and the products on the device.

use super::averages::CELLS;
use super::gpu::{Buffer, Gpu, PROJECTION, launch};
use super::{DeviceGraph, OnDevice, Resident, transposed};
use crate::mapping::Atlas;
use crate::mapping::projection::{Scaled, deviations, pair_block};
use crate::sparse::Graph;
use crate::{Context, Error, Result};
use ndarray::Array2;
use std::sync::Arc;

/// Latent coordinates of the cells of all species: cells × width.
pub struct Latent {
    values: Buffer<f32>,
    cells: usize,
    width: usize,
}

impl Latent {
    pub(super) fn buffer(&self) -> &Buffer<f32> {
        &self.values
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    /// Number of coordinates.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A copy on the host.
    pub(super) fn to_host(&self, gpu: &Gpu) -> Result<Array2<f32>> {
        let values = gpu.receive(&self.values, self.cells * self.width)?;
        let found = format!("{} values", values.len());
        Array2::from_shape_vec((self.cells, self.width), values)
            .map_err(|_| Error::shape("latent coordinates", format!("{} × {}", self.cells, self.width), found))
    }
}

/// What projecting one species needs.
pub struct Projector<'a> {
    host: Scaled<'a>,
    x: Arc<OnDevice>,
    cells: usize,
    genes: usize,
    components: usize,
    gene_of_column: Buffer<u32>,
    scale: Buffer<f64>,
    mean: Buffer<f64>,
    /// Genes of the homology graph × components.
    loadings: Buffer<f32>,
}

impl<'a> Projector<'a> {
    pub(super) fn new(gpu: &Gpu, atlas: &'a Atlas<'a>, x: &Resident, ctx: &Context) -> Result<Self> {
        let host = Scaled::new(atlas, ctx)?;
        let loadings: Vec<f32> = atlas.loadings.iter().copied().collect();
        Ok(Projector {
            x: Arc::clone(&x.device),
            cells: atlas.expression.cells(),
            genes: atlas.gene_columns.len(),
            components: host.components(),
            gene_of_column: gpu.send(host.gene_of_column())?,
            scale: gpu.send(host.scale())?,
            mean: gpu.send(host.mean())?,
            loadings: gpu.send(&loadings)?,
            host,
        })
    }

    /// Standard deviation of every column of S H over the cells; `block`: H.
    fn deviations(&self, gpu: &Gpu, block: &Graph, ctx: &Context) -> Result<Vec<f64>> {
        let targets = block.cols();
        gpu.tile("σ", 1, self.genes * CELLS * 8, 1)?;
        let by_target = DeviceGraph::new(gpu, &transposed(block))?;
        let (mut sums, mut squares) = (gpu.zeros::<f64>(targets)?, gpu.zeros::<f64>(targets)?);
        let mut tile = gpu.unset::<f64>(self.genes * CELLS)?;
        let (stride, number) = (CELLS as u32, targets as u32);
        for first in (0..self.cells).step_by(CELLS) {
            ctx.check()?;
            let (cells, start) = (CELLS.min(self.cells - first), first as u32);
            let here = cells as u32;
            gpu.clear(&mut tile)?;
            let x = &self.x;
            launch!(
                gpu,
                PROJECTION,
                "scatter_scaled",
                (cells, 1),
                256,
                &x.pointers,
                &x.columns,
                &x.values,
                &self.gene_of_column,
                &self.scale,
                &start,
                &stride,
                &mut tile
            );
            launch!(
                gpu,
                PROJECTION,
                "translated_moments",
                (targets.div_ceil(8), 1),
                256,
                &tile,
                &stride,
                &here,
                &by_target.pointers,
                &by_target.columns,
                &by_target.weights,
                &number,
                &mut sums,
                &mut squares
            );
        }
        Ok(deviations(&gpu.receive(&sums, targets)?, &gpu.receive(&squares, targets)?, self.cells))
    }

    /// Projects through `block` (H), whose genes have `ratio` w / σ and the loadings of `to`, into a block of the latent
    /// space.
    fn project(
        &self,
        gpu: &Gpu,
        to: &Projector,
        block: &Graph,
        ratio: &[f64],
        (row, column): (usize, usize),
        latent: &mut Latent,
    ) -> Result<()> {
        let (graph, ratio) = (DeviceGraph::new(gpu, block)?, gpu.send(ratio)?);
        let (width, genes) = (to.components as u32, self.genes as u32);
        let mut operator = gpu.unset::<f32>(self.genes * to.components)?;
        let threads = to.components.next_multiple_of(32).clamp(32, 256) as u32;
        launch!(
            gpu,
            PROJECTION,
            "compose",
            (self.genes, 1),
            threads,
            &graph.pointers,
            &graph.columns,
            &graph.weights,
            &self.scale,
            &ratio,
            &to.loadings,
            &width,
            &mut operator
        );
        let mut centre = gpu.unset::<f64>(to.components)?;
        let blocks = (to.components.div_ceil(32), 1);
        launch!(gpu, PROJECTION, "operator_centre", blocks, 32, &operator, &self.mean, &genes, &width, &mut centre);
        let (first_row, first_column, stride) = (row as u32, column as u32, latent.width as u32);
        let x = &self.x;
        let cells = if to.components > 0 { self.cells } else { 0 };
        launch!(
            gpu,
            PROJECTION,
            "project",
            (cells, 1),
            threads,
            &x.pointers,
            &x.columns,
            &x.values,
            &self.gene_of_column,
            &operator,
            &centre,
            &width,
            &first_row,
            &first_column,
            &stride,
            &mut latent.values
        );
        Ok(())
    }
}

/// First component of each species, and their number.
fn component_offsets(species: &[Projector]) -> Vec<usize> {
    let mut offsets = vec![0];
    for projector in species {
        offsets.push(offsets[offsets.len() - 1] + projector.components);
    }
    offsets
}

/// As [`crate::mapping::projection::project_own`].
pub(super) fn project_own(gpu: &Gpu, species: &[Projector], cell_offsets: &[usize], ctx: &Context) -> Result<Latent> {
    let components = component_offsets(species);
    let (cells, width) = (cell_offsets[species.len()], components[species.len()]);
    let mut latent = Latent { values: gpu.zeros(cells * width)?, cells, width };
    for (a, projector) in species.iter().enumerate() {
        ctx.check()?;
        let identity = Graph::eye(projector.genes);
        let at = (cell_offsets[a], components[a]);
        projector.project(gpu, projector, &identity, &vec![1.0; projector.genes], at, &mut latent)?;
    }
    gpu.wait()?;
    Ok(latent)
}

/// As [`crate::mapping::projection::project_cross`].
pub(super) fn project_cross(
    gpu: &Gpu,
    species: &[Projector],
    scaled: &Graph,
    (gene_offsets, cell_offsets): (&[usize], &[usize]),
    pairwise: bool,
    latent: &mut Latent,
    ctx: &Context,
) -> Result<()> {
    let components = component_offsets(species);
    for (a, from) in species.iter().enumerate() {
        for (b, to) in species.iter().enumerate().filter(|&(b, _)| b != a) {
            let genes = |s: usize| gene_offsets[s]..gene_offsets[s + 1];
            let block = pair_block(scaled, genes(a), genes(b), pairwise);
            let sigma = from.host.sigma_with(&block, |shared| from.deviations(gpu, shared, ctx))?;
            let ratio: Vec<f64> = sigma.iter().enumerate().map(|(h, sigma)| to.host.weight(h) / sigma).collect();
            from.project(gpu, to, &block, &ratio, (cell_offsets[a], components[b]), latent)?;
            gpu.wait()?;
            ctx.advance(1)?;
        }
    }
    Ok(())
}
