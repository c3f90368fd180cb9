//! What holds for whole runs on any data, tested on planted cell types: results follow cells, genes and species wherever they
//! stand; neither threads nor repetition change a bit; a run can be continued; odd designs and odd cells are harmless.

#![allow(clippy::unwrap_used)] // helpers of tests

mod atlases;
mod common;
mod planted;

use common::{edges_of, graph_error, jaccard};
use planted::{Order, Planted, Run, Scores, TYPES, shuffled};
use samap_core::Context;
use samap_core::analysis::UNLABELLED;
use samap_core::knn::{KnnOptions, Method};
use samap_core::linalg::pca::PcaSolver;
use samap_core::mapping::{self, EdgeMode, MappingOptions, Start};
use samap_core::sam::run::SamOptions;
use samap_core::sparse::{Graph, graph_from_rows, row};

fn default_run(planted: &Planted) -> Run {
    planted.run(&SamOptions::default(), &MappingOptions::default())
}

fn last_stitched(run: &Run) -> &Graph {
    &run.mapping.passes[run.mapping.passes.len() - 1].stitched
}

/// Every type is aligned with itself in the other species, and with no other type but (less) its sibling.
fn assert_aligned(scores: &Scores, place: &str) {
    for (&[(a, kind), (b, other)], &score) in scores {
        let itself = scores[&[(a, kind), (b, kind)]];
        let limit = if kind.min(other) + 2 >= TYPES as u32 { itself.min(0.5) } else { 0.05 };
        let as_planted = if kind == other { score > 0.4 } else { score < limit };
        assert!(as_planted, "{place}: type {kind} of {a} with {other} of {b}: {score}, with itself: {itself}");
    }
}

/// Row `i` of the result becomes row `old[i]`, and so do columns.
fn back(graph: &Graph, old: &[usize]) -> Graph {
    let mut rows = vec![Vec::new(); old.len()];
    for (i, &to) in old.iter().enumerate() {
        let (columns, values) = row(graph, i);
        rows[to] = columns.iter().zip(values).map(|(&j, &value)| (old[j as usize] as u32, value)).collect();
        rows[to].sort_by_key(|entry| entry.0);
    }
    graph_from_rows(old.len(), rows)
}

/// Old number among all species' cells (or genes) of each new one, from the old numbers within each old species.
fn old_numbers(order: &Order, within: &[Vec<usize>]) -> Vec<usize> {
    let first = |s: usize| within[..s].iter().map(Vec::len).sum::<usize>();
    order.species.iter().flat_map(|&s| within[s].iter().map(move |i| first(s) + i)).collect()
}

/// Old position among the homologous genes of each new one.
fn old_homologous(order: &Order, before: &Run, after: &Run) -> Vec<usize> {
    let offsets = &before.atlases.homology.offsets;
    let mut old = Vec::new();
    for (new, &s) in order.species.iter().enumerate() {
        let columns = &before.atlases.species[s].gene_columns;
        for &column in &after.atlases.species[new].gene_columns {
            let gene = order.genes[s][column as usize] as u32;
            old.push(offsets[s] + columns.binary_search(&gene).unwrap());
        }
    }
    old
}

/// What SAM found is found again at the new places.
fn assert_atlases_follow(before: &Run, after: &Run, order: &Order, place: &str) {
    for (new, &s) in order.species.iter().enumerate() {
        let (x, y) = (&before.atlases.species[s], &after.atlases.species[new]);
        for (g, &old) in order.genes[s].iter().enumerate() {
            let difference = (x.weights[old] - y.weights[g]).abs();
            assert!(difference <= 1e-6, "{place}: weight of gene {old} of {s}: {difference:e}");
        }
        for (i, &old) in order.cells[s].iter().enumerate() {
            let sorted = |mut neighbours: Vec<u32>| {
                neighbours.sort_unstable();
                neighbours
            };
            let found = y.neighbours.indices_of(i).iter().map(|&j| order.cells[s][j as usize] as u32).collect();
            let expected = x.neighbours.indices_of(old).to_vec();
            assert_eq!(sorted(found), sorted(expected), "{place}: neighbours of cell {old} of {s}");
        }
    }
}

