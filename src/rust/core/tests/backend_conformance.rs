//! Every operation of a backend against the formula written down plainly, or against the CPU where that is tested so itself.
//! The same bodies run on the CPU and, by `make test-cuda`, on a GPU or its emulator.

#![allow(clippy::unwrap_used)] // helpers of tests

mod emulator;
mod pieces;

use emulator::Gpu;
use ndarray::{Array2, ArrayView2};
use pieces::{Pairing, expression, neighbours, points};
use samap_core::backend::{Backend, Cpu};
use samap_core::embedding::UmapOptions;
use samap_core::embedding::layout::Forces;
use samap_core::knn::{KnnOptions, Method, Metric, Neighbours};
use samap_core::linalg::operator::Operator;
use samap_core::linalg::pca::{PcaSolver, pca};
use samap_core::linalg::scaled::Scale;
use samap_core::mapping::cross_knn::neighbour_weights;
use samap_core::mapping::expand::Pattern;
use samap_core::mapping::mutual::Cut;
use samap_core::mapping::{EdgeMode, Expansion, Mapping, MappingOptions};
use samap_core::rng::Rng;
use samap_core::sparse::{Expression, Graph};
use samap_core::{Context, Error};

fn dense(x: &Expression) -> Array2<f64> {
    samap_core::with_expression!(x, matrix => {
        let mut out = Array2::zeros((matrix.rows(), matrix.cols()));
        for (&value, (cell, gene)) in matrix.iter() {
            out[[cell as usize, gene as usize]] = f64::from(value);
        }
        out
    })
}

fn assert_close(found: ArrayView2<f64>, expected: ArrayView2<f64>, tolerance: f64, place: &str) {
    assert_eq!(found.dim(), expected.dim(), "{place}");
    let scale = expected.iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
    for (at, (x, y)) in found.iter().zip(expected.iter()).enumerate() {
        assert!((x - y).abs() <= tolerance * scale, "{place}, element {at}: {x} instead of {y}");
    }
}

fn naive_distance(x: ndarray::ArrayView1<f32>, y: ndarray::ArrayView1<f32>, metric: Metric) -> f64 {
    let d = x.len().max(1) as f64;
    let pairs: Vec<(f64, f64)> = x.iter().zip(y).map(|(&x, &y)| (f64::from(x), f64::from(y))).collect();
    if metric == Metric::Euclidean {
        return pairs.iter().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    }
    let mean = |sum: f64| if metric == Metric::Correlation { sum / d } else { 0.0 };
    let (a, b) = (mean(pairs.iter().map(|p| p.0).sum()), mean(pairs.iter().map(|p| p.1).sum()));
    let norms = (pairs.iter().map(|p| (p.0 - a).powi(2)).sum::<f64>()
        * pairs.iter().map(|p| (p.1 - b).powi(2)).sum::<f64>())
    .sqrt();
    let product: f64 = pairs.iter().map(|p| (p.0 - a) * (p.1 - b)).sum();
    if norms > 0.0 { 1.0 - product / norms } else { 1.0 }
}

fn finds_nearest(backend: &impl Backend) -> Vec<Neighbours> {
    let (ctx, options) = (Context::default(), KnnOptions::default());
    let mut all = Vec::new();
    for (n, m, d, k) in [(0, 5, 3, 2), (1, 1, 1, 1), (7, 13, 5, 4), (130, 201, 33, 20), (65, 64, 8, 64), (3, 90, 17, 1)]
    {
        let (queries, database) = (points(n, d, 1), points(m, d, 2));
        for metric in [Metric::Cosine, Metric::Correlation, Metric::Euclidean] {
            let place = format!("{metric:?} {n} {m} {d} {k}");
            let found = backend.neighbours(queries.view(), database.view(), k, metric, &options, &ctx).unwrap();
            assert_eq!(found.indices.len(), n * k, "{place}");
            // With few coordinates angles are ties up to the last bit, where the plain formula is not exact either.
            let cpu = Cpu.neighbours(queries.view(), database.view(), k, metric, &options, &ctx).unwrap();
            assert_eq!(found, cpu, "{place}");
            for i in 0..n {
                let mut plain: Vec<f64> =
                    database.rows().into_iter().map(|row| naive_distance(queries.row(i), row, metric)).collect();
                plain.sort_by(f64::total_cmp);
                for (x, y) in found.of(i).1.iter().zip(&plain) {
                    assert!((x - y).abs() < 1e-7, "{place}, query {i}: {x} instead of {y}");
                }
            }
            all.push(found);
        }
    }
    let bad = Array2::from_elem((3, 2), f32::NAN);
    let search = |k: usize| backend.neighbours(bad.view(), bad.view(), k, Metric::Cosine, &options, &ctx);
    assert!(matches!(search(1), Err(Error::Argument { .. })) && matches!(search(4), Err(Error::Argument { .. })));
    all
}

