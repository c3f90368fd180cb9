//! Markers of cell types by Wilcoxon's rank-sum test, each type against all other labelled cells. In: preprocessed
//! expression (cells × genes) and a type per cell. Out: genes × types.
//!
//! With N cells, n of them of the type, and R the sum of their average ranks,
//! z = (R − n (N + 1) / 2) / √(c n (N − n) (N + 1) / 12), with c = 1, or c = 1 − Σ (t³ − t) / (N³ − N) over groups of t tied
//! values; p = 2 Φ(−|z|). Most cells do not express a gene: their zeros are one group of ties, so only stored entries are
//! sorted. Cells without a label take no part. A type with a single cell, or with all cells, has z = 0 and p = 1.

use super::Labels;
use super::statistics::{adjust, two_sided_p};
use super::tiles::{GeneTile, ascending_bits, map_gene_tiles};
use crate::sparse::Expression;
use crate::{Context, Result};
use ndarray::{Array2, ArrayViewMut1, Axis};
use rayon::prelude::*;

/// Which form of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Test {
    /// Corrected for ties. Scores are signed: negative for genes that are lower in the type, with the two-sided p.
    #[default]
    TieCorrected,
    /// As in SAMap 3.0.1: not corrected for ties, negative scores become 0 with p = 1, cells of single-cell types do not
    /// take part in the ranking.
    Reference,
}

/// Markers of all types of one species; all tables are genes × types.
#[derive(Debug, Clone, PartialEq)]
pub struct Markers {
    /// z.
    pub scores: Array2<f64>,
    /// p, not adjusted.
    pub pvals: Array2<f64>,
    /// Benjamini & Hochberg's adjusted p over the genes of a type.
    pub padj: Array2<f64>,
    /// Share of the type's cells with a value above 0 (0 for a type without cells).
    pub fractions: Array2<f64>,
}

/// Tests every gene in every type.
///
/// # Errors
/// [`crate::Error::Shape`] and [`crate::Error::Argument`] when the labels do not fit the expression.
pub fn cluster_markers(x: &Expression, labels: Labels, test: Test, ctx: &Context) -> Result<Markers> {
    let labels = Labels::new(labels.of, labels.types, x.cells())?;
    let ranking = Ranking::new(labels, test);
    let rows: Vec<Vec<Row>> = map_gene_tiles(x, labels, ctx, |tile| ranking.tile(tile, ctx))?;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let table = |of: fn(&Row) -> &[f64]| {
        Array2::from_shape_fn((rows.len(), labels.types), |(gene, kind)| of(&rows[gene])[kind])
    };
    let pvals = table(|row| &row.pvals);
    let mut padj = pvals.clone();
    padj.axis_iter_mut(Axis(1)).into_par_iter().for_each(|mut column: ArrayViewMut1<f64>| {
        let adjusted = adjust(&column.to_vec());
        column.iter_mut().zip(adjusted).for_each(|(p, adjusted)| *p = adjusted);
    });
    Ok(Markers { scores: table(|row| &row.scores), pvals, padj, fractions: table(|row| &row.fractions) })
}

/// One gene in all types.
struct Row {
    scores: Vec<f64>,
    pvals: Vec<f64>,
    fractions: Vec<f64>,
}

/// Who takes part.
struct Ranking {
    test: Test,
    sizes: Vec<usize>,
    /// Types whose cells are ranked.
    ranked: Vec<bool>,
    /// Cells that are ranked.
    cells: usize,
}

/// Sums over the ranks of one gene.
struct RankSums {
    /// Sum of ranks per type.
    sums: Vec<f64>,
    /// Σ (t³ − t).
    ties: f64,
}

impl Ranking {
    fn new(labels: Labels, test: Test) -> Self {
        let sizes = labels.sizes();
        let ranked: Vec<bool> = sizes.iter().map(|&size| test == Test::TieCorrected || size > 1).collect();
        let cells = sizes.iter().zip(&ranked).filter(|(_, ranked)| **ranked).map(|(size, _)| size).sum();
        Ranking { test, sizes, ranked, cells }
    }

    fn tile(&self, tile: &mut GeneTile, ctx: &Context) -> Result<Vec<Row>> {
        tile.genes
            .clone()
            .map(|gene| {
                ctx.check()?;
                let entries = tile.gene(gene);
                let fractions = self.fractions(entries);
                let ranks = self.rank(entries);
                let scores: Vec<f64> = (0..self.sizes.len()).map(|kind| self.score(&ranks, kind)).collect();
                let pvals = scores.iter().map(|&z| two_sided_p(z)).collect();
                Ok(Row { scores, pvals, fractions })
            })
            .collect()
    }

