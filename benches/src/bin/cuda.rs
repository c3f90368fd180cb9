//! Every operation of a backend on the GPU, beside the processor and beside what the GPU could do at best:
//! `cuda DATA OUT.csv REPEATS SIZE...`. DATA is what export_data.R wrote. One row per size and operation: the median of REPEATS
//! runs after a first one (with 0: that one), the floor that follows from arithmetic and traffic, bytes between host and
//! device, and how far the results of the two are apart. Up to CPU_CELLS cells the processor does the same, once. OUT.txt says
//! what was measured on.

use ndarray::Array2;
use samap_benches::atlas::{Species, loadings_on, mixed_pair};
use samap_benches::timed::{Clock, Measured, Rates, Timed, Values, Work};
use samap_benches::{Failure, Result};
use samap_core::Context;
use samap_core::analysis::{Labels, alignment_scores};
use samap_core::backend::{Averaged, Backend, Cpu, Cuda};
use samap_core::embedding::UmapOptions;
use samap_core::embedding::layout::Forces;
use samap_core::homology::HomologyGraph;
use samap_core::knn::{KnnOptions, Method, Metric, Neighbours};
use samap_core::linalg::operator::Operator;
use samap_core::linalg::scaled::Scale;
use samap_core::mapping::cross_knn::neighbour_weights;
use samap_core::mapping::expand::{Expansion, budgets};
use samap_core::mapping::mutual::Cut;
use samap_core::mapping::projection::{prune, scale_edges};
use samap_core::mapping::{Atlas, Mapping, MappingOptions, RefineOptions, run_on};
use samap_core::rng::Rng;
use samap_core::sam::{SamOptions, run};
use samap_core::sparse::{Expression, Graph};
use std::fmt::Write;
use std::path::Path;

/// Most cells for which the processor is measured, too.
const CPU_CELLS: usize = 50_000;
/// Neighbours per cell, within and between species.
const K: usize = 20;
/// Genes of the principal components, and columns of a dense factor of theirs.
const GENES: usize = 3000;
const FACTOR: usize = 110;
/// Epochs of the layout.
const EPOCHS: usize = 200;
/// Share of its genes that a cell has from another of its type, at most.
const MIXED: f64 = 0.5;

/// What all operations are given.
struct Input {
    species: Vec<Species>,
    homology: HomologyGraph,
    /// Cells × cells of both species.
    stitched: Graph,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, repeats, sizes @ ..] = arguments.as_slice() else {
        return Err("usage: cuda DATA OUT.csv REPEATS SIZE...".into());
    };
    let gpu = Cuda::new()?;
    let rates = Rates::measure()?;
    let device = describe(&gpu, &rates);
    println!("{device}");
    std::fs::write(Path::new(out).with_extension("txt"), format!("{device}\n"))?;
    let mut table =
        "cells,operation,gpu_s,cpu_s,floor_s,gbyte,gflop,sent,received,launches,same,difference\n".to_owned();
    for size in sizes {
        let input = Input::new(&gpu, Path::new(data), size.parse()?)?;
        measure_size(&input, repeats.parse()?, (&gpu, &rates), &mut table)?;
        std::fs::write(out, &table)?;
    }
    Ok(())
}

/// The machine in one line.
fn describe(gpu: &Cuda, rates: &Rates) -> String {
    let line = |path: &str, start: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    let processor = line("/proc/cpuinfo", "model name").replace("model name\t: ", "");
    let kernel_module = line("/proc/driver/nvidia/version", "NVRM");
    let driver = kernel_module.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let Rates { single, double, copy } = *rates;
    format!(
        "{}, driver {}; at best {:.1} Tflop/s f32, {:.1} Tflop/s f64, copies of {:.2} TB/s (measured); {processor}, {} threads",
        gpu.description(),
        driver.unwrap_or("unknown"),
        single / 1e12,
        double / 1e12,
        copy / 1e12,
        rayon::current_num_threads()
    )
}

