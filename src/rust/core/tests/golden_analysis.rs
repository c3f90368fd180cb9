//! Analysis tables and BLAST tables against the reference, fed with the reference's own graphs and expression.

// Helpers of tests fail the test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod annotated;
mod atlases;
mod common;

use annotated::{Annotated, gene_pair_columns};
use atlases::Atlases;
use common::{Golden, folder, graph_error, relative_error};
use samap_core::Context;
use samap_core::analysis::*;
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::io::blast::{BlastOptions, BlastTable, PairEdges, read_blast, reciprocal_edges};
use std::collections::{BTreeSet, HashMap};

/// A fixture, and the end of its default run as the reference has it.
fn open(name: &str) -> (Golden, Annotated) {
    let golden = Golden::open(name);
    let run = Annotated::reference(&golden, &Atlases::of(&golden), "default");
    (golden, run)
}

#[test]
fn alignment_scores_and_their_top_cells() {
    for name in ["small2", "small3"] {
        let (golden, run) = open(name);
        for (path, n_top) in [("mapping_scores", 0), ("mapping_scores_top5", 5)] {
            let frame = golden.frame(&format!("analysis/default/{path}"));
            let found = run.score_matrix(20, n_top, &frame.index);
            let error = (found - frame.matrix()).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()));
            println!("{name} {path}: {error:e}");
            assert!(error <= 1e-12, "{name} {path}: {error:e}");
        }
    }
}

#[test]
fn markers_in_the_form_of_the_reference() {
    for name in ["small2", "small3"] {
        let (golden, run) = open(name);
        for (s, markers) in run.markers(Test::Reference).iter().enumerate() {
            let frame = |what: &str| golden.frame(&format!("analysis/default/markers/{}/{what}", run.atlases.ids[s]));
            let (scores, pvals) = (frame("scores"), frame("pvals"));
            for (kind, level) in run.types[s].iter().enumerate() {
                // Scores are stored as float32 in the reference.
                let error = relative_error(&markers.scores.column(kind).to_vec(), scores.numbers(level));
                assert!(error < 1e-7, "{name} {level}: scores {error:e}");
                let pairs = markers.pvals.column(kind).into_iter().zip(pvals.numbers(level));
                let error = pairs.map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
                println!("{name} {level}: p {error:e}");
                assert!(error < 1e-11, "{name} {level}: p {error:e}");
            }
        }
    }
}

/// Every candidate, whatever its p.
const ALL: GenePairOptions = GenePairOptions {
    min_score: 0.0,
    min_weight: 0.2,
    min_fraction: 0.05,
    max_pairs: usize::MAX,
    max_pval: f64::INFINITY,
    direction: Direction::Enriched,
};

#[test]
fn scores_of_the_gene_pairs_of_the_best_types() {
    for name in ["small2", "small3"] {
        let (golden, run) = open(name);
        let mut types = golden.strings("analysis/default/find_genes/pair");
        let swapped = types[0] > types[1];
        types.sort();
        let types = types.join(";");
        let found: HashMap<String, f64> = run
            .pairs(&ALL)
            .iter()
            .filter(|row| run.names(row).0 == types)
            .map(|row| (run.names(row).1, row.score))
            .collect();
        let edges = golden.strings("analysis/default/find_genes/score_names");
        let golden = golden.f64s("analysis/default/find_genes/scores");
        let scores: Vec<f64> = edges
            .iter()
            .map(|edge| {
                let (g, h) = edge.split_once(';').unwrap();
                let edge = if swapped { format!("{h};{g}") } else { edge.clone() };
                found.get(&edge).copied().unwrap_or(0.0)
            })
            .collect();
        assert_eq!(found.len(), scores.iter().filter(|score| **score > 0.0).count());
        let error = relative_error(&scores, &golden);
        println!("{name}: {} of {} edges, {error:e}", found.len(), edges.len());
        assert!(error <= 1e-5, "{name}: {error:e}");
        // The same edges are candidates.
        assert!(scores.iter().zip(&golden).all(|(a, b)| (*a > 0.0) == (*b > 0.0)));
    }
}

/// The table of all gene pairs. The reference fills its list of the best 1000 with pairs whose score is 0 (a gene below the
/// weight threshold, hardly expressed, or not above the mean of the edges), in no defined order; ours has none of them.
#[test]
fn tables_of_gene_pairs() {
    for name in ["small2", "small3"] {
        let (golden, run) = open(name);
        let options = GenePairOptions { min_score: 0.2, ..GenePairOptions::default() };
        let rows = run.pairs(&options);
        let candidates: BTreeSet<_> = run.pairs(&ALL).iter().map(|row| run.names(row)).collect();
        let golden = gene_pair_columns(&golden.frame("analysis/default/gene_pairs"));
        let types: BTreeSet<_> = rows.iter().map(|row| run.names(row).0).collect();
        let ours: HashMap<_, _> = rows.iter().map(|row| (run.names(row), row)).collect();
        let (mut both, mut all, mut without_score) = (0, 0, 0);
        for (types, pairs) in &golden {
            for (genes, p, q) in pairs {
                all += 1;
                let key = (types.clone(), genes.clone());
                let Some(row) = ours.get(&key) else {
                    assert!(!candidates.contains(&key), "{key:?} has a score and is missing");
                    without_score += 1;
                    continue;
                };
                both += 1;
                let swapped = run.type_name(row.species_a, row.type_a) > run.type_name(row.species_b, row.type_b);
                let (p, q) = if swapped { (q, p) } else { (p, q) };
                assert!((row.pval_a / p - 1.0).abs() < 1e-10 && (row.pval_b / q - 1.0).abs() < 1e-10);
            }
            // In the same order, up to ties.
            let order: Vec<f64> = pairs
                .iter()
                .filter_map(|(genes, ..)| ours.get(&(types.clone(), genes.clone())))
                .map(|row| row.score)
                .collect();
            assert!(order.windows(2).all(|w| w[0] >= w[1] * (1.0 - 1e-6)), "{types}");
        }
        println!("{name}: ours {}, reference {all}, both {both}, of score 0 {without_score}", ours.len());
        assert_eq!(both, ours.len(), "ours has no pair that the reference has not");
        assert_eq!(both + without_score, all);
        assert!(both as f64 >= 0.95 * all as f64);
        assert!(types.len() <= golden.len());
    }
}

