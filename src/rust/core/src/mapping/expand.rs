//! Neighbourhoods of cells within a species. In: k nearest neighbours per cell and a budget per cell (the size of its group).
//! Out: for every cell the set of cells in its neighbourhood, at most its budget, reached over at most `sizes + 1` hops.

use crate::knn::Neighbours;
use crate::{Context, Result};
use rayon::prelude::*;

/// How neighbourhoods grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expansion {
    /// Breadth first over the neighbour graph, each hop in order of discovery, until the budget is spent. The neighbours of a
    /// cell are discovered by ascending index, as in SAMap 3.0.1: where a budget cuts a hop, the order of the cells decides.
    #[default]
    Bfs,
    /// The same, but the neighbours of a cell are discovered nearest first: the order of the cells decides nothing.
    Nearest,
    /// The older form: rings of the powers of the neighbour graph, each trimmed to its entries with the most paths.
    MatrixPower,
}

/// Rows of ascending column indices: a sparse matrix of ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// First entry of each row, and the number of entries at the end.
    pub pointers: Vec<usize>,
    /// Columns.
    pub columns: Vec<u32>,
}

impl Pattern {
    pub(crate) fn from_rows(rows: Vec<Vec<u32>>) -> Self {
        let mut pointers = vec![0];
        pointers.extend(rows.iter().scan(0, |total, row| {
            *total += row.len();
            Some(*total)
        }));
        Pattern { pointers, columns: rows.concat() }
    }

    /// Columns of row `i`.
    pub fn row(&self, i: usize) -> &[u32] {
        &self.columns[self.pointers[i]..self.pointers[i + 1]]
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.pointers.len() - 1
    }
}

/// The number of groups, if each cell has one of these.
pub(crate) fn group_count(groups: &[u32]) -> usize {
    groups.iter().max().map_or(0, |&last| last as usize + 1)
}

/// The number of cells in the group of each cell, at most `cap`.
pub fn budgets(groups: &[u32], cap: Option<usize>) -> Vec<usize> {
    let mut sizes = vec![0_usize; group_count(groups)];
    groups.iter().for_each(|&group| sizes[group as usize] += 1);
    groups.iter().map(|&group| sizes[group as usize].min(cap.unwrap_or(usize::MAX))).collect()
}

/// The neighbourhood of every cell. `neighbours` include the cell itself; `size`: hops after the first.
///
/// # Errors
/// Cancelled.
pub fn expand(
    neighbours: &Neighbours,
    budgets: &[usize],
    size: usize,
    expansion: Expansion,
    ctx: &Context,
) -> Result<Pattern> {
    Expander::new(neighbours, budgets.to_vec(), size, expansion).all(ctx)
}

/// Grows the neighbourhoods of one species, of all its cells or of some when they are needed.
pub struct Expander {
    graph: Pattern,
    budgets: Vec<usize>,
    hops: usize,
    expansion: Expansion,
}

impl Expander {
    /// `neighbours` include the cell itself; `budgets`: one per cell; `size`: hops after the first.
    pub fn new(neighbours: &Neighbours, budgets: Vec<usize>, size: usize, expansion: Expansion) -> Self {
        let graph = match expansion {
            Expansion::Bfs => adjacency(neighbours, false),
            Expansion::Nearest => without_self(neighbours),
            Expansion::MatrixPower => adjacency(neighbours, true),
        };
        Expander { graph, budgets, hops: size + 1, expansion }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.graph.rows()
    }

    /// The neighbours of each cell.
    pub(super) fn graph(&self) -> &Pattern {
        &self.graph
    }

    /// Most cells there can be in the neighbourhood of a cell.
    pub fn most(&self, cell: usize) -> usize {
        self.budgets[cell].min(self.cells())
    }

    /// The neighbourhoods of all cells, in parallel.
    ///
    /// # Errors
    /// Cancelled.
    pub fn all(&self, ctx: &Context) -> Result<Pattern> {
        let of_cell = |walk: &mut Walk, cell: usize| {
            ctx.check()?;
            let mut row = self.grow(walk, cell).to_vec();
            row.sort_unstable();
            Ok(row)
        };
        let cells = (0..self.cells()).into_par_iter();
        Ok(Pattern::from_rows(cells.map_init(|| Walk::new(self.cells()), of_cell).collect::<Result<_>>()?))
    }