    fn fractions(&self, entries: &[u64]) -> Vec<f64> {
        let mut expressing = vec![0_usize; self.sizes.len()];
        for &entry in entries {
            expressing[label(entry)] += usize::from(entry >> 32 > ascending_bits(0.0));
        }
        let share = |(&count, &size): (&usize, &usize)| if size == 0 { 0.0 } else { count as f64 / size as f64 };
        expressing.iter().zip(&self.sizes).map(share).collect()
    }

    /// Average ranks, summed per type. All sums are multiples of ½ and exact.
    fn rank(&self, entries: &mut [u64]) -> RankSums {
        let keys = self.of_ranked_types(entries);
        keys.sort_unstable();
        let mut sums = vec![0.0; self.sizes.len()];
        let mut stored = vec![0_usize; self.sizes.len()];
        let zeros = self.cells - keys.len();
        let negative = keys.partition_point(|key| key >> 32 < ascending_bits(0.0));
        let tied = |t: usize| (t as f64).powi(3) - t as f64;
        let mut ties = tied(zeros);
        let mut first = 0;
        for group in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            let below = if first < negative { first } else { first + zeros };
            let rank = below as f64 + (group.len() + 1) as f64 / 2.0;
            for kind in group.iter().map(|&key| label(key)) {
                sums[kind] += rank;
                stored[kind] += 1;
            }
            ties += tied(group.len());
            first += group.len();
        }
        let rank_of_zero = negative as f64 + (zeros + 1) as f64 / 2.0;
        for kind in (0..sums.len()).filter(|&kind| self.ranked[kind]) {
            sums[kind] += (self.sizes[kind] - stored[kind]) as f64 * rank_of_zero;
        }
        RankSums { sums, ties }
    }

    /// The entries of cells that are ranked, moved to the front.
    fn of_ranked_types<'e>(&self, entries: &'e mut [u64]) -> &'e mut [u64] {
        let mut write = 0;
        for read in 0..entries.len() {
            entries[write] = entries[read];
            write += usize::from(self.ranked[label(entries[write])]);
        }
        &mut entries[..write]
    }

    fn score(&self, ranks: &RankSums, kind: usize) -> f64 {
        let (all, n) = (self.cells as f64, self.sizes[kind] as f64);
        if self.sizes[kind] < 2 {
            return 0.0;
        }
        let correction = match self.test {
            Test::TieCorrected => 1.0 - ranks.ties / (all.powi(3) - all),
            Test::Reference => 1.0,
        };
        let variance = correction * n * (all - n) * (all + 1.0) / 12.0;
        if variance <= 0.0 {
            return 0.0;
        }
        let z = (ranks.sums[kind] - n * (all + 1.0) / 2.0) / variance.sqrt();
        match self.test {
            Test::TieCorrected => z,
            Test::Reference => z.max(0.0),
        }
    }
}

/// The label of an entry of a tile.
fn label(entry: u64) -> usize {
    (entry & 0xFFFF_FFFF) as usize
}

#[cfg(test)]
mod tests {
    use super::super::UNLABELLED;
    use super::*;
    use crate::Error;
    use crate::rng::Rng;
    use crate::sparse::Csr;

    /// Dense cells × genes; zeros are not stored.
    fn expression(dense: &[Vec<f32>]) -> Expression {
        let genes = dense[0].len();
        let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in dense {
            for (g, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                columns.push(g as u16);
                values.push(v);
            }
            pointers.push(columns.len());
        }
        Expression::Narrow(Csr::<u16>::new((dense.len(), genes), pointers, columns.into(), values.into()))
    }

    /// z from Mann and Whitney's count of wins, with ranks and variance by all pairs and all values.
    fn naive(inside: &[f32], outside: &[f32], corrected: bool) -> f64 {
        let wins: f64 = inside
            .iter()
            .flat_map(|a| outside.iter().map(move |b| if a > b { 1.0 } else { 0.5 * f64::from(a == b) }))
            .sum();
        let (n, m) = (inside.len() as f64, outside.len() as f64);
        let all: Vec<f32> = inside.iter().chain(outside).copied().collect();
        // Σ over values of (t² − 1) is Σ over groups of (t³ − t).
        let ties: f64 = all.iter().map(|a| (all.iter().filter(|b| *b == a).count() as f64).powi(2) - 1.0).sum();
        let total = n + m;
        let factor = if corrected { 1.0 - ties / (total.powi(3) - total) } else { 1.0 };
        let sd = (factor * n * m * (total + 1.0) / 12.0).sqrt();
        if sd > 0.0 { (wins - n * m / 2.0) / sd } else { 0.0 }
    }

