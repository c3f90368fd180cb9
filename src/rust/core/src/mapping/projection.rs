//! Projection of all cells into one latent space through the homology graph. In: expression (cells × genes) and loadings
//! (genes × d) of every species, the homology graph. Out: latent coordinates, cells × (d of species 0, d of species 1, …).
//!
//! With S_a = X_a diag(w_a / sd_a) the block of species a's cells along species b's components is
//! S_a H_ab diag(w_b / σ) PC_b, where σ is the standard deviation over a's cells of S_a H_ab; the block along a's own
//! components is S_a PC_a. Every block is centred. Neither S_a H_ab nor a genes × genes Gram matrix is ever made.

use super::Atlas;
use crate::simd::vectorised;
use crate::sparse::{Column, Csr, Graph, edges, graph_of, row};
use crate::{Context, Result, with_expression};
use ndarray::{Array2, ArrayView1, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use sprs::SpIndex;
use std::ops::Range;

/// A column of the expression matrix that is no gene of the homology graph.
const NO_GENE: u32 = u32::MAX;

/// Cells projected at a time.
const CELLS: usize = 512;
/// Columns of the expression for which they are projected at a time.
const COLUMNS: usize = 512;
/// Components whose sums are held in registers.
const STRIP: usize = 32;

/// Some components of a row of P, in cache lines of their own; those beyond the last are 0.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Strip([f32; STRIP]);

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
    let within = |&(h, _): &(u32, f64)| to.contains(&(h as usize));
    let of_gene = |g| edges(scaled, g).filter(within).map(|(h, edge)| (h - to.start as u32, edge));
    let block = graph_of(to.len(), from.map(of_gene));
    if pairwise { normalise_columns(block) } else { block }
}

/// The edges of a graph to the genes that are kept; its shape stays.
fn select_columns(graph: &Graph, keep: impl Fn(usize) -> bool) -> Graph {
    graph_of(graph.cols(), (0..graph.rows()).map(|g| edges(graph, g).filter(|&(h, _)| keep(h as usize))))
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
    /// Population standard deviation of S per gene: w, and 0 where X is constant.
    deviation: Vec<f64>,
}

impl<'a> Scaled<'a> {
    /// Means and population standard deviations of the genes in the homology graph, in one pass over the cells.
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
        let weights = atlas.gene_columns.iter().map(|&column| atlas.weights[column as usize]);
        let of_gene = |(weight, sd): (f64, f64)| if sd == 0.0 { (weight, 0.0) } else { (weight / sd, weight) };
        let (scale, deviation) = weights.zip(moments.deviations(cells)).map(of_gene).unzip();
        Ok(Scaled { atlas, gene_of_column, mean, scale, deviation })
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

    /// σ_h: population standard deviation over the cells of (S H)_·h for every gene h of the other species, 0 → 1.
    /// `block`: H_ab, genes of this species × genes of the other.
    ///
    /// # Errors
    /// Cancelled.
    pub fn sigma(&self, block: &Graph, ctx: &Context) -> Result<Vec<f64>> {
        self.sigma_with(block, |shared| {
            let moments = with_expression!(self.atlas.expression, x => moments(x, shared.cols(), ctx, |columns, values, sums| {
                self.translate(columns, values, shared, sums);
            }))?;
            Ok(moments.deviations(self.atlas.expression.cells()))
        })
    }

    /// σ where a gene h with one homolog g has |H_gh| times the deviation of S_·g, and `pass` finds the others over the cells:
    /// from H with their columns alone the deviation of every column.
    pub(crate) fn sigma_with(&self, block: &Graph, pass: impl FnOnce(&Graph) -> Result<Vec<f64>>) -> Result<Vec<f64>> {
        let mut homologs = vec![0_u32; block.cols()];
        block.indices().iter().for_each(|&h| homologs[h as usize] += 1);
        let shared = select_columns(block, |h| homologs[h] > 1);
        let mut sigma = if shared.nnz() > 0 { pass(&shared)? } else { vec![0.0; block.cols()] };
        for (edge, (g, h)) in block.iter() {
            if homologs[h as usize] == 1 {
                sigma[h as usize] = edge.abs() * self.deviation[g as usize];
            }
        }
        sigma.iter_mut().filter(|sigma| **sigma == 0.0).for_each(|sigma| *sigma = 1.0);
        Ok(sigma)
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
        self.atlas.loadings.row(gene)
    }

