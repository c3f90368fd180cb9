//! Principal directions of two sets of rows. In: scaled queries and database in d dimensions. Out: the few orthonormal directions
//! in which the rows are longest. Products of rows in these directions alone rank them nearly as all coordinates do.

use super::candidates::Scaled;
use super::points::Points;
use crate::linalg::{eigen, gemm};
use crate::{Context, Result};
use ndarray::Array2;

/// Rows of each set that the directions are found from.
const SAMPLE: usize = 8192;
/// Rows at a time.
const BLOCK: usize = 1024;
/// Step of the random stream.
const STREAM: u64 = 0x7072_696e;

/// The `count` leading eigenvectors (count × d) of Σ x xᵀ over a sample of the scaled rows of the database and of `queries`, each
/// set weighted alike.
///
/// # Errors
/// [`crate::Error::Numerical`] when the decomposition fails; [`crate::Error::Cancelled`].
pub(super) fn directions(
    database: &Scaled,
    queries: &Points,
    count: usize,
    seed: u64,
    ctx: &Context,
) -> Result<Vec<f32>> {
    let d = queries.dimension();
    let mut moments = Array2::zeros((d, d));
    for points in [queries, database.points] {
        let chosen = points.sample(SAMPLE, (seed, STREAM));
        let weight = 1.0 / (chosen.len().max(1) as f64).sqrt();
        for chosen in chosen.chunks(BLOCK) {
            ctx.check()?;
            let rows = database.scale(points, chosen);
            let weighted = Array2::from_shape_fn((chosen.len(), d), |(i, j)| weight * f64::from(rows[i * d + j]));
            gemm::accumulate_gram(&mut moments, weighted.t())?;
        }
    }
    gemm::mirror(&mut moments);
    let leading = eigen::leading(moments, count, seed, ctx)?;
    Ok(leading.vectors.columns().into_iter().flatten().map(|&x| x as f32).collect())
}
