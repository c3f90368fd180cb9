//! Operations of a backend against the clock: the median of some runs, what moved between host and device meanwhile, and the
//! floor below which a GPU cannot go.

use crate::{Failure, Result};
use cudarc::driver::sys::CUdevice_attribute_enum as Attribute;
use cudarc::driver::{CudaContext, CudaSlice};
use samap_core::backend::{Backend, Cpu, Cuda};
use std::time::Instant;

/// How much faster than memory the L2 cache is (docs/cuda.md).
const CACHE: f64 = 1.65;

/// Bytes of a copy by which the memory is measured, and how often it is made.
const COPIED: usize = 512 << 20;
const COPIES: usize = 20;

/// What an operation cannot do without: operations on `f32` and on `f64`, bytes through the memory and through the L2 cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Operations on `f32`.
    pub single: f64,
    /// Operations on `f64`.
    pub double: f64,
    /// Bytes through the memory.
    pub memory: f64,
    /// Bytes through the L2 cache.
    pub cache: f64,
}

impl Work {
    /// This much more than once.
    pub fn times(self, factor: f64) -> Self {
        let Work { single, double, memory, cache } = self;
        Work { single: factor * single, double: factor * double, memory: factor * memory, cache: factor * cache }
    }

    /// Both.
    pub fn and(self, other: Work) -> Self {
        Work {
            single: self.single + other.single,
            double: self.double + other.double,
            memory: self.memory + other.memory,
            cache: self.cache + other.cache,
        }
    }
}

/// What a GPU does at best in a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Operations on `f32`: multiprocessors × lanes × 2 × highest clock.
    pub single: f64,
    /// Operations on `f64`, likewise.
    pub double: f64,
    /// Bytes read and written by a copy within the device, measured.
    pub copy: f64,
}

