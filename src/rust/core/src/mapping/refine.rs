//! Refinement of the homology graph by correlated expression. In: the stitched graph, expression of every species, the original
//! homology graph. Out: a graph over the same genes whose weights are correlations.
//!
//! X̄_ig = Σ_j A_ij x_jg / Σ_j A_ij, j over the cells of gene g's species, is gene g as seen from cell i of any species. The
//! weight of the edge (g ∈ a, h ∈ b) is the correlation of X̄_g and X̄_h over the cells of a and b.
//!
//! Pearson's correlation needs sums only: cells are averaged eight at a time, which share neighbours, and forgotten. Chatterjee's ξ sorts whole genes,
//! so X̄ is held for as many genes at a time as the memory allows. What is held together never changes a bit of the result.

use super::Atlas;
use super::check::check_genes;
use super::tiles::{Tile, tiles};
use super::xi::xi;
use crate::backend::{Averaged, Backend, Cpu};
use crate::homology::HomologyGraph;
use crate::simd::vectorised;
use crate::sparse::{
    Expression, Graph, LANES, Lanes, PORTIONS, Shares, add_sums, graph_from_rows, in_blocks, portion, row, total,
};
use crate::{Context, Error, Result, with_expression};
use rayon::prelude::*;
use std::ops::Range;

/// A variance below this share of the mean square is rounding: the gene is constant.
const CONSTANT: f64 = 1e-13;
/// Cells whose weights to a species sum to less have no neighbours there.
pub(crate) const NO_NEIGHBOURS: f64 = 1e-3;

/// What measures how alike two genes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EdgeMode {
    /// Pearson correlation.
    #[default]
    Pearson,
    /// Chatterjee's ξ from the gene of lower index to the other.
    Xi,
}

/// Options of a refinement.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineOptions {
    /// Measure of likeness.
    pub mode: EdgeMode,
    /// Correlations below this become 0, which is no edge.
    pub threshold: f64,
    /// Weight √(r √(w_g w_h)) instead of r, with w the gene weights.
    pub wscale: bool,
    /// Least number of tiles into which the genes are divided.
    pub n_gene_chunks: usize,
    /// Above this many bytes of averaged expression, genes are streamed in tiles that fit the run's memory budget.
    pub memory: usize,
}

impl Default for RefineOptions {
    fn default() -> Self {
        RefineOptions {
            mode: EdgeMode::Pearson,
            threshold: 0.0,
            wscale: false,
            n_gene_chunks: 1,
            memory: 2_000_000_000,
        }
    }
}

/// The refined graph: every edge of the homology graph between two genes of positive weight, weighted by the correlation of
/// their averaged expression over `stitched` (cells × cells of all species). Symmetric; edges of weight 0 are not stored.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Argument`] when homology, stitched graph and atlases do not fit together; cancelled.
pub fn refine(
    atlases: &[Atlas],
    homology: &HomologyGraph,
    stitched: &Graph,
    options: &RefineOptions,
    ctx: &Context,
) -> Result<Graph> {
    let expression: Vec<&Expression> = atlases.iter().map(|atlas| atlas.expression).collect();
    refine_on(&Cpu, &Averaged { atlases, expression: &expression, homology, stitched }, options, ctx)
}

/// [`refine`] on a backend.
///
/// # Errors
/// As [`refine`]; those of the backend.
pub fn refine_on<B: Backend>(
    backend: &B,
    over: &Averaged<'_, B::Expression<'_>>,
    options: &RefineOptions,
    ctx: &Context,
) -> Result<Graph> {
    let (atlases, homology) = (over.atlases, over.homology);
    check_genes(atlases, homology)?;
    check_cells(atlases, over.stitched)?;
    let weights = super::gene_weights(atlases);
    let active = |&(g, h, _): &(u32, u32, f64)| weights[g as usize] > 0.0 && weights[h as usize] > 0.0;
    let edges: Vec<(u32, u32)> = homology.edges().filter(active).map(|(g, h, _)| (g, h)).collect();
    let correlations = backend.correlations(over, &edges, options, ctx)?;
    // Edges come by ascending (g, h) with g < h: a row receives its earlier partners before its later ones.
    let mut rows = vec![Vec::new(); homology.genes()];
    for (&(g, h), &r) in edges.iter().zip(&correlations) {
        let weight = edge_weight(r, weights[g as usize] * weights[h as usize], options);
        if weight != 0.0 {
            rows[g as usize].push((h, weight));
            rows[h as usize].push((g, weight));
        }
    }
    Ok(graph_from_rows(homology.genes(), rows))
}

