//! Hot loops in the widest vector instructions of the machine, chosen at run time.
//!
//! faer's factorisations return with the upper halves of the AVX registers in use. The engine itself is compiled for the
//! oldest processor of its kind, and its SSE2 code then runs up to 3.6 times slower on that thread (measured on the layout
//! after an eigendecomposition). Loops compiled for AVX do not suffer. The bits of a result stay the same: Rust neither fuses
//! nor reorders floating-point operations.

use faer::traits::pulp::{Arch, Simd, WithSimd};

/// Runs `work` compiled for the best instruction set there is. Write `#[inline(always)]` before the closure and before what
/// it calls: only what is inlined is compiled so.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}

/// A closure that is called by reference: called once, it would first be wrapped, and compiled as part of that wrapper.
struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Which bits of a word are set, ascending.
#[inline(always)]
pub(crate) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_are_set() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(1 << 63 | 5).collect::<Vec<_>>(), [0, 2, 63]);
        assert_eq!(bits(u64::MAX).count(), 64);
    }
}
