use super::*;
use crate::analysis::{Test, UNLABELLED, alignment_scores, cluster_markers};
use crate::rng::Rng;
use crate::sparse::{Csr, graph_from_rows};

/// A random mapping of three species, two types each (species 1 has a third, empty one), some cells unlabelled.
struct World {
    dense: Vec<Vec<Vec<f32>>>,
    expression: Vec<Expression>,
    weights: Vec<Vec<f64>>,
    columns: Vec<Vec<u32>>,
    labels: Vec<Vec<u32>>,
    markers: Vec<Markers>,
    genes: Vec<usize>,
    refined: Graph,
    cells: Vec<usize>,
    stitched: Graph,
}

const CELLS: [usize; 3] = [20, 26, 18];
const GENES: usize = 12;
/// Homologous genes are every column but the first, in descending order of columns.
const HOMOLOGOUS: usize = GENES - 1;

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::keyed(seed, 0, 0);
        let labels: Vec<Vec<u32>> =
            CELLS.iter().map(|&n| (0..n).map(|_| [0, 0, 0, 1, 1, 1, UNLABELLED][rng.below(7)]).collect()).collect();
        let mut value = |gene: usize, label: u32| {
            let up = if gene % 2 == label as usize { 3.0 } else { 1.0 };
            if rng.uniform() < 0.4 { 0.0 } else { (up + rng.normal().abs()) as f32 }
        };
        let dense: Vec<Vec<Vec<f32>>> = labels
            .iter()
            .map(|of| of.iter().map(|&label| (0..GENES).map(|gene| value(gene, label)).collect()).collect())
            .collect();
        let expression: Vec<Expression> = dense.iter().map(|dense| sparse(dense)).collect();
        let mut rng = Rng::keyed(seed, 1, 0);
        let mut edges = |n: usize, species: &dyn Fn(usize) -> usize, share: f64| -> Graph {
            let mut row = |i: usize| -> Vec<(u32, f64)> {
                let others = (0..n as u32).filter(|&j| species(i) != species(j as usize));
                others.map(|j| (j, rng.uniform())).filter(|edge| edge.1 < share).collect()
            };
            let rows = (0..n).map(&mut row).collect();
            graph_from_rows(n, rows)
        };
        let cells = vec![0, 20, 46, 64];
        let stitched = edges(64, &|i| cells.partition_point(|&first| first <= i), 0.05);
        let half = edges(3 * HOMOLOGOUS, &|g| g / HOMOLOGOUS, 0.3);
        let symmetric = (0..3 * HOMOLOGOUS).map(|g| {
            let linked = |h: usize| half.get(g.min(h), g.max(h)).is_some();
            (0..3 * HOMOLOGOUS).filter(|&h| linked(h)).map(|h| (h as u32, pair_weight(g, h))).collect()
        });
        let refined = graph_from_rows(3 * HOMOLOGOUS, symmetric.collect());
        let markers = (0..3)
            .map(|s| {
                let labels = Labels { of: &labels[s], types: 2 + usize::from(s == 1) };
                cluster_markers(&expression[s], labels, Test::Reference, &Context::default()).unwrap()
            })
            .collect();
        World {
            weights: vec![(0..GENES).map(|g| g as f64 / 10.0).collect(); 3],
            columns: vec![(1..GENES as u32).rev().collect(); 3],
            genes: vec![0, HOMOLOGOUS, 2 * HOMOLOGOUS, 3 * HOMOLOGOUS],
            dense,
            expression,
            labels,
            markers,
            refined,
            cells,
            stitched,
        }
    }

    fn labels(&self, s: usize) -> Labels<'_> {
        Labels { of: &self.labels[s], types: 2 + usize::from(s == 1) }
    }

    fn run(&self, options: &GenePairOptions, ctx: &Context) -> Result<Vec<GenePair>> {
        let species: Vec<AnnotatedSpecies> = (0..3)
            .map(|s| AnnotatedSpecies {
                expression: &self.expression[s],
                weights: &self.weights[s],
                gene_columns: &self.columns[s],
                labels: self.labels(s),
                markers: &self.markers[s],
            })
            .collect();
        let labels: Vec<_> = (0..3).map(|s| Some(self.labels(s))).collect();
        let scores = alignment_scores(&self.stitched, &self.cells, &labels, 3, 0, ctx)?;
        let input = GenePairInput {
            species: &species,
            genes: &self.genes,
            refined: &self.refined,
            cells: &self.cells,
            stitched: &self.stitched,
        };
        gene_pairs(&input, &scores, options, ctx)
    }

    /// u of all genes of species `a` for (A, B), by the definition; and which genes are above their mean in enough cells.
    fn u(&self, (a, kind): (usize, u32), (b, other): (usize, u32), min_fraction: f64) -> (Vec<f64>, Vec<bool>) {
        let of = |s: usize, kind: u32| (0..CELLS[s]).filter(move |&i| self.labels[s][i] == kind);
        let edge = |i: usize, j: usize| self.stitched.get(i, j).is_some_and(|weight| *weight != 0.0);
        let (first, second) = (self.cells[a], self.cells[b]);
        let linked: Vec<usize> = of(a, kind)
            .filter(|i| of(b, other).any(|j| edge(first + i, second + j) || edge(second + j, first + i)))
            .collect();
        let gene = |gene: &u32| {
            let x: Vec<f64> = self.dense[a].iter().map(|row| f64::from(row[*gene as usize])).collect();
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let sd = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64).sqrt();
            let z = |i: usize| if x[i] == 0.0 { 0.0 } else { ((x[i] - mean) / sd).max(0.0) };
            let u = linked.iter().map(|&i| z(i)).sum::<f64>() / linked.len() as f64;
            let above = of(a, kind).filter(|&i| z(i) > 0.0).count() as f64 / of(a, kind).count() as f64;
            (u, above > min_fraction)
        };
        self.columns[a].iter().map(gene).unzip()
    }
}

