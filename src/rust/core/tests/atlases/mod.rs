//! Atlases as the mapping takes them, read from the fixtures or made from counts.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common::{Golden, as_graph, pearson};
use ndarray::{Array2, Axis};
use samap_core::backend::{Backend, Cpu};
use samap_core::homology::HomologyGraph;
use samap_core::knn::Neighbours;
use samap_core::mapping::{Atlas, EdgeMode, Mapping, MappingOptions, run_on};
use samap_core::sam::loadings::mapping_loadings_on;
use samap_core::sam::preprocess::{PreprocessOptions, preprocess};
use samap_core::sam::run::SamOptions;
use samap_core::sparse::{Expression, Graph, row};
use samap_core::{Context, sam};
use std::collections::HashMap;

/// Everything an [`Atlas`] borrows.
#[derive(Clone)]
pub struct Species {
    pub expression: Expression,
    pub weights: Vec<f64>,
    pub neighbours: Neighbours,
    pub loadings: Array2<f32>,
    pub gene_columns: Vec<u32>,
    pub groups: Vec<u32>,
}

impl Species {
    /// Preprocessing, SAM and the loadings of the mapping.
    pub fn from_counts(counts: Expression, gene_columns: &[u32], groups: &[u32], options: &SamOptions) -> Self {
        Self::from_counts_on(&Cpu, counts, gene_columns, groups, options)
    }

    /// The same on a backend.
    pub fn from_counts_on(
        backend: &impl Backend,
        counts: Expression,
        gene_columns: &[u32],
        groups: &[u32],
        options: &SamOptions,
    ) -> Self {
        let ctx = Context::default();
        let data = preprocess(counts, &PreprocessOptions::default(), &ctx).unwrap();
        let found = sam::run::run_on(backend, &data, options, &ctx).unwrap();
        let (x, solver, seed) = (&data.expression, options.solver, options.seed);
        let loadings = mapping_loadings_on(backend, x, &found.weights, 300, solver, seed, &ctx).unwrap();
        Species {
            expression: data.expression,
            weights: found.weights,
            neighbours: found.neighbours,
            loadings: rows(&loadings, gene_columns),
            gene_columns: gene_columns.to_vec(),
            groups: groups.to_vec(),
        }
    }

    pub fn atlas(&self) -> Atlas<'_> {
        Atlas {
            expression: &self.expression,
            weights: &self.weights,
            neighbours: &self.neighbours,
            loadings: &self.loadings,
            gene_columns: &self.gene_columns,
            groups: &self.groups,
        }
    }
}

/// Some species and their homology graph.
#[derive(Clone)]
pub struct Atlases {
    pub ids: Vec<String>,
    pub species: Vec<Species>,
    pub homology: HomologyGraph,
}

impl Atlases {
    pub fn of(golden: &Golden) -> Self {
        let ids = golden.species();
        let names = golden.strings("mapping/default/homology_genes");
        let split: Vec<(&str, &str)> = names.iter().map(|name| name.split_once('_').unwrap()).collect();
        let mut offsets = vec![0];
        let mut species = Vec::new();
        for id in &ids {
            let genes: Vec<&str> = split.iter().filter(|(s, _)| s == id).map(|&(_, gene)| gene).collect();
            offsets.push(offsets[offsets.len() - 1] + genes.len());
            species.push(read_species(golden, id, &genes));
        }
        let homology = HomologyGraph { offsets, weights: golden.graph("mapping/default/homology_graph") };
        Atlases { ids, species, homology }
    }

    /// The same species from their counts: expression, weights, neighbours and loadings are ours; genes, groups and
    /// homology are the fixture's.
    pub fn from_counts(golden: &Golden, options: &SamOptions) -> Self {
        Self::from_counts_on(&Cpu, golden, options)
    }

    /// The same on a backend.
    pub fn from_counts_on(backend: &impl Backend, golden: &Golden, options: &SamOptions) -> Self {
        let mut atlases = Self::of(golden);
        for (id, species) in atlases.ids.iter().zip(&mut atlases.species) {
            let counts = golden.expression(&format!("species/{id}/counts"));
            let (columns, groups) = (&species.gene_columns, &species.groups);
            *species = Species::from_counts_on(backend, counts, columns, groups, options);
        }
        atlases
    }