    /// The cells in the neighbourhood of a cell, in no order.
    pub(super) fn grow<'w>(&self, walk: &'w mut Walk, cell: usize) -> &'w [u32] {
        match self.expansion {
            Expansion::Bfs | Expansion::Nearest => walk.breadth_first(&self.graph, cell, self.budgets[cell], self.hops),
            Expansion::MatrixPower => walk.rings(&self.graph, cell, self.budgets[cell], self.hops),
        }
        &walk.found
    }
}

/// Neighbours of each cell, nearest first, without the cell itself.
pub(crate) fn without_self(neighbours: &Neighbours) -> Pattern {
    let of_cell = |i: usize| neighbours.indices_of(i).iter().copied().filter(|&j| j as usize != i).collect();
    Pattern::from_rows((0..neighbours.cells()).map(of_cell).collect())
}

/// Neighbours of each cell by ascending index, with or without the cell itself.
pub(crate) fn adjacency(neighbours: &Neighbours, with_self: bool) -> Pattern {
    let of_cell = |i: usize| {
        let others = neighbours.indices_of(i).iter().copied().filter(|&j| j as usize != i);
        let mut row: Vec<u32> = others.chain(with_self.then_some(i as u32)).collect();
        row.sort_unstable();
        row
    };
    Pattern::from_rows((0..neighbours.cells()).map(of_cell).collect())
}

/// Working space of one worker; nothing in it is cleared between walks.
pub(super) struct Walk {
    /// The number of this walk.
    stamp: u32,
    /// Which walk saw a cell last.
    seen: Vec<u32>,
    /// Number of paths to a cell.
    paths: Vec<f64>,
    /// The cells that the walk has found.
    found: Vec<u32>,
}

impl Walk {
    pub(super) fn new(cells: usize) -> Self {
        Walk { stamp: 0, seen: vec![0; cells], paths: vec![0.0; cells], found: Vec::new() }
    }

    /// The first `budget` cells in breadth-first order, at most `hops` away, without the cell itself. A cell joins the queue
    /// when it is first discovered; the queue is the order in which cells are taken, so it never needs to outgrow the budget.
    fn breadth_first(&mut self, graph: &Pattern, cell: usize, budget: usize, hops: usize) {
        self.stamp += 1;
        self.found.clear();
        self.seen[cell] = self.stamp;
        let mut discover = |from: usize, queue: &mut Vec<u32>| {
            for &j in graph.row(from) {
                if queue.len() < budget && self.seen[j as usize] != self.stamp {
                    self.seen[j as usize] = self.stamp;
                    queue.push(j);
                }
            }
        };
        discover(cell, &mut self.found);
        let mut hop = 0..self.found.len();
        for _ in 1..hops {
            for next in hop.clone() {
                discover(self.found[next] as usize, &mut self.found);
            }
            hop = hop.end..self.found.len();
        }
    }

