//! Glue between R and samap-core: parses R objects, calls the engine, packs what it returns. No algorithm lives here.

mod convert;
mod error;
mod job;

use extendr_api::prelude::*;

extendr_module! {
    mod samap;
    use job;
}
