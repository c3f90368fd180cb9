//! Mutual partners on the device, for as many cells at a time as fit: dense rows of shares, compacted, rescaled by the
//! correlation in the latent space, and cut to the strongest. Only those come back.

use super::gpu::{Buffer, Gpu, MUTUAL, launch};
use super::projection::Latent;
use super::{DeviceGraph, Wide, transposed};
use crate::mapping::cross_knn::{Blocks, CENTRE, FLOOR};
use crate::mapping::expand::{Pattern, group_count};
use crate::mapping::mutual::{Cut, by_member, threshold};
use crate::sparse::{Graph, graph_from_rows};
use crate::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// Most cells between two looks at whether to stop.
const CELLS: usize = 4096;

/// Threads that add rows of targets which are long: few cells at a time, so that their sums stay in the cache.
const LONG: u32 = 1024;
/// Threads for rows that are short.
const SHORT: u32 = 32;

/// Parts per thread in which E is transposed: some have more entries than others.
const PARTS: usize = 4;

/// The neighbourhoods E of one species as the kernels read them, on the host: cells × members, the members being cells, or groups
/// where these are the neighbourhoods. They go to the device when it is their turn, since all of them may be more than it holds.
pub struct Neighbourhood {
    /// E.
    forward: Pattern,
    /// Eᵀ.
    backward: Pattern,
    /// The group of each cell where groups are the members; else each cell is its own.
    groups: Option<Vec<u32>>,
}

impl Neighbourhood {
    /// From an expansion, cells × cells.
    pub(super) fn of_cells(forward: Pattern) -> Self {
        let backward = backward(&forward, forward.rows());
        Neighbourhood { forward, backward, groups: None }
    }

    /// The group of each cell as its neighbourhood: E = C, which says what the group of each cell is.
    pub(super) fn of_groups(groups: &[u32]) -> Self {
        let forward = Pattern { pointers: (0..=groups.len()).collect(), columns: groups.to_vec() };
        let backward = backward(&forward, group_count(groups));
        Neighbourhood { forward, backward, groups: Some(groups.to_vec()) }
    }
}

/// Eᵀ, members × cells, from E. Each thread takes some members, and goes through all cells in their order: cells ascend.
fn backward(forward: &Pattern, members: usize) -> Pattern {
    let width = members.div_ceil(PARTS * rayon::current_num_threads()).max(1);
    // The entries (cell, member) of a range of members.
    let entries = |range: Range<usize>| {
        (0..forward.rows()).flat_map(move |cell| {
            let row = forward.row(cell);
            let place = |member: usize| row.partition_point(|&other| (other as usize) < member);
            row[place(range.start)..place(range.end)].iter().map(move |&member| (cell as u32, member as usize))
        })
    };
    let mut pointers = vec![0; members + 1];
    pointers[1..].par_chunks_mut(width).enumerate().for_each(|(part, counts)| {
        let first = part * width;
        entries(first..first + counts.len()).for_each(|(_, member)| counts[member - first] += 1);
    });
    (0..members).for_each(|member| pointers[member + 1] += pointers[member]);
    let mut columns = vec![0; forward.columns.len()];
    let mut rest = columns.as_mut_slice();
    let row = |ends: &[usize]| rest.split_off_mut(..ends[1] - ends[0]).unwrap_or_default();
    // What is left to fill of each row.
    let mut rows: Vec<&mut [u32]> = pointers.windows(2).map(row).collect();
    rows.par_chunks_mut(width).enumerate().for_each(|(part, rows)| {
        let first = part * width;
        entries(first..first + rows.len()).for_each(|(cell, member)| {
            if let Some(next) = rows[member - first].split_off_first_mut() {
                *next = cell;
            }
        });
    });
    Pattern { pointers, columns }
}

/// Rows of column indices on the device.
struct Rows {
    pointers: Buffer<u64>,
    columns: Buffer<u32>,
}

impl Rows {
    fn new(gpu: &Gpu, pattern: &Pattern) -> Result<Self> {
        Ok(Rows { pointers: gpu.send(&pattern.pointers.wide())?, columns: gpu.send(&pattern.columns)? })
    }
}

/// Threads for rows that have `entries` entries in all.
fn threads(entries: usize, rows: usize) -> u32 {
    if entries > 2 * SHORT as usize * rows { LONG } else { SHORT }
}

/// An ordered pair of species with cross-species neighbours, as on the CPU.
struct Pair {
    /// B_ab.
    forward: DeviceGraph,
    /// Rows of E_bᵀ, and which of them belongs to each cell of b (its own, or that of its group).
    to: Rows,
    to_threads: u32,
    row_of: Buffer<u32>,
    /// Rows of E_a by their places in `received`.
    from: Rows,
    received: DeviceGraph,
    received_threads: u32,
    identity: Buffer<u32>,
    /// First cell of b.
    offset: u32,
}

