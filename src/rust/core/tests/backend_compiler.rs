//! A compiler that fails, in a process of its own: compiled kernels are kept for as long as one lives.

#![allow(clippy::unwrap_used)] // helpers of tests

mod emulator;

use emulator::{Call, Gpu};
use ndarray::Array2;
use samap_core::backend::Backend;
use samap_core::knn::{KnnOptions, Metric};
use samap_core::{Context, Error};

#[test]
#[ignore = "needs the emulator: make test-cuda"]
fn a_kernel_that_does_not_compile_is_an_error_and_no_reason_not_to_try_again() {
    let gpu = Gpu::open();
    if !gpu.is_emulated() {
        return;
    }
    let backend = gpu.backend();
    let points = Array2::from_shape_fn((5, 3), |(i, j)| (i * j) as f32);
    let search = || {
        let (options, ctx) = (KnnOptions::default(), Context::default());
        backend.neighbours(points.view(), points.view(), 2, Metric::Cosine, &options, &ctx)
    };
    gpu.fail(Call::Compile, 1);
    match search() {
        Err(Error::Device { reason, .. }) => assert!(reason.contains("compiling knn.cu"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(gpu.live(), 0);
    gpu.fail(Call::Compile, 0);
    assert_eq!(search().unwrap().cells(), 5);
}
