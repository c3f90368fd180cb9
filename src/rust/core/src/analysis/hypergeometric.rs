//! Tail of the hypergeometric distribution. In: the margins of a 2 × 2 table. Out: the logarithm of P(X ≥ hits).
//!
//! Of `universe` things `marked` are marked and `drawn` are drawn; X is how many of the drawn are marked. With the cells c of
//! the table, what is expected of them e, and m! = √(2πm) (m / e)^m exp(δ(m)), the probability of one table is
//!
//! ln P = Σ_margins f − f(universe) − Σ_cells (f(c) + D(c, e)), f(m) = ½ ln(2πm) + δ(m), f(0) = 0,
//! D(c, e) = c ln(c / e) + e − c ≥ 0.
//!
//! No D is larger than |ln P|, so nothing cancels, as it does in a sum of log factorials: the relative error of P is below
//! 1e-12 wherever P can be represented. After Loader C (2000), *Fast and accurate computation of binomial probabilities*.

use std::f64::consts::PI;

/// Largest number whose factorial is exact in `f64` arithmetic here; above it Stirling's series is.
const EXACT: usize = 15;

/// The margins of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Urn {
    /// Things there are.
    pub universe: usize,
    /// Of them, marked; at most `universe`.
    pub marked: usize,
    /// Of them, drawn; at most `universe`.
    pub drawn: usize,
}

impl Urn {
    /// ln P(X ≥ `hits`): 0 where it is certain, −∞ where it is impossible.
    pub fn ln_upper_tail(&self, hits: usize) -> f64 {
        let Urn { universe, marked, drawn } = *self;
        if hits == 0 || hits + universe <= marked + drawn {
            return 0.0;
        }
        if hits > marked.min(drawn) {
            return f64::NEG_INFINITY;
        }
        let mean = marked as f64 * drawn as f64 / universe as f64;
        if hits as f64 > mean {
            self.ln_probability(hits) + self.sum_above(hits).ln()
        } else {
            // The tail is the larger part: what is left out is summed.
            let below = self.ln_probability(hits - 1) + self.sum_below(hits - 1).ln();
            (-below.exp().min(1.0)).ln_1p()
        }
    }

    /// Cells of the table: marked and drawn, marked only, drawn only, neither.
    pub fn cells(&self, hits: usize) -> [usize; 4] {
        [hits, self.marked - hits, self.drawn - hits, self.universe + hits - self.marked - self.drawn]
    }

    fn ln_probability(&self, hits: usize) -> f64 {
        let Urn { universe, marked, drawn } = *self;
        let (unmarked, left) = (universe - marked, universe - drawn);
        let expected = [(marked, drawn), (marked, left), (unmarked, drawn), (unmarked, left)]
            .map(|(row, column)| row as f64 * column as f64 / universe as f64);
        let cells = self.cells(hits);
        let margins: f64 = [marked, unmarked, drawn, left].map(half).iter().sum();
        let inside: f64 = cells.iter().zip(expected).map(|(&cell, e)| half(cell) + deviance(cell as f64, e)).sum();
        margins - half(universe) - inside
    }

    /// Σ P(X = i) / P(X = hits) over i ≥ hits, for hits above the mean, where the terms fall.
    fn sum_above(&self, hits: usize) -> f64 {
        let (mut cells, mut term, mut sum) = (self.cells(hits).map(|cell| cell as f64), 1.0, 1.0);
        while term > sum * f64::EPSILON / 4.0 {
            let [both, marked, drawn, neither] = cells;
            term *= marked * drawn / ((both + 1.0) * (neither + 1.0));
            sum += term;
            cells = [both + 1.0, marked - 1.0, drawn - 1.0, neither + 1.0];
        }
        sum
    }

    /// Σ P(X = i) / P(X = hits) over i ≤ hits, for hits below the mean, where the terms fall.
    fn sum_below(&self, hits: usize) -> f64 {
        let (mut cells, mut term, mut sum) = (self.cells(hits).map(|cell| cell as f64), 1.0, 1.0);
        while term > sum * f64::EPSILON / 4.0 {
            let [both, marked, drawn, neither] = cells;
            term *= both * neither / ((marked + 1.0) * (drawn + 1.0));
            sum += term;
            cells = [both - 1.0, marked + 1.0, drawn + 1.0, neither - 1.0];
        }
        sum
    }
}

