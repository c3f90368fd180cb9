//! The CUDA backend. In: what the CPU backend takes. Out: the same, up to rounding. The kernels are CUDA C in `kernels/`,
//! compiled by NVRTC (12 or 13) at first use; nothing of CUDA is needed to build, install or load the package. No kernel uses
//! floating-point atomics: results have the same bits in every run on one device.
//!
//! On the device: neighbour search, products of the scaled expression, Gram matrices, neighbour
//! averages, projection and σ, breadth-first neighbourhoods, mutual partners and their correlations, Pearson correlations of
//! gene pairs, the layout's epochs. What an option asks for that only the processor has (HNSW graphs, matrix powers,
//! Chatterjee's ξ) runs there, and the run's record says so.

mod averages;
mod correlations;
mod expand;
mod gpu;
mod knn;
mod layout;
mod mutual;
mod nvrtc;
mod projection;
mod scaled;
mod staging;

use super::{Averaged, Backend, Cpu, Inventory};
use crate::embedding::UmapOptions;
use crate::embedding::layout::{Edges, Forces};
use crate::knn::{KnnOptions, Metric, Neighbours};
use crate::linalg::scaled::Scale;
use crate::mapping::cross_knn::Blocks;
use crate::mapping::expand::Pattern;
use crate::mapping::mutual::Cut;
use crate::mapping::{Atlas, EdgeMode, Expansion, RefineOptions};
use crate::sam::weights::Sums;
use crate::sparse::{Expression, Graph};
use crate::{Context, Error, Result, with_expression};
use gpu::{Buffer, Gpu};
use mutual::Neighbourhood;
use ndarray::{Array2, ArrayView2};
use projection::{Latent, Projector};
use rayon::prelude::*;
use scaled::Scaled;
use sprs::SpIndex;
use std::ops::Range;
use std::sync::Arc;

/// An NVIDIA GPU.
pub struct Cuda {
    gpu: Box<Gpu>,
}

/// Expression of one species: the host's, and a copy on the device.
#[derive(Clone)]
pub struct Resident<'a> {
    host: &'a Expression,
    device: Arc<OnDevice>,
}

/// Cells × genes, CSR.
struct OnDevice {
    pointers: Buffer<u64>,
    columns: Buffer<u32>,
    values: Buffer<f32>,
}

impl Cuda {
    /// The first GPU.
    ///
    /// # Errors
    /// [`Error::Device`] with the reason why there is none that can be used.
    pub fn new() -> Result<Self> {
        Ok(Cuda { gpu: Box::new(Gpu::open()?) })
    }

    /// Name and memory of the device.
    pub fn description(&self) -> String {
        self.gpu.description()
    }

    /// Waits until the device has done all it was asked for.
    ///
    /// # Errors
    /// [`Error::Device`] when a kernel failed.
    pub fn wait(&self) -> Result<()> {
        self.gpu.wait()
    }

    /// Bytes sent to the device, bytes that came back, and kernel launches.
    pub fn traffic(&self) -> [u64; 3] {
        self.gpu.counts()
    }

    /// Notes what was sent to and from the device, and which steps a run makes on the processor.
    pub fn report(&self, ctx: &Context) {
        ctx.choose("transfers", self.gpu.traffic(), "between host and device in this step");
    }

    /// Notes that a step runs on the processor.
    fn on_cpu(&self, step: &str, reason: &str, ctx: &Context) -> Cpu {
        ctx.choose(&format!("device of {step}"), "cpu", reason);
        Cpu
    }
}

/// The GPU, or why there is none that can be used.
pub fn inventory() -> Inventory {
    let found = |available, reason, memory| Inventory { device: "cuda", available, reason, memory };
    match Gpu::open() {
        Ok(gpu) => found(true, gpu.description(), Some(gpu.memory() as u64)),
        Err(Error::Device { reason, .. }) => found(false, reason, None),
        Err(error) => found(false, error.to_string(), None),
    }
}

impl Backend for Cuda {
    type Expression<'a> = Resident<'a>;
    type Scaled<'a> = Scaled<'a>;
    type Projector<'a> = Projector<'a>;
    type Latent = Latent;
    type Neighbourhood = Neighbourhood;

