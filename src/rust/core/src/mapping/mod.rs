//! The mapping loop. In: the atlases of two or more species (expression, gene weights, neighbours, loadings, groups) and the
//! homology graph. Out: the stitched graph over the cells of all species, and homology weights refined by expression.
//!
//! ```text
//! homology graph ─▶ project ─▶ cross kNN ─▶ mutual neighbours (of expanded neighbourhoods) ─▶ stitch ─▶ stitched graph
//!        ▲────────────────────────────── refine by correlated expression ◀──────────────────────┘
//! ```
//!
//! Tarashansky et al. 2021, eLife 10:e66747. Passes count from 1.

mod check;
pub mod cross_knn;
pub mod expand;
pub mod mutual;
mod neighbourhood;
pub mod projection;
pub mod refine;
pub mod stitch;
pub(crate) mod tiles;
mod words;
mod xi;

pub use expand::Expansion;
pub use refine::{EdgeMode, RefineOptions, refine, refine_on};

use crate::backend::{Averaged, Backend, Cpu};
use crate::homology::HomologyGraph;
use crate::knn::{KnnOptions, Neighbours};
use crate::sparse::{Expression, Graph, row};
use crate::{Context, Result};
use mutual::Cut;
use ndarray::Array2;
use projection::{prune, scale_edges};
use stitch::stitch;

/// What the mapping needs of one species.
#[derive(Debug, Clone, Copy)]
pub struct Atlas<'a> {
    /// Preprocessed expression, cells × genes.
    pub expression: &'a Expression,
    /// SAM weight of each gene of the atlas.
    pub weights: &'a [f64],
    /// Nearest neighbours within the species, the cell itself included.
    pub neighbours: &'a Neighbours,
    /// Loadings, the species' genes in the homology graph (in the graph's order) × d.
    pub loadings: &'a Array2<f32>,
    /// Column in `expression` of each of the species' genes in the homology graph, in the graph's order.
    pub gene_columns: &'a [u32],
    /// Group of each cell: its size is the budget of the cell's neighbourhood.
    pub groups: &'a [u32],
}

/// Most cells in a neighbourhood unless told otherwise: time and memory are linear in cells with it, and the alignment scores of
/// 36 000 cells in groups of up to 8 400 move by 0.0044 at most (docs/numerics.md).
const MAX_NEIGHBOURHOOD: usize = 4000;

/// Options of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingOptions {
    /// Passes to make.
    pub n_iterations: usize,
    /// Neighbours per cell in every other species, K.
    pub cross_species_k: usize,
    /// Hops after the first when neighbourhoods are expanded: one for all species or one per species.
    pub neighborhood_sizes: Vec<usize>,
    /// Take the cells of its group as a cell's neighbourhood: one for all species or one per species.
    pub neigh_from_keys: Vec<bool>,
    /// Normalise homology and keep K partners per pair of species instead of over all.
    pub pairwise: bool,
    /// Rescale edges by the correlation of the cells' latent coordinates.
    pub scale_edges_by_corr: bool,
    /// Measure of likeness of two genes.
    pub hom_edge_mode: EdgeMode,
    /// Refined weights below this become 0.
    pub hom_edge_thr: f64,
    /// Least number of tiles into which genes are divided for the refinement.
    pub n_gene_chunks: usize,
    /// Include the gene weights in the refined weights.
    pub wscale: bool,
    /// How neighbourhoods grow.
    pub expansion: Expansion,
    /// Most cells in a neighbourhood, also where the cell's group is larger; `None`: no limit, as in the reference.
    pub max_neighborhood: Option<usize>,
    /// How cross-species neighbours are searched.
    pub knn: KnnOptions,
    /// Bytes of averaged expression above which the refinement streams genes in tiles.
    pub correlation_memory: usize,
    /// Keep the stitched graph of every pass, not of the first and last only.
    pub keep_iterations: bool,
}

impl Default for MappingOptions {
    fn default() -> Self {
        let refine = RefineOptions::default();
        MappingOptions {
            n_iterations: 3,
            cross_species_k: 20,
            neighborhood_sizes: vec![3],
            neigh_from_keys: vec![false],
            pairwise: true,
            scale_edges_by_corr: true,
            hom_edge_mode: refine.mode,
            hom_edge_thr: refine.threshold,
            n_gene_chunks: refine.n_gene_chunks,
            wscale: refine.wscale,
            expansion: Expansion::Bfs,
            max_neighborhood: Some(MAX_NEIGHBOURHOOD),
            knn: KnnOptions::default(),
            correlation_memory: refine.memory,
            keep_iterations: false,
        }
    }
}

impl MappingOptions {
    /// The options of the refinements within a mapping.
    pub fn refinement(&self) -> RefineOptions {
        RefineOptions {
            mode: self.hom_edge_mode,
            threshold: self.hom_edge_thr,
            wscale: self.wscale,
            n_gene_chunks: self.n_gene_chunks,
            memory: self.correlation_memory,
        }
    }
}

