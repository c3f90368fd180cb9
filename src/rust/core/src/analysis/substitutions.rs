//! Paralog substitutions. In: homologous pairs of genes with their refined correlations, and which of them are orthologs. Out: for
//! a gene g, an ortholog h and another homologue h′ of the same species with gain = r(g, h′) − r(g, h) ≥ `min_gain`: the paralog h′
//! behaves like g where the ortholog h does not.
//!
//! Both genes of an ortholog pair are asked in turn. A pair that is no homologous pair has no correlation and is never compared;
//! SAMap 3.0.1 takes 0 for it, so that what is absent from the homology looks like a loss.

use crate::{Context, Error, Result};
use std::collections::HashSet;

/// Options of [`paralog_substitutions`].
#[derive(Debug, Clone, PartialEq)]
pub struct SubstitutionOptions {
    /// Least gain in correlation; a gain of 0 or less never counts.
    pub min_gain: f64,
}

impl Default for SubstitutionOptions {
    fn default() -> Self {
        SubstitutionOptions { min_gain: 0.3 }
    }
}

/// A paralog in the place of an ortholog. Genes are numbered over all species.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Substitution {
    /// g.
    pub gene: u32,
    /// h.
    pub ortholog: u32,
    /// h′, of the species of h.
    pub paralog: u32,
    /// r(g, h).
    pub ortholog_correlation: f64,
    /// r(g, h′).
    pub paralog_correlation: f64,
    /// r(g, h′) − r(g, h).
    pub gain: f64,
}

/// Homologous pairs of genes numbered over all species, each pair once, with a number per pair.
#[derive(Debug, Clone, Copy)]
pub struct HomologousPairs<'a> {
    /// First gene of each species, and the number of genes.
    pub genes: &'a [usize],
    /// The pairs, of different species, in either orientation.
    pub pairs: &'a [(u32, u32)],
    /// Refined correlation, 0 where there is none; or weight.
    pub values: &'a [f64],
}

impl HomologousPairs<'_> {
    /// Number of the species of a gene.
    pub fn species(&self, gene: u32) -> usize {
        self.genes.partition_point(|&first| first <= gene as usize) - 1
    }

    /// # Errors
    /// [`Error::Shape`] when there is not a number per pair, or a pair lies outside or within a species.
    pub fn check(&self) -> Result<()> {
        let total = self.genes.last().copied().unwrap_or(0);
        let fits = |&(a, b): &(u32, u32)| (a.max(b) as usize) < total && self.species(a) != self.species(b);
        if self.pairs.len() == self.values.len() && self.pairs.iter().all(fits) {
            return Ok(());
        }
        let expected = format!("a number for each pair of {total} genes of different species");
        let found = format!("{} pairs and {} numbers", self.pairs.len(), self.values.len());
        Err(Error::shape("homologous pairs", expected, found))
    }

    /// Homologues of each gene, ascending, with the position of the pair.
    fn homologues(&self) -> Vec<Vec<(u32, u32)>> {
        let mut of = vec![Vec::new(); self.genes.last().copied().unwrap_or(0)];
        for (&(a, b), at) in self.pairs.iter().zip(0..) {
            of[a as usize].push((b, at));
            of[b as usize].push((a, at));
        }
        of.iter_mut().for_each(|homologues| homologues.sort_unstable());
        of
    }
}

/// A pair of genes in one orientation.
pub(super) fn ordered((a, b): (u32, u32)) -> (u32, u32) {
    (a.min(b), a.max(b))
}

