//! Mutual nearest neighbours through neighbourhoods. In: the cross-species neighbour graphs B_ab and the neighbourhoods E_a of
//! every species. Out: for every cell its K strongest partners in the other species, cells × cells of all species.
//!
//! D_ab = B_ab E_bᵀ says how much of cell i's neighbours lies in the neighbourhood of j; M_ab = √(D_ab ∘ D_baᵀ) is large where
//! that holds both ways. M is made in tiles of 64 × 64 cells: both shares are sums of weights over masks of 64 cells. Its rows
//! are rescaled and cut a section of cells at a time: neither D nor M ever exists whole, and E needs not.

use super::cross_knn::Blocks;
pub use super::neighbourhood::Neighbourhood;
use super::neighbourhood::{Section, Sets};
use super::stitch::{Coordinates, top_k};
use super::words::{WORD, Words, bits};
use crate::simd::vectorised;
use crate::sparse::{Graph, graph_from_rows, row};
use crate::{Context, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Shares below this are zeroed before the product, unless a species' neighbourhoods are its groups.
const SMALLEST_SHARE: f64 = 0.1;

/// Cells whose correlations are computed together.
const TOGETHER: usize = 2 * WORD;

/// Most blocks in a section whose neighbourhoods have to be made.
const SECTION: usize = 128;

/// Bytes that a cell of a neighbourhood may cost while a section is under way: its words, and a partner.
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
    // Places follow the order of the neighbourhoods within each species.
    let of_species = |s: usize| neighbourhoods[s].order().iter().map(move |&cell| cell + cell_offsets[s] as u32);
    let cell_at: Vec<u32> = (0..species).flat_map(of_species).collect();
    let mut rows = vec![Vec::new(); cells];
    for (a, neighbourhood) in neighbourhoods.iter().enumerate() {
        let pairs: Vec<Pair> =
            (0..species).filter_map(|b| Pair::new(blocks, neighbourhoods, a, b, cell_offsets[b] as u32)).collect();
        let cell_of_a = &cell_at[cell_offsets[a]..cell_offsets[a + 1]];
        let of_section = |scratch: &mut Scratch, blocks: &Range<usize>| {
            let section = neighbourhood.section(blocks.clone(), ctx)?;
            let rows = mutual_rows(&pairs, &section, threshold, entries / 2, scratch, ctx)?;
            let mut cuts = Vec::with_capacity(rows.len());
            for (rows, cells) in rows.chunks(TOGETHER).zip(cell_of_a[blocks.start * WORD..].chunks(TOGETHER)) {
                ctx.check()?;
                cuts.extend(match coordinates {
                    Some(coordinates) => rescaled(rows, cells, &cell_at, coordinates, cut, ctx)?,
                    None => rows.iter().map(|row| row.cut(&cell_at, cut)).collect(),
                });
            }
            Ok(cuts)
        };
        let sections = sections(neighbourhood, if held { TOGETHER / WORD } else { SECTION }, entries / 2);
        let scratch = || Scratch::new(neighbourhood, &pairs);
        let found: Vec<Vec<Vec<(u32, f64)>>> =
            sections.par_iter().map_init(scratch, of_section).collect::<Result<_>>()?;
        for (&cell, row) in cell_of_a.iter().zip(found.into_iter().flatten()) {
            rows[cell as usize] = row;
        }
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(cells, rows))
}

/// Cuts a species into sections of at most `blocks` blocks and, where that is more than is correlated together, of at most `entries`
/// entries to make. Where the cuts fall changes no bit of the result.
fn sections(hoods: &Neighbourhood, blocks: usize, entries: usize) -> Vec<Range<usize>> {
    let (mut sections, mut start, mut held) = (Vec::new(), 0, 0);
    for first in (0..hoods.blocks()).step_by(TOGETHER / WORD) {
        let end = hoods.blocks().min(first + TOGETHER / WORD);
        let need: usize = (first..end).map(|block| hoods.to_make(block, u64::MAX)).sum();
        if first > start && (held + need > entries || end - start > blocks) {
            sections.push(start..first);
            (start, held) = (first, 0);
        }
        held += need;
    }
    if start < hoods.blocks() {
        sections.push(start..hoods.blocks());
    }
    sections
}