/// An earlier mapping of the same atlases to continue from.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Passes made.
    pub passes: usize,
    /// Stitched graph of the last of them.
    pub stitched: &'a Graph,
    /// Refined homology.
    pub refined: &'a Graph,
    /// The pass over whose stitched graph it was refined.
    pub refined_over: usize,
}

/// One pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// Its number, from 1.
    pub number: usize,
    /// Stitched graph, cells × cells of all species: row = source, weights > 0.
    pub stitched: Graph,
}

/// A finished mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The first and the last pass made here, or all of them.
    pub passes: Vec<Pass>,
    /// Refined homology, over the genes of the homology graph; symmetric, zeros not stored.
    pub refined: Graph,
    /// The pass over whose stitched graph it was refined.
    pub refined_over: usize,
    /// Latent coordinates of the last pass: cells × (d of species 0, d of species 1, …).
    pub latent: Array2<f32>,
    /// First cell of each species, and the number of cells at the end.
    pub cell_offsets: Vec<usize>,
}

/// Maps the atlases onto each other: `n_iterations` passes, with a refinement of the homology graph between two passes. After
/// a first pass that is also the last, one refinement is made for its own sake. With `from`, passes go on where they ended:
/// one pass continued by two gives the same bits as three.
///
/// # Errors
/// [`crate::Error::Argument`] or [`crate::Error::Shape`] when atlases, homology, options and start do not fit together;
/// cancelled.
pub fn run(
    atlases: &[Atlas],
    homology: &HomologyGraph,
    from: Option<Start>,
    options: &MappingOptions,
    ctx: &Context,
) -> Result<Mapping> {
    run_on(&Cpu, atlases, homology, from, options, ctx)
}

/// [`run`] on a backend.
///
/// # Errors
/// As [`run`]; those of the backend.
pub fn run_on<B: Backend>(
    backend: &B,
    atlases: &[Atlas],
    homology: &HomologyGraph,
    from: Option<Start>,
    options: &MappingOptions,
    ctx: &Context,
) -> Result<Mapping> {
    check::check(atlases, homology, from.as_ref(), options)?;
    let species = atlases.len();
    let refinement = options.refinement();
    let expression = atlases.iter().map(|atlas| backend.expression(atlas.expression)).collect::<Result<Vec<_>>>()?;
    let refine_over = |stitched: &Graph, pass: usize| {
        ctx.phase(&format!("pass {pass}: refinement"), species, || {
            let over = Averaged { atlases, expression: &expression, homology, stitched };
            refine_on(backend, &over, &refinement, ctx)
        })
    };
    let made = from.map_or(0, |start| start.passes);
    let last = made + options.n_iterations;
    let (mut refined, mut refined_over) = match from {
        None => (None, 0),
        Some(start) if start.refined_over == start.passes => (Some(start.refined.clone()), start.passes),
        Some(start) => (Some(refine_over(start.stitched, start.passes)?), start.passes),
    };
    let mut state = State::new(backend, (atlases, &expression), homology, options, ctx)?;
    let mut passes: Vec<Pass> = Vec::new();
    for number in made + 1..=last {
        let stitched = state.pass(number, refined.as_ref().unwrap_or(&homology.weights), ctx)?;
        if number < last || number == 1 {
            refined = Some(refine_over(&stitched, number)?);
            refined_over = number;
        }
        if !options.keep_iterations && passes.len() > 1 {
            passes.pop();
        }
        passes.push(Pass { number, stitched });
    }
    let refined = refined.unwrap_or_else(|| homology.weights.clone());
    let latent = backend.latent(state.latent)?;
    Ok(Mapping { passes, refined, refined_over, latent, cell_offsets: state.cell_offsets })
}

/// What stays the same from pass to pass, and what a pass hands to the next.
struct State<'a, B: Backend> {
    backend: &'a B,
    atlases: &'a [Atlas<'a>],
    homology: &'a HomologyGraph,
    options: &'a MappingOptions,
    weights: Vec<f64>,
    cell_offsets: Vec<usize>,
    projectors: Vec<B::Projector<'a>>,
    neighbourhoods: Vec<B::Neighbourhood>,
    latent: B::Latent,
    /// Cross-species neighbours of the last pass, where those of the next are searched exactly.
    nearest: Option<cross_knn::Blocks>,
}

