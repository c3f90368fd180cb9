//! An order of cells in which those that are near each other in a graph come one after the other.

use std::ops::Range;

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
