//! The neighbourhoods of the cells of one species, as the search for mutual neighbours reads them: held whole where they fit
//! the memory budget, else made for a section of cells at a time, whenever it is their turn.
//!
//! Cells are taken in blocks of 64 that are near each other, one beside the next where that can be had. A neighbourhood is a set
//! of members: cells, or whole groups where these are the neighbourhoods. A word says for which cells of a block a member is in
//! the neighbourhood.

use super::expand::{Expander, Pattern, Walk, group_count};
use super::words::{BYTES, WORD, Words};
use crate::simd::bits;
use crate::sparse::{Graph, graph_from_rows, in_blocks, row};
use crate::{Context, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The neighbourhoods E of one species: cells × members, binary.
pub struct Neighbourhood {
    /// All cells. Those that come one after the other share most of their partners, as far as that can be had.
    order: Vec<u32>,
    /// The group of each cell where groups are the members; else each cell is its own.
    groups: Option<Vec<u32>>,
    members: usize,
    sets: Sets,
}

/// The words of E.
pub(super) enum Sets {
    /// Blocks × members, and members × blocks.
    Held { by_block: Words, by_member: Words },
    /// Made when they are needed.
    Made(Expander),
}

impl Neighbourhood {
    /// The group of each cell as its neighbourhood (the cell included): E = C, which says what the group of each cell is.
    pub fn of_groups(group: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..group.len() as u32).collect();
        order.sort_by_key(|&cell| group[cell as usize]);
        let members = group_count(group);
        let of_block = |masks: &mut Masks, block: &[u32]| {
            block.iter().enumerate().for_each(|(bit, &cell)| masks.add(bit, &[group[cell as usize]]));
            masks.take()
        };
        let rows = order.par_chunks(WORD).map_init(|| Masks::new(members), of_block).collect();
        let sets = Sets::held(Words::from_rows(rows), members);
        Neighbourhood { order, groups: Some(group.to_vec()), members, sets }
    }

    /// Neighbourhoods that are held where they take at most `bytes`, else made when they are needed.
    ///
    /// # Errors
    /// Cancelled.
    pub fn of_expander(group: &[u32], expander: Expander, bytes: usize, ctx: &Context) -> Result<Self> {
        let (order, members) = (in_order(expander.graph(), group), expander.cells());
        // It grows to more than there is room for, or does not, whatever the threads do.
        let made = AtomicUsize::new(0);
        let fit = || 2 * BYTES * made.load(Ordering::Relaxed) <= bytes;
        let of_block = |maker: &mut Maker, block: &[u32]| {
            ctx.check()?;
            let words = fit().then(|| maker.make(&expander, block, u64::MAX));
            made.fetch_add(words.as_ref().map_or(0, |(members, _)| members.len()), Ordering::Relaxed);
            Ok(words)
        };
        let rows: Vec<Option<(Vec<u32>, Vec<u64>)>> =
            order.par_chunks(WORD).map_init(|| Maker::new(members), of_block).collect::<Result<_>>()?;
        if fit() {
            let by_block = Words::from_rows(rows.into_iter().flatten().collect());
            let need = 2 * BYTES * by_block.count();
            ctx.choose("neighborhoods", "held", format!("they take {need} bytes, at most {bytes} may be"));
            return Ok(Neighbourhood { order, groups: None, members, sets: Sets::held(by_block, members) });
        }
        ctx.choose("neighborhoods", "in sections", format!("all of them take more than {bytes} bytes"));
        Ok(Neighbourhood { order, groups: None, members, sets: Sets::Made(expander) })
    }

    /// All cells, in the order in which they are worked on.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The cells of a block.
    pub(super) fn block(&self, block: usize) -> &[u32] {
        &self.order[block * WORD..self.order.len().min((block + 1) * WORD)]
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.order.len().div_ceil(WORD)
    }

    /// Number of members.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    pub(super) fn sets(&self) -> &Sets {
        &self.sets
    }

    /// The group of each cell where groups are the members.
    pub(super) fn groups(&self) -> Option<&[u32]> {
        self.groups.as_deref()
    }

    pub(super) fn are_held(&self) -> bool {
        matches!(self.sets, Sets::Held { .. })
    }

    /// Most cells that can be in the neighbourhoods of the cells `which` of a block (a bit each) and must be found first.
    pub(super) fn to_make(&self, block: usize, which: u64) -> usize {
        match &self.sets {
            Sets::Held { .. } => 0,
            Sets::Made(expander) => {
                chosen(self.block(block), which).map(|(_, cell)| expander.most(cell as usize)).sum()
            }
        }
    }

    /// Some blocks with their words.
    ///
    /// # Errors
    /// Cancelled.
    pub(super) fn section(&self, blocks: Range<usize>, ctx: &Context) -> Result<Section<'_>> {
        let words = match &self.sets {
            Sets::Held { .. } => None,
            Sets::Made(expander) => Some(self.make(expander, blocks.clone().map(|block| (block, u64::MAX)), ctx)?),
        };
        Ok(Section { from: self, blocks, words })
    }

    /// The words of some blocks, a row each, as far as the neighbourhoods of the cells `which` (a bit each) go.
    ///
    /// # Errors
    /// Cancelled.
    pub(super) fn make(
        &self,
        expander: &Expander,
        blocks: impl Iterator<Item = (usize, u64)>,
        ctx: &Context,
    ) -> Result<Words> {
        let mut maker = Maker::new(self.members);
        let of_block = |(block, which)| {
            ctx.check()?;
            Ok(maker.make(expander, self.block(block), which))
        };
        Ok(Words::from_rows(blocks.map(of_block).collect::<Result<_>>()?))
    }
}

