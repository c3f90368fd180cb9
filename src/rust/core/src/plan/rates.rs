//! How fast this machine is: the rates of dense products and of copying, measured in a tenth of a second.

use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::time::Instant;

/// Rows and columns of the measured products: they fit a second-level cache in part, as those of the engine do.
const SIDE: usize = 512;
/// Bytes a thread copies: with all threads more than most caches hold, and little beside a run.
const BYTES: usize = 1 << 24;
/// Each measurement is repeated, and the best counts.
const REPEATS: usize = 3;

/// What all threads together do in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Operations of `f32` products.
    pub single: f64,
    /// Operations of `f64` products.
    pub double: f64,
    /// Bytes read and written when memory is copied.
    pub copy: f64,
}

impl Rates {
    /// Measures `threads` threads of the current pool at work at once.
    ///
    /// # Errors
    /// [`Error::Argument`] when `threads` is 0.
    pub fn measure(threads: usize) -> Result<Rates> {
        if threads == 0 {
            return Err(Error::argument("threads", "it is 0", "Ask for at least one thread."));
        }
        Ok(Rates { single: products::<f32>(threads), double: products::<f64>(threads), copy: copies(threads) })
    }
}

/// Least seconds that `work` takes.
fn best(mut work: impl FnMut()) -> f64 {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(timed).fold(f64::INFINITY, f64::min).max(1e-9)
}

fn products<T: ComplexField + Copy + Default + Send + Sync>(threads: usize) -> f64 {
    let factor = vec![T::default(); SIDE * SIDE];
    let mut results = vec![vec![T::default(); SIDE * SIDE]; threads];
    let seconds = best(|| {
        results.par_iter_mut().for_each(|result| {
            let left = MatRef::from_row_major_slice(&factor, SIDE, SIDE);
            let out = MatMut::from_row_major_slice_mut(result, SIDE, SIDE);
            matmul(out, Accum::Replace, left, left.transpose(), T::one_impl(), Par::Seq);
        });
    });
    (threads * 2 * SIDE * SIDE * SIDE) as f64 / seconds
}

fn copies(threads: usize) -> f64 {
    let mut pairs = vec![(vec![1_u8; BYTES], vec![0_u8; BYTES]); threads];
    let seconds = best(|| pairs.par_iter_mut().for_each(|(from, to)| to.copy_from_slice(from)));
    // Every byte is read once and written once.
    (2 * threads * BYTES) as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_a_computer() {
        let rates = Rates::measure(1).unwrap();
        for rate in [rates.single, rates.double, rates.copy] {
            assert!(rate > 1e7 && rate < 1e15, "{rates:?}");
        }
        assert!(Rates::measure(0).is_err());
    }
}
