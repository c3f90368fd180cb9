//! Mean standardised expression of the linked cells, for many pairs of types in one pass over the expression.
//! In: expression, and for each cell the pairs of types it is linked in. Out: genes of the homology graph × pairs.

use super::GenePairInput;
use crate::analysis::tiles::{GeneTile, map_gene_tiles};
use crate::analysis::{Labels, TypedGraph};
use crate::sparse::row;
use crate::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// Two types of different species; side 0 is A, side 1 is B.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypePair {
    pub species: [usize; 2],
    /// Types within their species.
    pub types: [usize; 2],
    /// Types numbered through all species.
    pub numbered: [usize; 2],
}

/// Which pairs of types each cell of the stitched graph is linked in: it has an edge to or from a cell of the other type.
#[derive(Debug)]
pub(super) struct Links {
    pointers: Vec<usize>,
    pairs: Vec<u32>,
}

/// Cells of one task.
const CELLS: usize = 2048;

impl Links {
    pub fn new(typed: &TypedGraph, pairs: &[TypePair], ctx: &Context) -> Result<Self> {
        let count = typed.count();
        let mut pair_of = vec![u32::MAX; count * count];
        for (at, pair) in pairs.iter().enumerate() {
            let [a, b] = pair.numbered;
            pair_of[a * count + b] = at as u32;
            pair_of[b * count + a] = at as u32;
        }
        let cells = typed.of.len();
        let blocks: Vec<Vec<(u32, u32)>> = (0..cells.div_ceil(CELLS))
            .into_par_iter()
            .map(|block| {
                ctx.check()?;
                let mut links = Vec::new();
                for i in block * CELLS..((block + 1) * CELLS).min(cells) {
                    let Some(from) = typed.of(i) else { continue };
                    let (targets, weights) = row(typed.graph, i);
                    for (&j, _) in targets.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                        let pair = typed.of(j as usize).map_or(u32::MAX, |to| pair_of[from * count + to]);
                        if pair != u32::MAX {
                            links.extend([(i as u32, pair), (j, pair)]);
                        }
                    }
                }
                links.sort_unstable();
                links.dedup();
                Ok(links)
            })
            .collect::<Result<_>>()?;
        let mut links = blocks.concat();
        links.par_sort_unstable();
        links.dedup();
        let pointers = (0..=cells).map(|i| links.partition_point(|link| (link.0 as usize) < i)).collect();
        Ok(Links { pointers, pairs: links.into_iter().map(|(_, pair)| pair).collect() })
    }

    /// The pairs of the range that cell `i` is linked in, ascending.
    fn of(&self, i: usize, range: &Range<usize>) -> &[u32] {
        let pairs = &self.pairs[self.pointers[i]..self.pointers[i + 1]];
        let at = |bound: usize| pairs.partition_point(|&pair| (pair as usize) < bound);
        &pairs[at(range.start)..at(range.end)]
    }
}

/// u_g of one species for a group of pairs of types.
#[derive(Debug)]
pub(super) struct LinkedMeans {
    /// The pairs of the group that this species is in, ascending: the columns.
    pairs: Vec<usize>,
    /// Genes of the homology graph × pairs.
    means: Vec<f64>,
    /// Is the gene above its mean in enough cells of the type? Genes × pairs.
    expressed: Vec<bool>,
}

impl LinkedMeans {
    pub fn new(
        input: &GenePairInput,
        species: usize,
        pairs: &[TypePair],
        group: Range<usize>,
        links: &Links,
        min_fraction: f64,
        ctx: &Context,
    ) -> Result<Self> {
        let own: Vec<usize> = group.clone().filter(|&pair| pairs[pair].species.contains(&species)).collect();
        let annotated = &input.species[species];
        let genes = annotated.gene_columns.len();
        let mut means =
            LinkedMeans { means: vec![0.0; genes * own.len()], expressed: vec![false; genes * own.len()], pairs: own };
        if means.pairs.is_empty() {
            return Ok(means);
        }
        let mut gene_of = vec![u32::MAX; annotated.expression.genes()];
        for (gene, &column) in annotated.gene_columns.iter().enumerate() {
            gene_of[column as usize] = gene as u32;
        }
        let pass = Pass::new(&means.pairs, pairs, species, input, group, links, min_fraction);
        let tiles = map_gene_tiles(annotated.expression, ctx, |tile| Ok(pass.tile(tile, &gene_of)))?;
        for (gene, sums, expressed) in tiles.into_iter().flatten() {
            let at = gene as usize * means.pairs.len();
            means.means[at..at + sums.len()].copy_from_slice(&sums);
            means.expressed[at..at + sums.len()].copy_from_slice(&expressed);
        }
        Ok(means)
    }

