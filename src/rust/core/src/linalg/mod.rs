//! Dense linear algebra on top of faer, always in `f64`, with the same bits for any number of threads: products are cut
//! into row blocks of fixed size, factorisations run sequentially.

pub mod eigen;
pub mod gemm;
pub mod lanczos;
pub mod operator;
pub mod pca;
pub mod qr;
pub mod randomized_svd;
pub mod scaled;

#[cfg(test)]
mod tests;
