//! Terms that occur more often among some genes than among all. In: terms of the genes of a universe, and lists of genes. Out:
//! one row per list and term that have a gene in common.
//!
//! With N genes in the universe, n of them in the list, B with the term, and b in both, p = P(X ≥ b) for X hypergeometric with
//! N, B and n; the odds ratio is b (N − n − B + b) / ((n − b) (B − b)). Adjusted p-values are those of Benjamini & Hochberg over
//! all terms of the universe whose size is within the limits: a term that has no gene of the list was tested, too, with p = 1.

use super::hypergeometric::Urn;
use super::statistics::adjust_among;
use crate::{Context, Error, Result};
use rayon::prelude::*;

/// Terms of the genes of a universe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneSets {
    /// Where the terms of each gene begin.
    pointers: Vec<usize>,
    /// Terms of one gene after the other, ascending, each once.
    terms: Vec<u32>,
    /// Genes of each term.
    sizes: Vec<usize>,
}

impl GeneSets {
    /// From pairs (gene, term) in any order; a pair given more than once counts once. `genes`: size of the universe;
    /// `terms`: number of terms.
    ///
    /// # Errors
    /// [`Error::Shape`] when a gene or a term lies outside.
    pub fn new(genes: usize, terms: usize, mut pairs: Vec<(u32, u32)>) -> Result<Self> {
        if let Some((gene, term)) = pairs.iter().find(|(gene, term)| *gene as usize >= genes || *term as usize >= terms)
        {
            let expected = format!("genes below {genes} and terms below {terms}");
            return Err(Error::shape("gene sets", expected, format!("gene {gene} with term {term}")));
        }
        pairs.par_sort_unstable();
        pairs.dedup();
        let mut sizes = vec![0; terms];
        pairs.iter().for_each(|&(_, term)| sizes[term as usize] += 1);
        let pointers = (0..=genes).map(|gene| pairs.partition_point(|pair| (pair.0 as usize) < gene)).collect();
        Ok(GeneSets { pointers, terms: pairs.into_iter().map(|(_, term)| term).collect(), sizes })
    }

    /// Genes of the universe.
    pub fn genes(&self) -> usize {
        self.pointers.len() - 1
    }

    fn of(&self, gene: u32) -> &[u32] {
        &self.terms[self.pointers[gene as usize]..self.pointers[gene as usize + 1]]
    }
}

/// Options of [`enrich`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrichmentOptions {
    /// Least number of genes of the universe that a tested term has.
    pub min_size: usize,
    /// Largest number of them.
    pub max_size: usize,
}

impl Default for EnrichmentOptions {
    fn default() -> Self {
        EnrichmentOptions { min_size: 1, max_size: usize::MAX }
    }
}

/// A term among the genes of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrichment {
    /// The list.
    pub list: u32,
    /// The term.
    pub term: u32,
    /// Genes of the universe that have the term.
    pub size: usize,
    /// Odds ratio; infinite when all genes of the list have the term, or the list has all its genes.
    pub odds_ratio: f64,
    /// p, not adjusted.
    pub pval: f64,
    /// Adjusted p over the terms tested in the list.
    pub padj: f64,
    /// Genes of the list that have the term, ascending.
    pub genes: Vec<u32>,
}

