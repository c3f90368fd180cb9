//! Long work on a thread of its own: R starts a job, polls it, and fetches or cancels it. The worker never touches R; what
//! it returns is packed into R objects on R's own thread.

use crate::error::{describe, interface, internal, outcome};
use extendr_api::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use samap_core::backend::{Device, Request};
use samap_core::{Context, Error as CoreError, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Makes the R value of a finished job; runs on R's thread.
pub type Pack = Box<dyn FnOnce() -> Result<Robj> + Send>;

/// How long a caller waits for a job it cancelled. What takes longer is a factorisation under way, which nothing can cut short.
const PATIENCE: Duration = Duration::from_millis(500);

/// A computation under way.
pub struct Job {
    ctx: Arc<Context>,
    worker: Option<JoinHandle<Result<Pack>>>,
    // Nothing is ever sent: the other end is gone as soon as the work has ended.
    end: Receiver<()>,
    // R objects whose memory the worker reads; released after the worker has ended.
    inputs: Vec<Robj>,
}

impl Job {
    /// Starts `work` on the device that `backend` asks for, found on the job's thread.
    pub fn start_on<F>(backend: Request, threads: i32, memory: f64, work: F) -> Result<Robj>
    where
        F: FnOnce(&Device, &Context) -> Result<Pack> + Send + 'static,
    {
        Job::start(threads, memory, vec![], move |ctx| {
            let device = Device::resolve(backend, ctx)?;
            let found = work(&device, ctx);
            device.report(ctx);
            found
        })
    }

    /// Starts `work` in a pool of `threads` threads. `inputs` are the R objects it borrows from.
    pub fn start<F>(threads: i32, memory: f64, inputs: Vec<Robj>, work: F) -> Result<Robj>
    where
        F: FnOnce(&Context) -> Result<Pack> + Send + 'static,
    {
        Job::start_in(None, threads, memory, inputs, work)
    }

    /// The same, with counts and expression in files in `folder`; `None`: in memory.
    pub fn start_in<F>(folder: Option<PathBuf>, threads: i32, memory: f64, inputs: Vec<Robj>, work: F) -> Result<Robj>
    where
        F: FnOnce(&Context) -> Result<Pack> + Send + 'static,
    {
        let ctx = Arc::new(Context::new(memory as usize).with_folder(folder));
        let (shared, (under_way, end)) = (Arc::clone(&ctx), channel());
        let worker = std::thread::spawn(move || {
            let _under_way: Sender<()> = under_way;
            pool(threads)?.install(|| work(&shared))
        });
        Ok(ExternalPtr::new(Job { ctx, worker: Some(worker), end, inputs }).into())
    }

    /// Cancels the job and waits until it has ended, for as long as it reads memory of R, else for [`PATIENCE`]: then it ends by
    /// itself, at its next check, and frees what it owns.
    fn stop(&mut self) {
        self.ctx.cancel();
        let ended = !self.inputs.is_empty() || self.ends_within(PATIENCE);
        // The result of a cancelled job is of no interest, even if it is a panic.
        if let Some(worker) = self.worker.take().filter(|_| ended) {
            drop(worker.join());
        }
    }

    /// Waits for the work to end, at most so long.
    fn ends_within(&self, time: Duration) -> bool {
        self.worker.is_none() || self.end.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A pool of `threads` threads.
pub fn pool(threads: i32) -> Result<ThreadPool> {
    let threads = threads.max(1) as usize;
    let failed =
        |error: ThreadPoolBuildError| CoreError::Numerical { operation: "thread pool", reason: error.to_string() };
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(failed)
}

fn job(object: &Robj) -> Result<ExternalPtr<Job>> {
    object.clone().try_into().map_err(interface)
}

/// Where a job stands: `list(done, phase, step, total)`, after `wait` seconds, or as soon as it has ended. What is no job is
/// done: `job_result()` says what is wrong with it.
#[extendr]
fn job_poll(object: Robj, wait: f64) -> Robj {
    let wait = Duration::try_from_secs_f64(wait).unwrap_or_default();
    let (done, (phase, step, total)) =
        job(&object).map_or((true, (String::new(), 0, 0)), |job| (job.ends_within(wait), job.ctx.progress()));
    list!(done = done, phase = phase, step = step as f64, total = total as f64).into()
}

/// Asks a job to stop (see [`Job::stop`]). A job that has ended, or is none, stays as it is.
#[extendr]
fn job_cancel(object: Robj) {
    if let Ok(mut job) = job(&object) {
        job.addr_mut().stop();
    }
}

/// Waits for a job and fetches `list(value, phases, choices, warnings)`; a job can be fetched once.
#[extendr]
fn job_result(object: Robj) -> Robj {
    let fetched = job(&object).map(|mut job| {
        let job = job.addr_mut();
        (job.worker.take().map(JoinHandle::join), Arc::clone(&job.ctx))
    });
    match fetched {
        Err(error) => list!(value = NULL, error = describe(&error)).into(),
        Ok((Some(Err(panic)), _)) => list!(value = NULL, error = internal(&*panic)).into(),
        Ok((Some(Ok(result)), ctx)) => outcome(|| {
            let value = result?()?;
            Ok(list!(value = value, phases = phases(&ctx), choices = choices(&ctx), warnings = ctx.warnings()).into())
        }),
        Ok((None, _)) => {
            outcome(|| Err(CoreError::argument("job", "was fetched or cancelled before", "Start it again.")))
        }
    }
}

fn phases(ctx: &Context) -> Robj {
    let phases = ctx.phases();
    let peak = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1u64 << 20) as f64);
    data_frame!(
        phase = phases.iter().map(|phase| phase.name.clone()).collect::<Vec<_>>(),
        seconds = phases.iter().map(|phase| phase.seconds).collect::<Vec<_>>(),
        peak_mb = phases.iter().map(|phase| peak(phase.peak_bytes)).collect::<Vec<_>>()
    )
}

fn choices(ctx: &Context) -> Robj {
    let choices = ctx.choices();
    data_frame!(
        what = choices.iter().map(|choice| choice.what.clone()).collect::<Vec<_>>(),
        chosen = choices.iter().map(|choice| choice.chosen.clone()).collect::<Vec<_>>(),
        reason = choices.iter().map(|choice| choice.reason.clone()).collect::<Vec<_>>()
    )
}

extendr_module! {
    mod job;
    fn job_poll;
    fn job_cancel;
    fn job_result;
}
