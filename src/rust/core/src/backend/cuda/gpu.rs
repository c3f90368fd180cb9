//! One GPU: its memory, what moves to and from it, and its kernels, which NVRTC compiles at first use. Every failure becomes
//! an [`Error::Device`] that says which operation failed and what the driver said; buffers free themselves.

use crate::{Error, Result};
use cudarc::driver::sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as MULTIPROCESSORS;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig,
    ValidAsZeroBits, sys,
};
use cudarc::nvrtc::{Ptx, result as nvrtc};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
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
const OLDER: [i32; 4] = [90, 86, 80, 70];

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
    stream: Arc<CudaStream>,
    modules: Mutex<HashMap<&'static str, Arc<CudaModule>>>,
    capability: i32,
    name: String,
    traffic: Traffic,
}

impl Gpu {
    /// The first GPU.
    ///
    /// # Errors
    /// [`Error::Device`] with the reason: no driver, no NVRTC, no device, a driver too old, too little memory.
    pub(super) fn open() -> Result<Gpu> {
        // SAFETY: both only try to load a library; cudarc panics later where it is missing.
        let (driver, compiler) = unsafe { (sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()) };
        if !driver {
            return Err(unusable("there is no NVIDIA driver (libcuda was not found)"));
        }
        if !compiler {
            return Err(unusable("there is no NVRTC, the run-time compiler of CUDA 12 (libnvrtc was not found)"));
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
        let stream = context.new_stream().map_err(|error| failed("opening a stream", &error))?;
        Ok(Gpu { stream, modules: Mutex::default(), capability, name, traffic: Traffic::default() })
    }

    fn context(&self) -> &Arc<CudaContext> {
        self.stream.context()
    }

    /// Name, architecture, multiprocessors and memory.
    pub(super) fn description(&self) -> String {
        let processors = self.context().attribute(MULTIPROCESSORS).unwrap_or(0);
        let memory = self.memory() as f64 / (1u64 << 30) as f64;
        format!("{}, sm_{}, {processors} multiprocessors, {memory:.1} GiB", self.name, self.capability)
    }

    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.context().total_mem().unwrap_or(0)
    }

    /// What moved, in words.
    pub(super) fn traffic(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, received, launches) =
            (count(&self.traffic.sent), count(&self.traffic.received), count(&self.traffic.launches));
        format!("{sent} bytes sent, {received} bytes received, {launches} kernel launches")
    }

    /// How many of `items` that take `bytes` each to work on at a time: at most half of the free memory.
    ///
    /// # Errors
    /// [`Error::Device`] when not even `least` fit.
    pub(super) fn tile(&self, what: &str, items: usize, bytes: usize, least: usize) -> Result<usize> {
        let (free, _) = self.context().mem_get_info().map_err(|error| failed("asking for free memory", &error))?;
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
    pub(super) fn send<T: DeviceRepr>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.unset(values.len())?;
        if !values.is_empty() {
            self.stream.memcpy_htod(values, &mut buffer).map_err(|error| failed("copying to the GPU", &error))?;
            self.traffic.sent.fetch_add(std::mem::size_of_val(values) as u64, Ordering::Relaxed);
        }
        Ok(buffer)
    }

    /// The first `len` values of a buffer, once all kernels before have ended.
    pub(super) fn receive<T: DeviceRepr + Clone + Default>(&self, buffer: &Buffer<T>, len: usize) -> Result<Vec<T>> {
        let mut values = vec![T::default(); len];
        if len > 0 {
            let copied = self.stream.memcpy_dtoh(&buffer.slice(..len), &mut values);
            copied.map_err(|error| failed("copying from the GPU", &error))?;
            self.traffic.received.fetch_add(std::mem::size_of_val(values.as_slice()) as u64, Ordering::Relaxed);
        }
        self.wait()?;
        Ok(values)
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
                let module = self.context().load_module(Ptx::from_src(compiled(source, self.capability)?));
                let module = module.map_err(|error| failed(&format!("loading {}.cu", source.name), &error))?;
                modules.insert(source.name, Arc::clone(&module));
                module
            }
        };
        module.load_function(name).map_err(|error| failed(&format!("finding the kernel {name}"), &error))
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

/// The PTX of a file for an architecture, or for an older one where NVRTC does not know it.
fn compiled(source: Source, capability: i32) -> Result<String> {
    let mut cache = locked(&COMPILED);
    let cache = cache.get_or_insert_default();
    if let Some(ptx) = cache.get(&(capability, source.name)) {
        return Ok(ptx.clone());
    }
    let older = OLDER.into_iter().filter(|&architecture| architecture < capability);
    let mut reason = String::new();
    for architecture in std::iter::once(capability).chain(older) {
        match compile(source, architecture) {
            Ok(ptx) => {
                cache.insert((capability, source.name), ptx.clone());
                return Ok(ptx);
            }
            Err((true, _)) => continue,
            Err((false, log)) => {
                reason = log;
                break;
            }
        }
    }
    Err(unusable(format!("compiling {}.cu for sm_{capability} failed: {reason}", source.name)))
}

/// PTX of a file; else whether only the architecture is unknown, and what the compiler said.
fn compile(source: Source, architecture: i32) -> std::result::Result<String, (bool, String)> {
    // Without contraction, arithmetic is that of the CPU wherever the kernels do not ask for fma().
    let options = [format!("--gpu-architecture=compute_{architecture}"), "--fmad=false".to_owned()];
    let text = CString::new(format!("{COMMON}\n#line 1 \"{}.cu\"\n{}", source.name, source.text));
    let text = text.map_err(|error| (false, error.to_string()))?;
    let program = nvrtc::create_program(&text, None).map_err(|error| (false, format!("{error:?}")))?;
    // SAFETY: the program was just created and is destroyed once, below.
    let ptx = unsafe {
        nvrtc::compile_program(program, &options).and_then(|()| nvrtc::get_ptx(program)).map_err(|error| {
            let log = nvrtc::get_program_log(program).unwrap_or_default();
            let unknown = error.0 == cudarc::nvrtc::sys::nvrtcResult::NVRTC_ERROR_INVALID_OPTION;
            (unknown, format!("{error:?} {}", text_of(&log)))
        })
    };
    // SAFETY: as above. A program that cannot be destroyed is lost memory and no more.
    let _ = unsafe { nvrtc::destroy_program(program) };
    ptx.map(|bytes| text_of(&bytes))
}

/// Characters up to the first zero.
fn text_of(characters: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
