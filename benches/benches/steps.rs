//! Every step of the engine on the golden data (two species, 764 cells, 4000 genes), and the searches for neighbours on made-up
//! points of an atlas's size. Quick: about a second a step.
//!
//! The folder of the fixtures is that of `SAMAP_GOLDEN`; `make bench` sets it.

#[path = "../../src/rust/core/tests/atlases/mod.rs"]
mod atlases;
#[path = "../../src/rust/core/tests/common/mod.rs"]
mod common;

use atlases::Atlases;
use common::Golden;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use samap_core::Context;
use samap_core::analysis::{
    AnnotatedSpecies, GenePairInput, GenePairOptions, Labels, Markers, Test, alignment_scores, cluster_markers,
    gene_pairs,
};
use samap_core::backend::{Backend, Cpu};
use samap_core::embedding::{Init, UmapOptions, umap};
use samap_core::io::blast::{BlastOptions, parse_blast};
use samap_core::knn::{KnnOptions, Method, Metric, search};
use samap_core::linalg::pca::{PcaSolver, pca};
use samap_core::linalg::scaled::{Scale, Scaled};
use samap_core::mapping::cross_knn::{Blocks, cross_knn};
use samap_core::mapping::expand::{budgets, expand};
use samap_core::mapping::mutual::{Cut, Neighbourhood, mutual_graph};
use samap_core::mapping::projection::{self, pair_block, project_cross, project_own, prune, scale_edges};
use samap_core::mapping::stitch::{Coordinates, stitch};
use samap_core::mapping::{Atlas, EdgeMode, Expansion, Mapping, MappingOptions, RefineOptions, refine};
use samap_core::sam::loadings::mapping_loadings;
use samap_core::sam::preprocess::{PreprocessOptions, preprocess};
use samap_core::sam::weights::{WeightMode, dispersion_ranking};
use samap_core::sparse::{Expression, Graph};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

/// Neighbours per cell, within and across species.
const K: usize = 20;
/// Hops after the first when neighbourhoods are expanded.
const HOPS: usize = 3;

/// What the steps take: a run on the golden data, so that every step has the input it has in a run.
struct Inputs {
    golden: Golden,
    data: Atlases,
    mapping: Mapping,
    ctx: Context,
}

impl Inputs {
    fn new() -> Self {
        let golden = Golden::open("small2");
        let data = Atlases::of(&golden);
        let mapping = data.map(&MappingOptions { n_iterations: 1, ..MappingOptions::default() });
        Inputs { golden, data, mapping, ctx: Context::default() }
    }

    fn counts(&self) -> Expression {
        self.golden.expression("species/hu/counts")
    }

    fn stitched(&self) -> &Graph {
        &self.mapping.passes[0].stitched
    }

    fn labels(&self) -> Vec<Labels<'_>> {
        let of = |s: &'_ atlases::Species| s.groups.iter().max().map_or(0, |&last| last as usize + 1);
        self.data.species.iter().map(|s| Labels { of: &s.groups, types: of(s) }).collect()
    }

    fn linked(&self) -> Vec<Vec<bool>> {
        vec![vec![false, true], vec![true, false]]
    }

    fn blocks(&self) -> Blocks {
        let offsets = self.data.cell_offsets();
        cross_knn(&self.mapping.latent, &offsets, &self.linked(), K, &KnnOptions::default(), &self.ctx).unwrap()
    }

    fn neighbourhoods(&self) -> Vec<Neighbourhood> {
        let of = |atlas: &Atlas| {
            let budgets = budgets(atlas.groups, None);
            Cpu.neighbourhood(atlas.groups, atlas.neighbours, &budgets, HOPS, Expansion::Bfs, &self.ctx).unwrap()
        };
        self.data.atlases().iter().map(of).collect()
    }

    fn markers(&self) -> Vec<Markers> {
        let of = |(species, labels): (&atlases::Species, Labels)| {
            cluster_markers(&species.expression, labels, Test::TieCorrected, &self.ctx).unwrap()
        };
        self.data.species.iter().zip(self.labels()).map(of).collect()
    }
}

