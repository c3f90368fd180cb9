//! The curve 1 / (1 + a d^{2b}) that UMAP uses for the similarity of two cells at distance d. In: `min_dist` and `spread`.
//! Out: a and b, by least squares against 1 up to `min_dist` and exp(−(d − min_dist) / spread) beyond, at 300 distances
//! from 0 to 3 · spread (McInnes, Healy & Melville 2018, section 4.2). The fit is Levenberg's and Marquardt's.

use crate::{Error, Result};

const POINTS: usize = 300;
const STEPS: usize = 500;

/// a and b.
pub(super) fn fit(min_dist: f64, spread: f64) -> Result<(f64, f64)> {
    let wanted = |x: f64| if x < min_dist { 1.0 } else { (-(x - min_dist) / spread).exp() };
    let points: Vec<(f64, f64)> =
        (0..POINTS).map(|i| 3.0 * spread * i as f64 / (POINTS - 1) as f64).map(|x| (x, wanted(x))).collect();
    let (mut a, mut b, mut damping) = (1.0, 1.0, 1e-3);
    let mut error = squares(&points, a, b);
    for _ in 0..STEPS {
        let (da, db) = step(&points, a, b, damping);
        let next = squares(&points, a + da, b + db);
        if a + da > 0.0 && b + db > 0.0 && next <= error {
            (a, b, error, damping) = (a + da, b + db, next, damping * 0.3);
            if da.abs() <= 1e-12 * a && db.abs() <= 1e-12 * b {
                return Ok((a, b));
            }
        } else {
            damping *= 4.0;
            if damping > 1e15 {
                return Ok((a, b));
            }
        }
    }
    let reason = format!("no a and b for min_dist {min_dist} and spread {spread} after {STEPS} steps");
    Err(Error::Numerical { operation: "fit of the similarity curve", reason })
}

fn squares(points: &[(f64, f64)], a: f64, b: f64) -> f64 {
    points.iter().map(|&(x, y)| (1.0 / (1.0 + a * x.powf(2.0 * b)) - y).powi(2)).sum()
}

/// Solves (J'J + damping · diag J'J) step = J'(y − f).
fn step(points: &[(f64, f64)], a: f64, b: f64, damping: f64) -> (f64, f64) {
    let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(x, y) in points.iter().filter(|(x, _)| *x > 0.0) {
        let power = x.powf(2.0 * b);
        let f = 1.0 / (1.0 + a * power);
        let (ja, jb) = (-power * f * f, -2.0 * a * x.ln() * power * f * f);
        (aa, ab, bb) = (aa + ja * ja, ab + ja * jb, bb + jb * jb);
        (ra, rb) = (ra + ja * (y - f), rb + jb * (y - f));
    }
    let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
    let determinant = aa * bb - ab * ab;
    ((bb * ra - ab * rb) / determinant, (aa * rb - ab * ra) / determinant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_curves() {
        // Values that umap-learn's fit gives.
        for (min_dist, spread, a, b) in [
            (0.1, 1.0, 1.576_943_46, 0.895_060_88),
            (0.5, 1.0, 0.583_030_02, 1.334_167_00),
            (0.0, 1.0, 1.932_808_37, 0.790_495_34),
        ] {
            let found = fit(min_dist, spread).unwrap();
            assert!((found.0 - a).abs() < 1e-5 && (found.1 - b).abs() < 1e-5, "{min_dist} {spread}: {found:?}");
        }
        assert!(fit(1e-3, 50.0).is_ok() && fit(2.0, 2.0).is_ok());
    }
}
