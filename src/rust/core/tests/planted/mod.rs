//! Synthetic species with planted cell types: what the whole pipeline can be checked against without a reference.

// What cannot be computed fails the test.
#![allow(clippy::unwrap_used)]

use crate::atlases::{Atlases, Species};
use samap_core::Context;
use samap_core::analysis::{Labels, alignment_scores};
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::mapping::{Mapping, MappingOptions};
use samap_core::rng::Rng;
use samap_core::sam::run::SamOptions;
use samap_core::sparse::Expression;
use std::collections::{BTreeSet, HashMap};

/// Cell types of every species.
pub const TYPES: usize = 4;
/// Genes of every species.
pub const GENES: usize = 240;
/// Genes with a homologue; the others have none.
const HOMOLOGOUS: usize = 200;
/// Cells of each type: not alike, and more than a cell has neighbours.
const CELLS: [usize; TYPES] = [80, 50, 40, 30];

/// One species as a user would have it.
#[derive(Clone)]
pub struct PlantedSpecies {
    /// Cells × genes.
    pub counts: Vec<Vec<f32>>,
    /// Type of each cell.
    pub types: Vec<u32>,
    /// Group of each cell, for the neighbourhoods.
    pub groups: Vec<u32>,
}

/// An atlas per species, and homology.
#[derive(Clone)]
pub struct Planted {
    pub species: Vec<PlantedSpecies>,
    pub edges: Vec<Edge>,
}

/// A finished run.
pub struct Run {
    pub atlases: Atlases,
    pub mapping: Mapping,
    types: Vec<Vec<u32>>,
}

/// Which old species, cell or gene stands at each new place; cells and genes by old species.
#[derive(Clone)]
pub struct Order {
    pub species: Vec<usize>,
    pub cells: Vec<Vec<usize>>,
    pub genes: Vec<Vec<usize>>,
}

impl Planted {
    /// Species with the same types. Gene g of a species is homologous to gene g of every other, and weakly to its
    /// successor.
    pub fn new(species: usize) -> Self {
        Self::scaled(species, 1)
    }

    /// The same with `scale` times as many cells.
    pub fn scaled(species: usize, scale: usize) -> Self {
        let pairs = (0..species).flat_map(|a| (a + 1..species).map(move |b| (a, b)));
        let edges = pairs.flat_map(|(a, b)| {
            (0..HOMOLOGOUS).flat_map(move |g| {
                [edge((a, g), (b, g), 200.0 + g as f64), edge((a, g), (b, (g + 1) % HOMOLOGOUS), 40.0 + g as f64 / 7.0)]
            })
        });
        let edges = edges.collect();
        Planted { species: (0..species).map(|s| planted_species(s, scale)).collect(), edges }
    }

    pub fn reordered(&self, order: &Order) -> Self {
        let new_place = |order: &[usize], old: u32| order.iter().position(|&o| o == old as usize).unwrap() as u32;
        let species = order.species.iter().map(|&s| {
            let (old, cells, genes) = (&self.species[s], &order.cells[s], &order.genes[s]);
            PlantedSpecies {
                counts: cells.iter().map(|&i| genes.iter().map(|&g| old.counts[i][g]).collect()).collect(),
                types: cells.iter().map(|&i| old.types[i]).collect(),
                groups: cells.iter().map(|&i| old.groups[i]).collect(),
            }
        });
        let gene = |old: Gene| Gene {
            species: new_place(&order.species, old.species),
            index: new_place(&order.genes[old.species as usize], old.index),
        };
        let edges = self.edges.iter().map(|e| Edge { a: gene(e.a), b: gene(e.b), weight: e.weight });
        Planted { species: species.collect(), edges: edges.collect() }
    }

    /// The order it has.
    pub fn order(&self) -> Order {
        Order {
            species: (0..self.species.len()).collect(),
            cells: self.species.iter().map(|s| (0..s.counts.len()).collect()).collect(),
            genes: self.species.iter().map(|_| (0..GENES).collect()).collect(),
        }
    }

    /// SAM of every species and the homology graph.
    pub fn atlases(&self, options: &SamOptions) -> Atlases {
        let mut columns: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); self.species.len()];
        for gene in self.edges.iter().flat_map(|e| [e.a, e.b]) {
            columns[gene.species as usize].insert(gene.index);
        }
        let columns: Vec<Vec<u32>> = columns.into_iter().map(|c| c.into_iter().collect()).collect();
        let gene = |g: Gene| {
            let index = columns[g.species as usize].binary_search(&g.index).unwrap();
            Gene { species: g.species, index: index as u32 }
        };
        let edges = self.edges.iter().map(|e| Edge { a: gene(e.a), b: gene(e.b), weight: e.weight });
        let genes: Vec<usize> = columns.iter().map(Vec::len).collect();
        let homology = HomologyGraph::from_edges(&genes, edges, &Context::default()).unwrap();
        let species = self.species.iter().zip(&columns);
        let species = species.map(|(s, columns)| Species::from_counts(sparse(&s.counts), columns, &s.groups, options));
        Atlases { ids: (0..self.species.len()).map(|s| s.to_string()).collect(), species: species.collect(), homology }
    }

    /// From counts to the mapping.
    pub fn run(&self, sam: &SamOptions, options: &MappingOptions) -> Run {
        let atlases = self.atlases(sam);
        let mapping = atlases.map(options);
        Run { atlases, mapping, types: self.species.iter().map(|s| s.types.clone()).collect() }
    }
}

