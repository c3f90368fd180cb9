//! Where homologous genes are expressed together. In: the stitched graph A and one gene of each of several species. Out: the
//! expression of each gene smoothed over the graph, and their overlap, both per cell.
//!
//! X̄_ig = Σ_j A_ij x_jg / Σ_j A_ij, j over the cells of the species of g ([`Average::Species`], as in the refinement of the
//! homology graph; no neighbours there, no expression), or over those of all species with a gene here, x_jg being 0 for cells
//! of other species ([`Average::All`], `plot_expression_overlap` of the reference). Below the threshold X̄ is 0. The overlap of
//! cell i is min_g X̄_ig: a cell has one only where its edges lead to cells of every species that express their gene.

use super::gene_expression::cell_expression;
use crate::sparse::{Expression, Graph, row};
use crate::{Context, Error, Result};
use ndarray::Array2;
use rayon::prelude::*;

/// Cells of one task.
const CELLS: usize = 2048;

/// Weights to the cells of a species that sum to less are no neighbours, as in the refinement.
const NO_NEIGHBOURS: f64 = 1e-3;

/// What the mean over the neighbours of a cell is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Average {
    /// The neighbours of the gene's species.
    #[default]
    Species,
    /// The neighbours of all species that have a gene, so that a cell whose edges lead elsewhere has less.
    All,
}

/// A gene of one species.
#[derive(Debug, Clone, Copy)]
pub struct SpeciesGene<'a> {
    /// The species.
    pub species: usize,
    /// Its preprocessed expression, cells × genes.
    pub expression: &'a Expression,
    /// Column of the gene.
    pub gene: u32,
}

/// Smoothed expression of genes of different species.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionOverlap {
    /// Cells of all species × genes; 0 for the cells of a species without a gene here.
    pub smoothed: Array2<f64>,
    /// Least of the smoothed values of each cell.
    pub overlap: Vec<f64>,
}

/// Smooths and overlaps. `cells`: first cell of each species in `stitched`, and the number of cells.
///
/// # Errors
/// [`Error::Argument`] for fewer than two genes, two genes of one species, or a gene that is not there; [`Error::Shape`] when
/// graph, offsets and expression do not fit together.
pub fn expression_overlap(
    stitched: &Graph,
    cells: &[usize],
    genes: &[SpeciesGene],
    average: Average,
    threshold: f64,
    ctx: &Context,
) -> Result<ExpressionOverlap> {
    check(stitched, cells, genes)?;
    let mut of_species = vec![None; cells.len() - 1];
    for (at, gene) in genes.iter().enumerate() {
        of_species[gene.species] = Some((at, cell_expression(gene.expression, &[gene.gene])?));
    }
    let species_of = |cell: usize| cells.partition_point(|&first| first <= cell) - 1;
    let blocks: Vec<Vec<f64>> = (0..stitched.rows().div_ceil(CELLS))
        .into_par_iter()
        .map(|block| {
            ctx.check()?;
            let rows = block * CELLS..((block + 1) * CELLS).min(stitched.rows());
            let mut smoothed = vec![0.0; rows.len() * genes.len()];
            for (cell, sums) in rows.zip(smoothed.chunks_exact_mut(genes.len())) {
                if of_species[species_of(cell)].is_none() {
                    continue;
                }
                let mut totals = vec![0.0; genes.len()];
                let (targets, weights) = row(stitched, cell);
                for (&target, &weight) in targets.iter().zip(weights) {
                    let species = species_of(target as usize);
                    if let Some((at, values)) = &of_species[species] {
                        totals[*at] += weight;
                        sums[*at] += weight * values[(target as usize - cells[species], 0)];
                    }
                }
                if average == Average::All {
                    let all = totals.iter().sum();
                    totals.fill(all);
                }
                for (sum, total) in sums.iter_mut().zip(totals) {
                    let mean = if total < NO_NEIGHBOURS { 0.0 } else { *sum / total };
                    *sum = if mean < threshold { 0.0 } else { mean };
                }
            }
            Ok(smoothed)
        })
        .collect::<Result<_>>()?;
    let smoothed = Array2::from_shape_vec((stitched.rows(), genes.len()), blocks.concat())
        .map_err(|error| Error::Numerical { operation: "expression overlap", reason: error.to_string() })?;
    let overlap = smoothed.rows().into_iter().map(|of| of.iter().copied().fold(f64::INFINITY, f64::min)).collect();
    Ok(ExpressionOverlap { smoothed, overlap })
}

