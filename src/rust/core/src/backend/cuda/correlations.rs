//! Pearson correlations of the homology edges over the stitched graph. A tile of cells is averaged at a time, for as many
//! genes as fit; then a warp per edge adds the products of its two genes over the cells, which needs one number per edge.

use super::averages::{ADDING, CELLS, NONE};
use super::gpu::{AVERAGES, Gpu, launch};
use super::{DeviceGraph, Resident};
use crate::backend::Averaged;
use crate::mapping::RefineOptions;
use crate::mapping::refine::{NO_NEIGHBOURS, pearson};
use crate::mapping::tiles::{Tile, tiles};
use crate::{Context, Result};

/// As [`crate::mapping::refine::correlations`] in the mode Pearson.
///
/// # Errors
/// Cancelled; [`crate::Error::Device`].
pub(super) fn correlations(
    gpu: &Gpu,
    over: &Averaged<'_, Resident<'_>>,
    edges: &[(u32, u32)],
    options: &RefineOptions,
    ctx: &Context,
) -> Result<Vec<f64>> {
    let genes = over.homology.genes();
    let chunk = genes.div_ceil(options.n_gene_chunks.max(1)).max(2);
    let capacity = gpu.tile("the refinement", chunk, CELLS * 8 + 16 * over.atlases.len(), 2)?.max(2);
    ctx.choose(
        "refinement",
        if capacity < genes { "streamed" } else { "dense" },
        format!("{capacity} genes at a time"),
    );
    let stitched = DeviceGraph::new(gpu, over.stitched)?;
    let mut correlations = vec![0.0; edges.len()];
    for tile in tiles(edges, genes, capacity) {
        let found = of_tile(gpu, over, &stitched, &tile, ctx)?;
        tile.edges.iter().zip(found).for_each(|(&edge, r)| correlations[edge as usize] = r);
    }
    Ok(correlations)
}

fn of_tile(
    gpu: &Gpu,
    over: &Averaged<'_, Resident<'_>>,
    stitched: &DeviceGraph,
    tile: &Tile,
    ctx: &Context,
) -> Result<Vec<f64>> {
    let (species, slots) = (over.atlases.len(), tile.genes.len());
    let species_of = |slot: u32| over.homology.species_of(tile.genes[slot as usize] as usize);
    let ends: Vec<(usize, usize)> = tile.pairs.iter().map(|&(g, h)| (species_of(g), species_of(h))).collect();
    let one = gpu.send(&tile.pairs.iter().map(|pair| pair.0).collect::<Vec<u32>>())?;
    let other = gpu.send(&tile.pairs.iter().map(|pair| pair.1).collect::<Vec<u32>>())?;
    let maps = slot_maps(over, tile).iter().map(|map| gpu.send(map)).collect::<Result<Vec<_>>>()?;
    let offsets: Vec<usize> = std::iter::once(0)
        .chain(over.atlases.iter().scan(0, |sum, atlas| {
            *sum += atlas.expression.cells();
            Some(*sum)
        }))
        .collect();
    let mut values = gpu.unset::<f64>(slots * CELLS)?;
    let mut products = gpu.zeros::<f64>(tile.pairs.len())?;
    let mut moments = Vec::new();
    let (stride, number, factor, least) = (CELLS as u32, slots as u32, 1.0f64, NO_NEIGHBOURS);
    for s in 0..species {
        let ids: Vec<u32> =
            (0..ends.len() as u32).filter(|&edge| ends[edge as usize].0 == s || ends[edge as usize].1 == s).collect();
        let (on_device, count) = (gpu.send(&ids)?, ids.len() as u32);
        let (mut sums, mut squares) = (gpu.zeros::<f64>(slots)?, gpu.zeros::<f64>(slots)?);
        for start in (offsets[s]..offsets[s + 1]).step_by(CELLS) {
            ctx.check()?;
            let (cells, first) = (CELLS.min(offsets[s + 1] - start), start as u32);
            let here = cells as u32;
            gpu.clear(&mut values)?;
            for (t, x) in over.expression.iter().enumerate() {
                let (begin, end, x) = (offsets[t] as u32, offsets[t + 1] as u32, &x.device);
                launch!(
                    gpu,
                    AVERAGES,
                    "add_weighted",
                    (cells, 1),
                    ADDING,
                    &x.pointers,
                    &x.columns,
                    &x.values,
                    &stitched.pointers,
                    &stitched.columns,
                    &stitched.weights,
                    &begin,
                    &end,
                    &least,
                    &first,
                    &maps[t],
                    &stride,
                    &mut values
                );
            }
            let (blocks, edges) = ((slots.div_ceil(8), 1), (ids.len().div_ceil(8), 1));
            launch!(
                gpu,
                AVERAGES,
                "slot_moments",
                blocks,
                256,
                &values,
                &number,
                &stride,
                &here,
                &factor,
                &mut sums,
                &mut squares
            );
            launch!(
                gpu,
                AVERAGES,
                "pair_products",
                edges,
                256,
                &values,
                &stride,
                &here,
                &on_device,
                &one,
                &other,
                &count,
                &mut products
            );
        }
        moments.push((gpu.receive(&sums, slots)?, gpu.receive(&squares, slots)?));
        ctx.advance(1)?;
    }
    let products = gpu.receive(&products, tile.pairs.len())?;
    let of_edge = |(e, &(g, h)): (usize, &(u32, u32))| {
        let (a, b) = ends[e];
        let cells = over.atlases[a].expression.cells() + over.atlases[b].expression.cells();
        let over_both = |slot: u32| {
            let slot = slot as usize;
            (moments[a].0[slot] + moments[b].0[slot], moments[a].1[slot] + moments[b].1[slot])
        };
        pearson(cells as f64, over_both(g), over_both(h), products[e])
    };
    Ok(tile.pairs.iter().enumerate().map(of_edge).collect())
}

/// Per species, the slot of each expression column, or [`NONE`].
fn slot_maps(over: &Averaged<'_, Resident<'_>>, tile: &Tile) -> Vec<Vec<u32>> {
    let mut maps: Vec<Vec<u32>> = over.atlases.iter().map(|atlas| vec![NONE; atlas.expression.genes()]).collect();
    for (slot, &gene) in tile.genes.iter().enumerate() {
        let species = over.homology.species_of(gene as usize);
        let column = over.atlases[species].gene_columns[gene as usize - over.homology.offsets[species]];
        maps[species][column as usize] = slot as u32;
    }
    maps
}
