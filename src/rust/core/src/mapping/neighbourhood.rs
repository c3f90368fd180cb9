//! The neighbourhoods of the cells of one species, as the search for mutual neighbours reads them: held whole where they fit
//! the memory budget, else made for a section of cells at a time, whenever it is their turn.

use super::expand::{Expander, Pattern};
use crate::{Context, Result};

/// The neighbourhoods E of one species: cells × cells, binary.
pub struct Neighbourhood {
    /// Group of each cell.
    pub(super) group: Vec<u32>,
    pub(super) sets: Sets,
    /// All cells, in the order in which they are worked on.
    order: Vec<usize>,
}

/// The neighbourhoods of the cells of a species.
pub(crate) enum Sets {
    /// Each cell has its own: E (cells in the neighbourhood of a cell) and Eᵀ (cells in whose neighbourhood a cell is).
    Cells { forward: Pattern, backward: Pattern },
    /// Each cell has its own, which is made when it is needed.
    Made(Expander),
    /// All cells of a group have the group (themselves included): E = C Cᵀ, kept factored as the cells of each group.
    Groups { members: Vec<Vec<u32>> },
}

impl Neighbourhood {
    /// Neighbourhoods from an expansion. The group of each cell only decides which cells are worked on together.
    pub fn of_cells(group: &[u32], forward: Pattern) -> Self {
        let order = depth_first(&forward, group);
        Self::new(group, Sets::Cells { backward: forward.transpose(), forward }, order)
    }

    /// Neighbourhoods that are held where all of them take at most `bytes`, else made when they are needed.
    ///
    /// # Errors
    /// Cancelled.
    pub fn of_expander(group: &[u32], expander: Expander, bytes: usize, ctx: &Context) -> Result<Self> {
        let most: usize = (0..expander.cells()).map(|cell| expander.most(cell)).sum();
        let need = most.saturating_mul(2 * size_of::<u32>());
        if need <= bytes {
            ctx.choose("neighborhoods", "held", format!("{need} bytes at most, of {bytes}"));
            let (forward, order) = (expander.all(ctx)?, depth_first(expander.graph(), group));
            return Ok(Self::new(group, Sets::Cells { backward: forward.transpose(), forward }, order));
        }
        ctx.choose("neighborhoods", "in sections", format!("all of them may take {need} bytes, more than {bytes}"));
        let order = depth_first(expander.graph(), group);
        Ok(Self::new(group, Sets::Made(expander), order))
    }

    /// The group of each cell as its neighbourhood.
    pub fn of_groups(group: &[u32]) -> Self {
        let mut members = vec![Vec::new(); group.iter().max().map_or(0, |&last| last as usize + 1)];
        group.iter().enumerate().for_each(|(cell, &group)| members[group as usize].push(cell as u32));
        let order = members.iter().flatten().map(|&cell| cell as usize).collect();
        Self::new(group, Sets::Groups { members }, order)
    }

    fn new(group: &[u32], sets: Sets, order: Vec<usize>) -> Self {
        Neighbourhood { group: group.to_vec(), sets, order }
    }

    /// Group of each cell.
    pub(crate) fn group(&self) -> &[u32] {
        &self.group
    }

    pub(crate) fn sets(&self) -> &Sets {
        &self.sets
    }

    pub(super) fn are_groups(&self) -> bool {
        matches!(self.sets, Sets::Groups { .. })
    }

    pub(super) fn are_held(&self) -> bool {
        !matches!(self.sets, Sets::Made(_))
    }

    /// All cells. Those that come one after the other share most of their partners, as far as that can be had.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Entries that must be made before a cell's partners can be found.
    pub(super) fn to_make(&self, cell: usize) -> usize {
        match &self.sets {
            Sets::Made(expander) => expander.most(cell),
            _ => 0,
        }
    }
}

/// All cells, group by group, and depth first within a group: most are neighbours of the one before.
fn depth_first(graph: &Pattern, group: &[u32]) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..group.len()).collect();
    starts.sort_by_key(|&cell| group[cell]);
    let (mut seen, mut order) = (vec![false; group.len()], Vec::with_capacity(group.len()));
    // Cells on the way from the start, and how many of their neighbours were looked at.
    let mut path: Vec<(usize, usize)> = Vec::new();
    for start in starts {
        if !std::mem::replace(&mut seen[start], true) {
            order.push(start);
            path.push((start, 0));
        }
        while let Some((cell, at)) = path.last_mut() {
            let Some(&next) = graph.row(*cell).get(*at) else {
                path.pop();
                continue;
            };
            *at += 1;
            let next = next as usize;
            if group[next] == group[start] && !std::mem::replace(&mut seen[next], true) {
                order.push(next);
                path.push((next, 0));
            }
        }
    }
    order
}

/// Some cells of a species, with their neighbourhoods at hand.
pub(super) struct Section<'a> {
    pub(super) cells: &'a [usize],
    pub(super) from: &'a Neighbourhood,
    made: Option<Pattern>,
}

impl<'a> Section<'a> {
    pub(super) fn new(cells: &'a [usize], from: &'a Neighbourhood, ctx: &Context) -> Result<Self> {
        let made = match &from.sets {
            Sets::Made(expander) => Some(expander.some(cells.iter().copied(), ctx)?),
            _ => None,
        };
        Ok(Section { cells, from, made })
    }

    /// Rows of a matrix over this species' cells, or its groups where those are the neighbourhoods, that add up to what the
    /// neighbourhood of the cell at a place receives.
    pub(super) fn row(&self, at: usize) -> &[u32] {
        let cell = self.cells[at];
        match (&self.made, &self.from.sets) {
            (Some(made), _) => made.row(at),
            (None, Sets::Cells { forward, .. }) => forward.row(cell),
            (None, _) => std::slice::from_ref(&self.from.group[cell]),
        }
    }
}