    fn expression<'a>(&self, x: &'a Expression) -> Result<Resident<'a>> {
        let (pointers, columns) = with_expression!(x, matrix => {
            let pointers = matrix.indptr().raw_storage().wide();
            (pointers, matrix.indices().par_iter().map(|column| column.index() as u32).collect::<Vec<u32>>())
        });
        let values = with_expression!(x, matrix => matrix.data());
        let device = OnDevice {
            pointers: self.gpu.send(&pointers)?,
            columns: self.gpu.send(&columns)?,
            values: self.gpu.send(values)?,
        };
        Ok(Resident { host: x, device: Arc::new(device) })
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
        if let Some(reason) = knn::why_not(k, database.nrows(), options) {
            return self
                .on_cpu("neighbour search", &reason, ctx)
                .neighbours(queries, database, k, metric, options, ctx);
        }
        knn::search(&self.gpu, queries, database, k, metric, options, ctx)
    }

    fn scaled<'a, 'x: 'a>(
        &'a self,
        x: &Resident<'x>,
        genes: &[u32],
        scale: Scale,
        weights: &'a [f64],
        ctx: &'a Context,
    ) -> Result<Scaled<'a>> {
        Scaled::new(&self.gpu, x, genes, &scale, weights, ctx)
    }

    fn sums_of_averages(&self, x: &Resident<'_>, neighbours: &Neighbours, ctx: &Context) -> Result<Sums> {
        averages::sums_of_averages(&self.gpu, x, neighbours, ctx)
    }

    fn projector<'a, 'x: 'a>(&'a self, atlas: &'a Atlas<'a>, x: &Resident<'x>, ctx: &Context) -> Result<Projector<'a>> {
        Projector::new(&self.gpu, atlas, x, ctx)
    }

    fn project_own(&self, species: &[Projector<'_>], cell_offsets: &[usize], ctx: &Context) -> Result<Latent> {
        projection::project_own(&self.gpu, species, cell_offsets, ctx)
    }

    fn project_cross(
        &self,
        species: &[Projector<'_>],
        scaled: &Graph,
        offsets: (&[usize], &[usize]),
        pairwise: bool,
        latent: &mut Latent,
        ctx: &Context,
    ) -> Result<()> {
        projection::project_cross(&self.gpu, species, scaled, offsets, pairwise, latent, ctx)
    }

    fn latent_neighbours(
        &self,
        latent: &Latent,
        queries: Range<usize>,
        database: Range<usize>,
        k: usize,
        options: &KnnOptions,
        ctx: &Context,
    ) -> Result<Neighbours> {
        if let Some(reason) = knn::why_not(k, database.len(), options) {
            let cpu = self.on_cpu("neighbour search", &reason, ctx);
            return cpu.latent_neighbours(&latent.to_host(&self.gpu)?, queries, database, k, options, ctx);
        }
        knn::search_latent(&self.gpu, latent, queries, database, k, options, ctx)
    }

    fn expand(
        &self,
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Pattern> {
        if expansion == Expansion::MatrixPower {
            let cpu = self.on_cpu("neighbourhoods", "rings of matrix powers are made on the processor only", ctx);
            return cpu.expand(neighbours, budgets, size, expansion, ctx);
        }
        expand::expand(&self.gpu, neighbours, budgets, size, expansion, ctx)
    }

    fn neighbourhood(
        &self,
        _: &[u32],
        neighbours: &Neighbours,
        budgets: &[usize],
        size: usize,
        expansion: Expansion,
        ctx: &Context,
    ) -> Result<Neighbourhood> {
        Ok(Neighbourhood::of_cells(self.expand(neighbours, budgets, size, expansion, ctx)?))
    }

    fn neighbourhood_of_groups(&self, groups: &[u32]) -> Neighbourhood {
        Neighbourhood::of_groups(groups)
    }

    fn mutual_graph(
        &self,
        blocks: &Blocks,
        neighbourhoods: &[Neighbourhood],
        cell_offsets: &[usize],
        latent: Option<&Latent>,
        cut: Cut,
        ctx: &Context,
    ) -> Result<Graph> {
        mutual::mutual_graph(&self.gpu, blocks, neighbourhoods, cell_offsets, latent, cut, ctx)
    }

    fn correlations(
        &self,
        over: &Averaged<'_, Resident<'_>>,
        edges: &[(u32, u32)],
        options: &RefineOptions,
        ctx: &Context,
    ) -> Result<Vec<f64>> {
        if options.mode == EdgeMode::Xi {
            let cpu = self.on_cpu("refinement", "Chatterjee's xi sorts genes, which is done on the processor", ctx);
            let expression: Vec<&Expression> = over.expression.iter().map(|x| x.host).collect();
            let Averaged { atlases, homology, stitched, .. } = *over;
            let over = Averaged { atlases, expression: &expression, homology, stitched };
            return cpu.correlations(&over, edges, options, ctx);
        }
        correlations::correlations(&self.gpu, over, edges, options, ctx)
    }

    fn layout<const D: usize>(
        &self,
        positions: Vec<[f32; D]>,
        edges: &Edges,
        forces: &Forces,
        epochs: usize,
        options: &UmapOptions,
        ctx: &Context,
    ) -> Result<Vec<[f32; D]>> {
        layout::optimise(&self.gpu, positions, edges, forces, epochs, options, ctx)
    }

    fn latent(&self, latent: Latent) -> Result<Array2<f32>> {
        latent.to_host(&self.gpu)
    }
}

/// Row pointers as the kernels take them.
trait Wide {
    fn wide(&self) -> Vec<u64>;
}

impl Wide for [usize] {
    fn wide(&self) -> Vec<u64> {
        self.iter().map(|&value| value as u64).collect()
    }
}

/// A sparse graph on the device.
struct DeviceGraph {
    pointers: Buffer<u64>,
    columns: Buffer<u32>,
    weights: Buffer<f64>,
}

impl DeviceGraph {
    fn new(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        Ok(DeviceGraph {
            pointers: gpu.send(&graph.indptr().raw_storage().wide())?,
            columns: gpu.send(graph.indices())?,
            weights: gpu.send(graph.data())?,
        })
    }
}

/// The columns of a graph as the rows of another.
fn transposed(graph: &Graph) -> Graph {
    graph.transpose_view().to_csr()
}
