//! The best gene pairs of one pair of types. In: u and v of the genes. Out: rows, best first.

use super::linked::{LinkedMeans, TypePair};
use super::{Direction, GenePair, GenePairInput, GenePairOptions};
use crate::analysis::statistics::moments;
use crate::sparse::row;

/// A homology edge between the two species, and what u and v say about it; side 0 is A.
struct Candidate {
    /// Genes within their species' part of the homology graph.
    genes: [u32; 2],
    correlation: f64,
    /// û and v̂.
    up: [f64; 2],
    expressed: [bool; 2],
    score: f64,
}

/// The gene pairs of a pair of types that pass all filters.
pub(super) fn best(
    input: &GenePairInput,
    pair: usize,
    types: &TypePair,
    means: &[LinkedMeans],
    options: &GenePairOptions,
) -> Vec<GenePair> {
    let mut candidates = candidates(input, pair, types, means);
    let edges = candidates.len() as f64;
    for candidate in &mut candidates {
        let [u, v] = candidate.up;
        candidate.score = match options.direction {
            Direction::Enriched => u * v / edges,
            Direction::Divergent => (u - v).abs() * u.max(v) / edges,
        };
    }
    let column = |side: usize, gene: u32| input.species[types.species[side]].gene_columns[gene as usize] as usize;
    let usable = |candidate: &Candidate, side: usize| {
        let weight = input.species[types.species[side]].weights[column(side, candidate.genes[side])];
        candidate.expressed[side] && weight >= options.min_weight && weight > 0.0
    };
    let is_marker = |candidate: &Candidate, side: usize| {
        let markers = input.species[types.species[side]].markers;
        let at = [column(side, candidate.genes[side]), types.types[side]];
        // A gene that is lower in the type than elsewhere is no marker of it, however small its two-sided p.
        let pval = if markers.scores[at] < 0.0 { 1.0 } else { markers.pvals[at] };
        pval < options.max_pval
    };
    let larger = |candidate: &Candidate| usize::from(candidate.up[1] > candidate.up[0]);
    candidates.retain(|candidate| {
        candidate.score > 0.0
            && match options.direction {
                Direction::Enriched => usable(candidate, 0) && usable(candidate, 1),
                Direction::Divergent => usable(candidate, larger(candidate)),
            }
    });
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable: ties keep the order of the genes
    candidates.truncate(options.max_pairs);
    candidates.retain(|candidate| match options.direction {
        Direction::Enriched => is_marker(candidate, 0) && is_marker(candidate, 1),
        Direction::Divergent => {
            let side = larger(candidate);
            is_marker(candidate, side) && !is_marker(candidate, 1 - side)
        }
    });
    let rows = candidates.iter().enumerate();
    rows.map(|(rank, candidate)| gene_pair(input, types, candidate, rank as u32 + 1)).collect()
}

/// All homology edges between the two species, in graph order, with û and v̂.
fn candidates(input: &GenePairInput, pair: usize, types: &TypePair, means: &[LinkedMeans]) -> Vec<Candidate> {
    let [a, b] = types.species;
    let (first_a, first_b) = (input.genes[a], input.genes[b]);
    let columns = [input.species[a].gene_columns, input.species[b].gene_columns];
    let (u, v) = (means[a].row(pair), means[b].row(pair));
    let mut candidates = Vec::new();
    for g in first_a..input.genes[a + 1] {
        let (genes, weights) = row(input.refined, g);
        for (&h, &correlation) in genes.iter().zip(weights) {
            if correlation != 0.0 && (first_b..input.genes[b + 1]).contains(&(h as usize)) {
                let genes = [(g - first_a) as u32, h - first_b as u32];
                let (side_a, side_b) = (u(columns[0][genes[0] as usize]), v(columns[1][genes[1] as usize]));
                let (up, expressed) = ([side_a.0, side_b.0], [side_a.1, side_b.1]);
                candidates.push(Candidate { genes, correlation, up, expressed, score: 0.0 });
            }
        }
    }
    for side in 0..2 {
        let (mean, sd) = moments(candidates.iter().map(|candidate| candidate.up[side]));
        for candidate in &mut candidates {
            let up = &mut candidate.up[side];
            *up = if sd > 0.0 { ((*up - mean) / sd).max(0.0) } else { 0.0 };
        }
    }
    candidates
}

fn gene_pair(input: &GenePairInput, types: &TypePair, candidate: &Candidate, rank: u32) -> GenePair {
    let genes = [0, 1].map(|side| input.species[types.species[side]].gene_columns[candidate.genes[side] as usize]);
    let at = |side: usize| [genes[side] as usize, types.types[side]];
    let pval = |side: usize| input.species[types.species[side]].markers.pvals[at(side)];
    let padj = |side: usize| input.species[types.species[side]].markers.padj[at(side)];
    GenePair {
        species_a: types.species[0] as u32,
        type_a: types.types[0] as u32,
        species_b: types.species[1] as u32,
        type_b: types.types[1] as u32,
        gene_a: genes[0],
        gene_b: genes[1],
        score: candidate.score,
        correlation: candidate.correlation,
        pval_a: pval(0),
        pval_b: pval(1),
        padj_a: padj(0),
        padj_b: padj(1),
        rank,
    }
}
