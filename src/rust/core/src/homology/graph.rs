//! The weighted homology graph over the genes of all species. In: edges between (species, gene) pairs. Out: a symmetric
//! genes × genes matrix in which the genes of species s are `offsets[s]..offsets[s + 1]`, in the caller's order.

use crate::sparse::Graph;

/// Homology between the genes of two or more species. Within-species entries do not exist.
#[derive(Debug, Clone, PartialEq)]
pub struct HomologyGraph {
    /// First gene of each species, and the number of genes at the end (species + 1 entries).
    pub offsets: Vec<usize>,
    /// Symmetric weights, genes × genes.
    pub weights: Graph,
}
