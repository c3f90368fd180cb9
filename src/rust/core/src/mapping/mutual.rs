//! Mutual nearest neighbours through neighbourhoods. In: the cross-species neighbour graphs B_ab and the neighbourhoods E_a of
//! every species. Out: for every cell its K strongest partners in the other species, cells × cells of all species.
//!
//! D_ab = B_ab E_bᵀ says how much of cell i's neighbours lies in the neighbourhood of j; M_ab = √(D_ab ∘ D_baᵀ) is large where
//! that holds both ways. Rows of M are made, rescaled and cut a section of cells at a time: neither D nor M ever exists whole,
//! and E needs not.

use super::cross_knn::Blocks;
use super::expand::{Expander, Pattern};
pub use super::neighbourhood::Neighbourhood;
use super::neighbourhood::Section;
pub(crate) use super::neighbourhood::Sets;
use super::stitch::{Coordinates, top_k};
use crate::sparse::{Graph, graph_from_rows, row};
use crate::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// Shares below this are zeroed before the product, unless a species' neighbourhoods are its groups.
const SMALLEST_SHARE: f64 = 0.1;

/// Cells worked on together; those of a group, which share most of their candidates, come together.
const BLOCK: usize = 128;

/// Most cells in a section.
const SECTION: usize = 64 * BLOCK;

/// Bytes that an entry of a neighbourhood may cost while a section is under way: both orientations, and a partner.
const ENTRY: usize = 32;

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
    let held = neighbourhoods.iter().all(Neighbourhood::are_held);
    let entries = ctx.memory() / ENTRY / rayon::current_num_threads().max(1);
    let cells = cell_offsets[species];
    let mut rows = vec![Vec::new(); cells];
    for (a, neighbourhood) in neighbourhoods.iter().enumerate() {
        let pairs: Vec<Pair> =
            (0..species).filter_map(|b| Pair::new(blocks, neighbourhoods, a, b, cell_offsets[b] as u32)).collect();
        let order = neighbourhood.order();
        let of_section = |scratch: &mut Scratch, cells: &&[usize]| {
            let section = Section::new(cells, neighbourhood, ctx)?;
            let rows = mutual_rows(&pairs, &section, threshold, entries / 2, scratch, ctx)?;
            let mut cuts = Vec::with_capacity(rows.len());
            for (rows, block) in rows.chunks(BLOCK).zip(cells.chunks(BLOCK)) {
                ctx.check()?;
                cuts.extend(match coordinates {
                    Some(coordinates) => rescaled(rows, block, cell_offsets[a], coordinates, cut, ctx)?,
                    None => rows.iter().map(|row| row.cut(cut)).collect(),
                });
            }
            Ok(cuts)
        };
        let sections = sections(order, neighbourhood, if held { BLOCK } else { SECTION }, entries / 2);
        let found: Vec<Vec<Vec<(u32, f64)>>> =
            sections.par_iter().map_init(|| Scratch::new(cells), of_section).collect::<Result<_>>()?;
        for (&i, row) in order.iter().zip(found.into_iter().flatten()) {
            rows[cell_offsets[a] + i] = row;
        }
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(cells, rows))
}

/// Cuts the cells into sections of whole blocks, with at most `cells` cells and `entries` entries to make where that is
/// more than one block. Where the cuts fall changes no bit of the result.
fn sections<'a>(order: &'a [usize], hoods: &Neighbourhood, cells: usize, entries: usize) -> Vec<&'a [usize]> {
    let (mut sections, mut start, mut held) = (Vec::new(), 0, 0);
    for (i, block) in order.chunks(BLOCK).enumerate() {
        let need: usize = block.iter().map(|&cell| hoods.to_make(cell)).sum();
        let end = i * BLOCK;
        if end > start && (held + need > entries || end + block.len() - start > cells) {
            sections.push(&order[start..end]);
            (start, held) = (end, 0);
        }
        held += need;
    }
    if start < order.len() {
        sections.push(&order[start..]);
    }
    sections
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
        let mut received = Vec::new();
        sums.drain(|j, weight| received.push((j, weight)));
        received
    };
    graph_from_rows(back.rows(), members.iter().map(of_group).collect())
}

/// The row of M of one cell: partners in all other species, ascending.
#[derive(Clone, Default)]
struct MutualRow {
    partners: Vec<(u32, f64)>,
    /// Where the partners of each species end.
    ends: Vec<usize>,
}

impl MutualRow {
    /// The parts of the row of which the strongest partners are kept.
    fn parts(&self, cut: Cut) -> Vec<Range<usize>> {
        let ends = if cut.per_partner { self.ends.clone() } else { vec![self.partners.len()] };
        std::iter::once(0).chain(ends.iter().copied()).zip(&ends).map(|(start, &end)| start..end).collect()
    }