impl Input {
    /// SAM and a mapping on the GPU.
    fn new(gpu: &Cuda, data: &Path, cells: usize) -> Result<Self> {
        let ctx = Context::default();
        let (counts, homology) = mixed_pair(data, cells, MIXED, 1)?;
        let species: Vec<Species> = counts.into_iter().map(|c| Species::fit_on(gpu, c, &ctx)).collect::<Result<_>>()?;
        let atlases: Vec<Atlas> = species.iter().map(Species::atlas).collect();
        let mapping = map(gpu, &atlases, &homology, &ctx)?;
        for phase in ctx.phases() {
            println!("{cells:>7} cells  phase on the GPU: {:<40} {:>8.3} s", phase.name, phase.seconds);
        }
        let stitched = mapping.passes.into_iter().next_back().ok_or_else(|| Failure::from("no pass"))?.stitched;
        drop(atlases);
        Ok(Input { species, homology, stitched })
    }
}

fn measure_size(input: &Input, repeats: usize, (gpu, rates): (&Cuda, &Rates), table: &mut String) -> Result<()> {
    let cells = input.stitched.rows();
    // A profiler that waits to be told sees the operations and nothing else.
    let profiled = cudarc::driver::safe::Profiler::new()?;
    let ours = measure_all(gpu, repeats, input)?;
    drop(profiled);
    let theirs = if cells <= CPU_CELLS && repeats > 0 { measure_all(&Cpu, 0, input)? } else { Vec::new() };
    for (i, row) in ours.iter().enumerate() {
        let Work { single, double, memory, cache } = row.work;
        let (gbyte, gflop, floor) = ((memory + cache) / 1e9, (single + double) / 1e9, rates.floor(&row.work));
        let (cpu, [same, difference]) = theirs
            .get(i)
            .map_or(Default::default(), |other| (format!("{:.6}", other.seconds), row.values.compare(&other.values)));
        let ([sent, received, launches], seconds) = (row.traffic, row.seconds);
        let name = row.operation;
        let numbers = format!("{floor:.6},{gbyte:.3},{gflop:.3},{sent},{received},{launches},{same},{difference}");
        writeln!(table, "{cells},{name},{seconds:.6},{cpu},{numbers}")?;
        let share = 100.0 * floor / seconds;
        println!("{cells:>7} cells  {name:<24} {seconds:>9.5} s ({share:>3.0} % of floor)  cpu {cpu:>10} s  {numbers}");
    }
    Ok(())
}

/// Every operation of the trait, then the steps made of them.
fn measure_all<B: Timed>(backend: &B, repeats: usize, input: &Input) -> Result<Vec<Measured>> {
    let mut clock = Clock { backend, repeats, rows: Vec::new() };
    components(&mut clock, &input.species[0])?;
    neighbourhoods(&mut clock, &input.species[0])?;
    between_species(&mut clock, input)?;
    whole_steps(&mut clock, input)?;
    Ok(clock.rows)
}

/// Expression, and the products of the principal components.
fn components<B: Timed>(clock: &mut Clock<B>, species: &Species) -> Result<()> {
    let (ctx, x) = (Context::default(), &species.data.expression);
    let on_device = clock.time("expression", Work::default(), |b| b.expression(x), nothing)?;
    let genes = strongest_genes(&species.weights);
    let inverse = |&variance: &f32| if variance > 0.0 { variance.sqrt().recip() } else { 0.0 };
    let factors: Vec<f32> = species.data.variances.iter().map(inverse).collect();
    let used = stored_in(x, &genes) as f64;
    let scaling = Work { memory: 8.0 * x.stored() as f64 + 36.0 * used, ..Work::default() };
    let scaled = |b| Backend::scaled(b, &on_device, &genes, Scale::Genes(factors.clone()), &species.weights, &ctx);
    let operator = clock.time("scaled", scaling, scaled, nothing)?;

    let (n, width, side) = (x.cells() as f64, FACTOR as f64, genes.len() as f64);
    let (entries, dense) = (12.0 * used * (width / 32.0).ceil(), 8.0 * width * (n + side));
    let product =
        Work { double: 2.0 * used * width, memory: entries + dense, cache: 8.0 * used * width, ..Work::default() };
    let (b, c) = (random(genes.len(), FACTOR), random(x.cells(), FACTOR));
    clock.time("apply", product, |_| operator.apply(b.view()), of_matrix)?;
    clock.time("apply_transpose", product, |_| operator.apply_transpose(c.view()), of_matrix)?;
    clock.time("apply_gram", product.times(2.0), |_| operator.apply_gram(b.view()), of_matrix)?;
    // Each element of a row is read once per pair of tiles of 64 columns.
    let cache = 16.0 * n * side * side / 128.0;
    let gram = Work { double: side * side * n, memory: 16.0 * side * n, cache, ..Work::default() };
    clock.time("gram", gram, |_| operator.gram(), of_matrix)?;
    Ok(())
}

