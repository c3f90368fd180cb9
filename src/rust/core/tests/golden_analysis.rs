//! Analysis tables and BLAST tables against the reference, fed with the reference's own graphs and expression.

// Helpers of tests fail the test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Frame, Golden, Values, folder, graph_error, relative_error};
use samap_core::Context;
use samap_core::analysis::*;
use samap_core::homology::HomologyGraph;
use samap_core::io::blast::{BlastOptions, BlastTable, PairEdges, combine, read_blast, reciprocal_edges};
use samap_core::sparse::{Expression, Graph};
use std::collections::{BTreeSet, HashMap};

/// The default run of a fixture.
struct Run {
    golden: Golden,
    ids: Vec<String>,
    expression: Vec<Expression>,
    weights: Vec<Vec<f64>>,
    /// Names of all genes of each species.
    genes: Vec<Vec<String>>,
    gene_columns: Vec<Vec<u32>>,
    gene_offsets: Vec<usize>,
    /// Names of the types, sorted.
    types: Vec<Vec<String>>,
    labels: Vec<Vec<u32>>,
    cell_offsets: Vec<usize>,
    refined: Graph,
    stitched: Graph,
}

/// Numbers of sorted names.
fn encode(names: &[String]) -> (Vec<String>, Vec<u32>) {
    let levels: Vec<String> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let codes = names.iter().map(|name| levels.binary_search(name).unwrap() as u32).collect();
    (levels, codes)
}

fn sums(counts: impl Iterator<Item = usize>) -> Vec<usize> {
    std::iter::once(0)
        .chain(counts.scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
        .collect()
}

impl Run {
    fn open(name: &str) -> Self {
        let golden = Golden::open(name);
        let ids = golden.species();
        let of = |path: &str| ids.iter().map(|id| format!("species/{id}/{path}")).collect::<Vec<_>>();
        let genes: Vec<Vec<String>> = of("genes").iter().map(|path| golden.strings(path)).collect();
        let homologous = golden.strings("mapping/default/homology_genes");
        let gene_columns: Vec<Vec<u32>> = ids
            .iter()
            .zip(&genes)
            .map(|(id, genes)| {
                let place: HashMap<&str, u32> = genes.iter().map(String::as_str).zip(0..).collect();
                homologous.iter().filter_map(|name| name.strip_prefix(&format!("{id}_"))).map(|g| place[g]).collect()
            })
            .collect();
        let expression: Vec<_> = of("preprocess/X").iter().map(|path| golden.expression(path)).collect();
        let (types, labels) = of("cell_type").iter().map(|path| encode(&golden.strings(path))).unzip();
        Run {
            weights: of("sam/weights").iter().map(|path| golden.f64s(path)).collect(),
            gene_offsets: sums(gene_columns.iter().map(Vec::len)),
            cell_offsets: sums(expression.iter().map(Expression::cells)),
            refined: golden.graph("mapping/default/homology_graph_reweighted"),
            stitched: golden.graph("mapping/default/connectivities"),
            ids,
            expression,
            genes,
            gene_columns,
            types,
            labels,
            golden,
        }
    }

    fn labels(&self, species: usize) -> Labels<'_> {
        Labels { of: &self.labels[species], types: self.types[species].len() }
    }

    fn scores(&self, n_top: usize) -> Vec<AlignmentScore> {
        let labels: Vec<_> = (0..self.ids.len()).map(|s| Some(self.labels(s))).collect();
        alignment_scores(&self.stitched, &self.cell_offsets, &labels, 20, n_top, &Context::default()).unwrap()
    }

    fn markers(&self, test: Test) -> Vec<Markers> {
        let of = |s: usize| cluster_markers(&self.expression[s], self.labels(s), test, &Context::default()).unwrap();
        (0..self.ids.len()).map(of).collect()
    }

    fn pairs(&self, options: &GenePairOptions) -> Vec<GenePair> {
        let markers = self.markers(Test::Reference);
        let species: Vec<AnnotatedSpecies> = (0..self.ids.len())
            .map(|s| AnnotatedSpecies {
                expression: &self.expression[s],
                weights: &self.weights[s],
                gene_columns: &self.gene_columns[s],
                labels: self.labels(s),
                markers: &markers[s],
            })
            .collect();
        let input = GenePairInput {
            species: &species,
            genes: &self.gene_offsets,
            refined: &self.refined,
            cells: &self.cell_offsets,
            stitched: &self.stitched,
        };
        gene_pairs(&input, &self.scores(0), options, &Context::default()).unwrap()
    }

    /// `<species>_<type>`, as the reference writes it.
    fn type_name(&self, species: u32, kind: u32) -> String {
        format!("{}_{}", self.ids[species as usize], self.types[species as usize][kind as usize])
    }

    fn gene_name(&self, species: u32, gene: u32) -> String {
        format!("{}_{}", self.ids[species as usize], self.genes[species as usize][gene as usize])
    }

    /// Types and genes of a row as the reference names them, in its lexicographic order of types.
    fn names(&self, row: &GenePair) -> (String, String) {
        let types = [self.type_name(row.species_a, row.type_a), self.type_name(row.species_b, row.type_b)];
        let genes = [self.gene_name(row.species_a, row.gene_a), self.gene_name(row.species_b, row.gene_b)];
        match types[0] < types[1] {
            true => (types.join(";"), genes.join(";")),
            false => (format!("{};{}", types[1], types[0]), format!("{};{}", genes[1], genes[0])),
        }
    }
}

