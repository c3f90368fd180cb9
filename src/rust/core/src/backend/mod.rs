//! Where the heavy steps run. `"auto"` takes the best device there is; asking for one that is not there is an error.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
}

impl Device {
    /// The device for a request; notes what `Auto` chose.
    ///
    /// # Errors
    /// [`Error::Device`] when the requested device cannot be used.
    pub fn resolve(request: Request, ctx: &Context) -> Result<Device> {
        match request {
            Request::Cpu => Ok(Device::Cpu),
            Request::Auto => {
                ctx.choose("device", "cpu", NO_CUDA);
                Ok(Device::Cpu)
            }
            Request::Cuda => Err(Error::Device { device: "cuda".to_owned(), reason: NO_CUDA.to_owned() }),
        }
    }
}

/// Why there is no GPU.
pub const NO_CUDA: &str = "this version of samap has no CUDA backend";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_says_what_it_took_and_cuda_says_why_not() {
        let ctx = Context::default();
        assert_eq!(Device::resolve(Request::Auto, &ctx).unwrap(), Device::Cpu);
        assert_eq!(ctx.choices()[0].chosen, "cpu");
        assert!(matches!(Device::resolve(Request::Cuda, &ctx), Err(Error::Device { .. })));
    }
}
