//! What a PCA solver needs to know of a centred matrix A (cells × genes) without ever seeing it dense.

use super::randomized_svd;
use crate::{Context, Result};
use ndarray::{Array2, ArrayView2};

/// A centred cells × genes matrix A.
pub trait Operator: Sync {
    /// Number of cells.
    fn rows(&self) -> usize;

    /// Number of genes.
    fn columns(&self) -> usize;

    /// A B for B (genes × b).
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when B does not fit.
    fn apply(&self, b: ArrayView2<f64>) -> Result<Array2<f64>>;

    /// Aᵀ B for B (cells × b).
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when B does not fit.
    fn apply_transpose(&self, b: ArrayView2<f64>) -> Result<Array2<f64>>;

    /// A Aᵀ when there are fewer cells than genes or as many, else Aᵀ A; both triangles.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when the caller asked to stop.
    fn gram(&self) -> Result<Array2<f64>>;

    /// Leading left singular vectors (cells × k) and singular values by a randomized sketch; see [`randomized_svd::left`].
    ///
    /// # Errors
    /// As [`randomized_svd::left`].
    fn randomized_left(&self, k: usize, seed: u64, ctx: &Context) -> Result<(Array2<f64>, Vec<f64>)>
    where
        Self: Sized,
    {
        randomized_svd::left(self, k, seed, ctx)
    }
}