/// Shares below this count as 0.
pub(crate) fn threshold(neighbourhoods: &[Neighbourhood]) -> f64 {
    if neighbourhoods.iter().any(Neighbourhood::are_groups) { 0.0 } else { SMALLEST_SHARE }
}

/// B_baᵀ by member of a: what each cell, or each group, of a receives from the cells of b. `back`: B_ba.
pub(crate) fn received(back: &Graph, from: &Neighbourhood) -> Graph {
    from.by_member(back).transpose_view().to_csr()
}

/// The row of M of one cell: places of partners in all other species, ascending.
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
    fn cut(&self, cell_at: &[u32], cut: Cut) -> Vec<(u32, f64)> {
        let strongest = |part: Range<usize>| {
            let part = self.partners[part].iter().map(|&(place, weight)| (cell_at[place as usize], weight));
            top_k(part.collect(), cut.k)
        };
        self.parts(cut).into_iter().flat_map(strongest).collect()
    }
}

/// The strongest partners of some cells after rescaling.
fn rescaled(
    rows: &[MutualRow],
    cells: &[u32],
    cell_at: &[u32],
    coordinates: &Coordinates,
    cut: Cut,
    ctx: &Context,
) -> Result<Vec<Vec<(u32, f64)>>> {
    let partners: Vec<&[(u32, f64)]> = rows.iter().map(|row| row.partners.as_slice()).collect();
    let near = coordinates.correlations(cells, &partners, cell_at, ctx)?;
    let each = cells.iter().zip(rows).zip(&near);
    let strongest = |((&cell, row), near): ((&u32, &MutualRow), &Vec<f32>)| {
        coordinates.strongest(cell, &row.partners, cell_at, &row.parts(cut), near, cut.k)
    };
    Ok(each.map(strongest).collect())
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
    let cells = section.blocks.clone().map(|block| section.from.block(block).len()).sum();
    let mut rows = vec![MutualRow::default(); cells];
    for pair in pairs {
        match pair.to.sets() {
            Sets::Held { by_member, .. } => pair.add(section, by_member, threshold, scratch, &mut rows, ctx)?,
            Sets::Made(expander) => {
                for band in bands(&pair.candidates(section), pair.to, entries) {
                    let made = pair.to.make(expander, band.iter().copied(), ctx)?;
                    let by_member = made.transpose(pair.to.members(), |row| band[row].0 as u32);
                    drop(made);
                    pair.add(section, &by_member, threshold, scratch, &mut rows, ctx)?;
                }
            }
        }
        rows.iter_mut().for_each(|row| row.ends.push(row.partners.len()));
    }
    Ok(rows)
}

/// Cuts candidates (cells of blocks, a bit each) into bands of at most `entries` entries where that is more than one block.
fn bands<'a>(candidates: &'a [(usize, u64)], hoods: &Neighbourhood, entries: usize) -> Vec<&'a [(usize, u64)]> {
    let (mut bands, mut start, mut held) = (Vec::new(), 0, 0);
    for (at, &(block, which)) in candidates.iter().enumerate() {
        let need = hoods.to_make(block, which);
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

/// An ordered pair of species with cross-species neighbours.
struct Pair<'a> {
    /// B_ab by member of b.
    forward: Cow<'a, Graph>,
    /// B_ba by member of a.
    back: Cow<'a, Graph>,
    /// E_b.
    to: &'a Neighbourhood,
    /// First place of b.
    offset: u32,
}

impl<'a> Pair<'a> {
    fn new(blocks: &'a Blocks, hoods: &'a [Neighbourhood], a: usize, b: usize, offset: u32) -> Option<Self> {
        let (forward, back) = (blocks[a][b].as_ref()?, blocks[b][a].as_ref()?);
        Some(Pair { forward: hoods[b].by_member(forward), back: hoods[a].by_member(back), to: &hoods[b], offset })
    }