/// All substitutions, largest gain first (ties by gene, ortholog and paralog). `orthologs`: pairs in either orientation; those that
/// are no homologous pairs have nothing to compare. `paralogs`: the pairs that may substitute, `None` for all homologous pairs that
/// are no orthologs; pairs within a species stand for those that they make with the orthologs of their genes.
///
/// # Errors
/// [`Error::Shape`] when the homologous pairs do not fit together.
pub fn paralog_substitutions(
    homology: &HomologousPairs,
    orthologs: &[(u32, u32)],
    paralogs: Option<&[(u32, u32)]>,
    options: &SubstitutionOptions,
    ctx: &Context,
) -> Result<Vec<Substitution>> {
    homology.check()?;
    let orthologous: HashSet<(u32, u32)> = orthologs.iter().copied().map(ordered).collect();
    let allowed = paralogs.map(|paralogs| across_species(homology, &orthologous, paralogs));
    let may = |pair: (u32, u32)| allowed.as_ref().is_none_or(|allowed| allowed.contains(&ordered(pair)));
    let mut found = Vec::new();
    for (gene, homologues) in (0_u32..).zip(homology.homologues()) {
        ctx.check()?;
        for of_species in homologues.chunk_by(|a, b| homology.species(a.0) == homology.species(b.0)) {
            let (real, others): (Vec<_>, Vec<_>) =
                of_species.iter().partition(|(other, _)| orthologous.contains(&ordered((gene, *other))));
            for &(ortholog, pair) in &real {
                for &(paralog, other) in others.iter().filter(|(paralog, _)| may((gene, *paralog))) {
                    let (before, after) = (homology.values[pair as usize], homology.values[other as usize]);
                    found.push(Substitution {
                        gene,
                        ortholog,
                        paralog,
                        ortholog_correlation: before,
                        paralog_correlation: after,
                        gain: after - before,
                    });
                }
            }
        }
    }
    found.retain(|row| row.gain > 0.0 && row.gain >= options.min_gain);
    found.sort_by(|a, b| b.gain.total_cmp(&a.gain)); // stable: ties keep the order of the genes
    Ok(found)
}

/// Pairs of genes of different species: those given, and for a pair within a species those of one gene with the orthologs of the
/// other.
fn across_species(
    homology: &HomologousPairs,
    orthologs: &HashSet<(u32, u32)>,
    paralogs: &[(u32, u32)],
) -> HashSet<(u32, u32)> {
    let mut orthologs_of = vec![Vec::new(); homology.genes.last().copied().unwrap_or(0)];
    for &(a, b) in orthologs {
        orthologs_of[a as usize].push(b);
        orthologs_of[b as usize].push(a);
    }
    let mut across = HashSet::new();
    for &(a, b) in paralogs {
        if homology.species(a) != homology.species(b) {
            across.insert(ordered((a, b)));
            continue;
        }
        for (gene, other) in [(a, b), (b, a)] {
            across.extend(orthologs_of[other as usize].iter().map(|&ortholog| ordered((gene, ortholog))));
        }
    }
    across
}

