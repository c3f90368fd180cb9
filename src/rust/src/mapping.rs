//! The mapping loop, and the refinement of the homology graph on its own.

use crate::convert::{Fields, graph_from_r, graph_to_r, indices, matrix_to_r, neighbours_from_r};
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::options;
use crate::sam::{Loadings, Species, held};
use extendr_api::prelude::*;
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::knn::Neighbours;
use samap_core::mapping::{self, Atlas, Earlier, Mapping};
use samap_core::{Error as CoreError, Result};

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
    fn of(fields: &Fields) -> Result<Self> {
        let species: Species = held("expression", fields.get("expression")?)?;
        let genes = species.expression.genes();
        let gene_columns = fields.indices("gene_columns", genes)?;
        Ok(Input {
            loadings: held("loadings", fields.get("loadings")?)?,
            weights: fields.numbers("weights")?,
            neighbours: neighbours_from_r("neighbor_index", fields.get("neighbor_index")?)?,
            groups: fields.indices("groups", species.expression.cells())?,
            gene_columns,
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
struct Homology {
    graph: HomologyGraph,
    pairs: Vec<(u32, u32)>,
}

impl Homology {
    fn of(object: &Robj) -> Result<Self> {
        let fields = Fields::of("homology", object)?;
        let sizes: Vec<usize> = fields.numbers("n_genes")?.iter().map(|&n| n as usize).collect();
        let total = sizes.iter().sum();
        let (a, b) = (fields.indices("gene_a", total)?, fields.indices("gene_b", total)?);
        let weights = fields.numbers("weight")?;
        if a.len() != b.len() || a.len() != weights.len() {
            return Err(wrong("homology", "columns of one length"));
        }
        let gene = local_gene(&sizes);
        let edges: Vec<Edge> =
            a.iter().zip(&b).zip(&weights).map(|((&a, &b), &weight)| Edge { a: gene(a), b: gene(b), weight }).collect();
        let pairs = a.into_iter().zip(b).collect();
        Ok(Homology { graph: HomologyGraph::from_edges(&sizes, &edges)?.0, pairs })
    }

    /// Values of a matrix over the genes in the order of R's edges; 0 where there is no entry.
    fn values(&self, matrix: &samap_core::sparse::Graph) -> Vec<f64> {
        self.pairs.iter().map(|&(a, b)| matrix.get(a as usize, b as usize).copied().unwrap_or(0.0)).collect()
    }
}

/// From the number of a gene over all species to its species and its number there.
fn local_gene(sizes: &[usize]) -> impl Fn(u32) -> Gene {
    let mut offsets = vec![0u32];
    for size in sizes {
        offsets.push(offsets[offsets.len() - 1] + *size as u32);
    }
    move |gene| {
        let species = offsets.partition_point(|&offset| offset <= gene) - 1;
        Gene { species: species as u32, index: gene - offsets[species] }
    }
}
