//! One GPU: its memory, what moves to and from it, and its kernels, which NVRTC compiles at first use. Every failure becomes
//! an [`Error::Device`] that says which operation failed and what the driver said; buffers free themselves.

use super::nvrtc::{Failure, Nvrtc};
use super::staging::{LARGE, Staging};
use crate::{Error, Result};
use bytemuck::Pod;
use cudarc::driver::sys::CUdevice_attribute_enum::{
    CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED as POOLS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as MULTIPROCESSORS,
};
use cudarc::driver::sys::CUmemPool_attribute_enum::{
    CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as RELEASE_THRESHOLD, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT as RESERVED,
    CU_MEMPOOL_ATTR_USED_MEM_CURRENT as USED,
};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig,
    ValidAsZeroBits, sys,
};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values in the memory of the device.
pub(super) type Buffer<T> = CudaSlice<T>;

/// A file of kernels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    name: &'static str,
    text: &'static str,
}

macro_rules! sources {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(super) const $constant: Source =
            Source { name: $name, text: include_str!(concat!("kernels/", $name, ".cu")) };)*
    };
}
sources! {
    AVERAGES = "averages",
    DENSE = "dense",
    EXPAND = "expand",
    KNN = "knn",
    LAYOUT = "layout",
    MUTUAL = "mutual",
    PROJECTION = "projection",
    SPARSE = "sparse",
}

const COMMON: &str = include_str!("kernels/common.cuh");

/// Least memory of a device that is worth using.
const LEAST_MEMORY: usize = 1 << 30;

/// Architectures to compile for when NVRTC is older than the device, best first.
const OLDER: [i32; 5] = [90, 86, 80, 75, 70];

/// Compiled kernels by architecture and file: jobs of one process compile each once.
static COMPILED: Mutex<Option<HashMap<(i32, &'static str), String>>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is complete whenever they are free.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the device cannot be used.
pub(super) fn unusable(reason: impl Into<String>) -> Error {
    Error::Device { device: "cuda".to_owned(), reason: reason.into() }
}

fn failed(operation: &str, error: &DriverError) -> Error {
    let text = |found: std::result::Result<&CStr, DriverError>| {
        found.map_or_else(|_| "unknown error".to_owned(), |text| text.to_string_lossy().into_owned())
    };
    unusable(format!("{operation} failed: {} ({})", text(error.error_string()), text(error.error_name())))
}

/// What moved between host and device, and how often kernels ran.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    launches: AtomicU64,
}

/// A GPU with one stream.
pub(super) struct Gpu {
    /// The pool that memory comes from, where the device has one. Trimmed (dropped) while there is a context.
    pool: Option<Pool>,
    stream: Arc<CudaStream>,
    modules: Mutex<HashMap<&'static str, Arc<CudaModule>>>,
    compiler: Arc<Nvrtc>,
    /// Buffers of large copies, made by the first one.
    staging: Mutex<Option<Staging>>,
    capability: i32,
    name: String,
    traffic: Traffic,
}

/// The memory pool of the device, told to keep what is freed until it is trimmed: to ask the system for memory anew costs
/// milliseconds per gigabyte.
struct Pool(sys::CUmemoryPool);

// SAFETY: the pool is the device's own, which the driver lets all threads use and which lasts as long as the process.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// That of a device, where it has one.
    fn of(context: &Arc<CudaContext>) -> Result<Option<Pool>> {
        let known = |error: DriverError| failed("preparing the memory of the GPU", &error);
        if context.attribute(POOLS).map_err(known)? == 0 {
            return Ok(None);
        }
        let (mut pool, mut all) = (std::ptr::null_mut(), u64::MAX);
        // SAFETY: the device is open; the attribute is a 64-bit number.
        unsafe {
            sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result().map_err(known)?;
            sys::cuMemPoolSetAttribute(pool, RELEASE_THRESHOLD, (&raw mut all).cast()).result().map_err(known)?;
        }
        Ok(Some(Pool(pool)))
    }

    /// Bytes that are kept and not used.
    fn kept(&self) -> std::result::Result<usize, DriverError> {
        let of = |attribute| {
            let mut bytes = 0u64;
            // SAFETY: the attributes asked for are 64-bit numbers.
            let status = unsafe { sys::cuMemPoolGetAttribute(self.0, attribute, (&raw mut bytes).cast()) };
            status.result().map(|()| bytes as usize)
        };
        Ok(of(RESERVED)?.saturating_sub(of(USED)?))
    }
}