    /// The strongest partners.
    fn cut(&self, cut: Cut) -> Vec<(u32, f64)> {
        self.parts(cut).into_iter().flat_map(|part| top_k(&self.partners[part], cut.k)).collect()
    }
}

/// The rows of M of a section.
fn mutual_rows(
    pairs: &[Pair],
    section: &Section,
    threshold: f64,
    entries: usize,
    scratch: &mut Scratch,
    ctx: &Context,
) -> Result<Vec<MutualRow>> {
    let mut rows = vec![MutualRow::default(); section.cells.len()];
    for pair in pairs {
        match &pair.to.sets {
            Sets::Cells { backward, .. } => {
                pair.add_rows(section, &Reach::Cells(backward), threshold, scratch, &mut rows, ctx)?;
            }
            Sets::Groups { members } => {
                let reach = Reach::Groups { members, group: &pair.to.group };
                pair.add_rows(section, &reach, threshold, scratch, &mut rows, ctx)?;
            }
            Sets::Made(expander) => {
                for band in bands(&pair.candidates(section), expander, entries) {
                    let forward = expander.some(band.iter().map(|&j| j as usize), ctx)?;
                    let backward = forward.transpose_among(|row| band[row], expander.cells());
                    drop(forward);
                    pair.add_rows(section, &Reach::Cells(&backward), threshold, scratch, &mut rows, ctx)?;
                }
            }
        }
        rows.iter_mut().for_each(|row| row.ends.push(row.partners.len()));
    }
    Ok(rows)
}

/// Cuts candidates into bands of at most `entries` entries where that is more than one cell.
fn bands<'a>(candidates: &'a [u32], expander: &Expander, entries: usize) -> Vec<&'a [u32]> {
    let (mut bands, mut start, mut held) = (Vec::new(), 0, 0);
    for (at, &j) in candidates.iter().enumerate() {
        let need = expander.most(j as usize);
        if at > start && held + need > entries {
            bands.push(&candidates[start..at]);
            (start, held) = (at, 0);
        }
        held += need;
    }
    if start < candidates.len() {
        bands.push(&candidates[start..]);
    }
    bands
}

/// In whose neighbourhood a cell is.
enum Reach<'a> {
    /// Eᵀ.
    Cells(&'a Pattern),
    /// The cells of each group, and the group of each cell.
    Groups { members: &'a [Vec<u32>], group: &'a [u32] },
}

/// The strongest partners after rescaling of a block of cells of the species that starts at `first`.
fn rescaled(
    rows: &[MutualRow],
    block: &[usize],
    first: usize,
    coordinates: &Coordinates,
    cut: Cut,
    ctx: &Context,
) -> Result<Vec<Vec<(u32, f64)>>> {
    let cells: Vec<usize> = block.iter().map(|i| first + i).collect();
    let partners: Vec<&[(u32, f64)]> = rows.iter().map(|row| row.partners.as_slice()).collect();
    let near = coordinates.correlations(&cells, &partners, ctx)?;
    let each = cells.iter().zip(rows).zip(&near);
    Ok(each
        .map(|((&cell, row), near)| coordinates.strongest(cell, &row.partners, &row.parts(cut), near, cut.k))
        .collect())
}

