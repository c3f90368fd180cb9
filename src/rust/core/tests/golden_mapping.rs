//! The mapping, step by step on the reference's own input, and whole runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod atlases;
mod common;

use atlases::{Atlases, RUNS, options_of};
use common::{Golden, edges_of, graph_error, jaccard, relative_error};
use ndarray::Array2;
use samap_core::Context;
use samap_core::backend::{Backend, Cpu};
use samap_core::mapping::cross_knn::{Blocks, cross_knn};
use samap_core::mapping::expand::{Expansion, budgets, expand};
use samap_core::mapping::mutual::{Cut, Neighbourhood, mutual_graph};
use samap_core::mapping::projection::{Scaled, pair_block, project_cross, project_own, prune, scale_edges};
use samap_core::mapping::stitch::{Coordinates, stitch};
use samap_core::mapping::{MappingOptions, RefineOptions, refine};
use samap_core::sparse::{Graph, row};

const FIXTURES: [&str; 2] = ["small2", "small3"];

fn each_fixture(test: impl Fn(&str, &Golden, &Atlases)) {
    for name in FIXTURES {
        let golden = Golden::open(name);
        let atlases = Atlases::of(&golden);
        test(name, &golden, &atlases);
    }
}

/// Paths of the recorded passes of every run that hold `what`.
fn recorded(golden: &Golden, what: &str) -> Vec<(String, &'static str, usize)> {
    let mut found = Vec::new();
    for run in RUNS {
        for pass in 1..=3 {
            let path = format!("mapping/{run}/iteration{pass}");
            if golden.has(&path) && golden.has(&format!("{path}/{what}")) {
                found.push((path, run, pass));
            }
        }
    }
    assert!(!found.is_empty(), "no recorded {what}");
    found
}

/// The weights a pass began with: the original graph, or the one refined after the pass before.
fn input_of(golden: &Golden, run: &str, pass: usize) -> Graph {
    match pass {
        1 => golden.graph(&format!("mapping/{run}/homology_graph")),
        _ => golden.graph(&format!("mapping/{run}/iteration{}/gnnm_refined", pass - 1)),
    }
}

fn same_edges(x: &Graph, y: &Graph) -> bool {
    (0..x.rows()).all(|i| edges_of(x, i) == edges_of(y, i))
}

#[test]
fn pruned_graphs() {
    each_fixture(|name, golden, atlases| {
        for (path, run, pass) in recorded(golden, "gnnm_pruned") {
            let pruned = prune(&input_of(golden, run, pass), &atlases.gene_weights());
            let error = graph_error(&pruned, &golden.graph(&format!("{path}/gnnm_pruned")));
            assert!(error <= 1e-10, "{name} {path}: {error:e}");
        }
    });
}

#[test]
fn scaled_graphs() {
    each_fixture(|name, golden, _| {
        for (path, ..) in recorded(golden, "gnnm_scaled") {
            let scaled = scale_edges(&golden.graph(&format!("{path}/gnnm_pruned")));
            let error = graph_error(&scaled, &golden.graph(&format!("{path}/gnnm_scaled")));
            assert!(error <= 1e-10, "{name} {path}: {error:e}");
        }
    });
}

#[test]
fn standard_deviations_of_the_translation() {
    each_fixture(|name, golden, atlases| {
        let (ctx, views) = (Context::default(), atlases.atlases());
        let scaled: Vec<Scaled> = views.iter().map(|atlas| Scaled::new(atlas, &ctx).unwrap()).collect();
        for (path, run, _) in recorded(golden, "sigma") {
            let graph = scale_edges(&golden.graph(&format!("{path}/gnnm_pruned")));
            for (a, from) in atlases.ids.iter().enumerate() {
                for (b, to) in atlases.ids.iter().enumerate().filter(|&(b, _)| b != a) {
                    let genes = |s| atlases.homology.genes_of(s);
                    let block = pair_block(&graph, genes(a), genes(b), run != "not_pairwise");
                    let sigma = scaled[a].sigma(&block, &ctx).unwrap();
                    let error = relative_error(&sigma, &golden.f64s(&format!("{path}/sigma/{from};{to}")));
                    assert!(error <= 1e-5, "{name} {path} {from} {to}: {error:e}");
                }
            }
        }
    });
}

/// The latent space of a pass over the recorded pruned graph.
fn projected(golden: &Golden, atlases: &Atlases, path: &str, pairwise: bool) -> Array2<f32> {
    let (ctx, views, cells) = (Context::default(), atlases.atlases(), atlases.cell_offsets());
    let scaled: Vec<Scaled> = views.iter().map(|atlas| Scaled::new(atlas, &ctx).unwrap()).collect();
    let mut latent = project_own(&scaled, &cells, &ctx).unwrap();
    let graph = scale_edges(&golden.graph(&format!("{path}/gnnm_pruned")));
    let offsets = (atlases.homology.offsets.as_slice(), cells.as_slice());
    project_cross(&scaled, &graph, offsets, pairwise, &mut latent, &ctx).unwrap();
    latent
}

