//! What must hold for any mapping: bits do not depend on threads, memory or on where a run was cut in two; renaming cells,
//! genes and species renames the result; what has no partner harms nobody. Also slow second opinions on every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod atlases;
mod common;

use atlases::{Atlases, Species};
use common::{Golden, edges_of, jaccard, relative_error};
use ndarray::{Array2, Axis, concatenate};
use samap_core::homology::{Edge, Gene, HomologyGraph, upper_triangle};
use samap_core::knn::Neighbours;
use samap_core::mapping::{EdgeMode, Expansion, Mapping, MappingOptions, RefineOptions, Start, refine, run};
use samap_core::sparse::{Expression, Graph, graph_from_rows, row};
use samap_core::{Context, Error};

fn small(name: &str) -> Atlases {
    Atlases::of(&Golden::open(name))
}

fn map(atlases: &Atlases, options: &MappingOptions) -> Mapping {
    run(&atlases.atlases(), &atlases.homology, None, options, &Context::default()).unwrap()
}

fn last(mapping: &Mapping) -> &Graph {
    &mapping.passes[mapping.passes.len() - 1].stitched
}

/// A small generator for permutations.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as usize
    }

    /// `p[new] = old`.
    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut p: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| p.swap(i, self.below(i + 1)));
        p
    }
}

fn inverse(p: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; p.len()];
    p.iter().enumerate().for_each(|(new, &old)| inverse[old] = new);
    inverse
}

/// Rows and columns of a graph in a new order.
fn permute_graph(graph: &Graph, rows: &[usize], columns: &[usize]) -> Graph {
    let place = inverse(columns);
    let (mut pointers, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for &old in rows {
        let (columns, weights) = row(graph, old);
        let mut entries: Vec<(u32, f64)> =
            columns.iter().zip(weights).map(|(&j, &w)| (place[j as usize] as u32, w)).collect();
        entries.sort_unstable_by_key(|&(j, _)| j);
        entries.into_iter().for_each(|(j, w)| {
            indices.push(j);
            values.push(w);
        });
        pointers.push(indices.len());
    }
    Graph::new((rows.len(), columns.len()), pointers, indices, values)
}

fn permute_expression(x: &Expression, cells: &[usize], genes: &[usize]) -> Expression {
    let permuted = permute_graph(&common::as_graph(x), cells, genes);
    Expression::from_rows("x", genes.len(), permuted.indptr().raw_storage(), permuted.indices(), permuted.data())
        .unwrap()
}

/// Cells and genes of a species in a new order; its homology genes stay in theirs.
fn permute_species(species: &Species, cells: &[usize], genes: &[usize]) -> Species {
    let (cell, gene) = (inverse(cells), inverse(genes));
    let mut indices = Vec::new();
    for &old in cells {
        indices.extend(species.neighbours.of(old).0.iter().map(|&j| cell[j as usize] as u32));
    }
    Species {
        expression: permute_expression(&species.expression, cells, genes),
        weights: genes.iter().map(|&old| species.weights[old]).collect(),
        neighbours: Neighbours { k: species.neighbours.k, distances: vec![0.0; indices.len()], indices },
        loadings: species.loadings.clone(),
        gene_columns: species.gene_columns.iter().map(|&column| gene[column as usize] as u32).collect(),
        groups: cells.iter().map(|&old| species.groups[old]).collect(),
    }
}

/// Largest difference of two graphs relative to the row's largest weight, where the rows' columns are the same.
fn worst_where_same(x: &Graph, y: &Graph) -> f64 {
    let same = (0..x.rows()).filter(|&i| row(x, i).0 == row(y, i).0);
    same.map(|i| relative_error(row(x, i).1, row(y, i).1)).fold(0.0, f64::max)
}

/// Score of two groups, and the number of cells of the smaller.
#[derive(Debug)]
struct Alignment {
    cells: usize,
    score: f64,
}

/// Alignment scores of all pairs of groups of two species: mean weight to the other group per cell, over K, the larger of
/// both directions.
fn alignment(atlases: &Atlases, graph: &Graph) -> Vec<Alignment> {
    let (a, b) = (&atlases.species[0].groups, &atlases.species[1].groups);
    let groups = |x: &[u32]| x.iter().max().map_or(0, |&last| last as usize + 1);
    let (n, m) = (groups(a), groups(b));
    let (mut forward, mut back) = (vec![0.0; n * m], vec![0.0; n * m]);
    let size = |x: &[u32], group: usize| x.iter().filter(|&&g| g as usize == group).count().max(1) as f64;
    for i in 0..graph.rows() {
        for (&j, &weight) in row(graph, i).0.iter().zip(row(graph, i).1) {
            let j = j as usize;
            if i < a.len() && j >= a.len() {
                forward[a[i] as usize * m + b[j - a.len()] as usize] += weight;
            } else if i >= a.len() && j < a.len() {
                back[a[j] as usize * m + b[i - a.len()] as usize] += weight;
            }
        }
    }
    let score = |x: usize, y: usize| {
        let score = (forward[x * m + y] / size(a, x)).max(back[x * m + y] / size(b, y)) / 20.0;
        Alignment { cells: size(a, x).min(size(b, y)) as usize, score }
    };
    (0..n).flat_map(|x| (0..m).map(move |y| (x, y))).map(|(x, y)| score(x, y)).collect()
}

#[test]
fn threads_change_no_bit() {
    let atlases = small("small3");
    for options in [
        MappingOptions { n_iterations: 2, ..MappingOptions::default() },
        MappingOptions {
            n_iterations: 2,
            hom_edge_mode: EdgeMode::Xi,
            expansion: Expansion::MatrixPower,
            ..MappingOptions::default()
        },
    ] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| map(&atlases, &options))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(8) && one == on(1));
    }
}

