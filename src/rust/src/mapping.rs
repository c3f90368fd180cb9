//! The mapping loop, and the refinement of the homology graph on its own.

use crate::alignment_scores::each_species;
use crate::convert::{Columns, Fields, graph_from_r, large_matrix_to_r, neighbours_from_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::options;
use crate::sam::{Loadings, Species, given_up, held};
use extendr_api::prelude::*;
use ndarray::Array2;
use rayon::prelude::*;
use samap_core::backend::{Averaged, Backend};
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::knn::Neighbours;
use samap_core::mapping::{self, Atlas, Mapping, Pass, Start};
use samap_core::sparse::{Graph, graph_from_rows};
use samap_core::{Context, Result, on_device};

/// What the mapping needs of one species, owned.
struct Input {
    species: Species,
    loadings: Loadings,
    weights: Vec<f64>,
    neighbours: Neighbours,
    gene_columns: Vec<u32>,
    groups: Vec<u32>,
}

impl Input {
    /// Takes expression and loadings away from R: both are gone when the mapping has ended, before its result is made for R.
    fn of(fields: &Fields) -> Result<Self> {
        let species: Species = given_up("expression", fields.get("expression")?)?;
        let genes = species.expression.genes();
        let gene_columns = fields.indices("gene_columns", genes)?;
        Ok(Input {
            loadings: given_up("loadings", fields.get("loadings")?)?,
            weights: fields.numbers("weights")?,
            neighbours: neighbours_from_r("neighbor_index", fields.get("neighbor_index")?)?,
            groups: fields.indices("groups", species.expression.cells())?,
            gene_columns,
            species,
        })
    }

    /// From `list(expression, weights, gene_columns)`: the refinement reads nothing else.
    fn for_refinement(fields: &Fields) -> Result<Self> {
        let species: Species = held("expression", fields.get("expression")?)?;
        Ok(Input {
            loadings: Loadings::default(),
            weights: fields.numbers("weights")?,
            neighbours: Neighbours { k: 0, indices: Vec::new(), distances: Vec::new() },
            groups: Vec::new(),
            gene_columns: fields.indices("gene_columns", species.expression.genes())?,
            species,
        })
    }

    fn atlas(&self) -> Atlas<'_> {
        Atlas {
            expression: &self.species.expression,
            weights: &self.weights,
            neighbours: &self.neighbours,
            loadings: &self.loadings,
            gene_columns: &self.gene_columns,
            groups: &self.groups,
        }
    }
}

/// The homology graph of R: genes numbered over all species, each pair once; keeps the order of R's edges.
pub struct Homology {
    /// As the engine takes it.
    pub graph: HomologyGraph,
    pairs: Vec<(u32, u32)>,
}

impl Homology {
    /// From `list(n_genes, gene_a, gene_b, weight)`; edges of weight 0 are none.
    pub fn of(object: &Robj) -> Result<Self> {
        let fields = Fields::of("homology", object)?;
        let sizes: Vec<usize> = fields.numbers("n_genes")?.iter().map(|&n| n as usize).collect();
        let total = sizes.iter().sum();
        let (a, b) = (fields.indices("gene_a", total)?, fields.indices("gene_b", total)?);
        let weights = fields.numbers("weight")?;
        if a.len() != b.len() || a.len() != weights.len() {
            return Err(wrong("homology", "columns of one length"));
        }
        let pairs: Vec<(u32, u32)> = a.into_iter().zip(b).collect();
        let edges = numbered(&sizes, &pairs, &weights);
        Ok(Homology { graph: HomologyGraph::from_edges(&sizes, edges, &Context::default())?, pairs })
    }

    /// Values of a matrix over the genes in the order of R's edges; 0 where there is no entry.
    pub fn values(&self, matrix: &Graph) -> Vec<f64> {
        self.pairs.iter().map(|&(a, b)| matrix.get(a as usize, b as usize).copied().unwrap_or(0.0)).collect()
    }

    /// The symmetric matrix over the genes that has `values` in the order of R's edges.
    fn matrix(&self, values: &[f64]) -> Result<Graph> {
        if values.len() != self.pairs.len() {
            return Err(wrong("correlation", "as long as the homology graph has edges"));
        }
        // Not by way of a homology graph: correlations may be negative where the threshold lets them.
        let mut rows = vec![Vec::new(); self.graph.genes()];
        for (&(a, b), &value) in self.pairs.iter().zip(values).filter(|(_, value)| **value != 0.0) {
            rows[a as usize].push((b, value));
            rows[b as usize].push((a, value));
        }
        for row in &mut rows {
            row.sort_unstable_by_key(|&(gene, _)| gene);
            row.dedup_by_key(|&mut (gene, _)| gene);
        }
        Ok(graph_from_rows(self.graph.genes(), rows))
    }
}

/// Edges between genes numbered over all species, for the engine, which numbers them within each species.
fn numbered(sizes: &[usize], pairs: &[(u32, u32)], weights: &[f64]) -> Vec<Edge> {
    let mut offsets = vec![0];
    for size in sizes {
        offsets.push(offsets[offsets.len() - 1] + *size as u32);
    }
    let gene = |gene: u32| {
        let species = offsets.partition_point(|&first| first <= gene) - 1;
        Gene { species: species as u32, index: gene - offsets[species] }
    };
    pairs.iter().zip(weights).map(|(&(a, b), &weight)| Edge { a: gene(a), b: gene(b), weight }).collect()
}

