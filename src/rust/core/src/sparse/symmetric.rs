//! Undirected views of a directed graph.

use super::{Graph, graph_from_rows, row};
use rayon::prelude::*;
use std::cmp::Ordering;

/// max(A, Aᵀ): every edge in both directions, with the larger weight. Loops and edges of weight 0 are dropped.
pub fn larger_of_both(graph: &Graph) -> Graph {
    let transposed = graph.transpose_view().to_csr();
    let merged = |i: usize| {
        let (forth, back) = (row(graph, i), row(&transposed, i));
        let (mut a, mut b) = (0, 0);
        let mut out = Vec::with_capacity(forth.0.len() + back.0.len());
        while a < forth.0.len() || b < back.0.len() {
            let order = match (forth.0.get(a), back.0.get(b)) {
                (Some(x), Some(y)) => x.cmp(y),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let (column, weight) = match order {
                Ordering::Less => (forth.0[a], forth.1[a]),
                Ordering::Greater => (back.0[b], back.1[b]),
                Ordering::Equal => (forth.0[a], forth.1[a].max(back.1[b])),
            };
            a += usize::from(order != Ordering::Greater);
            b += usize::from(order != Ordering::Less);
            if column as usize != i && weight != 0.0 {
                out.push((column, weight));
            }
        }
        out
    };
    graph_from_rows(graph.cols(), (0..graph.rows()).into_par_iter().map(merged).collect())
}

/// Connected component of each of `n` nodes, whatever the direction of the `edges`; numbered by their first node.
pub fn components(n: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<u32> {
    let mut parent: Vec<u32> = (0..n as u32).collect();
    let find = |parent: &mut Vec<u32>, mut i: usize| {
        while parent[i] as usize != i {
            // Halves the path on the way.
            parent[i] = parent[parent[i] as usize];
            i = parent[i] as usize;
        }
        i
    };
    for (a, b) in edges {
        let (a, b) = (find(&mut parent, a), find(&mut parent, b));
        parent[a.max(b)] = a.min(b) as u32;
    }
    // The smallest node of a component is its root: it comes first.
    let mut number = vec![u32::MAX; n];
    let mut next = 0;
    for i in 0..n {
        let root = find(&mut parent, i);
        if root == i {
            number[i] = next;
            next += 1;
        }
        number[i] = number[root];
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn both_directions_have_the_larger_weight() {
        let mut rng = Rng::keyed(2, 0, 0);
        let rows: Vec<Vec<(u32, f64)>> =
            (0..30).map(|_| (0..30).map(|j| (j, rng.uniform())).filter(|e| e.1 < 0.3).collect()).collect();
        let graph = graph_from_rows(30, rows);
        let symmetric = larger_of_both(&graph);
        for i in 0..30 {
            for j in 0..30 {
                let of = |a, b| graph.get(a, b).copied().unwrap_or(0.0);
                let expected = if i == j { 0.0 } else { of(i, j).max(of(j, i)) };
                assert_eq!(symmetric.get(i, j).copied().unwrap_or(0.0), expected);
            }
        }
    }

    #[test]
    fn components_are_found_against_the_direction_and_numbered_by_their_first_node() {
        let edges = [(4, 1), (1, 3), (5, 2), (6, 6)];
        assert_eq!(components(7, edges.into_iter()), [0, 1, 2, 1, 1, 2, 3]);
        assert_eq!(components(0, std::iter::empty()), Vec::<u32>::new());
        // A long chain, from its far end.
        let chain = (0..9999).rev().map(|i| (i + 1, i));
        assert!(components(10_000, chain).iter().all(|&c| c == 0));
    }
}
