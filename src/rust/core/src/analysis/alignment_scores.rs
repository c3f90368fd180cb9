//! Alignment scores of cell types. In: the stitched graph (cells × cells, row = source) and a type per cell. Out: one row per
//! pair of types of different species.
//!
//! s_iB = Σ weights of the edges from cell i to cells of type B; C(A, B) = mean of s_iB over the cells of A, or over the
//! `n_top` of them with the largest s_iB; score_ab = C(A, B) / K, score_ba = C(B, A) / K, score = the larger of both.
//! K is the number of cross edges a cell may have to one partner species, so 1 says that every cell spends all of them, at
//! weight 1. Cells without a label are in no mean, and edges to them count for no type; K stays what it is, so that edges to
//! unlabelled cells are missing in the scores.

use super::{Labels, TypeSums, TypedGraph};
use crate::sparse::Graph;
use crate::{Context, Error, Result};
use rayon::prelude::*;

/// Cells of one task.
const CELLS: usize = 2048;
/// Most types of all species: the table of all their pairs is dense, and labels that name single cells would fill the memory.
const MOST_TYPES: usize = 5000;

/// How well two types of different species (`species_a` < `species_b`) are aligned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlignmentScore {
    /// Species of A.
    pub species_a: u32,
    /// Type A.
    pub type_a: u32,
    /// Species of B.
    pub species_b: u32,
    /// Type B.
    pub type_b: u32,
    /// The larger of both directions.
    pub score: f64,
    /// From the cells of A to B.
    pub score_ab: f64,
    /// From the cells of B to A.
    pub score_ba: f64,
    /// Cells of A.
    pub n_a: usize,
    /// Cells of B.
    pub n_b: usize,
}

/// Scores of all pairs of types of different species, zeros included, best first (ties by species and type).
///
/// `cells`: first cell of each species in `stitched`, and the number of cells; `labels`: one entry per species, `None` for
/// a species that is left out; `k`: cross edges per cell and partner species (`cross_species_k`); `n_top`: 0, or the number
/// of cells of A with the largest s_iB that are averaged.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Argument`] when graph, offsets and labels do not fit together, `k` is 0, or there are
/// more than 5000 types.
pub fn alignment_scores(
    stitched: &Graph,
    cells: &[usize],
    labels: &[Option<Labels>],
    k: usize,
    n_top: usize,
    ctx: &Context,
) -> Result<Vec<AlignmentScore>> {
    if k == 0 {
        return Err(Error::argument("cross_species_k", "0", "Use the number of cross-species edges of the mapping."));
    }
    let typed = TypedGraph::new(stitched, cells, labels)?;
    if typed.count() > MOST_TYPES {
        let found = format!("{} types of cells, more than {MOST_TYPES}", typed.count());
        return Err(Error::argument("by", found, "Pass labels of cell types, not of single cells."));
    }
    let directed = mean_weights(&typed, n_top, ctx)?;
    let at = |from: usize, to: usize| directed[from * typed.count() + to] / k as f64;
    let mut scores = Vec::new();
    for a in 0..typed.count() {
        let species_a = typed.species_of(a);
        for b in typed.types[species_a + 1]..typed.count() {
            let species_b = typed.species_of(b);
            let (score_ab, score_ba) = (at(a, b), at(b, a));
            scores.push(AlignmentScore {
                species_a: species_a as u32,
                type_a: (a - typed.types[species_a]) as u32,
                species_b: species_b as u32,
                type_b: (b - typed.types[species_b]) as u32,
                score: score_ab.max(score_ba),
                score_ab,
                score_ba,
                n_a: typed.sizes[a],
                n_b: typed.sizes[b],
            });
        }
    }
    scores.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable
    Ok(scores)
}

/// C(A, B), row by row; 0 for a type without cells.
fn mean_weights(typed: &TypedGraph, n_top: usize, ctx: &Context) -> Result<Vec<f64>> {
    let mut members = vec![Vec::new(); typed.count()];
    for i in 0..typed.of.len() {
        if let Some(kind) = typed.of(i) {
            members[kind].push(i as u32);
        }
    }
    let tasks: Vec<(usize, &[u32])> = members
        .iter()
        .enumerate()
        .flat_map(|(kind, members)| members.chunks(CELLS).map(move |chunk| (kind, chunk)))
        .collect();
    let parts: Vec<Vec<Top>> = tasks
        .par_iter()
        .map(|(kind, chunk)| {
            ctx.check()?;
            Ok(sums_of(typed, *kind, chunk, n_top))
        })
        .collect::<Result<_>>()?;
    let mut tops = vec![Top::default(); typed.count() * typed.count()];
    for ((kind, _), part) in tasks.iter().zip(parts) {
        for (top, part) in tops[kind * typed.count()..].iter_mut().zip(part) {
            top.merge(part, n_top);
        }
    }
    let mean = |(at, top): (usize, Top)| {
        let size = typed.sizes[at / typed.count()];
        let averaged = if n_top == 0 { size } else { size.min(n_top) };
        if averaged == 0 { 0.0 } else { top.sum() / averaged as f64 }
    };
    Ok(tops.into_iter().enumerate().map(mean).collect())
}

/// What is averaged over the cells of A: the sum of s_iB, or its `n_top` largest values (zeros need not be kept).
#[derive(Debug, Clone, Default)]
struct Top {
    sum: f64,
    largest: Vec<f64>,
}

impl Top {
    fn add(&mut self, value: f64, n_top: usize) {
        if n_top == 0 {
            self.sum += value;
            return;
        }
        let at = self.largest.partition_point(|kept| *kept >= value);
        if at < n_top {
            self.largest.insert(at, value);
            self.largest.truncate(n_top);
        }
    }

