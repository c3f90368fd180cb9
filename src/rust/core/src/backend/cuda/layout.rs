//! The epochs of the layout on the device: positions stay there from the first epoch to the last.

use super::Wide;
use super::gpu::{Gpu, LAYOUT, launch};
use crate::embedding::UmapOptions;
use crate::embedding::layout::{BETA1, BETA2, Edges, Forces, Links, STREAM};
use crate::{Context, Result};

/// As [`crate::embedding::layout::optimise`].
///
/// # Errors
/// Cancelled; [`crate::Error::Device`].
pub(super) fn optimise<const D: usize>(
    gpu: &Gpu,
    positions: Vec<[f32; D]>,
    edges: &Edges,
    forces: &Forces,
    epochs: usize,
    options: &UmapOptions,
    ctx: &Context,
) -> Result<Vec<[f32; D]>> {
    let n = positions.len();
    let links = Links::new(n, edges);
    let (offsets, middles) = (gpu.send(&links.offsets().wide())?, gpu.send(&links.middles().wide())?);
    let (others, rates): (Vec<u32>, Vec<u32>) = links.links().iter().copied().unzip();
    let (others, rates) = (gpu.send(&others)?, gpu.send(&rates)?);
    let (attraction, repulsion) = forces.tables();
    let (attraction, repulsion) = (gpu.send(attraction)?, gpu.send(repulsion)?);
    let mut now = gpu.send(positions.as_flattened())?;
    let mut next = gpu.unset::<f32>(n * D)?;
    let (mut first, mut second) = (gpu.zeros::<f32>(n * D)?, gpu.zeros::<f32>(n * D)?);
    let (count, dims, seed, negatives) = (n as u32, D as i32, options.seed, options.negative_sample_rate as u32);
    for epoch in 1..epochs {
        let rate = options.learning_rate as f32 * (1.0 - epoch as f32 / epochs as f32);
        let (one, two) = (1.0 - BETA1.powi(epoch as i32), 1.0 - BETA2.powi(epoch as i32));
        let (number, step) = (epoch as u32, STREAM + epoch as u64);
        launch!(
            gpu,
            LAYOUT,
            "epoch",
            (n.div_ceil(4), 1),
            128,
            &now,
            &mut next,
            &mut first,
            &mut second,
            &count,
            &dims,
            &offsets,
            &middles,
            &others,
            &rates,
            &attraction,
            &repulsion,
            &number,
            &seed,
            &step,
            &negatives,
            &rate,
            &one,
            &two
        );
        std::mem::swap(&mut now, &mut next);
        if epoch % 16 == 0 {
            // Launches return at once: without a look now and then the progress would be that of the queue.
            gpu.wait()?;
        }
        ctx.advance(1)?;
    }
    Ok(gpu.receive(&now, n * D)?.as_chunks::<D>().0.to_vec())
}