fn check(stitched: &Graph, cells: &[usize], genes: &[SpeciesGene]) -> Result<()> {
    let total = stitched.rows();
    let ascending = cells.first() == Some(&0) && cells.windows(2).all(|w| w[0] <= w[1]);
    if stitched.cols() != total || cells.last() != Some(&total) || !ascending {
        let found = format!("{} × {} and {cells:?}", total, stitched.cols());
        return Err(Error::shape(
            "expression overlap",
            format!("a square graph and cell offsets up to {total}"),
            found,
        ));
    }
    let mut seen = vec![false; cells.len() - 1];
    for gene in genes {
        let of = cells.get(gene.species).zip(cells.get(gene.species + 1)).map(|(first, end)| end - first);
        if of != Some(gene.expression.cells()) {
            let found = format!("{} cells of species {}", gene.expression.cells(), gene.species);
            return Err(Error::shape("expression overlap", format!("the cells of {cells:?}"), found));
        }
        if std::mem::replace(&mut seen[gene.species], true) {
            let found = format!("two genes of species {}", gene.species);
            return Err(Error::argument("genes", found, "Name one gene per species."));
        }
    }
    if genes.len() < 2 {
        return Err(Error::argument("genes", format!("{} gene(s)", genes.len()), "Name genes of two or more species."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::sparse::graph_from_rows;

    /// Species of 8, 6 and 5 cells; gene 1 of each has value cell + 1 in every second cell.
    fn setting() -> (Graph, Vec<usize>, Vec<Expression>) {
        let mut rng = Rng::keyed(5, 0, 0);
        let rows =
            (0..19).map(|_| (0..19_u32).map(|j| (j, rng.uniform())).filter(|edge| edge.1 < 0.4).collect()).collect();
        let expression = |cells: usize| {
            let stored: Vec<usize> = (0..cells).filter(|i| i % 2 == 0).collect();
            let pointers: Vec<usize> = (0..=cells).map(|i| i.div_ceil(2)).collect();
            let values: Vec<f64> = stored.iter().map(|&i| i as f64 + 1.0).collect();
            Expression::from_rows("x", 2, &pointers, &vec![1_usize; stored.len()], &values).unwrap()
        };
        (graph_from_rows(19, rows), vec![0, 8, 14, 19], vec![expression(8), expression(6), expression(5)])
    }

    fn naive(graph: &Graph, cells: &[usize], shown: &[usize], average: Average, threshold: f64) -> Vec<Vec<f64>> {
        let species = |i: usize| (0..3).find(|&s| i < cells[s + 1]).unwrap();
        let x = |i: usize| {
            let own = i - cells[species(i)];
            if own.is_multiple_of(2) { own as f64 + 1.0 } else { 0.0 }
        };
        let of = |i: usize, s: usize| {
            if !shown.contains(&species(i)) {
                return 0.0;
            }
            let weight = |j: usize| graph.get(i, j).copied().unwrap_or(0.0);
            let counts = |j: usize| if average == Average::All { shown.contains(&species(j)) } else { species(j) == s };
            let total: f64 = (0..19).filter(|&j| counts(j)).map(weight).sum();
            let sum: f64 = (0..19).filter(|&j| species(j) == s).map(|j| weight(j) * x(j)).sum();
            let value = if total < 1e-3 { 0.0 } else { sum / total };
            if value < threshold { 0.0 } else { value }
        };
        (0..19).map(|i| shown.iter().map(|&s| of(i, s)).collect()).collect()
    }

    #[test]
    fn as_the_formula_for_all_and_for_some_species() {
        let (graph, cells, x) = setting();
        let settings = [(vec![0, 1, 2], 0.0), (vec![0, 1, 2], 0.9), (vec![2, 0], 0.3)];
        let both = settings.iter().flat_map(|setting| [(setting, Average::Species), (setting, Average::All)]);
        for ((shown, threshold), average) in both {
            let genes: Vec<SpeciesGene> =
                shown.iter().map(|&species| SpeciesGene { species, expression: &x[species], gene: 1 }).collect();
            let found = expression_overlap(&graph, &cells, &genes, average, *threshold, &Context::default()).unwrap();
            for (i, expected) in naive(&graph, &cells, shown, average, *threshold).into_iter().enumerate() {
                let least = expected.iter().copied().fold(f64::INFINITY, f64::min);
                assert!((found.overlap[i] - least).abs() < 1e-14);
                expected.iter().enumerate().for_each(|(g, x)| assert!((found.smoothed[(i, g)] - x).abs() < 1e-14));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let (graph, cells, x) = setting();
        let gene = |species: usize, of: usize| SpeciesGene { species, expression: &x[of], gene: 1 };
        let run =
            |genes: &[SpeciesGene]| expression_overlap(&graph, &cells, genes, Average::All, 0.1, &Context::default());
        assert!(matches!(run(&[gene(0, 0)]), Err(Error::Argument { .. })));
        assert!(matches!(run(&[gene(0, 0), gene(0, 0)]), Err(Error::Argument { .. })));
        assert!(matches!(run(&[gene(0, 0), gene(1, 2)]), Err(Error::Shape { .. })));
        assert!(matches!(run(&[gene(0, 0), gene(3, 2)]), Err(Error::Shape { .. })));
    }
}