/// All lists: the exact result. Some lists: no less of it than the CPU finds, whose queries go through their own lists only.
fn searches_lists(backend: &impl Backend) -> Vec<Neighbours> {
    let (ctx, (queries, database)) = (Context::default(), (points(150, 12, 1), points(700, 12, 2)));
    let search = |backend: &dyn Fn(&KnnOptions) -> Neighbours, method: Method, probes: usize| {
        backend(&KnnOptions { method, probes, ..KnnOptions::default() })
    };
    let mut all = Vec::new();
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let ours = |options: &KnnOptions| {
            backend.neighbours(queries.view(), database.view(), 10, metric, options, &ctx).unwrap()
        };
        let cpu =
            |options: &KnnOptions| Cpu.neighbours(queries.view(), database.view(), 10, metric, options, &ctx).unwrap();
        let exact = search(&cpu, Method::Exact, 1);
        let recall = |found: &Neighbours| {
            let of_cell = |i: usize| found.indices_of(i).iter().filter(|&j| exact.indices_of(i).contains(j)).count();
            (0..150).map(of_cell).sum::<usize>()
        };
        let whole = search(&ours, Method::InvertedFile, usize::MAX);
        // Zero vectors and duplicates are ties that a list of limited length may cut elsewhere.
        for (x, y) in whole.distances.iter().zip(&exact.distances) {
            assert!((x - y).abs() < 1e-12, "{metric:?}: {x} instead of {y}");
        }
        let (some, theirs) = (search(&ours, Method::InvertedFile, 5), search(&cpu, Method::InvertedFile, 5));
        assert!(recall(&some) >= recall(&theirs) && recall(&theirs) > 0, "{metric:?}");
        all.extend([whole, some]);
    }
    all
}

fn scales(x: &Expression) -> Vec<(&'static str, Scale)> {
    let (n, g) = (x.cells(), x.genes());
    let of = |count: usize, low: f32| (0..count).map(|j| low + 0.1 * (j % 5) as f32).collect::<Vec<f32>>();
    vec![
        ("clipped", Scale::Clipped { mean: of(g, 0.2), sd: of(g, 0.05), limit: 10.0 }),
        ("genes", Scale::Genes(of(g, 0.5))),
        ("cells", Scale::Cells(of(n, 1.0))),
    ]
}

/// The scaled, weighted and centred matrix, dense.
fn naive_scaled(x: &Expression, genes: &[u32], scale: &Scale, weights: &[f64]) -> Array2<f64> {
    let x = dense(x);
    let mut out = Array2::from_shape_fn((x.nrows(), genes.len()), |(i, j)| {
        let (g, x) = (genes[j] as usize, x[[i, genes[j] as usize]] as f32);
        let scaled = match scale {
            Scale::Clipped { mean, sd, limit } => ((x - mean[g]) / sd[g]).clamp(-limit, *limit),
            Scale::Genes(factor) => x * factor[g],
            Scale::Cells(divisor) => x / divisor[i],
        };
        f64::from(scaled) * weights[g]
    });
    for mut column in out.columns_mut() {
        let mean = column.sum() / column.len().max(1) as f64;
        column.mapv_inplace(|x| x - mean);
    }
    out
}