/// The same edges at the new places, with the same weights.
fn assert_graphs_follow(before: &Run, after: &Run, order: &Order, place: &str) {
    let stitched = back(last_stitched(after), &old_numbers(order, &order.cells));
    let refined = back(&after.mapping.refined, &old_homologous(order, before, after));
    for (found, expected) in [(&stitched, last_stitched(before)), (&refined, &before.mapping.refined)] {
        let (edges, error) = (jaccard(found, expected), graph_error(found, expected));
        assert!(edges == 1.0 && error <= 1e-6, "{place}: edges {edges}, weights {error:e}");
    }
}

/// The largest move of an alignment score.
fn largest_move(before: &Scores, after: &Scores, order: &Order) -> f64 {
    let moves = after.iter().map(|(&[(a, kind_a), (b, kind_b)], score)| {
        let species = |new: u32| order.species[new as usize] as u32;
        (score - before[&[(species(a), kind_a), (species(b), kind_b)]]).abs()
    });
    moves.fold(0.0, f64::max)
}

fn shuffle(orders: &[Vec<usize>], seed: u64) -> Vec<Vec<usize>> {
    orders.iter().zip(seed..).map(|(order, seed)| shuffled(order.len(), seed)).collect()
}

/// Neighbourhoods of one hop fit the budgets here: no tie is cut, and nothing may change but the places.
#[test]
fn results_follow_cells_genes_and_species() {
    let planted = Planted::new(3);
    let run = |planted: &Planted| {
        let options = MappingOptions { neighborhood_sizes: vec![0], ..MappingOptions::default() };
        planted.run(&SamOptions::default(), &options)
    };
    let (before, same) = (run(&planted), planted.order());
    assert_aligned(&before.scores(), "as it is");
    let orders = [
        ("cells", Order { cells: shuffle(&same.cells, 0), ..same.clone() }),
        ("genes", Order { genes: shuffle(&same.genes, 0), ..same.clone() }),
        ("species", Order { species: vec![2, 0, 1], ..same.clone() }),
        ("all", Order { cells: shuffle(&same.cells, 3), genes: shuffle(&same.genes, 3), species: vec![1, 2, 0] }),
    ];
    for (place, order) in orders {
        let after = run(&planted.reordered(&order));
        assert_atlases_follow(&before, &after, &order, place);
        assert_graphs_follow(&before, &after, &order, place);
        let moved = largest_move(&before.scores(), &after.scores(), &order);
        assert!(moved <= 1e-6, "{place}: scores move by {moved:e}");
    }
}

/// The default neighbourhoods are cut in the midst of a hop, and among equals the lowest index wins as in the reference: the
/// order of cells matters, the less the larger the groups are. The groups here have 60 cells and more. Groups with fewer
/// cells than a cell has neighbours are cut in the first hop, and their scores may move by 0.2 and more.
#[test]
fn the_order_of_cells_hardly_matters_where_ties_are_cut() {
    let planted = Planted::scaled(2, 2);
    let before = default_run(&planted);
    assert_aligned(&before.scores(), "as it is");
    for seed in [0, 10, 20] {
        let order = Order { cells: shuffle(&planted.order().cells, seed), ..planted.order() };
        let after = default_run(&planted.reordered(&order));
        assert_atlases_follow(&before, &after, &order, "cells");
        let moved = largest_move(&before.scores(), &after.scores(), &order);
        println!("scores move by {moved:.2e}");
        assert!(moved < 0.02, "seed {seed}: scores move by {moved}");
    }
}

#[test]
fn neither_threads_nor_repetition_change_a_bit() {
    let planted = Planted::new(3);
    let knn = |method| KnnOptions { method, ..KnnOptions::default() };
    let default = MappingOptions::default();
    let variants = [
        (PcaSolver::Exact, Method::Exact, default.clone()),
        (PcaSolver::Lanczos, Method::InvertedFile, MappingOptions { hom_edge_mode: EdgeMode::Xi, ..default.clone() }),
        (PcaSolver::Randomized, Method::Hnsw, MappingOptions { pairwise: false, correlation_memory: 0, ..default }),
    ];
    for (solver, method, options) in variants {
        let sam = SamOptions { solver, knn: knn(method), ..SamOptions::default() };
        let options = MappingOptions { knn: knn(method), keep_iterations: true, ..options };
        let bits = || planted.run(&sam, &options).bits();
        let expected = bits();
        assert!(bits() == expected, "{solver:?}: another run, other bits");
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(bits) == expected, "{solver:?}: other bits with {threads} threads");
        }
    }
}

