//! The weighted homology graph over the genes of all species. In: edges between (species, gene) pairs. Out: a symmetric
//! genes × genes matrix in which the genes of species s are `offsets[s]..offsets[s + 1]`, in the caller's order.

use crate::sparse::{Graph, row};
use crate::{Context, Error, Result};
use std::ops::Range;

/// A gene of a species, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gene {
    /// The species.
    pub species: u32,
    /// The gene within its species.
    pub index: u32,
}

/// Homology between two genes of different species; the order of the two does not matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// One gene.
    pub a: Gene,
    /// The other.
    pub b: Gene,
    /// How similar they are: finite and not negative, e.g. a bit score.
    pub weight: f64,
}

/// Homology between the genes of two or more species. Within-species entries do not exist.
#[derive(Debug, Clone, PartialEq)]
pub struct HomologyGraph {
    /// First gene of each species, and the number of genes at the end (species + 1 entries).
    pub offsets: Vec<usize>,
    /// Symmetric weights > 0, genes × genes.
    pub weights: Graph,
}

impl HomologyGraph {
    /// The graph of `edges` over `genes_per_species` genes. An edge given twice (in either direction) counts once, with its
    /// larger weight; edges of weight 0 are no homology and dropped; edges within one species are dropped with one warning.
    ///
    /// # Errors
    /// [`Error::Argument`] when a gene does not exist, a weight is negative or not finite, or there are 2³² genes or more.
    pub fn from_edges(
        genes_per_species: &[usize],
        edges: impl IntoIterator<Item = Edge>,
        ctx: &Context,
    ) -> Result<Self> {
        let offsets = offsets_of(genes_per_species)?;
        let mut entries = Vec::new();
        let mut within = 0_usize;
        for edge in edges {
            let (a, b) = (position(&offsets, edge.a)?, position(&offsets, edge.b)?);
            if !(edge.weight.is_finite() && edge.weight >= 0.0) {
                let found = format!("the edge weight {}", edge.weight);
                return Err(Error::argument("homology", found, "Pass weights that are finite and not negative."));
            }
            if edge.a.species == edge.b.species {
                within += 1;
            } else if edge.weight > 0.0 {
                entries.push((a, b, edge.weight));
                entries.push((b, a, edge.weight));
            }
        }
        if within > 0 {
            ctx.warn(format!("{within} homology edges link genes of one species and were ignored"));
        }
        let weights = graph_of_maxima(offsets.last().copied().unwrap_or(0), entries);
        Ok(HomologyGraph { offsets, weights })
    }

    /// Number of species.
    pub fn species(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of genes of all species.
    pub fn genes(&self) -> usize {
        self.weights.rows()
    }

    /// The genes of a species.
    pub fn genes_of(&self, species: usize) -> Range<usize> {
        self.offsets[species]..self.offsets[species + 1]
    }

    /// The species of a gene.
    pub fn species_of(&self, gene: usize) -> usize {
        self.offsets.partition_point(|&first| first <= gene).saturating_sub(1)
    }

    /// Every edge once, as (gene, gene of a later species, weight), ascending.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32, f64)> + '_ {
        upper_triangle(&self.weights)
    }

    /// Do two species share an edge?
    pub fn are_linked(&self, a: usize, b: usize) -> bool {
        let partners = self.genes_of(b);
        self.genes_of(a).any(|gene| {
            let columns = row(&self.weights, gene).0;
            let first = columns.partition_point(|&h| (h as usize) < partners.start);
            columns.get(first).is_some_and(|&h| (h as usize) < partners.end)
        })
    }

    /// The graph of the genes for which `keep` (one flag per gene) is true.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one flag per gene.
    pub fn restrict(&self, keep: &[bool]) -> Result<Self> {
        if keep.len() != self.genes() {
            let expected = format!("{} flags, one per gene", self.genes());
            return Err(Error::shape("restricting the homology graph", expected, keep.len().to_string()));
        }
        let mut kept_before = vec![0_u32; keep.len() + 1];
        for (gene, &kept) in keep.iter().enumerate() {
            kept_before[gene + 1] = kept_before[gene] + u32::from(kept);
        }
        let offsets = self.offsets.iter().map(|&first| kept_before[first] as usize).collect();
        let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for gene in (0..keep.len()).filter(|&gene| keep[gene]) {
            let (partners, weights) = row(&self.weights, gene);
            for (&h, &weight) in partners.iter().zip(weights).filter(|&(&h, _)| keep[h as usize]) {
                columns.push(kept_before[h as usize]);
                values.push(weight);
            }
            pointers.push(columns.len());
        }
        let genes = pointers.len() - 1;
        Ok(HomologyGraph { offsets, weights: Graph::new((genes, genes), pointers, columns, values) })
    }
}

/// Every entry above the diagonal of a symmetric matrix, as (row, column, value), ascending.
pub fn upper_triangle(symmetric: &Graph) -> impl Iterator<Item = (u32, u32, f64)> + '_ {
    (0..symmetric.rows()).flat_map(move |g| {
        let (columns, values) = row(symmetric, g);
        let first = columns.partition_point(|&h| h as usize <= g);
        columns[first..].iter().zip(&values[first..]).map(move |(&h, &value)| (g as u32, h, value))
    })
}

