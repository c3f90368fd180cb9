//! Mean standardised expression of the linked cells, for many pairs of types at once. In: expression, and for each cell the
//! pairs of types it is linked in. Out: pairs × genes. The expression is read cell by cell, each task a range of genes of all
//! cells in order, so that no sum depends on how many tasks there are.

use super::GenePairInput;
use crate::analysis::tiles::{first_of_rows, ranges, stored_per_gene};
use crate::analysis::{Labels, TypedGraph};
use crate::sparse::{Column, Csr, row};
use crate::{Context, Result, with_expression};
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
    /// The pairs of the group that this species is in, ascending: the rows.
    pairs: Vec<usize>,
    /// Genes of the expression: the columns.
    genes: usize,
    means: Vec<f64>,
    /// Is the gene above its mean in enough cells of the type?
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
        let expression = input.species[species].expression;
        let genes = expression.genes();
        let (means, expressed) = (vec![0.0; genes * own.len()], vec![false; genes * own.len()]);
        let mut found = LinkedMeans { pairs: own, genes, means, expressed };
        if found.pairs.is_empty() {
            return Ok(found);
        }
        let pass = Pass::new(&found.pairs, pairs, species, input, group, links, min_fraction);
        let parts: Vec<Part> = with_expression!(expression, x => {
            let ranges = ranges(&stored_per_gene(x, |_| true), RANGES_PER_THREAD * rayon::current_num_threads());
            let bounds: Vec<usize> = ranges.iter().map(|genes| genes.start).chain([genes]).collect();
            let first = first_of_rows(x, &bounds);
            let rows = |range: usize| Rows { x, genes: ranges[range].clone(), range, of: bounds.len(), first: &first };
            (0..ranges.len()).into_par_iter().map(|range| pass.part(&rows(range), ctx)).collect::<Result<_>>()?
        });
        for part in parts {
            for pair in 0..found.pairs.len() {
                let (own, all) = (part.genes.len() * pair, genes * pair + part.genes.start);
                let (own, all) = (own..own + part.genes.len(), all..all + part.genes.len());
                found.means[all.clone()].copy_from_slice(&part.means[own.clone()]);
                found.expressed[all].copy_from_slice(&part.expressed[own]);
            }
        }
        Ok(found)
    }

    /// Mean and flag of each gene of the expression for one pair of the group.
    pub fn row(&self, pair: usize) -> impl Fn(u32) -> (f64, bool) + '_ {
        let first = self.pairs.partition_point(|&own| own < pair) * self.genes;
        move |gene| (self.means[first + gene as usize], self.expressed[first + gene as usize])
    }
}

/// Ranges of genes per thread, so that no thread waits long for the last one.
const RANGES_PER_THREAD: usize = 2;

/// The same of a range of genes.
struct Part {
    genes: Range<usize>,
    means: Vec<f64>,
    expressed: Vec<bool>,
}

