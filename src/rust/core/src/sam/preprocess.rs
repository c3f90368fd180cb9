//! Preprocessing of counts (cells × genes): normalisation by cell or gene, transformation, thresholds, moments per gene.
//! The entries are changed and compacted in place, in memory or in their files. All arithmetic on entries is `f32` in the order the reference uses,
//! because the last bit decides ties in the rank tests; sums are made in `f64`.

use crate::sparse::{Buffer, Column, Csr, Expression, known_rows, rows_mut};
use crate::{Context, Error, Result, with_expression};
use rayon::prelude::*;

/// What the counts of a cell or gene are scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum SumNorm {
    /// Counts stay.
    None,
    /// Every cell to the median total of the cells.
    #[default]
    CellMedian,
    /// Every gene to the median total of the genes that have counts.
    GeneMedian,
    /// Every cell to this total.
    Total(f64),
}

/// How the normalised counts x are transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Norm {
    /// log2(x / div + 1).
    #[default]
    Log2,
    /// Freeman–Tukey: √(x / div) + √(x / div + 1) − 1.
    Ftt,
    /// arsinh(x / div).
    Asin,
    /// Pearson residuals of the multinomial model at the stored entries; the dispersions then come from log2 values.
    Multinomial,
    /// x / div.
    None,
}

/// Options of [`preprocess`].
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessOptions {
    /// Divisor before the transformation.
    pub div: f64,
    /// Normalisation of totals.
    pub sum_norm: SumNorm,
    /// Transformation.
    pub norm: Norm,
    /// Transformed values up to this one become 0.
    pub min_expression: f64,
    /// A gene is kept when it is stored in more than this share of the cells …
    pub thresh_low: f64,
    /// … and in at most this share.
    pub thresh_high: f64,
    /// Whether genes are filtered at all.
    pub filter_genes: bool,
}

impl Default for PreprocessOptions {
    fn default() -> Self {
        PreprocessOptions {
            div: 1.0,
            sum_norm: SumNorm::CellMedian,
            norm: Norm::Log2,
            min_expression: 1.0,
            thresh_low: 0.0,
            thresh_high: 0.96,
            filter_genes: true,
        }
    }
}

/// Normalised expression of one species.
#[derive(Debug, Clone)]
pub struct Preprocessed {
    /// Cells × genes without stored zeros; genes that were filtered out are empty columns.
    pub expression: Expression,
    /// What neighbours are averaged from where that is not `expression` (multinomial).
    pub dispersion_expression: Option<Expression>,
    /// Mean per gene.
    pub means: Vec<f32>,
    /// Population variance per gene.
    pub variances: Vec<f32>,
    /// Which genes passed the filter.
    pub kept: Vec<bool>,
    /// Number of cells and of genes without counts.
    pub empty: (usize, usize),
}

impl Preprocessed {
    /// What dispersions are computed from.
    pub fn for_dispersions(&self) -> &Expression {
        self.dispersion_expression.as_ref().unwrap_or(&self.expression)
    }
}

/// Normalises counts (cells × genes), which are consumed. Cells and genes without counts stay, as empty rows and columns.
///
/// # Errors
/// [`Error::Argument`] for a `div` or total that is not positive, a threshold that is no number, or the multinomial
/// transformation together with a normalisation by medians.
pub fn preprocess(counts: Expression, options: &PreprocessOptions, ctx: &Context) -> Result<Preprocessed> {
    check(options)?;
    ctx.check()?;
    match counts {
        Expression::Narrow(matrix) => transform(matrix, options, ctx, Expression::Narrow),
        Expression::Wide(matrix) => transform(matrix, options, ctx, Expression::Wide),
    }
}

fn check(options: &PreprocessOptions) -> Result<()> {
    let positive = |name: &str, x: f64| {
        let found = format!("{x} was given");
        if x.is_finite() && x > 0.0 { Ok(()) } else { Err(Error::argument(name, found, "Pass a positive number.")) }
    };
    positive("div", options.div)?;
    if let SumNorm::Total(total) = options.sum_norm {
        positive("sum_norm", total)?;
    }
    for (name, x) in [
        ("min_expression", options.min_expression),
        ("thresh_low", options.thresh_low),
        ("thresh_high", options.thresh_high),
    ] {
        if x.is_nan() {
            return Err(Error::argument(name, "it is not a number", "Pass a number."));
        }
    }
    if options.norm == Norm::Multinomial && matches!(options.sum_norm, SumNorm::CellMedian | SumNorm::GeneMedian) {
        let remedy = "Use sum_norm \"none\" or a number with the multinomial transformation.";
        return Err(Error::argument("sum_norm", "a median together with the multinomial transformation", remedy));
    }
    Ok(())
}

/// A CSR matrix taken apart.
struct Parts<C: Column> {
    pointers: Vec<usize>,
    columns: Buffer<C>,
    values: Buffer<f32>,
}

