//! Mutual nearest neighbours through neighbourhoods. In: the cross-species neighbour graphs B_ab and the neighbourhoods E_a of
//! every species. Out: for every cell its K strongest partners in the other species, cells × cells of all species.
//!
//! D_ab = B_ab E_bᵀ says how much of cell i's neighbours lies in the neighbourhood of j; M_ab = √(D_ab ∘ D_baᵀ) is large where
//! that holds both ways. M is made in tiles of 64 × 64 cells: both shares are sums of weights over masks of 64 cells. Its rows
//! are rescaled and cut a section of cells at a time: neither D nor M ever exists whole, and E needs not.

use super::cross_knn::Blocks;
pub use super::neighbourhood::Neighbourhood;
pub(crate) use super::neighbourhood::by_member;
use super::neighbourhood::{Section, Sets};
use super::stitch::{Coordinates, top_k};
use super::words::{WORD, Words};
use crate::simd::{bits, vectorised};
use crate::sparse::{Graph, edges, graph_from_rows, graph_of, row};
use crate::{Context, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Shares below this are zeroed before the product, unless a species' neighbourhoods are its groups.
const SMALLEST_SHARE: f64 = 0.1;

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

/// Partners of a cell and their weights.
type Partners = Vec<(u32, f64)>;

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
    let of_species = |s: usize| neighbourhoods[s].order().iter().map(move |&cell| cell + cell_offsets[s] as u32);
    let search = Search {
        cell_at: (0..species).flat_map(of_species).collect(),
        coordinates,
        threshold: threshold(neighbourhoods.iter().any(|hoods| hoods.groups().is_some())),
        cut,
        entries: ctx.memory() / ENTRY / 2 / rayon::current_num_threads().max(1),
        ctx,
    };
    let longest = if neighbourhoods.iter().all(Neighbourhood::are_held) { 1 } else { SECTION };
    let mut rows = vec![Vec::new(); search.cell_at.len()];
    for (a, neighbourhood) in neighbourhoods.iter().enumerate() {
        let pairs: Vec<Pair> =
            (0..species).filter_map(|b| Pair::new(blocks, neighbourhoods, a, b, cell_offsets)).collect();
        let all: Vec<(usize, u64)> = (0..neighbourhood.blocks()).map(|block| (block, u64::MAX)).collect();
        let of_section = |scratch: &mut Scratch, blocks: &&[(usize, u64)]| {
            let start = blocks[0].0;
            let section = neighbourhood.section(start..start + blocks.len(), ctx)?;
            let rows = search.rows(&pairs, &section, scratch)?;
            let cells = &search.cell_at[cell_offsets[a] + start * WORD..];
            let cut = |(row, &cell): (&MutualRow, &u32)| {
                ctx.check()?;
                Ok((cell, search.cut(row, cell)))
            };
            rows.iter().zip(cells).map(cut).collect()
        };
        let scratch = || Scratch::new(neighbourhood, &pairs);
        let found: Vec<Vec<(u32, Partners)>> = portions(&all, neighbourhood, longest, search.entries)
            .par_iter()
            .map_init(scratch, of_section)
            .collect::<Result<_>>()?;
        found.into_iter().flatten().for_each(|(cell, row)| rows[cell as usize] = row);
        ctx.advance(1)?;
    }
    Ok(graph_from_rows(rows.len(), rows))
}

/// Cuts blocks (and which of their cells: a bit each) into portions of at most `longest` blocks and, where that is more than one
/// block, of at most `entries` entries to make. Where the cuts fall changes no bit of the result.
fn portions<'a>(
    blocks: &'a [(usize, u64)],
    hoods: &Neighbourhood,
    longest: usize,
    entries: usize,
) -> Vec<&'a [(usize, u64)]> {
    let (mut portions, mut start, mut held) = (Vec::new(), 0, 0);
    for (at, &(block, which)) in blocks.iter().enumerate() {
        let need = hoods.to_make(block, which);
        if at > start && (held + need > entries || at - start == longest) {
            portions.push(&blocks[start..at]);
            (start, held) = (at, 0);
        }
        held += need;
    }
    if start < blocks.len() {
        portions.push(&blocks[start..]);
    }
    portions
}

/// Shares below this count as 0. `groups`: whether the neighbourhoods of any species are its groups.
pub(crate) fn threshold(groups: bool) -> f64 {
    if groups { 0.0 } else { SMALLEST_SHARE }
}

