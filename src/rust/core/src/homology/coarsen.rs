//! Coarsening: sequences (transcripts, proteins, FASTA headers) become the genes they belong to. In: a [`HomologyGraph`] over
//! sequences and the gene of each sequence. Out: the graph over genes.

use super::HomologyGraph;
use super::graph::{graph_of_maxima, offsets_of};
use crate::{Error, Result};

impl HomologyGraph {
    /// The graph in which each sequence is replaced by its gene: `gene[s]` is the gene within its species of sequence s of
    /// the graph (`None`: the sequence belongs to no gene and is dropped). The weight between two genes is the largest
    /// between any of their sequences.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one entry per sequence; [`Error::Argument`] when a gene does not exist.
    pub fn coarsen(&self, gene: &[Option<u32>], genes_per_species: &[usize]) -> Result<HomologyGraph> {
        if gene.len() != self.genes() || genes_per_species.len() != self.species() {
            let expected = format!("{} sequences of {} species", self.genes(), self.species());
            let found = format!("{} of {}", gene.len(), genes_per_species.len());
            return Err(Error::shape("coarsening the homology graph", expected, found));
        }
        let offsets = offsets_of(genes_per_species)?;
        let mut target = Vec::with_capacity(gene.len());
        for (sequence, &gene) in gene.iter().enumerate() {
            let species = self.species_of(sequence);
            target.push(match gene {
                Some(g) if g as usize >= genes_per_species[species] => {
                    let found = format!("gene {g}, but species {species} has {}", genes_per_species[species]);
                    return Err(Error::argument("names", found, "Give each sequence one of the genes of its species."));
                }
                Some(g) => Some((offsets[species] + g as usize) as u32),
                None => None,
            });
        }
        let both = |(a, b, weight): (u32, u32, f64)| Some((target[a as usize]?, target[b as usize]?, weight));
        let entries =
            self.edges().filter_map(both).flat_map(|(a, b, weight)| [(a, b, weight), (b, a, weight)]).collect();
        let weights = graph_of_maxima(offsets.last().copied().unwrap_or(0), entries);
        Ok(HomologyGraph { offsets, weights })
    }
}

#[cfg(test)]
mod tests {
    use crate::Context;
    use crate::homology::{Edge, Gene, HomologyGraph};

    #[test]
    fn the_best_pair_of_transcripts_counts() {
        let edge = |g, h, weight| Edge { a: Gene { species: 0, index: g }, b: Gene { species: 1, index: h }, weight };
        let edges = [edge(0, 0, 3.0), edge(1, 0, 5.0), edge(2, 1, 4.0), edge(2, 0, 9.0)];
        let graph = HomologyGraph::from_edges(&[3, 2], edges, &Context::default()).unwrap();
        let coarse = graph.coarsen(&[Some(1), Some(1), None, Some(0), Some(0)], &[2, 1]).unwrap();
        assert_eq!(coarse.offsets, [0, 2, 3]);
        assert_eq!(coarse.edges().collect::<Vec<_>>(), [(1, 2, 5.0)]);
        assert!(graph.coarsen(&[None; 5], &[1]).is_err() && graph.coarsen(&[None; 4], &[1, 1]).is_err());
        assert!(graph.coarsen(&[Some(2), None, None, None, None], &[2, 1]).is_err());
    }
}