#[test]
fn one_pass_continued_by_two_is_three_passes() {
    let planted = Planted::new(3);
    let atlases = planted.atlases(&SamOptions::default());
    let passes = |n_iterations| MappingOptions { n_iterations, keep_iterations: true, ..MappingOptions::default() };
    let continued = |from: &mapping::Mapping, n: usize| {
        let last = &from.passes[from.passes.len() - 1];
        let start = Start {
            passes: last.number,
            stitched: &last.stitched,
            refined: &from.refined,
            refined_over: from.refined_over,
        };
        mapping::run(&atlases.atlases(), &atlases.homology, Some(start), &passes(n), &Context::default()).unwrap()
    };
    let three = atlases.map(&passes(3));
    let ends = [
        ("1 + 2", continued(&atlases.map(&passes(1)), 2)),
        ("2 + 1", continued(&atlases.map(&passes(2)), 1)),
        ("1 + 1 + 1", continued(&continued(&atlases.map(&passes(1)), 1), 1)),
    ];
    for (place, end) in ends {
        let same_passes = end.passes.iter().all(|pass| three.passes[pass.number - 1] == *pass);
        assert!(same_passes && end.passes[end.passes.len() - 1].number == 3, "{place}: other passes");
        let (mut x, mut y) = (end, three.clone());
        (x.passes, y.passes) = (Vec::new(), Vec::new());
        assert!(atlases.bits(&x) == atlases.bits(&y) && x.refined_over == y.refined_over, "{place}: other bits");
    }
}

#[test]
fn a_star_aligns_its_centre_with_each_end() {
    let mut planted = Planted::new(3);
    planted.edges.retain(|edge| edge.a.species == 0 || edge.b.species == 0);
    let run = default_run(&planted);
    let scores = run.scores();
    let (ends, centre): (Scores, Scores) = scores.into_iter().partition(|([(a, _), (b, _)], _)| *a != 0 && *b != 0);
    assert_aligned(&centre, "star");
    assert!(ends.values().all(|&score| score == 0.0), "the ends of the star are aligned");
    let offsets = &run.mapping.cell_offsets;
    for i in offsets[1]..offsets[2] {
        assert!(edges_of(last_stitched(&run), i).iter().all(|&j| (j as usize) < offsets[2]), "cell {i}");
    }
    assert!(run.mapping.latent.iter().all(|x| x.is_finite()));
}

#[test]
fn a_species_may_have_a_single_group() {
    let mut planted = Planted::new(2);
    planted.species[1].groups.fill(0);
    let by_cells = default_run(&planted);
    assert_aligned(&by_cells.scores(), "neighbourhoods of cells");
    // With the group as neighbourhood, a cell of species 0 sees no difference between the cells of species 1.
    let options = MappingOptions { neigh_from_keys: vec![false, true], ..MappingOptions::default() };
    let run = planted.run(&SamOptions::default(), &options);
    assert!(run.scores().values().all(|score| (0.0..=1.0).contains(score)));
    assert!(last_stitched(&run).data().iter().all(|weight| weight.is_finite()));
}

#[test]
fn cells_without_counts_are_harmless() {
    let planted = Planted::new(2);
    let full = default_run(&planted).scores();
    let mut with_empty = planted;
    for species in &mut with_empty.species {
        for (i, at) in [0, 50, 122].into_iter().enumerate() {
            species.counts.insert(at, vec![0.0; planted::GENES]);
            species.types.insert(at, UNLABELLED);
            species.groups.insert(at, (i % TYPES) as u32);
        }
    }
    let run = default_run(&with_empty);
    let scores = run.scores();
    assert_aligned(&scores, "with empty cells");
    let moved = largest_move(&full, &scores, &with_empty.order());
    println!("empty cells move the scores by {moved:.2e}");
    assert!(moved < 0.02, "empty cells move the scores by {moved}");
    let finite = |graph: &Graph| graph.data().iter().all(|x| x.is_finite());
    assert!(finite(last_stitched(&run)) && finite(&run.mapping.refined));
    assert!(run.mapping.latent.iter().all(|x| x.is_finite()));
}