/// The world with the cells of each species and the columns of its expression in another order: where each went.
fn shuffled(world: &World) -> (World, Vec<Vec<usize>>) {
    let mut rng = Rng::keyed(9, 0, 0);
    let mut order = |n: usize| {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, rng.below(i + 1)));
        order
    };
    let mut new = World::new(0);
    let mut old_cell = Vec::new();
    let mut place = Vec::new();
    for (s, &n) in CELLS.iter().enumerate() {
        let (cells, columns) = (order(n), order(GENES));
        let place_of: Vec<usize> = (0..GENES).map(|old| columns.iter().position(|c| *c == old).unwrap()).collect();
        new.dense[s] = cells.iter().map(|&i| columns.iter().map(|&g| world.dense[s][i][g]).collect()).collect();
        new.expression[s] = sparse(&new.dense[s]);
        new.labels[s] = cells.iter().map(|&i| world.labels[s][i]).collect();
        new.weights[s] = columns.iter().map(|&g| world.weights[s][g]).collect();
        new.columns[s] = world.columns[s].iter().map(|&g| place_of[g as usize] as u32).collect();
        new.markers[s] =
            cluster_markers(&new.expression[s], new.labels(s), Test::Reference, &Context::default()).unwrap();
        old_cell.extend(cells.iter().map(|i| i + world.cells[s]));
        place.push(place_of);
    }
    let weight = |i: usize, j: usize| world.stitched.get(old_cell[i], old_cell[j]).copied();
    let rows = (0..64).map(|i| (0..64).filter_map(|j| weight(i, j).map(|w| (j as u32, w))).collect());
    new.stitched = graph_from_rows(64, rows.collect());
    new.refined = world.refined.clone();
    (new, place)
}

#[test]
fn other_orders_of_cells_and_genes_change_nothing() {
    let world = World::new(3);
    let (other, place) = shuffled(&world);
    for (s, place) in place.iter().enumerate() {
        for (old, &new) in place.iter().enumerate() {
            // Sums of ranks are exact, so that the bits are the same.
            assert_eq!(world.markers[s].scores.row(old), other.markers[s].scores.row(new));
            assert_eq!(world.markers[s].padj.row(old), other.markers[s].padj.row(new));
        }
    }
    let mut expected = keys(&world.run(&ALL, &Context::default()).unwrap());
    for row in &mut expected {
        row.4 = place[row.0 as usize][row.4 as usize] as u32;
        row.5 = place[row.2 as usize][row.5 as usize] as u32;
    }
    assert_same(keys(&other.run(&ALL, &Context::default()).unwrap()), expected);
}

