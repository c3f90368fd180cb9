//! Glue between R and samap-core.