/// Points of clusters, from a linear congruential generator: the same in every run.
fn points(cells: usize, dimensions: usize) -> Array2<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let centres = Array2::from_shape_simple_fn((20, dimensions), &mut next);
    Array2::from_shape_fn((cells, dimensions), |(cell, d)| centres[[cell % 20, d]] + 0.3 * next())
}

fn reading(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let counts = inputs.golden.graph("species/hu/counts");
    let pointers = counts.indptr().raw_storage().to_vec();
    criterion.bench_function("read/counts", |b| {
        b.iter(|| {
            Expression::from_rows("counts", counts.cols(), black_box(&pointers), counts.indices(), counts.data())
                .unwrap()
        })
    });
    let path = common::folder().join("maps_small2/hums/hu_to_ms.txt");
    let table = std::fs::read(&path).unwrap();
    criterion.bench_function("read/BLAST", |b| {
        b.iter(|| {
            parse_blast(black_box(table.as_slice()), Path::new("table"), &BlastOptions::default(), &inputs.ctx).unwrap()
        })
    });
}

fn one_species(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let (species, ctx) = (&inputs.data.species[0], &inputs.ctx);
    let options = PreprocessOptions::default();
    criterion.bench_function("sam/preprocess", |b| {
        b.iter_batched(|| inputs.counts(), |counts| preprocess(counts, &options, ctx).unwrap(), BatchSize::LargeInput)
    });
    let data = preprocess(inputs.counts(), &options, ctx).unwrap();
    let genes: Vec<u32> = (0..data.expression.genes() as u32).collect();
    let factors = data.variances.iter().map(|&v| if v > 0.0 { 1.0 / v.sqrt() } else { 1.0 }).collect();
    let scaled = Scaled::new(&data.expression, &genes, Scale::Genes(factors), &species.weights, ctx).unwrap();
    for solver in [PcaSolver::Exact, PcaSolver::Lanczos, PcaSolver::Randomized] {
        let id = BenchmarkId::new("sam/PCA", format!("{solver:?}"));
        criterion.bench_with_input(id, &solver, |b, &solver| b.iter(|| pca(&scaled, 50, solver, 0, ctx).unwrap()));
    }
    criterion.bench_function("sam/dispersions", |b| {
        b.iter(|| dispersion_ranking(&data.expression, &species.neighbours, 50, WeightMode::Rms, ctx).unwrap())
    });
    criterion.bench_function("sam/loadings", |b| {
        b.iter(|| mapping_loadings(&data.expression, &species.weights, 300, PcaSolver::Auto, 0, ctx).unwrap())
    });
}

fn neighbours(criterion: &mut Criterion) {
    let ctx = Context::default();
    let small = Golden::open("small2").dense_f32("species/hu/sam/X_pca");
    let atlas = points(4_000, 100);
    for (name, data) in [("small2", &small), ("4000 cells", &atlas)] {
        for method in [Method::Exact, Method::InvertedFile, Method::Hnsw] {
            let options = KnnOptions { method, ..KnnOptions::default() };
            let id = BenchmarkId::new(format!("kNN/{method:?}"), name);
            criterion.bench_with_input(id, data, |b, data| {
                b.iter(|| search(data.view(), data.view(), K, Metric::Cosine, &options, &ctx).unwrap())
            });
        }
    }
}

fn projecting(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let (homology, ctx, offsets) = (&inputs.data.homology, &inputs.ctx, inputs.data.cell_offsets());
    let atlases = inputs.data.atlases();
    let graph = scale_edges(&prune(&homology.weights, &inputs.data.gene_weights()));
    let scaled: Vec<projection::Scaled> =
        atlases.iter().map(|atlas| projection::Scaled::new(atlas, ctx).unwrap()).collect();
    let block = pair_block(&graph, homology.genes_of(0), homology.genes_of(1), true);
    criterion.bench_function("mapping/sigma", |b| b.iter(|| scaled[0].sigma(&block, ctx).unwrap()));
    criterion.bench_function("mapping/projection within species", |b| {
        b.iter(|| project_own(&scaled, &offsets, ctx).unwrap())
    });
    let mut latent = project_own(&scaled, &offsets, ctx).unwrap();
    criterion.bench_function("mapping/projection", |b| {
        b.iter(|| project_cross(&scaled, &graph, (&homology.offsets, &offsets), true, &mut latent, ctx).unwrap())
    });
}