    /// P = diag(w_a / sd_a) PC_a: what projects expression onto the species' own components.
    fn own_operator(&self) -> Operator {
        self.operator(self.components(), |_| true, |gene, sum| add_scaled(sum, self.scale[gene], self.loadings(gene)))
    }

    /// P = diag(w_a / sd_a) H_ab diag(w_b / σ) PC_b: what projects expression onto the components of species b.
    fn cross_operator(&self, other: &Scaled, block: &Graph, sigma: &[f64]) -> Operator {
        let of_gene = |gene: usize, sum: &mut [f64]| {
            let (partners, edges) = row(block, gene);
            for (&h, &edge) in partners.iter().zip(edges) {
                let h = h as usize;
                add_scaled(sum, self.scale[gene] * edge * (other.weight(h) / sigma[h]), other.loadings(h));
            }
        };
        self.operator(other.components(), |gene| !row(block, gene).0.is_empty(), of_gene)
    }

    /// P with a row of `width` components for each gene that `has` one: what `add` adds to zeros.
    fn operator(&self, width: usize, has: impl Fn(usize) -> bool, add: impl Fn(usize, &mut [f64]) + Sync) -> Operator {
        let genes: Vec<usize> = (0..self.scale.len()).filter(|&gene| self.scale[gene] != 0.0 && has(gene)).collect();
        let mut row_of_column = vec![NO_GENE; self.gene_of_column.len()];
        for (row, &gene) in (0..).zip(&genes) {
            row_of_column[self.atlas.gene_columns[gene] as usize] = row;
        }
        let strips = width.div_ceil(STRIP);
        let mut rows = vec![Strip([0.0; STRIP]); genes.len() * strips];
        rows.par_chunks_mut(strips.max(1)).zip(&genes).for_each_init(
            || vec![0.0; width],
            |sum, (row, &gene)| {
                sum.fill(0.0);
                add(gene, sum);
                row.iter_mut().flat_map(|strip| &mut strip.0).zip(sum).for_each(|(x, sum)| *x = *sum as f32);
            },
        );
        Operator { row_of_column, rows, strips }
    }

    /// Fills `out` (cells × components of the operator) with X P − mean(X) P.
    fn apply(&self, operator: &Operator, mut out: ArrayViewMut2<f32>, ctx: &Context) -> Result<()> {
        let mut centre = vec![[0.0; STRIP]; operator.strips];
        for (gene, &column) in self.atlas.gene_columns.iter().enumerate() {
            if let Some(row) = operator.row(column as usize) {
                centre.iter_mut().zip(row).for_each(|(sum, strip)| add_scaled(sum, -self.mean[gene], &strip.0));
            }
        }
        with_expression!(self.atlas.expression, x => {
            out.axis_chunks_iter_mut(Axis(0), CELLS).into_par_iter().enumerate().try_for_each(|(block, mut out)| {
                ctx.check()?;
                let mut sums = centre.repeat(out.nrows());
                vectorised(
                    #[inline(always)]
                    || operator.add_products(x, block * CELLS, &mut sums),
                );
                for (mut out, sums) in out.outer_iter_mut().zip(sums.chunks(operator.strips.max(1))) {
                    out.iter_mut().zip(sums.as_flattened()).for_each(|(out, &sum)| *out = sum as f32);
                }
                Ok(())
            })
        })
    }
}

/// The dense matrix P (columns of the expression × components) with only the rows that are not zero.
struct Operator {
    row_of_column: Vec<u32>,
    /// Row by row.
    rows: Vec<Strip>,
    /// Strips of a row.
    strips: usize,
}

impl Operator {
    fn row(&self, column: usize) -> Option<&[Strip]> {
        let row = self.row_of_column[column];
        (row != NO_GENE).then(|| &self.rows[row as usize * self.strips..(row as usize + 1) * self.strips])
    }

