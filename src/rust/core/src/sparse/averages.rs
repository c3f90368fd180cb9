//! Sums of expression over neighbours, Σ_j w_ij x_j, for [`LANES`] cells i at a time. Cells that are near each other share most of
//! their neighbours: each row of X is read once for all of them, and its entries are added to [`LANES`] sums by one instruction or two.

use super::{Column, Csr, row};

/// Cells whose sums are made at a time: a cache line of `f64`.
pub(crate) const LANES: usize = 8;

/// Most portions of cells whose sums exist side by side, and cells in one at least.
pub(crate) const PORTIONS: usize = 32;
const LEAST: usize = 64;

/// The sums of a gene, one for each of the cells.
pub(crate) type Lanes = [f64; LANES];

/// Who has which neighbours: (neighbour, lane, weight).
pub(crate) type Shares = Vec<(u32, usize, f64)>;

/// Adds Σ_j w_ij x_j to `sums`, by slot: `slot` says which one a column has. A sum takes in its neighbours by ascending index, whatever
/// the cells are that it is made with. Sorts `shares`.
#[inline(always)]
pub(crate) fn add_sums<C: Column>(x: &Csr<C>, shares: &mut Shares, slot: impl Fn(usize) -> usize, sums: &mut [Lanes]) {
    shares.sort_unstable_by_key(|&(neighbour, lane, _)| (neighbour, lane));
    for same in shares.chunk_by(|a, b| a.0 == b.0) {
        let mut weights = [0.0; LANES];
        same.iter().for_each(|&(_, lane, weight)| weights[lane] += weight);
        let (columns, values) = row(x, same[0].0 as usize);
        // Loops, which are inlined and vectorised with their caller; closures would not be.
        for (column, &value) in columns.iter().zip(values) {
            let (sums, value) = (&mut sums[slot(column.index())], f64::from(value));
            // To add 0 changes no bit.
            for lane in 0..LANES {
                sums[lane] += weights[lane] * value;
            }
        }
    }
}

/// The sum over the cells.
#[inline(always)]
pub(crate) fn total([a, b, c, d, e, f, g, h]: &Lanes) -> f64 {
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// Cells in a portion whose sums are made by one thread: a 32nd of all `cells`, but 64 at least, whatever the threads.
pub(crate) fn portion(cells: usize) -> usize {
    cells.div_ceil(PORTIONS).max(LEAST).next_multiple_of(LANES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::sparse::Expression;
    use std::ops::Range;

    #[test]
    fn sums_are_those_of_each_cell() {
        let (cells, genes) = (30, 12);
        let mut rng = Rng::keyed(1, 2, 3);
        let dense: Vec<Vec<f32>> = (0..cells)
            .map(|_| (0..genes).map(|_| if rng.uniform() < 0.4 { rng.uniform() as f32 } else { 0.0 }).collect())
            .collect();
        let (mut pointers, mut columns, mut values) = (vec![0_usize], Vec::new(), Vec::new());
        for row in &dense {
            for (column, &x) in row.iter().enumerate().filter(|&(_, &x)| x > 0.0) {
                columns.push(column as u32);
                values.push(x);
            }
            pointers.push(columns.len());
        }
        let x = Expression::from_rows("counts", genes, &pointers, &columns, &values).unwrap();
        let Expression::Narrow(x) = x else { panic!("few genes are narrow") };
        let mut shares = Shares::new();
        // Some in all lanes, some in one, and one twice in the same.
        for lane in 0..LANES {
            (0..10).for_each(|j| shares.push((j * 3 % 30, lane, rng.uniform())));
        }
        shares.push((4, 5, 0.25));
        shares.push((3, 5, 0.25));
        let given = shares.clone();
        let mut sums = vec![[1.0; LANES]; genes];
        add_sums(&x, &mut shares, |column| genes - 1 - column, &mut sums);
        for (slot, lane) in (0..genes).flat_map(|slot| (0..LANES).map(move |lane| (slot, lane))) {
            let of_lane = given.iter().filter(|share| share.1 == lane);
            let sum: f64 = of_lane.map(|&(j, _, w)| w * f64::from(dense[j as usize][genes - 1 - slot])).sum();
            assert!((sums[slot][lane] - 1.0 - sum).abs() < 1e-14, "{slot} {lane}");
        }
    }

    /// A cell's sum has the same bits with others and without.
    #[test]
    fn other_lanes_change_no_bit() {
        let values: Vec<f32> = (1..=60).map(|i| 1.0 / i as f32).collect();
        let pointers: Vec<usize> = (0..=20).map(|i| 3 * i).collect();
        let columns: Vec<u32> = (0..60).map(|i| i % 3).collect();
        let x = Expression::from_rows("counts", 3, &pointers, &columns, &values).unwrap();
        let Expression::Narrow(x) = x else { panic!("few genes are narrow") };
        let of = |lanes: Range<usize>| {
            let mut shares: Shares = lanes
                .flat_map(|lane| (0..9).map(move |j| ((j * (lane as u32 + 2)) % 20, lane, 0.1 + lane as f64)))
                .collect();
            let mut sums = vec![[0.0; LANES]; 3];
            add_sums(&x, &mut shares, |column| column, &mut sums);
            sums
        };
        let together = of(0..LANES);
        for lane in 0..LANES {
            let alone = of(lane..lane + 1);
            assert!((0..3).all(|gene| alone[gene][lane].to_bits() == together[gene][lane].to_bits()));
        }
    }
}
