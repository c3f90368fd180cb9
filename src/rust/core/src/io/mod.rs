//! Files in and out.

pub mod blast;
pub mod eggnog;
pub mod lines;
