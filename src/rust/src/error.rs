//! From the engine's errors to what R's `rust_value()` turns into classed conditions.

use extendr_api::prelude::*;
use samap_core::Error as CoreError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` and packs its value or its error for R: `list(value, error)`. A panic becomes an error of kind `internal`.
pub fn outcome(work: impl FnOnce() -> samap_core::Result<Robj>) -> Robj {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => list!(value = value, error = NULL).into(),
        Ok(Err(error)) => list!(value = NULL, error = describe(&error)).into(),
        Err(panic) => list!(value = NULL, error = internal(&*panic)).into(),
    }
}

/// `list(kind, argument, message, found, remedy)` of an error of the engine; R shows the last three below each other.
pub fn describe(error: &CoreError) -> List {
    let or_null = |text: Option<&String>| text.map_or_else(|| NULL.into(), |text| Robj::from(text.as_str()));
    let parts = |message: String, argument: Option<&String>, found: Option<&String>, remedy: Option<&String>| {
        list!(
            kind = error.kind(),
            argument = or_null(argument),
            message = message,
            found = or_null(found),
            remedy = or_null(remedy)
        )
    };
    match error {
        CoreError::Argument { argument, found, remedy } => {
            parts(format!("`{argument}` cannot be used."), Some(argument), Some(found), Some(remedy))
        }
        CoreError::Parse { path, line, found, remedy } => {
            let message = format!("{}, line {line}, cannot be read.", path.display());
            parts(message, None, Some(found), Some(remedy))
        }
        CoreError::Program { program, reason, output } => {
            let said = if output.is_empty() { "nothing".to_owned() } else { format!("\n{output}") };
            let found = format!("It ended with {reason} and printed: {said}");
            parts(format!("`{program}` failed."), None, Some(&found), None)
        }
        CoreError::Dataset { path, dataset, found, remedy, .. } => {
            let place = if dataset.is_empty() { String::new() } else { format!(", {dataset},") };
            parts(format!("{}{place} cannot be used.", path.display()), None, Some(&sentence(found)), Some(remedy))
        }
        CoreError::NoHdf5 { path } => {
            let remedy = "Install samap with HDF5: see the section on installation in the README.".to_owned();
            let message = format!("{} cannot be used.", path.display());
            parts(message, None, Some(&"This build of samap has no HDF5.".to_owned()), Some(&remedy))
        }
        CoreError::Disk { folder, bytes, free } => {
            let left = free.map_or("less".to_owned(), megabytes);
            let found = format!("A file there needs {}; free: {left}.", megabytes(*bytes));
            let remedy = "Free some space, or name a folder on a larger disk: `samap_control(on_disk = \"folder\")`.";
            let message = format!("There is too little room in {} for the expression.", folder.display());
            parts(message, Some(&"control".to_owned()), Some(&found), Some(&remedy.to_owned()))
        }
        _ => parts(error.to_string(), None, None, None),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}

/// A sentence of what begins with the dataset it is about.
fn sentence(found: &str) -> String {
    format!("It {found}.")
}

/// The same for a panic, which is always a mistake of ours.
pub fn internal(panic: &(dyn Any + Send)) -> List {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let found = text.unwrap_or("unknown panic").to_owned();
    let message = format!("internal error: {found}");
    list!(kind = "internal", message = message, found = found, remedy = "Please report this as a bug of samap.")
}

/// An R object of the wrong type, which the R side should have stopped.
pub fn wrong(argument: &str, needed: &str) -> CoreError {
    CoreError::argument(argument, "has the wrong type", format!("It must be {needed}."))
}

/// Wraps the errors of the R interface itself.
pub fn interface(error: extendr_api::Error) -> CoreError {
    CoreError::Numerical { operation: "conversion to or from R", reason: error.to_string() }
}
