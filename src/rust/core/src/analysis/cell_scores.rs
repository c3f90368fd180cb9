//! Where the cross-species edges of each cell go. In: the stitched graph and a type per cell. Out: cells × types, s_iB / K:
//! 1 when cell i spends all its K edges, at weight 1, on type B. Its mean over the labelled cells of a type A is the
//! alignment score from A to B; with one type per species it is the score of the cell with that species.

use super::{Labels, TypeSums, TypedGraph};
use crate::sparse::{Graph, graph_from_rows};
use crate::{Context, Error, Result};
use rayon::prelude::*;

/// Cells of one task.
const CELLS: usize = 2048;

/// Scores of all cells with the types of the other species.
#[derive(Debug, Clone, PartialEq)]
pub struct CellScores {
    /// Species and type of each column.
    pub targets: Vec<(u32, u32)>,
    /// Cells × targets, only scores other than 0.
    pub scores: Graph,
}

/// Shares of the cells' edges; arguments as in [`super::alignment_scores`]. Cells without a label have a row as well.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Argument`] when graph, offsets and labels do not fit together or `k` is 0.
pub fn cell_scores(
    stitched: &Graph,
    cells: &[usize],
    labels: &[Option<Labels>],
    k: usize,
    ctx: &Context,
) -> Result<CellScores> {
    if k == 0 {
        return Err(Error::argument("cross_species_k", "0", "Use the number of cross-species edges of the mapping."));
    }
    let typed = TypedGraph::new(stitched, cells, labels)?;
    let blocks: Vec<Vec<Vec<(u32, f64)>>> = (0..typed.of.len().div_ceil(CELLS))
        .into_par_iter()
        .map(|block| {
            ctx.check()?;
            let mut sums = TypeSums::new(&typed);
            let of_cell = |i| {
                let mut scores = Vec::new();
                let species = cells.partition_point(|&first| first <= i) - 1;
                sums.visit(species, i, |to, weight| scores.push((to as u32, weight / k as f64)));
                scores
            };
            Ok((block * CELLS..((block + 1) * CELLS).min(typed.of.len())).map(of_cell).collect())
        })
        .collect::<Result<_>>()?;
    let targets = (0..typed.count()).map(|kind| {
        let species = typed.species_of(kind);
        (species as u32, (kind - typed.types[species]) as u32)
    });
    let rows = blocks.into_iter().flatten().collect();
    Ok(CellScores { targets: targets.collect(), scores: graph_from_rows(typed.count(), rows) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{UNLABELLED, alignment_scores};
    use crate::rng::Rng;

    #[test]
    fn their_mean_is_the_alignment_score() {
        let mut rng = Rng::keyed(1, 0, 0);
        let rows =
            (0..20).map(|_| (0..20_u32).map(|j| (j, rng.uniform())).filter(|edge| edge.1 < 0.4).collect()).collect();
        let graph = graph_from_rows(20, rows);
        let (a, b): (Vec<u32>, Vec<u32>) = ((0..8).map(|i| i % 2).collect(), (0..12).map(|i| i % 3).collect());
        let b: Vec<u32> = b.iter().enumerate().map(|(i, &x)| if i == 4 { UNLABELLED } else { x }).collect();
        let labels = [Some(Labels { of: &a, types: 2 }), Some(Labels { of: &b, types: 3 })];
        let ctx = Context::default();
        let scores = cell_scores(&graph, &[0, 8, 20], &labels, 5, &ctx).unwrap();
        assert_eq!(scores.targets, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]);
        for s in alignment_scores(&graph, &[0, 8, 20], &labels, 5, 0, &ctx).unwrap() {
            let share = |i: usize| scores.scores.get(i, 2 + s.type_b as usize).copied().unwrap_or(0.0);
            let members: Vec<usize> = (0..8).filter(|&i| a[i] == s.type_a).collect();
            let mean = members.iter().map(|&i| share(i)).sum::<f64>() / members.len() as f64;
            assert!((mean - s.score_ab).abs() < 1e-14);
        }
    }
}
