//! The forms in which SAMap computed its dearest steps before version 3 (and in part still does), as plainly as they are
//! stated: what the steps of the engine are measured against. In each, what ours streams exists whole.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use samap_core::homology::HomologyGraph;
use samap_core::knn::Neighbours;
use samap_core::mapping::Atlas;
use samap_core::sparse::{Graph, graph_from_rows, row};
use samap_core::with_expression;
use sprs::SpIndex;
use std::ops::Range;

/// Expansion by powers of the neighbour matrix: rings of A, A², …, A^(size + 1), each row trimmed to its largest entries while
/// its budget lasts. Returns the number of cells in all neighbourhoods.
pub fn expand_by_matrix_power(neighbours: &Neighbours, budgets: &[usize], size: usize) -> usize {
    let cells = neighbours.cells();
    let of_cell = |i: usize| {
        let mut entries: Vec<(u32, f64)> = neighbours.indices_of(i).iter().map(|&j| (j, 1.0)).collect();
        entries.sort_unstable_by_key(|&(j, _)| j);
        entries
    };
    let step = graph_from_rows(cells, (0..cells).map(of_cell).collect());
    let mut left = budgets.to_vec();
    // Every cell is its own neighbour, so a power holds all that lower ones do.
    let (mut before, mut power) = (Graph::zero(step.shape()), step.clone());
    for hop in 0..=size {
        if hop > 0 {
            let next = &power * &step;
            before = std::mem::replace(&mut power, next);
        }
        for (i, left) in left.iter_mut().enumerate() {
            let (known, (columns, paths)) = (row(&before, i).0, row(&power, i));
            let fresh = columns.iter().zip(paths).filter(|(j, _)| known.binary_search(j).is_err());
            let mut ring: Vec<(u32, f64)> = fresh.map(|(&j, &p)| (j, p)).collect();
            ring.sort_unstable_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
            *left -= ring.len().min(*left);
        }
    }
    budgets.iter().zip(&left).map(|(budget, left)| budget - left).sum()
}

/// Some columns of an expression matrix in `f64`, in the order given.
fn columns_of(atlas: &Atlas, columns: &[u32]) -> Graph {
    let mut place = vec![u32::MAX; atlas.expression.genes()];
    columns.iter().enumerate().for_each(|(i, &column)| place[column as usize] = i as u32);
    let rows = with_expression!(atlas.expression, x => (0..x.rows())
        .map(|i| {
            let (genes, values) = row(x, i);
            let there = genes.iter().zip(values).filter(|(gene, _)| place[gene.index()] != u32::MAX);
            let mut entries: Vec<(u32, f64)> =
                there.map(|(gene, &value)| (place[gene.index()], f64::from(value))).collect();
            entries.sort_unstable_by_key(|&(gene, _)| gene);
            entries
        })
        .collect());
    graph_from_rows(columns.len(), rows)
}

/// Means and population standard deviations (0 → 1) of the columns.
fn moments(x: &Graph) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut squares) = (vec![0.0; x.cols()], vec![0.0; x.cols()]);
    for (&column, &value) in x.indices().iter().zip(x.data()) {
        sums[column as usize] += value;
        squares[column as usize] += value * value;
    }
    let n = x.rows() as f64;
    let mean: Vec<f64> = sums.iter().map(|sum| sum / n).collect();
    let deviation = |(square, mean): (&f64, &f64)| match (square / n - mean * mean).max(0.0).sqrt() {
        0.0 => 1.0,
        deviation => deviation,
    };
    let deviations = squares.iter().zip(&mean).map(deviation).collect();
    (mean, deviations)
}

/// Projection with the translated expression S H as a matrix of its own: cells of `from` along the components of `to`. `block`:
/// H, genes of `from` × genes of `to`, scaled.
pub fn project_materialised(from: &Atlas, to: &Atlas, block: &Graph) -> Array2<f32> {
    let weights = |atlas: &Atlas| -> Vec<f64> {
        atlas.gene_columns.iter().map(|&column| atlas.weights[column as usize]).collect()
    };
    let x = columns_of(from, from.gene_columns);
    let (_, deviations) = moments(&x);
    let scale: Vec<f64> = weights(from).iter().zip(&deviations).map(|(w, sd)| w / sd).collect();
    let scaled = scale_columns(x, &scale);
    let translated = &scaled * block;
    let (_, sigma) = moments(&translated);
    let scale: Vec<f64> = weights(to).iter().zip(&sigma).map(|(w, sd)| w / sd).collect();
    let translated = scale_columns(translated, &scale);
    let mut out = multiply(&translated, to.loadings.view());
    let centre: Array1<f32> = out.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(out.ncols()));
    out -= &centre;
    out
}

fn scale_columns(x: Graph, factors: &[f64]) -> Graph {
    let shape = x.shape();
    let (pointers, columns, mut values) = x.into_raw_storage();
    columns.iter().zip(&mut values).for_each(|(&column, value)| *value *= factors[column as usize]);
    Graph::new(shape, pointers, columns, values)
}

fn multiply(x: &Graph, dense: ArrayView2<f32>) -> Array2<f32> {
    let mut out = Array2::zeros((x.rows(), dense.ncols()));
    for (i, mut sums) in out.outer_iter_mut().enumerate() {
        let (columns, values) = row(x, i);
        columns.iter().zip(values).for_each(|(&j, &value)| sums.scaled_add(value as f32, &dense.row(j as usize)));
    }
    out
}

/// Refinement with the averaged expression X̄ = A X of all genes held at once: Pearson's correlation of every edge of the
/// homology graph.
pub fn correlate_materialised(atlases: &[Atlas], homology: &HomologyGraph, stitched: &Graph) -> Vec<f64> {
    let cells = stitched.rows();
    let mut averages = Array2::<f64>::zeros((homology.genes(), cells));
    let mut first = 0;
    for (species, atlas) in atlases.iter().enumerate() {
        let x = columns_of(atlas, atlas.gene_columns);
        let range = first..first + x.rows();
        let product = &within(stitched, range.clone()) * &x;
        for cell in 0..cells {
            let (genes, values) = row(&product, cell);
            let place = homology.offsets[species];
            genes.iter().zip(values).for_each(|(&g, &value)| averages[[place + g as usize, cell]] = value);
        }
        first = range.end;
    }
    let correlation = |g: u32, h: u32| {
        let (x, y) = (averages.slice(s![g as usize, ..]), averages.slice(s![h as usize, ..]));
        let n = cells as f64;
        let (mean_x, mean_y) = (x.sum() / n, y.sum() / n);
        let (x, y) = (x.mapv(|v| v - mean_x), y.mapv(|v| v - mean_y));
        let norms = x.dot(&x) * y.dot(&y);
        if norms > 0.0 { x.dot(&y) / norms.sqrt() } else { 0.0 }
    };
    homology.edges().map(|(g, h, _)| correlation(g, h)).collect()
}

/// The columns of some cells, every row divided by its sum over them.
fn within(stitched: &Graph, cells: Range<usize>) -> Graph {
    let of_row = |i: usize| {
        let (columns, weights) = row(stitched, i);
        let there = columns.iter().zip(weights).filter(|(j, _)| cells.contains(&(**j as usize)));
        let entries: Vec<(u32, f64)> = there.map(|(&j, &weight)| (j - cells.start as u32, weight)).collect();
        let sum: f64 = entries.iter().map(|&(_, weight)| weight).sum();
        entries.into_iter().map(|(j, weight)| (j, if sum > 0.0 { weight / sum } else { 0.0 })).collect()
    };
    graph_from_rows(cells.len(), (0..stitched.rows()).map(of_row).collect())
}
