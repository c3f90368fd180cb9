//! Files in and out.

pub mod blast;
