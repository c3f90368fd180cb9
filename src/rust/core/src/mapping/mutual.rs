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

/// The neighbourhoods E of one species, cells × cells, binary.
pub enum Neighbourhood {
    /// Each cell has its own.
    Cells {
        /// E: cells in the neighbourhood of a cell.
        forward: Pattern,
        /// Eᵀ: cells in whose neighbourhood a cell is.
        backward: Pattern,
    },
    /// All cells of a group have the group (themselves included): E = C Cᵀ, kept factored.
    Groups {
        /// Group of each cell.
        group: Vec<u32>,
        /// Cells of each group.
        members: Vec<Vec<u32>>,
    },
}

impl Neighbourhood {
    /// Neighbourhoods from an expansion.
    pub fn of_cells(forward: Pattern) -> Self {
        Neighbourhood::Cells { backward: forward.transpose(), forward }
    }

    /// The group of each cell as its neighbourhood.
    pub fn of_groups(group: &[u32]) -> Self {
        let mut members = vec![Vec::new(); group.iter().max().map_or(0, |&last| last as usize + 1)];
        group.iter().enumerate().for_each(|(cell, &group)| members[group as usize].push(cell as u32));
        Neighbourhood::Groups { group: group.to_vec(), members }
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
    let grouped = neighbourhoods.iter().any(|n| matches!(n, Neighbourhood::Groups { .. }));
    let threshold = if grouped { 0.0 } else { SMALLEST_SHARE };
    let cells = cell_offsets[neighbourhoods.len()];
    let mut rows = Vec::with_capacity(cells);
    for a in 0..neighbourhoods.len() {
        let pairs: Vec<Pair> = (0..neighbourhoods.len())
            .filter_map(|b| Pair::new(blocks, neighbourhoods, a, b, cell_offsets[b] as u32))
            .collect();
        let of_cell = |scratch: &mut Scratch, i: usize| {
            ctx.check()?;
            Ok(strongest_partners(&pairs, i, i + cell_offsets[a], threshold, coordinates, cut, scratch))
        };
        let count = cell_offsets[a + 1] - cell_offsets[a];
        let found: Vec<Vec<(u32, f64)>> =
            (0..count).into_par_iter().map_init(|| Scratch::new(cells), of_cell).collect::<Result<_>>()?;
        rows.extend(found);
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(cells, rows))
}

/// The row of cell `i` (`cell` among all): M over all partner species, rescaled, cut.
fn strongest_partners(
    pairs: &[Pair],
    i: usize,
    cell: usize,
    threshold: f64,
    coordinates: Option<&Coordinates>,
    cut: Cut,
    scratch: &mut Scratch,
) -> Vec<(u32, f64)> {
    let mut partners = Vec::new();
    let mut ends = Vec::with_capacity(pairs.len());
    for pair in pairs {
        pair.mutual_row(i, threshold, scratch, &mut partners);
        ends.push(partners.len());
    }
    if let Some(coordinates) = coordinates {
        rescale(&mut partners, cell, coordinates);
    }
    if !cut.per_partner {
        return top_k(&partners, cut.k);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).flat_map(|(start, &end)| top_k(&partners[start..end], cut.k)).collect()
}

/// An ordered pair of species with cross-species neighbours.
struct Pair<'a> {
    /// B_ab.
    forward: &'a Graph,
    /// E_a.
    from: &'a Neighbourhood,
    /// E_b.
    to: &'a Neighbourhood,
    /// B_baᵀ if a's neighbourhoods are its cells' own; else C_aᵀ B_baᵀ: what each group of a receives from the cells of b.
    received: Graph,
    /// First cell of b.
    offset: u32,
}

impl<'a> Pair<'a> {
    fn new(blocks: &'a Blocks, hoods: &'a [Neighbourhood], a: usize, b: usize, offset: u32) -> Option<Self> {
        let (forward, back) = (blocks[a][b].as_ref()?, blocks[b][a].as_ref()?);
        let transposed = back.transpose_view().to_csr();
        let received = match &hoods[a] {
            Neighbourhood::Cells { .. } => transposed,
            Neighbourhood::Groups { members, .. } => {
                let mut sums = Accumulator::new(back.rows());
                let of_group = |group: &Vec<u32>| {
                    group.iter().for_each(|&i| sums.add_row(&transposed, i as usize));
                    sums.drain()
                };
                graph_from_rows(back.rows(), members.iter().map(of_group).collect())
            }
        };
        Some(Pair { forward, from: &hoods[a], to: &hoods[b], received, offset })
    }

    /// Appends M_i· = √(D_ab ∘ D_baᵀ)_i·, ascending, by column among all cells; shares below the threshold count as 0.
    fn mutual_row(&self, i: usize, threshold: f64, scratch: &mut Scratch, out: &mut Vec<(u32, f64)>) {
        self.row_of_forward(i, &mut scratch.forward, &mut scratch.groups);
        match self.from {
            Neighbourhood::Cells { forward, .. } => {
                forward.row(i).iter().for_each(|&other| scratch.back.add_row(&self.received, other as usize));
            }
            Neighbourhood::Groups { group, .. } => scratch.back.add_row(&self.received, group[i] as usize),
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
        match self.to {
            Neighbourhood::Cells { backward, .. } => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    backward.row(j as usize).iter().for_each(|&target| shares.add(target, weight));
                }
            }
            Neighbourhood::Groups { group, members } => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    of_group.add(group[j as usize], weight);
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