fn multiplies(backend: &impl Backend) -> Vec<Array2<f64>> {
    let ctx = Context::default();
    let mut all = Vec::new();
    for (n, g) in [(1, 1), (9, 14), (40, 23), (70, 150), (600, 70), (2500, 11)] {
        let x = expression(n, g, 0.3, 4);
        let genes: Vec<u32> = (0..g as u32).filter(|j| j % 4 != 3 || g < 4).collect();
        let weights: Vec<f64> = (0..g).map(|j| 0.25 + (j % 3) as f64).collect();
        let on_device = backend.expression(&x).unwrap();
        for (name, scale) in scales(&x) {
            let place = format!("{name} {n} × {g}");
            let expected = naive_scaled(&x, &genes, &scale, &weights);
            let found = backend.scaled(&on_device, &genes, scale, &weights, &ctx).unwrap();
            assert_eq!((found.rows(), found.columns()), expected.dim());
            for width in [1, 3, 40] {
                let b = Array2::from_shape_fn((genes.len(), width), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0);
                let c = Array2::from_shape_fn((n, width), |(i, j)| ((i * 5 + j) % 13) as f64 - 6.0);
                let (ab, atc) = (found.apply(b.view()).unwrap(), found.apply_transpose(c.view()).unwrap());
                assert_close(ab.view(), expected.dot(&b).view(), 1e-12, &place);
                assert_close(atc.view(), expected.t().dot(&c).view(), 1e-12, &place);
                all.extend([ab, atc]);
            }
            let gram = found.gram().unwrap();
            let plain = if n <= genes.len() { expected.dot(&expected.t()) } else { expected.t().dot(&expected) };
            assert_close(gram.view(), plain.view(), 1e-12, &place);
            let c = Array2::from_shape_fn((plain.nrows(), 40), |(i, j)| ((i * 5 + j) % 13) as f64 - 6.0);
            // May be single precision.
            let times = found.apply_gram(c.view()).unwrap();
            assert_close(times.view(), plain.dot(&c).view(), 1e-5, &place);
            all.extend([gram, times]);
            assert!(matches!(found.apply(Array2::zeros((g + 1, 1)).view()), Err(Error::Shape { .. })));
        }
        assert!(backend.scaled(&on_device, &genes, Scale::Genes(vec![1.0]), &weights, &ctx).is_err() || g == 1);
    }
    all
}

fn finds_components(backend: &impl Backend) -> Vec<Vec<f64>> {
    let ctx = Context::default();
    let mut all = Vec::new();
    for (n, g, k) in [(80, 60, 5), (50, 90, 8), (300, 20, 3)] {
        let x = expression(n, g, 0.4, 8);
        let genes: Vec<u32> = (0..g as u32).collect();
        let (weights, on_device) = (vec![1.0; g], backend.expression(&x).unwrap());
        let scaled = |b: &Cpu| {
            pca(
                &b.scaled(&&x, &genes, Scale::Genes(vec![1.0; g]), &weights, &ctx).unwrap(),
                k,
                PcaSolver::Exact,
                0,
                &ctx,
            )
        };
        let expected = scaled(&Cpu).unwrap();
        let operator = backend.scaled(&on_device, &genes, Scale::Genes(vec![1.0; g]), &weights, &ctx).unwrap();
        for (solver, tolerance) in [(PcaSolver::Exact, 1e-9), (PcaSolver::Lanczos, 1e-9), (PcaSolver::Randomized, 2e-2)]
        {
            let found = pca(&operator, k, solver, 0, &ctx).unwrap();
            for (x, y) in found.singular_values.iter().zip(&expected.singular_values) {
                assert!((x / y - 1.0).abs() < tolerance, "{solver:?} {n} × {g}: {x} instead of {y}");
            }
            all.push(found.singular_values);
        }
        let cpu = Cpu.scaled(&&x, &genes, Scale::Genes(vec![1.0; g]), &weights, &ctx).unwrap();
        let reference = pca(&cpu, k, PcaSolver::Randomized, 0, &ctx).unwrap();
        let found = pca(&operator, k, PcaSolver::Randomized, 0, &ctx).unwrap();
        let difference = (&found.scores - &reference.scores).iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(difference < 1e-3, "the same sketch gives other scores: {difference}");
    }
    all
}

fn averages(backend: &impl Backend) -> Vec<Vec<f64>> {
    let ctx = Context::default();
    let mut all = Vec::new();
    for (n, g, k) in [(1, 1, 1), (5, 3, 2), (70, 41, 6), (1100, 19, 11)] {
        let (x, near) = (expression(n, g, 0.3, 5), neighbours(n, k, 6));
        let values = dense(&x);
        let average = |i: usize, gene: usize| {
            near.indices_of(i).iter().map(|&j| values[[j as usize, gene]]).sum::<f64>() / k as f64
        };
        let found = backend.sums_of_averages(&backend.expression(&x).unwrap(), &near, &ctx).unwrap();
        for gene in 0..g {
            let plain: (f64, f64) = (0..n).fold((0.0, 0.0), |(sum, squares), i| {
                let x = average(i, gene);
                (sum + x, squares + x * x)
            });
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-11 * (1.0 + y.abs());
            assert!(close(found.first[gene], plain.0) && close(found.second[gene], plain.1), "{n} {g} {k} gene {gene}");
        }
        all.extend([found.first, found.second]);
    }
    all
}

