//! Tables from a finished mapping. In: the stitched graph, labels of the cells, expression and the refined homology graph.
//! Out: alignment scores of cell types, markers, gene pairs, where the edges of each cell go, and labels transferred along them.

pub mod alignment_scores;
pub mod cell_scores;
pub mod cliques;
pub mod edge_changes;
pub mod enrichment;
pub mod expression_overlap;
pub mod gene_expression;
pub mod gene_pairs;
mod hypergeometric;
pub mod markers;
mod statistics;
pub mod substitutions;
mod tiles;
pub mod transfer;
pub mod triangles;

pub use alignment_scores::{AlignmentScore, alignment_scores};
pub use cell_scores::{CellScores, cell_scores};
pub use cliques::{Cliques, cliques};
pub use edge_changes::{EdgeChange, edge_changes};
pub use enrichment::{Enrichment, EnrichmentOptions, GeneSets, enrich};
pub use expression_overlap::{Average, ExpressionOverlap, SpeciesGene, expression_overlap};
pub use gene_expression::{TypeExpression, cell_expression, type_expression};
pub use gene_pairs::{AnnotatedSpecies, Direction, GenePair, GenePairInput, GenePairOptions, gene_pairs};
pub use markers::{Markers, Test, cluster_markers};
pub use substitutions::{HomologousPairs, Substitution, SubstitutionOptions, paralog_substitutions, reciprocal_best};
pub use transfer::{TransferOptions, Transferred, transfer_labels};
pub use triangles::{
    EdgeClass, GeneCliques, GeneTriangleOptions, TypeCliques, TypeTriangleOptions, cell_type_triangles, gene_triangles,
    types_of_genes,
};

use crate::sparse::{Graph, row};
use crate::{Error, Result};

/// The label of a cell that has none. Such a cell belongs to no type: it is in nobody's mean and its edges count for nobody.
pub const UNLABELLED: u32 = u32::MAX;

/// Types of the cells of one species.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels<'a> {
    /// Type of each cell, below `types`, or [`UNLABELLED`].
    pub of: &'a [u32],
    /// Number of types; some may have no cell.
    pub types: usize,
}

impl<'a> Labels<'a> {
    /// Labels for `cells` cells of `types` types.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of labels; [`Error::Argument`] for a label that is neither a type nor
    /// [`UNLABELLED`].
    pub fn new(of: &'a [u32], types: usize, cells: usize) -> Result<Self> {
        if of.len() != cells {
            return Err(Error::shape("labels", format!("{cells} labels"), format!("{}", of.len())));
        }
        match of.iter().find(|&&label| label != UNLABELLED && label as usize >= types) {
            Some(label) => {
                let remedy = format!("Use labels below {types}, or no label.");
                Err(Error::argument("by", format!("the label {label}"), remedy))
            }
            None => Ok(Labels { of, types }),
        }
    }

    /// Type of cell `i`; `None` when it has no label.
    fn get(&self, i: usize) -> Option<usize> {
        let label = self.of[i];
        (label != UNLABELLED).then_some(label as usize)
    }

    /// Number of cells of each type.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.types];
        for &label in self.of.iter().filter(|&&label| label != UNLABELLED) {
            sizes[label as usize] += 1;
        }
        sizes
    }
}

/// The stitched graph with the types of its cells: what alignment scores, cell scores and gene pairs read. Types of all
/// species are numbered through (species 0's types first); a species without labels has none.
#[derive(Debug)]
struct TypedGraph<'a> {
    graph: &'a Graph,
    /// First type of each species, and the number of types.
    types: Vec<usize>,
    /// Type of each cell in the numbering through all species, or [`UNLABELLED`].
    of: Vec<u32>,
    /// Number of cells of each type.
    sizes: Vec<usize>,
}

impl<'a> TypedGraph<'a> {
    fn new(graph: &'a Graph, cells: &[usize], labels: &[Option<Labels>]) -> Result<Self> {
        let total = graph.rows();
        let ascending = cells.first() == Some(&0) && cells.windows(2).all(|w| w[0] <= w[1]);
        if graph.cols() != total || cells.last() != Some(&total) || cells.len() != labels.len() + 1 || !ascending {
            let expected =
                format!("a square graph and ascending cell offsets of {} species up to {total}", labels.len());
            let found = format!("{} × {} and {cells:?}", graph.rows(), graph.cols());
            return Err(Error::shape("stitched graph", expected, found));
        }
        let mut typed = TypedGraph { graph, types: vec![0], of: vec![UNLABELLED; total], sizes: Vec::new() };
        for (species, labels) in labels.iter().enumerate() {
            let first = typed.sizes.len();
            if let Some(labels) = labels {
                let range = cells[species]..cells[species + 1];
                let labels = Labels::new(labels.of, labels.types, range.len())?;
                for (of, &label) in typed.of[range].iter_mut().zip(labels.of).filter(|(_, label)| **label != UNLABELLED)
                {
                    *of = first as u32 + label;
                }
                typed.sizes.extend(labels.sizes());
            }
            typed.types.push(typed.sizes.len());
        }
        Ok(typed)
    }

    /// Number of types of all species.
    fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Type of cell `i`, numbered through; `None` when it has no label.
    fn of(&self, i: usize) -> Option<usize> {
        let of = self.of[i];
        (of != UNLABELLED).then_some(of as usize)
    }

    /// Species of a type.
    fn species_of(&self, kind: usize) -> usize {
        self.types.partition_point(|&first| first <= kind) - 1
    }
}

/// s_iB of one cell after the other.
#[derive(Debug)]
struct TypeSums<'a> {
    typed: &'a TypedGraph<'a>,
    weights: Vec<f64>,
    touched: Vec<u32>,
}

impl<'a> TypeSums<'a> {
    fn new(typed: &'a TypedGraph<'a>) -> Self {
        TypeSums { typed, weights: vec![0.0; typed.count()], touched: Vec::new() }
    }

    /// Calls `with` with each type of another species that cell `i` of `species` has edges to, ascending, and
    /// their summed weight.
    fn visit(&mut self, species: usize, i: usize, mut with: impl FnMut(usize, f64)) {
        let own = self.typed.types[species]..self.typed.types[species + 1];
        let (targets, values) = row(self.typed.graph, i);
        for (&target, &weight) in targets.iter().zip(values) {
            if let Some(to) = self.typed.of(target as usize).filter(|to| weight != 0.0 && !own.contains(to)) {
                self.weights[to] += weight;
                self.touched.push(to as u32);
            }
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        for to in self.touched.drain(..) {
            with(to as usize, std::mem::take(&mut self.weights[to as usize]));
        }
    }
}
