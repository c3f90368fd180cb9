//! Gene pairs that link two aligned cell types. In: expression, markers and labels per species, the refined homology graph,
//! the stitched graph, and the alignment scores of the type pairs. Out: one row per gene pair and type pair.
//!
//! For types A (species a) and B (species b), over the E homology edges (g, h) between both species:
//! * z_ig = max((x_ig − mean_g) / sd_g, 0) over all cells of the species, 0 where no value is stored; sd 0 → 1;
//! * u_g = mean of z_ig over the *linked* cells of A, those with an edge to or from a cell of B; v_h likewise;
//! * û = max((u_g − mean_e u) / sd_e u, 0), mean and sd over the edges; v̂ likewise;
//! * enriched: score = û v̂ / E — both homologues are up in the matched types;
//! * divergent: score = (larger − smaller) · larger / E of û and v̂ — the same units, û² / E when only g is up, 0 when both
//!   are up alike: homologues whose use differs most between the matched types.
//!
//! Candidates have a score above 0, a SAM weight of at least `min_weight`, and are above their mean in more than
//! `min_fraction` of the type's cells. The `max_pairs` best stay, then those with p < `max_pval` in the type. A pair of the
//! divergent kind needs this of its larger side only, and the other side must *not* be a marker (p < `max_pval`).

mod linked;
mod ranking;

use super::{AlignmentScore, Labels, Markers, TypedGraph};
use crate::sparse::{Expression, Graph};
use crate::{Context, Error, Result};
use linked::{LinkedMeans, Links, TypePair};
use rayon::prelude::*;

/// What is looked for in a pair of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Homologues that are up on both sides.
    #[default]
    Enriched,
    /// Homologues that are up on one side only.
    Divergent,
}

/// Options of [`gene_pairs`].
#[derive(Debug, Clone, PartialEq)]
pub struct GenePairOptions {
    /// Least alignment score of a pair of types; pairs with score 0 never count.
    pub min_score: f64,
    /// Least SAM weight of a gene; genes of weight 0 never count.
    pub min_weight: f64,
    /// A gene must be above its mean in more than this share of the type's cells.
    pub min_fraction: f64,
    /// Candidates per pair of types, before the filter on p.
    pub max_pairs: usize,
    /// p (not adjusted) must be below.
    pub max_pval: f64,
    /// What to look for.
    pub direction: Direction,
}

impl Default for GenePairOptions {
    fn default() -> Self {
        GenePairOptions {
            min_score: 0.1,
            min_weight: 0.2,
            min_fraction: 0.05,
            max_pairs: 1000,
            max_pval: 1e-2,
            direction: Direction::Enriched,
        }
    }
}

/// What gene pairs need to know of one species.
#[derive(Debug, Clone, Copy)]
pub struct AnnotatedSpecies<'a> {
    /// Preprocessed expression, cells × genes.
    pub expression: &'a Expression,
    /// SAM weight of each gene of the expression.
    pub weights: &'a [f64],
    /// Column in the expression of each gene of the homology graph of this species, in graph order.
    pub gene_columns: &'a [u32],
    /// Type of each cell.
    pub labels: Labels<'a>,
    /// Markers of these types.
    pub markers: &'a Markers,
}

/// A finished mapping with annotated cells.
#[derive(Debug, Clone, Copy)]
pub struct GenePairInput<'a> {
    /// The species.
    pub species: &'a [AnnotatedSpecies<'a>],
    /// First gene of each species in the homology graph, and the number of its genes.
    pub genes: &'a [usize],
    /// Refined homology graph, genes × genes, symmetric; entries that are 0 are no edges.
    pub refined: &'a Graph,
    /// First cell of each species in the stitched graph, and the number of its cells.
    pub cells: &'a [usize],
    /// Stitched graph, cells × cells.
    pub stitched: &'a Graph,
}

/// Two homologous genes in two aligned types; genes are columns of their species' expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenePair {
    /// Species of A.
    pub species_a: u32,
    /// Type A.
    pub type_a: u32,
    /// Species of B.
    pub species_b: u32,
    /// Type B.
    pub type_b: u32,
    /// Gene of species a.
    pub gene_a: u32,
    /// Gene of species b.
    pub gene_b: u32,
    /// Score of the gene pair in this pair of types.
    pub score: f64,
    /// Their weight in the refined homology graph.
    pub correlation: f64,
    /// p of gene a in type A.
    pub pval_a: f64,
    /// p of gene b in type B.
    pub pval_b: f64,
    /// Adjusted p of gene a in type A.
    pub padj_a: f64,
    /// Adjusted p of gene b in type B.
    pub padj_b: f64,
    /// Position by score among the rows of this pair of types, from 1.
    pub rank: u32,
}