/// Alignment scores by (species, type) on both sides, each pair in both directions.
pub type Scores = HashMap<[(u32, u32); 2], f64>;

impl Run {
    /// Alignment scores of the planted types, for K = 20.
    pub fn scores(&self) -> Scores {
        let labels: Vec<_> = self.types.iter().map(|of| Some(Labels { of, types: TYPES })).collect();
        let stitched = &self.mapping.passes[self.mapping.passes.len() - 1].stitched;
        let scores =
            alignment_scores(stitched, &self.mapping.cell_offsets, &labels, 20, 0, &Context::default()).unwrap();
        let both = scores.iter().flat_map(|s| {
            let (a, b) = ((s.species_a, s.type_a), (s.species_b, s.type_b));
            [([a, b], s.score), ([b, a], s.score)]
        });
        both.collect()
    }

    /// Every number of the run to the last bit.
    pub fn bits(&self) -> Vec<u64> {
        self.atlases.bits(&self.mapping)
    }
}

pub fn edge(a: (usize, usize), b: (usize, usize), weight: f64) -> Edge {
    let gene = |(species, index): (usize, usize)| Gene { species: species as u32, index: index as u32 };
    Edge { a: gene(a), b: gene(b), weight }
}

/// Is the gene up in the type? A quarter of the genes is in each type; the last type shares most of them with the one before.
fn is_up(gene: usize, kind: usize) -> bool {
    let of = gene % TYPES;
    if kind == TYPES - 1 { of == kind - 1 && gene % 20 != 2 || of == kind && gene % 20 < 8 } else { of == kind }
}

/// Types in random order. Every gene that is up is so by a factor of its own; every seventh gene follows a gradient that is
/// there in all types, so that cells of a type differ. Half of how much a gene is expressed at all is the species' own.
fn planted_species(species: usize, scale: usize) -> PlantedSpecies {
    let sorted: Vec<u32> = (0..TYPES).flat_map(|kind| vec![kind as u32; CELLS[kind] * scale]).collect();
    let types: Vec<u32> = shuffled(sorted.len(), species as u64).into_iter().map(|i| sorted[i]).collect();
    let draw = |row: usize, g: usize| Rng::keyed(1, row as u64, g as u64).normal();
    let base: Vec<f64> = (0..GENES).map(|g| (0.3 * draw(0, g) + 0.3 * draw(1 + species, g)).exp()).collect();
    let mut counts = Vec::new();
    for (i, &kind) in types.iter().enumerate() {
        let mut rng = Rng::keyed(2, species as u64, i as u64);
        let (depth, place) = ((0.2 * rng.normal()).exp(), rng.uniform());
        let rate = |g: usize| {
            let own = if is_up(g, kind as usize) { 1.5 + 0.5 * (g % 5) as f64 } else { 1.0 };
            let gradient = if g.is_multiple_of(7) { 0.3 + 3.0 * place } else { 1.0 };
            depth * base[g] * own * gradient
        };
        counts.push((0..GENES).map(|g| poisson(rate(g), &mut rng)).collect());
    }
    PlantedSpecies { counts, groups: types.clone(), types }
}

/// Knuth's method; the rates are small.
fn poisson(rate: f64, rng: &mut Rng) -> f32 {
    let (limit, mut product, mut count) = ((-rate).exp(), rng.uniform(), 0);
    while product > limit {
        product *= rng.uniform();
        count += 1;
    }
    count as f32
}

fn sparse(counts: &[Vec<f32>]) -> Expression {
    let (mut pointers, mut columns, mut values) = (vec![0_usize], Vec::new(), Vec::new());
    for cell in counts {
        for (g, &count) in cell.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            columns.push(g as u32);
            values.push(count);
        }
        pointers.push(columns.len());
    }
    Expression::from_rows("counts", GENES, &pointers, &columns, &values).unwrap()
}

/// A random order of `n` things.
pub fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let (mut order, mut rng): (Vec<usize>, Rng) = ((0..n).collect(), Rng::keyed(seed, 9, 0));
    (1..n).rev().for_each(|i| order.swap(i, rng.below(i + 1)));
    order
}