    fn random(cells: usize, genes: usize, types: usize, negative: bool) -> (Vec<Vec<f32>>, Vec<u32>) {
        let mut rng = Rng::keyed(3, genes as u64, u64::from(negative));
        let mut value = || match rng.below(4) {
            0 | 1 => 0.0,
            2 => 1.0 + rng.below(5) as f32,
            _ => rng.normal() as f32 * if negative { 1.0 } else { 0.0 } + rng.uniform() as f32,
        };
        let dense = (0..cells).map(|_| (0..genes).map(|_| value()).collect()).collect();
        let mut rng = Rng::keyed(4, 0, 0);
        (dense, (0..cells).map(|_| rng.below(types) as u32).collect())
    }

    #[test]
    fn as_the_count_of_wins() {
        for (negative, test) in [(false, Test::TieCorrected), (true, Test::TieCorrected), (true, Test::Reference)] {
            let (dense, mut of) = random(60, 30, 3, negative);
            of[7] = UNLABELLED;
            of[8] = 3; // a type of a single cell; type 4 has none
            let labels = Labels { of: &of, types: 5 };
            let markers = cluster_markers(&expression(&dense), labels, test, &Context::default()).unwrap();
            for (gene, _) in markers.scores.rows().into_iter().enumerate() {
                let values = |keep: &dyn Fn(u32) -> bool| -> Vec<f32> {
                    (0..60).filter(|&i| of[i] != UNLABELLED && keep(of[i])).map(|i| dense[i][gene]).collect()
                };
                for kind in 0..3 {
                    let rest = values(&|l| l != kind && (test == Test::TieCorrected || l != 3));
                    let inside = values(&|l| l == kind);
                    let mut z = naive(&inside, &rest, test == Test::TieCorrected);
                    if test == Test::Reference {
                        z = z.max(0.0);
                    }
                    let at = [gene, kind as usize];
                    assert!((markers.scores[at] - z).abs() < 1e-12);
                    assert_eq!(markers.pvals[at], two_sided_p(markers.scores[at]));
                    let share = inside.iter().filter(|v| **v > 0.0).count() as f64 / inside.len() as f64;
                    assert_eq!(markers.fractions[at], share);
                }
                for kind in [3, 4] {
                    assert_eq!((markers.scores[[gene, kind]], markers.pvals[[gene, kind]]), (0.0, 1.0));
                }
                assert_eq!(markers.fractions[[gene, 3]], f64::from(u8::from(dense[8][gene] > 0.0)));
                assert_eq!(markers.fractions[[gene, 4]], 0.0);
            }
        }
    }

    #[test]
    fn one_type_and_constant_genes_say_nothing() {
        let dense = vec![vec![1.0, 0.0, 2.0], vec![1.0, 0.0, 0.0], vec![1.0, 0.0, 3.0], vec![1.0, 0.0, 5.0]];
        for test in [Test::TieCorrected, Test::Reference] {
            let one = Labels { of: &[0; 4], types: 1 };
            let markers = cluster_markers(&expression(&dense), one, test, &Context::default()).unwrap();
            assert!(markers.scores.iter().all(|z| *z == 0.0) && markers.padj.iter().all(|p| *p == 1.0));
            let two = Labels { of: &[0, 0, 1, 1], types: 2 };
            let markers = cluster_markers(&expression(&dense), two, test, &Context::default()).unwrap();
            assert_eq!(markers.scores.row(0).to_vec(), [0.0, 0.0]);
            assert_eq!(markers.scores.row(1).to_vec(), [0.0, 0.0]);
            assert!(markers.scores[[2, 1]] > 0.0);
            assert_eq!(markers.scores[[2, 0]] < 0.0, test == Test::TieCorrected);
        }
    }

    #[test]
    fn adjusted_over_the_genes_of_a_type() {
        let (dense, of) = random(40, 25, 2, false);
        let labels = Labels { of: &of, types: 2 };
        let markers = cluster_markers(&expression(&dense), labels, Test::default(), &Context::default()).unwrap();
        for kind in 0..2 {
            assert_eq!(adjust(&markers.pvals.column(kind).to_vec()), markers.padj.column(kind).to_vec());
        }
    }

    #[test]
    fn labels_must_fit() {
        let x = expression(&[vec![1.0], vec![2.0]]);
        let run = |of: &[u32]| cluster_markers(&x, Labels { of, types: 1 }, Test::default(), &Context::default());
        assert!(matches!(run(&[0]), Err(Error::Shape { .. })));
        assert!(matches!(run(&[0, 1]), Err(Error::Argument { .. })));
    }
}
