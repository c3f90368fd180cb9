//! Cliques across species. In: vertices (genes or cell types) by species, and edges between species. Out: all sets of `size`
//! vertices of as many species of which every two share an edge.
//!
//! A clique grows corner by corner in the order of the species; what may come next is what all its corners are linked to. Branches
//! whose candidates are of too few species end at once, so that the work follows the number of cliques found.

use crate::{Context, Error, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// First corners of one task.
const CORNERS: usize = 256;
/// Most cliques: a table of more rows tells nobody anything.
const MOST_CLIQUES: usize = 50_000_000;

/// Cliques of `size` corners; corners ascend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cliques {
    /// Corners of a clique.
    pub size: usize,
    /// Corners of one clique after the other.
    corners: Vec<u32>,
    /// Edges of one clique after the other, as positions in the list of edges; the edge between the corners i < j comes in
    /// the order of (i, j): 12, 13, …, 23, ….
    edges: Vec<u32>,
}

impl Cliques {
    fn new(size: usize) -> Self {
        Cliques { size, corners: Vec::new(), edges: Vec::new() }
    }

    /// Number of cliques.
    pub fn len(&self) -> usize {
        self.corners.len() / self.size
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.corners.is_empty()
    }

    /// Corners of clique `i`.
    pub fn corners(&self, i: usize) -> &[u32] {
        &self.corners[i * self.size..(i + 1) * self.size]
    }

    /// Edges of clique `i`.
    pub fn edges(&self, i: usize) -> &[u32] {
        let each = self.size * (self.size - 1) / 2;
        &self.edges[i * each..(i + 1) * each]
    }

    /// The smallest weight of an edge of clique `i`.
    pub fn least(&self, i: usize, weights: &[f64]) -> f64 {
        self.edges(i).iter().map(|&edge| weights[edge as usize]).fold(f64::INFINITY, f64::min)
    }

    /// The same cliques, those with the largest smallest weight first; ties keep their order.
    pub fn best_first(&self, weights: &[f64]) -> Cliques {
        let mut order: Vec<(usize, f64)> = (0..self.len()).map(|i| (i, self.least(i, weights))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable
        Cliques {
            size: self.size,
            corners: order.iter().flat_map(|&(i, _)| self.corners(i)).copied().collect(),
            edges: order.iter().flat_map(|&(i, _)| self.edges(i)).copied().collect(),
        }
    }
}

/// All cliques, in the order of their corners. `species`: of each vertex, ascending; `edges`: between vertices of different
/// species, in either orientation, each pair once; `size`: corners, at least 2. Progress: one step per vertex.
///
/// # Errors
/// [`Error::Argument`] for a `size` below 2, and when there are more than 50 million cliques; [`Error::Shape`] when vertices
/// are not ordered by species, or an edge lies within a species or outside of the graph.
pub fn cliques(species: &[u32], edges: &[(u32, u32)], size: usize, ctx: &Context) -> Result<Cliques> {
    if size < 2 {
        return Err(Error::argument("n", format!("{size}"), "Cliques have at least two corners."));
    }
    let search = Search { graph: Forward::new(species, edges)?, species, size, found: AtomicUsize::new(0) };
    let blocks: Vec<Cliques> = (0..species.len().div_ceil(CORNERS))
        .into_par_iter()
        .map(|block| {
            let mut cliques = Cliques::new(size);
            let first = block * CORNERS..((block + 1) * CORNERS).min(species.len());
            ctx.advance(first.len())?;
            for vertex in first {
                search.from(vertex as u32, &mut cliques, ctx)?;
            }
            Ok(cliques)
        })
        .collect::<Result<_>>()?;
    Ok(Cliques {
        size,
        corners: blocks.iter().flat_map(|block| &block.corners).copied().collect(),
        edges: blocks.iter().flat_map(|block| &block.edges).copied().collect(),
    })
}

/// For each vertex, its neighbours of later species, ascending, with the position of the edge.
struct Forward {
    pointers: Vec<usize>,
    neighbours: Vec<(u32, u32)>,
}

impl Forward {
    fn new(species: &[u32], edges: &[(u32, u32)]) -> Result<Self> {
        let vertices = species.len();
        let fits = |&(a, b): &(u32, u32)| {
            (a as usize) < vertices && (b as usize) < vertices && species[a as usize] != species[b as usize]
        };
        if !species.is_sorted() || !edges.iter().all(fits) {
            let expected = format!("edges between species among {vertices} vertices in the order of their species");
            return Err(Error::shape("cliques", expected, format!("{} edges, not all of this kind", edges.len())));
        }
        let mut links: Vec<(u32, u32, u32)> =
            edges.iter().zip(0..).map(|(&(a, b), edge)| (a.min(b), a.max(b), edge)).collect();
        links.par_sort_unstable();
        let pointers = (0..=vertices).map(|from| links.partition_point(|link| (link.0 as usize) < from)).collect();
        Ok(Forward { pointers, neighbours: links.into_iter().map(|(_, to, edge)| (to, edge)).collect() })
    }