fn expands(backend: &impl Backend) -> Vec<Pattern> {
    let ctx = Context::default();
    let mut all = Vec::new();
    for (n, k, size) in [(1, 1, 0), (5, 5, 1), (60, 4, 2), (300, 7, 3), (40, 3, 0)] {
        let near = neighbours(n, k, 7);
        for expansion in [Expansion::Bfs, Expansion::Nearest, Expansion::MatrixPower] {
            for budget in [0, 1, 7, 33, 1000] {
                let budgets: Vec<usize> = (0..n).map(|i| budget.min(i + budget / 2)).collect();
                let found = backend.expand(&near, &budgets, size, expansion, &ctx).unwrap();
                let expected = samap_core::mapping::expand::expand(&near, &budgets, size, expansion, &ctx).unwrap();
                assert_eq!(found, expected, "{expansion:?} {n} {k} {size} {budget}");
                all.push(found);
            }
        }
    }
    all
}

/// Random neighbours of each of `n` cells among `m`, with the weights of the mapping.
fn cross(n: usize, m: usize, k: usize, seed: u64) -> Graph {
    let (mut indices, mut distances) = (Vec::new(), Vec::new());
    for i in 0..n {
        let mut rng = Rng::keyed(seed, 11, i as u64);
        let start = rng.below(m);
        indices.extend((0..k).map(|step| ((start + step * step) % m) as u32));
        distances.extend((0..k).map(|step| 0.1 * (step / 2) as f64));
    }
    let mut seen = std::collections::HashSet::new();
    let unique = (0..n).all(|i| (0..k).all(|step| seen.insert((i, indices[i * k + step]))));
    assert!(unique, "the neighbours of a cell differ");
    neighbour_weights(&Neighbours { k, indices, distances }, m)
}

/// Neighbourhoods of species of these sizes, each grown, or whole groups.
fn grows_around<B: Backend>(backend: &B, sizes: [usize; 3], grouped: [bool; 3]) -> Vec<B::Neighbourhood> {
    let ctx = Context::default();
    let of_species = |s: usize| {
        let n = sizes[s];
        let groups: Vec<u32> = (0..n).map(|i| (i % 4) as u32).collect();
        if grouped[s] {
            return backend.neighbourhood_of_groups(&groups);
        }
        let near = neighbours(n, 5, s as u64);
        backend.neighbourhood(&groups, &near, &vec![9; n], 2, Expansion::Bfs, &ctx).unwrap()
    };
    (0..3).map(of_species).collect()
}

fn finds_partners(backend: &impl Backend) -> Vec<Graph> {
    let ctx = Context::default();
    let sizes = [40usize, 33, 27];
    let offsets = [0, 40, 73, 100];
    let mut blocks: Vec<Vec<Option<Graph>>> = vec![vec![None; 3]; 3];
    for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2)] {
        blocks[a][b] = Some(cross(sizes[a], sizes[b], 3, (a * 3 + b) as u64));
    }
    let mut all = Vec::new();
    for grouped in [[false; 3], [true; 3], [false, true, false]] {
        let (hoods, on_cpu) = (grows_around(backend, sizes, grouped), grows_around(&Cpu, sizes, grouped));
        for (k, per_partner) in [(0, true), (1, false), (4, true), (4, false), (200, true)] {
            let cut = Cut { k, per_partner };
            let found = backend.mutual_graph(&blocks, &hoods, &offsets, None, cut, &ctx).unwrap();
            let expected = Cpu.mutual_graph(&blocks, &on_cpu, &offsets, None, cut, &ctx).unwrap();
            assert_eq!(found, expected, "{grouped:?} {cut:?}");
            assert!(k == 0 || found.nnz() > 0);
            all.push(found);
        }
    }
    all
}

fn maps(backend: &impl Backend) -> Vec<Mapping> {
    let pairing = Pairing::new();
    let default = MappingOptions { cross_species_k: 6, n_iterations: 2, ..MappingOptions::default() };
    let variants = [
        default.clone(),
        MappingOptions { scale_edges_by_corr: false, pairwise: false, ..default.clone() },
        MappingOptions { neigh_from_keys: vec![true], n_gene_chunks: 4, ..default.clone() },
        // ξ ranks averages that are equal but for rounding: one pass, before which nothing is refined.
        MappingOptions { hom_edge_mode: EdgeMode::Xi, expansion: Expansion::Nearest, n_iterations: 1, ..default },
    ];
    let compare = |options: &MappingOptions| {
        let found = pairing.map(backend, options).unwrap();
        let expected = pairing.map(&Cpu, options).unwrap();
        let latent = |mapping: &Mapping| mapping.latent.mapv(f64::from);
        assert_close(latent(&found).view(), latent(&expected).view(), 1e-5, "latent space");
        let last = |mapping: &Mapping| mapping.passes[options.n_iterations - 1].stitched.clone();
        let mut graphs = vec![(last(&found), last(&expected))];
        if options.hom_edge_mode == EdgeMode::Pearson {
            graphs.push((found.refined.clone(), expected.refined));
        }
        for (x, y) in graphs {
            assert_eq!(x.indices(), y.indices());
            assert!(x.data().iter().zip(y.data()).all(|(x, y)| (x - y).abs() < 1e-5));
        }
        found
    };
    variants.iter().map(compare).collect()
}