/// Neighbours within a species, and what is made of them.
fn neighbourhoods<B: Timed>(clock: &mut Clock<B>, species: &Species) -> Result<()> {
    let (ctx, x, points) = (Context::default(), &species.data.expression, species.scores.view());
    let (n, d) = (x.cells() as f64, points.ncols() as f64);
    let search = Work { single: 2.0 * n * n * d, memory: 8.0 * n * d, ..Work::default() };
    let found = |b| Backend::neighbours(b, points, points, K, Metric::Cosine, &exact(), &ctx);
    clock.time("neighbours", search, found, of_neighbours)?;
    let (added, dense) = (K as f64 * x.stored() as f64, n * x.genes() as f64);
    let averages = Work { double: added + 3.0 * dense, memory: 24.0 * added + 8.0 * dense, ..Work::default() };
    let on_device = clock.backend.expression(x)?;
    clock.time(
        "sums_of_averages",
        averages,
        |b| b.sums_of_averages(&on_device, &species.neighbours, &ctx),
        |sums| Values { close: [sums.first.as_slice(), &sums.second].concat(), ..Values::default() },
    )?;
    let (budgets, size) = neighbourhood_sizes(&species.types);
    clock.time(
        "expand",
        Work::default(),
        |b| b.expand(&species.neighbours, &budgets, size, Expansion::Bfs, &ctx),
        |found| Values { same: found.columns.clone(), ..Values::default() },
    )?;
    Ok(())
}

