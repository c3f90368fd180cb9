//! Triangles, and cliques of more species, of cell types and of genes.
//!
//! **Cell types.** In: alignment scores. Out: sets of types of different species every two of which are aligned.
//!
//! **Genes.** In: homologous pairs with their refined correlations, orthologs, and paralog substitutions. Out: sets of genes of
//! different species every two of which are homologous and correlated. A pair is an *ortholog*; or a *substitution*, when it is the
//! paralog pair (g, h′) of a paralog substitution; or else a *homolog*.
//!
//! Both come with the weakest edge's largest first.

use super::substitutions::{HomologousPairs, Substitution, ordered};
use super::{AlignmentScore, Cliques, Markers, cliques};
use crate::{Context, Error, Result};
use std::collections::HashSet;

/// Options of [`cell_type_triangles`].
#[derive(Debug, Clone, PartialEq)]
pub struct TypeTriangleOptions {
    /// Least alignment score of two types; a score of 0 never counts.
    pub min_score: f64,
    /// Species of a clique.
    pub size: usize,
}

impl Default for TypeTriangleOptions {
    fn default() -> Self {
        TypeTriangleOptions { min_score: 0.1, size: 3 }
    }
}

/// Cliques of cell types.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeCliques {
    /// The cliques; corners are positions in `types`, edges in `scores`.
    pub cliques: Cliques,
    /// Species, and type within it.
    pub types: Vec<(u32, u32)>,
    /// Scores of the edges.
    pub scores: Vec<f64>,
}

/// All cliques of aligned types.
///
/// # Errors
/// Those of [`cliques`].
pub fn cell_type_triangles(
    scores: &[AlignmentScore],
    options: &TypeTriangleOptions,
    ctx: &Context,
) -> Result<TypeCliques> {
    let linked: Vec<&AlignmentScore> =
        scores.iter().filter(|s| s.score > 0.0 && s.score >= options.min_score).collect();
    let mut types: Vec<(u32, u32)> =
        linked.iter().flat_map(|s| [(s.species_a, s.type_a), (s.species_b, s.type_b)]).collect();
    types.sort_unstable();
    types.dedup();
    let place = |kind: (u32, u32)| types.partition_point(|other| *other < kind) as u32;
    let edges: Vec<(u32, u32)> =
        linked.iter().map(|s| (place((s.species_a, s.type_a)), place((s.species_b, s.type_b)))).collect();
    let species: Vec<u32> = types.iter().map(|kind| kind.0).collect();
    let scores: Vec<f64> = linked.iter().map(|s| s.score).collect();
    let cliques = cliques(&species, &edges, options.size, ctx)?.best_first(&scores);
    Ok(TypeCliques { cliques, types, scores })
}

/// What a homologous pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeClass {
    /// One of the orthologs.
    Ortholog,
    /// A paralog that substitutes an ortholog.
    Substitution,
    /// Neither.
    Homolog,
}

/// Options of [`gene_triangles`].
#[derive(Debug, Clone, PartialEq)]
pub struct GeneTriangleOptions {
    /// Least refined correlation of two genes; one of 0 never counts.
    pub min_correlation: f64,
    /// Species of a clique.
    pub size: usize,
    /// Pairs of these classes are edges.
    pub classes: Vec<EdgeClass>,
}

impl Default for GeneTriangleOptions {
    fn default() -> Self {
        let classes = vec![EdgeClass::Ortholog, EdgeClass::Substitution];
        GeneTriangleOptions { min_correlation: 0.3, size: 3, classes }
    }
}

/// Cliques of genes.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneCliques {
    /// The cliques; corners are genes numbered over all species, edges positions in the two vectors below.
    pub cliques: Cliques,
    /// Refined correlations of the edges.
    pub correlations: Vec<f64>,
    /// Classes of the edges.
    pub classes: Vec<EdgeClass>,
}