    fn of(&self, vertex: u32) -> &[(u32, u32)] {
        &self.neighbours[self.pointers[vertex as usize]..self.pointers[vertex as usize + 1]]
    }
}

/// What may come next, with its edges to the corners there are.
struct Candidates {
    vertices: Vec<u32>,
    edges: Vec<Vec<u32>>,
}

struct Search<'a> {
    graph: Forward,
    species: &'a [u32],
    size: usize,
    found: AtomicUsize,
}

impl Search<'_> {
    fn from(&self, first: u32, cliques: &mut Cliques, ctx: &Context) -> Result<()> {
        let (vertices, edges) = self.graph.of(first).iter().map(|&(to, edge)| (to, vec![edge])).unzip();
        let before = cliques.len();
        self.grow(&mut vec![first], &mut vec![Vec::new()], &Candidates { vertices, edges }, cliques, ctx)?;
        let all = self.found.fetch_add(cliques.len() - before, Ordering::Relaxed);
        if all > MOST_CLIQUES {
            let found = format!("more than {MOST_CLIQUES} cliques of {} corners", self.size);
            return Err(Error::argument("n", found, "Raise the threshold of the edges, or choose another `n`."));
        }
        Ok(())
    }

    /// `edges[j]`: edges of corner j to the corners before it.
    fn grow(
        &self,
        corners: &mut Vec<u32>,
        edges: &mut Vec<Vec<u32>>,
        candidates: &Candidates,
        cliques: &mut Cliques,
        ctx: &Context,
    ) -> Result<()> {
        if corners.len() == self.size {
            cliques.corners.extend_from_slice(corners);
            let pairs = (0..self.size).flat_map(|i| (i + 1..self.size).map(move |j| (i, j)));
            cliques.edges.extend(pairs.map(|(i, j)| edges[j][i]));
            return Ok(());
        }
        if self.species_among(&candidates.vertices) + corners.len() < self.size {
            return Ok(());
        }
        ctx.check()?;
        for (at, &vertex) in candidates.vertices.iter().enumerate() {
            corners.push(vertex);
            edges.push(candidates.edges[at].clone());
            self.grow(corners, edges, &self.shared(candidates, at, vertex), cliques, ctx)?;
            corners.pop();
            edges.pop();
        }
        Ok(())
    }

    /// Candidates after position `at` that are neighbours of `vertex`, too.
    fn shared(&self, candidates: &Candidates, at: usize, vertex: u32) -> Candidates {
        let mut shared = Candidates { vertices: Vec::new(), edges: Vec::new() };
        let neighbours = self.graph.of(vertex);
        let later = &candidates.vertices[at + 1..];
        let mut keep = |place: usize, edge: u32| {
            shared.vertices.push(later[place]);
            shared.edges.push(candidates.edges[at + 1 + place].iter().copied().chain([edge]).collect());
        };
        // The shorter list is looked up in the longer one.
        if later.len() < neighbours.len() {
            for (place, candidate) in later.iter().enumerate() {
                if let Ok(found) = neighbours.binary_search_by_key(candidate, |neighbour| neighbour.0) {
                    keep(place, neighbours[found].1);
                }
            }
        } else {
            for &(neighbour, edge) in neighbours {
                if let Ok(place) = later.binary_search(&neighbour) {
                    keep(place, edge);
                }
            }
        }
        shared
    }

    fn species_among(&self, vertices: &[u32]) -> usize {
        vertices.chunk_by(|&a, &b| self.species[a as usize] == self.species[b as usize]).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// 4 species with 6 vertices each, edges at random in random orientation.
    fn random(seed: u64, share: f64) -> (Vec<u32>, Vec<(u32, u32)>) {
        let mut rng = Rng::keyed(seed, 0, 0);
        let species: Vec<u32> = (0..24).map(|vertex| vertex / 6).collect();
        let mut edges = Vec::new();
        for (a, b) in (0..24).flat_map(|a| (a + 1..24).map(move |b| (a, b))) {
            if species[a as usize] != species[b as usize] && rng.uniform() < share {
                edges.push(if rng.uniform() < 0.5 { (a, b) } else { (b, a) });
            }
        }
        (species, edges)
    }

    #[test]
    fn all_subsets_and_no_others() {
        for (seed, share) in [(1, 0.2), (2, 0.5), (3, 1.0)] {
            let (species, edges) = random(seed, share);
            let edge = |a: u32, b: u32| edges.iter().position(|&(c, d)| (a, b) == (c, d) || (a, b) == (d, c));
            for size in 2..=4 {
                let found = cliques(&species, &edges, size, &Context::default()).unwrap();
                let mut expected = Vec::new();
                for subset in (0..1_u32 << 24).filter(|set| set.count_ones() as usize == size) {
                    let corners: Vec<u32> = (0..24).filter(|vertex| subset >> vertex & 1 == 1).collect();
                    let pairs = (0..size).flat_map(|i| (i + 1..size).map(move |j| (i, j)));
                    let links: Option<Vec<u32>> =
                        pairs.map(|(i, j)| edge(corners[i], corners[j]).map(|e| e as u32)).collect();
                    expected.extend(links.map(|links| (corners, links)));
                }
                expected.sort();
                let mine = (0..found.len()).map(|i| (found.corners(i).to_vec(), found.edges(i).to_vec()));
                assert_eq!(mine.collect::<Vec<_>>(), expected);
            }
            assert!(cliques(&species, &edges, 5, &Context::default()).unwrap().is_empty());
        }
    }

    #[test]
    fn best_first_by_the_weakest_edge() {
        let (species, edges) = random(4, 0.6);
        let mut rng = Rng::keyed(9, 0, 0);
        let weights: Vec<f64> = edges.iter().map(|_| (rng.below(5) as f64 + 1.0) / 5.0).collect();
        let found = cliques(&species, &edges, 3, &Context::default()).unwrap();
        let sorted = found.best_first(&weights);
        assert_eq!(sorted.len(), found.len());
        let key = |i: usize| (-sorted.least(i, &weights), sorted.corners(i).to_vec());
        assert!((1..sorted.len()).all(|i| key(i - 1) < key(i)));
    }

    #[test]
    fn threads_do_not_matter_and_cancelling_does() {
        let species: Vec<u32> = (0..900).map(|vertex| vertex / 300).collect();
        let mut rng = Rng::keyed(5, 0, 0);
        let mut edges: Vec<(u32, u32)> = (0..9000)
            .map(|_| (rng.below(900) as u32, rng.below(900) as u32))
            .filter(|(a, b)| a / 300 < b / 300)
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let run = |ctx: &Context| cliques(&species, &edges, 3, ctx);
        let expected = run(&Context::default()).unwrap();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(&Context::default())).unwrap(), expected);
        }
        let ctx = Context::default();
        ctx.cancel();
        assert!(matches!(run(&ctx), Err(Error::Cancelled)));
    }

    #[test]
    fn what_is_no_graph_across_species_is_an_error() {
        let run = |species: &[u32], edges: &[(u32, u32)], size| cliques(species, edges, size, &Context::default());
        assert!(matches!(run(&[0, 1], &[(0, 1)], 1), Err(Error::Argument { .. })));
        assert!(matches!(run(&[0, 0], &[(0, 1)], 2), Err(Error::Shape { .. })));
        assert!(matches!(run(&[1, 0], &[(0, 1)], 2), Err(Error::Shape { .. })));
        assert!(matches!(run(&[0, 1], &[(0, 2)], 2), Err(Error::Shape { .. })));
        assert!(run(&[], &[], 3).unwrap().is_empty());
    }
}
