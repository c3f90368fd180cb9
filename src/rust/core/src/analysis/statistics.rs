//! Tail probabilities and the correction for many tests.

/// Two-sided p-value of a standard normal score: erfc(|z| / √2), accurate to a few units of the last place relative to p
/// down to the smallest numbers there are.
pub(super) fn two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// Benjamini & Hochberg's (1995) adjusted p-values: of each p, the smallest p' m / rank(p') over all p' ≥ p, at most 1.
pub(super) fn adjust(p: &[f64]) -> Vec<f64> {
    adjust_among(p, p.len())
}

/// The same when `tests` tests were made, of which all but these have p = 1.
pub(super) fn adjust_among(p: &[f64], tests: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_unstable_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * tests as f64 / (rank + 1) as f64);
        adjusted[i] = least;
    }
    adjusted
}

/// Mean and population standard deviation; (0, 0) of nothing.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (count, sum) = values.clone().fold((0_usize, 0.0), |(n, sum), x| (n + 1, sum + x));
    if count == 0 {
        return (0.0, 0.0);
    }
    let mean = sum / count as f64;
    let squares: f64 = values.map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / count as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_accurate_far_out() {
        // 2 (1 − Φ(z)) to 15 digits, computed with 50 digits.
        let known = [
            (0.0, 1.0),
            (1.0, 0.3173105078629141),
            (1.959963984540054, 0.05),
            (-5.0, 5.73303143758389e-7),
            (10.0, 1.52397060483211e-23),
            (20.0, 5.50724823721247e-89),
            (37.0, 1.145114244504916e-299),
        ];
        for (z, p) in known {
            assert!((two_sided_p(z) / p - 1.0).abs() < 1e-12, "{z}: {}", two_sided_p(z));
        }
        assert_eq!(two_sided_p(40.0), 0.0);
    }

    #[test]
    fn adjusted_as_by_hand() {
        let adjusted = adjust(&[0.01, 0.5, 0.02, 0.03, 1.0]);
        let expected = [0.05, 0.625, 0.05, 0.05, 1.0];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{adjusted:?}");
        assert!(adjust(&[]).is_empty());
        assert_eq!(adjust(&[0.01, 1.0, 0.2, 1.0, 0.03])[..3], [0.05, 1.0, 0.2 * 5.0 / 3.0]);
        assert_eq!(adjust_among(&[0.01, 0.2, 0.03], 5), [0.05, 0.2 * 5.0 / 3.0, 0.075]);
    }

    #[test]
    fn moments_of_few() {
        assert_eq!(moments([1.0, 3.0].into_iter()), (2.0, 1.0));
        assert_eq!(moments(std::iter::empty()), (0.0, 0.0));
    }
}