/// Pairs that are best for each other: no homologue of the other's species has a larger value, from either end. Of equal ones all.
///
/// # Errors
/// [`Error::Shape`] when the homologous pairs do not fit together.
pub fn reciprocal_best(homology: &HomologousPairs) -> Result<Vec<(u32, u32)>> {
    homology.check()?;
    let species = homology.genes.len().saturating_sub(1);
    let mut best = vec![f64::NEG_INFINITY; homology.genes.last().copied().unwrap_or(0) * species];
    let place = |gene: u32, other: u32| gene as usize * species + homology.species(other);
    for (&(a, b), &value) in homology.pairs.iter().zip(homology.values) {
        for at in [place(a, b), place(b, a)] {
            best[at] = best[at].max(value);
        }
    }
    let both = |((a, b), value): (&(u32, u32), &f64)| best[place(*a, *b)] <= *value && best[place(*b, *a)] <= *value;
    Ok(homology.pairs.iter().zip(homology.values).filter(|pair| both(*pair)).map(|(pair, _)| *pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Three species of 8 genes.
    const GENES: [usize; 4] = [0, 8, 16, 24];

    struct World {
        pairs: Vec<(u32, u32)>,
        values: Vec<f64>,
        orthologs: Vec<(u32, u32)>,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let mut rng = Rng::keyed(seed, 0, 0);
            let mut world = World { pairs: Vec::new(), values: Vec::new(), orthologs: Vec::new() };
            for (a, b) in (0..24).flat_map(|a| (a + 1..24).map(move |b| (a, b))).filter(|(a, b)| a / 8 < b / 8) {
                let pair = if rng.uniform() < 0.5 { (a, b) } else { (b, a) };
                if rng.uniform() < 0.5 {
                    world.pairs.push(pair);
                    world.values.push(rng.below(6) as f64 / 5.0);
                }
                // Some orthologs are no homologous pairs.
                if rng.uniform() < 0.25 {
                    world.orthologs.push((pair.1, pair.0));
                }
            }
            world
        }

        fn homology(&self) -> HomologousPairs<'_> {
            HomologousPairs { genes: &GENES, pairs: &self.pairs, values: &self.values }
        }

        fn value(&self, a: u32, b: u32) -> Option<f64> {
            self.pairs.iter().position(|&pair| ordered(pair) == ordered((a, b))).map(|at| self.values[at])
        }

        fn is_ortholog(&self, a: u32, b: u32) -> bool {
            self.orthologs.iter().any(|&pair| ordered(pair) == ordered((a, b)))
        }

        /// (g, h, h′) by the definition.
        fn naive(&self, min_gain: f64, may: impl Fn(u32, u32) -> bool) -> Vec<(u32, u32, u32)> {
            let mut found = Vec::new();
            for (g, h, other) in (0..24).flat_map(|g| (0..576).map(move |x| (g, x / 24, x % 24))) {
                let kinds = h / 8 == other / 8 && self.is_ortholog(g, h) && !self.is_ortholog(g, other);
                if let (true, Some(before), Some(after)) =
                    (kinds && may(g, other), self.value(g, h), self.value(g, other))
                    && after - before > 0.0
                    && after - before >= min_gain
                {
                    found.push((g, h, other));
                }
            }
            found
        }

        fn run(&self, paralogs: Option<&[(u32, u32)]>, min_gain: f64) -> Vec<Substitution> {
            let options = SubstitutionOptions { min_gain };
            paralog_substitutions(&self.homology(), &self.orthologs, paralogs, &options, &Context::default()).unwrap()
        }
    }

    fn sorted(rows: &[Substitution]) -> Vec<(u32, u32, u32)> {
        let mut genes: Vec<_> = rows.iter().map(|row| (row.gene, row.ortholog, row.paralog)).collect();
        genes.sort_unstable();
        genes
    }

    #[test]
    fn as_the_definition_in_every_pair_of_pairs() {
        for seed in 0..5 {
            let world = World::new(seed);
            for min_gain in [0.0, 0.3] {
                let rows = world.run(None, min_gain);
                assert!(rows.len() > 3);
                assert_eq!(sorted(&rows), world.naive(min_gain, |_, _| true));
                assert!(rows.windows(2).all(|w| w[0].gain >= w[1].gain));
                for row in rows {
                    assert_eq!(world.value(row.gene, row.ortholog), Some(row.ortholog_correlation));
                    assert_eq!(world.value(row.gene, row.paralog), Some(row.paralog_correlation));
                    assert_eq!(row.gain, row.paralog_correlation - row.ortholog_correlation);
                }
            }
        }
    }

    #[test]
    fn paralogs_of_a_species_stand_for_their_orthologs() {
        let world = World::new(7);
        let mut rng = Rng::keyed(8, 0, 0);
        let mut pair = || (rng.below(24) as u32, rng.below(24) as u32);
        let given: Vec<(u32, u32)> = (0..60).map(|_| pair()).filter(|(a, b)| a != b).collect();
        let is_given = |a: u32, b: u32| given.iter().any(|&pair| ordered(pair) == ordered((a, b)));
        let may = |g: u32, other: u32| {
            let through = |g: u32, other: u32| {
                (0..24).any(|h| h / 8 == other / 8 && world.is_ortholog(g, h) && is_given(h, other))
            };
            is_given(g, other) || through(g, other) || through(other, g)
        };
        let expected = world.naive(0.0, may);
        let rows = world.run(Some(&given), 0.0);
        assert_eq!(sorted(&rows), expected);
        assert!(!rows.is_empty() && rows.len() < world.run(None, 0.0).len());
        assert!(world.run(Some(&[]), 0.0).is_empty());
    }

    #[test]
    fn best_from_both_ends() {
        for seed in 0..3 {
            let world = World::new(seed);
            let best = reciprocal_best(&world.homology()).unwrap();
            for &(a, b) in &world.pairs {
                let value = world.value(a, b).unwrap();
                let beaten = |g: u32, h: u32| (h / 8 * 8..h / 8 * 8 + 8).any(|x| world.value(g, x) > Some(value));
                assert_eq!(best.contains(&(a, b)), !beaten(a, b) && !beaten(b, a));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let run = |pairs: &[(u32, u32)], values: &[f64]| {
            let homology = HomologousPairs { genes: &GENES, pairs, values };
            paralog_substitutions(&homology, &[], None, &SubstitutionOptions::default(), &Context::default())
        };
        assert!(run(&[(0, 8)], &[1.0]).unwrap().is_empty());
        for (pairs, values) in [(vec![(0, 8)], vec![]), (vec![(0, 24)], vec![1.0]), (vec![(0, 7)], vec![1.0])] {
            assert!(matches!(run(&pairs, &values), Err(Error::Shape { .. })));
        }
    }
}
