//! Tables made from a stitched graph and the cell types of a fixture, under the names that the reference gives them.

// Each test file uses its own part of this module; what cannot be computed fails the test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use crate::atlases::Atlases;
use crate::common::{Frame, Golden, Values};
use ndarray::Array2;
use samap_core::Context;
use samap_core::analysis::*;
use samap_core::mapping::Mapping;
use samap_core::sparse::Graph;
use std::collections::HashMap;

/// Atlases of a fixture and what a mapping made of them.
pub struct Annotated {
    /// Names of all genes of each species.
    pub genes: Vec<Vec<String>>,
    /// Names of the types of each species, sorted; the groups of the atlases are their numbers.
    pub types: Vec<Vec<String>>,
    pub atlases: Atlases,
    pub refined: Graph,
    pub stitched: Graph,
}

impl Annotated {
    pub fn new(golden: &Golden, atlases: Atlases, refined: Graph, stitched: Graph) -> Self {
        let strings = |what: &str| {
            let of_species = |id: &String| golden.strings(&format!("species/{id}/{what}"));
            atlases.ids.iter().map(of_species).collect::<Vec<_>>()
        };
        let (genes, mut types) = (strings("genes"), strings("cell_type"));
        for types in &mut types {
            types.sort();
            types.dedup();
        }
        Annotated { genes, types, atlases, refined, stitched }
    }

    /// A run of the reference.
    pub fn reference(golden: &Golden, atlases: &Atlases, variant: &str) -> Self {
        let graph = |what: &str| golden.graph(&format!("mapping/{variant}/{what}"));
        Self::new(golden, atlases.clone(), graph("homology_graph_reweighted"), graph("connectivities"))
    }

    /// A run of ours.
    pub fn ours(golden: &Golden, atlases: &Atlases, mut mapping: Mapping) -> Self {
        let last = mapping.passes.pop().unwrap();
        Self::new(golden, atlases.clone(), mapping.refined, last.stitched)
    }

    pub fn species(&self) -> usize {
        self.atlases.ids.len()
    }

    fn labels(&self, species: usize) -> Labels<'_> {
        Labels { of: &self.atlases.species[species].groups, types: self.types[species].len() }
    }

    pub fn scores(&self, k: usize, n_top: usize) -> Vec<AlignmentScore> {
        let labels: Vec<_> = (0..self.species()).map(|s| Some(self.labels(s))).collect();
        let cells = self.atlases.cell_offsets();
        alignment_scores(&self.stitched, &cells, &labels, k, n_top, &Context::default()).unwrap()
    }

    /// Alignment scores as a matrix whose rows and columns are the types `<species>_<type>` of `index`.
    pub fn score_matrix(&self, k: usize, n_top: usize, index: &[String]) -> Array2<f64> {
        let place: HashMap<&str, usize> = index.iter().map(String::as_str).zip(0..).collect();
        let mut matrix = Array2::zeros((index.len(), index.len()));
        for s in self.scores(k, n_top) {
            let a = place[self.type_name(s.species_a, s.type_a).as_str()];
            let b = place[self.type_name(s.species_b, s.type_b).as_str()];
            (matrix[[a, b]], matrix[[b, a]]) = (s.score, s.score);
        }
        matrix
    }

    pub fn markers(&self, test: Test) -> Vec<Markers> {
        let of_species = |s: usize| {
            let expression = &self.atlases.species[s].expression;
            cluster_markers(expression, self.labels(s), test, &Context::default()).unwrap()
        };
        (0..self.species()).map(of_species).collect()
    }

    /// Gene pairs of a mapping with K = 20.
    pub fn pairs(&self, options: &GenePairOptions) -> Vec<GenePair> {
        let markers = self.markers(Test::Reference);
        let of_species = |s: usize| {
            let atlas = &self.atlases.species[s];
            AnnotatedSpecies {
                expression: &atlas.expression,
                weights: &atlas.weights,
                gene_columns: &atlas.gene_columns,
                labels: self.labels(s),
                markers: &markers[s],
            }
        };
        let species: Vec<AnnotatedSpecies> = (0..self.species()).map(of_species).collect();
        let input = GenePairInput {
            species: &species,
            genes: &self.atlases.homology.offsets,
            refined: &self.refined,
            cells: &self.atlases.cell_offsets(),
            stitched: &self.stitched,
        };
        gene_pairs(&input, &self.scores(20, 0), options, &Context::default()).unwrap()
    }

    /// `<species>_<type>`, as the reference writes it.
    pub fn type_name(&self, species: u32, kind: u32) -> String {
        format!("{}_{}", self.atlases.ids[species as usize], self.types[species as usize][kind as usize])
    }

    fn gene_name(&self, species: u32, gene: u32) -> String {
        format!("{}_{}", self.atlases.ids[species as usize], self.genes[species as usize][gene as usize])
    }

    /// Types and genes of a row as the reference names them, in its lexicographic order of types.
    pub fn names(&self, row: &GenePair) -> (String, String) {
        let types = [self.type_name(row.species_a, row.type_a), self.type_name(row.species_b, row.type_b)];
        let genes = [self.gene_name(row.species_a, row.gene_a), self.gene_name(row.species_b, row.gene_b)];
        match types[0] < types[1] {
            true => (types.join(";"), genes.join(";")),
            false => (format!("{};{}", types[1], types[0]), format!("{};{}", genes[1], genes[0])),
        }
    }
}

/// Gene pair and p of both sides.
pub type PairRow = (String, f64, f64);

/// The reference's wide table: rows of each pair of types.
pub fn gene_pair_columns(frame: &Frame) -> Vec<(String, Vec<PairRow>)> {
    let text = |values: &Values| match values {
        Values::Text(values) => values.clone(),
        Values::Numbers(_) => panic!("a column of numbers"),
    };
    frame
        .columns
        .chunks(3)
        .zip(frame.values.chunks(3))
        .map(|(names, values)| {
            let [genes, p, q] = [text(&values[0]), text(&values[1]), text(&values[2])];
            let rows = genes.into_iter().zip(p.iter().zip(q)).filter(|(gene, _)| gene != "nan");
            let rows = rows.map(|(gene, (p, q))| (gene, p.parse().unwrap(), q.parse().unwrap()));
            (names[0].clone(), rows.collect())
        })
        .collect()
}