    pub fn atlases(&self) -> Vec<Atlas<'_>> {
        self.species.iter().map(Species::atlas).collect()
    }

    /// First cell of each species, and the number of cells at the end.
    pub fn cell_offsets(&self) -> Vec<usize> {
        let mut offsets = vec![0];
        self.species.iter().for_each(|s| offsets.push(offsets[offsets.len() - 1] + s.expression.cells()));
        offsets
    }

    /// Runs the mapping.
    pub fn map(&self, options: &MappingOptions) -> Mapping {
        self.map_on(&Cpu, options)
    }

    /// Runs the mapping on a backend.
    pub fn map_on(&self, backend: &impl Backend, options: &MappingOptions) -> Mapping {
        run_on(backend, &self.atlases(), &self.homology, None, options, &Context::default()).unwrap()
    }

    /// Pearson correlation of the weights that two refined graphs give to the homologous genes.
    pub fn refined_pearson(&self, x: &Graph, y: &Graph) -> f64 {
        let value = |graph: &Graph, g: u32, h: u32| graph.get(g as usize, h as usize).copied().unwrap_or(0.0);
        let both: (Vec<f64>, Vec<f64>) =
            self.homology.edges().map(|(g, h, _)| (value(x, g, h), value(y, g, h))).unzip();
        pearson(&both.0, &both.1)
    }

    /// Every number of the atlases and of a mapping of them, to the last bit.
    pub fn bits(&self, mapping: &Mapping) -> Vec<u64> {
        let mut bits = Vec::new();
        for species in &self.species {
            bits.extend(as_graph(&species.expression).data().iter().map(|x| x.to_bits()));
            bits.extend(species.weights.iter().chain(&species.neighbours.distances).map(|x| x.to_bits()));
            bits.extend(species.neighbours.indices.iter().map(|&j| u64::from(j)));
            bits.extend(species.loadings.iter().map(|x| u64::from(x.to_bits())));
        }
        for graph in mapping.passes.iter().map(|pass| &pass.stitched).chain([&mapping.refined]) {
            bits.extend(graph.indptr().raw_storage().iter().map(|&p| p as u64));
            bits.extend(graph.indices().iter().map(|&j| u64::from(j)));
            bits.extend(graph.data().iter().map(|x| x.to_bits()));
        }
        bits.extend(mapping.latent.iter().map(|x| u64::from(x.to_bits())));
        bits
    }

    /// Gene weights in the order of the homology graph.
    pub fn gene_weights(&self) -> Vec<f64> {
        self.species.iter().flat_map(|s| s.gene_columns.iter().map(|&c| s.weights[c as usize])).collect()
    }
}

fn read_species(golden: &Golden, id: &str, genes: &[&str]) -> Species {
    let path = |name: &str| format!("species/{id}/{name}");
    let names = golden.strings(&path("genes"));
    let column: HashMap<&str, u32> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i as u32)).collect();
    let gene_columns: Vec<u32> = genes.iter().map(|gene| column[gene]).collect();
    Species {
        expression: golden.expression(&path("preprocess/X")),
        weights: golden.f64s(&path("sam/weights")),
        neighbours: neighbours(&golden.graph(&path("sam/connectivities"))),
        loadings: rows(&golden.dense_f32(&path("PCs_SAMap")), &gene_columns),
        gene_columns,
        groups: codes(&golden.strings(&path("cell_type"))),
    }
}

/// The rows of some genes.
fn rows(loadings: &Array2<f32>, genes: &[u32]) -> Array2<f32> {
    let genes: Vec<usize> = genes.iter().map(|&gene| gene as usize).collect();
    loadings.select(Axis(0), &genes)
}

/// Number of each label among the sorted labels.
pub fn codes(labels: &[String]) -> Vec<u32> {
    let mut sorted: Vec<&String> = labels.iter().collect();
    sorted.sort();
    sorted.dedup();
    labels.iter().map(|label| sorted.binary_search(&label).unwrap() as u32).collect()
}

/// A graph with the same number of neighbours in every row; the cell itself first, the others by index.
pub fn neighbours(graph: &Graph) -> Neighbours {
    let k = row(graph, 0).0.len();
    let mut indices = Vec::new();
    for i in 0..graph.rows() {
        let columns = row(graph, i).0;
        assert_eq!(columns.len(), k);
        assert!(columns.contains(&(i as u32)));
        indices.push(i as u32);
        indices.extend(columns.iter().filter(|&&j| j as usize != i));
    }
    Neighbours { k, distances: vec![0.0; indices.len()], indices }
}

/// Options of the recorded runs.
pub fn options_of(run: &str, species: usize) -> MappingOptions {
    let default = MappingOptions::default();
    match run {
        "default" => default,
        "not_pairwise" => MappingOptions { pairwise: false, ..default },
        "no_corr_scaling" => MappingOptions { scale_edges_by_corr: false, hom_edge_thr: 0.2, ..default },
        "neigh_from_keys" => MappingOptions { neigh_from_keys: (0..species).map(|s| s == 0).collect(), ..default },
        "xi" => MappingOptions { hom_edge_mode: EdgeMode::Xi, n_iterations: 2, ..default },
        "k10_nh1" => MappingOptions { cross_species_k: 10, neighborhood_sizes: vec![1], ..default },
        "gene_chunks" => MappingOptions { n_gene_chunks: 3, ..default },
        _ => panic!("unknown run {run}"),
    }
}

/// The recorded runs.
pub const RUNS: [&str; 7] =
    ["default", "not_pairwise", "no_corr_scaling", "neigh_from_keys", "xi", "k10_nh1", "gene_chunks"];
