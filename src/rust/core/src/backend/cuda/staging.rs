//! Large copies between host and device. The driver copies ordinary memory with one thread, a few gigabytes per second; here
//! all threads fill (or empty) one of two buffers that never leave the memory, while the device reads (or writes) the other.

use bytemuck::{Pod, cast_slice_mut};
use cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, DeviceRepr, DriverError, PinnedHostSlice};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a buffer.
const BUFFER: usize = 4 << 20;
/// Bytes that a thread copies at a time.
const PIECE: usize = 128 << 10;
/// Bytes from which on a copy goes through the buffers.
pub(super) const LARGE: usize = 1 << 20;

/// A buffer that the device reads and writes by itself, and when it has last done so.
struct Pinned {
    bytes: PinnedHostSlice<u8>,
    done: CudaEvent,
}

impl Pinned {
    fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        // SAFETY: what the memory holds is written before it is read, here as on the device.
        let bytes = unsafe { context.alloc_pinned_with_flags(BUFFER, 0)? };
        Ok(Pinned { bytes, done: context.new_event(None)? })
    }

    /// The first `len` values, once the device has done with them.
    fn values<T: Pod>(&mut self, len: usize) -> Result<&mut [T], DriverError> {
        self.done.synchronize()?;
        Ok(&mut cast_slice_mut(self.bytes.as_mut_slice()?)[..len])
    }
}

/// Both buffers.
pub(super) struct Staging([Pinned; 2]);

impl Staging {
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        Ok(Staging([Pinned::new(context)?, Pinned::new(context)?]))
    }

    /// Copies values to the device. When it returns, the last of them may be on their way, from the buffers.
    pub(super) fn send<T: DeviceRepr + Pod + Send + Sync>(
        &mut self,
        stream: &Arc<CudaStream>,
        values: &[T],
        to: &mut CudaSlice<T>,
    ) -> Result<(), DriverError> {
        for (i, part) in parts::<T>(values.len()).enumerate() {
            let buffer = &mut self.0[i % 2];
            let staged = buffer.values(part.len())?;
            copy(&values[part.clone()], staged);
            stream.memcpy_htod(&*staged, &mut to.slice_mut(part))?;
            buffer.done.record(stream)?;
        }
        Ok(())
    }

    /// Copies the first values of a buffer of the device.
    pub(super) fn receive<T: DeviceRepr + Pod + Send + Sync>(
        &mut self,
        stream: &Arc<CudaStream>,
        from: &CudaSlice<T>,
        values: &mut [T],
    ) -> Result<(), DriverError> {
        let mut before: Option<(usize, Range<usize>)> = None;
        for (i, part) in parts::<T>(values.len()).enumerate() {
            let buffer = &mut self.0[i % 2];
            let staged = buffer.values::<T>(part.len())?;
            stream.memcpy_dtoh(&from.slice(part.clone()), staged)?;
            buffer.done.record(stream)?;
            // While this part is on its way.
            if let Some((i, part)) = before.replace((i, part)) {
                copy(self.0[i % 2].values(part.len())?, &mut values[part]);
            }
        }
        if let Some((i, part)) = before {
            copy(self.0[i % 2].values(part.len())?, &mut values[part]);
        }
        Ok(())
    }
}

/// Ranges of `len` values that fit a buffer each.
fn parts<T>(len: usize) -> impl Iterator<Item = Range<usize>> {
    let step = BUFFER / size_of::<T>();
    (0..len).step_by(step).map(move |start| start..len.min(start + step))
}

fn copy<T: Copy + Send + Sync>(from: &[T], to: &mut [T]) {
    let piece = PIECE / size_of::<T>();
    to.par_chunks_mut(piece).zip(from.par_chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
}
