//! Projection of all cells into one latent space through the homology graph. In: expression (cells × genes) and loadings
//! (genes × d) of every species, the homology graph. Out: latent coordinates, cells × (d of species 0, d of species 1, …).
//!
//! With S_a = X_a diag(w_a / sd_a) the block of species a's cells along species b's components is
//! S_a H_ab diag(w_b / σ) PC_b, where σ is the standard deviation over a's cells of S_a H_ab; the block along a's own
//! components is S_a PC_a. Every block is centred. Neither S_a H_ab nor a genes × genes Gram matrix is ever made.

use super::{Atlas, row_blocks};
use crate::sparse::{Column, Csr, Graph, row};
use crate::{Context, Result, with_expression};
use faer::traits::pulp::{Arch, Simd, WithSimd};
use ndarray::{Array2, ArrayView1, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use sprs::SpIndex;
use std::ops::Range;

/// A column of the expression matrix that is no gene of the homology graph.
const NO_GENE: u32 = u32::MAX;

/// Cells projected at a time.
const CELLS: usize = 128;
/// Columns of the expression for which they are projected at a time.
const COLUMNS: usize = 64;

/// A variance below this share of the mean square is rounding: the column is constant.
const CONSTANT: f64 = 1e-14;

/// `c + (1 − c) tanh(s (x − c))` with s = 10: the scaling of homology and of similarities.
pub fn tanh_scale(x: f64, centre: f64) -> f64 {
    centre + (1.0 - centre) * (10.0 * (x - centre)).tanh()
}

/// G / row maximum, and then only the edges between two genes of positive weight. The order matters: a dropped edge may
/// have been its row's maximum. `weights`: one per gene of the graph.
pub fn prune(graph: &Graph, weights: &[f64]) -> Graph {
    let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for (g, &gene_weight) in weights.iter().enumerate() {
        let (partners, edges) = row(graph, g);
        if gene_weight > 0.0 {
            let largest = edges.iter().copied().fold(0.0, f64::max);
            let kept = partners.iter().zip(edges).filter(|&(&h, &edge)| weights[h as usize] > 0.0 && edge > 0.0);
            for (&h, &edge) in kept {
                columns.push(h);
                values.push(edge * (1.0 / largest));
            }
        }
        pointers.push(columns.len());
    }
    Graph::new(graph.shape(), pointers, columns, values)
}

/// The pruned graph through [`tanh_scale`] (centre 0.5), every column divided by its sum.
pub fn scale_edges(pruned: &Graph) -> Graph {
    normalise_columns(pruned.map(|&edge| tanh_scale(edge, 0.5)))
}

fn normalise_columns(graph: Graph) -> Graph {
    let mut sums = vec![0.0; graph.cols()];
    for (&h, &edge) in graph.indices().iter().zip(graph.data()) {
        sums[h as usize] += edge;
    }
    let shape = graph.shape();
    let (pointers, columns, mut values) = graph.into_raw_storage();
    for (&h, edge) in columns.iter().zip(&mut values) {
        if sums[h as usize] != 0.0 {
            *edge *= 1.0 / sums[h as usize];
        }
    }
    Graph::new(shape, pointers, columns, values)
}

/// H_ab: rows `from` (genes of a) and columns `to` (genes of b) of the scaled graph; column-normalised again within the
/// pair when `pairwise`.
pub fn pair_block(scaled: &Graph, from: Range<usize>, to: Range<usize>, pairwise: bool) -> Graph {
    let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for g in from.clone() {
        let (partners, edges) = row(scaled, g);
        let first = partners.partition_point(|&h| (h as usize) < to.start);
        let end = partners.partition_point(|&h| (h as usize) < to.end);
        columns.extend(partners[first..end].iter().map(|&h| h - to.start as u32));
        values.extend_from_slice(&edges[first..end]);
        pointers.push(columns.len());
    }
    let block = Graph::new((from.len(), to.len()), pointers, columns, values);
    if pairwise { normalise_columns(block) } else { block }
}

/// What the projection needs of one species and no pass changes.
pub struct Scaled<'a> {
    atlas: &'a Atlas<'a>,
    /// Gene of the homology graph (within the species) of each column of the expression, or [`NO_GENE`].
    gene_of_column: Vec<u32>,
    /// Mean expression per gene.
    mean: Vec<f64>,
    /// w / sd per gene, so that S = X diag(scale).
    scale: Vec<f64>,
}