    /// Ring i holds the cells that i + 1 steps reach and fewer do not; of each ring the cells with the most paths are taken
    /// (ties: lowest index) while the budget lasts. The graph has self-loops, so the cell itself is in its first ring and
    /// spends budget.
    fn rings(&mut self, graph: &Pattern, cell: usize, budget: usize, hops: usize) {
        self.stamp += 1;
        self.found.clear();
        let mut left = budget;
        let mut reached: Vec<(u32, f64)> = vec![(cell as u32, 1.0)];
        for _ in 0..hops {
            let mut next: Vec<u32> = Vec::new();
            for &(i, paths) in &reached {
                for &j in graph.row(i as usize) {
                    // Self-loops keep every reached cell reached: no count returns to 0 within a walk.
                    if self.paths[j as usize] == 0.0 {
                        next.push(j);
                    }
                    self.paths[j as usize] += paths;
                }
            }
            reached.clear();
            reached.extend(next.into_iter().map(|j| (j, std::mem::take(&mut self.paths[j as usize]))));
            let mut ring: Vec<(u32, f64)> =
                reached.iter().copied().filter(|&(j, _)| self.seen[j as usize] != self.stamp).collect();
            ring.iter().for_each(|&(j, _)| self.seen[j as usize] = self.stamp);
            ring.sort_unstable_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
            ring.truncate(left);
            left -= ring.len();
            self.found.extend(ring.into_iter().map(|(j, _)| j));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// k neighbours of each of n cells, the cell first, from a small linear congruential generator.
    fn neighbours(n: usize, k: usize, mut seed: u64) -> Neighbours {
        let mut indices = Vec::new();
        for i in 0..n as u32 {
            let mut row = vec![i];
            while row.len() < k {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let j = ((seed >> 33) % n as u64) as u32;
                if !row.contains(&j) {
                    row.push(j);
                }
            }
            indices.extend(row);
        }
        Neighbours { k, distances: vec![0.0; indices.len()], indices }
    }

    /// The walk as the reference states it: candidates hop by hop, with duplicates, checked when they are taken.
    fn plain_walk(graph: &Pattern, cell: usize, budget: usize, hops: usize) -> HashSet<u32> {
        let (mut seen, mut got) = (HashSet::from([cell as u32]), Vec::new());
        let mut frontier = graph.row(cell).to_vec();
        for _ in 0..hops {
            let mut next = Vec::new();
            for v in frontier {
                if got.len() < budget && seen.insert(v) {
                    got.push(v);
                    next.extend(graph.row(v as usize).iter().filter(|j| !seen.contains(j)));
                }
            }
            frontier = next;
        }
        got.into_iter().collect()
    }

    #[test]
    fn breadth_first_is_the_plain_walk() {
        let ctx = Context::default();
        for (n, k, size) in [(60, 4, 2), (200, 6, 3), (40, 3, 0), (5, 5, 1), (10, 1, 3)] {
            let found = neighbours(n, k, 7);
            let graph = adjacency(&found, false);
            for budget in [0, 1, 7, 25, 1000] {
                let rows = expand(&found, &vec![budget; n], size, Expansion::Bfs, &ctx).unwrap();
                for cell in 0..n {
                    let want = plain_walk(&graph, cell, budget, size + 1);
                    assert_eq!(rows.row(cell).iter().copied().collect::<HashSet<_>>(), want, "{n} {budget} {cell}");
                }
            }
        }
    }

    #[test]
    fn discovered_nearest_first_the_order_of_the_cells_decides_nothing() {
        let (ctx, n, budget) = (Context::default(), 60, 9);
        let found = neighbours(n, 5, 13);
        // The cell i is called 59 − i.
        let turned = |j: u32| n as u32 - 1 - j;
        let indices = (0..n).rev().flat_map(|i| found.indices_of(i)).map(|&j| turned(j)).collect();
        let renamed = Neighbours { indices, ..found.clone() };
        let budgets = vec![budget; n];
        let before = expand(&found, &budgets, 2, Expansion::Nearest, &ctx).unwrap();
        let after = expand(&renamed, &budgets, 2, Expansion::Nearest, &ctx).unwrap();
        for cell in 0..n {
            let mut back: Vec<u32> = after.row(n - 1 - cell).iter().map(|&j| turned(j)).collect();
            back.sort_unstable();
            assert_eq!(back, before.row(cell));
        }
    }

    #[test]
    fn with_budget_to_spare_both_forms_reach_the_same_cells() {
        let (ctx, n) = (Context::default(), 80);
        let found = neighbours(n, 4, 3);
        let bfs = expand(&found, &vec![n; n], 2, Expansion::Bfs, &ctx).unwrap();
        let powers = expand(&found, &vec![n; n], 2, Expansion::MatrixPower, &ctx).unwrap();
        for cell in 0..n {
            let others: Vec<u32> = powers.row(cell).iter().copied().filter(|&j| j as usize != cell).collect();
            assert_eq!(others, bfs.row(cell));
        }
    }

    #[test]
    fn matrix_powers_match_dense_powers() {
        let (ctx, n, budget) = (Context::default(), 30, 12);
        let found = neighbours(n, 4, 11);
        let graph = adjacency(&found, true);
        let mut dense = vec![vec![0.0; n]; n];
        (0..n).for_each(|i| graph.row(i).iter().for_each(|&j| dense[i][j as usize] = 1.0));
        let got = expand(&found, &vec![budget; n], 2, Expansion::MatrixPower, &ctx).unwrap();
        for cell in 0..n {
            let (mut seen, mut want) = (HashSet::new(), Vec::new());
            let mut power: Vec<f64> = dense[cell].clone();
            for _ in 0..3 {
                let mut ring: Vec<usize> = (0..n).filter(|&j| power[j] > 0.0 && seen.insert(j)).collect();
                ring.sort_by(|&x, &y| power[y].total_cmp(&power[x]));
                want.extend(ring.into_iter().take(budget - want.len()).map(|j| j as u32));
                power = (0..n).map(|j| (0..n).map(|i| power[i] * dense[i][j]).sum()).collect();
            }
            want.sort_unstable();
            assert_eq!(got.row(cell), want);
        }
    }

    #[test]
    fn budgets_are_group_sizes_up_to_the_cap() {
        assert_eq!(budgets(&[2, 0, 2, 2], None), [3, 1, 3, 3]);
        assert_eq!(budgets(&[2, 0, 2, 2], Some(2)), [2, 1, 2, 2]);
    }
}