/// First gene of each species, and the number of genes at the end.
fn offsets_of(genes_per_species: &[usize]) -> Result<Vec<usize>> {
    let mut offsets = vec![0];
    let mut total = 0_usize;
    for &genes in genes_per_species {
        total = total.saturating_add(genes);
        offsets.push(total);
    }
    if total > u32::MAX as usize {
        let found = format!("{total} genes");
        return Err(Error::argument("homology", found, "Pass fewer than 4 294 967 296 genes."));
    }
    Ok(offsets)
}

/// Row of a gene in the graph.
fn position(offsets: &[usize], gene: Gene) -> Result<u32> {
    let species = gene.species as usize;
    let range = match (offsets.get(species), offsets.get(species + 1)) {
        (Some(&first), Some(&end)) => first..end,
        _ => return Err(unknown(format!("an edge of species {species}, of {}", offsets.len() - 1))),
    };
    if gene.index as usize >= range.len() {
        return Err(unknown(format!("an edge of gene {}, but species {species} has {}", gene.index, range.len())));
    }
    Ok((range.start + gene.index as usize) as u32)
}

fn unknown(found: String) -> Error {
    Error::argument("homology", found, "Pass edges between the genes of the atlases.")
}

/// The matrix of (row, column, value) entries in any order; of entries given more than once the largest stays.
fn graph_of_maxima(size: usize, mut entries: Vec<(u32, u32, f64)>) -> Graph {
    entries.sort_unstable_by(|x, y| (x.0, x.1).cmp(&(y.0, y.1)).then(y.2.total_cmp(&x.2)));
    entries.dedup_by_key(|entry| (entry.0, entry.1));
    let mut pointers = vec![0; size + 1];
    for entry in &entries {
        pointers[entry.0 as usize + 1] += 1;
    }
    for i in 0..size {
        pointers[i + 1] += pointers[i];
    }
    let columns = entries.iter().map(|entry| entry.1).collect();
    let values = entries.iter().map(|entry| entry.2).collect();
    Graph::new((size, size), pointers, columns, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(a: (u32, u32), b: (u32, u32), weight: f64) -> Edge {
        Edge { a: Gene { species: a.0, index: a.1 }, b: Gene { species: b.0, index: b.1 }, weight }
    }

    fn graph(edges: &[Edge]) -> Result<HomologyGraph> {
        HomologyGraph::from_edges(&[2, 1, 2], edges.iter().copied(), &Context::default())
    }

    #[test]
    fn edges_are_symmetric_and_duplicates_keep_the_larger_weight() {
        let graph = graph(&[edge((1, 0), (0, 1), 2.0), edge((0, 1), (1, 0), 5.0), edge((0, 0), (2, 1), 3.0)]).unwrap();
        assert_eq!(graph.edges().collect::<Vec<_>>(), [(0, 4, 3.0), (1, 2, 5.0)]);
        assert_eq!(graph.weights, graph.weights.transpose_view().to_csr());
        assert_eq!((graph.species(), graph.genes()), (3, 5));
        assert_eq!((0..5).map(|g| graph.species_of(g)).collect::<Vec<_>>(), [0, 0, 1, 2, 2]);
        assert!(graph.are_linked(0, 1) && graph.are_linked(2, 0) && !graph.are_linked(1, 2));
    }

    #[test]
    fn a_species_without_genes_is_skipped_when_asked_for_the_species_of_a_gene() {
        let graph = HomologyGraph::from_edges(&[1, 0, 1], [edge((0, 0), (2, 0), 1.0)], &Context::default()).unwrap();
        assert_eq!((graph.species_of(0), graph.species_of(1)), (0, 2));
    }

    #[test]
    fn edges_within_a_species_are_counted_and_dropped() {
        let ctx = Context::default();
        let edges = [edge((0, 0), (0, 1), 1.0), edge((0, 0), (1, 0), 0.0), edge((0, 1), (1, 0), 1.0)];
        let graph = HomologyGraph::from_edges(&[2, 1], edges, &ctx).unwrap();
        assert_eq!(graph.weights.nnz(), 2);
        assert!(ctx.warnings()[0].starts_with("1 homology edges"));
    }

    #[test]
    fn what_cannot_be_an_edge_is_an_error() {
        for bad in [edge((0, 2), (1, 0), 1.0), edge((0, 0), (3, 0), 1.0)] {
            assert!(matches!(graph(&[bad]), Err(Error::Argument { .. })));
        }
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(graph(&[edge((0, 0), (1, 0), weight)]), Err(Error::Argument { .. })));
        }
    }

    #[test]
    fn restricting_renumbers_the_genes() {
        let graph = graph(&[edge((0, 1), (1, 0), 5.0), edge((0, 0), (2, 1), 3.0), edge((1, 0), (2, 0), 1.0)]).unwrap();
        let small = graph.restrict(&[false, true, true, false, true]).unwrap();
        assert_eq!(small.offsets, [0, 1, 2, 3]);
        assert_eq!(small.edges().collect::<Vec<_>>(), [(0, 1, 5.0)]);
        assert!(graph.restrict(&[true]).is_err());
    }
}
