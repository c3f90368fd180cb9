//! Paralog substitutions and triangles against the reference, fed with the reference's own homology and scores.

// Helpers of tests fail the test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod annotated;
mod atlases;
mod common;

use annotated::Annotated;
use atlases::Atlases;
use common::{Frame, Golden};
use samap_core::Context;
use samap_core::analysis::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A fixture with its homologous pairs under the reference's names.
struct World {
    golden: Golden,
    run: Annotated,
    names: Vec<String>,
    pairs: Vec<(u32, u32)>,
    correlations: Vec<f64>,
    orthologs: Vec<(u32, u32)>,
}

impl World {
    fn open(name: &str) -> Self {
        let golden = Golden::open(name);
        let run = Annotated::reference(&golden, &Atlases::of(&golden), "default");
        let names = golden.strings("mapping/default/homology_genes");
        let place: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let pairs: Vec<(u32, u32)> = run.atlases.homology.edges().map(|(g, h, _)| (g, h)).collect();
        let refined = |&(g, h): &(u32, u32)| run.refined.get(g as usize, h as usize).copied().unwrap_or(0.0);
        let correlations = pairs.iter().map(refined).collect();
        let orthologs = golden.strings("orthologs");
        let orthologs = orthologs
            .chunks(2)
            .filter_map(|pair| Some((*place.get(pair[0].as_str())?, *place.get(pair[1].as_str())?)))
            .collect();
        World { golden, run, names, pairs, correlations, orthologs }
    }

    fn homology(&self) -> HomologousPairs<'_> {
        let genes = &self.run.atlases.homology.offsets;
        HomologousPairs { genes, pairs: &self.pairs, values: &self.correlations }
    }

    fn substitutions(&self, min_gain: f64) -> Vec<Substitution> {
        let options = SubstitutionOptions { min_gain };
        paralog_substitutions(&self.homology(), &self.orthologs, None, &options, &Context::default()).unwrap()
    }

    fn name(&self, gene: u32) -> &str {
        &self.names[gene as usize]
    }
}

#[test]
fn paralog_substitutions_of_the_reference() {
    for name in ["small2", "small3"] {
        let world = World::open(name);
        let table = world.golden.frame("analysis/default/paralog_substitutions");
        let mut expected = BTreeMap::new();
        for i in 0..table.index.len() {
            let key = (table.text("ortholog pairs")[i].clone(), table.text("paralog pairs")[i].clone());
            let numbers = ["ortholog corrs", "paralog corrs", "corr diff"].map(|column| table.numbers(column)[i]);
            expected.insert(key, numbers);
        }
        let rows = world.substitutions(0.1);
        println!("{name}: {} substitutions, {} of the reference", rows.len(), expected.len());
        assert_eq!(rows.len(), expected.len());
        for row in rows {
            let [gene, ortholog, paralog] = [row.gene, row.ortholog, row.paralog].map(|gene| world.name(gene));
            let key = (format!("{gene};{ortholog}"), format!("{gene};{paralog}"));
            let numbers = expected[&key];
            let ours = [row.ortholog_correlation, row.paralog_correlation, row.gain];
            assert!(ours.iter().zip(numbers).all(|(a, b)| (a - b).abs() < 1e-12), "{key:?}");
        }
    }
}

#[test]
fn triangles_of_cell_types() {
    let world = World::open("small3");
    let table = world.golden.frame("analysis/default/cell_type_triangles");
    let expected: BTreeSet<Vec<String>> =
        (0..table.index.len()).map(|i| ["hu", "hb", "ms"].map(|id| table.text(id)[i].clone()).to_vec()).collect();
    let scores = world.run.scores(20, 0);
    let options = TypeTriangleOptions { min_score: 0.2, size: 3 };
    let found = cell_type_triangles(&scores, &options, &Context::default()).unwrap();
    let mut mine = BTreeSet::new();
    for i in 0..found.cliques.len() {
        let types: Vec<(u32, u32)> = found.cliques.corners(i).iter().map(|&at| found.types[at as usize]).collect();
        // The scores that the reference computes and drops.
        for ((a, b), &edge) in [(0, 1), (0, 2), (1, 2)].iter().zip(found.cliques.edges(i)) {
            let same =
                |s: &&AlignmentScore| ((s.species_a, s.type_a), (s.species_b, s.type_b)) == (types[*a], types[*b]);
            assert_eq!(scores.iter().find(same).unwrap().score, found.scores[edge as usize]);
        }
        mine.insert(types.iter().map(|&(species, kind)| world.run.type_name(species, kind)).collect::<Vec<_>>());
    }
    assert_eq!(mine.len(), found.cliques.len());
    assert_eq!(mine, expected);
}