/// The correlation of the two genes of each of `edges` (genes of the homology graph) over the stitched graph, tile by tile.
///
/// # Errors
/// [`Error::Shape`] when the graph is not one of all cells; cancelled.
pub fn correlations(
    atlases: &[Atlas],
    homology: &HomologyGraph,
    stitched: &Graph,
    edges: &[(u32, u32)],
    options: &RefineOptions,
    ctx: &Context,
) -> Result<Vec<f64>> {
    let species = Cells::new(atlases, stitched)?;
    let mut correlations = vec![0.0; edges.len()];
    for tile in tiles(edges, homology.genes(), capacity(&species, edges, homology.genes(), options, ctx)) {
        let averages = Averages::new(&species, homology, &tile);
        let found = match options.mode {
            EdgeMode::Pearson => averages.pearson(ctx)?,
            EdgeMode::Xi => averages.xi(ctx)?,
        };
        tile.edges.iter().zip(found).for_each(|(&edge, r)| correlations[edge as usize] = r);
    }
    Ok(correlations)
}

/// r, 0 below the threshold; √(r √(w_g w_h)) with `wscale`.
fn edge_weight(r: f64, product_of_weights: f64, options: &RefineOptions) -> f64 {
    if r.is_nan() || r < options.threshold {
        0.0
    } else if options.wscale {
        (r.max(0.0) * product_of_weights.sqrt()).sqrt()
    } else {
        r
    }
}

/// How many genes to hold at a time.
fn capacity(species: &Cells, edges: &[(u32, u32)], genes: usize, options: &RefineOptions, ctx: &Context) -> usize {
    let mut active = vec![false; genes];
    edges.iter().for_each(|&(g, h)| (active[g as usize], active[h as usize]) = (true, true));
    let genes = active.iter().filter(|&&active| active).count().max(1);
    let bytes_per_gene = 8 * match options.mode {
        EdgeMode::Pearson => PORTIONS * (2 + edges.len() / genes),
        EdgeMode::Xi => species.offsets[species.offsets.len() - 1],
    };
    let need = bytes_per_gene.saturating_mul(genes);
    let most = options.memory.min(ctx.memory());
    let fits = need <= most;
    let (chosen, all) = if fits { ("dense", genes) } else { ("streamed", ctx.memory() / bytes_per_gene.max(1)) };
    let compared = if fits { "at most" } else { "more than" };
    let reason = format!("{genes} genes need {need} bytes at a time, {compared} {most}");
    ctx.choose("refinement", chosen, reason);
    all.min(genes.div_ceil(options.n_gene_chunks.max(1))).max(2)
}

/// The stitched graph must be one of the cells of all species.
fn check_cells(atlases: &[Atlas], stitched: &Graph) -> Result<()> {
    let cells: usize = atlases.iter().map(|atlas| atlas.expression.cells()).sum();
    if stitched.shape() == (cells, cells) {
        return Ok(());
    }
    let found = format!("{} × {}", stitched.rows(), stitched.cols());
    Err(Error::shape("refining the homology graph", format!("a graph of {cells} cells"), found))
}

/// The stitched graph and the expression it averages.
struct Cells<'a> {
    atlases: &'a [Atlas<'a>],
    stitched: &'a Graph,
    /// First cell of each species, and the number of cells at the end.
    offsets: Vec<usize>,
    /// The cells of each species, those that are averaged together one after the other.
    orders: Vec<Vec<u32>>,
}

impl<'a> Cells<'a> {
    fn new(atlases: &'a [Atlas<'a>], stitched: &'a Graph) -> Result<Self> {
        check_cells(atlases, stitched)?;
        let offsets = super::cell_offsets(atlases);
        let of_species = |bounds: &[usize]| {
            let cells = bounds[0] as u32..bounds[1] as u32;
            in_blocks(LANES, cells.clone(), cells, |cell| row(stitched, cell as usize).0, |_| 0)
        };
        let orders = offsets.windows(2).map(of_species).collect();
        Ok(Cells { atlases, stitched, offsets, orders })
    }

    fn of(&self, species: usize) -> Range<usize> {
        self.offsets[species]..self.offsets[species + 1]
    }

    /// The neighbours of a cell among `cells`, counted from the first of these, and the share that each has of their weight.
    fn shares(&self, cell: usize, cells: &Range<usize>) -> impl Iterator<Item = (u32, f64)> {
        let (columns, weights) = row(self.stitched, cell);
        let first = columns.partition_point(|&j| (j as usize) < cells.start);
        let end = columns.partition_point(|&j| (j as usize) < cells.end);
        let total = sum_of_weights(&weights[first..end]);
        let inverse = if total < NO_NEIGHBOURS { 1.0 } else { 1.0 / total };
        let start = cells.start as u32;
        columns[first..end].iter().zip(&weights[first..end]).map(move |(&j, &weight)| (j - start, weight * inverse))
    }
}

