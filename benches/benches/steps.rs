//! Steps of the engine on the golden data (two species, 764 cells) and on made-up points of an atlas's size.
//!
//! The folder of the fixtures is that of `SAMAP_GOLDEN`; `make bench` sets it.

#[path = "../../src/rust/core/tests/common/mod.rs"]
mod common;

use common::Golden;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use samap_core::Context;
use samap_core::knn::{KnnOptions, Method, Metric, search};
use samap_core::sparse::Expression;
use std::hint::black_box;

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
    let counts = Golden::open("small2").graph("species/hu/counts");
    let pointers = counts.indptr().raw_storage().to_vec();
    criterion.bench_function("counts/from_rows", |b| {
        b.iter(|| {
            Expression::from_rows("counts", counts.cols(), black_box(&pointers), counts.indices(), counts.data())
                .unwrap()
        })
    });
}

fn neighbours(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("knn");
    group.sample_size(10);
    let ctx = Context::default();
    let small = Golden::open("small2").dense_f32("species/hu/sam/X_pca");
    let atlas = points(4_000, 100);
    for (name, data) in [("small2", &small), ("4000 cells", &atlas)] {
        for method in [Method::Exact, Method::InvertedFile, Method::Hnsw] {
            let options = KnnOptions { method, ..KnnOptions::default() };
            group.bench_with_input(BenchmarkId::new(format!("{method:?}"), name), data, |b, data| {
                b.iter(|| search(data.view(), data.view(), 20, Metric::Cosine, &options, &ctx).unwrap())
            });
        }
    }
    group.finish();
}

criterion_group!(steps, reading, neighbours);
criterion_main!(steps);