#[test]
fn one_pass_continued_by_two_is_three_passes() {
    let atlases = small("small2");
    let ctx = Context::default();
    let options = |n| MappingOptions { n_iterations: n, ..MappingOptions::default() };
    let whole = map(&atlases, &options(3));
    for first in [1, 2] {
        let begun = map(&atlases, &options(first));
        let from =
            Start { passes: first, stitched: last(&begun), refined: &begun.refined, refined_over: begun.refined_over };
        let ended = run(&atlases.atlases(), &atlases.homology, Some(from), &options(3 - first), &ctx).unwrap();
        assert!(last(&ended) == last(&whole), "after {first}");
        assert!(ended.refined == whole.refined && ended.latent == whole.latent, "after {first}");
        assert_eq!((ended.passes[ended.passes.len() - 1].number, ended.refined_over), (3, 2));
        assert!(begun.passes[0] == whole.passes[0]);
    }
}

#[test]
fn the_first_and_the_last_pass_are_kept_unless_all_are_wanted() {
    let atlases = small("small2");
    let numbers =
        |options: MappingOptions| map(&atlases, &options).passes.iter().map(|pass| pass.number).collect::<Vec<_>>();
    let four = MappingOptions { n_iterations: 4, ..MappingOptions::default() };
    assert_eq!(numbers(four.clone()), [1, 4]);
    assert_eq!(numbers(MappingOptions { keep_iterations: true, ..four }), [1, 2, 3, 4]);
    assert_eq!(numbers(MappingOptions { n_iterations: 1, ..MappingOptions::default() }), [1]);
}