#[test]
fn latent_coordinates() {
    each_fixture(|name, golden, atlases| {
        for (path, run, _) in recorded(golden, "wpca") {
            let latent = projected(golden, atlases, &path, run != "not_pairwise");
            let want = golden.dense_f32(&format!("{path}/wpca"));
            let error = common::row_relative_error(latent.view(), want.view());
            println!("{name} {path}: wpca {error:e}");
            assert!(error <= 1e-5, "{name} {path}: {error:e}");
        }
    });
}

/// The blocks of a graph over all cells.
fn blocks_of(graph: &Graph, cells: &[usize]) -> Blocks {
    let species = cells.len() - 1;
    let block =
        |a: usize, b: usize| (a != b).then(|| pair_block(graph, cells[a]..cells[a + 1], cells[b]..cells[b + 1], false));
    (0..species).map(|a| (0..species).map(|b| block(a, b)).collect()).collect()
}

fn all_linked(species: usize) -> Vec<Vec<bool>> {
    (0..species).map(|a| (0..species).map(|b| a != b).collect()).collect()
}

/// Rows with the same columns and values; where columns differ, the values at stake are those of a tie at the cut: all of
/// them the smallest of their row, to 10⁻⁶ (the latent space is `f32`).
fn assert_same_but_for_ties(found: &Graph, want: &Graph, place: &str) {
    let mut ties = 0;
    for i in 0..want.rows() {
        let (x, y) = (row(found, i), row(want, i));
        let error = relative_error(&sorted_values(found, i), &sorted_values(want, i));
        assert!(error <= 1e-5, "{place} row {i}: {error:e}");
        if x.0 == y.0 {
            let error = relative_error(x.1, y.1);
            assert!(error <= 1e-5, "{place} row {i}: {error:e}");
            continue;
        }
        ties += 1;
        for ((columns, values), other) in [(x, y.0), (y, x.0)] {
            let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
            for (j, value) in columns.iter().zip(values).filter(|(j, _)| !other.contains(j)) {
                assert!(value - smallest <= 1e-6 * value, "{place} row {i}: neighbour {j} is no tie");
            }
        }
    }
    if ties > 0 {
        println!("{place}: {ties} rows with a tie at the cut");
    }
}

#[test]
fn cross_species_neighbours() {
    each_fixture(|name, golden, atlases| {
        let (ctx, cells) = (Context::default(), atlases.cell_offsets());
        let species = atlases.ids.len();
        for (path, run, pass) in recorded(golden, "cross_knn") {
            let options = options_of(run, species);
            let latent = if pass == 1 && golden.has(&format!("{path}/wpca")) {
                golden.dense_f32(&format!("{path}/wpca"))
            } else {
                projected(golden, atlases, &path, options.pairwise)
            };
            let linked = all_linked(species);
            let found = cross_knn(&latent, &cells, &linked, options.cross_species_k, &options.knn, &ctx).unwrap();
            let want = blocks_of(&golden.graph(&format!("{path}/cross_knn")), &cells);
            for (found, want) in found.iter().flatten().zip(want.iter().flatten()) {
                let (Some(found), Some(want)) = (found, want) else {
                    assert!(found.is_none() && want.is_none());
                    continue;
                };
                assert_same_but_for_ties(found, want, &format!("{name} {path}"));
            }
        }
    });
}

#[test]
fn expanded_neighbourhoods() {
    each_fixture(|name, golden, atlases| {
        for (path, run, _) in recorded(golden, "expanded") {
            let options = options_of(run, atlases.ids.len());
            for (id, species) in atlases.ids.iter().zip(&atlases.species) {
                let found = expand(
                    &species.neighbours,
                    &budgets(&species.groups, None),
                    options.neighborhood_sizes[0],
                    Expansion::Bfs,
                    &Context::default(),
                )
                .unwrap();
                let want = golden.graph(&format!("{path}/expanded/{id}"));
                (0..want.rows()).for_each(|i| assert_eq!(found.row(i), row(&want, i).0, "{name} {path} {id} {i}"));
            }
        }
    });
}

fn neighbourhoods(atlases: &Atlases, options: &MappingOptions) -> Vec<Neighbourhood> {
    let ctx = Context::default();
    let of_species = |s: usize| {
        let species = &atlases.species[s];
        if options.neigh_from_keys[s.min(options.neigh_from_keys.len() - 1)] {
            return Cpu.neighbourhood_of_groups(&species.groups);
        }
        let budgets = budgets(&species.groups, None);
        let size = options.neighborhood_sizes[0];
        Cpu.neighbourhood(&species.groups, &species.neighbours, &budgets, size, Expansion::Bfs, &ctx).unwrap()
    };
    (0..atlases.species.len()).map(of_species).collect()
}

