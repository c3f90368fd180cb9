//! The row-maximum filter: homologues much weaker than a gene's best one are dropped. In and out: a [`HomologyGraph`].

use super::HomologyGraph;
use crate::sparse::{Graph, row};

impl HomologyGraph {
    /// Keeps the edge (g, h) when `w_gh ≥ share · max_h' w_gh'` or `w_gh ≥ share · max_g' w_g'h`: an edge stays when it is
    /// strong enough for either of its ends, so the result is symmetric. The reference takes `share` = 0.25.
    pub fn filter(&self, share: f64) -> HomologyGraph {
        let weights = &self.weights;
        let maxima: Vec<f64> =
            (0..weights.rows()).map(|g| row(weights, g).1.iter().copied().fold(0.0, f64::max)).collect();
        let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for g in 0..weights.rows() {
            let (partners, row_weights) = row(weights, g);
            for (&h, &weight) in partners.iter().zip(row_weights) {
                // "Dropped if less": equality is kept.
                if weight >= share * maxima[g].min(maxima[h as usize]) {
                    columns.push(h);
                    values.push(weight);
                }
            }
            pointers.push(columns.len());
        }
        HomologyGraph { offsets: self.offsets.clone(), weights: Graph::new(weights.shape(), pointers, columns, values) }
    }
}

#[cfg(test)]
mod tests {
    use crate::Context;
    use crate::homology::{Edge, Gene, HomologyGraph};

    #[test]
    fn an_edge_stays_when_it_is_strong_for_either_end() {
        let edge = |g, h, weight| Edge { a: Gene { species: 0, index: g }, b: Gene { species: 1, index: h }, weight };
        let edges = [edge(0, 0, 100.0), edge(0, 1, 25.0), edge(0, 2, 24.0), edge(1, 0, 24.9), edge(1, 1, 100.0)];
        let graph = HomologyGraph::from_edges(&[2, 3], edges, &Context::default()).unwrap();
        // (0, 2) is weak for gene 0 but the best of gene 2; (1, 0) is weak for both of its ends.
        let kept: Vec<_> = graph.filter(0.25).edges().map(|edge| (edge.0, edge.1 - 2)).collect();
        assert_eq!(kept, [(0, 0), (0, 1), (0, 2), (1, 1)]);
        assert_eq!(graph.filter(0.0), graph);
    }
}