#[test]
fn new_order_of_cells_and_genes_reorders_the_result() {
    let atlases = small("small2");
    let mut dice = Dice(5);
    let options = MappingOptions::default();
    let mut permuted = atlases.clone();
    let (mut cells, mut first) = (Vec::new(), 0);
    for species in &mut permuted.species {
        let order = dice.permutation(species.expression.cells());
        let genes = dice.permutation(species.expression.genes());
        *species = permute_species(species, &order, &genes);
        cells.extend(order.iter().map(|old| first + old));
        first += order.len();
    }
    let (before, after) = (map(&atlases, &options), map(&permuted, &options));
    let want = permute_graph(last(&before), &cells, &cells);
    // A budget cuts a neighbourhood in order of discovery, which among neighbours of one cell is index order: edges move. What
    // small or unmatched groups score depends on it; matched groups that are larger than k keep their scores.
    let back = inverse(&cells);
    assert!(jaccard(last(&after), &want) > 0.9, "{}", jaccard(last(&after), &want));
    let scores = |graph: &Graph| alignment(&atlases, graph);
    for (x, y) in scores(last(&before)).iter().zip(scores(&permute_graph(last(&after), &back, &back))) {
        assert!(x.score < 0.3 || x.cells <= 20 || (x.score - y.score).abs() < 0.02, "{x:?} {y:?}");
    }

    // Discovered nearest first, neighbours are cut where they were before, whatever the order of the cells.
    let nearest = MappingOptions { expansion: Expansion::Nearest, ..options.clone() };
    let (before, after) = (map(&atlases, &nearest), map(&permuted, &nearest));
    assert!(jaccard(last(&after), &permute_graph(last(&before), &cells, &cells)) > 0.9999);
    for (x, y) in scores(last(&before)).iter().zip(scores(&permute_graph(last(&after), &back, &back))) {
        assert!((x.score - y.score).abs() < 0.02, "{x:?} {y:?}");
    }

    // With budget to spare nothing is cut; what is left are ties.
    let wide = |atlases: &Atlases| {
        let mut atlases = atlases.clone();
        atlases.species.iter_mut().for_each(|species| species.groups.fill(0));
        atlases
    };
    let (before, after) = (map(&wide(&atlases), &options), map(&wide(&permuted), &options));
    let want = permute_graph(last(&before), &cells, &cells);
    assert!(jaccard(last(&after), &want) > 0.9999, "{}", jaccard(last(&after), &want));
    assert!(worst_where_same(last(&after), &want) < 1e-6);
    assert!(common::graph_error(&after.refined, &before.refined) < 1e-6);
    for (x, y) in scores(last(&before)).iter().zip(scores(&permute_graph(last(&after), &back, &back))) {
        assert!((x.score - y.score).abs() < 0.02, "{x:?} {y:?}");
    }
}

#[test]
fn new_order_of_species_reorders_the_result() {
    let atlases = small("small3");
    let options = MappingOptions { n_iterations: 2, ..MappingOptions::default() };
    let order = [2, 0, 1];
    let (cell_offsets, genes) = (atlases.cell_offsets(), &atlases.homology.offsets);
    let joined = |offsets: &[usize]| order.iter().flat_map(|&s| offsets[s]..offsets[s + 1]).collect::<Vec<usize>>();
    let (cells, gene_order) = (joined(&cell_offsets), joined(genes));
    let mut offsets = vec![0];
    order.iter().for_each(|&s| offsets.push(offsets[offsets.len() - 1] + genes[s + 1] - genes[s]));
    let turned = Atlases {
        ids: order.iter().map(|&s| atlases.ids[s].clone()).collect(),
        species: order.iter().map(|&s| atlases.species[s].clone()).collect(),
        homology: HomologyGraph {
            offsets,
            weights: permute_graph(&atlases.homology.weights, &gene_order, &gene_order),
        },
    };
    let (before, after) = (map(&atlases, &options), map(&turned, &options));
    let want = permute_graph(last(&before), &cells, &cells);
    assert!(jaccard(last(&after), &want) > 0.999, "{}", jaccard(last(&after), &want));
    assert!(worst_where_same(last(&after), &want) < 1e-5);
    let refined = permute_graph(&before.refined, &gene_order, &gene_order);
    assert!(common::graph_error(&after.refined, &refined) < 1e-5);
}

#[test]
fn species_without_homology_between_them_share_no_edges() {
    let mut atlases = small("small3");
    let between = |g: u32, h: u32| (atlases.homology.species_of(g as usize), atlases.homology.species_of(h as usize));
    let gene = |g: u32| {
        let species = atlases.homology.species_of(g as usize);
        Gene { species: species as u32, index: g - atlases.homology.offsets[species] as u32 }
    };
    let star = atlases.homology.edges().filter(|&(g, h, _)| between(g, h) != (0, 1));
    let star: Vec<Edge> = star.map(|(g, h, weight)| Edge { a: gene(g), b: gene(h), weight }).collect();
    let sizes: Vec<usize> = (0..3).map(|s| atlases.homology.genes_of(s).len()).collect();
    let ctx = Context::default();
    atlases.homology = HomologyGraph::from_edges(&sizes, star, &ctx).unwrap();
    let mapping = run(&atlases.atlases(), &atlases.homology, None, &MappingOptions::default(), &ctx).unwrap();
    let cells = atlases.cell_offsets();
    let to = |i: usize, s: usize| {
        edges_of(last(&mapping), i).iter().any(|&j| (cells[s]..cells[s + 1]).contains(&(j as usize)))
    };
    assert!((cells[0]..cells[1]).all(|i| !to(i, 1)) && (cells[1]..cells[2]).all(|i| !to(i, 0)));
    assert!((cells[0]..cells[1]).filter(|&i| to(i, 2)).count() > 300);
}