    /// The cells of b, block by block, that give anything to the neighbourhoods of a section; no others can be mutual partners.
    fn candidates(&self, section: &Section) -> Vec<(usize, u64)> {
        let mut takes = vec![false; section.from.members()];
        section.blocks.clone().for_each(|block| section.row(block).0.iter().for_each(|&m| takes[m as usize] = true));
        let gives = |cell: u32| row(&self.back, cell as usize).0.iter().any(|&member| takes[member as usize]);
        let of_block = |block: usize| {
            let cells = self.to.block(block).iter().enumerate();
            (block, cells.fold(0, |which, (bit, &cell)| which | u64::from(gives(cell)) << bit))
        };
        (0..self.to.blocks()).map(of_block).filter(|&(_, which)| which != 0).collect()
    }

    /// Appends to the rows of a section what of M lies within reach: in the neighbourhoods that `by_member` (Eᵀ_b) has.
    fn add(
        &self,
        section: &Section,
        by_member: &Words,
        threshold: f64,
        scratch: &mut Scratch,
        rows: &mut [MutualRow],
        ctx: &Context,
    ) -> Result<()> {
        for (block, rows) in section.blocks.clone().zip(rows.chunks_mut(WORD)) {
            ctx.check()?;
            let inside = section.row(block);
            scratch.linked.gather(section.from.block(block), &self.forward, by_member);
            inside.0.iter().zip(inside.1).for_each(|(&member, &mask)| scratch.inside[member as usize] = mask);
            vectorised(
                #[inline(always)]
                || self.add_tiles(threshold, scratch, rows),
            );
            inside.0.iter().for_each(|&member| scratch.inside[member as usize] = 0);
        }
        Ok(())
    }

    /// Appends M_i· = √(D_ab ∘ D_baᵀ)_i· of the cells of a block, tile by tile; shares below the threshold count as 0.
    #[inline(always)]
    fn add_tiles(&self, threshold: f64, scratch: &mut Scratch, rows: &mut [MutualRow]) {
        let Scratch { linked, inside, masks, forward, back } = scratch;
        masks.resize(linked.members.len(), 0);
        let mut start = 0;
        for &(block, end) in &linked.blocks {
            let words = &linked.words[start..end];
            start = end;
            words.iter().for_each(|&(number, mask)| masks[number as usize] = mask);
            // (D_ab)_ij = Σ_j' B_ab[i, j'] E_b[j, j'].
            let (mut some, mut link) = (0, 0);
            for (at, share) in forward.iter_mut().enumerate().take(rows.len()) {
                let links = &linked.links[link..linked.ends[at]];
                link = linked.ends[at];
                add_up(&mut share.sums, links.iter().map(|&(number, weight)| (masks[number as usize], weight)));
                share.keep(threshold);
                some |= share.kept;
            }
            words.iter().for_each(|&(number, _)| masks[number as usize] = 0);
            // (D_ba)_ji = Σ_i' B_ba[j, i'] E_a[i, i'].
            let cells = self.to.block(block as usize);
            for j in bits(some) {
                let (members, weights) = row(&self.back, cells[j] as usize);
                add_up(
                    &mut back[j].sums,
                    members.iter().zip(weights).map(|(&m, &weight)| (inside[m as usize], weight)),
                );
                back[j].keep(threshold);
            }
            let first = self.offset + block * WORD as u32;
            for (i, (row, share)) in rows.iter_mut().zip(forward.iter()).enumerate() {
                for j in bits(share.kept).filter(|&j| back[j].kept >> i & 1 == 1) {
                    row.partners.push((first + j as u32, (share.sums[j] * back[j].sums[i]).sqrt()));
                }
            }
        }
    }
}

/// What the cells of a block are linked to: members of the other species, and whose neighbourhoods these are in.
struct Linked {
    /// The number of each member among those that are linked.
    number: Vec<u32>,
    members: Vec<u32>,
    /// Number and weight of the members, cell by cell, and where those of each cell end.
    links: Vec<(u32, f64)>,
    ends: Vec<usize>,
    /// Blocks of the other species, ascending, and where the words of each end.
    blocks: Vec<(u32, usize)>,
    /// Number and mask of members: in the neighbourhoods of which cells of the block they are.
    words: Vec<(u32, u64)>,
    /// Words of each block.
    counts: Vec<usize>,
}

