//! Divides homology edges into tiles of few genes. In: edges between genes. Out: tiles, each with its genes and the edges
//! between them; every edge is in one tile, a gene may be in several.

/// Some genes and the edges among them that are worked on together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tile {
    /// Genes of the homology graph, ascending.
    pub genes: Vec<u32>,
    /// Which of the edges lie in this tile.
    pub edges: Vec<u32>,
    /// Their two genes, as places in `genes`.
    pub pairs: Vec<(u32, u32)>,
}

/// Place of a gene that is in no tile under way.
const OUTSIDE: u32 = u32::MAX;

/// Tiles of at most `capacity` (at least 2) genes. Genes that hang together are taken together, so few are in two tiles.
pub fn tiles(edges: &[(u32, u32)], genes: usize, capacity: usize) -> Vec<Tile> {
    let rank = discovery_order(edges, genes);
    let mut order: Vec<u32> = (0..edges.len() as u32).collect();
    let ranks = |edge: u32| {
        let (g, h) = edges[edge as usize];
        let (x, y) = (rank[g as usize], rank[h as usize]);
        (x.min(y), x.max(y))
    };
    order.sort_unstable_by_key(|&edge| ranks(edge));
    let mut place = vec![OUTSIDE; genes];
    let (mut done, mut tile) = (Vec::new(), Tile::default());
    for edge in order {
        let (g, h) = edges[edge as usize];
        let new = [g, h].into_iter().filter(|&gene| place[gene as usize] == OUTSIDE).count();
        if tile.genes.len() + new > capacity.max(2) {
            done.push(std::mem::take(&mut tile).finish(edges, &mut place));
        }
        for gene in [g, h] {
            if place[gene as usize] == OUTSIDE {
                place[gene as usize] = 0;
                tile.genes.push(gene);
            }
        }
        tile.edges.push(edge);
    }
    if !tile.edges.is_empty() {
        done.push(tile.finish(edges, &mut place));
    }
    done
}

impl Tile {
    /// Sorts the genes and looks up the places of both genes of each edge; leaves `place` as if the tile had never been.
    fn finish(mut self, edges: &[(u32, u32)], place: &mut [u32]) -> Tile {
        self.genes.sort_unstable();
        self.edges.sort_unstable();
        self.genes.iter().enumerate().for_each(|(i, &gene)| place[gene as usize] = i as u32);
        let pair = |&edge: &u32| {
            let (g, h) = edges[edge as usize];
            (place[g as usize], place[h as usize])
        };
        self.pairs = self.edges.iter().map(pair).collect();
        self.genes.iter().for_each(|&gene| place[gene as usize] = OUTSIDE);
        self
    }
}

/// Position of each gene in a breadth-first walk of the graph that starts anew, at the lowest gene left, in each component.
fn discovery_order(edges: &[(u32, u32)], genes: usize) -> Vec<u32> {
    let mut pointers = vec![0_usize; genes + 1];
    for &(g, h) in edges {
        pointers[g as usize + 1] += 1;
        pointers[h as usize + 1] += 1;
    }
    for gene in 0..genes {
        pointers[gene + 1] += pointers[gene];
    }
    let (mut next, mut partners) = (pointers.clone(), vec![0_u32; 2 * edges.len()]);
    for &(g, h) in edges {
        for (from, to) in [(g, h), (h, g)] {
            partners[next[from as usize]] = to;
            next[from as usize] += 1;
        }
    }
    let (mut rank, mut queue) = (vec![u32::MAX; genes], Vec::with_capacity(genes));
    for start in 0..genes {
        let mut head = queue.len();
        if rank[start] == u32::MAX {
            rank[start] = head as u32;
            queue.push(start);
        }
        while head < queue.len() {
            let gene = queue[head];
            head += 1;
            for &partner in &partners[pointers[gene]..pointers[gene + 1]] {
                if rank[partner as usize] == u32::MAX {
                    rank[partner as usize] = queue.len() as u32;
                    queue.push(partner as usize);
                }
            }
        }
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_is_in_one_tile_with_both_its_genes() {
        let edges: Vec<(u32, u32)> = (0..40).map(|i| (i * 7 % 23, 23 + i * 5 % 19)).collect();
        for capacity in [2, 3, 10, 100] {
            let tiles = tiles(&edges, 42, capacity);
            let mut seen: Vec<u32> = tiles.iter().flat_map(|tile| tile.edges.clone()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..40).collect::<Vec<_>>());
            for tile in &tiles {
                assert!(tile.genes.len() <= capacity);
                for (&edge, &(g, h)) in tile.edges.iter().zip(&tile.pairs) {
                    assert_eq!(edges[edge as usize], (tile.genes[g as usize], tile.genes[h as usize]));
                }
            }
        }
        assert_eq!(tiles(&edges, 42, 100).len(), 1);
        assert!(tiles(&[], 5, 10).is_empty());
    }

    #[test]
    fn a_component_is_not_divided_when_it_fits() {
        // Components {0, 5}, {1, 3} and {2, 4}: three tiles of two genes and no gene twice.
        let found = tiles(&[(0, 5), (1, 3), (2, 4)], 6, 2);
        assert_eq!(found.iter().map(|tile| tile.genes.len()).collect::<Vec<_>>(), [2, 2, 2]);
    }
}