impl<'a> Scaled<'a> {
    /// Means and population standard deviations (0 → 1) of the genes in the homology graph, in one pass over the cells.
    ///
    /// # Errors
    /// Cancelled.
    pub fn new(atlas: &'a Atlas<'a>, ctx: &Context) -> Result<Self> {
        let mut gene_of_column = vec![NO_GENE; atlas.expression.genes()];
        for (gene, &column) in atlas.gene_columns.iter().enumerate() {
            gene_of_column[column as usize] = gene as u32;
        }
        let genes = atlas.gene_columns.len();
        let moments = with_expression!(atlas.expression, x => moments(x, genes, ctx, |columns, values, sums| {
            for (&column, &value) in columns.iter().zip(values) {
                let gene = gene_of_column[column.index()];
                if gene != NO_GENE {
                    sums.add(gene as usize, f64::from(value));
                }
            }
        }))?;
        let cells = atlas.expression.cells();
        let mean = moments.sum.iter().map(|sum| sum / cells as f64).collect();
        let deviation = moments.deviations(cells);
        let scale = (0..genes).map(|g| atlas.weights[atlas.gene_columns[g] as usize] / deviation[g]).collect();
        Ok(Scaled { atlas, gene_of_column, mean, scale })
    }

    /// Number of latent components of the species.
    pub fn components(&self) -> usize {
        self.atlas.loadings.ncols()
    }

    /// Gene of the homology graph of each column of the expression, or [`NO_GENE`].
    pub(crate) fn gene_of_column(&self) -> &[u32] {
        &self.gene_of_column
    }

    /// Mean expression per gene.
    pub(crate) fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// w / sd per gene.
    pub(crate) fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// SAM weight of a gene.
    pub(crate) fn weight(&self, gene: usize) -> f64 {
        self.atlas.weights[self.atlas.gene_columns[gene] as usize]
    }

    /// σ_h: population standard deviation over the cells of (S H)_·h for every gene h of the other species, 0 → 1. One pass
    /// over the sparse cells. `block`: H_ab, genes of this species × genes of the other.
    ///
    /// # Errors
    /// Cancelled.
    pub fn sigma(&self, block: &Graph, ctx: &Context) -> Result<Vec<f64>> {
        let moments = with_expression!(self.atlas.expression, x => moments(x, block.cols(), ctx, |columns, values, sums| {
            self.translate(columns, values, block, sums);
        }))?;
        Ok(moments.deviations(self.atlas.expression.cells()))
    }

    /// Adds (S H)_i· of one cell to the sums.
    fn translate<C: Column>(&self, columns: &[C], values: &[f32], block: &Graph, sums: &mut Sums) {
        for (&column, &value) in columns.iter().zip(values) {
            let gene = self.gene_of_column[column.index()];
            if gene != NO_GENE {
                let scaled = f64::from(value) * self.scale[gene as usize];
                let (partners, edges) = row(block, gene as usize);
                for (&h, &edge) in partners.iter().zip(edges) {
                    sums.gather(h, scaled * edge);
                }
            }
        }
        sums.flush();
    }