/// The row of M of one cell: places of partners in all other species, ascending.
#[derive(Clone, Default)]
struct MutualRow {
    partners: Partners,
    /// Their correlations with the cell, approximately, where weights are rescaled.
    near: Vec<f32>,
    /// Where the partners of each species end.
    ends: Vec<usize>,
}

impl MutualRow {
    /// The parts of the row of which the strongest partners are kept.
    fn parts(&self, cut: Cut) -> Vec<Range<usize>> {
        let ends = if cut.per_partner { self.ends.clone() } else { vec![self.partners.len()] };
        std::iter::once(0).chain(ends.iter().copied()).zip(&ends).map(|(start, &end)| start..end).collect()
    }
}

/// How partners are searched, and in what.
struct Search<'a> {
    /// The cell at each place: those of a species stand in the order of its neighbourhoods.
    cell_at: Vec<u32>,
    coordinates: Option<&'a Coordinates<'a>>,
    threshold: f64,
    cut: Cut,
    /// Entries of neighbourhoods that may be made at a time.
    entries: usize,
    ctx: &'a Context,
}

impl Search<'_> {
    /// The rows of M of a section.
    fn rows(&self, pairs: &[Pair], section: &Section, scratch: &mut Scratch) -> Result<Vec<MutualRow>> {
        let cells = section.blocks.clone().map(|block| section.from.block(block).len()).sum();
        let mut rows = vec![MutualRow::default(); cells];
        for pair in pairs {
            match pair.to.sets() {
                Sets::Held { by_member, .. } => self.add(pair, section, by_member, scratch, &mut rows)?,
                Sets::Made(expander) => {
                    for band in portions(&pair.candidates(section), pair.to, usize::MAX, self.entries) {
                        let made = pair.to.make(expander, band.iter().copied(), self.ctx)?;
                        let by_member = made.transpose(pair.to.members(), |row| band[row].0 as u32);
                        drop(made);
                        self.add(pair, section, &by_member, scratch, &mut rows)?;
                    }
                }
            }
            rows.iter_mut().for_each(|row| row.ends.push(row.partners.len()));
        }
        Ok(rows)
    }

    /// Appends to the rows of a section what of M lies within reach: in the neighbourhoods that `by_member` (Eᵀ_b) has.
    fn add(
        &self,
        pair: &Pair,
        section: &Section,
        by_member: &Words,
        scratch: &mut Scratch,
        rows: &mut [MutualRow],
    ) -> Result<()> {
        for (block, rows) in section.blocks.clone().zip(rows.chunks_mut(WORD)) {
            self.ctx.check()?;
            let (members, masks) = section.row(block);
            scratch.linked.gather(section.from.block(block), &pair.forward, by_member);
            members.iter().zip(masks).for_each(|(&member, &mask)| scratch.inside[member as usize] = mask);
            vectorised(
                #[inline(always)]
                || self.add_tiles(pair, pair.starts.0 + block * WORD, scratch, rows),
            );
            members.iter().for_each(|&member| scratch.inside[member as usize] = 0);
        }
        Ok(())
    }

    /// Appends M_i· = √(D_ab ∘ D_baᵀ)_i· of the cells of a block, whose first is at the place `start`, tile by tile; shares below
    /// the threshold count as 0.
    #[inline(always)]
    fn add_tiles(&self, pair: &Pair, start: usize, scratch: &mut Scratch, rows: &mut [MutualRow]) {
        let Scratch { linked, inside, masks, forward, back } = scratch;
        masks.resize(linked.members.len(), 0);
        let mut first_word = 0;
        for &(block, end) in &linked.blocks {
            let words = &linked.words[first_word..end];
            first_word = end;
            words.iter().for_each(|&(number, mask)| masks[number as usize] = mask);
            // (D_ab)_ij = Σ_j' B_ab[i, j'] E_b[j, j'].
            let (mut some, mut first_link) = (0, 0);
            for (shares, &end) in forward.iter_mut().zip(&linked.ends) {
                let links = linked.links[first_link..end].iter();
                first_link = end;
                shares.add_up(links.map(|&(number, weight)| (masks[number as usize], weight)), self.threshold);
                some |= shares.kept;
            }
            words.iter().for_each(|&(number, _)| masks[number as usize] = 0);
            // (D_ba)_ji = Σ_i' B_ba[j, i'] E_a[i, i'].
            for j in bits(some) {
                let (members, weights) = row(&pair.back, block as usize * WORD + j);
                let links = members.iter().zip(weights);
                back[j].add_up(links.map(|(&member, &weight)| (inside[member as usize], weight)), self.threshold);
            }
            let first = pair.starts.1 + block as usize * WORD;
            for (i, (row, shares)) in rows.iter_mut().zip(forward.iter()).enumerate() {
                for j in bits(shares.kept).filter(|&j| back[j].kept >> i & 1 == 1) {
                    row.partners.push(((first + j) as u32, (shares.sums[j] * back[j].sums[i]).sqrt()));
                    if let Some(coordinates) = self.coordinates {
                        let (i, j) = (self.cell_at[start + i] as usize, self.cell_at[first + j] as usize);
                        row.near.push(coordinates.near_correlation(i, j));
                    }
                }
            }
        }
    }

    /// The strongest partners of a cell, after rescaling where there are coordinates.
    fn cut(&self, row: &MutualRow, cell: u32) -> Partners {
        let parts = row.parts(self.cut);
        if let Some(coordinates) = self.coordinates {
            return coordinates.strongest(cell, &row.partners, &self.cell_at, &parts, &row.near, self.cut.k);
        }
        let strongest = |part: Range<usize>| {
            let part = row.partners[part].iter().map(|&(place, weight)| (self.cell_at[place as usize], weight));
            top_k(part.collect(), self.cut.k)
        };
        parts.into_iter().flat_map(strongest).collect()
    }
}

