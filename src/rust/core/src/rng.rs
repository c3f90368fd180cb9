//! Seeded random numbers. Every draw is keyed by (seed, step, row), so that no result depends on the order in which
//! threads come by. The generator is SplitMix64 (Steele, Lea & Flood 2014).

/// A small generator with 64 bits of state.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng {
    /// The generator that belongs to `row` of `step` under `seed`.
    pub fn keyed(seed: u64, step: u64, row: u64) -> Self {
        Rng { state: mix(mix(mix(seed.wrapping_add(GOLDEN)) ^ step).wrapping_add(GOLDEN) ^ row) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..n (n > 0), by Lemire's multiplication.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next_u64() as u128 * n as u128) >> 64) as usize
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_key_same_stream_and_other_keys_other_streams() {
        let first = |seed, step, row| Rng::keyed(seed, step, row).next_u64();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let all = [first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4), first(2, 1, 3)];
        for i in 0..all.len() {
            assert!(all[i + 1..].iter().all(|x| *x != all[i]));
        }
    }

    #[test]
    fn moments_of_uniform_and_normal() {
        let mut rng = Rng::keyed(7, 0, 0);
        let n = 100_000;
        let uniform: f64 = (0..n).map(|_| rng.uniform()).sum::<f64>() / n as f64;
        let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / n as f64 - mean * mean;
        assert!((uniform - 0.5).abs() < 5e-3 && mean.abs() < 1e-2 && (variance - 1.0).abs() < 2e-2);
        assert!((0..1000).all(|_| rng.below(3) < 3));
    }
}
