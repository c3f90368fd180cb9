//! Mutual nearest neighbours through neighbourhoods. In: the cross-species neighbour graphs B_ab and the neighbourhoods E_a of
//! every species. Out: for every cell its K strongest partners in the other species, cells × cells of all species.
//!
//! D_ab = B_ab E_bᵀ says how much of cell i's neighbours lies in the neighbourhood of j; M_ab = √(D_ab ∘ D_baᵀ) is large where
//! that holds both ways. Rows of M are made, rescaled and cut one at a time: neither D nor M ever exists whole.

use super::cross_knn::Blocks;
use super::expand::Pattern;
use super::stitch::{Coordinates, rescale, top_k};
use crate::sparse::{Graph, graph_from_rows, row};
use crate::{Context, Result};
use rayon::prelude::*;

/// Shares below this are zeroed before the product, unless a species' neighbourhoods are its groups.
const SMALLEST_SHARE: f64 = 0.1;

/// Cells worked on together; those of a group, which share most of their candidates, come together.
const BLOCK: usize = 128;

/// The neighbourhoods E of one species: cells × cells, binary.
pub struct Neighbourhood {
    /// Group of each cell.
    group: Vec<u32>,
    sets: Sets,
}

/// The neighbourhoods of the cells of a species.
pub(crate) enum Sets {
    /// Each cell has its own: E (cells in the neighbourhood of a cell) and Eᵀ (cells in whose neighbourhood a cell is).
    Cells { forward: Pattern, backward: Pattern },
    /// All cells of a group have the group (themselves included): E = C Cᵀ, kept factored as the cells of each group.
    Groups { members: Vec<Vec<u32>> },
}

impl Neighbourhood {
    /// Neighbourhoods from an expansion. The group of each cell only decides which cells are worked on together.
    pub fn of_cells(group: &[u32], forward: Pattern) -> Self {
        Neighbourhood { group: group.to_vec(), sets: Sets::Cells { backward: forward.transpose(), forward } }
    }

    /// The group of each cell as its neighbourhood.
    pub fn of_groups(group: &[u32]) -> Self {
        let mut members = vec![Vec::new(); group.iter().max().map_or(0, |&last| last as usize + 1)];
        group.iter().enumerate().for_each(|(cell, &group)| members[group as usize].push(cell as u32));
        Neighbourhood { group: group.to_vec(), sets: Sets::Groups { members } }
    }

    /// Group of each cell.
    pub(crate) fn group(&self) -> &[u32] {
        &self.group
    }

    pub(crate) fn sets(&self) -> &Sets {
        &self.sets
    }

    fn are_groups(&self) -> bool {
        matches!(self.sets, Sets::Groups { .. })
    }

    /// All cells, group by group.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.group.len()).collect();
        order.sort_by_key(|&cell| self.group[cell]);
        order
    }
}

/// What to keep of the mutual graph.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Partners per cell.
    pub k: usize,
    /// Keep `k` of every partner species instead of `k` in all.
    pub per_partner: bool,
}

/// The graph of the strongest mutual partners. `coordinates`: latent coordinates if weights are to be rescaled by correlation.
///
/// # Errors
/// Cancelled.
pub fn mutual_graph(
    blocks: &Blocks,
    neighbourhoods: &[Neighbourhood],
    cell_offsets: &[usize],
    coordinates: Option<&Coordinates>,
    cut: Cut,
    ctx: &Context,
) -> Result<Graph> {
    let species = neighbourhoods.len();
    let threshold = threshold(neighbourhoods);
    let cells = cell_offsets[species];
    let mut rows = vec![Vec::new(); cells];
    for (a, neighbourhood) in neighbourhoods.iter().enumerate() {
        let pairs: Vec<Pair> =
            (0..species).filter_map(|b| Pair::new(blocks, neighbourhoods, a, b, cell_offsets[b] as u32)).collect();
        let order = neighbourhood.order();
        let of_block = |scratch: &mut Scratch, block: &[usize]| {
            ctx.check()?;
            let mut rows: Vec<MutualRow> = block.iter().map(|&i| mutual_row(&pairs, i, threshold, scratch)).collect();
            if let Some(coordinates) = coordinates {
                rescale_block(&mut rows, block, cell_offsets[a], coordinates, ctx)?;
            }
            Ok(rows.iter().map(|row| row.cut(cut)).collect::<Vec<_>>())
        };
        let found: Vec<Vec<Vec<(u32, f64)>>> =
            order.par_chunks(BLOCK).map_init(|| Scratch::new(cells), of_block).collect::<Result<_>>()?;
        for (&i, row) in order.iter().zip(found.into_iter().flatten()) {
            rows[cell_offsets[a] + i] = row;
        }
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(cells, rows))
}

/// Shares below this count as 0.
pub(crate) fn threshold(neighbourhoods: &[Neighbourhood]) -> f64 {
    if neighbourhoods.iter().any(Neighbourhood::are_groups) { 0.0 } else { SMALLEST_SHARE }
}

/// B_baᵀ if the neighbourhoods of a are its cells' own; else C_aᵀ B_baᵀ: what each group of a receives from the cells of b.
/// `back`: B_ba.
pub(crate) fn received(back: &Graph, from: &Neighbourhood) -> Graph {
    let transposed = back.transpose_view().to_csr();
    let Sets::Groups { members } = &from.sets else { return transposed };
    let mut sums = Accumulator::new(back.rows());
    let of_group = |group: &Vec<u32>| {
        group.iter().for_each(|&i| sums.add_row(&transposed, i as usize));
        sums.drain()
    };
    graph_from_rows(back.rows(), members.iter().map(of_group).collect())
}

