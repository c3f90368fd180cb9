//! Memory and time of a run before it is made. In: the sizes of the atlases and of the homology, and the options. Out: per
//! phase, named and ordered as the run will record it, the peak of the memory that the run adds to the process, the time that
//! nothing could undercut, and the time to expect.
//!
//! Memory is counted term by term, as the steps allocate it: what is held while a phase runs, plus what it works with. Work is
//! counted in operations of dense products and in bytes that are moved; divided by the [`Rates`] of the machine it gives the
//! floor, and that times a factor the time to expect, which is rough (see `docs/performance.md`). The formulas
//! are in docs/performance.md, against what was measured.

mod available;
mod ledger;
mod phases;
mod rates;

pub use available::{Memory, memory};
pub use ledger::{PlannedPhase, PlannedTime};
pub use rates::Rates;

use crate::linalg::pca::PcaSolver;
use crate::mapping::MappingOptions;
use crate::sam::SamOptions;
use ledger::Ledger;

/// One species before a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AtlasSize {
    /// Cells.
    pub cells: usize,
    /// Genes.
    pub genes: usize,
    /// Counts other than 0.
    pub stored: usize,
    /// Genes that the homology names.
    pub homologous: usize,
    /// Sizes of the groups that set the neighbourhood budgets; empty where clusters are yet to be found.
    pub groups: Vec<usize>,
    /// SAM has been run on it.
    pub fitted: bool,
}

/// What a plan depends on besides the atlases.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Options of SAM.
    pub sam: SamOptions,
    /// Options of the mapping.
    pub mapping: MappingOptions,
    /// Components that the mapping projects through, per species.
    pub components: usize,
    /// How they are found.
    pub solver: PcaSolver,
    /// Edges of the homology graph, each pair of genes once.
    pub edges: usize,
    /// Passes over the edges of the layout; 0 for none.
    pub epochs: usize,
    /// Threads.
    pub threads: usize,
    /// Budget of working sets in bytes.
    pub memory: usize,
    /// Whether expression is kept in files.
    pub on_disk: bool,
}

/// The phases of a run in their order; without `rates` their memory alone.
pub fn plan(atlases: &[AtlasSize], settings: &Settings, rates: Option<Rates>) -> Vec<PlannedPhase> {
    let mut ledger = Ledger::new(rates);
    for (species, atlas) in atlases.iter().enumerate() {
        phases::species(&mut ledger, species, atlas, settings);
    }
    phases::mapping(&mut ledger, atlases, settings);
    if settings.epochs > 0 {
        phases::layout(&mut ledger, atlases, settings);
    }
    ledger.finish()
}

#[cfg(test)]
mod tests;