/// A symmetric weight; a few edges are 0 and so none.
fn pair_weight(g: usize, h: usize) -> f64 {
    ((g + h) % 7) as f64 / 10.0
}

fn sparse(dense: &[Vec<f32>]) -> Expression {
    let (mut pointers, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in dense {
        for (gene, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            columns.push(gene as u16);
            values.push(value);
        }
        pointers.push(columns.len());
    }
    Expression::Narrow(Csr::<u16>::new((dense.len(), dense[0].len()), pointers, columns.into(), values.into()))
}

fn standardised(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let sd = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64).sqrt();
    x.iter().map(|x| ((x - mean) / sd).max(0.0)).collect()
}

/// All scores above 0 by the definition, without the filters on p: (species, type) of both sides, columns, score.
type Found = Vec<(u32, u32, u32, u32, u32, u32, f64)>;

fn naive(world: &World, min_weight: f64, min_fraction: f64, divergent: bool) -> Found {
    let mut found = Vec::new();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        for (kind, other) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (u, expressed_a) = world.u((a, kind), (b, other), min_fraction);
            let (v, expressed_b) = world.u((b, other), (a, kind), min_fraction);
            let edges: Vec<(usize, usize)> = (0..HOMOLOGOUS)
                .flat_map(|g| (0..HOMOLOGOUS).map(move |h| (g, h)))
                .filter(|&(g, h)| world.refined.get(world.genes[a] + g, world.genes[b] + h).is_some_and(|w| *w != 0.0))
                .collect();
            let up_a = standardised(&edges.iter().map(|e| u[e.0]).collect::<Vec<_>>());
            let up_b = standardised(&edges.iter().map(|e| v[e.1]).collect::<Vec<_>>());
            for (at, &(g, h)) in edges.iter().enumerate() {
                let (gene_a, gene_b) = (world.columns[a][g], world.columns[b][h]);
                let ok_a = expressed_a[g] && world.weights[a][gene_a as usize] >= min_weight;
                let ok_b = expressed_b[h] && world.weights[b][gene_b as usize] >= min_weight;
                let (x, y) = (up_a[at], up_b[at]);
                let (score, ok) = if divergent {
                    ((x - y).abs() * x.max(y), if x > y { ok_a } else { ok_b })
                } else {
                    (x * y, ok_a && ok_b)
                };
                if ok && score > 0.0 {
                    let score = score / edges.len() as f64;
                    found.push((a as u32, kind, b as u32, other, gene_a, gene_b, score));
                }
            }
        }
    }
    found
}

fn assert_same(mut rows: Found, mut expected: Found) {
    let key = |x: &(u32, u32, u32, u32, u32, u32, f64)| (x.0, x.1, x.2, x.3, x.4, x.5);
    rows.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(rows.iter().map(key).collect::<Vec<_>>(), expected.iter().map(key).collect::<Vec<_>>());
    assert!(rows.iter().zip(&expected).all(|(a, b)| (a.6 - b.6).abs() < 1e-12));
}

fn keys(rows: &[GenePair]) -> Found {
    rows.iter().map(|r| (r.species_a, r.type_a, r.species_b, r.type_b, r.gene_a, r.gene_b, r.score)).collect()
}

const ALL: GenePairOptions = GenePairOptions {
    min_score: 0.0,
    min_weight: 0.3,
    min_fraction: 0.3,
    max_pairs: usize::MAX,
    max_pval: f64::INFINITY,
    direction: Direction::Enriched,
};

