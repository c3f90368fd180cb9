//! Steps of the mapping in their older form and in ours, time and memory: `phases DATA OUT.csv SIZE...`. DATA is what
//! export_data.R wrote. One row per step, form and size: seconds, and the most bytes held during the step beyond its input.

use samap_benches::allocation::{Counting, peak_of};
use samap_benches::atlas::{Species, pair};
use samap_benches::{Result, legacy};
use samap_core::Context;
use samap_core::homology::HomologyGraph;
use samap_core::knn::{KnnOptions, Method, Metric, search};
use samap_core::mapping::expand::{Expansion, budgets, expand};
use samap_core::mapping::projection::{Scaled, pair_block, project_cross, project_own, prune, scale_edges};
use samap_core::mapping::{Atlas, MappingOptions, RefineOptions, refine, run};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Hops after the first when neighbourhoods are expanded.
const HOPS: usize = 3;

/// Rows of the table.
#[derive(Default)]
struct Table {
    text: String,
    cells: usize,
}

impl Table {
    /// Runs `work`, and notes its time and memory.
    fn measure<T>(&mut self, step: &str, form: &str, work: impl FnOnce() -> T) -> Result<T> {
        let start = Instant::now();
        let (out, bytes) = peak_of(work);
        let seconds = start.elapsed().as_secs_f64();
        writeln!(self.text, "{step},{form},{},{seconds},{bytes}", self.cells)?;
        println!("{:>7} cells  {step:<12} {form:<14} {seconds:>9.3} s {:>9.1} MB", self.cells, bytes as f64 / 1e6);
        Ok(out)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, sizes @ ..] = arguments.as_slice() else { return Err("usage: phases DATA OUT.csv SIZE...".into()) };
    let mut table = Table { text: "step,form,cells,seconds,bytes\n".to_owned(), cells: 0 };
    for size in sizes {
        table.cells = size.parse()?;
        measure_size(&mut table, Path::new(data))?;
    }
    std::fs::write(out, table.text)?;
    Ok(())
}

fn measure_size(table: &mut Table, data: &Path) -> Result<()> {
    let ctx = Context::default();
    let (counts, homology) = pair(data, table.cells, 1)?;
    let species: Vec<Species> = counts.into_iter().map(|c| Species::fit(c, &ctx)).collect::<Result<_>>()?;
    let atlases: Vec<Atlas> = species.iter().map(Species::atlas).collect();
    neighbours(table, &species[0], &ctx)?;
    expansion(table, &atlases[0], &ctx)?;
    projection(table, &atlases, &homology, &ctx)?;
    correlation(table, &atlases, &homology, &ctx)
}

fn neighbours(table: &mut Table, species: &Species, ctx: &Context) -> Result<()> {
    let points = species.scores.view();
    for (form, method) in [("HNSW", Method::Hnsw), ("ours", Method::Auto)] {
        let options = KnnOptions { method, ..KnnOptions::default() };
        table.measure("kNN", form, || search(points, points, 20, Metric::Cosine, &options, ctx))??;
    }
    Ok(())
}

fn expansion(table: &mut Table, atlas: &Atlas, ctx: &Context) -> Result<()> {
    let budgets = budgets(atlas.groups, MappingOptions::default().max_neighborhood);
    table.measure("expansion", "matrix power", || legacy::expand_by_matrix_power(atlas.neighbours, &budgets, HOPS))?;
    table.measure("expansion", "ours", || expand(atlas.neighbours, &budgets, HOPS, Expansion::Bfs, ctx))??;
    Ok(())
}

fn projection(table: &mut Table, atlases: &[Atlas], homology: &HomologyGraph, ctx: &Context) -> Result<()> {
    let weights: Vec<f64> = atlases
        .iter()
        .flat_map(|atlas| atlas.gene_columns.iter().map(|&column| atlas.weights[column as usize]))
        .collect();
    let graph = scale_edges(&prune(&homology.weights, &weights));
    table.measure("projection", "materialised", || {
        [(0, 1), (1, 0)].map(|(a, b)| {
            let block = pair_block(&graph, homology.genes_of(a), homology.genes_of(b), true);
            legacy::project_materialised(&atlases[a], &atlases[b], &block)
        })
    })?;
    let cells: Vec<usize> = atlases.iter().map(|atlas| atlas.expression.cells()).collect();
    let offsets = [0, cells[0], cells[0] + cells[1]];
    let scaled = atlases.iter().map(|atlas| Scaled::new(atlas, ctx)).collect::<samap_core::Result<Vec<_>>>()?;
    let mut latent = project_own(&scaled, &offsets, ctx)?;
    table.measure("projection", "ours", || {
        project_cross(&scaled, &graph, (&homology.offsets, &offsets), true, &mut latent, ctx)
    })??;
    Ok(())
}

fn correlation(table: &mut Table, atlases: &[Atlas], homology: &HomologyGraph, ctx: &Context) -> Result<()> {
    let options = MappingOptions { n_iterations: 1, ..MappingOptions::default() };
    let mapping = run(atlases, homology, None, &options, ctx)?;
    let stitched = &mapping.passes[0].stitched;
    table.measure("correlation", "materialised", || legacy::correlate_materialised(atlases, homology, stitched))?;
    table.measure("correlation", "ours", || refine(atlases, homology, stitched, &RefineOptions::default(), ctx))??;
    Ok(())
}