    /// Loadings of a gene.
    fn loadings(&self, gene: usize) -> ArrayView1<'_, f32> {
        self.atlas.loadings.row(self.atlas.gene_columns[gene] as usize)
    }

    /// P = diag(w_a / sd_a) PC_a: what projects expression onto the species' own components.
    fn own_operator(&self) -> Operator {
        let mut operator = Operator::new(self.gene_of_column.len(), self.components());
        for (gene, &column) in self.atlas.gene_columns.iter().enumerate() {
            if self.scale[gene] != 0.0 {
                operator.push(column, |sum| add_scaled(sum, self.scale[gene], self.loadings(gene)));
            }
        }
        operator
    }

    /// P = diag(w_a / sd_a) H_ab diag(w_b / σ) PC_b: what projects expression onto the components of species b.
    fn cross_operator(&self, other: &Scaled, block: &Graph, sigma: &[f64]) -> Operator {
        let mut operator = Operator::new(self.gene_of_column.len(), other.components());
        for (gene, &column) in self.atlas.gene_columns.iter().enumerate() {
            let (partners, edges) = row(block, gene);
            if partners.is_empty() || self.scale[gene] == 0.0 {
                continue;
            }
            operator.push(column, |sum| {
                for (&h, &edge) in partners.iter().zip(edges) {
                    let h = h as usize;
                    add_scaled(sum, self.scale[gene] * edge * (other.weight(h) / sigma[h]), other.loadings(h));
                }
            });
        }
        operator
    }

    /// Fills `out` (cells × components of the operator) with X P − mean(X) P.
    fn apply(&self, operator: &Operator, mut out: ArrayViewMut2<f32>, ctx: &Context) -> Result<()> {
        let mut centre = vec![0.0; operator.width];
        for (gene, &column) in self.atlas.gene_columns.iter().enumerate() {
            if let Some(direction) = operator.row(column as usize) {
                add_scaled(&mut centre, -self.mean[gene], direction);
            }
        }
        with_expression!(self.atlas.expression, x => {
            out.axis_chunks_iter_mut(Axis(0), CELLS).into_par_iter().enumerate().try_for_each(|(block, mut rows)| {
                ctx.check()?;
                let mut sums = centre.repeat(rows.nrows());
                Arch::new().dispatch(Products { operator, x, first: block * CELLS, sums: &mut sums });
                rows.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = sum as f32);
                Ok(())
            })
        })
    }
}

/// The dense matrix P (columns of the expression × components) with only the rows that are not zero.
struct Operator {
    row_of_column: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl Operator {
    fn new(columns: usize, width: usize) -> Self {
        Operator { row_of_column: vec![NO_GENE; columns], values: Vec::new(), width }
    }

    /// The row of an expression column: what `add` adds to zeros.
    fn push(&mut self, column: u32, add: impl FnOnce(&mut [f64])) {
        self.row_of_column[column as usize] = (self.values.len() / self.width.max(1)) as u32;
        let mut sum = vec![0.0; self.width];
        add(&mut sum);
        self.values.extend(sum.iter().map(|&x| x as f32));
    }

    #[inline(always)]
    fn row(&self, column: usize) -> Option<&[f32]> {
        let row = self.row_of_column[column];
        (row != NO_GENE).then(|| &self.values[row as usize * self.width..(row as usize + 1) * self.width])
    }
}

/// Adds X P of the cells from `first` on to `sums`, a row per cell. Compiled for the vector instructions of the machine at
/// hand, which changes no bit: nothing is fused or reordered.
struct Products<'a, C: Column> {
    operator: &'a Operator,
    x: &'a Csr<C>,
    first: usize,
    sums: &'a mut [f64],
}

