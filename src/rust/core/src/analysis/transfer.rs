//! Labels of one species carried to the others along the stitched graph. In: the stitched graph A (cells × cells, row =
//! source) and a label per cell, or none. Out: for each cell the probabilities of the labels, cells × labels.
//!
//! P⁰ has a 1 at the label of each labelled reference cell. Then P ← Ā P, Ā the row-normalised A; every row of P divided by
//! its sum; the rows of the reference cells set back to P⁰. Repeated until no probability moves by `tolerance`, or
//! `max_iterations` times (as the former `transfer_annotations()` of SAMap). One iteration is the direct transfer: the
//! shares of a cell's edges to labelled reference cells.

use super::UNLABELLED;
use crate::sparse::{Graph, graph_from_rows, row};
use crate::{Context, Error, Result};
use rayon::prelude::*;

/// Options of [`transfer_labels`].
#[derive(Debug, Clone, PartialEq)]
pub struct TransferOptions {
    /// Most iterations; 1 is the direct transfer.
    pub max_iterations: usize,
    /// Largest change of a probability at which the propagation stops.
    pub tolerance: f64,
}

impl Default for TransferOptions {
    fn default() -> Self {
        TransferOptions { max_iterations: 5, tolerance: 5e-3 }
    }
}

/// Result of [`transfer_labels`], one entry per cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Transferred {
    /// Label of the highest probability, ties to the first; [`UNLABELLED`] where no label arrived.
    pub label: Vec<u32>,
    /// Its probability; 0 without a label.
    pub probability: Vec<f64>,
    /// −Σ p ln p; NaN without a label.
    pub entropy: Vec<f64>,
    /// Iterations made.
    pub iterations: usize,
}

/// Cells of one task.
const CELLS: usize = 1024;

/// Transfers labels. `reference`: whether a cell belongs to the species that has them; `labels`: label of each cell below
/// `types`, or [`UNLABELLED`]; those of other cells are ignored.
///
/// # Errors
/// [`Error::Shape`] when graph, reference and labels do not fit; [`Error::Argument`] for a label that is too large or no
/// iteration; [`Error::Cancelled`].
pub fn transfer_labels(
    stitched: &Graph,
    reference: &[bool],
    labels: &[u32],
    types: usize,
    options: &TransferOptions,
    ctx: &Context,
) -> Result<Transferred> {
    let n = stitched.rows();
    if stitched.cols() != n || reference.len() != n || labels.len() != n {
        let found =
            format!("{} reference marks and {} labels for {:?}", reference.len(), labels.len(), stitched.shape());
        return Err(Error::shape("label transfer", "a square graph, and a mark and a label per cell", found));
    }
    if let Some(bad) = labels.iter().find(|&&label| label != UNLABELLED && label as usize >= types) {
        return Err(Error::argument("key", format!("the label {bad}"), format!("Use labels below {types}.")));
    }
    if options.max_iterations == 0 {
        return Err(Error::argument("max_iterations", "is 0", "Make at least one iteration."));
    }
    let start = |i: usize| match labels[i] {
        label if reference[i] && label != UNLABELLED => vec![(label, 1.0)],
        _ => Vec::new(),
    };
    let mut p = graph_from_rows(types, (0..n).map(start).collect());
    let mut iterations = 0;
    while iterations < options.max_iterations {
        let next = propagated(stitched, &p, reference, types, ctx)?;
        let change = largest_change(&p, &next);
        p = next;
        iterations += 1;
        ctx.advance(1)?;
        if change < options.tolerance {
            break;
        }
    }
    Ok(summary(&p, iterations))
}

/// One iteration. Rows are sparse: few labels are in reach of a cell.
fn propagated(stitched: &Graph, p: &Graph, reference: &[bool], types: usize, ctx: &Context) -> Result<Graph> {
    let cells: Vec<usize> = (0..stitched.rows()).collect();
    let of_block = |block: &[usize]| -> Result<Vec<Vec<(u32, f64)>>> {
        ctx.check()?;
        let mut sums = vec![0.0; types];
        Ok(block.iter().map(|&i| new_row(stitched, p, reference, i, &mut sums)).collect())
    };
    let blocks: Vec<_> = cells.par_chunks(CELLS).map(of_block).collect::<Result<_>>()?;
    Ok(graph_from_rows(types, blocks.into_iter().flatten().collect()))
}

/// The new probabilities of a cell. Dividing a row of A by its sum first would change nothing: they are divided by
/// theirs in the end. `sums` is all 0 before and after.
fn new_row(stitched: &Graph, p: &Graph, reference: &[bool], i: usize, sums: &mut [f64]) -> Vec<(u32, f64)> {
    if reference[i] {
        let (labels, shares) = row(p, i);
        return labels.iter().copied().zip(shares.iter().copied()).collect();
    }
    let mut touched = Vec::new();
    let (targets, weights) = row(stitched, i);
    for (&target, &weight) in targets.iter().zip(weights) {
        let (labels, shares) = row(p, target as usize);
        for (&label, &share) in labels.iter().zip(shares) {
            if sums[label as usize] == 0.0 {
                touched.push(label);
            }
            sums[label as usize] += weight * share;
        }
    }
    touched.sort_unstable();
    touched.dedup();
    let total: f64 = touched.iter().map(|&label| sums[label as usize]).sum();
    let shares = touched.into_iter().map(|label| (label, std::mem::take(&mut sums[label as usize])));
    shares.filter(|&(_, sum)| sum > 0.0).map(|(label, sum)| (label, sum / total)).collect()
}