/// The operations of a pass of the mapping, and the layout.
fn between_species<B: Timed>(clock: &mut Clock<B>, input: &Input) -> Result<()> {
    let (ctx, homology) = (Context::default(), &input.homology);
    let atlases: Vec<Atlas> = input.species.iter().map(Species::atlas).collect();
    let (n, m) = (atlases[0].expression.cells(), atlases[1].expression.cells());
    let (offsets, cells) = ([0, n, n + m], (n + m) as f64);
    let each = atlases.iter().map(|atlas| clock.backend.expression(atlas.expression));
    let expression = each.collect::<samap_core::Result<Vec<_>>>()?;
    let entries: Vec<f64> = atlases.iter().map(|atlas| atlas.expression.stored() as f64).collect();
    let widths: Vec<f64> = atlases.iter().map(|atlas| atlas.loadings.ncols() as f64).collect();
    let through = |to: [usize; 2]| {
        let products: f64 = (0..2).map(|s| entries[s] * widths[to[s]]).sum();
        Work { double: 2.0 * products, cache: 4.0 * products, ..Work::default() }
    };
    let first = |b| Backend::projector(b, &atlases[0], &expression[0], &ctx);
    clock.time("projector", Work::default(), first, nothing)?;
    let each = atlases.iter().zip(&expression).map(|(atlas, x)| clock.backend.projector(atlas, x, &ctx));
    let projectors = each.collect::<samap_core::Result<Vec<_>>>()?;
    let own = |b| Backend::project_own(b, &projectors, &offsets, &ctx);
    let mut latent = clock.time("project_own", through([0, 1]), own, nothing)?;

    let gene_weights: Vec<f64> =
        atlases.iter().flat_map(|a| a.gene_columns.iter().map(|&column| a.weights[column as usize])).collect();
    let scaled = scale_edges(&prune(&homology.weights, &gene_weights));
    let pairs = scaled.nnz() as f64 / 2.0;
    let sigma = Work { double: 2.0 * pairs * cells, cache: 8.0 * pairs * cells, ..Work::default() };
    let both = (homology.offsets.as_slice(), offsets.as_slice());
    let cross = |b| Backend::project_cross(b, &projectors, &scaled, both, true, &mut latent, &ctx);
    clock.time("project_cross", through([1, 0]).and(sigma), cross, nothing)?;

    let width = widths[0] + widths[1];
    let search = Work { single: 4.0 * (n * m) as f64 * width, memory: 8.0 * cells * width, ..Work::default() };
    let found = |b| Backend::latent_neighbours_both(b, &latent, (0..n, n..n + m), (K, K), None, &exact(), &ctx);
    let (to_b, to_a) = clock.time("latent_neighbours_both", search, found, |found| of_neighbours(&found.0))?;
    let blocks = vec![vec![None, Some(neighbour_weights(&to_b, m))], vec![Some(neighbour_weights(&to_a, n)), None]];
    let hoods = atlases.iter().map(|atlas| {
        let (budgets, size) = neighbourhood_sizes(atlas.groups);
        clock.backend.neighbourhood(atlas.groups, atlas.neighbours, &budgets, size, Expansion::Bfs, &ctx)
    });
    let hoods = hoods.collect::<samap_core::Result<Vec<_>>>()?;
    // Two shares per pair of cells: cleared, counted, written.
    let shares = Work { memory: 48.0 * cells * cells, ..Work::default() };
    let cut = Cut { k: K, per_partner: true };
    let mutual = |b| Backend::mutual_graph(b, &blocks, &hoods, &offsets, Some(&latent), cut, &ctx);
    clock.time("mutual_graph", shares, mutual, of_graph)?;

    let over = Averaged { atlases: &atlases, expression: &expression, homology, stitched: &input.stitched };
    let active = |&(g, h, _): &(u32, u32, f64)| gene_weights[g as usize] > 0.0 && gene_weights[h as usize] > 0.0;
    let edges: Vec<(u32, u32)> = homology.edges().filter(active).map(|(g, h, _)| (g, h)).collect();
    let (added, multiplied) =
        (input.stitched.nnz() as f64 * (entries[0] + entries[1]) / cells, edges.len() as f64 * cells);
    let refinement =
        Work { double: 2.0 * (added + multiplied), memory: 24.0 * added + 16.0 * multiplied, ..Work::default() };
    let correlations = |b| Backend::correlations(b, &over, &edges, &RefineOptions::default(), &ctx);
    clock.time("correlations", refinement, correlations, |r| Values { close: r.clone(), ..Values::default() })?;
    layout(clock, &input.stitched)?;

    let once = std::mem::take(&mut clock.repeats);
    let mut latent = Some(latent);
    let back = |b| {
        let made = latent.take().map_or_else(|| Backend::project_own(b, &projectors, &offsets, &ctx), Ok)?;
        Backend::latent(b, made)
    };
    let all =
        |found: &Array2<f32>| Values { close: found.iter().map(|&x| f64::from(x)).collect(), ..Values::default() };
    clock.time("latent", Work::default(), back, all)?;
    clock.repeats = once;
    Ok(())
}

fn layout<B: Timed>(clock: &mut Clock<B>, stitched: &Graph) -> Result<()> {
    let ctx = Context::default();
    let edges = stitched.iter().map(|(&weight, (i, j))| (i, j, weight));
    let edges: Vec<(u32, u32, f64)> = edges.filter(|&(i, j, weight)| i != j && weight > 0.0).collect();
    let at = |cell: usize| [0, 1].map(|dim| 10.0 * Rng::keyed(7, cell as u64, dim).uniform() as f32);
    let start: Vec<[f32; 2]> = (0..stitched.rows()).map(at).collect();
    let (forces, options) = (Forces::new(1.577, 0.895, 1.0), UmapOptions::default());
    // Both ends of a link read it.
    let links = (2 * edges.len() * EPOCHS) as f64;
    let work = Work { single: 12.0 * links, memory: 8.0 * links, ..Work::default() };
    let run = |b| Backend::layout(b, start.clone(), &edges, &forces, EPOCHS, &options, &ctx);
    let bits = |found: &Vec<[f32; 2]>| found.iter().flatten().map(|x| x.to_bits()).collect();
    clock.time("layout", work, run, |found| Values { same: bits(found), ..Values::default() })?;
    Ok(())
}

