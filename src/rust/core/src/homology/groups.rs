//! Homology from groups of orthologs. In: per species, genes and the groups they belong to. Out: every pair of genes of different
//! species that share a group, once.

use super::Gene;
use crate::io::eggnog::GroupTable;
use crate::{Context, Error, Result};
use std::collections::BTreeMap;

/// How groups become pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    /// Groups with more genes (of all species) are left out: they say little, and their pairs grow with the square.
    pub max_group_size: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        GroupOptions { max_group_size: 200 }
    }
}

/// Pairs of genes that share a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupPairs {
    /// Pairs, the first of an earlier species; each once, ascending.
    pub pairs: Vec<(Gene, Gene)>,
    /// Groups with genes of two species or more, the left out ones among them.
    pub groups: usize,
    /// Groups that were left out for their size.
    pub skipped: usize,
    /// Number of genes of the largest of all groups.
    pub largest: usize,
}

/// The pairs of genes of different species (one table per species) that share a group. A gene in several groups is paired
/// through each of them.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn group_pairs(tables: &[GroupTable], options: &GroupOptions, ctx: &Context) -> Result<GroupPairs> {
    let mut groups: BTreeMap<&str, Vec<Gene>> = BTreeMap::new();
    for (species, table) in (0..).zip(tables) {
        for &(index, group) in &table.members {
            groups.entry(&table.groups[group as usize]).or_default().push(Gene { species, index });
        }
    }
    let mut out = GroupPairs::default();
    for genes in groups.values().filter(|genes| genes.iter().any(|gene| gene.species != genes[0].species)) {
        ctx.check()?;
        out.groups += 1;
        out.largest = out.largest.max(genes.len());
        if genes.len() > options.max_group_size {
            out.skipped += 1;
            continue;
        }
        for (at, &a) in genes.iter().enumerate() {
            out.pairs.extend(genes[at + 1..].iter().filter(|b| b.species != a.species).map(|&b| (a, b)));
        }
    }
    out.pairs.sort_unstable();
    out.pairs.dedup();
    Ok(out)
}

/// The error for tables without a pair: which levels there are.
pub fn no_pairs(tables: &[GroupTable], pairs: &GroupPairs, taxon: &str) -> Error {
    if pairs.skipped > 0 {
        let found =
            format!("every group that species share ({}) has more genes (up to {})", pairs.skipped, pairs.largest);
        return Error::argument("max_group_size", found, "Raise it.");
    }
    let all = GroupTable::joined(tables);
    let most: Vec<&str> = all.levels.iter().take(8).map(|level| level.0.as_str()).collect();
    let found = format!("no two species share a group at {taxon}; levels with most genes: {}", most.join(", "));
    Error::argument("taxon", found, "Give a level that all tables have, such as 2759 (eukaryotes) or 33208 (animals).")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(genes: &[&str], groups: &[&str], members: &[(u32, u32)]) -> GroupTable {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let levels = vec![("2759|Eukaryota".to_owned(), genes.len())];
        GroupTable { genes: owned(genes), groups: owned(groups), members: members.to_vec(), levels }
    }

    fn pairs(tables: &[GroupTable], max_group_size: usize) -> GroupPairs {
        group_pairs(tables, &GroupOptions { max_group_size }, &Context::default()).unwrap()
    }

    #[test]
    fn genes_of_different_species_that_share_a_group_are_pairs_once() {
        let tables = [
            table(&["a0", "a1"], &["G", "H"], &[(0, 0), (0, 1), (1, 0)]),
            table(&["b0"], &["G", "H"], &[(0, 0), (0, 1)]),
            table(&["c0", "c1"], &["G", "X"], &[(0, 0), (1, 1)]),
        ];
        let found = pairs(&tables, 200);
        let as_numbers: Vec<_> = found.pairs.iter().map(|(a, b)| (a.species, a.index, b.species, b.index)).collect();
        assert_eq!(as_numbers, [(0, 0, 1, 0), (0, 0, 2, 0), (0, 1, 1, 0), (0, 1, 2, 0), (1, 0, 2, 0)]);
        assert_eq!((found.groups, found.skipped, found.largest), (2, 0, 4));
        // G has four genes, H two.
        let small = pairs(&tables, 3);
        assert_eq!((small.pairs.len(), small.groups, small.skipped), (1, 2, 1));
    }

    #[test]
    fn without_pairs_the_error_names_what_can_be_changed() {
        let tables = [table(&["a"], &["G"], &[(0, 0)]), table(&["b"], &["G"], &[(0, 0)])];
        let too_small = no_pairs(&tables, &pairs(&tables, 1), "2759");
        assert!(too_small.to_string().contains("`max_group_size`: every group that species share (1)"), "{too_small}");
        let apart = [table(&["a"], &["G"], &[(0, 0)]), table(&["b"], &["H"], &[(0, 0)])];
        let wrong = no_pairs(&apart, &pairs(&apart, 200), "7");
        assert!(wrong.to_string().contains("levels with most genes: 2759|Eukaryota"), "{wrong}");
    }
}