/// What the entries are multiplied by.
enum Factors {
    None,
    Cells(Vec<f32>),
    Genes(Vec<f32>),
}

fn transform<C: Column>(
    matrix: Csr<C>,
    options: &PreprocessOptions,
    ctx: &Context,
    wrap: impl Fn(Csr<C>) -> Expression,
) -> Result<Preprocessed> {
    let (n, g) = matrix.shape();
    let (pointers, columns, values) = matrix.into_raw_storage();
    let mut parts = Parts { pointers, columns, values };
    let residuals = match options.norm {
        Norm::Multinomial => Some(parts.residuals(g, ctx)?),
        _ => None,
    };
    let factors = parts.factors(options, g);
    let stored = parts.stored(g);
    let empty_cells = parts.pointers.windows(2).filter(|w| w[0] == w[1]).count();
    let empty = (empty_cells, stored.iter().filter(|&&count| count == 0).count());
    let kept = kept(&stored, options, n);
    parts.compact(&kept, ctx, |cell, columns, values| apply(&factors, options, cell, columns, values))?;
    let transformed = wrap(parts.into_matrix(n, g));
    let (expression, dispersion_expression) = match residuals {
        None => (transformed, None),
        Some(mut residuals) => {
            residuals.compact(&kept, ctx, |_, _, _| ())?;
            (wrap(residuals.into_matrix(n, g)), Some(transformed))
        }
    };
    let (means, variances) = moments(&expression);
    Ok(Preprocessed { expression, dispersion_expression, means, variances, kept, empty })
}

impl<C: Column> Parts<C> {
    fn cell_sums(&self) -> Vec<f32> {
        self.pointers
            .par_windows(2)
            .map(|w| self.values[w[0]..w[1]].iter().map(|&x| f64::from(x)).sum::<f64>() as f32)
            .collect()
    }

