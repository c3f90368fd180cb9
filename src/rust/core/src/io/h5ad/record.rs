//! Tables of AnnData before 0.7: one dataset whose elements are records, the names of the rows in the member `index` (or the
//! first one), categories as codes with their names in `uns/<column>_categories`.

use super::{Column, frame};
use crate::Result;
use crate::io::h5::{Array, H5File, Kind};

/// Names of the rows.
pub fn index(file: &H5File, frame: &str) -> Result<Vec<String>> {
    let array = table(file, frame)?;
    let name = index_name(&array);
    let names = array.member(&name);
    match names.kind() {
        Kind::Integer => Ok(names.integers(0..names.len())?.iter().map(i64::to_string).collect()),
        _ => names.texts(0..names.len()),
    }
}

/// Names of the columns.
pub fn column_names(file: &H5File, frame: &str) -> Result<Vec<String>> {
    let array = table(file, frame)?;
    let index = index_name(&array);
    Ok(array.members().into_iter().filter(|name| *name != index).collect())
}

/// A column; `None` if it is of an unknown kind.
pub fn column(file: &H5File, frame: &str, name: &str) -> Result<Option<Column>> {
    let values = table(file, frame)?.member(name);
    let categories = format!("uns/{name}_categories");
    if values.kind() == Kind::Integer && file.has(&categories) {
        return Ok(Some(frame::category(&file.array(&categories)?, &values)?));
    }
    frame::plain(&values)
}

fn table<'f>(file: &'f H5File, frame: &str) -> Result<Array<'f>> {
    let array = file.array(frame)?;
    if array.kind() != Kind::Record || array.shape().len() != 1 {
        return Err(array.broken("is no table: a group, or a dataset of records, is needed"));
    }
    Ok(array)
}

fn index_name(table: &Array) -> String {
    let members = table.members();
    let usual = members.iter().find(|name| matches!(name.as_str(), "index" | "_index"));
    usual.or_else(|| members.first()).cloned().unwrap_or_default()
}