#[test]
fn scores_are_as_defined() {
    for seed in 0..4 {
        let world = World::new(seed);
        let rows = world.run(&ALL, &Context::default()).unwrap();
        assert!(rows.len() > 20);
        assert_same(keys(&rows), naive(&world, 0.3, 0.3, false));
        for row in &rows {
            let at = |s: u32, gene: u32| {
                world.genes[s as usize] + world.columns[s as usize].iter().position(|c| *c == gene).unwrap()
            };
            let (g, h) = (at(row.species_a, row.gene_a), at(row.species_b, row.gene_b));
            assert_eq!(row.correlation, pair_weight(g, h));
            let p = &world.markers[row.species_b as usize];
            assert_eq!(row.pval_b, p.pvals[[row.gene_b as usize, row.type_b as usize]]);
            assert_eq!(row.padj_b, p.padj[[row.gene_b as usize, row.type_b as usize]]);
        }
        for types in rows.chunk_by(|a, b| {
            (a.species_a, a.type_a, a.species_b, a.type_b) == (b.species_a, b.type_a, b.species_b, b.type_b)
        }) {
            assert!(types.iter().enumerate().all(|(i, row)| row.rank as usize == i + 1));
            assert!(types.windows(2).all(|w| w[0].score >= w[1].score));
        }
    }
}

#[test]
fn divergent_pairs_are_up_on_one_side_only() {
    for seed in 0..4 {
        let world = World::new(seed);
        let options = GenePairOptions { max_pval: 0.05, direction: Direction::Divergent, ..ALL };
        let rows = world.run(&options, &Context::default()).unwrap();
        let marker =
            |s: u32, gene: u32, kind: u32| world.markers[s as usize].pvals[[gene as usize, kind as usize]] < 0.05;
        assert!(!rows.is_empty());
        for row in &rows {
            let sides = (marker(row.species_a, row.gene_a, row.type_a), marker(row.species_b, row.gene_b, row.type_b));
            assert!(sides.0 != sides.1);
        }
        let all = naive(&world, 0.3, 0.3, true);
        for row in keys(&rows) {
            assert!(all.iter().any(|x| (x.0, x.1, x.2, x.3, x.4, x.5) == (row.0, row.1, row.2, row.3, row.4, row.5)
                && (x.6 - row.6).abs() < 1e-12));
        }
    }
}

#[test]
fn filters_keep_the_best() {
    let world = World::new(1);
    let ctx = Context::default();
    let all = world.run(&ALL, &ctx).unwrap();
    let three = world.run(&GenePairOptions { max_pairs: 3, ..ALL }, &ctx).unwrap();
    assert_eq!(three, all.iter().filter(|row| row.rank <= 3).copied().collect::<Vec<_>>());
    let markers = world.run(&GenePairOptions { max_pval: 0.05, ..ALL }, &ctx).unwrap();
    assert!(!markers.is_empty() && markers.len() < all.len());
    assert!(markers.iter().all(|row| row.pval_a < 0.05 && row.pval_b < 0.05));
    assert_eq!(world.run(&GenePairOptions { min_score: 2.0, ..ALL }, &ctx).unwrap(), []);
}

#[test]
fn the_same_whatever_the_memory_and_the_threads() {
    let world = World::new(2);
    let expected = world.run(&ALL, &Context::default()).unwrap();
    for memory in [1, 1000, 5000] {
        assert_eq!(world.run(&ALL, &Context::new(memory)).unwrap(), expected);
    }
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| world.run(&ALL, &Context::default())).unwrap(), expected);
    }
}

#[test]
fn parts_must_fit() {
    let broken = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(1);
        change(&mut world);
        world.run(&ALL, &Context::default())
    };
    assert!(broken(&|_| ()).is_ok());
    assert!(matches!(broken(&|w| w.columns[0][0] = 99), Err(Error::Shape { .. })));
    assert!(matches!(broken(&|w| w.columns[2].truncate(5)), Err(Error::Shape { .. })));
    assert!(matches!(broken(&|w| w.weights[1].truncate(5)), Err(Error::Shape { .. })));
    assert!(matches!(broken(&|w| w.markers[1] = w.markers[0].clone()), Err(Error::Shape { .. })));
    assert!(matches!(broken(&|w| w.genes.truncate(3)), Err(Error::Shape { .. })));
    assert!(matches!(broken(&|w| w.labels[0][0] = 2), Err(Error::Argument { .. })));
}