impl Drop for Pool {
    /// Gives kept memory back to the system: what is left goes with the context.
    fn drop(&mut self) {
        // SAFETY: the pool is that of the device.
        let _ = unsafe { sys::cuMemPoolTrimTo(self.0, 0) };
    }
}

impl Gpu {
    /// The first GPU.
    ///
    /// # Errors
    /// [`Error::Device`] with the reason: no driver, no NVRTC, no device, a driver too old, too little memory.
    pub(super) fn open() -> Result<Gpu> {
        // SAFETY: it only tries to load a library; cudarc panics later where it is missing.
        if !unsafe { sys::is_culib_present() } {
            return Err(unusable("there is no NVIDIA driver (libcuda was not found)"));
        }
        let version = driver_version()?;
        if version < 12_000 {
            let (major, minor) = (version / 1000, version % 1000 / 10);
            return Err(unusable(format!("the driver supports CUDA {major}.{minor}, and 12.0 is needed")));
        }
        let context = CudaContext::new(0).map_err(|error| failed("opening the GPU", &error))?;
        // SAFETY: all work goes through one stream, so no event is needed to order it.
        unsafe { context.disable_event_tracking() };
        let known = |error: DriverError| failed("asking the GPU what it is", &error);
        let (major, minor) = context.compute_capability().map_err(known)?;
        let (capability, name) = (10 * major + minor, context.name().map_err(known)?);
        if capability < 70 {
            return Err(unusable(format!("{name} has compute capability {major}.{minor}, and 7.0 is needed")));
        }
        let memory = context.total_mem().map_err(known)?;
        if memory < LEAST_MEMORY {
            return Err(unusable(format!("{name} has {} MiB of memory, and 1024 MiB are needed", memory >> 20)));
        }
        let compiler = Nvrtc::open(version / 1000, capability)?;
        let stream = context.new_stream().map_err(|error| failed("opening a stream", &error))?;
        let pool = Pool::of(&context)?;
        let (modules, staging, traffic) = (Mutex::default(), Mutex::default(), Traffic::default());
        Ok(Gpu { pool, stream, modules, compiler, staging, capability, name, traffic })
    }

    fn context(&self) -> &Arc<CudaContext> {
        self.stream.context()
    }

