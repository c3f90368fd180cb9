//! Makes an atlas pair of any size from the pancreas pair (see `pancreas`), in bounded memory:
//! `generate DATA OUT CELLS h5ad|plain [SEED [MIXED]]`. DATA is what export_data.R wrote; OUT receives human and mouse with half of
//! the cells each, as `human.h5ad` or as the plain files that export_data.R writes.

use samap_benches::pancreas::{Pancreas, SPECIES};
use samap_benches::{Result, h5ad, plain};
use std::path::Path;

/// Cells made and written at a time.
const BLOCK: usize = 8192;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (data, out, cells, format) = match arguments.as_slice() {
        [data, out, cells, format, ..] => (Path::new(data), Path::new(out), cells.parse::<usize>()? / 2, format),
        _ => return Err("usage: generate DATA OUT CELLS h5ad|plain [SEED [MIXED]]".into()),
    };
    let seed = arguments.get(4).map_or(Ok(1), |seed| seed.parse())?;
    let mixed = arguments.get(5).map_or(Ok(0.0), |mixed| mixed.parse())?;
    std::fs::create_dir_all(out)?;
    for (species, name) in SPECIES.iter().enumerate() {
        let pancreas = Pancreas::read(data, species)?.mixed(mixed);
        let stem = out.join(name);
        match format.as_str() {
            "h5ad" => write_h5ad(&pancreas, &stem, name, cells, seed)?,
            "plain" => write_plain(&pancreas, &stem, cells, seed)?,
            other => return Err(format!("the format is h5ad or plain, not {other}").into()),
        }
    }
    Ok(())
}

fn write_h5ad(pancreas: &Pancreas, stem: &Path, species: &str, cells: usize, seed: u64) -> Result<()> {
    let mut types = pancreas.types.clone();
    types.sort_unstable();
    types.dedup();
    let mut writer = h5ad::Writer::create(&stem.with_extension("h5ad"))?;
    for first in (0..cells).step_by(BLOCK) {
        let rows = pancreas.cells(first, BLOCK.min(cells - first), seed);
        let of_row = |&source: &usize| types.partition_point(|t| *t < pancreas.types[source]) as i8;
        writer.append(&rows, &rows.sources.iter().map(of_row).collect::<Vec<i8>>())?;
    }
    writer.finish(&format!("{species}-"), &pancreas.genes, &types)
}

fn write_plain(pancreas: &Pancreas, stem: &Path, cells: usize, seed: u64) -> Result<()> {
    let mut writer = plain::Writer::create(stem)?;
    for first in (0..cells).step_by(BLOCK) {
        let rows = pancreas.cells(first, BLOCK.min(cells - first), seed);
        writer.append(&rows, &rows.sources.iter().map(|&s| pancreas.types[s].as_str()).collect::<Vec<_>>())?;
    }
    writer.finish(&pancreas.genes)
}
