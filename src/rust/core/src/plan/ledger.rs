//! What a plan adds up: memory held from phase to phase, and work.

use super::Rates;

/// A phase of a run that has not been made.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedPhase {
    /// The species it belongs to, by number; `None`: all.
    pub species: Option<usize>,
    /// Its name, as the run will record it.
    pub name: String,
    /// Peak of the memory that the run has added to the process, in bytes.
    pub bytes: f64,
    /// Time, where the rates of the machine are known.
    pub time: Option<PlannedTime>,
}

/// Time of a phase in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedTime {
    /// What no program of this kind can undercut: work divided by the rates of the machine.
    pub floor: f64,
    /// What to expect.
    pub expected: f64,
}

/// What a phase computes and moves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Work {
    /// Operations in `f32`.
    pub single: f64,
    /// Operations in `f64`.
    pub double: f64,
    /// Bytes read and written.
    pub moved: f64,
}

impl Work {
    /// Both.
    pub(super) fn plus(self, other: Self) -> Self {
        let Work { single, double, moved } = other;
        Work { single: self.single + single, double: self.double + double, moved: self.moved + moved }
    }

    /// The same, `times` times.
    pub(super) fn times(self, times: f64) -> Self {
        Work { single: times * self.single, double: times * self.double, moved: times * self.moved }
    }
}

/// The phases planned so far, and what is held after them.
pub(super) struct Ledger {
    rates: Option<Rates>,
    held: f64,
    phases: Vec<PlannedPhase>,
}

impl Ledger {
    pub(super) fn new(rates: Option<Rates>) -> Self {
        Ledger { rates, held: 0.0, phases: Vec::new() }
    }

    /// A phase that works with `working` bytes beyond what is held. `parts`: its work, and how many times the floor of each
    /// part is taken.
    pub(super) fn phase(&mut self, species: Option<usize>, name: &str, working: f64, parts: &[(Work, f64)]) {
        let time = self.rates.map(|rates| {
            let floor = |work: &Work| work.single / rates.single + work.double / rates.double + work.moved / rates.copy;
            let expected = parts.iter().map(|(work, factor)| factor * floor(work)).sum();
            PlannedTime { floor: parts.iter().map(|(work, _)| floor(work)).sum(), expected }
        });
        self.phases.push(PlannedPhase { species, name: name.to_owned(), bytes: self.held + working, time });
    }

    /// Bytes that stay after the last phase (or, negative, are given back).
    pub(super) fn hold(&mut self, bytes: f64) {
        self.held += bytes;
        if let Some(last) = self.phases.last_mut() {
            last.bytes = last.bytes.max(self.held);
        }
    }

    pub(super) fn finish(self) -> Vec<PlannedPhase> {
        self.phases
    }
}