impl<'a, B: Backend> State<'a, B> {
    fn new(
        backend: &'a B,
        (atlases, expression): (&'a [Atlas<'a>], &[B::Expression<'a>]),
        homology: &'a HomologyGraph,
        options: &'a MappingOptions,
        ctx: &Context,
    ) -> Result<Self> {
        let cell_offsets = cell_offsets(atlases);
        let (projectors, latent) = ctx.phase("projection within species", 1, || {
            let each = atlases.iter().zip(expression);
            let projectors = each.map(|(atlas, x)| backend.projector(atlas, x, ctx)).collect::<Result<Vec<_>>>()?;
            let latent = backend.project_own(&projectors, &cell_offsets, ctx)?;
            Ok((projectors, latent))
        })?;
        let neighbourhoods = ctx.phase("neighbourhoods", atlases.len(), || {
            (0..atlases.len()).map(|s| neighbourhood(backend, &atlases[s], s, options, ctx)).collect()
        })?;
        let weights = gene_weights(atlases);
        let nearest = None;
        Ok(State {
            backend,
            atlases,
            homology,
            options,
            weights,
            cell_offsets,
            projectors,
            neighbourhoods,
            latent,
            nearest,
        })
    }

    /// One pass over the homology weights `graph`: the stitched graph.
    fn pass(&mut self, number: usize, graph: &Graph, ctx: &Context) -> Result<Graph> {
        let (options, species) = (self.options, self.atlases.len());
        let name = |step: &str| format!("pass {number}: {step}");
        let pruned = prune(graph, &self.weights);
        let linked = self.linked(&pruned);
        let pairs = linked.iter().flatten().filter(|&&linked| linked).count();

        let offsets = (self.homology.offsets.as_slice(), self.cell_offsets.as_slice());
        ctx.phase(&name("projection"), species * (species - 1), || {
            let (scaled, latent) = (scale_edges(&pruned), &mut self.latent);
            self.backend.project_cross(&self.projectors, &scaled, offsets, options.pairwise, latent, ctx)
        })?;
        let blocks = ctx.phase(&name("cross-species neighbours"), pairs, || {
            let (before, knn) = (self.nearest.take(), &options.knn);
            let k = (options.cross_species_k, before.as_ref());
            cross_knn::cross_knn_on(self.backend, &self.latent, &self.cell_offsets, &linked, k, knn, ctx)
        })?;
        let stitched = ctx.phase(&name("mutual neighbours"), species, || {
            let latent = options.scale_edges_by_corr.then_some(&self.latent);
            let cut = Cut { k: options.cross_species_k, per_partner: options.pairwise };
            let mutual =
                self.backend.mutual_graph(&blocks, &self.neighbourhoods, &self.cell_offsets, latent, cut, ctx)?;
            let neighbours: Vec<&Neighbours> = self.atlases.iter().map(|atlas| atlas.neighbours).collect();
            Ok(stitch(&mutual, &neighbours, &self.cell_offsets, self.denominator()))
        })?;
        let largest = self.cell_offsets.windows(2).map(|first| first[1] - first[0]).max().unwrap_or(0);
        self.nearest = options.knn.are_exact(largest).then_some(blocks);
        Ok(stitched)
    }

    /// Most weight a cell's partners can have: K, or K per partner species.
    fn denominator(&self) -> f64 {
        let partners = if self.options.pairwise { self.atlases.len() - 1 } else { 1 };
        (self.options.cross_species_k * partners) as f64
    }

    /// Which pairs of species share homology.
    fn linked(&self, pruned: &Graph) -> Vec<Vec<bool>> {
        let mut linked = vec![vec![false; self.atlases.len()]; self.atlases.len()];
        for g in 0..pruned.rows() {
            let a = self.homology.species_of(g);
            row(pruned, g).0.iter().for_each(|&h| linked[a][self.homology.species_of(h as usize)] = true);
        }
        linked
    }
}

/// The neighbourhoods of one species.
fn neighbourhood<B: Backend>(
    backend: &B,
    atlas: &Atlas,
    species: usize,
    options: &MappingOptions,
    ctx: &Context,
) -> Result<B::Neighbourhood> {
    let found = if per_species(&options.neigh_from_keys, species) {
        backend.neighbourhood_of_groups(atlas.groups)
    } else {
        let budgets = expand::budgets(atlas.groups, options.max_neighborhood);
        let size = per_species(&options.neighborhood_sizes, species);
        backend.neighbourhood(atlas.groups, atlas.neighbours, &budgets, size, options.expansion, ctx)?
    };
    ctx.advance(1)?;
    Ok(found)
}

/// An option that is given once for all species or once per species.
fn per_species<T: Copy>(values: &[T], species: usize) -> T {
    if values.len() == 1 { values[0] } else { values[species] }
}

/// First cell of each species, and the number of cells at the end.
fn cell_offsets(atlases: &[Atlas]) -> Vec<usize> {
    let mut offsets = vec![0];
    for atlas in atlases {
        offsets.push(offsets[offsets.len() - 1] + atlas.expression.cells());
    }
    offsets
}

/// Weight of each gene of the homology graph.
fn gene_weights(atlases: &[Atlas]) -> Vec<f64> {
    let of_atlas = |atlas: &Atlas| -> Vec<f64> {
        atlas.gene_columns.iter().map(|&column| atlas.weights[column as usize]).collect()
    };
    atlases.iter().flat_map(of_atlas).collect()
}