impl Sets {
    fn held(by_block: Words, members: usize) -> Self {
        Sets::Held { by_member: by_block.transpose(members, |block| block as u32), by_block }
    }
}

/// Some blocks of a species, with their words at hand.
pub(super) struct Section<'a> {
    pub(super) from: &'a Neighbourhood,
    pub(super) blocks: Range<usize>,
    /// A row for each of the blocks, where they had to be made.
    words: Option<Words>,
}

impl Section<'_> {
    /// Which members are in the neighbourhoods of a block of the section, and of which of its cells.
    pub(super) fn row(&self, block: usize) -> (&[u32], &[u64]) {
        match (&self.words, &self.from.sets) {
            (Some(words), _) => words.row(block - self.blocks.start),
            (None, Sets::Held { by_block, .. }) => by_block.row(block),
            (None, Sets::Made(_)) => (&[], &[]),
        }
    }
}

/// Makes the words of blocks from an expansion.
struct Maker {
    walk: Walk,
    masks: Masks,
}

impl Maker {
    fn new(cells: usize) -> Self {
        Maker { walk: Walk::new(cells), masks: Masks::new(cells) }
    }

    /// The words of a block, as far as the neighbourhoods of the cells `which` go.
    fn make(&mut self, expander: &Expander, block: &[u32], which: u64) -> (Vec<u32>, Vec<u64>) {
        for (bit, cell) in chosen(block, which) {
            self.masks.add(bit, expander.grow(&mut self.walk, cell as usize));
        }
        self.masks.take()
    }
}

/// The cells `which` of a block, and their bits.
fn chosen(block: &[u32], which: u64) -> impl Iterator<Item = (usize, u32)> {
    bits(which).take_while(|&bit| bit < block.len()).map(|bit| (bit, block[bit]))
}

/// For which cells of a block each member is in the neighbourhood.
struct Masks {
    masks: Vec<u64>,
    /// Members whose mask is not 0.
    members: Vec<u32>,
}

impl Masks {
    fn new(members: usize) -> Self {
        Masks { masks: vec![0; members], members: Vec::new() }
    }

    /// These members are in the neighbourhood of the cell `bit` of the block.
    fn add(&mut self, bit: usize, members: &[u32]) {
        for &member in members {
            let mask = &mut self.masks[member as usize];
            if *mask == 0 {
                self.members.push(member);
            }
            *mask |= 1 << bit;
        }
    }

