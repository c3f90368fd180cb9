//! SAM, the part of the mapping that looks at one species alone (Tarashansky et al. 2019): counts → [`preprocess`] →
//! [`run`] (gene weights and neighbours found in turn; [`weights`], batches corrected by [`harmony`]) → [`loadings`] for
//! the projection of the mapping.

pub mod harmony;
pub mod loadings;
pub mod preprocess;
pub mod run;
pub mod weights;

pub use harmony::{Batch, HarmonyOptions};
pub use preprocess::{PreprocessOptions, Preprocessed};
pub use run::{SamOptions, SamResult};

#[cfg(test)]
mod tests;