/// Averages the genes of one tile.
struct Averages<'a> {
    cells: &'a Cells<'a>,
    tile: &'a Tile,
    /// Per species, the slot of each expression column: its gene's place in the tile. Columns outside of the tile share one
    /// slot after the last, which nobody reads: cheaper than asking for each entry.
    slots: Vec<Vec<u32>>,
    /// Species of the two genes of each edge.
    ends: Vec<(usize, usize)>,
    /// Slots of the two genes of each edge.
    pairs: Vec<(usize, usize)>,
}

impl<'a> Averages<'a> {
    fn new(cells: &'a Cells<'a>, homology: &HomologyGraph, tile: &'a Tile) -> Self {
        let unread = tile.genes.len() as u32;
        let mut slots: Vec<Vec<u32>> = cells.atlases.iter().map(|a| vec![unread; a.expression.genes()]).collect();
        for (slot, &gene) in tile.genes.iter().enumerate() {
            let species = homology.species_of(gene as usize);
            let column = cells.atlases[species].gene_columns[gene as usize - homology.offsets[species]];
            slots[species][column as usize] = slot as u32;
        }
        let species = |slot: u32| homology.species_of(tile.genes[slot as usize] as usize);
        let ends = tile.pairs.iter().map(|&(g, h)| (species(g), species(h))).collect();
        let pairs = tile.pairs.iter().map(|&(g, h)| (g as usize, h as usize)).collect();
        Averages { cells, tile, slots, ends, pairs }
    }