/// All cliques of correlated homologous genes whose pairs are of the classes asked for.
///
/// # Errors
/// [`Error::Shape`] when the homologous pairs do not fit together, and those of [`cliques`].
pub fn gene_triangles(
    homology: &HomologousPairs,
    orthologs: &[(u32, u32)],
    substitutions: &[Substitution],
    options: &GeneTriangleOptions,
    ctx: &Context,
) -> Result<GeneCliques> {
    homology.check()?;
    let orthologs: HashSet<(u32, u32)> = orthologs.iter().copied().map(ordered).collect();
    let substitutes: HashSet<(u32, u32)> = substitutions.iter().map(|s| ordered((s.gene, s.paralog))).collect();
    let class = |pair: (u32, u32)| {
        if orthologs.contains(&ordered(pair)) {
            EdgeClass::Ortholog
        } else if substitutes.contains(&ordered(pair)) {
            EdgeClass::Substitution
        } else {
            EdgeClass::Homolog
        }
    };
    let (mut edges, mut correlations, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for (&pair, &correlation) in homology.pairs.iter().zip(homology.values) {
        let class = class(pair);
        if correlation > 0.0 && correlation >= options.min_correlation && options.classes.contains(&class) {
            edges.push(pair);
            correlations.push(correlation);
            classes.push(class);
        }
    }
    let genes = homology.genes.last().copied().unwrap_or(0) as u32;
    let species: Vec<u32> = (0..genes).map(|gene| homology.species(gene) as u32).collect();
    let cliques = cliques(&species, &edges, options.size, ctx)?.best_first(&correlations);
    Ok(GeneCliques { cliques, correlations, classes })
}

/// The types that genes mark: for each gene the one with the largest score (of equal ones the first), and all with
/// p ≤ `max_pval`; ascending. Types where a gene is not higher than elsewhere (score ≤ 0) never count.
///
/// # Errors
/// [`Error::Shape`] for a gene that the markers lack.
pub fn types_of_genes(markers: &Markers, genes: &[u32], max_pval: f64) -> Result<Vec<Vec<u32>>> {
    let of_gene = |&gene: &u32| {
        if gene as usize >= markers.scores.nrows() {
            let expected = format!("genes below {}", markers.scores.nrows());
            return Err(Error::shape("types of genes", expected, format!("{gene}")));
        }
        let (scores, pvals) = (markers.scores.row(gene as usize), markers.pvals.row(gene as usize));
        let largest = scores.iter().copied().fold(0.0, f64::max);
        let first = scores.iter().position(|score| *score == largest);
        let marked = |kind: &usize| scores[*kind] > 0.0 && (pvals[*kind] <= max_pval || Some(*kind) == first);
        Ok((0..scores.len()).filter(marked).map(|kind| kind as u32).collect())
    };
    genes.iter().map(of_gene).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use ndarray::array;

    fn score(species_a: u32, type_a: u32, species_b: u32, type_b: u32, score: f64) -> AlignmentScore {
        AlignmentScore { species_a, type_a, species_b, type_b, score, score_ab: score, score_ba: 0.0, n_a: 1, n_b: 1 }
    }

    #[test]
    fn types_of_any_number_of_species() {
        let scores = [
            score(0, 1, 1, 0, 0.9),
            score(0, 1, 2, 2, 0.5),
            score(1, 0, 2, 2, 0.4),
            score(0, 1, 3, 0, 0.8),
            score(1, 0, 3, 0, 0.7),
            score(2, 2, 3, 0, 0.3),
            score(0, 0, 1, 0, 0.05),
            score(0, 0, 2, 2, 0.9),
            score(1, 1, 2, 1, 0.0),
        ];
        let rows = |size, min_score| {
            let options = TypeTriangleOptions { min_score, size };
            let found = cell_type_triangles(&scores, &options, &Context::default()).unwrap();
            let row = |i: usize| -> (Vec<(u32, u32)>, Vec<f64>) {
                let corners = found.cliques.corners(i).iter().map(|&corner| found.types[corner as usize]).collect();
                (corners, found.cliques.edges(i).iter().map(|&edge| found.scores[edge as usize]).collect())
            };
            (0..found.cliques.len()).map(row).collect::<Vec<_>>()
        };
        let three = rows(3, 0.1);
        assert_eq!(three[0], (vec![(0, 1), (1, 0), (3, 0)], vec![0.9, 0.8, 0.7]));
        assert_eq!(three[1], (vec![(0, 1), (1, 0), (2, 2)], vec![0.9, 0.5, 0.4]));
        assert_eq!(three.len(), 4);
        assert_eq!(rows(3, 0.0).len(), 5);
        assert_eq!(rows(4, 0.1), [(vec![(0, 1), (1, 0), (2, 2), (3, 0)], vec![0.9, 0.5, 0.8, 0.4, 0.7, 0.3])]);
        assert!(rows(3, 0.95).is_empty());
    }

    #[test]
    fn genes_by_class_as_in_all_triples() {
        let genes = [0, 10, 20, 30];
        let mut rng = Rng::keyed(6, 0, 0);
        let (mut pairs, mut values, mut orthologs, mut substitutions) = (vec![], vec![], vec![], vec![]);
        for (a, b) in (0..30).flat_map(|a| (a + 1..30).map(move |b| (a, b))).filter(|(a, b)| a / 10 < b / 10) {
            if rng.uniform() < 0.7 {
                pairs.push((b, a));
                values.push(rng.uniform());
                match rng.below(3) {
                    0 => orthologs.push((a, b)),
                    1 => substitutions.push(Substitution {
                        gene: a,
                        ortholog: b,
                        paralog: b,
                        ortholog_correlation: 0.0,
                        paralog_correlation: 1.0,
                        gain: 1.0,
                    }),
                    _ => (),
                }
            }
        }
        let homology = HomologousPairs { genes: &genes, pairs: &pairs, values: &values };
        use EdgeClass::{Homolog, Ortholog, Substitution as Substituted};
        let edge = |a: u32, b: u32| {
            let at = pairs.iter().position(|&pair| pair == (b, a))?;
            let class = match (orthologs.contains(&(a, b)), substitutions.iter().any(|s| (s.gene, s.paralog) == (a, b)))
            {
                (true, _) => Ortholog,
                (_, true) => Substituted,
                _ => Homolog,
            };
            Some((values[at], class))
        };
        for classes in [vec![Ortholog, Substituted], vec![Ortholog], vec![Ortholog, Substituted, Homolog]] {
            let options = GeneTriangleOptions { min_correlation: 0.2, size: 3, classes: classes.clone() };
            let found = gene_triangles(&homology, &orthologs, &substitutions, &options, &Context::default()).unwrap();
            let mut expected = Vec::new();
            for (a, b, c) in (0..1000).map(|i| (i / 100, 10 + i / 10 % 10, 20 + i % 10)) {
                if let (Some(ab), Some(ac), Some(bc)) = (edge(a, b), edge(a, c), edge(b, c)) {
                    let edges = [ab, ac, bc];
                    if edges.iter().all(|(r, class)| *r >= 0.2 && classes.contains(class)) {
                        expected.push((vec![a, b, c], edges.to_vec()));
                    }
                }
            }
            let least = |edges: &[(f64, EdgeClass)]| edges.iter().map(|edge| edge.0).fold(1.0, f64::min);
            expected.sort_by(|x, y| least(&y.1).total_cmp(&least(&x.1)));
            let row = |i: usize| {
                let of = |&at: &u32| (found.correlations[at as usize], found.classes[at as usize]);
                (found.cliques.corners(i).to_vec(), found.cliques.edges(i).iter().map(of).collect::<Vec<_>>())
            };
            assert!(!expected.is_empty());
            assert_eq!((0..found.cliques.len()).map(row).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn types_that_genes_mark() {
        let scores = array![[3.0, 5.0, 4.0], [0.0, 0.0, 0.0], [-9.0, 2.0, 2.0]];
        let pvals = array![[0.02, 1e-5, 1e-3], [1.0, 1.0, 1.0], [1e-9, 0.04, 0.04]];
        let markers = Markers { padj: pvals.clone(), fractions: scores.clone(), scores, pvals };
        let types = |max_pval| types_of_genes(&markers, &[2, 0, 1], max_pval).unwrap();
        assert_eq!(types(1e-2), [vec![1], vec![1, 2], vec![]]);
        assert_eq!(types(0.05), [vec![1, 2], vec![0, 1, 2], vec![]]);
        assert!(matches!(types_of_genes(&markers, &[3], 0.1), Err(Error::Shape { .. })));
    }
}