    /// Mean and flag of each gene for one pair of the group.
    pub fn column(&self, pair: usize) -> impl Fn(u32) -> (f64, bool) + '_ {
        let column = self.pairs.partition_point(|&own| own < pair);
        move |gene| {
            let at = gene as usize * self.pairs.len() + column;
            (self.means[at], self.expressed[at])
        }
    }
}

/// One pass over the expression of one species.
struct Pass<'a> {
    labels: Labels<'a>,
    /// Cells of each type.
    sizes: Vec<usize>,
    /// Where the columns of each cell begin.
    pointers: Vec<usize>,
    /// The columns each cell is linked in.
    columns: Vec<u32>,
    /// Type of each column.
    types: Vec<usize>,
    /// Number of linked cells of each column.
    linked: Vec<usize>,
    min_fraction: f64,
}

impl<'a> Pass<'a> {
    fn new(
        own: &[usize],
        pairs: &[TypePair],
        species: usize,
        input: &GenePairInput<'a>,
        group: Range<usize>,
        links: &Links,
        min_fraction: f64,
    ) -> Self {
        let labels = input.species[species].labels;
        let side = |pair: &TypePair| usize::from(pair.species[0] != species);
        let types = own.iter().map(|&pair| pairs[pair].types[side(&pairs[pair])]).collect();
        let mut column = vec![u32::MAX; group.len()];
        own.iter().zip(0..).for_each(|(pair, at)| column[pair - group.start] = at);
        let (mut pointers, mut columns, mut linked) = (vec![0], Vec::new(), vec![0; own.len()]);
        for i in input.cells[species]..input.cells[species + 1] {
            for &pair in links.of(i, &group) {
                let at = column[pair as usize - group.start];
                columns.push(at);
                linked[at as usize] += 1;
            }
            pointers.push(columns.len());
        }
        Pass { labels, sizes: labels.sizes(), pointers, columns, types, linked, min_fraction }
    }

    fn tile(&self, tile: &GeneTile, gene_of: &[u32]) -> Vec<(u32, Vec<f64>, Vec<bool>)> {
        let genes = tile.genes.clone().filter(|&column| gene_of[column] != u32::MAX);
        genes
            .map(|column| {
                let (means, expressed) = self.gene(tile.gene(column));
                (gene_of[column], means, expressed)
            })
            .collect()
    }

    /// u_g and the flags of one gene in all columns.
    fn gene(&self, entries: &[(u32, f32)]) -> (Vec<f64>, Vec<bool>) {
        let (mean, sd) = self.moments(entries);
        let mut above = vec![0_usize; self.sizes.len()];
        let mut sums = vec![0.0; self.types.len()];
        for &(cell, value) in entries {
            let z = (f64::from(value) - mean) / sd;
            if z <= 0.0 {
                continue;
            }
            if let Some(kind) = self.labels.get(cell as usize) {
                above[kind] += 1;
            }
            for &column in &self.columns[self.pointers[cell as usize]..self.pointers[cell as usize + 1]] {
                sums[column as usize] += z;
            }
        }
        for (sum, &linked) in sums.iter_mut().zip(&self.linked) {
            *sum /= linked.max(1) as f64;
        }
        let enough = |&kind: &usize| above[kind] as f64 > self.min_fraction * self.sizes[kind] as f64;
        (sums, self.types.iter().map(enough).collect())
    }

    /// Mean and population standard deviation (0 → 1) over all cells, those without a stored value included.
    fn moments(&self, entries: &[(u32, f32)]) -> (f64, f64) {
        let cells = self.labels.of.len() as f64;
        let mean = entries.iter().map(|&(_, x)| f64::from(x)).sum::<f64>() / cells;
        let squares: f64 = entries.iter().map(|&(_, x)| (f64::from(x) - mean).powi(2)).sum();
        let variance = (squares + (cells - entries.len() as f64) * mean * mean) / cells;
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    }
}
