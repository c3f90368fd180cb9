//! Little data for single operations of a backend, and a small pair of species for whole mappings.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its own part

use ndarray::Array2;
use samap_core::backend::Backend;
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::knn::Neighbours;
use samap_core::mapping::{Atlas, Mapping, MappingOptions, run_on};
use samap_core::rng::Rng;
use samap_core::sparse::Expression;
use samap_core::{Context, Result};

/// Normal coordinates; every fifth row is the one before, every seventh is zero.
pub fn points(n: usize, d: usize, seed: u64) -> Array2<f32> {
    let value = |i: usize, j: usize| Rng::keyed(seed, i as u64, j as u64).normal() as f32;
    Array2::from_shape_fn((n, d), |(i, j)| match i {
        _ if i % 7 == 6 => 0.0,
        _ if i % 5 == 4 => value(i - 1, j),
        _ => value(i, j),
    })
}

/// Cells × genes, a share of the entries 1 to 4; every sixth cell and every ninth gene is empty.
pub fn expression(cells: usize, genes: usize, share: f64, seed: u64) -> Expression {
    let (mut pointers, mut columns, mut values) = (vec![0_usize], Vec::new(), Vec::new());
    for cell in 0..cells {
        for gene in 0..genes {
            let mut rng = Rng::keyed(seed, cell as u64, gene as u64);
            if cell % 6 != 5 && gene % 9 != 8 && rng.uniform() < share {
                columns.push(gene as u32);
                values.push((1.0 + 3.0 * rng.uniform()) as f32);
            }
        }
        pointers.push(columns.len());
    }
    Expression::from_rows("counts", genes, &pointers, &columns, &values).unwrap()
}

/// k neighbours of each of n cells, the cell first.
pub fn neighbours(n: usize, k: usize, seed: u64) -> Neighbours {
    let mut indices = Vec::new();
    for i in 0..n {
        let mut rng = Rng::keyed(seed, 3, i as u64);
        let mut row = vec![i as u32];
        while row.len() < k {
            let j = rng.below(n) as u32;
            if !row.contains(&j) {
                row.push(j);
            }
        }
        indices.extend(row);
    }
    Neighbours { k, distances: vec![0.0; indices.len()], indices }
}

/// Two small species whose genes are homologous pair by pair, and some more.
pub struct Pairing {
    expression: [Expression; 2],
    weights: [Vec<f64>; 2],
    neighbours: [Neighbours; 2],
    loadings: [Array2<f32>; 2],
    columns: [Vec<u32>; 2],
    groups: [Vec<u32>; 2],
    homology: HomologyGraph,
}

impl Pairing {
    pub fn new() -> Self {
        let (cells, genes) = ([70, 61], [30, 26]);
        let gene = |species: u32, index: usize| Gene { species, index: index as u32 };
        let edges = (0..40).map(|e| {
            let weight = 0.2 + 0.8 * (e % 5) as f64 / 4.0;
            Edge { a: gene(0, e * 7 % 28), b: gene(1, e * 5 % 26), weight }
        });
        let loadings = |s: usize, d: usize| {
            Array2::from_shape_fn(([28, 26][s], d), |(i, j)| Rng::keyed(s as u64, i as u64, j as u64).normal() as f32)
        };
        Pairing {
            expression: [0, 1].map(|s| expression(cells[s], genes[s], 0.4, s as u64)),
            weights: [0, 1]
                .map(|s| (0..genes[s]).map(|g| if g == 4 { 0.0 } else { 0.2 + 0.1 * (g % 8) as f64 }).collect()),
            neighbours: [0, 1].map(|s| neighbours(cells[s], 5, s as u64)),
            loadings: [loadings(0, 7), loadings(1, 5)],
            columns: [(0..28).collect(), (0..26).collect()],
            groups: [0, 1].map(|s| (0..cells[s]).map(|i| (i % 3) as u32).collect()),
            homology: HomologyGraph::from_edges(&[28, 26], edges, &Context::default()).unwrap(),
        }
    }

    pub fn map(&self, backend: &impl Backend, options: &MappingOptions) -> Result<Mapping> {
        let atlas = |s: usize| Atlas {
            expression: &self.expression[s],
            weights: &self.weights[s],
            neighbours: &self.neighbours[s],
            loadings: &self.loadings[s],
            gene_columns: &self.columns[s],
            groups: &self.groups[s],
        };
        run_on(backend, &[atlas(0), atlas(1)], &self.homology, None, options, &Context::default())
    }
}
