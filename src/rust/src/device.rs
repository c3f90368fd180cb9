//! What the engine can run on.

use extendr_api::prelude::*;
use samap_core::backend::NO_CUDA;
use samap_core::context::total_memory;

/// Devices: `data.frame(device, available, reason, memory)`, memory in bytes.
#[extendr]
fn devices_() -> Robj {
    let threads = available_cores_();
    data_frame!(
        device = ["cpu", "cuda"],
        available = [true, false],
        reason = [format!("{threads} cores"), NO_CUDA.to_owned()],
        memory = [total_memory().map(|bytes| bytes as f64), None]
    )
}

/// Cores this process may use (affinity and cgroup limits counted in).
#[extendr]
fn available_cores_() -> i32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as i32)
}

extendr_module! {
    mod device;
    fn devices_;
    fn available_cores_;
}