#[test]
fn no_homology_at_all_leaves_each_species_alone() {
    let mut atlases = small("small2");
    let sizes: Vec<usize> = (0..2).map(|s| atlases.homology.genes_of(s).len()).collect();
    atlases.homology = HomologyGraph::from_edges(&sizes, [], &Context::default()).unwrap();
    let mapping = map(&atlases, &MappingOptions::default());
    assert_eq!(mapping.refined.nnz(), 0);
    for (i, species) in [(0, 0), (400, 1)] {
        let cells = atlases.cell_offsets();
        let expected: Vec<u32> = {
            let own = atlases.species[species].neighbours.of(i - cells[species]).0;
            let mut own: Vec<u32> =
                own.iter().map(|&j| j + cells[species] as u32).filter(|&j| j as usize != i).collect();
            own.sort_unstable();
            own
        };
        assert_eq!(row(last(&mapping), i).0, expected);
        assert!(row(last(&mapping), i).1.iter().all(|&w| w == 1.0));
    }
}

#[test]
fn empty_cells_and_cells_without_neighbours_are_harmless() {
    let mut atlases = small("small2");
    let species = &mut atlases.species[0];
    // Cell 3 expresses nothing; cell 4 has no neighbour but itself.
    let x = common::as_graph(&species.expression);
    let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for i in 0..x.rows() {
        if i != 3 {
            columns.extend_from_slice(row(&x, i).0);
            values.extend_from_slice(row(&x, i).1);
        }
        pointers.push(columns.len());
    }
    species.expression = Expression::from_rows("x", x.cols(), &pointers, &columns, &values).unwrap();
    let k = species.neighbours.k;
    species.neighbours.indices[4 * k..5 * k].fill(4);
    let mapping = map(&atlases, &MappingOptions::default());
    assert!(mapping.latent.iter().all(|x| x.is_finite()));
    assert!(last(&mapping).data().iter().all(|w| w.is_finite() && *w > 0.0));
    assert!(mapping.refined.data().iter().all(|r| r.is_finite()));
    let edges = edges_of(last(&mapping), 4);
    assert!(edges.windows(2).all(|w| w[0] < w[1]) && !edges.contains(&4));
}

#[test]
fn the_stitched_graph_is_what_it_is_said_to_be() {
    for (name, species) in [("small2", 2), ("small3", 3)] {
        let atlases = small(name);
        let mapping = map(&atlases, &MappingOptions { n_iterations: 1, ..MappingOptions::default() });
        let (graph, cells) = (last(&mapping), &mapping.cell_offsets);
        for i in 0..graph.rows() {
            let own = cells.partition_point(|&first| first <= i) - 1;
            for s in (0..species).filter(|&s| s != own) {
                let cross =
                    edges_of(graph, i).iter().filter(|&&j| (cells[s]..cells[s + 1]).contains(&(j as usize))).count();
                assert!(cross <= 20);
            }
            assert!(row(graph, i).1.iter().all(|&w| w > 0.0 && w <= 1.0 + 1e-12));
        }
    }
}