/// An ordered pair of species with cross-species neighbours.
struct Pair<'a> {
    /// B_ab.
    forward: &'a Graph,
    /// B_ba.
    back: &'a Graph,
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
        Some(Pair { forward, back, to: &hoods[b], received, offset })
    }

    /// The cells of b, ascending, that give anything to the neighbourhoods of a section; no others can be mutual partners.
    fn candidates(&self, section: &Section) -> Vec<u32> {
        let (mut seen, mut gives) = (vec![false; self.received.rows()], vec![false; self.received.cols()]);
        for at in 0..section.cells.len() {
            for &taker in section.row(at) {
                if !std::mem::replace(&mut seen[taker as usize], true) {
                    row(&self.received, taker as usize).0.iter().for_each(|&j| gives[j as usize] = true);
                }
            }
        }
        (0..gives.len() as u32).filter(|&j| gives[j as usize]).collect()
    }

    /// Appends the part of the rows of M of a section that lies within reach.
    fn add_rows(
        &self,
        section: &Section,
        reach: &Reach,
        threshold: f64,
        scratch: &mut Scratch,
        rows: &mut [MutualRow],
        ctx: &Context,
    ) -> Result<()> {
        for (at, row) in rows.iter_mut().enumerate() {
            ctx.check()?;
            self.add_row(section, at, reach, threshold, scratch, &mut row.partners);
        }
        Ok(())
    }

    /// Appends M_i· = √(D_ab ∘ D_baᵀ)_i·, ascending, by column among all cells; shares below the threshold count as 0.
    fn add_row(
        &self,
        section: &Section,
        at: usize,
        reach: &Reach,
        threshold: f64,
        scratch: &mut Scratch,
        out: &mut Vec<(u32, f64)>,
    ) {
        self.row_of_forward(section.cells[at], reach, &mut scratch.forward, &mut scratch.groups);
        if scratch.forward.is_empty() {
            return;
        }
        let Scratch { forward, back, inside, .. } = scratch;
        let mut keep = |j: u32, share: f64, other: &dyn Fn(u32) -> f64| {
            if share >= threshold {
                let other = other(j);
                if other >= threshold && share * other > 0.0 {
                    out.push((j + self.offset, (share * other).sqrt()));
                }
            }
        };
        if section.from.are_groups() {
            section.row(at).iter().for_each(|&group| back.add_row(&self.received, group as usize));
            forward.drain(|j, share| keep(j, share, &|j| back.values[j as usize]));
            back.drain(|_, _| ());
        } else {
            inside.set(section.row(at), 1.0);
            forward.drain(|j, share| keep(j, share, &|j| inside.share(self.back, j as usize)));
            inside.set(section.row(at), 0.0);
        }
    }

    /// (D_ab)_i· = Σ_j' B_ab[i, j'] (E_bᵀ)_j'·.
    fn row_of_forward(&self, i: usize, reach: &Reach, shares: &mut Accumulator, of_group: &mut Accumulator) {
        let (columns, weights) = row(self.forward, i);
        match reach {
            Reach::Cells(backward) => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    backward.row(j as usize).iter().for_each(|&target| shares.add(target, weight));
                }
            }
            Reach::Groups { members, group } => {
                for (&j, &weight) in columns.iter().zip(weights) {
                    of_group.add(group[j as usize], weight);
                }
                of_group.drain(|group, share| {
                    members[group as usize].iter().for_each(|&target| shares.add(target, share));
                });
            }
        }
    }
}

/// Working space of one worker.
struct Scratch {
    forward: Accumulator,
    back: Accumulator,
    groups: Accumulator,
    inside: Marks,
}

impl Scratch {
    fn new(cells: usize) -> Self {
        let of = Accumulator::new;
        Scratch { forward: of(cells), back: of(cells), groups: of(cells), inside: Marks(vec![0.0; cells]) }
    }
}

/// A set of cells: 1 for those in it, 0 for the others. Nobody can foretell which the partners of a cell are, and a product
/// does not have to.
struct Marks(Vec<f64>);

impl Marks {
    fn set(&mut self, cells: &[u32], mark: f64) {
        cells.iter().for_each(|&cell| self.0[cell as usize] = mark);
    }

    /// How much of a row of a graph lies on marked cells.
    fn share(&self, graph: &Graph, i: usize) -> f64 {
        let (columns, weights) = row(graph, i);
        columns.iter().zip(weights).map(|(&j, weight)| weight * self.0[j as usize]).sum()
    }
}

/// A sparse row under construction: dense values (all weights added are positive) and which columns are set, a bit each.
struct Accumulator {
    values: Vec<f64>,
    set: Vec<u64>,
    /// The words of `set` that may hold bits.
    words: Range<usize>,
}

impl Accumulator {
    fn new(columns: usize) -> Self {
        Accumulator { values: vec![0.0; columns], set: vec![0; columns.div_ceil(64)], words: 0..0 }
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    #[inline]
    fn add(&mut self, column: u32, weight: f64) {
        let value = &mut self.values[column as usize];
        if *value == 0.0 {
            let word = column as usize / 64;
            self.set[word] |= 1 << (column % 64);
            self.words = match self.words.is_empty() {
                true => word..word + 1,
                false => self.words.start.min(word)..self.words.end.max(word + 1),
            };
        }
        *value += weight;
    }

    fn add_row(&mut self, graph: &Graph, i: usize) {
        let (columns, weights) = row(graph, i);
        columns.iter().zip(weights).for_each(|(&j, &weight)| self.add(j, weight));
    }

    /// Hands out the row by ascending column; leaves nothing behind.
    #[inline]
    fn drain(&mut self, mut take: impl FnMut(u32, f64)) {
        for word in std::mem::take(&mut self.words) {
            let mut bits = std::mem::take(&mut self.set[word]);
            while bits != 0 {
                let column = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                take(column as u32, std::mem::take(&mut self.values[column]));
            }
        }
    }
}