/// SAM and loadings of a species, and the mapping: as users call them, once, when all kernels are compiled.
fn whole_steps<B: Timed>(clock: &mut Clock<B>, input: &Input) -> Result<()> {
    let (ctx, species) = (Context::default(), &input.species[0]);
    clock.repeats = 0;
    let sam = |b| run::run_on(b, &species.data, &SamOptions::default(), &ctx);
    clock.time("SAM", Work::default(), sam, |found| Values {
        close: found.weights.clone(),
        same: found.neighbours.indices.clone(),
    })?;
    let loadings = |b| Ok(loadings_on(b, &species.data.expression, &species.weights, &ctx));
    clock.time("loadings", Work::default(), loadings, nothing)??;
    let atlases: Vec<Atlas> = input.species.iter().map(Species::atlas).collect();
    let mapping = |b| run_on(b, &atlases, &input.homology, None, &MappingOptions::default(), &ctx);
    clock.time("mapping", Work::default(), mapping, |found| of_scores(found, &input.species))?;
    Ok(())
}

fn map(gpu: &Cuda, atlases: &[Atlas], homology: &HomologyGraph, ctx: &Context) -> Result<Mapping> {
    Ok(run_on(gpu, atlases, homology, None, &MappingOptions::default(), ctx)?)
}

fn exact() -> KnnOptions {
    KnnOptions { method: Method::Exact, ..KnnOptions::default() }
}

/// Most cells in each cell's neighbourhood, and its hops, as in a mapping.
fn neighbourhood_sizes(groups: &[u32]) -> (Vec<usize>, usize) {
    let options = MappingOptions::default();
    (budgets(groups, options.max_neighborhood), options.neighborhood_sizes[0])
}

/// The GENES genes of largest weight, ascending.
fn strongest_genes(weights: &[f64]) -> Vec<u32> {
    let mut genes: Vec<u32> = (0..weights.len() as u32).collect();
    genes.sort_by(|&a, &b| weights[b as usize].total_cmp(&weights[a as usize]));
    genes.truncate(GENES);
    genes.sort_unstable();
    genes
}

/// Stored entries of some genes.
fn stored_in(x: &Expression, genes: &[u32]) -> usize {
    let mut used = vec![false; x.genes()];
    genes.iter().for_each(|&gene| used[gene as usize] = true);
    samap_core::with_expression!(x, matrix => {
        matrix.indices().iter().filter(|&&gene| used[sprs::SpIndex::index(gene)]).count()
    })
}

fn random(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| Rng::keyed(3, i as u64, j as u64).normal())
}

fn nothing<T>(_: &T) -> Values {
    Values::default()
}

fn of_neighbours(found: &Neighbours) -> Values {
    Values { same: found.indices.clone(), close: found.distances.clone() }
}

fn of_matrix(found: &Array2<f64>) -> Values {
    Values { close: found.iter().copied().collect(), ..Values::default() }
}

/// Partners, and their weights where the partners are the same.
fn of_graph(found: &Graph) -> Values {
    Values { same: found.indices().to_vec(), close: found.data().to_vec() }
}

/// Alignment scores of a mapping's last pass.
fn of_scores(found: &Mapping, species: &[Species]) -> Values {
    let of = |s: &Species| s.types.iter().max().map_or(0, |&largest| largest as usize + 1);
    let labels: Vec<Option<Labels>> = species.iter().map(|s| Some(Labels { of: &s.types, types: of(s) })).collect();
    let (cells, ctx) = (found.cell_offsets.as_slice(), Context::default());
    let last = found.passes.last();
    let scores = last.and_then(|pass| alignment_scores(&pass.stitched, cells, &labels, K, 0, &ctx).ok());
    let mut scores = scores.unwrap_or_default();
    scores.sort_by_key(|score| (score.type_a, score.type_b));
    Values { close: scores.iter().map(|score| score.score).collect(), ..Values::default() }
}