impl Pair {
    fn new(
        gpu: &Gpu,
        blocks: &Blocks,
        hoods: &[Neighbourhood],
        a: usize,
        b: usize,
        offset: u32,
    ) -> Result<Option<Self>> {
        let (Some(forward), Some(back)) = (&blocks[a][b], &blocks[b][a]) else { return Ok(None) };
        let all = |count: usize| (0..count as u32).collect::<Vec<u32>>();
        let (from, to) = (&hoods[a], &hoods[b]);
        // B_baᵀ by member of a: what each cell, or each group, of a receives from the cells of b.
        let received = transposed(&by_member(back, from.groups.as_deref()));
        let own = || gpu.send(&all(to.forward.rows()));
        Ok(Some(Pair {
            forward: DeviceGraph::new(gpu, forward)?,
            to: Rows::new(gpu, &to.backward)?,
            to_threads: threads(to.backward.columns.len(), to.backward.rows()),
            row_of: to.groups.as_deref().map_or_else(own, |groups| gpu.send(groups))?,
            from: Rows::new(gpu, &from.forward)?,
            identity: gpu.send(&all(received.rows()))?,
            received: DeviceGraph::new(gpu, &received)?,
            received_threads: threads(received.nnz(), received.rows()),
            offset,
        }))
    }

    /// Adds both shares of the cells from `first` on.
    fn add(&self, gpu: &Gpu, first: u32, shares: &mut Shares) -> Result<()> {
        let (offset, stride, weighted, unweighted) = (self.offset, shares.stride, 1u32, 0u32);
        let (graph, to) = (&self.forward, &self.to);
        launch!(
            gpu,
            MUTUAL,
            "add_rows",
            (shares.cells, 1),
            self.to_threads,
            &graph.pointers,
            &graph.columns,
            &graph.weights,
            &weighted,
            &self.row_of,
            &to.pointers,
            &to.columns,
            &graph.weights,
            &first,
            &offset,
            &stride,
            &mut shares.forward
        );
        let (from, targets) = (&self.from, &self.received);
        launch!(
            gpu,
            MUTUAL,
            "add_rows",
            (shares.cells, 1),
            self.received_threads,
            &from.pointers,
            &from.columns,
            &targets.weights,
            &unweighted,
            &self.identity,
            &targets.pointers,
            &targets.columns,
            &targets.weights,
            &first,
            &offset,
            &stride,
            &mut shares.back
        );
        Ok(())
    }
}

/// Dense rows of shares of the cells of a tile.
struct Shares {
    forward: Buffer<f64>,
    back: Buffer<f64>,
    cells: usize,
    stride: u32,
}

/// Mean and inverse deviation of each cell's latent coordinates.
struct Statistics<'a> {
    latent: &'a Latent,
    means: Buffer<f64>,
    inverses: Buffer<f64>,
}

impl<'a> Statistics<'a> {
    fn new(gpu: &Gpu, latent: &'a Latent, cells: usize) -> Result<Self> {
        let (mut means, mut inverses) = (gpu.unset::<f64>(cells)?, gpu.unset::<f64>(cells)?);
        let (count, width) = (cells as u32, latent.width() as u32);
        let blocks = (cells.div_ceil(128), 1);
        launch!(gpu, MUTUAL, "row_statistics", blocks, 128, latent.buffer(), &count, &width, &mut means, &mut inverses);
        Ok(Statistics { latent, means, inverses })
    }
}

/// As [`crate::mapping::mutual::mutual_graph`].
///
/// # Errors
/// Cancelled; [`crate::Error::Device`].
pub(super) fn mutual_graph(
    gpu: &Gpu,
    blocks: &Blocks,
    hoods: &[Neighbourhood],
    cell_offsets: &[usize],
    latent: Option<&Latent>,
    cut: Cut,
    ctx: &Context,
) -> Result<Graph> {
    let (species, cells) = (hoods.len(), cell_offsets[hoods.len()]);
    let statistics = latent.map(|latent| Statistics::new(gpu, latent, cells)).transpose()?;
    let bounds = if cut.per_partner { cell_offsets.to_vec() } else { vec![0, cells] };
    let segments = gpu.send(&bounds.iter().map(|&bound| bound as u32).collect::<Vec<u32>>())?;
    let threshold = threshold(hoods.iter().any(|hoods| hoods.groups.is_some()));
    let cutting = Cutting { gpu, threshold, segments, count: bounds.len() - 1, k: cut.k };
    let mut rows = Vec::with_capacity(cells);
    for a in 0..species {
        let pairs = (0..species).map(|b| Pair::new(gpu, blocks, hoods, a, b, cell_offsets[b] as u32));
        let pairs: Vec<Pair> = pairs.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let count = cell_offsets[a + 1] - cell_offsets[a];
        // Two shares per cell, and at most as many partners with a weight and a correlation.
        let tile = gpu.tile("the mutual neighbours", count, 36 * cells, 1)?.min(CELLS);
        for first in (0..count).step_by(tile) {
            ctx.check()?;
            let here = tile.min(count - first);
            let zeros = || gpu.zeros::<f64>(here * cells);
            let mut shares = Shares { forward: zeros()?, back: zeros()?, cells: here, stride: cells as u32 };
            for pair in &pairs {
                pair.add(gpu, first as u32, &mut shares)?;
            }
            rows.extend(cutting.cut(shares, statistics.as_ref(), cell_offsets[a] + first)?);
        }
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(cells, rows))
}