    fn gene_sums(&self, genes: usize) -> Vec<f32> {
        let mut sums = vec![0.0f64; genes];
        self.columns.iter().zip(self.values.iter()).for_each(|(c, &x)| sums[c.index()] += f64::from(x));
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// Number of stored entries of every gene.
    fn stored(&self, genes: usize) -> Vec<usize> {
        let zero = || vec![0; genes];
        let counted = self.columns.par_chunks(ENTRIES).fold(zero, |mut counts, columns| {
            columns.iter().for_each(|column| counts[column.index()] += 1);
            counts
        });
        counted.reduce(zero, |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
    }

    /// What `f(cell, columns, values)` says of every cell.
    fn par_cells<T: Send>(
        &mut self,
        ctx: &Context,
        f: impl Fn(usize, &mut [C], &mut [f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let rows = rows_mut(&self.pointers, &mut self.columns, &mut self.values);
        let cells = rows.into_par_iter().enumerate();
        cells.map(|(cell, (columns, values))| ctx.check().map(|()| f(cell, columns, values))).collect()
    }

    /// Pearson residuals (x − n_i p_j) / √(n_i p_j − (n_i p_j)² / n_i), n_i the total of cell i, p_j the share of gene j.
    fn residuals(&self, genes: usize, ctx: &Context) -> Result<Self> {
        let cells = self.cell_sums();
        let total = self.values.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
        let shares: Vec<f32> = self.gene_sums(genes).into_iter().map(|sum| sum / total).collect();
        let (columns, values) = (self.columns.duplicate()?, self.values.duplicate()?);
        let mut out = Parts { pointers: self.pointers.clone(), columns, values };
        out.par_cells(ctx, |cell, columns, values| {
            let inverse = 1.0 / cells[cell];
            for (column, x) in columns.iter().zip(values) {
                let expected = cells[cell] * shares[column.index()];
                let variance = expected - expected * expected * inverse;
                // A gene that holds all counts of the data, or a stored zero, has no variance to measure with.
                *x = if variance > 0.0 { (*x - expected) / variance.sqrt() } else { 0.0 };
            }
        })?;
        Ok(out)
    }

    /// What brings the totals of cells or genes to what they are to be: fl(fl(1 / total) · target).
    fn factors(&self, options: &PreprocessOptions, genes: usize) -> Factors {
        let scale = |sums: Vec<f32>, target: f32| sums.into_iter().map(|sum| factor(sum, target)).collect();
        match options.sum_norm {
            SumNorm::None if options.norm != Norm::Multinomial => Factors::None,
            SumNorm::GeneMedian => {
                let sums = self.gene_sums(genes);
                let target = median(sums.iter().copied().filter(|&sum| sum > 0.0).collect());
                Factors::Genes(scale(sums, target))
            }
            SumNorm::Total(total) => Factors::Cells(scale(self.cell_sums(), total as f32)),
            SumNorm::None | SumNorm::CellMedian => {
                let sums = self.cell_sums();
                let target = median(sums.clone());
                Factors::Cells(scale(sums, target))
            }
        }
    }

    /// Changes the values of every cell, then removes zeros and genes that are not kept, in place.
    fn compact(&mut self, kept: &[bool], ctx: &Context, change: impl Fn(usize, &[C], &mut [f32]) + Sync) -> Result<()> {
        let left = self.par_cells(ctx, |cell, columns, values| {
            change(cell, columns, values);
            let mut write = 0;
            for read in 0..columns.len() {
                // What is to go is overwritten by what comes next: whether an entry stays is hard to foretell for a branch.
                (columns[write], values[write]) = (columns[read], values[read]);
                write += usize::from(values[write] != 0.0 && kept[columns[write].index()]);
            }
            write
        })?;
        let (mut start, mut end) = (0, 0);
        for (pointer, left) in self.pointers[1..].iter_mut().zip(left) {
            self.columns.copy_within(start..start + left, end);
            self.values.copy_within(start..start + left, end);
            start = *pointer;
            end += left;
            *pointer = end;
        }
        self.values.shorten(end)?;
        self.columns.shorten(end)
    }

    fn into_matrix(self, cells: usize, genes: usize) -> Csr<C> {
        // SAFETY: these are parts of a matrix, or what is left of its rows where they were compacted, which leaves them in order.
        unsafe { known_rows((cells, genes), self.pointers, self.columns, self.values) }
    }
}

/// Most entries of a cell are one of the first whole numbers, which are transformed once.
const SMALL: usize = 32;

/// Multiplies and transforms the entries of a cell; what is small becomes 0.
fn apply<C: Column>(factors: &Factors, options: &PreprocessOptions, cell: usize, columns: &[C], values: &mut [f32]) {
    let (div, least) = (options.div as f32, options.min_expression as f32);
    let transform = |x: f32| {
        let x = x / div;
        let y = match options.norm {
            Norm::Log2 | Norm::Multinomial => (x + 1.0).log2(),
            Norm::Ftt => x.sqrt() + (x + 1.0).sqrt() - 1.0,
            Norm::Asin => x.asinh(),
            Norm::None => x,
        };
        if y <= least { 0.0 } else { y }
    };
    let factor = match factors {
        Factors::None => 1.0,
        Factors::Cells(factors) => factors[cell],
        Factors::Genes(factors) => {
            let entries = columns.iter().zip(values);
            return entries.for_each(|(column, value)| *value = transform(*value * factors[column.index()]));
        }
    };
    let small: [f32; SMALL] = std::array::from_fn(|count| transform(count as f32 * factor));
    for value in values {
        let count = *value as usize;
        *value = match small.get(count) {
            Some(&known) if count as f32 == *value => known,
            _ => transform(*value * factor),
        };
    }
}

/// Genes whose share of cells lies within the thresholds. `stored`: entries of each gene, with those that `min_expression`
/// is to remove.
fn kept(stored: &[usize], options: &PreprocessOptions, cells: usize) -> Vec<bool> {
    let within = |&count: &usize| {
        let share = count as f64 / cells as f64;
        !options.filter_genes || share > options.thresh_low && share <= options.thresh_high
    };
    stored.iter().map(within).collect()
}

/// fl(fl(1 / sum) · target); 0 where there is nothing to scale.
fn factor(sum: f32, target: f32) -> f32 {
    if sum > 0.0 { 1.0 / sum * target } else { 0.0 }
}

/// Median; the mean of the two middle values for an even number of them. 0 for none.
fn median(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Entries counted by one task.
const ENTRIES: usize = 1 << 16;

/// Cells whose sums are made by one task.
const BLOCK: usize = 2048;

/// Mean and population variance per gene, absent entries being 0.
pub fn moments(expression: &Expression) -> (Vec<f32>, Vec<f32>) {
    let (n, g) = (expression.cells(), expression.genes());
    let blocks = n.div_ceil(BLOCK).clamp(1, 32);
    let cells = n.div_ceil(blocks).max(1);
    let partial: Vec<(Vec<f64>, Vec<f64>)> = (0..n.div_ceil(cells))
        .into_par_iter()
        .map(|block| {
            let (mut sums, mut squares) = (vec![0.0; g], vec![0.0; g]);
            with_expression!(expression, matrix => {
                let pointers = matrix.indptr();
                let pointers = pointers.raw_storage();
                let entries = pointers[block * cells]..pointers[((block + 1) * cells).min(n)];
                for (column, &x) in matrix.indices()[entries.clone()].iter().zip(&matrix.data()[entries]) {
                    let (gene, x) = (sprs::SpIndex::index(*column), f64::from(x));
                    sums[gene] += x;
                    squares[gene] += x * x;
                }
            });
            (sums, squares)
        })
        .collect();
    let count = n.max(1) as f64;
    (0..g)
        .map(|gene| {
            let mean = partial.iter().map(|(sums, _)| sums[gene]).sum::<f64>() / count;
            let square = partial.iter().map(|(_, squares)| squares[gene]).sum::<f64>() / count;
            let variance = (square - mean * mean).max(0.0);
            (mean as f32, variance as f32)
        })
        .unzip()
}
