//! Which device a run takes. `Auto` takes a GPU that can be used, else the processor, and says which and why; a device asked
//! for by name that cannot be used is an error.

use super::{Cpu, Cuda, cuda};
use crate::context::total_memory;
use crate::{Context, Error, Result};

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Request {
    /// The best device there is.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// A device that can be used.
pub enum Device {
    /// The processor.
    Cpu(Cpu),
    /// An NVIDIA GPU.
    Cuda(Cuda),
}

/// Runs `$body` with `$backend` bound to a reference to the backend of `$device`.
#[macro_export]
macro_rules! on_device {
    ($device:expr, $backend:ident => $body:expr) => {
        match $device {
            $crate::backend::Device::Cpu($backend) => $body,
            $crate::backend::Device::Cuda($backend) => $body,
        }
    };
}

impl Device {
    /// The device for a request; notes what `Auto` and `Cuda` took.
    ///
    /// # Errors
    /// [`Error::Device`] when the requested device cannot be used.
    pub fn resolve(request: Request, ctx: &Context) -> Result<Device> {
        if request == Request::Cpu {
            return Ok(Device::Cpu(Cpu));
        }
        match (Cuda::new(), request) {
            (Ok(cuda), _) => {
                ctx.choose("device", "cuda", cuda.description());
                Ok(Device::Cuda(cuda))
            }
            (Err(Error::Device { reason, .. }), Request::Auto) => {
                ctx.choose("device", "cpu", reason);
                Ok(Device::Cpu(Cpu))
            }
            (Err(error), _) => Err(error),
        }
    }
}

impl Device {
    /// Notes what a run moved to and from the device.
    pub fn report(&self, ctx: &Context) {
        if let Device::Cuda(cuda) = self {
            cuda.report(ctx);
        }
    }
}

/// A device and whether it can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// Its name in a request.
    pub device: &'static str,
    /// Whether it can be used.
    pub available: bool,
    /// What it is, or why it cannot be used.
    pub reason: String,
    /// Its memory in bytes, where known.
    pub memory: Option<u64>,
}

/// All devices.
pub fn inventory() -> Vec<Inventory> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpu = Inventory { device: "cpu", available: true, reason: format!("{threads} cores"), memory: total_memory() };
    vec![cpu, cuda::inventory()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_needs_no_choice() {
        let ctx = Context::default();
        assert!(matches!(Device::resolve(Request::Cpu, &ctx), Ok(Device::Cpu(_))));
        assert!(ctx.choices().is_empty());
    }

    #[test]
    fn auto_says_what_it_took_and_cuda_says_why_not() {
        let ctx = Context::default();
        let cuda = &inventory()[1];
        let auto = Device::resolve(Request::Auto, &ctx).unwrap();
        let choice = &ctx.choices()[0];
        assert_eq!((choice.what.as_str(), choice.chosen == "cuda"), ("device", cuda.available));
        assert_eq!(matches!(auto, Device::Cuda(_)), cuda.available);
        match Device::resolve(Request::Cuda, &ctx) {
            Ok(_) => assert!(cuda.available),
            Err(Error::Device { device, reason }) => {
                assert!(!cuda.available);
                assert_eq!((device.as_str(), reason.as_str()), ("cuda", cuda.reason.as_str()));
            }
            Err(error) => panic!("{error}"),
        }
    }
}
