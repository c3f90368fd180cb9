//! Runs a program. In: its path and arguments, handed over as they are: no shell, so nothing needs quoting. What it prints goes to a
//! log file, whose end is shown when the program fails. When the caller cancels, the program and what it started are ended.

use crate::{Context, Error, Result};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time between two looks at the program and at the cancel flag.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a cancelled program may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Characters of the log that an error shows.
const SHOWN: usize = 1500;

/// Runs `program` in the folder `dir` and waits for it; standard output and error go to the file `log`.
///
/// # Errors
/// [`Error::Program`] when it cannot be started, fails, or is killed, with the end of what it printed; [`Error::Io`] when the log
/// cannot be written; [`Error::Cancelled`], after the program has ended.
pub fn run_program(program: &str, arguments: &[String], dir: &Path, log: &Path, ctx: &Context) -> Result<()> {
    let io = |source| Error::Io { path: log.to_owned(), source };
    let output = File::create(log).map_err(io)?;
    let errors = output.try_clone().map_err(io)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).stdout(output).stderr(errors);
    in_its_own_group(&mut command);
    let mut child = command.spawn().map_err(|error| failure(program, format!("it cannot be started: {error}"), ""))?;
    loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            return finished(program, status, log);
        }
        if let Err(cancelled) = ctx.check() {
            end(&mut child);
            return Err(cancelled);
        }
        std::thread::sleep(PAUSE);
    }
}

fn finished(program: &str, status: ExitStatus, log: &Path) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let skip = text.chars().count().saturating_sub(SHOWN);
    let last: String = text.chars().skip(skip).collect();
    Err(failure(program, status.to_string(), last.trim()))
}

fn failure(program: &str, reason: String, output: &str) -> Error {
    Error::Program { program: program.to_owned(), reason, output: output.to_owned() }
}

/// So that a signal reaches what the program starts (MMseqs2 runs scripts), and Ctrl-C in a terminal reaches the caller only.
#[cfg(unix)]
fn in_its_own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn in_its_own_group(_: &mut Command) {}

/// Ends a program and what it started, and waits for it.
fn end(child: &mut Child) {
    signal(child, "TERM");
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    signal(child, "KILL");
    // Nothing is left to be done for a program that cannot be killed or waited for.
    drop(child.kill());
    drop(child.wait());
}

/// Sends a signal to the group of a program; the shell has `kill` everywhere.
#[cfg(unix)]
fn signal(child: &Child, signal: &str) {
    let kill = format!("kill -s {signal} -- -{}", child.id());
    drop(
        Command::new("sh")
            .args(["-c", &kill])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status(),
    );
}

#[cfg(not(unix))]
fn signal(_: &Child, _: &str) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn run(script: &str, ctx: &Context) -> Result<String> {
        let dir = std::env::temp_dir();
        let log = dir.join(format!("samap process {} {:?}", std::process::id(), std::thread::current().id()));
        let arguments = ["-c", script].map(str::to_owned);
        let result = run_program("sh", &arguments, &dir, &log, ctx);
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        result.map(|()| text)
    }

    #[test]
    fn success_and_failure_with_what_was_printed() {
        let ctx = Context::default();
        assert_eq!(run("echo out; echo err >&2", &ctx).unwrap(), "out\nerr\n");
        match run("echo 'no such \"database\"' >&2; exit 3", &ctx) {
            Err(Error::Program { program, reason, output }) => {
                assert_eq!((program.as_str(), output.as_str()), ("sh", "no such \"database\""));
                assert!(reason.contains('3'), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        let dir = std::env::temp_dir();
        let log = dir.join(format!("samap absent program {}", std::process::id()));
        let absent = run_program("/no/such/program", &[], &dir, &log, &ctx);
        std::fs::remove_file(&log).unwrap();
        assert!(matches!(absent, Err(Error::Program { reason, .. }) if reason.contains("cannot be started")));
    }

    #[test]
    fn cancelling_ends_the_program_and_its_children() {
        let ctx = std::sync::Arc::new(Context::default());
        let mark = std::env::temp_dir().join(format!("samap-child-{}", std::process::id()));
        let script = format!("sleep 30 & echo $! > '{}'; wait", mark.display());
        let shared = std::sync::Arc::clone(&ctx);
        let worker = std::thread::spawn(move || run(&script, &shared));
        let child = loop {
            match std::fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse::<u32>().ok()) {
                Some(child) => break child,
                None => std::thread::sleep(PAUSE),
            }
        };
        ctx.cancel();
        assert!(matches!(worker.join().unwrap(), Err(Error::Cancelled)));
        std::fs::remove_file(&mark).unwrap();
        // The grandchild is gone, or a zombie that its new parent has not yet waited for.
        let alive = || {
            let status = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            !status.is_empty() && !status.contains(") Z ")
        };
        let until = Instant::now() + GRACE;
        while alive() && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        assert!(!alive());
    }
}
