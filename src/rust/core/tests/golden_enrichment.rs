//! Enrichment against the reference, fed with the reference's own gene pairs.

// Helpers of tests fail the test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod annotated;
mod atlases;
mod common;

use annotated::{Annotated, gene_pair_columns};
use atlases::Atlases;
use common::Golden;
use samap_core::Context;
use samap_core::analysis::*;
use std::collections::{BTreeMap, BTreeSet};

/// The annotation of the fixtures: the first letter of a gene's symbol is its term; other characters are none.
fn term(gene: &str) -> Option<u32> {
    let first = gene.chars().next().unwrap().to_ascii_uppercase();
    first.is_ascii_alphabetic().then(|| first as u32 - 'A' as u32)
}

/// Genes of both species in the gene pairs of each type, as the reference counts them.
fn targets(golden: &Golden) -> BTreeMap<String, BTreeSet<String>> {
    let mut targets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (types, rows) in gene_pair_columns(&golden.frame("analysis/default/gene_pairs")) {
        for of_type in types.split(';').filter(|_| !rows.is_empty()) {
            let genes = targets.entry(of_type.to_owned()).or_default();
            genes.extend(rows.iter().flat_map(|(pair, ..)| pair.split(';').map(str::to_owned)));
        }
    }
    targets
}

/// All p-values and numbers of genes. The reference does not test the term "S", and counts genes of all species alike.
#[test]
fn tails_and_numbers_of_genes() {
    for name in ["small2", "small3"] {
        let golden = Golden::open(name);
        let run = Annotated::reference(&golden, &Atlases::of(&golden), "default");
        let annotated: BTreeMap<String, u32> = (0..run.species())
            .flat_map(|s| run.genes[s].iter().map(move |gene| (s, gene)))
            .filter_map(|(s, gene)| Some((format!("{}_{gene}", run.atlases.ids[s]), term(gene)?)))
            .collect();
        let universe: Vec<&String> = annotated.keys().collect();
        let pairs = annotated.values().zip(0..).map(|(&term, gene)| (gene, term)).collect();
        let sets = GeneSets::new(universe.len(), 26, pairs).unwrap();
        let targets = targets(&golden);
        let of_type = |genes: &BTreeSet<String>| {
            genes.iter().filter_map(|gene| universe.binary_search(&gene).ok()).map(|at| at as u32).collect()
        };
        let lists: Vec<Vec<u32>> = targets.values().map(of_type).collect();
        let rows = enrich(&sets, &lists, &EnrichmentOptions::default(), &Context::default()).unwrap();

        let (tails, numbers) = (
            golden.frame("analysis/default/enrichment/neglog10p"),
            golden.frame("analysis/default/enrichment/n_genes"),
        );
        assert_eq!(tails.index, targets.keys().cloned().collect::<Vec<_>>());
        let (expected, counts) = (tails.matrix(), numbers.matrix());
        let (mut seen, mut worst) = (0, 0.0_f64);
        for row in &rows {
            let letter = char::from(b'A' + row.term as u8).to_string();
            let at = [row.list as usize, tails.position(&letter)];
            if letter == "S" {
                assert_eq!((expected[at], counts[at]), (0.0, 0.0));
                continue;
            }
            seen += 1;
            assert_eq!(counts[at], row.genes.len() as f64, "{name} {at:?}");
            worst = worst.max((row.pval / 10f64.powf(-expected[at]) - 1.0).abs());
        }
        println!("{name}: {seen} terms of {} types, relative error of p {worst:e}", lists.len());
        // Theirs is a sum of exponentials of log binomials, which are sums of logarithms.
        assert!(worst < 1e-10, "{name}: {worst:e}");
        assert_eq!(seen, counts.iter().filter(|count| **count > 0.0).count());
    }
}
