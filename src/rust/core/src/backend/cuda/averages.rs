//! Sums over all cells of each cell's neighbour averages, per gene. A tile of cells is averaged at a time, for as many genes
//! as fit; how many do changes no bit.

use super::Resident;
use super::gpu::{AVERAGES, Gpu, launch};
use crate::knn::Neighbours;
use crate::sam::weights::Sums;
use crate::{Context, Result};

/// Cells averaged at a time. The sums depend on it: it is the same on every device.
pub(super) const CELLS: usize = 512;
/// Threads that add the genes of a neighbour.
pub(super) const ADDING: u32 = 1024;
/// A gene that is not in the tile.
pub(super) const NONE: u32 = u32::MAX;

/// As [`crate::sam::weights::sums_of_averages`].
///
/// # Errors
/// Cancelled; [`crate::Error::Device`].
pub(super) fn sums_of_averages(gpu: &Gpu, x: &Resident, neighbours: &Neighbours, ctx: &Context) -> Result<Sums> {
    let (n, g) = (x.host.cells(), x.host.genes());
    let of_cells = gpu.send(&neighbours.indices)?;
    let genes = gpu.tile("the neighbour averages", g, CELLS * 8, 1)?;
    let mut sums = Sums { first: Vec::with_capacity(g), second: Vec::with_capacity(g) };
    let mut tile = gpu.unset::<f64>(genes * CELLS)?;
    for first_gene in (0..g).step_by(genes) {
        let count = genes.min(g - first_gene);
        let slots: Vec<u32> =
            (0..g).map(|gene| gene.checked_sub(first_gene).filter(|&s| s < count).map_or(NONE, |s| s as u32)).collect();
        let slots = gpu.send(&slots)?;
        let (mut first, mut second) = (gpu.zeros::<f64>(count)?, gpu.zeros::<f64>(count)?);
        let (k, stride, number, share) = (neighbours.k as u32, CELLS as u32, count as u32, 1.0 / neighbours.k as f64);
        for start in (0..n).step_by(CELLS) {
            ctx.check()?;
            let (cells, start) = (CELLS.min(n - start), start as u32);
            let here = cells as u32;
            gpu.clear(&mut tile)?;
            launch!(
                gpu,
                AVERAGES,
                "add_neighbours",
                (cells, 1),
                ADDING,
                &x.device.pointers,
                &x.device.columns,
                &x.device.values,
                &of_cells,
                &k,
                &start,
                &slots,
                &stride,
                &mut tile
            );
            let blocks = (count.div_ceil(8), 1);
            launch!(
                gpu,
                AVERAGES,
                "slot_moments",
                blocks,
                256,
                &tile,
                &number,
                &stride,
                &here,
                &share,
                &mut first,
                &mut second
            );
        }
        sums.first.extend(gpu.receive(&first, count)?);
        sums.second.extend(gpu.receive(&second, count)?);
    }
    Ok(sums)
}