/// What becomes of the expression of one species.
struct Pass<'a> {
    labels: Labels<'a>,
    /// Cells of each type.
    sizes: Vec<usize>,
    /// Where the pairs of each cell begin.
    pointers: Vec<usize>,
    /// The pairs each cell is linked in, numbered among those of the species.
    linked: Vec<u32>,
    /// Type of each pair.
    types: Vec<usize>,
    /// Number of linked cells of each pair.
    counts: Vec<usize>,
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
        let mut number = vec![u32::MAX; group.len()];
        own.iter().zip(0..).for_each(|(pair, at)| number[pair - group.start] = at);
        let (mut pointers, mut linked, mut counts) = (vec![0], Vec::new(), vec![0; own.len()]);
        for i in input.cells[species]..input.cells[species + 1] {
            for &pair in links.of(i, &group) {
                let at = number[pair as usize - group.start];
                linked.push(at);
                counts[at as usize] += 1;
            }
            pointers.push(linked.len());
        }
        Pass { labels, sizes: labels.sizes(), pointers, linked, types, counts, min_fraction }
    }

    /// u_g and the flags of a range of genes for all pairs.
    fn part<C: Column>(&self, rows: &Rows<C>, ctx: &Context) -> Result<Part> {
        let n = rows.genes.len();
        let (means, sds) = self.moments(rows, ctx)?;
        let mut sums = vec![0.0; n * self.types.len()];
        let mut above = vec![0_u32; n * self.sizes.len()];
        let mut z = Vec::new();
        for i in 0..self.labels.of.len() {
            rows.check(i, ctx)?;
            // A cell without a type is not linked.
            let Some(kind) = self.labels.get(i) else { continue };
            z.clear();
            z.extend(rows.of(i).map(|(gene, x)| (gene, ((x - means[gene]) / sds[gene]).max(0.0))));
            let above = &mut above[n * kind..][..n];
            z.iter().for_each(|&(gene, z)| above[gene] += u32::from(z > 0.0));
            for &pair in &self.linked[self.pointers[i]..self.pointers[i + 1]] {
                let sums = &mut sums[n * pair as usize..][..n];
                z.iter().for_each(|&(gene, z)| sums[gene] += z);
            }
        }
        for (pair, &linked) in self.counts.iter().enumerate() {
            sums[n * pair..][..n].iter_mut().for_each(|sum| *sum /= linked.max(1) as f64);
        }
        let enough = |&kind: &usize| {
            let least = self.min_fraction * self.sizes[kind] as f64;
            above[n * kind..][..n].iter().map(move |&count| f64::from(count) > least)
        };
        let expressed = self.types.iter().flat_map(enough).collect();
        Ok(Part { genes: rows.genes.clone(), means: sums, expressed })
    }

    /// Mean and population standard deviation (0 → 1) of each gene over all cells, those without a stored value included.
    fn moments<C: Column>(&self, rows: &Rows<C>, ctx: &Context) -> Result<(Vec<f64>, Vec<f64>)> {
        let cells = self.labels.of.len();
        let count = cells as f64;
        let mut stored = vec![0_u32; rows.genes.len()];
        let mut means = vec![0.0; rows.genes.len()];
        for i in 0..cells {
            rows.check(i, ctx)?;
            for (gene, x) in rows.of(i) {
                means[gene] += x;
                stored[gene] += 1;
            }
        }
        means.iter_mut().for_each(|sum| *sum /= count);
        let mut sds = vec![0.0; rows.genes.len()];
        for i in 0..cells {
            rows.check(i, ctx)?;
            rows.of(i).for_each(|(gene, x)| sds[gene] += (x - means[gene]).powi(2));
        }
        for ((sd, &mean), &stored) in sds.iter_mut().zip(&means).zip(&stored) {
            let variance = (*sd + (count - f64::from(stored)) * mean * mean) / count;
            *sd = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        }
        Ok((means, sds))
    }
}

/// A range of genes of every cell.
struct Rows<'a, C: Column> {
    x: &'a Csr<C>,
    genes: Range<usize>,
    /// Which of how many bounds of ranges is the first of this one.
    range: usize,
    of: usize,
    /// Where in each row each range begins.
    first: &'a [u32],
}

impl<C: Column> Rows<'_, C> {
    /// The genes, numbered within the range, and values of cell `i`, without stored zeros.
    fn of(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let first = &self.first[i * self.of + self.range..];
        let range = first[0] as usize..first[1] as usize;
        let (columns, values) = row(self.x, i);
        let entries = columns[range.clone()].iter().zip(&values[range]).filter(|(_, x)| **x != 0.0);
        entries.map(|(column, &x)| (column.index_unchecked() - self.genes.start, f64::from(x)))
    }

    /// Stops where the work was cancelled.
    fn check(&self, i: usize, ctx: &Context) -> Result<()> {
        if i.is_multiple_of(CELLS) { ctx.check() } else { Ok(()) }
    }
}
