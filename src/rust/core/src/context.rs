//! What a long computation shares with its caller: a cancel flag, progress, the record of phases and of automatic choices,
//! and the budget for working sets.

use crate::sparse::mapped;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A finished phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseRecord {
    /// Name of the phase.
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Peak resident memory of the process at the end of the phase, in bytes (where the system tells).
    pub peak_bytes: Option<u64>,
}

/// A choice the engine made by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen for, e.g. `"pca_solver"`.
    pub what: String,
    /// What was chosen.
    pub chosen: String,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Default)]
struct Log {
    phase: String,
    phases: Vec<PhaseRecord>,
    choices: Vec<Choice>,
    warnings: Vec<String>,
}

/// Shared by the worker that computes and the caller that watches. All methods take `&self`.
#[derive(Debug)]
pub struct Context {
    cancel: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    log: Mutex<Log>,
    memory: usize,
    folder: Option<PathBuf>,
}

/// Share of the budget that pages of mapped files may take while a phase runs.
pub const MAPPED_SHARE: usize = 16;

/// Budget of working sets unless told otherwise: 2 GiB.
pub const DEFAULT_MEMORY: usize = 2 << 30;

impl Default for Context {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY)
    }
}

impl Context {
    /// `memory`: budget in bytes for every working set that grows with the number of cells.
    pub fn new(memory: usize) -> Self {
        Context {
            cancel: AtomicBool::new(false),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            log: Mutex::new(Log::default()),
            memory,
            folder: None,
        }
    }

    /// The same, with a folder for the files that hold counts and expression; `None`: these stay in memory.
    pub fn with_folder(self, folder: Option<PathBuf>) -> Self {
        Context { folder, ..self }
    }

    /// Where counts and expression are kept in files, if they are.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A poisoned log is still a log: its entries are complete whenever the lock is free.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Budget of working sets in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Asks the computation to stop at its next check.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// `Err(Cancelled)` once somebody asked to stop. Long loops call this once per block.
    pub fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Runs `work` as the phase `name` of `total` steps, and records its time and peak memory.
    pub fn phase<T>(&self, name: &str, total: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        self.log().phase = name.to_owned();
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total as u64, Ordering::Relaxed);
        let start = Instant::now();
        let out = if self.folder.is_some() || mapped::any() {
            mapped::while_bounded(self.memory / MAPPED_SHARE, work)?
        } else {
            work()?
        };
        give_back();
        let record =
            PhaseRecord { name: name.to_owned(), seconds: start.elapsed().as_secs_f64(), peak_bytes: peak_memory() };
        self.log().phases.push(record);
        Ok(out)
    }

    /// `n` more steps of the phase are done; stops here when cancelled.
    pub fn advance(&self, n: usize) -> Result<()> {
        self.done.fetch_add(n as u64, Ordering::Relaxed);
        self.check()
    }

    /// Notes an automatic choice.
    pub fn choose(&self, what: &str, chosen: impl Into<String>, reason: impl Into<String>) {
        let choice = Choice { what: what.to_owned(), chosen: chosen.into(), reason: reason.into() };
        self.log().choices.push(choice);
    }

    /// Notes something the user should be told, without stopping.
    pub fn warn(&self, message: impl Into<String>) {
        self.log().warnings.push(message.into());
    }

    /// Name of the phase under way, steps done, steps in all.
    pub fn progress(&self) -> (String, u64, u64) {
        (self.log().phase.clone(), self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// All phases finished so far.
    pub fn phases(&self) -> Vec<PhaseRecord> {
        self.log().phases.clone()
    }

    /// All automatic choices made so far.
    pub fn choices(&self) -> Vec<Choice> {
        self.log().choices.clone()
    }

    /// All warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.log().warnings.clone()
    }
}

/// Gives memory that was freed back to the system. GNU's allocator keeps it in the arenas of its threads, where the next
/// phase, which wants other sizes, may not find it.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes any number, locks what it looks at, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Peak resident memory of this process in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Memory of this machine in bytes; `None` where the system does not tell.
pub fn total_memory() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal:")
}

/// The number behind `label` in a file of the form `label: number kB`, in bytes.
pub(crate) fn kibibytes(file: &str, label: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_choices_are_recorded_in_order() {
        let ctx = Context::default();
        let five = ctx.phase("first", 2, || ctx.advance(2).map(|()| 5)).unwrap();
        ctx.choose("solver", "exact", "small");
        assert_eq!(five, 5);
        assert_eq!(ctx.progress(), ("first".to_owned(), 2, 2));
        assert_eq!(ctx.phases()[0].name, "first");
        assert_eq!(ctx.choices()[0].chosen, "exact");
    }

    #[test]
    fn cancelling_stops_the_next_step() {
        let ctx = Context::default();
        ctx.cancel();
        assert!(matches!(ctx.check(), Err(Error::Cancelled)));
        assert!(matches!(ctx.phase("late", 1, || Ok(())), Err(Error::Cancelled)));
    }
}
