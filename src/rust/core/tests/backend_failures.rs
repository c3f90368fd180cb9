//! Every call into the driver and the compiler fails once: each time an error of the device, and no memory left behind. One test
//! in a process of its own, since compiled kernels are kept for as long as one lives.

#![allow(clippy::unwrap_used)] // helpers of tests

mod emulator;
mod pieces;

use emulator::{Call, Gpu};
use pieces::{Pairing, expression, neighbours, points};
use samap_core::backend::{Backend, Cuda};
use samap_core::embedding::UmapOptions;
use samap_core::embedding::layout::Forces;
use samap_core::knn::{KnnOptions, Method, Metric};
use samap_core::linalg::pca::{PcaSolver, pca};
use samap_core::linalg::scaled::Scale;
use samap_core::mapping::{Expansion, MappingOptions};
use samap_core::{Context, Error, Result};

/// How many parts [`a_bit_of`] has.
const PARTS: usize = 9;

/// One operation after the other, on little data.
fn a_bit_of(part: usize, backend: &impl Backend) -> Result<()> {
    let ctx = Context::default();
    let (x, near) = (expression(30, 20, 0.3, 5), neighbours(30, 4, 6));
    let (genes, weights): (Vec<u32>, _) = ((0..20).collect(), vec![1.0; 20]);
    let components = |solver: PcaSolver| {
        let scaled = backend.scaled(&backend.expression(&x)?, &genes, Scale::Genes(vec![1.0; 20]), &weights, &ctx)?;
        pca(&scaled, 2, solver, 0, &ctx).map(drop)
    };
    let search = |method: Method| {
        let (points, options) = (points(30, 6, 1), KnnOptions { method, ..KnnOptions::default() });
        backend.neighbours(points.view(), points.view(), 3, Metric::Cosine, &options, &ctx).map(drop)
    };
    match part {
        0 => search(Method::Exact),
        1 => search(Method::InvertedFile),
        2 => components(PcaSolver::Exact),
        3 => components(PcaSolver::Randomized),
        4 => backend.sums_of_averages(&backend.expression(&x)?, &near, &ctx).map(drop),
        5 => {
            let options = MappingOptions { cross_species_k: 3, n_iterations: 1, ..MappingOptions::default() };
            Pairing::new().map(backend, &options).map(drop)
        }
        6 => backend.expand(&near, &[5; 30], 1, Expansion::Bfs, &ctx).map(drop),
        // Positions that go through the buffers of large copies.
        7 => {
            let (start, forces) = (vec![[0.0f32, 1.0]; 140_000], Forces::new(1.6, 0.9, 1.0));
            backend.layout(start, &[(0, 1, 1.0)], &forces, 2, &UmapOptions::default(), &ctx).map(drop)
        }
        _ => {
            let (start, forces) = (vec![[0.0f32, 1.0]; 3], Forces::new(1.6, 0.9, 1.0));
            backend.layout(start, &[(0, 1, 1.0)], &forces, 5, &UmapOptions::default(), &ctx).map(drop)
        }
    }
}

/// One part where the `n`-th call of a kind fails.
fn failing(gpu: &Gpu, part: usize, call: Call, n: i64) -> Result<()> {
    gpu.fail(call, n);
    let outcome = Cuda::new().and_then(|backend| a_bit_of(part, &backend));
    assert_eq!(gpu.live(), 0, "part {part}, {call:?} {n}: memory of the device was not freed");
    gpu.fail(call, 0);
    outcome
}

/// A file that compiled is kept: with the second compilation failing, each try compiles one file more, until none is left to.
fn compilations_fail(gpu: &Gpu, part: usize) -> usize {
    let mut failures = 0;
    loop {
        match failing(gpu, part, Call::Compile, if failures == 0 { 1 } else { 2 }) {
            Err(Error::Device { reason, .. }) => assert!(reason.contains("compiling"), "part {part}: {reason}"),
            outcome => {
                outcome.unwrap();
                return failures;
            }
        }
        failures += 1;
    }
}

fn calls_fail(gpu: &Gpu, part: usize, call: Call) {
    gpu.fail(call, 0);
    a_bit_of(part, &gpu.backend()).unwrap();
    let count = gpu.calls(call);
    assert!(count > 0, "{call:?} never happens in part {part}");
    for n in 1..=count {
        let outcome = failing(gpu, part, call, n);
        assert!(matches!(outcome, Err(Error::Device { .. })), "part {part}, {call:?} {n} of {count}: {outcome:?}");
    }
}

#[test]
#[ignore = "needs the emulator: make test-cuda"]
fn every_failure_is_an_error_and_frees_everything() {
    let gpu = Gpu::open();
    if !gpu.is_emulated() {
        return;
    }
    let compiled: usize = (0..PARTS).map(|part| compilations_fail(&gpu, part)).sum();
    assert!(compiled >= 8, "each of the 8 files of kernels fails to compile once, not {compiled}");
    for part in 0..PARTS {
        for call in [Call::Allocate, Call::Copy, Call::Launch, Call::Load, Call::Synchronise] {
            calls_fail(&gpu, part, call);
        }
    }
}