/// Tests every term in every list of genes of the universe (a gene given more than once counts once). Rows by list, then by p
/// (ties by term). Progress: one step per list.
///
/// # Errors
/// [`Error::Shape`] when a list has a gene outside of the universe.
pub fn enrich(
    sets: &GeneSets,
    lists: &[Vec<u32>],
    options: &EnrichmentOptions,
    ctx: &Context,
) -> Result<Vec<Enrichment>> {
    let genes = sets.genes();
    if let Some(gene) = lists.iter().flatten().find(|gene| **gene as usize >= genes) {
        return Err(Error::shape("enrichment", format!("genes below {genes}"), format!("{gene}")));
    }
    let tested = |size: usize| size > 0 && (options.min_size..=options.max_size).contains(&size);
    let tests = sets.sizes.iter().filter(|size| tested(**size)).count();
    let rows: Vec<Vec<Enrichment>> = lists
        .par_iter()
        .enumerate()
        .map(|(list, genes)| {
            ctx.advance(1)?;
            Ok(enrich_list(sets, list as u32, genes, tested, tests))
        })
        .collect::<Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

fn enrich_list(
    sets: &GeneSets,
    list: u32,
    genes: &[u32],
    tested: impl Fn(usize) -> bool,
    tests: usize,
) -> Vec<Enrichment> {
    let mut genes = genes.to_vec();
    genes.sort_unstable();
    genes.dedup();
    let mut found: Vec<(u32, u32)> =
        genes.iter().flat_map(|&gene| sets.of(gene).iter().map(move |&term| (term, gene))).collect();
    found.retain(|&(term, _)| tested(sets.sizes[term as usize]));
    found.sort_unstable();
    let mut rows: Vec<Enrichment> = found
        .chunk_by(|a, b| a.0 == b.0)
        .map(|pairs| {
            let term = pairs[0].0;
            let urn = Urn { universe: sets.genes(), marked: sets.sizes[term as usize], drawn: genes.len() };
            Enrichment {
                list,
                term,
                size: urn.marked,
                odds_ratio: odds_ratio(&urn, pairs.len()),
                pval: urn.ln_upper_tail(pairs.len()).exp(),
                padj: 1.0,
                genes: pairs.iter().map(|pair| pair.1).collect(),
            }
        })
        .collect();
    let adjusted = adjust_among(&rows.iter().map(|row| row.pval).collect::<Vec<_>>(), tests);
    rows.iter_mut().zip(adjusted).for_each(|(row, padj)| row.padj = padj);
    rows.sort_by(|a, b| a.pval.total_cmp(&b.pval)); // stable: ties by term
    rows
}

/// Infinite where a cell of the denominator is 0 (b is never).
fn odds_ratio(urn: &Urn, hits: usize) -> f64 {
    let [both, term, list, neither] = urn.cells(hits).map(|cell| cell as f64);
    if term * list == 0.0 { f64::INFINITY } else { both * neither / (term * list) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn run(sets: &GeneSets, lists: &[Vec<u32>], options: &EnrichmentOptions) -> Vec<Enrichment> {
        enrich(sets, lists, options, &Context::default()).unwrap()
    }

    fn random(genes: usize, terms: usize, seed: u64) -> (Vec<(u32, u32)>, Vec<Vec<u32>>) {
        let mut rng = Rng::keyed(seed, 0, 0);
        let pairs = (0..3 * genes).map(|_| (rng.below(genes) as u32, rng.below(terms) as u32)).collect();
        // Genes in a list more than once, and a list without genes.
        let lists = [40, 0, 7].map(|size| (0..size).map(|_| rng.below(genes) as u32).collect()).to_vec();
        (pairs, lists)
    }

    #[test]
    fn as_counted_term_by_term() {
        let (pairs, lists) = random(200, 30, 1);
        let sets = GeneSets::new(200, 31, pairs.clone()).unwrap();
        let options = EnrichmentOptions { min_size: 15, max_size: 25 };
        let rows = run(&sets, &lists, &options);
        let in_term = |gene: u32, term: u32| pairs.contains(&(gene, term));
        for (list, genes) in lists.iter().enumerate() {
            let listed: Vec<u32> = (0..200).filter(|gene| genes.contains(gene)).collect();
            let mut expected = Vec::new();
            let mut tests = 0;
            for term in 0..31 {
                let marked = (0..200).filter(|&gene| in_term(gene, term)).count();
                if !(15..=25).contains(&marked) {
                    continue;
                }
                tests += 1;
                let both: Vec<u32> = listed.iter().copied().filter(|&gene| in_term(gene, term)).collect();
                let p = Urn { universe: 200, marked, drawn: listed.len() }.ln_upper_tail(both.len()).exp();
                expected.push((term, marked, both, p));
            }
            let mine: Vec<&Enrichment> = rows.iter().filter(|row| row.list as usize == list).collect();
            assert_eq!(mine.len(), expected.iter().filter(|row| !row.2.is_empty()).count());
            assert!(mine.windows(2).all(|w| (w[0].pval, w[0].term) < (w[1].pval, w[1].term)));
            for row in mine {
                let (_, size, both, p) = expected.iter().find(|other| other.0 == row.term).unwrap();
                assert_eq!((row.size, &row.genes, row.pval), (*size, both, *p));
                // The adjusted p from its definition, over all tested terms.
                let adjusted = expected.iter().filter(|other| other.3 >= row.pval).map(|other| {
                    other.3 * tests as f64 / expected.iter().filter(|third| third.3 <= other.3).count() as f64
                });
                assert!((row.padj - adjusted.fold(1.0, f64::min)).abs() < 1e-15);
                let (b, n, size) = (both.len() as f64, listed.len() as f64, *size as f64);
                let odds = b * (200.0 - n - size + b) / ((n - b) * (size - b));
                assert!((row.odds_ratio - odds).abs() <= 1e-12 * odds);
            }
        }
    }

    #[test]
    fn all_or_nothing() {
        // Gene 0 and 1 have term 0, gene 2 has term 1; term 2 has no gene.
        let sets = GeneSets::new(4, 3, vec![(1, 0), (0, 0), (2, 1), (0, 0)]).unwrap();
        let rows = run(&sets, &[vec![0, 1], vec![3], vec![]], &EnrichmentOptions::default());
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].odds_ratio, rows[0].size), (f64::INFINITY, 2));
        assert!((rows[0].pval - 1.0 / 6.0).abs() < 1e-15 && (rows[0].padj - 2.0 / 6.0).abs() < 1e-15);
        let none = GeneSets::new(0, 0, vec![]).unwrap();
        assert!(run(&none, &[vec![]], &EnrichmentOptions::default()).is_empty());
    }

    #[test]
    fn what_lies_outside_is_an_error() {
        assert!(matches!(GeneSets::new(2, 1, vec![(2, 0)]), Err(Error::Shape { .. })));
        assert!(matches!(GeneSets::new(2, 1, vec![(0, 1)]), Err(Error::Shape { .. })));
        let sets = GeneSets::new(2, 1, vec![(0, 0)]).unwrap();
        let (options, ctx) = (EnrichmentOptions::default(), Context::default());
        assert!(matches!(enrich(&sets, &[vec![2]], &options, &ctx), Err(Error::Shape { .. })));
        ctx.cancel();
        assert!(matches!(enrich(&sets, &[vec![1]], &options, &ctx), Err(Error::Cancelled)));
    }
}