    /// Name, architecture, multiprocessors, memory and compiler.
    pub(super) fn description(&self) -> String {
        let processors = self.context().attribute(MULTIPROCESSORS).unwrap_or(0);
        let memory = self.memory() as f64 / (1u64 << 30) as f64;
        let (name, capability, compiler) = (&self.name, self.capability, self.compiler.version());
        format!("{name}, sm_{capability}, {processors} multiprocessors, {memory:.1} GiB, NVRTC {compiler}")
    }

    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.context().total_mem().unwrap_or(0)
    }

    /// Bytes sent, bytes received, kernel launches.
    pub(super) fn counts(&self) -> [u64; 3] {
        let Traffic { sent, received, launches } = &self.traffic;
        [sent, received, launches].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// What moved, in words.
    pub(super) fn traffic(&self) -> String {
        let [sent, received, launches] = self.counts();
        format!("{sent} bytes sent, {received} bytes received, {launches} kernel launches")
    }

    /// Free memory in bytes, with what the pool keeps for later.
    fn free(&self) -> Result<usize> {
        let known = |error: DriverError| failed("asking for free memory", &error);
        let (free, _) = self.context().mem_get_info().map_err(known)?;
        Ok(free + self.pool.as_ref().map_or(Ok(0), Pool::kept).map_err(known)?)
    }

    /// How many of `items` that take `bytes` each to work on at a time: at most half of the free memory.
    ///
    /// # Errors
    /// [`Error::Device`] when not even `least` fit.
    pub(super) fn tile(&self, what: &str, items: usize, bytes: usize, least: usize) -> Result<usize> {
        let free = self.free()?;
        let fit = free / 2 / bytes.max(1);
        if fit < least.min(items) {
            let need = (least.min(items) * bytes) >> 20;
            let reason = format!("{what} needs {need} MiB of device memory, and {} MiB are free", free >> 20);
            return Err(unusable(format!("{reason}. `backend = \"cpu\"` computes the same")));
        }
        Ok(fit.min(items).max(1))
    }

    /// Memory of `len` values that a kernel will write before it reads them.
    pub(super) fn unset<T: DeviceRepr>(&self, len: usize) -> Result<Buffer<T>> {
        // SAFETY: the callers' kernels write every value before any is read; tests run with two fill patterns.
        unsafe { self.stream.alloc(len.max(1)) }.map_err(|error| {
            let bytes = len * std::mem::size_of::<T>();
            failed(&format!("reserving {bytes} bytes of device memory"), &error)
        })
    }

    /// Memory of `len` zeros.
    pub(super) fn zeros<T: DeviceRepr + ValidAsZeroBits>(&self, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.unset(len)?;
        self.clear(&mut buffer)?;
        Ok(buffer)
    }

    /// Overwrites a buffer with zeros.
    pub(super) fn clear<T: DeviceRepr + ValidAsZeroBits>(&self, buffer: &mut Buffer<T>) -> Result<()> {
        self.stream.memset_zeros(buffer).map_err(|error| failed("clearing device memory", &error))
    }

    /// A copy of `values` on the device.
    pub(super) fn send<T: DeviceRepr + Pod + Send + Sync>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.unset(values.len())?;
        if !values.is_empty() {
            let sent = if size_of_val(values) < LARGE {
                self.stream.memcpy_htod(values, &mut buffer)
            } else {
                self.staged(|staging| staging.send(&self.stream, values, &mut buffer))
            };
            sent.map_err(|error| failed("copying to the GPU", &error))?;
            self.traffic.sent.fetch_add(std::mem::size_of_val(values) as u64, Ordering::Relaxed);
        }
        Ok(buffer)
    }

    /// The first `len` values of a buffer, once all kernels before have ended.
    pub(super) fn receive<T: DeviceRepr + Pod + Send + Sync>(&self, buffer: &Buffer<T>, len: usize) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); len];
        if len > 0 {
            let copied = if size_of_val(values.as_slice()) < LARGE {
                self.stream.memcpy_dtoh(&buffer.slice(..len), &mut values)
            } else {
                self.staged(|staging| staging.receive(&self.stream, buffer, &mut values))
            };
            copied.map_err(|error| failed("copying from the GPU", &error))?;
            self.traffic.received.fetch_add(std::mem::size_of_val(values.as_slice()) as u64, Ordering::Relaxed);
        }
        self.wait()?;
        Ok(values)
    }

    /// A large copy.
    fn staged(
        &self,
        copy: impl FnOnce(&mut Staging) -> std::result::Result<(), DriverError>,
    ) -> std::result::Result<(), DriverError> {
        let mut staging = locked(&self.staging);
        let mut buffers = staging.take().map_or_else(|| Staging::new(self.context()), Ok)?;
        let copied = copy(&mut buffers);
        *staging = Some(buffers);
        copied
    }

    /// Waits for all kernels.
    pub(super) fn wait(&self) -> Result<()> {
        let waited = self.stream.synchronize().and_then(|()| self.context().check_err());
        waited.map_err(|error| failed("running a kernel", &error))
    }

    /// The stream that kernels run on.
    pub(super) fn stream(&self) -> &CudaStream {
        &self.stream
    }

    /// A kernel, compiled if it is the first of its file.
    pub(super) fn kernel(&self, source: Source, name: &str) -> Result<CudaFunction> {
        self.traffic.launches.fetch_add(1, Ordering::Relaxed);
        let mut modules = locked(&self.modules);
        let module = match modules.get(source.name) {
            Some(module) => Arc::clone(module),
            None => {
                let module = self.context().load_module(Ptx::from_src(self.compiled(source)?));
                let module = module.map_err(|error| failed(&format!("loading {}.cu", source.name), &error))?;
                modules.insert(source.name, Arc::clone(&module));
                module
            }
        };
        module.load_function(name).map_err(|error| failed(&format!("finding the kernel {name}"), &error))
    }

    /// The PTX of a file for this GPU, or for an older one where NVRTC does not know it.
    fn compiled(&self, source: Source) -> Result<String> {
        let mut cache = locked(&COMPILED);
        let cache = cache.get_or_insert_default();
        if let Some(ptx) = cache.get(&(self.capability, source.name)) {
            return Ok(ptx.clone());
        }
        let text = format!("{COMMON}\n#line 1 \"{}.cu\"\n{}", source.name, source.text);
        let older = OLDER.into_iter().filter(|&architecture| architecture < self.capability);
        let mut reason = format!("NVRTC {} does not know it", self.compiler.version());
        for architecture in std::iter::once(self.capability).chain(older) {
            // Without contraction, arithmetic is that of the CPU wherever the kernels do not ask for fma().
            let options = [format!("--gpu-architecture=compute_{architecture}"), "--fmad=false".to_owned()];
            match self.compiler.ptx(&text, &options) {
                Ok(ptx) => {
                    cache.insert((self.capability, source.name), ptx.clone());
                    return Ok(ptx);
                }
                Err(Failure::Architecture) => continue,
                Err(Failure::Other(said)) => {
                    reason = said;
                    break;
                }
            }
        }
        Err(unusable(format!("compiling {}.cu for sm_{} failed: {reason}", source.name, self.capability)))
    }

    /// Turns what a launch returned into our error.
    pub(super) fn launched<T>(name: &str, launch: std::result::Result<T, DriverError>) -> Result<()> {
        launch.map(drop).map_err(|error| failed(&format!("launching the kernel {name}"), &error))
    }
}

