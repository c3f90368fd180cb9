//! Dense linear algebra on top of faer, in `f64` but for the sparse products of the randomized solver, with the same bits for
//! any number of threads: products are cut into row blocks of fixed size, factorisations run with a constant degree.

pub mod eigen;
pub mod gemm;
mod gram;
pub(crate) mod integers;
pub mod lanczos;
pub mod operator;
pub mod pca;
pub mod qr;
pub mod randomized_svd;
pub mod scaled;
pub(crate) mod tiled;
mod tridiagonal;

#[cfg(test)]
mod tests;
