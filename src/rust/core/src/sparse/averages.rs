//! Sums of expression over neighbours, Σ_j w_ij x_j, for [`LANES`] cells i at a time. Cells that are near each other share most of
//! their neighbours: each row of X is read once for all of them, and its entries are added to [`LANES`] sums by one instruction or two.

use super::{Column, Csr, row};
use std::ops::Range;

/// Cells whose sums are made at a time: a cache line of `f64`.
pub(crate) const LANES: usize = 8;

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

/// All of `cells`, in blocks of `width` that are near each other: breadth first among the `neighbours` in the same group, from a
/// neighbour of the block before. Groups come one after the other as far as `starts`, which names all cells, has them so.
pub(crate) fn in_blocks<'a>(
    width: usize,
    cells: Range<u32>,
    mut starts: impl Iterator<Item = u32>,
    neighbours: impl Fn(u32) -> &'a [u32],
    group: impl Fn(u32) -> u32,
) -> Vec<u32> {
    let (mut taken, mut order) = (vec![false; cells.len()], Vec::<u32>::with_capacity(cells.len()));
    let at = |cell: u32| (cell - cells.start) as usize;
    let joins =
        |taken: &[bool], cell: u32, next: u32| cells.contains(&next) && group(next) == group(cell) && !taken[at(next)];
    loop {
        let beside = |&cell: &u32| neighbours(cell).iter().copied().find(|&next| joins(&taken, cell, next));
        let last = &order[order.len().saturating_sub(1) / width * width..];
        let start = last.iter().rev().find_map(beside).or_else(|| starts.find(|&cell| !taken[at(cell)]));
        let Some(start) = start else { return order };
        let (mut first, full) = (order.len(), (order.len() / width + 1) * width);
        taken[at(start)] = true;
        order.push(start);
        while first < order.len() && order.len() < full {
            let cell = order[first];
            for &next in neighbours(cell) {
                if order.len() < full && joins(&taken, cell, next) {
                    taken[at(next)] = true;
                    order.push(next);
                }
            }
            first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::sparse::Expression;

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

    #[test]
    fn every_cell_comes_once_and_groups_one_after_the_other() {
        let ring: Vec<Vec<u32>> =
            (0..301).map(|i| [1, 2, 300, 299].map(|step| 50 + (i + step) % 301).to_vec()).collect();
        let group = |cell: u32| cell % 3;
        let mut starts: Vec<u32> = (50..351).collect();
        starts.sort_by_key(|&cell| group(cell));
        let order = in_blocks(8, 50..351, starts.into_iter(), |cell| &ring[cell as usize - 50], group);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (50..351).collect::<Vec<u32>>());
        assert!(order.is_sorted_by_key(|&cell| group(cell)));
    }

    #[test]
    fn blocks_are_of_neighbours() {
        // Four cliques of eight, whose members are far apart from each other; cells elsewhere are no part of them.
        let clique: Vec<Vec<u32>> = (0..32).map(|i| (0..40).filter(|j| j % 4 == i % 4).collect()).collect();
        let order = in_blocks(8, 0..32, 0..32, |cell| &clique[cell as usize], |_| 0);
        assert!(order.chunks(8).all(|block| block.iter().all(|cell| cell % 4 == block[0] % 4)));
    }
}