impl Rates {
    /// Those of the first GPU.
    pub fn measure() -> Result<Self> {
        let context = CudaContext::new(0)?;
        let of = |attribute| -> Result<f64> { Ok(f64::from(context.attribute(attribute)?)) };
        let processors = of(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let hertz = 1e3 * of(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
        let (single, double) = lanes(context.compute_capability()?);
        let stream = context.new_stream()?;
        // SAFETY: what the memory holds does not matter.
        let (from, mut to): (CudaSlice<u8>, CudaSlice<u8>) = unsafe { (stream.alloc(COPIED)?, stream.alloc(COPIED)?) };
        stream.memcpy_dtod(&from, &mut to)?;
        stream.synchronize()?;
        let start = Instant::now();
        for _ in 0..COPIES {
            stream.memcpy_dtod(&from, &mut to)?;
        }
        stream.synchronize()?;
        let copy = (2 * COPIED * COPIES) as f64 / start.elapsed().as_secs_f64();
        let at_best = |lanes: f64| 2.0 * lanes * processors * hertz;
        Ok(Rates { single: at_best(single), double: at_best(double), copy })
    }

    /// Seconds that some work takes at least: the longest of arithmetic and traffic.
    pub fn floor(&self, work: &Work) -> f64 {
        let arithmetic = (work.single / self.single).max(work.double / self.double);
        arithmetic.max(work.memory / self.copy).max(work.cache / (CACHE * self.copy))
    }
}

/// Lanes for `f32` and `f64` of a multiprocessor of a compute capability.
fn lanes(capability: (i32, i32)) -> (f64, f64) {
    match capability {
        (7, 0) | (8, 0) => (64.0, 32.0),
        (7, _) => (64.0, 2.0),
        (9 | 10, 0) => (128.0, 64.0),
        _ => (128.0, 2.0),
    }
}

/// A result to compare: what should be the same, and what may differ by rounding.
#[derive(Debug, Default)]
pub struct Values {
    /// Indices, or the bits of numbers.
    pub same: Vec<u32>,
    /// Numbers.
    pub close: Vec<f64>,
}

impl Values {
    /// Share of what is the same, and the largest difference over the largest number; empty where there is nothing.
    pub fn compare(&self, other: &Values) -> [String; 2] {
        let equal = self.same.iter().zip(&other.same).filter(|(x, y)| x == y).count();
        let longest = self.same.len().max(other.same.len());
        let largest = other.close.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let apart = self.close.iter().zip(&other.close).fold(0.0f64, |most, (x, y)| most.max((x - y).abs()));
        let apart =
            if self.close.len() == other.close.len() { apart / largest.max(f64::MIN_POSITIVE) } else { f64::NAN };
        let share = if longest > 0 { format!("{:.6}", equal as f64 / longest as f64) } else { String::new() };
        [share, if other.close.is_empty() { String::new() } else { format!("{apart:.1e}") }]
    }
}

/// An operation that was measured.
#[derive(Debug)]
pub struct Measured {
    /// Its name.
    pub operation: &'static str,
    /// What it has to do.
    pub work: Work,
    /// Median.
    pub seconds: f64,
    /// Bytes sent to the device, bytes that came back, and kernel launches, in one run.
    pub traffic: [u64; 3],
    /// What came out.
    pub values: Values,
}

/// A backend that can be timed.
pub trait Timed: Backend {
    /// Waits for what is under way.
    fn finish(&self) -> samap_core::Result<()>;
    /// Bytes sent and received, launches.
    fn moved(&self) -> [u64; 3];
}

impl Timed for Cpu {
    fn finish(&self) -> samap_core::Result<()> {
        Ok(())
    }

    fn moved(&self) -> [u64; 3] {
        [0; 3]
    }
}

impl Timed for Cuda {
    fn finish(&self) -> samap_core::Result<()> {
        self.wait()
    }

    fn moved(&self) -> [u64; 3] {
        self.traffic()
    }
}

/// The measurements of a backend.
pub struct Clock<'a, B> {
    /// What is measured.
    pub backend: &'a B,
    /// Runs that count; with 0 the first one does.
    pub repeats: usize,
    /// What was measured.
    pub rows: Vec<Measured>,
}

impl<'a, B: Timed> Clock<'a, B> {
    /// Runs an operation once and then some more times; the result is that of the last run.
    pub fn time<T>(
        &mut self,
        operation: &'static str,
        work: Work,
        mut run: impl FnMut(&'a B) -> samap_core::Result<T>,
        values: impl FnOnce(&T) -> Values,
    ) -> Result<T> {
        let (mut seconds, mut before, mut last) = (Vec::new(), [0; 3], None);
        for _ in 0..=self.repeats {
            // What the last run made is freed before the clock starts.
            drop(last.take());
            self.backend.finish()?;
            before = self.backend.moved();
            let start = Instant::now();
            last = Some(run(self.backend)?);
            self.backend.finish()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        let after = self.backend.moved();
        let counted = &mut seconds[usize::from(self.repeats > 0)..];
        counted.sort_by(f64::total_cmp);
        let seconds = counted[counted.len() / 2];
        let out = last.ok_or_else(|| Failure::from("nothing ran"))?;
        let traffic = std::array::from_fn(|i| after[i] - before[i]);
        self.rows.push(Measured { operation, work, seconds, traffic, values: values(&out) });
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_compared() {
        let values = |same: &[u32], close: &[f64]| Values { same: same.to_vec(), close: close.to_vec() };
        let compare = |x: &Values, y: &Values| x.compare(y).join(" ");
        assert_eq!(
            compare(&values(&[1, 2, 3, 4], &[1.0, -2.5]), &values(&[1, 2, 0, 4], &[1.0, -2.0])),
            "0.750000 2.5e-1"
        );
        assert_eq!(compare(&values(&[1], &[]), &values(&[1, 2], &[])), "0.500000 ");
        assert_eq!(compare(&values(&[], &[1.0]), &values(&[], &[1.0, 2.0])), " NaN");
    }

    #[test]
    fn the_floor_is_the_longest_of_arithmetic_and_traffic() {
        let rates = Rates { single: 10.0, double: 5.0, copy: 2.0 };
        assert_eq!(rates.floor(&Work { single: 30.0, double: 5.0, memory: 4.0, cache: 3.3 }), 3.0);
        assert_eq!(rates.floor(&Work { memory: 8.0, ..Work::default() }), 4.0);
    }
}
