//! What holds for whole runs on any data, tested on planted cell types: results follow cells, genes and species wherever they
//! stand; neither threads nor repetition change a bit; a run can be continued; odd designs and odd cells are harmless.

#![allow(clippy::unwrap_used)] // helpers of tests

mod atlases;
mod common;
mod planted;

use common::{edges_of, jaccard};
use planted::{Order, Planted, Run, Scores, TYPES, shuffled};
use samap_core::Context;
use samap_core::analysis::UNLABELLED;
use samap_core::knn::{KnnOptions, Method};
use samap_core::linalg::pca::PcaSolver;
use samap_core::mapping::{self, MappingOptions, Start};
use samap_core::sam::run::SamOptions;
use samap_core::sparse::{Graph, graph_from_rows, row};

fn default_run(planted: &Planted) -> Run {
    planted.run(&SamOptions::default(), &MappingOptions::default())
}

fn last_stitched(run: &Run) -> &Graph {
    &run.mapping.passes[run.mapping.passes.len() - 1].stitched
}

/// Every type is aligned with itself in the other species, and with no other type.
fn assert_aligned(scores: &Scores, place: &str) {
    for (&[(a, kind_a), (b, kind_b)], &score) in scores {
        let as_planted = if kind_a == kind_b { score > 0.3 } else { score < 0.1 };
        assert!(as_planted, "{place}: type {kind_a} of {a} with {kind_b} of {b}: {score}");
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

/// Everything that a run found is found again at the new places.
fn assert_follows(before: &Run, after: &Run, order: &Order, place: &str) {
    for (new, &s) in order.species.iter().enumerate() {
        let (x, y) = (&before.atlases.species[s], &after.atlases.species[new]);
        for (g, &old) in order.genes[s].iter().enumerate() {
            let difference = (x.weights[old] - y.weights[g]).abs();
            assert!(difference <= 1e-6, "{place}: weight of gene {old} of {s}: {difference:e}");
        }
        for (i, &old) in order.cells[s].iter().enumerate() {
            let mut found: Vec<u32> =
                y.neighbours.indices_of(i).iter().map(|&j| order.cells[s][j as usize] as u32).collect();
            let mut expected = x.neighbours.indices_of(old).to_vec();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{place}: neighbours of cell {old} of {s}");
        }
    }
    let stitched = back(last_stitched(after), &old_numbers(order, &order.cells));
    let edges = jaccard(&stitched, last_stitched(before));
    let refined = back(&after.mapping.refined, &old_homologous(order, before, after));
    let refined = before.atlases.refined_pearson(&refined, &before.mapping.refined);
    let (old, new) = (before.scores(), after.scores());
    let moved = new.iter().map(|(&[(a, kind_a), (b, kind_b)], score)| {
        let species = |new: u32| order.species[new as usize] as u32;
        (score - old[&[(species(a), kind_a), (species(b), kind_b)]]).abs()
    });
    let moved = moved.fold(0.0, f64::max);
    println!("{place}: scores {moved:.2e}, edges {edges:.5}, refined {refined:.8}");
    assert!(moved < 0.02 && edges >= 0.97 && refined >= 0.999, "{place}: {moved} {edges} {refined}");
}

#[test]
fn results_follow_cells_genes_and_species() {
    let planted = Planted::new(3);
    let before = default_run(&planted);
    assert_aligned(&before.scores(), "as it is");
    let same = planted.order();
    let shuffle = |orders: &[Vec<usize>]| -> Vec<Vec<usize>> {
        orders.iter().zip(0..).map(|(order, seed)| shuffled(order.len(), seed)).collect()
    };
    let orders = [
        ("cells", Order { cells: shuffle(&same.cells), ..same.clone() }),
        ("genes", Order { genes: shuffle(&same.genes), ..same.clone() }),
        ("species", Order { species: vec![2, 0, 1], ..same.clone() }),
        ("all", Order { cells: shuffle(&same.cells), genes: shuffle(&same.genes), species: vec![1, 2, 0] }),
    ];
    for (place, order) in orders {
        assert_follows(&before, &default_run(&planted.reordered(&order)), &order, place);
    }
}

#[test]
fn neither_threads_nor_repetition_change_a_bit() {
    let planted = Planted::new(3);
    let knn = |method| KnnOptions { method, ..KnnOptions::default() };
    let variants = [
        (PcaSolver::Exact, knn(Method::Exact)),
        (PcaSolver::Lanczos, knn(Method::InvertedFile)),
        (PcaSolver::Randomized, knn(Method::Hnsw)),
    ];
    for (solver, knn) in variants {
        let sam = SamOptions { solver, knn: knn.clone(), ..SamOptions::default() };
        let options = MappingOptions { knn, keep_iterations: true, ..MappingOptions::default() };
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
    let moved = scores.iter().map(|(types, score)| (score - full[types]).abs()).fold(0.0, f64::max);
    println!("empty cells move the scores by {moved:.2e}");
    assert!(moved < 0.02, "empty cells move the scores by {moved}");
    let finite = |graph: &Graph| graph.data().iter().all(|x| x.is_finite());
    assert!(finite(last_stitched(&run)) && finite(&run.mapping.refined));
    assert!(run.mapping.latent.iter().all(|x| x.is_finite()));
}
