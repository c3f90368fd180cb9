//! Feeds spoiled files to the readers: `samap-fuzz SECONDS [SEED [PATTERN]]` (targets whose name has the pattern).
//! Every case is a file of the corpus, changed by a seeded generator; a reader may take it or refuse it, but must not
//! panic, crash, hang or take more memory than the limit.
//!
//! Cases run in batches in a process of their own (`samap-fuzz --batch TARGET SEED COUNT FOLDER`), which writes each file
//! before it reads it: after a crash the file is there, and stays in `build/fuzz`. Ends with `fuzz: N passed, N failed`,
//! counted by targets.

mod change;
mod targets;

use change::Generator;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Cases of a batch.
const BATCH: u64 = 50;
/// Name of the file with the number of the case that is read.
const CASE: &str = "case";
/// Longest time of a batch in seconds.
const PATIENCE: u64 = 60;
/// Address space of a batch in KiB.
const MEMORY: u64 = 4 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    if arguments.first().is_some_and(|first| first == "--batch") {
        let target = TARGETS.iter().find(|target| arguments.get(1).is_some_and(|name| name == target.name));
        let (Some(target), Some(folder)) = (target, arguments.get(4)) else { return ExitCode::from(2) };
        return batch(target, number(2, 0), number(3, BATCH), Path::new(folder));
    }
    let (seconds, seed) = (number(0, 60), number(1, 0));
    let pattern = arguments.get(2).map_or("", String::as_str);
    let targets: Vec<&Target> = TARGETS.iter().filter(|target| target.name.contains(pattern)).collect();
    let share = Duration::from_secs(seconds) / targets.len().max(1) as u32;
    let failed = targets.iter().filter(|target| !survives(target, share, seed)).count();
    println!("fuzz: {} passed, {failed} failed", targets.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs batches of a target for a while; whether all of them ended well. After a case that did not, the next one
/// follows.
fn survives(target: &Target, share: Duration, seed: u64) -> bool {
    let (start, mut cases, mut bad) = (Instant::now(), 0, 0);
    while start.elapsed() < share {
        let first = seed + cases;
        match run_batch(target, first) {
            Ok(()) => cases += BATCH,
            Err((case, reason)) => {
                eprintln!("{}, case {case}: {reason}", target.name);
                cases = case.max(first) + 1 - seed;
                bad += 1;
            }
        }
    }
    println!("{}: {cases} cases in {:.0} s, {bad} failed", target.name, start.elapsed().as_secs_f64());
    bad == 0
}

/// Runs a batch in a process of its own. Else: the case in which the process ended, and how.
fn run_batch(target: &Target, first: u64) -> Result<(), (u64, String)> {
    let folder = PathBuf::from("build/fuzz").join(format!("{}-{first}", target.name));
    let other = |error: std::io::Error| (first, error.to_string());
    std::fs::create_dir_all(&folder).map_err(other)?;
    let program = std::env::current_exe().map_err(other)?;
    // The shell sets the limits, so that no crate is needed for them.
    let status = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY}; exec timeout {PATIENCE} \"$@\""), "sh"])
        .arg(program)
        .args(["--batch", target.name, &first.to_string(), &BATCH.to_string()])
        .arg(&folder)
        .status()
        .map_err(other)?;
    if status.success() {
        return std::fs::remove_dir_all(&folder).map_err(other);
    }
    let case = std::fs::read_to_string(folder.join(CASE)).ok().and_then(|case| case.parse().ok()).unwrap_or(first);
    Err((case, format!("{status}; the file is in {}", folder.display())))
}

/// Cases `seed`, `seed + 1`, … of a target, in this process.
fn batch(target: &Target, seed: u64, count: u64, folder: &Path) -> ExitCode {
    for case in seed..seed + count {
        let path = folder.join(target.file);
        if std::fs::write(folder.join(CASE), case.to_string()).is_err() {
            return ExitCode::from(2);
        }
        let mut generator = Generator::new(case);
        if let Err(error) = (target.spoil)(&path, &mut generator) {
            eprintln!("case {case}: no file could be made: {error}");
            return ExitCode::from(2);
        }
        if std::panic::catch_unwind(|| (target.read)(&path)).is_err() {
            eprintln!("case {case}: the reader panicked");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