/// `blocks` blocks of `threads` threads.
pub(super) fn grid(blocks: (usize, usize), threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks.0 as u32, blocks.1 as u32, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// Launches a kernel: `launch!(gpu, SOURCE, "name", (blocks, rows of blocks), threads, argument, …)`; without blocks it is no
/// work. Arguments are references to buffers and numbers of the types the kernel declares.
macro_rules! launch {
    ($gpu:expr, $source:expr, $name:literal, $blocks:expr, $threads:expr, $($argument:expr),* $(,)?) => {{
        let blocks: (usize, usize) = $blocks;
        if blocks.0 > 0 && blocks.1 > 0 {
            let kernel = $gpu.kernel($source, $name)?;
            let mut launch = $gpu.stream().launch_builder(&kernel);
            $(cudarc::driver::PushKernelArg::arg(&mut launch, $argument);)*
            // SAFETY: number, order and types of the arguments are those of the kernel's declaration; buffers have the
            // sizes it reads and writes. The conformance tests run each kernel with guard pages behind every buffer.
            let launched = unsafe { launch.launch($crate::backend::cuda::gpu::grid(blocks, $threads)) };
            $crate::backend::cuda::gpu::Gpu::launched($name, launched)?;
        }
    }};
}
pub(super) use launch;

fn driver_version() -> Result<i32> {
    let mut version = 0;
    // SAFETY: the library is present, and the call writes one integer.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    status.result().map_err(|error| failed("asking for the driver's version", &error))?;
    Ok(version)
}
