//! Breadth-first neighbourhoods on the device, a warp per cell, for as many cells at a time as fit.

use super::Wide;
use super::gpu::{EXPAND, Gpu, launch};
use super::scaled::pointers as pointers_of;
use crate::knn::Neighbours;
use crate::mapping::Expansion;
use crate::mapping::expand::{Pattern, adjacency, without_self};
use crate::{Context, Result};

/// Most cells between two looks at whether to stop.
const CELLS: usize = 1 << 16;

/// As [`crate::mapping::expand::expand`] for the breadth-first forms.
///
/// # Errors
/// Cancelled; [`crate::Error::Device`].
pub(super) fn expand(
    gpu: &Gpu,
    neighbours: &Neighbours,
    budgets: &[usize],
    size: usize,
    expansion: Expansion,
    ctx: &Context,
) -> Result<Pattern> {
    let n = neighbours.cells();
    let graph = if expansion == Expansion::Nearest { without_self(neighbours) } else { adjacency(neighbours, false) };
    let limits: Vec<u32> = budgets.iter().map(|&budget| budget.min(n) as u32).collect();
    let capacity = limits.iter().copied().max().unwrap_or(0).max(1);
    let (pointers, columns, limits) =
        (gpu.send(&graph.pointers.wide())?, gpu.send(&graph.columns)?, gpu.send(&limits)?);
    let words = n.div_ceil(32);
    let tile = gpu.tile("the neighbourhoods", n, 4 * (words + 2 * capacity as usize + 1), 1)?.min(CELLS);
    let mut seen = gpu.zeros::<u32>(tile * words)?;
    let mut queues = gpu.unset::<u32>(tile * capacity as usize)?;
    let mut lengths = gpu.unset::<u32>(tile)?;
    let (mut starts, mut parts) = (vec![0], Vec::new());
    let (cells, hops) = (n as u32, size as u32 + 1);
    for first in (0..n).step_by(tile) {
        ctx.check()?;
        let count = tile.min(n - first);
        let (start, number) = (first as u32, count as u32);
        launch!(
            gpu,
            EXPAND,
            "breadth_first",
            (count.div_ceil(4), 1),
            128,
            &pointers,
            &columns,
            &limits,
            &start,
            &number,
            &cells,
            &hops,
            &capacity,
            &mut seen,
            &mut queues,
            &mut lengths
        );
        let ends = pointers_of(&gpu.receive(&lengths, count)?);
        let total = ends[count] as usize;
        let (of_rows, mut packed) = (gpu.send(&ends)?, gpu.unset::<u32>(total)?);
        launch!(gpu, EXPAND, "pack_rows", (count, 1), 256, &queues, &capacity, &of_rows, &mut packed);
        let before = starts[first];
        starts.extend(ends[1..].iter().map(|&end| before + end as usize));
        parts.push(gpu.receive(&packed, total)?);
    }
    let columns = if parts.len() == 1 { parts.swap_remove(0) } else { parts.concat() };
    Ok(Pattern { pointers: starts, columns })
}
