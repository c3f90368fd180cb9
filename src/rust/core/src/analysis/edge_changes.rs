//! How the cross-species edges changed between two passes. In: two stitched graphs of the same cells. Out: per pair of species
//! the number of directed edges in either graph and in both; 1 − shared / union is the share that changed, which nears 0 when
//! the mapping has settled.

use crate::sparse::{Graph, row};
use crate::{Context, Error, Result};
use rayon::prelude::*;

/// Cells of one task.
const CELLS: usize = 2048;

/// Cross-species edges of one pair of species, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeChange {
    /// The earlier species.
    pub species_a: u32,
    /// The later species.
    pub species_b: u32,
    /// Edges in the earlier graph.
    pub before: usize,
    /// Edges in the later graph.
    pub after: usize,
    /// Edges in both.
    pub shared: usize,
}

/// Changes of all pairs of species, in their order. `cells`: first cell of each species, and the number of cells.
///
/// # Errors
/// [`Error::Shape`] when the graphs or the offsets do not fit together.
pub fn edge_changes(before: &Graph, after: &Graph, cells: &[usize], ctx: &Context) -> Result<Vec<EdgeChange>> {
    let total = before.rows();
    let square = before.shape() == (total, total) && after.shape() == (total, total);
    let ascending = cells.first() == Some(&0) && cells.windows(2).all(|w| w[0] <= w[1]);
    if !square || cells.last() != Some(&total) || !ascending {
        let found = format!("{:?}, {:?} and {cells:?}", before.shape(), after.shape());
        return Err(Error::shape("edge changes", format!("two square graphs and cell offsets up to {total}"), found));
    }
    let species = cells.len() - 1;
    let blocks: Vec<Vec<[usize; 3]>> = (0..total.div_ceil(CELLS))
        .into_par_iter()
        .map(|block| {
            ctx.check()?;
            let mut counts = vec![[0; 3]; species * species];
            for cell in block * CELLS..((block + 1) * CELLS).min(total) {
                count_row(before, after, cell, cells, &mut counts);
            }
            Ok(counts)
        })
        .collect::<Result<_>>()?;
    let sum = |a: usize, b: usize, what: usize| -> usize {
        blocks.iter().map(|counts| counts[a * species + b][what] + counts[b * species + a][what]).sum()
    };
    let pairs = (0..species).flat_map(|a| (a + 1..species).map(move |b| (a, b)));
    Ok(pairs
        .map(|(a, b)| EdgeChange {
            species_a: a as u32,
            species_b: b as u32,
            before: sum(a, b, 0),
            after: sum(a, b, 1),
            shared: sum(a, b, 2),
        })
        .collect())
}

/// Adds the edges of one cell, by the species of both ends: [before, after, shared].
fn count_row(before: &Graph, after: &Graph, cell: usize, cells: &[usize], counts: &mut [[usize; 3]]) {
    let species_of = |cell: usize| cells.partition_point(|&first| first <= cell) - 1;
    let from = species_of(cell) * (cells.len() - 1);
    let targets = |graph: &Graph| -> Vec<u32> {
        let (targets, weights) = row(graph, cell);
        targets.iter().zip(weights).filter(|(_, weight)| **weight != 0.0).map(|(&target, _)| target).collect()
    };
    let (old, new) = (targets(before), targets(after));
    for &target in &old {
        let count = &mut counts[from + species_of(target as usize)];
        count[0] += 1;
        count[2] += usize::from(new.binary_search(&target).is_ok());
    }
    for target in new {
        counts[from + species_of(target as usize)][1] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparse::graph_from_rows;

    #[test]
    fn counted_by_hand() {
        // Species {0, 1}, {2}, {3}. Edges within a species do not count; a stored zero is no edge.
        let before = graph_from_rows(4, vec![vec![(1, 1.0), (2, 0.5)], vec![(2, 0.5)], vec![(0, 0.5)], vec![(0, 0.1)]]);
        let after = graph_from_rows(4, vec![vec![(2, 0.9)], vec![(2, 0.0)], vec![(0, 0.5), (1, 0.5)], vec![(2, 1.0)]]);
        let found = edge_changes(&before, &after, &[0, 2, 3, 4], &Context::default()).unwrap();
        let change =
            |species_a, species_b, before, after, shared| EdgeChange { species_a, species_b, before, after, shared };
        assert_eq!(found, [change(0, 1, 3, 3, 2), change(0, 2, 1, 0, 0), change(1, 2, 0, 1, 0)]);
        let same = edge_changes(&before, &before, &[0, 2, 3, 4], &Context::default()).unwrap();
        assert!(same.iter().all(|change| change.before == change.after && change.after == change.shared));
    }

    #[test]
    fn graphs_of_other_sizes_are_an_error() {
        let (a, b) = (graph_from_rows(2, vec![vec![]; 2]), graph_from_rows(3, vec![vec![]; 3]));
        assert!(matches!(edge_changes(&a, &b, &[0, 1, 2], &Context::default()), Err(Error::Shape { .. })));
        assert!(matches!(edge_changes(&a, &a, &[0, 1], &Context::default()), Err(Error::Shape { .. })));
    }
}