/// Values of each row in descending order: what can be compared where ties are cut.
fn sorted_values(graph: &Graph, i: usize) -> Vec<f64> {
    let mut values = row(graph, i).1.to_vec();
    values.sort_by(|x, y| y.total_cmp(x));
    values
}

#[test]
fn mutual_graphs() {
    each_fixture(|name, golden, atlases| {
        let (ctx, cells) = (Context::default(), atlases.cell_offsets());
        for (path, run, pass) in recorded(golden, "mutual") {
            let options = options_of(run, atlases.ids.len());
            let blocks = blocks_of(&golden.graph(&format!("{path}/cross_knn")), &cells);
            let latent = if pass == 1 && golden.has(&format!("{path}/wpca")) {
                golden.dense_f32(&format!("{path}/wpca"))
            } else {
                projected(golden, atlases, &path, options.pairwise)
            };
            let coordinates = options.scale_edges_by_corr.then(|| Coordinates::new(&latent));
            let cut = Cut { k: options.cross_species_k, per_partner: options.pairwise };
            let hoods = neighbourhoods(atlases, &options);
            let found = mutual_graph(&blocks, &hoods, &cells, coordinates.as_ref(), cut, &ctx).unwrap();
            let want = golden.graph(&format!("{path}/mutual"));
            for i in 0..want.rows() {
                let error = relative_error(&sorted_values(&found, i), &sorted_values(&want, i));
                assert!(error <= 1e-5, "{name} {path} row {i}: {error:e}");
                let (found, want) = (edges_of(&found, i), edges_of(&want, i));
                assert_eq!(found, want, "{name} {path} row {i}: other partners");
            }
        }
    });
}

#[test]
fn stitched_graphs() {
    each_fixture(|name, golden, atlases| {
        let cells = atlases.cell_offsets();
        let neighbours: Vec<_> = atlases.species.iter().map(|s| &s.neighbours).collect();
        for (path, run, _) in recorded(golden, "mutual") {
            let options = options_of(run, atlases.ids.len());
            let partners = if options.pairwise { atlases.ids.len() - 1 } else { 1 };
            let denominator = (options.cross_species_k * partners) as f64;
            let found = stitch(&golden.graph(&format!("{path}/mutual")), &neighbours, &cells, denominator);
            let want = golden.graph(&format!("{path}/connectivities"));
            let error = graph_error(&found, &want);
            assert!(error <= 1e-10 && same_edges(&found, &want), "{name} {path}: {error:e}");
        }
    });
}

#[test]
fn refined_homology() {
    each_fixture(|name, golden, atlases| {
        for (path, run, _) in recorded(golden, "gnnm_refined") {
            if !golden.has(&format!("{path}/connectivities")) {
                continue;
            }
            let stitched = golden.graph(&format!("{path}/connectivities"));
            let want = golden.graph(&format!("{path}/gnnm_refined"));
            let options = options_of(run, atlases.ids.len()).refinement();
            let dense =
                refine(&atlases.atlases(), &atlases.homology, &stitched, &options, &Context::default()).unwrap();
            let error = graph_error(&dense, &want);
            println!("{name} {path}: refined {error:e}");
            assert!(error <= 1e-5 && same_edges(&dense, &want), "{name} {path}: {error:e}");

            // Streamed, whatever the tiles, the bits are the same.
            let tiny = Context::new(100_000);
            let streamed = RefineOptions { memory: 0, n_gene_chunks: 5, ..options };
            let streamed = refine(&atlases.atlases(), &atlases.homology, &stitched, &streamed, &tiny).unwrap();
            assert!(streamed == dense, "{name} {path}");
            assert_eq!(tiny.choices()[0].chosen, "streamed");
        }
    });
}

#[test]
fn whole_runs() {
    each_fixture(|name, golden, atlases| {
        for variant in RUNS {
            let options = options_of(variant, atlases.ids.len());
            let mapping = atlases.map(&options);
            let stitched = &mapping.passes[mapping.passes.len() - 1].stitched;
            let want = golden.graph(&format!("mapping/{variant}/connectivities"));
            let shared = jaccard(stitched, &want);
            let refined = golden.graph(&format!("mapping/{variant}/homology_graph_reweighted"));
            let likeness = atlases.refined_pearson(&mapping.refined, &refined);
            println!(
                "{name} {variant}: edges {shared:.5}, weights {:e}, refined {likeness:.8}",
                graph_error(stitched, &want)
            );
            assert!(shared >= 0.97, "{name} {variant}: edge Jaccard {shared}");
            assert!(likeness >= 0.999, "{name} {variant}: refined correlations {likeness}");
        }
    });
}
