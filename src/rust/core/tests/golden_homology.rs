//! The homology graph of the reference's parsed BLAST tables: the row-maximum filter, and edges of sequences given as edges of
//! their genes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Golden;
use samap_core::Context;
use samap_core::homology::{Edge, Gene, HomologyGraph};
use samap_core::sparse::{Graph, row};

/// The parsed graph and its gene names, (species, name) per gene.
fn parsed(golden: &Golden) -> (HomologyGraph, Vec<(String, String)>) {
    let names = golden.strings("blast/raw/genes");
    let split: Vec<(String, String)> =
        names.iter().map(|name| name.split_once('_').unwrap()).map(|(s, g)| (s.to_owned(), g.to_owned())).collect();
    let count = |id: &String| split.iter().filter(|(species, _)| species == id).count();
    let mut offsets = vec![0];
    golden.species().iter().for_each(|id| offsets.push(offsets[offsets.len() - 1] + count(id)));
    (HomologyGraph { offsets, weights: golden.graph("blast/raw/graph") }, split)
}

#[test]
fn the_row_maximum_filter() {
    for name in ["small2", "small3"] {
        let golden = Golden::open(name);
        let (graph, _) = parsed(&golden);
        assert!(graph.filter(0.25).weights == golden.graph("blast/filtered_0.25"), "{name}");
    }
}

/// Human sequences whose names share their first four letters are one gene; all others stay what they are. The recorded
/// genes are sorted over all species, so `hb` comes before `hu`.
#[test]
fn coarsening_to_genes() {
    for name in ["small2", "small3"] {
        let golden = Golden::open(name);
        let (graph, names) = parsed(&golden);
        let recorded = golden.strings("blast/coarsened/genes");
        let of = |id: &String| recorded.iter().filter(|gene| gene.split_once('_').unwrap().0 == id).collect::<Vec<_>>();
        let genes: Vec<Vec<&String>> = golden.species().iter().map(of).collect();
        let short = |gene: &str| gene.chars().take(4).collect::<String>();
        let target = |(sequence, (id, gene)): (usize, &(String, String))| {
            let gene = if id == "hu" { format!("hu_{}", short(gene)) } else { format!("{id}_{gene}") };
            genes[graph.species_of(sequence)].iter().position(|&other| *other == gene).map(|i| i as u32)
        };
        let targets: Vec<Option<u32>> = names.iter().enumerate().map(target).collect();
        let gene =
            |s: u32| targets[s as usize].map(|index| Gene { species: graph.species_of(s as usize) as u32, index });
        let renamed = graph.edges().filter_map(|(a, b, weight)| Some(Edge { a: gene(a)?, b: gene(b)?, weight }));
        let counts: Vec<usize> = genes.iter().map(Vec::len).collect();
        let coarse = HomologyGraph::from_edges(&counts, renamed, &Context::default()).unwrap();
        let ours: Vec<&String> = genes.concat();
        let edges = |graph: &Graph, genes: &[&String]| {
            let mut edges: Vec<(String, String, f64)> = Vec::new();
            for (i, gene) in genes.iter().enumerate() {
                let (columns, weights) = row(graph, i);
                edges.extend(
                    columns.iter().zip(weights).map(|(&j, &w)| ((*gene).clone(), genes[j as usize].clone(), w)),
                );
            }
            edges.sort_by(|x, y| (&x.0, &x.1).cmp(&(&y.0, &y.1)));
            edges
        };
        let want = edges(&golden.graph("blast/coarsened/graph"), &recorded.iter().collect::<Vec<_>>());
        assert!(edges(&coarse.weights, &ours) == want, "{name}");
    }
}