/// A row of the reference's table of gene triangles: genes, then correlations, then cell types.
fn triangle(table: &Frame, i: usize) -> (Vec<String>, [f64; 3], [String; 3]) {
    let text = |column: String| table.text(&column)[i].clone();
    let number = |column: &str| text(column.to_owned()).parse().unwrap();
    let genes = ["hu", "hb", "ms"].map(|id| text(format!("{id} gene"))).to_vec();
    let correlations = ["hu/hb corr", "hu/ms corr", "hb/ms corr"].map(number);
    (genes, correlations, ["hu", "hb", "ms"].map(|id| text(format!("{id} cell type"))))
}

/// SAMap 3.0.1 never assigns the class of substitutions (1.0.16 did), so that its table has triangles of orthologs alone: those are
/// the same here, with their correlations and cell types.
#[test]
fn triangles_of_genes() {
    let world = World::open("small3");
    let table = world.golden.frame("analysis/default/gene_triangles");
    let (ctx, classes) = (Context::default(), vec![EdgeClass::Ortholog]);
    let options = GeneTriangleOptions { min_correlation: 0.2, size: 3, classes };
    let substitutions = world.substitutions(0.3);
    let run = |options| gene_triangles(&world.homology(), &world.orthologs, &substitutions, options, &ctx).unwrap();
    let found = run(&options);
    assert_eq!(found.cliques.len(), table.index.len());
    let expected: HashMap<Vec<String>, _> = (0..table.index.len())
        .map(|i| triangle(&table, i))
        .map(|(genes, correlations, types)| (genes, (correlations, types)))
        .collect();
    let markers = world.run.markers(Test::Reference);
    for i in 0..found.cliques.len() {
        let corners = found.cliques.corners(i);
        let (correlations, types) = &expected[&corners.iter().map(|&g| world.name(g).to_owned()).collect::<Vec<_>>()];
        for (&edge, expected) in found.cliques.edges(i).iter().zip(correlations) {
            assert!((found.correlations[edge as usize] - expected).abs() < 1e-12);
        }
        for ((s, &gene), expected) in corners.iter().enumerate().zip(types) {
            let first = world.run.atlases.homology.offsets[s];
            let column = world.run.atlases.species[s].gene_columns[gene as usize - first];
            let kinds = types_of_genes(&markers[s], &[column], 1e-10).unwrap();
            let names: Vec<&str> = kinds[0].iter().map(|&kind| world.run.types[s][kind as usize].as_str()).collect();
            assert_eq!(&names.join(";"), expected);
        }
    }
    // With substitutions there are more, each with a substitution; the pairs of orthologs stay what they are.
    let all = run(&GeneTriangleOptions { min_correlation: 0.2, ..GeneTriangleOptions::default() });
    let of = |i: usize, class| all.cliques.edges(i).iter().filter(|&&e| all.classes[e as usize] == class).count();
    let with = (0..all.cliques.len()).filter(|&i| of(i, EdgeClass::Substitution) > 0).count();
    println!("{} triangles of orthologs, {with} with substitutions", found.cliques.len());
    assert!((0..all.cliques.len()).all(|i| of(i, EdgeClass::Homolog) == 0));
    assert_eq!(all.cliques.len(), found.cliques.len() + with);
    assert!(with > 0);
}