impl<C: Column> WithSimd for Products<'_, C> {
    type Output = ();

    /// Some columns at a time for all cells, so that their rows of P are read from the cache; every sum runs over ascending
    /// columns.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.operator.width.max(1);
        let mut done = vec![0_usize; self.sums.len() / width];
        for end in (COLUMNS..self.x.cols() + COLUMNS).step_by(COLUMNS) {
            for ((i, sum), done) in self.sums.chunks_exact_mut(width).enumerate().zip(&mut done) {
                let (columns, values) = row(self.x, self.first + i);
                for (&column, &value) in columns[*done..].iter().zip(&values[*done..]) {
                    if column.index() >= end {
                        break;
                    }
                    *done += 1;
                    if let Some(direction) = self.operator.row(column.index()) {
                        add_scaled(sum, f64::from(value), direction);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add_scaled<'a>(target: &mut [f64], factor: f64, direction: impl IntoIterator<Item = &'a f32>) {
    target.iter_mut().zip(direction).for_each(|(sum, &x)| *sum += factor * f64::from(x));
}

/// Sums and sums of squares per gene over cells.
struct Sums {
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// Values of the cell under way, and which of them are set.
    cell: Vec<f64>,
    touched: Vec<u32>,
}

impl Sums {
    fn new(genes: usize) -> Self {
        Sums { sum: vec![0.0; genes], squares: vec![0.0; genes], cell: vec![0.0; genes], touched: Vec::new() }
    }

    fn add(&mut self, gene: usize, value: f64) {
        self.sum[gene] += value;
        self.squares[gene] += value * value;
    }

    /// Adds to a value of the cell under way. A gene whose value returns to 0 is listed twice, which [`Sums::flush`] forgives.
    fn gather(&mut self, gene: u32, value: f64) {
        if self.cell[gene as usize] == 0.0 {
            self.touched.push(gene);
        }
        self.cell[gene as usize] += value;
    }

    /// Adds the cell under way to the sums.
    fn flush(&mut self) {
        for gene in std::mem::take(&mut self.touched) {
            let value = std::mem::take(&mut self.cell[gene as usize]);
            self.add(gene as usize, value);
        }
    }

    fn deviations(&self, cells: usize) -> Vec<f64> {
        deviations(&self.sum, &self.squares, cells)
    }
}

/// Population standard deviations (0 → 1) from sums and sums of squares over `cells` cells.
pub(crate) fn deviations(sums: &[f64], squares: &[f64], cells: usize) -> Vec<f64> {
    let n = cells as f64;
    let deviation = |(&sum, &squares): (&f64, &f64)| {
        let (mean, mean_square) = (sum / n, squares / n);
        let variance = mean_square - mean * mean;
        if variance <= CONSTANT * mean_square { 1.0 } else { variance.sqrt() }
    };
    sums.iter().zip(squares).map(deviation).collect()
}

/// Sums over all cells: blocks of rows in parallel, added in their order.
fn moments<C: Column>(
    x: &Csr<C>,
    genes: usize,
    ctx: &Context,
    add_cell: impl Fn(&[C], &[f32], &mut Sums) + Sync,
) -> Result<Sums> {
    let of_block = |rows: Range<usize>| -> Result<Sums> {
        let mut sums = Sums::new(genes);
        for i in rows {
            if i % CELLS == 0 {
                ctx.check()?;
            }
            let (columns, values) = row(x, i);
            add_cell(columns, values, &mut sums);
        }
        Ok(sums)
    };
    let blocks: Vec<Sums> = row_blocks(x.rows(), 256, 32).into_par_iter().map(of_block).collect::<Result<_>>()?;
    let mut total = Sums::new(genes);
    for block in blocks {
        for gene in 0..genes {
            total.sum[gene] += block.sum[gene];
            total.squares[gene] += block.squares[gene];
        }
    }
    Ok(total)
}

/// First component of each species in the latent space, and the number of components at the end.
pub fn component_offsets(species: &[Scaled]) -> Vec<usize> {
    std::iter::once(0)
        .chain(species.iter().scan(0, |total, species| {
            *total += species.components();
            Some(*total)
        }))
        .collect()
}

/// The latent space with every species' own block, which no pass changes; the other blocks are zero.
/// `cell_offsets`: first cell of each species, and the number of cells at the end.
///
/// # Errors
/// Cancelled.
pub fn project_own(species: &[Scaled], cell_offsets: &[usize], ctx: &Context) -> Result<Array2<f32>> {
    let components = component_offsets(species);
    let mut latent = Array2::zeros((cell_offsets[species.len()], components[species.len()]));
    for (a, scaled) in species.iter().enumerate() {
        let block = s![cell_offsets[a]..cell_offsets[a + 1], components[a]..components[a + 1]];
        scaled.apply(&scaled.own_operator(), latent.slice_mut(block), ctx)?;
    }
    Ok(latent)
}

/// Overwrites the blocks of the latent space between different species, for the scaled homology graph of this pass.
/// `gene_offsets`: first gene of each species in the homology graph, and the number of genes at the end.
///
/// # Errors
/// Cancelled.
pub fn project_cross(
    species: &[Scaled],
    scaled: &Graph,
    (gene_offsets, cell_offsets): (&[usize], &[usize]),
    pairwise: bool,
    latent: &mut Array2<f32>,
    ctx: &Context,
) -> Result<()> {
    let components = component_offsets(species);
    for (a, from) in species.iter().enumerate() {
        for (b, to) in species.iter().enumerate().filter(|&(b, _)| b != a) {
            let genes = |s: usize| gene_offsets[s]..gene_offsets[s + 1];
            let block = pair_block(scaled, genes(a), genes(b), pairwise);
            let sigma = from.sigma(&block, ctx)?;
            let operator = from.cross_operator(to, &block, &sigma);
            let target = s![cell_offsets[a]..cell_offsets[a + 1], components[b]..components[b + 1]];
            from.apply(&operator, latent.slice_mut(target), ctx)?;
            ctx.advance(1)?;
        }
    }
    Ok(())
}
