//! What a PCA solver needs to know of a centred matrix A (cells × genes) without ever seeing it dense.

use crate::Result;
use ndarray::{Array2, ArrayView2};

/// Scores A V of all cells.
#[derive(Debug, Clone)]
pub struct Projection {
    /// cells × k, where they are kept.
    pub scores: Option<Array2<f32>>,
    /// Whether each component's score of largest absolute value (the first of equal ones) is negative.
    pub negative: Vec<bool>,
}

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

    /// The matrix of [`Operator::gram`] times B: A Aᵀ B for B (cells × b), or Aᵀ A B for B (genes × b). An approximate solver
    /// asks for it: products may be single precision.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when B does not fit; [`crate::Error::Cancelled`].
    fn apply_gram(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        self.apply_twice(b)
    }

    /// The same in the precision of [`Operator::apply`].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when B does not fit.
    fn apply_twice(&self, b: ArrayView2<f64>) -> Result<Array2<f64>> {
        match self.rows() <= self.columns() {
            true => self.apply(self.apply_transpose(b)?.view()),
            false => self.apply_transpose(self.apply(b)?.view()),
        }
    }

    /// A V for V (genes × k), maybe in single precision. The scores are only held if asked for.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when V does not fit; [`crate::Error::Cancelled`].
    fn project(&self, v: ArrayView2<f64>, keep: bool) -> Result<Projection> {
        let scores = self.apply(v)?;
        let extreme = |best: f64, &x: &f64| if x.abs() > best.abs() { x } else { best };
        let negative = scores.columns().into_iter().map(|x| x.iter().fold(0.0, extreme) < 0.0).collect();
        Ok(Projection { scores: keep.then(|| scores.mapv(|x| x as f32)), negative })
    }

    /// Aᵀ U for U (cells × k), maybe in single precision.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when U does not fit; [`crate::Error::Cancelled`].
    fn project_transposed(&self, u: ArrayView2<f64>) -> Result<Array2<f64>> {
        self.apply_transpose(u)
    }
}
