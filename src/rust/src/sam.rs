//! Preprocessing, SAM and the loadings of one species.

use crate::convert::{folder, indices, indices_to_r, matrix_from_r, matrix_to_r, neighbours_to_r, rows_to_r};
use crate::counts::Counts;
use crate::error::{outcome, wrong};
use crate::job::{Job, Pack};
use crate::options;
use extendr_api::prelude::*;
use ndarray::{Array2, Axis};
use samap_core::sam::loadings::Components;
use samap_core::sam::{Preprocessed, loadings, preprocess, run};
use samap_core::{Result, on_device};
use std::sync::Arc;

/// A preprocessed species, held for R.
pub type Species = Arc<Preprocessed>;

/// Loadings (genes of the homology graph × components), held for R.
pub type Loadings = Arc<Array2<f32>>;

/// What R holds behind an external pointer, until it is given up.
struct Slot<T>(Option<T>);

fn slot<T: 'static>(argument: &str, object: &Robj) -> Result<ExternalPtr<Slot<T>>> {
    object.clone().try_into().map_err(|_| wrong(argument, "a live pointer of samap"))
}

fn to_slot<T: 'static>(value: T) -> Robj {
    ExternalPtr::new(Slot(Some(value))).into()
}

/// What R holds.
pub fn held<T: Clone + 'static>(argument: &str, object: &Robj) -> Result<T> {
    slot::<T>(argument, object)?.addr().0.clone().ok_or_else(|| wrong(argument, "not given up before"))
}

/// What R held: it ends with the work that takes it.
pub fn given_up<T: 'static>(argument: &str, object: &Robj) -> Result<T> {
    slot::<T>(argument, object)?.addr_mut().0.take().ok_or_else(|| wrong(argument, "not given up before"))
}

/// Preprocesses counts (a dgCMatrix, genes × cells, or what stays out of R): `list(pointer, means, variances, kept,
/// empty_cells, empty_genes)`. `files`: NULL, or the folder for the files that hold the expression instead of memory.
#[extendr]
fn expression_start(counts: Robj, preprocess_options: Robj, files: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let source = Counts::of(&counts)?;
        let options = options::preprocess(&preprocess_options)?;
        Job::start_in(folder("on_disk", &files)?, threads, memory, vec![counts.clone()], move |ctx| {
            let read = source.read(ctx)?;
            let done = ctx.phase("preprocess", 1, || preprocess::preprocess(read, &options, ctx))?;
            Ok(Box::new(move || {
                let means: Vec<f64> = done.means.iter().map(|&x| f64::from(x)).collect();
                let variances: Vec<f64> = done.variances.iter().map(|&x| f64::from(x)).collect();
                let kept = done.kept.clone();
                let (empty_cells, empty_genes) = done.empty;
                Ok(list!(
                    pointer = to_slot(Species::new(done)),
                    means = means,
                    variances = variances,
                    kept = kept,
                    empty_cells = empty_cells as f64,
                    empty_genes = empty_genes as f64
                )
                .into())
            }) as Pack)
        })
    })
}

/// Runs SAM on a preprocessed species. `pcs`: whether SAM's own loadings are wanted, too; else they are NULL.
#[extendr]
fn sam_start(
    pointer: Robj,
    sam_options: Robj,
    knn_options: Robj,
    pcs: bool,
    backend: &str,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let species: Species = held("pointer", &pointer)?;
        let seed = crate::convert::Fields::of("sam", &sam_options)?.number("seed")?;
        let options = options::sam(&sam_options, options::knn(&knn_options, seed)?)?;
        Job::start_on(options::backend(backend)?, threads, memory, move |device, ctx| {
            let result = on_device!(device, backend => run::run_on(backend, &species, &options, ctx))?;
            Ok(Box::new(move || {
                let (index, distance) = neighbours_to_r(&result.neighbours)?;
                Ok(list!(
                    weights = result.weights,
                    dispersions = result.dispersions,
                    neighbor_index = index,
                    neighbor_distance = distance,
                    scores = matrix_to_r(result.scores.view())?,
                    pcs = if pcs { matrix_to_r(result.loadings.view())? } else { ().into() },
                    ranked_genes = indices_to_r(result.ranked_genes),
                    weights_per_iteration = rows_to_r(&result.weights_per_iteration)?
                )
                .into())
            }) as Pack)
        })
    })
}

/// The loadings the mapping projects through: `list(pointer)`. `coordinates`: NULL, or those of the cells (cells × d) that
/// the loadings are to carry into the mapping. `genes`: the genes whose loadings it needs, in its order.
#[extendr]
#[allow(clippy::too_many_arguments)] // R's side of the call has no structs
fn loadings_start(
    pointer: Robj,
    weights: Robj,
    coordinates: Robj,
    genes: Robj,
    loadings: Robj,
    seed: f64,
    backend: &str,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let species: Species = held("pointer", &pointer)?;
        let weights = weights.as_real_vector().ok_or_else(|| wrong("weights", "a vector of numbers"))?;
        let given = if coordinates.is_null() { None } else { Some(matrix_from_r("coordinates", &coordinates)?) };
        let genes = indices("genes", &genes, species.expression.genes())?;
        let genes: Vec<usize> = genes.into_iter().map(|gene| gene as usize).collect();
        let (count, solver) = options::loadings(&loadings)?;
        Job::start_on(options::backend(backend)?, threads, memory, move |device, ctx| {
            let (x, components) = (&species.expression, Components { count, solver, seed: seed as u64 });
            let found = ctx.phase("loadings", 1, || {
                let all = on_device!(device, backend => match &given {
                    Some(z) => loadings::carried_loadings_on(backend, x, &weights, z.view(), components, ctx),
                    None => loadings::mapping_loadings_on(backend, x, &weights, count, solver, components.seed, ctx),
                })?;
                Ok(all.select(Axis(0), &genes))
            })?;
            Ok(Box::new(move || Ok(list!(pointer = to_slot(Loadings::new(found))).into())) as Pack)
        })
    })
}

extendr_module! {
    mod sam;
    fn expression_start;
    fn sam_start;
    fn loadings_start;
}