    /// Adds X P of the cells from `first` on to `sums`, a row of strips per cell. Some columns at a time for all cells, so that
    /// their rows of P are read from the cache, and a strip of a cell's sums in registers; every sum runs over ascending columns.
    #[inline(always)]
    fn add_products<C: Column>(&self, x: &Csr<C>, first: usize, sums: &mut [[f64; STRIP]]) {
        let cells = sums.len() / self.strips.max(1);
        let mut done = vec![0_usize; cells];
        // Row of P and value of each entry under way, and how many they are up to each cell.
        let (mut entries, mut ends) = (Vec::new(), Vec::new());
        for end in (COLUMNS..x.cols() + COLUMNS).step_by(COLUMNS) {
            entries.clear();
            ends.clear();
            for (i, done) in done.iter_mut().enumerate() {
                let (columns, values) = row(x, first + i);
                while *done < columns.len() && columns[*done].index() < end {
                    let row = self.row_of_column[columns[*done].index()];
                    if row != NO_GENE {
                        entries.push((row as usize * self.strips, f64::from(values[*done])));
                    }
                    *done += 1;
                }
                ends.push(entries.len());
            }
            for strip in 0..self.strips {
                let mut start = 0;
                for (i, &end) in ends.iter().enumerate() {
                    let mut sum = sums[i * self.strips + strip];
                    for &(row, value) in &entries[start..end] {
                        let Strip(row) = &self.rows[row + strip];
                        for k in 0..STRIP {
                            sum[k] += value * f64::from(row[k]);
                        }
                    }
                    sums[i * self.strips + strip] = sum;
                    start = end;
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

/// Population standard deviations from sums and sums of squares over `cells` cells.
pub(crate) fn deviations(sums: &[f64], squares: &[f64], cells: usize) -> Vec<f64> {
    let n = cells as f64;
    let deviation = |(&sum, &squares): (&f64, &f64)| {
        let (mean, mean_square) = (sum / n, squares / n);
        let variance = mean_square - mean * mean;
        if variance <= CONSTANT * mean_square { 0.0 } else { variance.sqrt() }
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

/// `n` rows in at most `most` blocks of at least `least` rows. Depends on nothing else, so sums over blocks are reproducible.
fn row_blocks(n: usize, least: usize, most: usize) -> Vec<Range<usize>> {
    let size = n.div_ceil(most).max(least);
    (0..n).step_by(size).map(|start| start..n.min(start + size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::Neighbours;
    use crate::sparse::Expression;

    #[test]
    fn sigma_is_that_of_the_projected_cells() {
        // Four cells of four genes; the last gene is constant, the one before has no weight.
        let cells = [[1.0, 0.0, 2.0, 3.0], [0.0, 4.0, 1.0, 3.0], [5.0, 0.0, 0.0, 3.0], [2.0, 2.0, 0.0, 3.0]];
        let (pointers, columns) = ([0, 4, 8, 12, 16], [0, 1, 2, 3].repeat(4));
        let expression = Expression::from_rows("x", 4, &pointers, &columns, cells.as_flattened()).unwrap();
        let (weights, gene_columns) = ([0.5, 0.8, 0.0, 0.9], [0, 1, 2, 3]);
        let neighbours = Neighbours { k: 1, indices: vec![0, 1, 2, 3], distances: vec![0.0; 4] };
        let loadings = Array2::zeros((4, 1));
        let atlas = Atlas {
            expression: &expression,
            weights: &weights,
            neighbours: &neighbours,
            loadings: &loadings,
            gene_columns: &gene_columns,
            groups: &[0; 4],
        };
        let scaled = Scaled::new(&atlas, &Context::default()).unwrap();
        // Columns: one homolog, two of them, one constant, one of no weight, none.
        let edges = [vec![(0, 0.3), (1, 0.2)], vec![(1, 0.7)], vec![(3, 1.0)], vec![(2, 0.6)]];
        let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in edges {
            columns.extend(row.iter().map(|&(h, _)| h));
            values.extend(row.iter().map(|&(_, edge)| edge));
            pointers.push(columns.len());
        }
        let block = Graph::new((4, 5), pointers, columns, values);
        let found = scaled.sigma(&block, &Context::default()).unwrap();
        let sd = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / 4.0;
            (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0).sqrt()
        };
        let standard = |gene: usize| weights[gene] / sd(cells.iter().map(|cell| cell[gene]).collect());
        let two = cells.iter().map(|cell| 0.2 * standard(0) * cell[0] + 0.7 * standard(1) * cell[1]).collect();
        for (found, expected) in found.iter().zip([0.3 * 0.5, sd(two), 1.0, 1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
