//! Harmony against harmonypy 0.0.10, with the same first centroids and the same order of updates, and as it starts by itself.

// A step that fails fails the test.
#![allow(clippy::unwrap_used)]

mod common;

use ndarray::{Array2, Axis};
use samap_core::Context;
use samap_core::sam::harmony::{Batch, HarmonyOptions, harmony, harmony_from};

struct Fixture {
    z: Array2<f64>,
    batch: Batch,
    centroids: Array2<f64>,
    given: Array2<f64>,
    own: Array2<f64>,
}

fn fixture() -> Fixture {
    let path = common::folder().join("../harmonypy-0.0.10/harmony.h5");
    let file = hdf5_metno::File::open(path).unwrap();
    let table = |name: &str| file.dataset(name).unwrap().read_2d::<f64>().unwrap();
    let of = file.dataset("batch").unwrap().read_raw::<u32>().unwrap();
    Fixture {
        z: table("z"),
        batch: Batch { of, options: HarmonyOptions::default() },
        centroids: table("centroids"),
        given: table("given"),
        own: table("own"),
    }
}

fn largest_difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_step_agrees_from_the_same_start() {
    let f = fixture();
    let ours = harmony_from(f.z.view(), &f.batch, f.centroids.clone(), 0, &Context::default()).unwrap();
    // The correction is worth comparing: it moves cells by several units.
    assert!(largest_difference(&f.z, &f.given) > 1.0);
    let error = largest_difference(&ours, &f.given);
    assert!(error < 1e-9, "{error}");
}

/// harmonypy's own results from different seeds correlate by 0.9885 to 0.998.
#[test]
fn corrected_alike_from_a_start_of_its_own() {
    let f = fixture();
    assert!((correlation(&f.given, &f.own) - 0.990).abs() < 1e-3);
    let ours = harmony(f.z.view(), &f.batch, 0, &Context::default()).unwrap();
    let alike = correlation(&ours, &f.own);
    assert!(alike > 0.98, "{alike}");
}

#[test]
fn cells_in_another_order_are_corrected_alike() {
    let f = fixture();
    let n = f.z.nrows();
    let order: Vec<usize> = (0..n).map(|i| i * 5 % n).collect();
    let mixed = Batch { of: order.iter().map(|&i| f.batch.of[i]).collect(), options: f.batch.options.clone() };
    let z = f.z.select(Axis(0), &order);
    let ours = harmony_from(z.view(), &mixed, f.centroids.clone(), 0, &Context::default()).unwrap();
    let alike = correlation(&ours, &f.given.select(Axis(0), &order));
    assert!(alike > 0.98, "{alike}");
}

/// Pearson's over all coordinates of all cells.
fn correlation(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let (ma, mb) = (a.mean().unwrap(), b.mean().unwrap());
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| f(x - ma, y - mb)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}