/// An ordered pair of species with cross-species neighbours.
struct Pair<'a> {
    /// B_ab by member of b.
    forward: Cow<'a, Graph>,
    /// B_ba by member of a, its rows in the order in which the cells of b are worked on: what a tile reads lies together.
    back: Graph,
    /// E_b.
    to: &'a Neighbourhood,
    /// First place of a, and of b.
    starts: (usize, usize),
}

impl<'a> Pair<'a> {
    fn new(blocks: &'a Blocks, hoods: &'a [Neighbourhood], a: usize, b: usize, offsets: &[usize]) -> Option<Self> {
        let forward = by_member(blocks[a][b].as_ref()?, hoods[b].groups());
        let back = by_member(blocks[b][a].as_ref()?, hoods[a].groups());
        let back = graph_of(back.cols(), hoods[b].order().iter().map(|&cell| edges(&back, cell as usize)));
        Some(Pair { forward, back, to: &hoods[b], starts: (offsets[a], offsets[b]) })
    }

    /// The cells of b, block by block, that give anything to the neighbourhoods of a section; no others can be mutual partners.
    fn candidates(&self, section: &Section) -> Vec<(usize, u64)> {
        let mut takes = vec![false; section.from.members()];
        section.blocks.clone().for_each(|block| section.row(block).0.iter().for_each(|&m| takes[m as usize] = true));
        let gives = |place: usize| row(&self.back, place).0.iter().any(|&member| takes[member as usize]);
        let of_block = |block: usize| {
            let places = block * WORD..block * WORD + self.to.block(block).len();
            (block, places.enumerate().fold(0, |which, (bit, place)| which | u64::from(gives(place)) << bit))
        };
        (0..self.to.blocks()).map(of_block).filter(|&(_, which)| which != 0).collect()
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
        members.clear();
        links.clear();
        ends.clear();
        blocks.clear();
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
    /// Sums of the weights whose mask has the bit. Adds 0 for the others: a branch for each would take longer.
    #[inline(always)]
    fn add_up(&mut self, links: impl Iterator<Item = (u64, f64)>, threshold: f64) {
        let (mut sums, mut any) = ([0.0; WORD], 0);
        for (mask, weight) in links {
            if mask != 0 {
                for (bit, sum) in sums.iter_mut().enumerate() {
                    *sum += if mask >> bit & 1 == 1 { weight } else { 0.0 };
                }
            }
            any |= mask;
        }
        self.kept = 0;
        if any != 0 {
            self.sums = sums;
            for (bit, &sum) in sums.iter().enumerate() {
                self.kept |= u64::from(sum >= threshold && sum > 0.0) << bit;
            }
        }
    }
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
