//! Expression of chosen genes, as plots show it. In: preprocessed expression of one species (cells × genes), columns of it, and
//! a type per cell. Out: the values of the cells, or per type the mean over its cells (zeros included) and the share of its
//! cells with a value above 0.

use super::{Labels, UNLABELLED};
use crate::sparse::{Column, Csr, Expression, row};
use crate::{Context, Error, Result, with_expression};
use ndarray::Array2;
use rayon::prelude::*;

/// Cells of one task.
const CELLS: usize = 2048;

/// Expression of genes in the types of one species; both tables are genes × types, 0 for a type without cells.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeExpression {
    /// Mean over the cells of the type, in the units of the expression.
    pub means: Array2<f64>,
    /// Share of the cells of the type that express the gene (0 to 1).
    pub fractions: Array2<f64>,
}

/// Means and fractions of `genes` (columns of `expression`, each once) in all types. Cells without a label count for none.
///
/// # Errors
/// [`Error::Argument`] for a gene that is not there or named twice; [`Error::Shape`] for labels that do not fit.
pub fn type_expression(
    expression: &Expression,
    genes: &[u32],
    labels: Labels,
    ctx: &Context,
) -> Result<TypeExpression> {
    let labels = Labels::new(labels.of, labels.types, expression.cells())?;
    let slots = slots(expression, genes)?;
    let shape = (genes.len(), labels.types);
    let blocks: Vec<TypeExpression> = (0..expression.cells().div_ceil(CELLS))
        .into_par_iter()
        .map(|block| {
            ctx.check()?;
            let cells = block * CELLS..((block + 1) * CELLS).min(expression.cells());
            let mut sums = TypeExpression { means: Array2::zeros(shape), fractions: Array2::zeros(shape) };
            for (cell, kind) in cells.filter_map(|cell| labels.get(cell).map(|kind| (cell, kind))) {
                visit(expression, &slots, cell, |slot, value| {
                    sums.means[(slot, kind)] += value;
                    sums.fractions[(slot, kind)] += 1.0;
                });
            }
            Ok(sums)
        })
        .collect::<Result<_>>()?;
    let mut total = TypeExpression { means: Array2::zeros(shape), fractions: Array2::zeros(shape) };
    for block in blocks {
        total.means += &block.means;
        total.fractions += &block.fractions;
    }
    for (kind, size) in labels.sizes().into_iter().enumerate().filter(|(_, size)| *size > 0) {
        total.means.column_mut(kind).mapv_inplace(|sum| sum / size as f64);
        total.fractions.column_mut(kind).mapv_inplace(|count| count / size as f64);
    }
    Ok(total)
}

/// Values of `genes` (columns of `expression`, each once) in all cells: cells × genes.
///
/// # Errors
/// [`Error::Argument`] for a gene that is not there or named twice.
pub fn cell_expression(expression: &Expression, genes: &[u32]) -> Result<Array2<f64>> {
    let slots = slots(expression, genes)?;
    let mut values = Array2::zeros((expression.cells(), genes.len()));
    for cell in 0..expression.cells() {
        visit(expression, &slots, cell, |slot, value| values[(cell, slot)] = value);
    }
    Ok(values)
}

/// Per column its place in `genes`, or [`UNLABELLED`].
fn slots(expression: &Expression, genes: &[u32]) -> Result<Vec<u32>> {
    let mut slots = vec![UNLABELLED; expression.genes()];
    for (at, &gene) in (0..).zip(genes) {
        match slots.get_mut(gene as usize) {
            Some(slot) if *slot == UNLABELLED => *slot = at,
            Some(_) => return Err(Error::argument("genes", format!("gene {gene} twice"), "Name each gene once.")),
            None => {
                let remedy = format!("There are {} genes.", expression.genes());
                return Err(Error::argument("genes", format!("gene {gene}"), remedy));
            }
        }
    }
    Ok(slots)
}

/// Calls `with` with the place and the value of each chosen gene that `cell` expresses.
fn visit(expression: &Expression, slots: &[u32], cell: usize, mut with: impl FnMut(usize, f64)) {
    fn of_row<C: Column>(x: &Csr<C>, slots: &[u32], cell: usize, with: &mut impl FnMut(usize, f64)) {
        let (columns, values) = row(x, cell);
        for (column, &value) in columns.iter().zip(values) {
            let slot = slots[column.index_unchecked()];
            if slot != UNLABELLED && value != 0.0 {
                with(slot as usize, f64::from(value));
            }
        }
    }
    with_expression!(expression, x => of_row(x, slots, cell, &mut with));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random(cells: usize, genes: usize) -> (Expression, Vec<Vec<f64>>) {
        let mut rng = Rng::keyed(3, 0, 0);
        let value = |u: f64| if u < 0.6 { 0.0 } else { f64::from((4.0 * u) as f32) };
        let dense: Vec<Vec<f64>> = (0..cells).map(|_| (0..genes).map(|_| value(rng.uniform())).collect()).collect();
        let (mut pointers, mut columns, mut values) = (vec![0_usize], Vec::new(), Vec::new());
        for cell in &dense {
            for (gene, &value) in cell.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                columns.push(gene);
                values.push(value);
            }
            pointers.push(columns.len());
        }
        (Expression::from_rows("x", genes, &pointers, &columns, &values).unwrap(), dense)
    }

    #[test]
    fn means_and_fractions_are_those_of_the_dense_table() {
        // More cells than one task has; a type without cells; every 7th cell without a label.
        let (x, dense) = random(CELLS + 100, 6);
        let of: Vec<u32> = (0..x.cells() as u32).map(|i| if i % 7 == 0 { UNLABELLED } else { i % 3 }).collect();
        let genes = [4, 0, 5];
        let found = type_expression(&x, &genes, Labels { of: &of, types: 4 }, &Context::default()).unwrap();
        for (slot, &gene) in genes.iter().enumerate() {
            for kind in 0..3 {
                let values: Vec<f64> =
                    (0..x.cells()).filter(|&i| of[i] == kind).map(|i| dense[i][gene as usize]).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let fraction = values.iter().filter(|value| **value > 0.0).count() as f64 / values.len() as f64;
                assert!((found.means[(slot, kind as usize)] - mean).abs() < 1e-12);
                assert_eq!(found.fractions[(slot, kind as usize)], fraction);
            }
            assert_eq!((found.means[(slot, 3)], found.fractions[(slot, 3)]), (0.0, 0.0));
        }
    }

    #[test]
    fn cells_have_their_values_and_unknown_genes_are_errors() {
        let (x, dense) = random(20, 5);
        let found = cell_expression(&x, &[3, 1]).unwrap();
        (0..20).for_each(|i| assert_eq!((found[(i, 0)], found[(i, 1)]), (dense[i][3], dense[i][1])));
        assert!(matches!(cell_expression(&x, &[5]), Err(Error::Argument { .. })));
        assert!(matches!(cell_expression(&x, &[2, 2]), Err(Error::Argument { .. })));
        let labels = Labels { of: &[0; 3], types: 1 };
        assert!(matches!(type_expression(&x, &[0], labels, &Context::default()), Err(Error::Shape { .. })));
    }
}