/// Refinement from its definition, dense.
fn naive_refinement(atlases: &Atlases, stitched: &Graph, options: &RefineOptions) -> Vec<(u32, u32, f64)> {
    let (cells, weights) = (atlases.cell_offsets(), atlases.gene_weights());
    let dense: Vec<Array2<f64>> = atlases
        .species
        .iter()
        .map(|s| {
            let x = common::as_graph(&s.expression).to_dense();
            x.select(Axis(1), &s.gene_columns.iter().map(|&c| c as usize).collect::<Vec<_>>())
        })
        .collect();
    let a = stitched.to_dense();
    let averaged: Vec<Array2<f64>> = dense
        .iter()
        .enumerate()
        .map(|(s, x)| {
            let mut block = a.slice(ndarray::s![.., cells[s]..cells[s + 1]]).to_owned();
            for mut row in block.outer_iter_mut() {
                let sum = row.sum();
                row /= if sum < 1e-3 { 1.0 } else { sum };
            }
            block.dot(x)
        })
        .collect();
    let column = |g: u32, from: usize, to: usize| {
        let s = atlases.homology.species_of(g as usize);
        let all = averaged[s].column(g as usize - atlases.homology.offsets[s]);
        let part = |s: usize| all.slice(ndarray::s![cells[s]..cells[s + 1]]).to_owned();
        concatenate(Axis(0), &[part(from).view(), part(to).view()]).unwrap().to_vec()
    };
    let mut found = Vec::new();
    for (g, h, _) in upper_triangle(&atlases.homology.weights) {
        if weights[g as usize] > 0.0 && weights[h as usize] > 0.0 {
            let (a, b) = (atlases.homology.species_of(g as usize), atlases.homology.species_of(h as usize));
            let r = common::pearson(&column(g, a, b), &column(h, a, b));
            let mut r = if r.is_nan() || r < options.threshold { 0.0 } else { r };
            if options.wscale {
                r = (r * (weights[g as usize] * weights[h as usize]).sqrt()).sqrt();
            }
            if r != 0.0 {
                found.push((g, h, r));
            }
        }
    }
    found
}

#[test]
fn refinement_is_its_definition_with_every_option() {
    let atlases = small("small3");
    let stitched =
        map(&atlases, &MappingOptions { n_iterations: 1, ..MappingOptions::default() }).passes.remove(0).stitched;
    for options in [
        RefineOptions::default(),
        RefineOptions { threshold: 0.3, ..RefineOptions::default() },
        RefineOptions { threshold: -1.0, ..RefineOptions::default() },
        RefineOptions { wscale: true, n_gene_chunks: 4, ..RefineOptions::default() },
    ] {
        let found = refine(&atlases.atlases(), &atlases.homology, &stitched, &options, &Context::default()).unwrap();
        let want = naive_refinement(&atlases, &stitched, &options);
        let ours: Vec<_> = upper_triangle(&found).collect();
        assert_eq!(ours.len(), want.len(), "{options:?}");
        for (x, y) in ours.iter().zip(&want) {
            assert!((x.0, x.1) == (y.0, y.1) && (x.2 - y.2).abs() < 1e-9, "{x:?} {y:?}");
        }
        assert!(found == found.transpose_view().to_csr());
    }
}

#[test]
fn constant_genes_have_no_correlation() {
    let mut atlases = small("small2");
    let species = &mut atlases.species[0];
    let constant = species.gene_columns[5];
    let x = common::as_graph(&species.expression).to_dense();
    let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for cell in x.outer_iter() {
        for (j, &value) in cell.iter().enumerate() {
            let value = if j as u32 == constant { 1.7 } else { value };
            if value != 0.0 {
                columns.push(j as u32);
                values.push(value);
            }
        }
        pointers.push(columns.len());
    }
    species.expression = Expression::from_rows("x", x.ncols(), &pointers, &columns, &values).unwrap();
    species.weights[constant as usize] = 1.0;
    // Every cell sees two cells of each species, whose weights do not add up to a round number.
    let cells = atlases.cell_offsets();
    let rows = (0..cells[2]).map(|i| {
        let other = |s: usize, step: usize| (cells[s] + (i * 7 + step) % (cells[s + 1] - cells[s])) as u32;
        let mut row = vec![(other(0, 0), 0.3), (other(0, 1), 0.7 / 3.0), (other(1, 0), 0.1), (other(1, 1), 0.9)];
        row.sort_unstable_by_key(|&(j, _)| j);
        row
    });
    let stitched = graph_from_rows(cells[2], rows.collect());
    let options = RefineOptions { threshold: -2.0, ..RefineOptions::default() };
    let refined = refine(&atlases.atlases(), &atlases.homology, &stitched, &options, &Context::default()).unwrap();
    assert!(refined.nnz() > 1000 && row(&refined, 5).0.is_empty());
    assert!(map(&atlases, &MappingOptions::default()).latent.iter().all(|x| x.is_finite()));
}