    /// X̄ of up to eight cells, by slot. Species by species, so that sums under way stay in the cache.
    #[inline(always)]
    fn average(&self, cells: &[u32], shares: &mut Shares, sums: &mut [Lanes]) {
        sums.fill([0.0; LANES]);
        for (species, atlas) in self.cells.atlases.iter().enumerate() {
            let (range, slots) = (self.cells.of(species), &self.slots[species]);
            shares.clear();
            for (lane, &cell) in cells.iter().enumerate() {
                shares.extend(self.cells.shares(cell as usize, &range).map(|(j, share)| (j, lane, share)));
            }
            with_expression!(atlas.expression, x => add_sums(x, shares, #[inline(always)] |column| slots[column] as usize, sums));
        }
    }

    /// Pearson correlation per edge of the tile; 0 if a gene is constant.
    fn pearson(&self, ctx: &Context) -> Result<Vec<f64>> {
        let (genes, species) = (self.tile.genes.len(), self.cells.atlases.len());
        let mut by_species = vec![Moments::new(genes, 0); species];
        let mut products = vec![0.0; self.pairs.len()];
        for (s, total) in by_species.iter_mut().enumerate() {
            let edges: Vec<usize> =
                (0..self.pairs.len()).filter(|&e| self.ends[e].0 == s || self.ends[e].1 == s).collect();
            let cells = &self.cells.orders[s];
            let of_portion = |cells: &[u32]| self.moments(cells, &edges, ctx);
            let found: Vec<Moments> = cells.par_chunks(portion(cells.len())).map(of_portion).collect::<Result<_>>()?;
            for block in found {
                total.add(&block);
                edges.iter().zip(&block.products).for_each(|(&e, product)| products[e] += product);
            }
            ctx.advance(1)?;
        }
        Ok((0..self.pairs.len()).map(|e| self.correlation(e, products[e], &by_species)).collect())
    }

    /// Sums over some cells of one species, for the edges that concern it.
    fn moments(&self, cells: &[u32], edges: &[usize], ctx: &Context) -> Result<Moments> {
        let mut moments = Moments::new(self.tile.genes.len(), edges.len());
        let (mut shares, mut sums) = (Shares::new(), vec![[0.0; LANES]; self.tile.genes.len() + 1]);
        for cells in cells.chunks(LANES) {
            // A portion is a 32nd of all cells, which may take many seconds.
            ctx.check()?;
            vectorised(
                #[inline(always)]
                || {
                    self.average(cells, &mut shares, &mut sums);
                    moments.take_in(&sums, edges.iter().map(|&e| self.pairs[e]));
                },
            );
        }
        Ok(moments)
    }

    fn correlation(&self, edge: usize, product: f64, by_species: &[Moments]) -> f64 {
        let ((a, b), (g, h)) = (self.ends[edge], self.pairs[edge]);
        let n = (self.cells.of(a).len() + self.cells.of(b).len()) as f64;
        let over_both = |slot: usize| {
            let (x, y) = (&by_species[a], &by_species[b]);
            (x.sum[slot] + y.sum[slot], x.squares[slot] + y.squares[slot])
        };
        pearson(n, over_both(g), over_both(h), product)
    }

    /// Chatterjee's ξ per edge of the tile.
    fn xi(&self, ctx: &Context) -> Result<Vec<f64>> {
        let genes = self.tile.genes.len();
        let of_species = |s: usize| -> Result<Vec<Lanes>> {
            let cells = &self.cells.orders[s];
            let mut held = vec![[0.0; LANES]; cells.len().div_ceil(LANES) * genes];
            held.par_chunks_mut(genes.max(1)).zip(cells.par_chunks(LANES)).try_for_each_init(
                || (Shares::new(), vec![[0.0; LANES]; genes + 1]),
                |(shares, sums), (out, cells)| {
                    ctx.check()?;
                    vectorised(
                        #[inline(always)]
                        || self.average(cells, shares, sums),
                    );
                    out.copy_from_slice(&sums[..genes]);
                    Ok(())
                },
            )?;
            ctx.advance(1)?;
            Ok(held)
        };
        let held: Vec<Vec<Lanes>> = (0..self.cells.atlases.len()).map(of_species).collect::<Result<_>>()?;
        let of_edge = |e: usize| {
            ctx.check()?;
            let ((a, b), (g, h)) = (self.ends[e], self.pairs[e]);
            let over_both =
                |slot: usize| [a, b].into_iter().flat_map(|s| self.gene(&held[s], s, slot)).collect::<Vec<f64>>();
            Ok(xi(&over_both(g), &over_both(h)))
        };
        (0..self.pairs.len()).into_par_iter().map(of_edge).collect()
    }

    /// X̄ of a gene over the cells of a species, in their own order.
    fn gene(&self, held: &[Lanes], species: usize, slot: usize) -> Vec<f64> {
        let (genes, first) = (self.tile.genes.len(), self.cells.offsets[species]);
        let mut gene = vec![0.0; self.cells.orders[species].len()];
        for (block, cells) in self.cells.orders[species].chunks(LANES).enumerate() {
            let of_block = &held[block * genes + slot];
            cells.iter().zip(of_block).for_each(|(&cell, &x)| gene[cell as usize - first] = x);
        }
        gene
    }
}

/// Pearson correlation of x and y over n cells from (Σx, Σx²), (Σy, Σy²) and Σxy; 0 if one of them is constant.
pub(crate) fn pearson(n: f64, x: (f64, f64), y: (f64, f64), product: f64) -> f64 {
    let variance = |(sum, squares): (f64, f64)| {
        let (mean, square) = (sum / n, squares / n);
        let variance = square - mean * mean;
        if variance <= CONSTANT * square { 0.0 } else { variance }
    };
    let (vx, vy) = (variance(x), variance(y));
    if vx == 0.0 || vy == 0.0 { 0.0 } else { (product / n - (x.0 / n) * (y.0 / n)) / (vx.sqrt() * vy.sqrt()) }
}

/// The first weight plus the sum of the others in eight partial sums. The order is the reference's: ξ ranks averages that
/// would be equal without rounding, so that its value moves by some hundredths with the last bit of this sum.
fn sum_of_weights(weights: &[f64]) -> f64 {
    let Some((first, others)) = weights.split_first() else { return 0.0 };
    let (blocks, rest) = others.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in blocks {
        (0..LANES).for_each(|lane| sums[lane] += block[lane]);
    }
    first + rest.iter().fold(total(&sums), |sum, weight| sum + weight)
}

#[inline(always)]
fn inner(x: &Lanes, y: &Lanes) -> f64 {
    let mut products = [0.0; LANES];
    (0..LANES).for_each(|lane| products[lane] = x[lane] * y[lane]);
    total(&products)
}

/// Sums of X̄ per gene and of products per edge over some cells.
#[derive(Clone)]
struct Moments {
    sum: Vec<f64>,
    squares: Vec<f64>,
    products: Vec<f64>,
}

impl Moments {
    fn new(genes: usize, edges: usize) -> Self {
        Moments { sum: vec![0.0; genes], squares: vec![0.0; genes], products: vec![0.0; edges] }
    }

    /// Adds what some cells add. `sums`: their X̄, by slot; `pairs`: slots of the two genes of each edge.
    #[inline(always)]
    fn take_in(&mut self, sums: &[Lanes], pairs: impl Iterator<Item = (usize, usize)>) {
        for ((x, sum), squares) in sums.iter().zip(&mut self.sum).zip(&mut self.squares) {
            *sum += total(x);
            *squares += inner(x, x);
        }
        for (product, (g, h)) in self.products.iter_mut().zip(pairs) {
            *product += inner(&sums[g], &sums[h]);
        }
    }

    /// Adds the sums per gene.
    fn add(&mut self, other: &Moments) {
        self.sum.iter_mut().zip(&other.sum).for_each(|(total, x)| *total += x);
        self.squares.iter_mut().zip(&other.squares).for_each(|(total, x)| *total += x);
    }
}