impl Linked {
    const NONE: u32 = u32::MAX;

    fn new(members: usize, blocks: usize) -> Self {
        let (number, counts) = (vec![Self::NONE; members], vec![0; blocks]);
        let (members, links, ends, blocks, words) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Linked { number, members, links, ends, blocks, words, counts }
    }

    /// Links by `graph` (cells × members), and the words of the members that are linked, in the order of their blocks.
    fn gather(&mut self, cells: &[u32], graph: &Graph, by_member: &Words) {
        let Linked { number, members, links, ends, blocks, words, counts } = self;
        (members.clear(), links.clear(), ends.clear(), blocks.clear());
        for &cell in cells {
            let (columns, weights) = row(graph, cell as usize);
            for (&member, &weight) in columns.iter().zip(weights) {
                let number = &mut number[member as usize];
                if *number == Self::NONE {
                    *number = members.len() as u32;
                    members.push(member);
                }
                links.push((*number, weight));
            }
            ends.push(links.len());
        }
        for &member in members.iter() {
            number[member as usize] = Self::NONE;
            for &block in by_member.row(member as usize).0 {
                if counts[block as usize] == 0 {
                    blocks.push((block, 0));
                }
                counts[block as usize] += 1;
            }
        }
        blocks.sort_unstable();
        let mut total = 0;
        for (block, _) in blocks.iter() {
            let count = &mut counts[*block as usize];
            (*count, total) = (total, total + *count);
        }
        words.resize(total, (0, 0));
        for (number, &member) in members.iter().enumerate() {
            let (of_member, masks) = by_member.row(member as usize);
            for (&block, &mask) in of_member.iter().zip(masks) {
                let next = &mut counts[block as usize];
                words[*next] = (number as u32, mask);
                *next += 1;
            }
        }
        blocks.iter_mut().for_each(|(block, end)| *end = std::mem::take(&mut counts[*block as usize]));
    }
}

/// A row, or a column, of a tile of shares, and which of them are large enough.
#[derive(Clone)]
struct Shares {
    sums: [f64; WORD],
    kept: u64,
}

impl Shares {
    #[inline(always)]
    fn keep(&mut self, threshold: f64) {
        self.kept = 0;
        for bit in 0..WORD {
            let share = self.sums[bit];
            self.kept |= u64::from(share >= threshold && share > 0.0) << bit;
        }
    }
}

/// Sums of weights over those whose mask has the bit. Adds 0 for the others: a branch for each would take longer.
#[inline(always)]
fn add_up(out: &mut [f64; WORD], masked: impl Iterator<Item = (u64, f64)>) {
    let mut sums = [0.0; WORD];
    for (mask, weight) in masked.filter(|&(mask, _)| mask != 0) {
        for bit in 0..WORD {
            sums[bit] += if mask >> bit & 1 == 1 { weight } else { 0.0 };
        }
    }
    *out = sums;
}

/// Working space of one worker.
struct Scratch {
    linked: Linked,
    /// In the neighbourhoods of which cells of the block each member of its species is.
    inside: Vec<u64>,
    /// The same, of the other species, for the members that are linked.
    masks: Vec<u64>,
    forward: Vec<Shares>,
    back: Vec<Shares>,
}

impl Scratch {
    fn new(from: &Neighbourhood, pairs: &[Pair]) -> Self {
        let most = |of: fn(&Neighbourhood) -> usize| pairs.iter().map(|pair| of(pair.to)).max().unwrap_or(0);
        let tile = vec![Shares { sums: [0.0; WORD], kept: 0 }; WORD];
        Scratch {
            linked: Linked::new(most(Neighbourhood::members), most(Neighbourhood::blocks)),
            inside: vec![0; from.members()],
            masks: Vec::new(),
            forward: tile.clone(),
            back: tile,
        }
    }
}