/// max |a − b|.
fn largest_change(a: &Graph, b: &Graph) -> f64 {
    let of_row = |i: usize| {
        let value = |graph: &Graph, label: u32| graph.get(i, label as usize).copied().unwrap_or(0.0);
        let labels = row(a, i).0.iter().chain(row(b, i).0);
        labels.map(|&label| (value(a, label) - value(b, label)).abs()).fold(0.0, f64::max)
    };
    (0..a.rows()).into_par_iter().map(of_row).reduce(|| 0.0, f64::max)
}

fn summary(p: &Graph, iterations: usize) -> Transferred {
    let n = p.rows();
    let mut out =
        Transferred { label: vec![UNLABELLED; n], probability: vec![0.0; n], entropy: vec![f64::NAN; n], iterations };
    for i in 0..n {
        let (labels, shares) = row(p, i);
        for (&label, &share) in labels.iter().zip(shares) {
            if share > out.probability[i] {
                (out.label[i], out.probability[i]) = (label, share);
            }
        }
        if !labels.is_empty() {
            out.entropy[i] = shares.iter().map(|share| -share * share.ln()).sum::<f64>().max(0.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use ndarray::{Array2, Axis};

    fn random_graph(n: usize, share: f64) -> Graph {
        let mut rng = Rng::keyed(4, 0, 0);
        let rows = (0..n)
            .map(|i| (0..n as u32).map(|j| (j, rng.uniform())).filter(|e| e.1 < share && e.0 as usize != i).collect())
            .collect();
        graph_from_rows(n, rows)
    }

    /// The formula, dense.
    fn naive(a: &Graph, reference: &[bool], labels: &[u32], types: usize, options: &TransferOptions) -> Array2<f64> {
        let n = a.rows();
        let one = |(i, k): (usize, usize)| if reference[i] && labels[i] as usize == k { 1.0 } else { 0.0 };
        let start = Array2::from_shape_fn((n, types), one);
        let normalised = |mut m: Array2<f64>| {
            for mut row in m.axis_iter_mut(Axis(0)) {
                let sum = row.sum();
                row.mapv_inplace(|x| if sum > 0.0 { x / sum } else { x });
            }
            m
        };
        let mean = normalised(Array2::from_shape_fn((n, n), |(i, j)| a.get(i, j).copied().unwrap_or(0.0)));
        let mut p = start.clone();
        for _ in 0..options.max_iterations {
            let mut next = normalised(mean.dot(&p));
            (0..n).filter(|&i| reference[i]).for_each(|i| next.row_mut(i).assign(&start.row(i)));
            let change = next.iter().zip(&p).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            p = next;
            if change < options.tolerance {
                break;
            }
        }
        p
    }

    #[test]
    fn as_the_formula_for_every_number_of_iterations() {
        let (n, types) = (60, 4);
        let graph = random_graph(n, 0.06);
        let reference: Vec<bool> = (0..n).map(|i| i < 25).collect();
        let labels: Vec<u32> = (0..n).map(|i| if i % 7 == 0 { UNLABELLED } else { (i % types) as u32 }).collect();
        for max_iterations in [1, 2, 5, 100] {
            let options = TransferOptions { max_iterations, ..TransferOptions::default() };
            let ours = transfer_labels(&graph, &reference, &labels, types, &options, &Context::default()).unwrap();
            let p = naive(&graph, &reference, &labels, types, &options);
            for i in 0..n {
                let most = p.row(i).iter().copied().fold(0.0, f64::max);
                let entropy: f64 = p.row(i).iter().filter(|x| **x > 0.0).map(|x| -x * x.ln()).sum();
                assert!((ours.probability[i] - most).abs() < 1e-12);
                assert_eq!(ours.label[i] == UNLABELLED, most == 0.0);
                assert_eq!(ours.entropy[i].is_nan(), most == 0.0);
                assert!(most == 0.0 || (ours.entropy[i] - entropy).abs() < 1e-12);
                assert!(most == 0.0 || (p[[i, ours.label[i] as usize]] - most).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn cells_out_of_reach_stay_without_a_label() {
        let graph = graph_from_rows(4, vec![vec![(1, 1.0)], vec![(0, 1.0)], vec![(3, 1.0)], vec![(2, 1.0)]]);
        let reference = [true, false, false, false];
        let out =
            transfer_labels(&graph, &reference, &[0, 1, 1, 1], 2, &TransferOptions::default(), &Context::default());
        let out = out.unwrap();
        assert_eq!(out.label, [0, 0, UNLABELLED, UNLABELLED]);
        assert_eq!(out.probability, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(out.iterations, 2);
    }

    #[test]
    fn threads_change_no_bit() {
        let graph = random_graph(3000, 0.004);
        let reference: Vec<bool> = (0..3000).map(|i| i % 3 == 0).collect();
        let labels: Vec<u32> = (0..3000).map(|i| i % 11).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = TransferOptions::default();
            pool.install(|| transfer_labels(&graph, &reference, &labels, 11, &options, &Context::default()).unwrap())
        };
        let (one, four) = (run(1), run(4));
        assert_eq!(one.label, four.label);
        assert!(one.probability == four.probability);
    }

    #[test]
    fn bad_input_is_an_error() {
        let graph = random_graph(5, 0.5);
        let options = TransferOptions::default();
        let ctx = Context::default();
        assert!(transfer_labels(&graph, &[true; 4], &[0; 5], 1, &options, &ctx).is_err());
        assert!(transfer_labels(&graph, &[true; 5], &[1; 5], 1, &options, &ctx).is_err());
        let none = TransferOptions { max_iterations: 0, ..options };
        assert!(transfer_labels(&graph, &[true; 5], &[0; 5], 1, &none, &ctx).is_err());
    }
}
