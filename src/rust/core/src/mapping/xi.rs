//! Chatterjee's rank correlation ξ: how well y is a function of x (Chatterjee 2021, J. Am. Stat. Assoc. 116).

/// ξ(x, y) = 1 − n Σ|r_{i+1} − r_i| / (2 Σ l_i (n − l_i)) over the cells in ascending order of x (ties: as they come), with
/// r_i = #{j: y_j ≤ y_i} and l_i = #{j: y_j ≥ y_i}; 0 if y is constant. `x` and `y` have the same length n.
pub fn xi(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len();
    let mut by_y: Vec<u32> = (0..n as u32).collect();
    by_y.sort_unstable_by(|&i, &j| y[i as usize].total_cmp(&y[j as usize]));
    let mut rank = vec![0_u32; n];
    let (mut start, mut spread) = (0, 0.0);
    for ties in by_y.chunk_by(|&i, &j| y[i as usize] == y[j as usize]) {
        let (at_most, at_least) = (start + ties.len(), n - start);
        ties.iter().for_each(|&i| rank[i as usize] = at_most as u32);
        spread += ties.len() as f64 * (at_least as f64 * (n - at_least) as f64);
        start = at_most;
    }
    if spread == 0.0 {
        return 0.0;
    }
    let mut by_x: Vec<u32> = (0..n as u32).collect();
    by_x.sort_unstable_by(|&i, &j| x[i as usize].total_cmp(&x[j as usize]).then(i.cmp(&j)));
    let steps = by_x.windows(2).map(|pair| u64::from(rank[pair[0] as usize].abs_diff(rank[pair[1] as usize])));
    1.0 - n as f64 * steps.sum::<u64>() as f64 / (2.0 * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn naive(x: &[f64], y: &[f64]) -> f64 {
        let n = x.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
        let r = |i: usize| y.iter().filter(|&&other| other <= y[i]).count() as f64;
        let l = |i: usize| y.iter().filter(|&&other| other >= y[i]).count() as f64;
        let steps: f64 = order.windows(2).map(|pair| (r(pair[1]) - r(pair[0])).abs()).sum();
        let spread: f64 = (0..n).map(|i| l(i) * (n as f64 - l(i))).sum();
        if spread > 0.0 { 1.0 - n as f64 * steps / (2.0 * spread) } else { 0.0 }
    }

    #[test]
    fn xi_is_its_definition_with_and_without_ties() {
        let x: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 41)).collect();
        for modulus in [1, 2, 7, 101] {
            let y: Vec<f64> = (0..50).map(|i| f64::from(i * 23 % modulus)).collect();
            assert!((xi(&x, &y) - naive(&x, &y)).abs() < 1e-14, "{modulus}");
        }
        assert_eq!(xi(&x, &[2.0; 50]), 0.0);
        assert_eq!(xi(&[], &[]), 0.0);
    }

    #[test]
    fn a_function_of_x_has_a_large_xi() {
        let x: Vec<f64> = (0..1000).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| (x - 500.0).powi(2)).collect();
        assert!(xi(&x, &y) > 0.98);
    }
}