fn linking(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let (ctx, offsets) = (&inputs.ctx, inputs.data.cell_offsets());
    let atlases = inputs.data.atlases();
    criterion.bench_function("mapping/cross kNN", |b| b.iter(|| inputs.blocks()));
    let sizes = budgets(atlases[0].groups, None);
    for expansion in [Expansion::Bfs, Expansion::Nearest, Expansion::MatrixPower] {
        let id = BenchmarkId::new("mapping/expansion", format!("{expansion:?}"));
        criterion.bench_with_input(id, &expansion, |b, &expansion| {
            b.iter(|| expand(atlases[0].neighbours, &sizes, HOPS, expansion, ctx).unwrap())
        });
    }
    let (blocks, neighbourhoods) = (inputs.blocks(), inputs.neighbourhoods());
    let coordinates = Coordinates::new(&inputs.mapping.latent);
    let cut = Cut { k: K, per_partner: true };
    let mutual = || mutual_graph(&blocks, &neighbourhoods, &offsets, Some(&coordinates), cut, ctx).unwrap();
    criterion.bench_function("mapping/mutual neighbours", |b| b.iter(mutual));
    let graph = mutual();
    let own: Vec<_> = atlases.iter().map(|atlas| atlas.neighbours).collect();
    criterion.bench_function("mapping/stitching", |b| b.iter(|| stitch(&graph, &own, &offsets, K as f64)));
}

fn refining(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let atlases = inputs.data.atlases();
    for mode in [EdgeMode::Pearson, EdgeMode::Xi] {
        let options = RefineOptions { mode, ..RefineOptions::default() };
        criterion.bench_function(&format!("mapping/refinement/{mode:?}"), |b| {
            b.iter(|| refine(&atlases, &inputs.data.homology, inputs.stitched(), &options, &inputs.ctx).unwrap())
        });
    }
}

fn analysing(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    let (ctx, offsets, labels) = (&inputs.ctx, inputs.data.cell_offsets(), inputs.labels());
    let some: Vec<Option<Labels>> = labels.iter().copied().map(Some).collect();
    let scores = || alignment_scores(inputs.stitched(), &offsets, &some, K, 0, ctx).unwrap();
    criterion.bench_function("analysis/alignment scores", |b| b.iter(scores));
    criterion.bench_function("analysis/markers", |b| b.iter(|| inputs.markers()));
    let markers = inputs.markers();
    let species: Vec<AnnotatedSpecies> = inputs
        .data
        .species
        .iter()
        .zip(labels.iter().zip(&markers))
        .map(|(s, (&labels, markers))| AnnotatedSpecies {
            expression: &s.expression,
            weights: &s.weights,
            gene_columns: &s.gene_columns,
            labels,
            markers,
        })
        .collect();
    let input = GenePairInput {
        species: &species,
        genes: &inputs.data.homology.offsets,
        refined: &inputs.mapping.refined,
        cells: &offsets,
        stitched: inputs.stitched(),
    };
    let (scores, options) = (scores(), GenePairOptions::default());
    criterion.bench_function("analysis/gene pairs", |b| b.iter(|| gene_pairs(&input, &scores, &options, ctx).unwrap()));
}

fn layout(criterion: &mut Criterion) {
    let inputs = Inputs::new();
    for (name, init, epochs) in [("20 epochs", Init::Random, 20), ("spectral start", Init::Spectral, 1)] {
        let options = UmapOptions { n_epochs: Some(epochs), init, ..UmapOptions::default() };
        criterion.bench_function(&format!("umap/{name}"), |b| {
            b.iter(|| umap(inputs.stitched(), None, &options, &inputs.ctx).unwrap())
        });
    }
}

fn quick() -> Criterion {
    let seconds = Duration::from_millis;
    Criterion::default().sample_size(10).warm_up_time(seconds(200)).measurement_time(seconds(800))
}

criterion_group! {
    name = steps;
    config = quick();
    targets = reading, one_species, neighbours, projecting, linking, refining, analysing, layout
}
criterion_main!(steps);
