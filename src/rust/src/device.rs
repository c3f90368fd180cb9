//! What the engine can run on.

use extendr_api::prelude::*;
use samap_core::backend::{Inventory, inventory};

/// Devices: `data.frame(device, available, reason, memory)`, memory in bytes.
#[extendr]
fn devices_() -> Robj {
    let devices = inventory();
    let memory = |device: &Inventory| device.memory.map(|bytes| bytes as f64);
    data_frame!(
        device = devices.iter().map(|device| device.device).collect::<Vec<_>>(),
        available = devices.iter().map(|device| device.available).collect::<Vec<_>>(),
        reason = devices.iter().map(|device| device.reason.clone()).collect::<Vec<_>>(),
        memory = devices.iter().map(memory).collect::<Vec<_>>()
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
