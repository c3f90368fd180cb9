//! An atlas pair as the mapping takes it, from the cells that [`crate::pancreas`] makes.

use crate::pancreas::{Pancreas, SPECIES};
use crate::{Failure, Result};
use ndarray::{Array2, Axis};
use samap_core::Context;
use samap_core::backend::{Backend, Cpu};
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::knn::Neighbours;
use samap_core::mapping::Atlas;
use samap_core::mapping::projection::{Scaled, project_cross, project_own, prune, scale_edges};
use samap_core::sam::loadings::mapping_loadings_on;
use samap_core::sam::{PreprocessOptions, Preprocessed, SamOptions, preprocess::preprocess, run};
use samap_core::sparse::Expression;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Components that the mapping projects through.
const COMPONENTS: usize = 300;

/// Counts of one species, with the type of each cell and the genes that the homology names.
pub struct Counts {
    /// Cells × genes.
    pub counts: Expression,
    /// Type of each cell, from 0.
    pub types: Vec<u32>,
    /// Column of each gene of the homology graph.
    pub gene_columns: Vec<u32>,
}

/// One species after SAM: everything an [`Atlas`] borrows.
pub struct Species {
    /// Normalised expression.
    pub data: Preprocessed,
    /// SAM weight per gene.
    pub weights: Vec<f64>,
    /// Neighbours within the species.
    pub neighbours: Neighbours,
    /// Coordinates of the cells, cells × components of SAM.
    pub scores: Array2<f32>,
    /// Genes of the homology graph × components of the mapping.
    pub loadings: Array2<f32>,
    /// Column of each gene of the homology graph.
    pub gene_columns: Vec<u32>,
    /// Type of each cell.
    pub types: Vec<u32>,
}

impl Species {
    /// Preprocessing, SAM and loadings.
    pub fn fit(counts: Counts, ctx: &Context) -> Result<Self> {
        Self::fit_on(&Cpu, counts, ctx)
    }

    /// [`Species::fit`] on a backend.
    pub fn fit_on<B: Backend>(backend: &B, counts: Counts, ctx: &Context) -> Result<Self> {
        let data = preprocess(counts.counts, &PreprocessOptions::default(), ctx)?;
        let found = run::run_on(backend, &data, &SamOptions::default(), ctx)?;
        let loadings = loadings_on(backend, &data.expression, &found.weights, ctx)?;
        let genes: Vec<usize> = counts.gene_columns.iter().map(|&column| column as usize).collect();
        Ok(Species {
            data,
            weights: found.weights,
            neighbours: found.neighbours,
            scores: found.scores,
            loadings: loadings.select(Axis(0), &genes),
            gene_columns: counts.gene_columns,
            types: counts.types,
        })
    }

    /// As the mapping takes it.
    pub fn atlas(&self) -> Atlas<'_> {
        Atlas {
            expression: &self.data.expression,
            weights: &self.weights,
            neighbours: &self.neighbours,
            loadings: &self.loadings,
            gene_columns: &self.gene_columns,
            groups: &self.types,
        }
    }
}

/// The loadings that the mapping projects through.
pub fn loadings_on<B: Backend>(backend: &B, x: &Expression, weights: &[f64], ctx: &Context) -> Result<Array2<f32>> {
    let SamOptions { solver, seed, .. } = SamOptions::default();
    Ok(mapping_loadings_on(backend, x, weights, COMPONENTS, solver, seed, ctx)?)
}

/// Counts of both species, half of the `cells` each, and their homology graph, from the folder that `export_data.R` wrote.
pub fn pair(folder: &Path, cells: usize, seed: u64) -> Result<(Vec<Counts>, HomologyGraph)> {
    mixed_pair(folder, cells, 0.0, seed)
}

/// The same of cells that lie between two cells of the pancreas; see [`Pancreas::mixed`].
pub fn mixed_pair(folder: &Path, cells: usize, mixed: f64, seed: u64) -> Result<(Vec<Counts>, HomologyGraph)> {
    let read = |s: usize| Ok(Pancreas::read(folder, s)?.mixed(mixed));
    let pancreas: Vec<Pancreas> = (0..SPECIES.len()).map(read).collect::<Result<_>>()?;
    let path = folder.join("homology.txt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let places: Vec<HashMap<&str, u32>> = pancreas
        .iter()
        .map(|p| p.genes.iter().enumerate().map(|(i, gene)| (gene.as_str(), i as u32)).collect())
        .collect();
    let mut edges: Vec<([u32; 2], f64)> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [a, b, weight] = fields[..] else { return Err(Failure::from(format!("{}: {line}", path.display()))) };
        if let (Some(&a), Some(&b)) = (places[0].get(a), places[1].get(b)) {
            edges.push(([a, b], weight.parse()?));
        }
    }
    let columns = [0, 1].map(|side| used(edges.iter().map(|(pair, _)| pair[side])));
    let gene = |species: usize, column: u32| Gene { species: species as u32, index: columns[species][&column] };
    let numbered = edges.iter().map(|&([a, b], weight)| Edge { a: gene(0, a), b: gene(1, b), weight });
    let sizes = [columns[0].len(), columns[1].len()];
    let homology = HomologyGraph::from_edges(&sizes, numbered, &Context::default())?;
    let counts = pancreas.iter().zip(&columns).map(|(pancreas, columns)| {
        let rows = pancreas.cells(0, cells / 2, seed);
        let expression =
            Expression::from_rows("counts", pancreas.genes.len(), &rows.pointers, &rows.columns, &rows.counts)?;
        let names: Vec<&str> = rows.sources.iter().map(|&source| pancreas.types[source].as_str()).collect();
        Ok(Counts { counts: expression, types: numbers(&names), gene_columns: columns.keys().copied().collect() })
    });
    Ok((counts.collect::<Result<_>>()?, homology))
}

/// Latent coordinates of the cells of both species in the first pass, and the first cell of the second species.
pub fn latent(species: &[Species], homology: &HomologyGraph, ctx: &Context) -> Result<(Array2<f32>, usize)> {
    let atlases: Vec<Atlas> = species.iter().map(Species::atlas).collect();
    let weights: Vec<f64> =
        atlases.iter().flat_map(|a| a.gene_columns.iter().map(|&gene| a.weights[gene as usize])).collect();
    let graph = scale_edges(&prune(&homology.weights, &weights));
    let first = atlases[0].expression.cells();
    let cells = [0, first, first + atlases[1].expression.cells()];
    let scaled = atlases.iter().map(|atlas| Scaled::new(atlas, ctx)).collect::<samap_core::Result<Vec<_>>>()?;
    let mut latent = project_own(&scaled, &cells, ctx)?;
    project_cross(&scaled, &graph, (&homology.offsets, &cells), true, &mut latent, ctx)?;
    Ok((latent, first))
}

/// Columns in ascending order, numbered from 0.
fn used(columns: impl Iterator<Item = u32>) -> BTreeMap<u32, u32> {
    let mut places: BTreeMap<u32, u32> = columns.map(|column| (column, 0)).collect();
    places.values_mut().enumerate().for_each(|(i, place)| *place = i as u32);
    places
}

/// Names numbered in their order.
fn numbers(names: &[&str]) -> Vec<u32> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    names.iter().map(|name| sorted.partition_point(|other| other < name) as u32).collect()
}