fn lays_out<const D: usize>(backend: &impl Backend) -> Vec<[f32; D]> {
    let ctx = Context::default();
    let mut all = Vec::new();
    for n in [0usize, 1, 2, 37, 400] {
        let positions: Vec<[f32; D]> = (0..n)
            .map(|i| std::array::from_fn(|dim| 10.0 * Rng::keyed(3, i as u64, dim as u64).uniform() as f32))
            .collect();
        let edges: Vec<(u32, u32, f64)> = (0..3 * n)
            .map(|e| (e / 3, (e / 3 + 1 + e * 5 % n.max(2)) % n, 0.1 + 0.9 * (e % 10) as f64 / 9.0))
            .filter(|&(i, j, _)| i != j)
            .map(|(i, j, weight)| (i as u32, j as u32, weight))
            .collect();
        let (forces, options) = (Forces::new(1.577, 0.895, 1.0), UmapOptions { seed: 5, ..UmapOptions::default() });
        let found = backend.layout(positions.clone(), &edges, &forces, 40, &options, &ctx).unwrap();
        assert_eq!(found, Cpu.layout(positions, &edges, &forces, 40, &options, &ctx).unwrap(), "{n} vertices");
        all.extend(found);
    }
    all
}

/// Positions of more bytes than both buffers of large copies hold.
fn lays_out_many(backend: &impl Backend) -> Vec<[f32; 3]> {
    let (ctx, n, epochs) = (Context::default(), 800_003usize, 2);
    let start: Vec<[f32; 3]> = (0..n).map(|i| std::array::from_fn(|dim| (i * (dim + 3) % 1009) as f32)).collect();
    let edges: Vec<(u32, u32, f64)> = (1..n as u32).map(|i| (i - 1, i, 1.0)).collect();
    let (forces, options) = (Forces::new(1.577, 0.895, 1.0), UmapOptions::default());
    let found = backend.layout(start.clone(), &edges, &forces, epochs, &options, &ctx).unwrap();
    assert!(found == Cpu.layout(start, &edges, &forces, epochs, &options, &ctx).unwrap());
    found
}

/// The same test on both backends.
macro_rules! conforms {
    ($($name:ident: $body:expr),* $(,)?) => {
        mod cpu {
            use super::*;
            $(#[test] fn $name() { $body(&Cpu); })*
        }
        mod gpu {
            use super::*;
            $(#[test] #[ignore = "needs a GPU or its emulator: make test-cuda"] fn $name() {
                let gpu = Gpu::open();
                gpu.with_every_fill(|| $body(&gpu.backend()));
                assert_eq!(gpu.live(), 0, "memory of the device was not freed");
            })*
        }
    };
}

conforms! {
    nearest_neighbours: finds_nearest,
    inverted_files: searches_lists,
    products_of_the_scaled_expression: multiplies,
    principal_components: finds_components,
    neighbour_averages: averages,
    neighbourhoods: expands,
    mutual_partners: finds_partners,
    whole_mappings: maps,
    layout_in_one_dimension: lays_out::<1>,
    layout_in_two_dimensions: lays_out::<2>,
    layout_in_three_dimensions: lays_out::<3>,
    large_copies: lays_out_many,
}

#[test]
#[ignore = "needs the emulator: make test-cuda"]
fn little_memory_means_small_tiles_and_too_little_an_error() {
    let gpu = Gpu::open();
    if !gpu.is_emulated() {
        return;
    }
    let backend = gpu.backend();
    let (n, d) = (3000, 40);
    let points = points(n, d, 1);
    let search = || {
        let ctx = Context::default();
        backend.neighbours(points.view(), points.view(), 15, Metric::Cosine, &KnnOptions::default(), &ctx)
    };
    let expected = search().unwrap();
    gpu.limit(3 << 20);
    assert!(search().unwrap() == expected);
    gpu.limit(1 << 19);
    assert!(matches!(search(), Err(Error::Device { .. })));
    gpu.limit(0);
    assert!(search().unwrap() == expected);
}