    fn merge(&mut self, other: Top, n_top: usize) {
        self.sum += other.sum;
        for value in other.largest {
            self.add(value, n_top);
        }
    }

    fn sum(&self) -> f64 {
        self.sum + self.largest.iter().sum::<f64>()
    }
}

/// Sums of s_iB over some cells of the type `kind`, for all types B of other species.
fn sums_of(typed: &TypedGraph, kind: usize, cells: &[u32], n_top: usize) -> Vec<Top> {
    let species = typed.species_of(kind);
    let mut tops = vec![Top::default(); typed.count()];
    let mut sums = TypeSums::new(typed);
    for &i in cells {
        sums.visit(species, i as usize, |to, weight| tops[to].add(weight, n_top));
    }
    tops
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::UNLABELLED;
    use crate::rng::Rng;
    use crate::sparse::graph_from_rows;

    fn random_graph(cells: usize, seed: u64) -> Graph {
        let mut rng = Rng::keyed(seed, 0, 0);
        let rows =
            (0..cells).map(|_| (0..cells as u32).map(|j| (j, rng.uniform())).filter(|edge| edge.1 < 0.2).collect());
        graph_from_rows(cells, rows.collect())
    }

    /// The formula, word by word.
    fn naive(graph: &Graph, from: &[usize], to: &[usize], n_top: usize, k: usize) -> f64 {
        let weight = |i: usize, j: usize| graph.get(i, j).copied().unwrap_or(0.0);
        let mut s: Vec<f64> = from.iter().map(|&i| to.iter().map(|&j| weight(i, j)).sum()).collect();
        s.sort_by(|a, b| b.total_cmp(a));
        if n_top > 0 {
            s.truncate(n_top);
        }
        if s.is_empty() { 0.0 } else { s.iter().sum::<f64>() / s.len() as f64 / k as f64 }
    }

    #[test]
    fn as_the_formula_with_unlabelled_cells_and_empty_types() {
        let offsets = [0, 12, 20, 35];
        let mut rng = Rng::keyed(5, 0, 0);
        // Type 3 of each species has no cell; some cells have no label.
        let labels: Vec<Vec<u32>> =
            offsets.windows(2).map(|w| (w[0]..w[1]).map(|_| [0, 1, 2, UNLABELLED][rng.below(4)]).collect()).collect();
        let given: Vec<_> = labels.iter().map(|of| Some(Labels { of, types: 4 })).collect();
        let graph = random_graph(35, 1);
        for n_top in [0, 1, 3, 100] {
            let scores = alignment_scores(&graph, &offsets, &given, 7, n_top, &Context::default()).unwrap();
            assert_eq!(scores.len(), 3 * 16);
            assert!(scores.windows(2).all(|w| w[0].score >= w[1].score));
            for s in scores {
                let members = |species: u32, kind: u32| -> Vec<usize> {
                    let of = &labels[species as usize];
                    (0..of.len()).filter(|&i| of[i] == kind).map(|i| i + offsets[species as usize]).collect()
                };
                let (a, b) = (members(s.species_a, s.type_a), members(s.species_b, s.type_b));
                assert!((s.score_ab - naive(&graph, &a, &b, n_top, 7)).abs() < 1e-14);
                assert!((s.score_ba - naive(&graph, &b, &a, n_top, 7)).abs() < 1e-14);
                assert_eq!((s.n_a, s.n_b, s.score), (a.len(), b.len(), s.score_ab.max(s.score_ba)));
            }
        }
    }

    #[test]
    fn a_species_may_be_left_out() {
        let graph = random_graph(9, 2);
        let of = [0, 0, 1];
        let labels = [Some(Labels { of: &of, types: 2 }), None, Some(Labels { of: &of, types: 2 })];
        let scores = alignment_scores(&graph, &[0, 3, 6, 9], &labels, 1, 0, &Context::default()).unwrap();
        assert_eq!(scores.len(), 4);
        assert!(scores.iter().all(|s| (s.species_a, s.species_b) == (0, 2)));
        let ab = scores.iter().find(|s| (s.type_a, s.type_b) == (0, 1)).unwrap();
        assert!((ab.score_ab - naive(&graph, &[0, 1], &[8], 0, 1)).abs() < 1e-14);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let graph = random_graph(4, 3);
        let ctx = Context::default();
        let ok = [0, 1];
        let score = |cells: &[usize], of: &[u32], k| {
            let labels = [Some(Labels { of, types: 2 }), Some(Labels { of: &ok, types: 2 })];
            alignment_scores(&graph, cells, &labels, k, 0, &ctx)
        };
        assert!(score(&[0, 2, 4], &ok, 1).is_ok());
        assert!(matches!(score(&[0, 2, 4], &ok, 0), Err(Error::Argument { .. })));
        assert!(matches!(score(&[0, 2, 4], &[0, 2], 1), Err(Error::Argument { .. })));
        assert!(matches!(score(&[0, 2, 4], &[0], 1), Err(Error::Shape { .. })));
        assert!(matches!(score(&[0, 2, 3], &ok, 1), Err(Error::Shape { .. })));
        assert!(matches!(score(&[0, 4], &ok, 1), Err(Error::Shape { .. })));
        let labels = [MOST_TYPES, 2].map(|types| Some(Labels { of: &ok, types }));
        assert!(matches!(alignment_scores(&graph, &[0, 2, 4], &labels, 1, 0, &ctx), Err(Error::Argument { .. })));
    }
}
