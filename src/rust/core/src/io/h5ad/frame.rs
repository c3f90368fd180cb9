//! Tables of an AnnData file: `obs` and `var`. A group with a dataset or group per column (AnnData 0.7 and later), or a
//! dataset of records (before; see [`super::record`]). Categories are groups with `categories` and `codes`, datasets with
//! their categories in `__categories` (0.7), or in `uns/<column>_categories` (before).

use super::{Column, record};
use crate::io::h5::{Array, H5File, Kind};
use crate::{Context, Result};

/// Names of the rows.
pub fn index(file: &H5File, frame: &str) -> Result<Vec<String>> {
    if !file.is_group(frame) {
        return record::index(file, frame);
    }
    let name = index_name(file, frame)?;
    let array = file.array(&format!("{frame}/{name}"))?;
    match array.kind() {
        // Names that are numbers.
        Kind::Integer => Ok(array.integers(0..array.len())?.iter().map(i64::to_string).collect()),
        _ => array.texts(0..array.len()),
    }
}

fn index_name(file: &H5File, frame: &str) -> Result<String> {
    let named = file.text_attribute(frame, "_index")?;
    let usual = || ["_index", "index"].into_iter().find(|name| file.has(&format!("{frame}/{name}"))).map(str::to_owned);
    Ok(named.or_else(usual).unwrap_or_else(|| "_index".to_owned()))
}

/// All columns in their order; what is of an unknown kind is left out with a warning.
pub fn columns(file: &H5File, frame: &str, ctx: &Context) -> Result<Vec<(String, Column)>> {
    let names = column_names(file, frame)?;
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        ctx.check()?;
        match column(file, frame, &name)? {
            Some(values) => columns.push((name, values)),
            None => ctx.warn(format!(
                "{}: the column {frame}/{name} is of an unknown kind and left out",
                file.path().display()
            )),
        }
    }
    Ok(columns)
}

/// Names of the columns.
pub fn column_names(file: &H5File, frame: &str) -> Result<Vec<String>> {
    if !file.is_group(frame) {
        return record::column_names(file, frame);
    }
    let index = index_name(file, frame)?;
    let listed = file.text_attributes(frame, "column-order")?;
    // An empty list of columns may be written as numbers: then the members say that there are none.
    let names = listed.unwrap_or_else(|| file.names(frame));
    Ok(names.into_iter().filter(|name| *name != index && name != "__categories").collect())
}

/// A column; `None` if it is of an unknown kind.
pub fn column(file: &H5File, frame: &str, name: &str) -> Result<Option<Column>> {
    if !file.is_group(frame) {
        return record::column(file, frame, name);
    }
    let at = format!("{frame}/{name}");
    if file.is_group(&at) {
        return encoded(file, &at);
    }
    let array = file.array(&at)?;
    if array.shape().len() != 1 {
        return Ok(None);
    }
    let categories = format!("{frame}/__categories/{name}");
    if file.has(&categories) {
        return Ok(Some(category(&file.array(&categories)?, &array)?));
    }
    plain(&array)
}

/// A column that is a group.
fn encoded(file: &H5File, at: &str) -> Result<Option<Column>> {
    let part = |part: &str| file.array(&format!("{at}/{part}"));
    match file.text_attribute(at, "encoding-type")?.as_deref() {
        Some("categorical") => Ok(Some(category(&part("categories")?, &part("codes")?)?)),
        Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
            let (values, mask) = (part("values")?, part("mask")?);
            let missing = mask.flags(0..mask.len())?;
            if missing.len() != values.len() {
                return Err(mask.broken(format!("has {} elements for {} values", missing.len(), values.len())));
            }
            Ok(plain(&values)?.map(|column| mask_out(column, &missing)))
        }
        _ => Ok(None),
    }
}

/// A column of plain values.
pub fn plain(array: &Array) -> Result<Option<Column>> {
    let all = 0..array.len();
    Ok(match array.kind() {
        Kind::Integer => Some(whole_numbers(array.integers(all)?)),
        Kind::Real => Some(Column::Real(array.numbers(all)?)),
        Kind::Flag => Some(Column::Flag(array.flags(all)?.into_iter().map(Some).collect())),
        Kind::Text => Some(Column::Text(array.texts(all)?.into_iter().map(Some).collect())),
        Kind::Record | Kind::Other => None,
    })
}

/// Whole numbers, as such where they fit 32 bits.
fn whole_numbers(values: Vec<i64>) -> Column {
    let narrow = |&value: &i64| i32::try_from(value).ok().filter(|&value| value != i32::MIN);
    let integers: Option<Vec<i32>> = values.iter().map(narrow).collect();
    match integers {
        Some(integers) => Column::Integer(integers.into_iter().map(Some).collect()),
        None => Column::Real(values.into_iter().map(|value| value as f64).collect()),
    }
}

/// A column of categories from their names and a code per row.
pub fn category(categories: &Array, codes: &Array) -> Result<Column> {
    let levels = level_names(categories)?;
    let codes_of = codes.integers(0..codes.len())?;
    let code = |&code: &i64| match u32::try_from(code) {
        Ok(code) if (code as usize) < levels.len() => Ok(Some(code)),
        // AnnData writes -1 where there is none.
        _ if code == -1 => Ok(None),
        _ => Err(codes.broken(format!("holds the code {code}, but there are {} categories", levels.len()))),
    };
    let codes = codes_of.iter().map(code).collect::<Result<_>>()?;
    Ok(Column::Category { levels, codes })
}

/// Names of categories, which may be numbers or flags.
fn level_names(categories: &Array) -> Result<Vec<String>> {
    let all = 0..categories.len();
    match categories.kind() {
        Kind::Text => categories.texts(all),
        Kind::Integer => Ok(categories.integers(all)?.iter().map(i64::to_string).collect()),
        Kind::Flag => {
            Ok(categories.flags(all)?.iter().map(|&flag| if flag { "True" } else { "False" }.to_owned()).collect())
        }
        _ => Ok(categories.numbers(all)?.iter().map(f64::to_string).collect()),
    }
}

fn mask_out(column: Column, missing: &[bool]) -> Column {
    fn keep<T>(values: Vec<Option<T>>, missing: &[bool]) -> Vec<Option<T>> {
        values.into_iter().zip(missing).map(|(value, &missing)| value.filter(|_| !missing)).collect()
    }
    match column {
        Column::Text(values) => Column::Text(keep(values, missing)),
        Column::Integer(values) => Column::Integer(keep(values, missing)),
        Column::Flag(values) => Column::Flag(keep(values, missing)),
        Column::Category { levels, codes } => Column::Category { levels, codes: keep(codes, missing) },
        Column::Real(values) => Column::Real(
            values.into_iter().zip(missing).map(|(x, &missing)| if missing { f64::NAN } else { x }).collect(),
        ),
    }
}