#[test]
fn a_budget_cap_of_everything_changes_nothing_and_a_small_one_little() {
    let atlases = small("small2");
    let capped = |cap| MappingOptions { max_neighborhood: cap, ..MappingOptions::default() };
    let free = map(&atlases, &capped(None));
    assert!(free == map(&atlases, &capped(Some(10_000))));
    assert!(jaccard(last(&free), last(&map(&atlases, &capped(Some(30))))) > 0.6);
}

/// Mixed neighbourhoods too: those of groups beside those that are made when they are needed.
#[test]
fn neighbourhoods_made_in_sections_change_no_bit() {
    let atlases = small("small3");
    for neigh_from_keys in [vec![false], vec![false, true, false]] {
        let options = MappingOptions { n_iterations: 1, neigh_from_keys, ..MappingOptions::default() };
        let with = |memory: usize, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let ctx = Context::new(memory);
            let mapping = pool.install(|| run(&atlases.atlases(), &atlases.homology, None, &options, &ctx)).unwrap();
            let made: Vec<String> =
                ctx.choices().into_iter().filter(|c| c.what == "neighborhoods").map(|c| c.chosen).collect();
            (last(&mapping).clone(), made)
        };
        let (held, how) = with(1 << 30, 2);
        assert!(how.iter().all(|how| how == "held"));
        for threads in [1, 3] {
            let (made, how) = with(40_000, threads);
            assert!(how.iter().all(|how| how == "in sections"));
            assert!(made == held);
        }
    }
}

#[test]
fn the_older_expansion_maps_alike() {
    let atlases = small("small2");
    let powers = MappingOptions { expansion: Expansion::MatrixPower, ..MappingOptions::default() };
    let shared = jaccard(last(&map(&atlases, &MappingOptions::default())), last(&map(&atlases, &powers)));
    assert!(shared > 0.9, "{shared}");
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    let atlases = small("small2");
    let views = atlases.atlases();
    let try_run = |views: &[_], options: &MappingOptions| {
        run(views, &atlases.homology, None, options, &Context::default()).unwrap_err()
    };
    let default = MappingOptions::default();
    assert!(matches!(try_run(&views[..1], &default), Error::Argument { .. }));
    for options in [
        MappingOptions { n_iterations: 0, ..default.clone() },
        MappingOptions { cross_species_k: 0, ..default.clone() },
        MappingOptions { neighborhood_sizes: vec![3; 3], ..default.clone() },
        MappingOptions { neigh_from_keys: vec![], ..default.clone() },
        MappingOptions { hom_edge_thr: f64::NAN, ..default.clone() },
    ] {
        assert!(matches!(try_run(&views, &options), Error::Argument { .. }));
    }
    let mut broken = views.clone();
    broken[1].weights = &views[1].weights[1..];
    assert!(matches!(try_run(&broken, &default), Error::Shape { .. }));
    let twice = vec![0; views[0].gene_columns.len()];
    let mut broken = views.clone();
    broken[0].gene_columns = &twice;
    assert!(matches!(try_run(&broken, &default), Error::Argument { .. }));
    let mut unfit = views.clone();
    unfit[0].gene_columns = &views[0].gene_columns[1..];
    for wrong in [&broken[..], &unfit, &views[..1]] {
        let stitched = graph_from_rows(0, Vec::new());
        let refined = refine(wrong, &atlases.homology, &stitched, &RefineOptions::default(), &Context::default());
        assert!(!refined.unwrap_err().to_string().contains("stitched"), "the genes are checked first");
    }
    let ctx = Context::default();
    ctx.cancel();
    assert!(matches!(run(&views, &atlases.homology, None, &default, &ctx), Err(Error::Cancelled)));
}

#[test]
fn more_neighbours_than_cells_are_all_cells() {
    let atlases = small("small2");
    let ctx = Context::default();
    let options = MappingOptions { cross_species_k: 1000, n_iterations: 1, ..MappingOptions::default() };
    let mapping = run(&atlases.atlases(), &atlases.homology, None, &options, &ctx).unwrap();
    assert!(last(&mapping).data().iter().all(|w| w.is_finite()));
}
