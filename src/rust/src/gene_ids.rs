//! Names of genes: their kinds, and transformations that make them match.

use crate::convert::{Fields, strings};
use crate::error::outcome;
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::homology::annotation::{Annotation, read_annotation};
use samap_core::homology::id_kinds::{Kind, id_kinds};
use samap_core::homology::ids::{IdMatch, Tried, match_ids};
use samap_core::{Context, Result};
use std::path::PathBuf;

/// Kinds of names: `data.frame(kind, n, versioned)` with `examples`, a list of up to three positions each.
#[extendr]
fn id_kinds_(names: Robj) -> Robj {
    outcome(|| Ok(kinds_to_r(&id_kinds(&strings("x", &names)?)?)))
}

fn kinds_to_r(kinds: &[Kind]) -> Robj {
    let examples = |kind: &Kind| Robj::from(kind.examples.iter().map(|&at| at as i32 + 1).collect::<Vec<i32>>());
    list!(
        kind = kinds.iter().map(|kind| kind.kind).collect::<Strings>(),
        n = kinds.iter().map(|kind| kind.count as i32).collect::<Vec<i32>>(),
        versioned = kinds.iter().map(|kind| kind.versioned as i32).collect::<Vec<i32>>(),
        examples = List::from_values(kinds.iter().map(examples))
    )
    .into()
}

/// Where genes are looked up: nowhere, in a file, or in pairs.
enum Source {
    None,
    File(PathBuf),
    Pairs(Vec<String>, Vec<String>),
}

impl Source {
    /// From NULL, `list(file)` or `list(from, to)`.
    fn of(object: &Robj) -> Result<Self> {
        if object.is_null() {
            return Ok(Source::None);
        }
        let fields = Fields::of("annotation", object)?;
        if fields.optional("file").is_some() {
            return Ok(Source::File(PathBuf::from(fields.text("file")?)));
        }
        Ok(Source::Pairs(strings("from", fields.get("from")?)?, strings("to", fields.get("to")?)?))
    }

    fn read(self, ctx: &Context) -> Result<Option<Annotation>> {
        Ok(match self {
            Source::None => None,
            Source::File(path) => Some(read_annotation(&path, ctx)?),
            Source::Pairs(from, to) => Some(Annotation::from_pairs(from.into_iter().zip(to))),
        })
    }
}

/// Tries transformations of names into genes: `list(tried, best, gene_of)`. tried: a row per transformation, its steps in a
/// list; example_gene, example_name and gene_of are positions or NA.
#[extendr]
fn match_ids_start(genes: Robj, names: Robj, annotation: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let (genes, names) = (strings("genes", &genes)?, strings("names", &names)?);
        let source = Source::of(&annotation)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let annotation = ctx.phase("annotation", 1, || source.read(ctx))?;
            let found = ctx.phase("gene names", 1, || match_ids(&genes, &names, annotation.as_ref(), ctx))?;
            Ok(Box::new(move || Ok(match_to_r(&found))) as Pack)
        })
    })
}

fn match_to_r(found: &IdMatch) -> Robj {
    let position = |at: Option<u32>| at.map_or(Rint::na(), |at| Rint::from(at as i32 + 1));
    let numbers = |of: fn(&Tried) -> usize| found.tried.iter().map(|one| of(one) as i32).collect::<Vec<i32>>();
    let example =
        |of: fn((u32, u32)) -> u32| found.tried.iter().map(|one| position(one.example.map(of))).collect::<Integers>();
    list!(
        steps = List::from_values(found.tried.iter().map(|one| Robj::from(one.steps.clone()))),
        genes = numbers(|one| one.genes),
        names = numbers(|one| one.names),
        different = numbers(|one| one.different),
        example_gene = example(|pair| pair.0),
        example_name = example(|pair| pair.1),
        best = found.best as i32 + 1,
        gene_of = found.gene_of.iter().map(|gene| position(*gene)).collect::<Integers>()
    )
    .into()
}

extendr_module! {
    mod gene_ids;
    fn id_kinds_;
    fn match_ids_start;
}