/// Gene pairs of all pairs of types in `scores` with an alignment score of at least `min_score`, in the order of `scores`,
/// best gene pair first (ties by gene). Pairs of types are worked on in groups whose means fit `ctx.memory()`; expression is
/// read once per group. Progress: one step per row of `scores`.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Argument`] when the parts of the input do not fit together.
pub fn gene_pairs(
    input: &GenePairInput,
    scores: &[AlignmentScore],
    options: &GenePairOptions,
    ctx: &Context,
) -> Result<Vec<GenePair>> {
    check(input)?;
    let labels: Vec<Option<Labels>> = input.species.iter().map(|s| Some(s.labels)).collect();
    let typed = TypedGraph::new(input.stitched, input.cells, &labels)?;
    let pairs = selected(&typed, scores, options.min_score)?;
    ctx.advance(scores.len() - pairs.len())?;
    let links = Links::new(&typed, &pairs, ctx)?;
    let widest = input.species.iter().map(|s| s.expression.genes()).max().unwrap_or(0).max(1);
    // Two species, and a mean with its flag there and in the part it comes from.
    let group = (ctx.memory() / (2 * 2 * 9 * widest)).max(1);
    let mut found = Vec::new();
    for first in (0..pairs.len()).step_by(group) {
        let group = first..(first + group).min(pairs.len());
        let means = (0..input.species.len())
            .map(|species| LinkedMeans::new(input, species, &pairs, group.clone(), &links, options.min_fraction, ctx))
            .collect::<Result<Vec<_>>>()?;
        let rows: Vec<Vec<GenePair>> = group
            .into_par_iter()
            .map(|pair| {
                ctx.advance(1)?;
                Ok(ranking::best(input, pair, &pairs[pair], &means, options))
            })
            .collect::<Result<_>>()?;
        found.extend(rows.into_iter().flatten());
    }
    Ok(found)
}

/// The pairs of types whose score is high enough.
fn selected(typed: &TypedGraph, scores: &[AlignmentScore], min_score: f64) -> Result<Vec<TypePair>> {
    let kind = |species: u32, kind: u32| -> Result<usize> {
        let species = species as usize;
        let range = typed.types.get(species).zip(typed.types.get(species + 1));
        match range.map(|(first, end)| (first + kind as usize, *end)) {
            Some((kind, end)) if kind < end => Ok(kind),
            _ => Err(Error::argument("scores", format!("type {kind} of species {species}"), "Use types that exist.")),
        }
    };
    let high = |score: &&AlignmentScore| score.score >= min_score && score.score > 0.0;
    scores
        .iter()
        .filter(high)
        .map(|s| {
            if s.species_a == s.species_b {
                let found = "two types of one species";
                return Err(Error::argument("scores", found, "Use pairs of types of different species."));
            }
            Ok(TypePair {
                species: [s.species_a as usize, s.species_b as usize],
                types: [s.type_a as usize, s.type_b as usize],
                numbered: [kind(s.species_a, s.type_a)?, kind(s.species_b, s.type_b)?],
            })
        })
        .collect()
}

/// Do the parts of the input fit together? (The labels are checked with the graph.)
fn check(input: &GenePairInput) -> Result<()> {
    let (species, genes) = (input.species, input.genes);
    let shape = |expected: String, found: String| Err(Error::shape("gene_pairs", expected, found));
    if genes.len() != species.len() + 1 || input.cells.len() != species.len() + 1 {
        let found = format!("offsets of genes {genes:?} and cells {:?}", input.cells);
        return shape(format!("offsets of {} species", species.len()), found);
    }
    let total = genes[species.len()];
    if input.refined.shape() != (total, total) {
        return shape(format!("a homology graph of {total} genes"), format!("{:?}", input.refined.shape()));
    }
    for (s, annotated) in species.iter().enumerate() {
        let (x, columns) = (annotated.expression, annotated.gene_columns);
        let expected = (x.genes(), annotated.labels.types);
        if genes[s] + columns.len() != genes[s + 1] || columns.iter().any(|&column| column as usize >= x.genes()) {
            return shape(format!("columns of the genes {}..{}", genes[s], genes[s + 1]), format!("{}", columns.len()));
        }
        if input.cells[s] + x.cells() != input.cells[s + 1] || annotated.weights.len() != x.genes() {
            let found = format!("{} cells and {} weights", x.cells(), annotated.weights.len());
            return shape(format!("cells {:?} and {} weights", input.cells, x.genes()), found);
        }
        let markers = [&annotated.markers.scores, &annotated.markers.pvals, &annotated.markers.padj];
        if let Some(table) = markers.iter().find(|table| table.dim() != expected) {
            return shape(format!("markers {expected:?}"), format!("{:?}", table.dim()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