/// An earlier mapping, owned.
struct Earlier {
    passes: usize,
    stitched: Graph,
    refined: Graph,
    refined_over: usize,
}

impl Earlier {
    fn of(object: &Robj, homology: &Homology) -> Result<Self> {
        let fields = Fields::of("from", object)?;
        Ok(Earlier {
            passes: fields.count("passes")?,
            stitched: graph_from_r("graph", fields.get("graph")?)?,
            refined: homology.matrix(&fields.numbers("correlation")?)?,
            refined_over: fields.count("refined_over")?,
        })
    }

    fn start(&self) -> Start<'_> {
        Start { passes: self.passes, stitched: &self.stitched, refined: &self.refined, refined_over: self.refined_over }
    }
}

/// Maps the species onto each other. `species`: list of `list(expression, loadings, weights, neighbor_index, gene_columns,
/// groups, neighborhood_size, neigh_from_keys)`, of which expression and loadings are given up; `from`: NULL or `list(passes,
/// graph, correlation, refined_over)`.
#[extendr]
#[allow(clippy::too_many_arguments)] // R's side of the call has no structs
fn mapping_start(
    species: Robj,
    homology: Robj,
    from: Robj,
    mapping_options: Robj,
    knn_options: Robj,
    seed: f64,
    backend: &str,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let fields = each_species(&species)?;
        let inputs: Vec<Input> = fields.iter().map(Input::of).collect::<Result<_>>()?;
        let homology = Homology::of(&homology)?;
        let from = if from.is_null() { None } else { Some(Earlier::of(&from, &homology)?) };
        let options = options::mapping(&mapping_options, &fields, options::knn(&knn_options, seed)?)?;
        Job::start_on(options::backend(backend)?, threads, memory, move |device, ctx| {
            let atlases: Vec<Atlas> = inputs.iter().map(Input::atlas).collect();
            let start = from.as_ref().map(Earlier::start);
            let found = on_device!(device, backend => {
                mapping::run_on(backend, &atlases, &homology.graph, start, &options, ctx)
            })?;
            let done = Done::of(found, &homology)?;
            Ok(Box::new(move || done.into_r(threads)) as Pack)
        })
    })
}

/// A finished mapping, as near to what R takes as the job can bring it.
struct Done {
    passes: Vec<(usize, Columns)>,
    correlation: Vec<f64>,
    refined_over: usize,
    latent: Array2<f32>,
}

impl Done {
    fn of(found: Mapping, homology: &Homology) -> Result<Self> {
        let columns = |pass: Pass| Ok((pass.number, Columns::of(&pass.stitched)?));
        Ok(Done {
            passes: found.passes.into_par_iter().map(columns).collect::<Result<_>>()?,
            correlation: homology.values(&found.refined),
            refined_over: found.refined_over,
            latent: found.latent,
        })
    }

    /// Each part is given up as soon as R has its own.
    fn into_r(self, threads: i32) -> Result<Robj> {
        let pass = |(number, graph): (usize, Columns)| -> Result<Robj> {
            Ok(list!(iteration = number as i32, graph = graph.into_r()?).into())
        };
        let passes = self.passes.into_iter().map(pass).collect::<Result<Vec<Robj>>>()?;
        Ok(list!(
            passes = List::from_values(passes),
            correlation = self.correlation,
            refined_over = self.refined_over as i32,
            latent = large_matrix_to_r(self.latent.view(), threads)?
        )
        .into())
    }
}

/// Refines the homology graph over a stitched graph: `list(correlation)`. `species`: list of `list(expression, weights,
/// gene_columns)`.
#[extendr]
fn refine_start(
    species: Robj,
    homology: Robj,
    graph: Robj,
    mapping_options: Robj,
    backend: &str,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let inputs: Vec<Input> = each_species(&species)?.iter().map(Input::for_refinement).collect::<Result<_>>()?;
        let homology = Homology::of(&homology)?;
        let graph = graph_from_r("graph", &graph)?;
        let options = options::refinement(&mapping_options)?;
        Job::start_on(options::backend(backend)?, threads, memory, move |device, ctx| {
            let atlases: Vec<Atlas> = inputs.iter().map(Input::atlas).collect();
            let refined = ctx.phase("refinement", atlases.len(), || {
                on_device!(device, backend => {
                    let each = atlases.iter().map(|atlas| backend.expression(atlas.expression));
                    let expression = each.collect::<Result<Vec<_>>>()?;
                    let over = Averaged {
                        atlases: &atlases,
                        expression: &expression,
                        homology: &homology.graph,
                        stitched: &graph,
                    };
                    mapping::refine_on(backend, &over, &options, ctx)
                })
            })?;
            Ok(Box::new(move || Ok(list!(correlation = homology.values(&refined)).into())) as Pack)
        })
    })
}

extendr_module! {
    mod mapping;
    fn mapping_start;
    fn refine_start;
}