fn tables(name: &str, a: &str, b: &str, ctx: &Context) -> (BlastTable, BlastTable) {
    let read = |from: &str, to: &str| {
        let path = folder().join(format!("maps_{name}/{a}{b}/{from}_to_{to}.txt"));
        read_blast(&path, &BlastOptions::default(), ctx).unwrap()
    };
    (read(a, b), read(b, a))
}

/// The hits of a table if the last row of a pair counted, as in the reference.
fn last_rows(path: &std::path::Path) -> HashMap<(String, String), f64> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let good = rows.filter(|row| row[10].parse::<f64>().unwrap() <= 1e-6);
    good.map(|row| ((row[0].to_owned(), row[1].to_owned()), row[11].parse().unwrap())).collect()
}

/// Names of a species in any of the tables, in the order of their code points.
fn names_of(species: usize, pairs: &[(usize, usize, PairEdges)]) -> Vec<&String> {
    let all = pairs.iter().flat_map(|(a, b, pair)| [(*a, &pair.genes_a), (*b, &pair.genes_b)]);
    let names: BTreeSet<&String> = all.filter(|(of, _)| *of == species).flat_map(|(_, names)| names).collect();
    names.into_iter().collect()
}

/// Equal to the reference where the last row of a pair is the best one; above it elsewhere, and equal again when our hits
/// are replaced by the last rows.
#[test]
fn blast_tables() {
    let ctx = Context::default();
    for name in ["small2", "small3"] {
        let golden = Golden::open(name);
        let ids = golden.species();
        let (mut best, mut last): (Vec<_>, Vec<_>) = Default::default();
        for (a, b) in (0..ids.len()).flat_map(|a| (a + 1..ids.len()).map(move |b| (a, b))).collect::<Vec<_>>() {
            let (mut ab, mut ba) = tables(name, &ids[a], &ids[b], &ctx);
            best.push((a, b, reciprocal_edges(&ab, &ba)));
            for (table, from, to) in [(&mut ab, &ids[a], &ids[b]), (&mut ba, &ids[b], &ids[a])] {
                let rows = last_rows(&folder().join(format!("maps_{name}/{}{}/{from}_to_{to}.txt", ids[a], ids[b])));
                for hit in &mut table.hits {
                    let names = (&table.queries[hit.query as usize], &table.targets[hit.target as usize]);
                    hit.score = rows[&(names.0.clone(), names.1.clone())];
                }
                assert_eq!(rows.len(), table.hits.len());
            }
            last.push((a, b, reciprocal_edges(&ab, &ba)));
        }
        let (genes, expected) = (golden.strings("blast/raw/genes"), golden.graph("blast/raw/graph"));
        let graph = |pairs: &[(usize, usize, PairEdges)]| {
            let named: Vec<Vec<&String>> = (0..ids.len()).map(|species| names_of(species, pairs)).collect();
            let counts: Vec<usize> = named.iter().map(Vec::len).collect();
            let prefixed =
                ids.iter().zip(&named).flat_map(|(id, names)| names.iter().map(move |g| format!("{id}_{g}")));
            assert_eq!(prefixed.collect::<Vec<_>>(), genes);
            let gene = |species: usize, name: &String| {
                let index = named[species].binary_search(&name).unwrap() as u32;
                Gene { species: species as u32, index }
            };
            let edges = pairs.iter().flat_map(|(a, b, pair)| {
                pair.edges.iter().map(|&(g, h, weight)| Edge {
                    a: gene(*a, &pair.genes_a[g as usize]),
                    b: gene(*b, &pair.genes_b[h as usize]),
                    weight,
                })
            });
            HomologyGraph::from_edges(&counts, edges, &ctx).unwrap().weights
        };
        assert_eq!(graph_error(&graph(&last), &expected), 0.0);
        let best = graph(&best);
        assert_eq!((best.indptr(), best.indices()), (expected.indptr(), expected.indices()));
        let larger = best.data().iter().zip(expected.data()).filter(|(a, b)| a > b).count();
        assert!(best.data().iter().zip(expected.data()).all(|(a, b)| a >= b));
        println!("{name}: {larger} of {} entries are larger than the last row's", best.nnz());
        assert!(larger > 0 && larger < best.nnz() / 10);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (_, run) = open("small3");
    let all = || {
        let markers = run.markers(Test::TieCorrected);
        (run.scores(20, 0), run.scores(20, 5), markers, run.pairs(&GenePairOptions::default()))
    };
    let expected = all();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(all) == expected);
    }
}