    /// Members, ascending, and their masks; leaves nothing behind.
    fn take(&mut self) -> (Vec<u32>, Vec<u64>) {
        let mut members = std::mem::take(&mut self.members);
        members.sort_unstable();
        let masks = members.iter().map(|&member| std::mem::take(&mut self.masks[member as usize])).collect();
        (members, masks)
    }
}

/// A graph whose columns are cells, with the members of their neighbourhoods as columns: what goes to the cells of a group is
/// added up where the neighbourhoods are groups. `groups`: the group of each cell.
pub(crate) fn by_member<'g>(graph: &'g Graph, groups: Option<&[u32]>) -> Cow<'g, Graph> {
    let Some(groups) = groups else { return Cow::Borrowed(graph) };
    let of_row = |i: usize| {
        let (cells, weights) = row(graph, i);
        let mut sums: Vec<(u32, f64)> =
            cells.iter().zip(weights).map(|(&cell, &weight)| (groups[cell as usize], weight)).collect();
        sums.sort_by_key(|&(group, _)| group);
        sums.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            sum.1 += if same { next.1 } else { 0.0 };
            same
        });
        sums
    };
    Cow::Owned(graph_from_rows(group_count(groups), (0..graph.rows()).map(of_row).collect()))
}

/// All cells, group by group, in blocks of cells that are near each other.
fn in_order(graph: &Pattern, group: &[u32]) -> Vec<u32> {
    let cells = 0..group.len() as u32;
    let mut starts: Vec<u32> = cells.clone().collect();
    starts.sort_by_key(|&cell| group[cell as usize]);
    in_blocks(WORD, cells, starts.into_iter(), |cell| graph.row(cell as usize), |cell| group[cell as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::Neighbours;
    use crate::mapping::Expansion;

    /// A ring of cells, each with the two before and after it as neighbours, in two groups.
    fn ring(cells: u32) -> (Neighbours, Vec<u32>) {
        let near = |i: u32| [0, 1, 2, cells - 1, cells - 2].map(|step| (i + step) % cells);
        let indices: Vec<u32> = (0..cells).flat_map(near).collect();
        let groups = (0..cells).map(|i| u32::from(i % 3 == 0)).collect();
        (Neighbours { k: 5, distances: vec![0.0; indices.len()], indices }, groups)
    }

    #[test]
    fn words_say_who_is_in_whose_neighbourhood_whether_held_or_made() {
        let (ctx, (found, groups)) = (Context::default(), ring(301));
        let expander = || Expander::new(&found, vec![7; 301], 2, Expansion::Bfs);
        let sets = expander().all(&ctx).unwrap();
        let held = Neighbourhood::of_expander(&groups, expander(), 1 << 20, &ctx).unwrap();
        let made = Neighbourhood::of_expander(&groups, expander(), 10, &ctx).unwrap();
        assert!(held.are_held() && !made.are_held());
        let Sets::Held { by_member, .. } = held.sets() else { unreachable!() };
        for hoods in [&held, &made] {
            let section = hoods.section(1..4, &ctx).unwrap();
            for block in 1..4 {
                let (members, masks) = section.row(block);
                for (bit, &cell) in hoods.block(block).iter().enumerate() {
                    let of_cell = members.iter().zip(masks).filter(|(_, mask)| *mask >> bit & 1 == 1);
                    assert!(of_cell.map(|(&member, _)| member).eq(sets.row(cell as usize).iter().copied()));
                }
                for (&member, mask) in members.iter().zip(masks) {
                    let (blocks, masks) = by_member.row(member as usize);
                    let at = blocks.iter().position(|&b| b as usize == block).unwrap();
                    assert_eq!(masks[at], *mask);
                }
            }
        }
    }

    #[test]
    fn what_goes_to_the_cells_of_a_group_is_added_up() {
        let graph = graph_from_rows(4, vec![vec![(0, 0.5), (1, 0.25), (3, 0.25)], vec![(2, 1.0)]]);
        assert_eq!(*by_member(&graph, None), graph);
        let groups: &[u32] = &[1, 0, 0, 1];
        assert_eq!(
            *by_member(&graph, Some(groups)),
            graph_from_rows(2, vec![vec![(0, 0.25), (1, 0.75)], vec![(0, 1.0)]])
        );
    }
}