#[test]
fn alignment_scores_and_their_top_cells() {
    for name in ["small2", "small3"] {
        let run = Run::open(name);
        for (path, n_top) in [("mapping_scores", 0), ("mapping_scores_top5", 5)] {
            let frame = run.golden.frame(&format!("analysis/default/{path}"));
            let golden = frame.matrix();
            let place: HashMap<&str, usize> = frame.index.iter().map(String::as_str).zip(0..).collect();
            let scores = run.scores(n_top);
            let mut found = golden.clone();
            found.fill(0.0);
            for s in &scores {
                let a = place[run.type_name(s.species_a, s.type_a).as_str()];
                let b = place[run.type_name(s.species_b, s.type_b).as_str()];
                (found[[a, b]], found[[b, a]]) = (s.score, s.score);
            }
            let error = (&found - &golden).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()));
            println!("{name} {path}: {error:e}");
            assert!(error <= 1e-12, "{name} {path}: {error:e}");
        }
    }
}

#[test]
fn markers_in_the_form_of_the_reference() {
    for name in ["small2", "small3"] {
        let run = Run::open(name);
        for (s, markers) in run.markers(Test::Reference).iter().enumerate() {
            let frame = |what: &str| run.golden.frame(&format!("analysis/default/markers/{}/{what}", run.ids[s]));
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
        let run = Run::open(name);
        let mut types = run.golden.strings("analysis/default/find_genes/pair");
        let swapped = types[0] > types[1];
        types.sort();
        let types = types.join(";");
        let found: HashMap<String, f64> = run
            .pairs(&ALL)
            .iter()
            .filter(|row| run.names(row).0 == types)
            .map(|row| (run.names(row).1, row.score))
            .collect();
        let edges = run.golden.strings("analysis/default/find_genes/score_names");
        let golden = run.golden.f64s("analysis/default/find_genes/scores");
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

/// Gene pair and p of both sides.
type PairRow = (String, f64, f64);

/// The reference's wide table: rows of each pair of types.
fn gene_pair_columns(frame: &Frame) -> Vec<(String, Vec<PairRow>)> {
    let text = |values: &Values| match values {
        Values::Text(values) => values.clone(),
        Values::Numbers(_) => panic!("a column of numbers"),
    };
    frame
        .columns
        .chunks(3)
        .zip(frame.values.chunks(3))
        .map(|(names, values)| {
            let [genes, p, q] = [text(&values[0]), text(&values[1]), text(&values[2])];
            let rows = genes.into_iter().zip(p.iter().zip(q)).filter(|(gene, _)| gene != "nan");
            let rows = rows.map(|(gene, (p, q))| (gene, p.parse().unwrap(), q.parse().unwrap()));
            (names[0].clone(), rows.collect())
        })
        .collect()
}

/// The table of all gene pairs. The reference fills its list of the best 1000 with pairs whose score is 0 (a gene below the
/// weight threshold, hardly expressed, or not above the mean of the edges), in no defined order; ours has none of them.
#[test]
fn tables_of_gene_pairs() {
    for name in ["small2", "small3"] {
        let run = Run::open(name);
        let options = GenePairOptions { min_score: 0.2, ..GenePairOptions::default() };
        let rows = run.pairs(&options);
        let candidates: BTreeSet<_> = run.pairs(&ALL).iter().map(|row| run.names(row)).collect();
        let golden = gene_pair_columns(&run.golden.frame("analysis/default/gene_pairs"));
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
            let named = combine(ids.len(), pairs).unwrap();
            let counts: Vec<usize> = named.genes.iter().map(Vec::len).collect();
            let prefixed =
                ids.iter().zip(&named.genes).flat_map(|(id, names)| names.iter().map(move |g| format!("{id}_{g}")));
            assert_eq!(prefixed.collect::<Vec<_>>(), genes);
            HomologyGraph::from_edges(&counts, named.edges, &ctx).unwrap().weights
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
    let run = Run::open("small3");
    let all = || {
        let markers = run.markers(Test::TieCorrected);
        (run.scores(0), run.scores(5), markers, run.pairs(&GenePairOptions::default()))
    };
    let expected = all();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(all) == expected);
    }
}