/// f(m): what m! is beyond (m / e)^m, as a logarithm.
fn half(m: usize) -> f64 {
    let x = m as f64;
    if m == 0 {
        0.0
    } else if m <= EXACT {
        (1..=m).map(|i| i as f64).product::<f64>().ln() - x * x.ln() + x
    } else {
        let square = x * x;
        let series = (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square;
        0.5 * (2.0 * PI * x).ln() + (1.0 / 12.0 - (1.0 / 360.0 - series) / square) / x
    }
}

/// D(x, e), by its series in v = (x − e) / (x + e) where x ln(x / e) and x − e would cancel.
fn deviance(x: f64, e: f64) -> f64 {
    if x == 0.0 {
        return e;
    }
    let v = (x - e) / (x + e);
    if v.abs() > 0.5 {
        return x * (x / e).ln() + e - x;
    }
    // x ln(x / e) = 2 x (v + v³ / 3 + v⁵ / 5 + …), and 2 x v + e − x = (x − e) v.
    let (mut power, mut sum) = (2.0 * x * v, (x - e) * v);
    for odd in (3..).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(universe: usize, marked: usize, drawn: usize, hits: usize) -> f64 {
        Urn { universe, marked, drawn }.ln_upper_tail(hits).exp()
    }

    #[test]
    fn tails_are_those_of_exact_fractions() {
        // Sums of products of binomial coefficients as fractions of whole numbers, then rounded.
        let known = [
            ((10, 4, 5, 3), 2.619_047_619_047_619E-1),
            ((20000, 150, 300, 12), 2.845_342_470_442_235_7E-6),
            ((20000, 150, 300, 2), 6.608_010_091_026_72E-1),
            ((20000, 150, 300, 60), 1.125_718_902_994_876_2E-70),
            ((5000, 2500, 2500, 1400), 1.259_096_061_264_139_3E-17),
            ((5000, 2500, 2500, 1251), 4.887_179_007_708_028E-1),
            ((30000, 1, 700, 1), 2.333_333_333_333_333_4E-2),
            ((50000, 400, 400, 120), 6.969_416_308_094_785E-157),
            ((20, 10, 10, 10), 5.412_544_112_234_515E-6),
            ((1_000_000, 5000, 2000, 3), 9.972_937_022_040_387E-1),
            ((18000, 9000, 200, 150), 3.169_386_840_855_939E-13),
            ((3000, 40, 1500, 33), 1.890_353_665_872_974_5E-5),
        ];
        for ((universe, marked, drawn, hits), expected) in known {
            let error = (p(universe, marked, drawn, hits) / expected - 1.0).abs();
            assert!(error < 1e-12, "{universe} {marked} {drawn} {hits}: {error:e}");
            let swapped = (p(universe, drawn, marked, hits) / expected - 1.0).abs();
            assert!(swapped < 1e-12, "{swapped:e}");
        }
    }

    #[test]
    fn every_table_of_a_small_urn() {
        let choose = |n: usize, k: usize| (1..=k).map(|i| (n - k + i) as f64 / i as f64).product::<f64>();
        for (marked, drawn) in (0..=12).flat_map(|marked| (0..=12).map(move |drawn| (marked, drawn))) {
            for hits in 0..=13 {
                let possible = (hits..=marked.min(drawn)).filter(|i| drawn - i <= 12 - marked);
                let ways: f64 = possible.map(|i| choose(marked, i) * choose(12 - marked, drawn - i)).sum();
                let expected = ways / choose(12, drawn);
                assert!((p(12, marked, drawn, hits) - expected).abs() < 1e-13, "{marked} {drawn} {hits}");
            }
        }
    }

    #[test]
    fn certain_and_impossible() {
        assert_eq!(p(100, 30, 30, 0), 1.0);
        assert_eq!(p(100, 100, 30, 30), 1.0);
        assert_eq!(p(7, 3, 6, 2), 1.0);
        assert_eq!(p(100, 30, 20, 21), 0.0);
        assert_eq!(p(0, 0, 0, 0), 1.0);
        // Too small for a number, but not for its logarithm.
        let urn = Urn { universe: 100_000, marked: 1000, drawn: 1000 };
        assert!(urn.ln_upper_tail(1000) < -5000.0 && p(100_000, 1000, 1000, 1000) == 0.0);
    }
}