/// The row of M of one cell: partners in all other species, ascending.
struct MutualRow {
    partners: Vec<(u32, f64)>,
    /// Where the partners of each species end.
    ends: Vec<usize>,
}

impl MutualRow {
    /// The strongest partners.
    fn cut(&self, cut: Cut) -> Vec<(u32, f64)> {
        if !cut.per_partner {
            return top_k(&self.partners, cut.k);
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).flat_map(|(start, &end)| top_k(&self.partners[start..end], cut.k)).collect()
    }
}

fn mutual_row(pairs: &[Pair], i: usize, threshold: f64, scratch: &mut Scratch) -> MutualRow {
    let mut row = MutualRow { partners: Vec::new(), ends: Vec::with_capacity(pairs.len()) };
    for pair in pairs {
        pair.mutual_row(i, threshold, scratch, &mut row.partners);
        row.ends.push(row.partners.len());
    }
    row
}

/// Rescales the rows of a block of cells of the species that starts at `first`.
fn rescale_block(
    rows: &mut [MutualRow],
    block: &[usize],
    first: usize,
    coordinates: &Coordinates,
    ctx: &Context,
) -> Result<()> {
    let cells: Vec<usize> = block.iter().map(|i| first + i).collect();
    let partners: Vec<&[(u32, f64)]> = rows.iter().map(|row| row.partners.as_slice()).collect();
    let correlations = coordinates.correlations(&cells, &partners, ctx)?;
    for (row, correlations) in rows.iter_mut().zip(&correlations) {
        rescale(&mut row.partners, correlations);
    }
    Ok(())
}

/// An ordered pair of species with cross-species neighbours.
struct Pair<'a> {
    /// B_ab.
    forward: &'a Graph,
    /// E_a.
    from: &'a Neighbourhood,
    /// E_b.
    to: &'a Neighbourhood,
    /// See [`received`].
    received: Graph,
    /// First cell of b.
    offset: u32,
}

impl<'a> Pair<'a> {
    fn new(blocks: &'a Blocks, hoods: &'a [Neighbourhood], a: usize, b: usize, offset: u32) -> Option<Self> {
        let (forward, back) = (blocks[a][b].as_ref()?, blocks[b][a].as_ref()?);
        let received = received(back, &hoods[a]);
        Some(Pair { forward, from: &hoods[a], to: &hoods[b], received, offset })
    }

    /// Appends M_i· = √(D_ab ∘ D_baᵀ)_i·, ascending, by column among all cells; shares below the threshold count as 0.
    fn mutual_row(&self, i: usize, threshold: f64, scratch: &mut Scratch, out: &mut Vec<(u32, f64)>) {
        self.row_of_forward(i, &mut scratch.forward, &mut scratch.groups);
        match &self.from.sets {
            Sets::Cells { forward, .. } => {
                forward.row(i).iter().for_each(|&other| scratch.back.add_row(&self.received, other as usize));
            }
            Sets::Groups { .. } => scratch.back.add_row(&self.received, self.from.group[i] as usize),
        }
        let back = &scratch.back.values;
        for (j, share) in scratch.forward.drain() {
            let other = back[j as usize];
            if share >= threshold && other >= threshold && share * other > 0.0 {
                out.push((j + self.offset, (share * other).sqrt()));
            }
        }
        scratch.back.clear();
    }

    /// (D_ab)_i· = Σ_j' B_ab[i, j'] (E_bᵀ)_j'·.
    fn row_of_forward(&self, i: usize, shares: &mut Accumulator, of_group: &mut Accumulator) {
        let (columns, weights) = row(self.forward, i);
        match &self.to.sets {
            Sets::Cells { backward, .. } => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    backward.row(j as usize).iter().for_each(|&target| shares.add(target, weight));
                }
            }
            Sets::Groups { members } => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    of_group.add(self.to.group[j as usize], weight);
                }
                for (group, share) in of_group.drain() {
                    members[group as usize].iter().for_each(|&target| shares.add(target, share));
                }
            }
        }
    }
}

/// Working space of one worker.
struct Scratch {
    forward: Accumulator,
    back: Accumulator,
    groups: Accumulator,
}

impl Scratch {
    fn new(cells: usize) -> Self {
        Scratch { forward: Accumulator::new(cells), back: Accumulator::new(cells), groups: Accumulator::new(cells) }
    }
}

/// A sparse row under construction: dense values (all weights added are positive) and the columns that are set.
struct Accumulator {
    values: Vec<f64>,
    touched: Vec<u32>,
}

impl Accumulator {
    fn new(columns: usize) -> Self {
        Accumulator { values: vec![0.0; columns], touched: Vec::new() }
    }

    fn add(&mut self, column: u32, weight: f64) {
        let value = &mut self.values[column as usize];
        if *value == 0.0 {
            self.touched.push(column);
        }
        *value += weight;
    }

    fn add_row(&mut self, graph: &Graph, i: usize) {
        let (columns, weights) = row(graph, i);
        columns.iter().zip(weights).for_each(|(&j, &weight)| self.add(j, weight));
    }

    /// The row by ascending column; leaves nothing behind.
    fn drain(&mut self) -> Vec<(u32, f64)> {
        self.touched.sort_unstable();
        let values = &mut self.values;
        self.touched.drain(..).map(|j| (j, std::mem::take(&mut values[j as usize]))).collect()
    }

    fn clear(&mut self) {
        let values = &mut self.values;
        self.touched.drain(..).for_each(|j| values[j as usize] = 0.0);
    }
}
