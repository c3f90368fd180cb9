//! The controls of the emulated GPU (tests/cuda-emulator), where it stands in for the driver.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // each test file uses its own part

use samap_core::backend::Cuda;
use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Calls that can be made to fail, as the emulator numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Allocate,
    Copy,
    Launch,
    Compile,
    Load,
    Synchronise,
}

/// What every new allocation is filled with: a pattern, and the bits of NaN.
pub const FILLS: [c_int; 2] = [0xA5, 0xFF];

/// The emulator's controls are those of the process: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

/// A GPU for one test; `None` of the controls where the GPU is a real one.
pub struct Gpu {
    controls: Option<*mut c_void>,
    _alone: MutexGuard<'static, ()>,
}

impl Gpu {
    pub fn open() -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let file = CString::new("libcuda.so").unwrap();
        // SAFETY: loads what cudarc loads; the name ends in a zero byte.
        let library = unsafe { dlopen(file.as_ptr(), 2) };
        let gpu = Gpu { controls: (!library.is_null()).then_some(library), _alone: alone };
        let emulated = gpu.symbol("emu_fail").is_some();
        Gpu { controls: gpu.controls.filter(|_| emulated), ..gpu }
    }

    /// The backend on this GPU.
    pub fn backend(&self) -> Cuda {
        Cuda::new().expect("make test-cuda provides a GPU, real or emulated")
    }

    pub fn is_emulated(&self) -> bool {
        self.controls.is_some()
    }

    fn symbol(&self, name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).unwrap();
        // SAFETY: the library is open for good; the name ends in a zero byte.
        let symbol = unsafe { dlsym(self.controls?, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    }

    /// The `n`-th call of a kind from now on fails; 0: none does.
    pub fn fail(&self, call: Call, n: c_long) {
        if let Some(symbol) = self.symbol("emu_fail") {
            // SAFETY: the emulator exports the function with these types.
            let fail: extern "C" fn(c_int, c_long) = unsafe { std::mem::transmute(symbol) };
            fail(call as c_int, n);
        }
    }

    /// Calls of a kind since [`Gpu::fail`].
    pub fn calls(&self, call: Call) -> c_long {
        self.symbol("emu_calls").map_or(0, |symbol| {
            // SAFETY: as above.
            let calls: extern "C" fn(c_int) -> c_long = unsafe { std::mem::transmute(symbol) };
            calls(call as c_int)
        })
    }

    /// Fills every new allocation with a byte.
    pub fn fill(&self, byte: c_int) {
        if let Some(symbol) = self.symbol("emu_fill") {
            // SAFETY: as above.
            let fill: extern "C" fn(c_int) = unsafe { std::mem::transmute(symbol) };
            fill(byte);
        }
    }

    /// Limits the memory of the device; 0: as it was.
    pub fn limit(&self, bytes: usize) {
        if let Some(symbol) = self.symbol("emu_limit") {
            // SAFETY: as above.
            let limit: extern "C" fn(usize) = unsafe { std::mem::transmute(symbol) };
            limit(bytes);
        }
    }

    /// Allocations that were not freed.
    pub fn live(&self) -> c_long {
        self.symbol("emu_live").map_or(0, |symbol| {
            // SAFETY: as above.
            let live: extern "C" fn() -> c_long = unsafe { std::mem::transmute(symbol) };
            live()
        })
    }

    /// What `work` gives, which must be the same whatever new memory holds.
    pub fn with_every_fill<T: PartialEq>(&self, work: impl Fn() -> T) -> T {
        let [first, second] = FILLS.map(|byte| {
            self.fill(byte);
            work()
        });
        assert!(first == second, "what a kernel reads was never written");
        first
    }
}