/// How rows are cut.
struct Cutting<'a> {
    gpu: &'a Gpu,
    threshold: f64,
    segments: Buffer<u32>,
    /// Number of segments.
    count: usize,
    k: usize,
}

impl Cutting<'_> {
    /// The strongest partners of the cells of a tile, whose first is cell `first` of all.
    fn cut(&self, shares: Shares, statistics: Option<&Statistics>, first: usize) -> Result<Vec<Vec<(u32, f64)>>> {
        let (gpu, cells) = (self.gpu, shares.cells);
        let (number, stride, threshold, warps) = (cells as u32, shares.stride, self.threshold, (cells.div_ceil(4), 1));
        let (forward, back) = (&shares.forward, &shares.back);
        let mut counts = gpu.unset::<u32>(cells)?;
        launch!(gpu, MUTUAL, "count_mutual", warps, 128, forward, back, &number, &stride, &threshold, &mut counts);
        let pointers = super::scaled::pointers(&gpu.receive(&counts, cells)?);
        let total = pointers[cells] as usize;
        let pointers = gpu.send(&pointers)?;
        let (mut partners, mut weights) = (gpu.unset::<u32>(total)?, gpu.unset::<f64>(total)?);
        launch!(
            gpu,
            MUTUAL,
            "write_mutual",
            warps,
            128,
            forward,
            back,
            &number,
            &stride,
            &threshold,
            &pointers,
            &mut partners,
            &mut weights
        );
        drop(shares);
        if let Some(Statistics { latent, means, inverses }) = statistics {
            let mut correlations = gpu.unset::<f64>(total)?;
            let (width, start, floor, centre) = (latent.width() as u32, first as u32, FLOOR, CENTRE);
            launch!(
                gpu,
                MUTUAL,
                "correlate",
                (cells, 1),
                256,
                latent.buffer(),
                &width,
                means,
                inverses,
                &start,
                &pointers,
                &partners,
                &mut correlations
            );
            launch!(
                gpu,
                MUTUAL,
                "rescale",
                warps,
                128,
                &pointers,
                &correlations,
                &number,
                &floor,
                &centre,
                &mut weights
            );
        }
        let capacity = self.count * self.k;
        let (mut kept, mut strengths) = (gpu.unset::<u32>(cells * capacity)?, gpu.unset::<f64>(cells * capacity)?);
        let (segments, k) = (self.count as u32, self.k as u32);
        launch!(
            gpu,
            MUTUAL,
            "strongest",
            warps,
            128,
            &pointers,
            &partners,
            &weights,
            &number,
            &self.segments,
            &segments,
            &k,
            &mut kept,
            &mut strengths,
            &mut counts
        );
        let (kept, strengths) = (gpu.receive(&kept, cells * capacity)?, gpu.receive(&strengths, cells * capacity)?);
        let counts = gpu.receive(&counts, cells)?;
        let row = |(cell, &count): (usize, &u32)| {
            let range = cell * capacity..cell * capacity + count as usize;
            kept[range.clone()].iter().copied().zip(strengths[range].iter().copied()).collect()
        };
        Ok(counts.iter().enumerate().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_says_in_whose_neighbourhood_each_member_is_in_order() {
        let cells = 500;
        let row = |i: u32| (0..cells).filter(|j| (i * 7 + j * 13) % 11 < i % 5).collect();
        let forward = Pattern::from_rows((0..cells).map(row).collect());
        let backward = Neighbourhood::of_cells(forward.clone()).backward;
        assert_eq!(backward.rows(), forward.rows());
        for member in 0..cells {
            let having = (0..cells).filter(|&cell| forward.row(cell as usize).contains(&member));
            assert!(backward.row(member as usize).iter().copied().eq(having));
        }
        let groups = Neighbourhood::of_groups(&[2, 0, 2, 2]);
        assert_eq!(groups.backward, Pattern::from_rows(vec![vec![1], vec![], vec![0, 2, 3]]));
        assert_eq!(Neighbourhood::of_groups(&[]).backward.rows(), 0);
    }
}
