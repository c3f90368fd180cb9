//! Between R objects and the engine's types. R's matrices are genes × cells and column-major, so the columns of a
//! `dgCMatrix` of counts are the rows of the engine's cells × genes matrix: it is read in place.

use crate::error::{interface, wrong};
use crate::job::pool;
use extendr_api::prelude::*;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use samap_core::analysis::UNLABELLED;
use samap_core::knn::Neighbours;
use samap_core::sparse::{Expression, Graph};
use samap_core::{Error as CoreError, Result, with_expression};
use sprs::SpIndex;
use std::collections::HashMap;
use std::path::PathBuf;

/// A named list from R with typed access; errors carry the name of the element.
pub struct Fields(HashMap<&'static str, Robj>);

impl Fields {
    /// The elements of `object`, a named list.
    pub fn of(argument: &str, object: &Robj) -> Result<Self> {
        let list = object.as_list().ok_or_else(|| wrong(argument, "a named list"))?;
        list.try_into().map(Fields).map_err(|_| wrong(argument, "a named list"))
    }

    /// The element itself, `None` if it is missing or NULL.
    pub fn optional(&self, name: &str) -> Option<&Robj> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The element itself.
    pub fn get(&self, name: &str) -> Result<&Robj> {
        self.optional(name).ok_or_else(|| CoreError::argument(name, "is missing", "Give it a value."))
    }

    /// A finite or infinite number.
    pub fn number(&self, name: &str) -> Result<f64> {
        let value = self.get(name)?;
        let number = value.as_real().or_else(|| value.as_integer().map(f64::from));
        number.filter(|x| !x.is_nan()).ok_or_else(|| wrong(name, "one number that is not NA"))
    }

    /// A whole number ≥ 0.
    pub fn count(&self, name: &str) -> Result<usize> {
        let number = self.number(name)?;
        if number >= 0.0 && number.fract() == 0.0 && number < 9.0e15 {
            Ok(number as usize)
        } else {
            Err(CoreError::argument(name, format!("is {number}"), "It must be a whole number of at least 0."))
        }
    }

    /// TRUE or FALSE.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.get(name)?.as_bool().ok_or_else(|| wrong(name, "TRUE or FALSE"))
    }

    /// One string.
    pub fn text(&self, name: &str) -> Result<&'static str> {
        self.get(name)?.as_str().ok_or_else(|| wrong(name, "one string"))
    }

    /// One of `choices`, by its name.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text(name)?;
        choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(choice, _)| format!("\"{choice}\"")).collect();
            CoreError::argument(name, format!("is \"{text}\""), format!("It must be one of {}.", names.join(", ")))
        })
    }

    /// A vector of numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let value = self.get(name)?;
        let whole = || value.as_integer_vector().map(|v| v.into_iter().map(f64::from).collect());
        value.as_real_vector().or_else(whole).ok_or_else(|| wrong(name, "a vector of numbers"))
    }

    /// R's 1-based indices as 0-based ones, all below `limit`.
    pub fn indices(&self, name: &str, limit: usize) -> Result<Vec<u32>> {
        indices(name, self.get(name)?, limit)
    }
}

/// A folder; `None` for NULL.
pub fn folder(name: &str, object: &Robj) -> Result<Option<PathBuf>> {
    if object.is_null() {
        return Ok(None);
    }
    object.as_str().map(|path| Some(PathBuf::from(path))).ok_or_else(|| wrong(name, "NULL or the path of a folder"))
}

/// R's 1-based indices as 0-based ones, all below `limit`.
pub fn indices(name: &str, object: &Robj, limit: usize) -> Result<Vec<u32>> {
    let values = object.as_integer_slice().ok_or_else(|| wrong(name, "a vector of integers"))?;
    let checked = values.iter().map(|&value| match usize::try_from(value) {
        Ok(index) if (1..=limit).contains(&index) => Ok(index as u32 - 1),
        _ => {
            Err(CoreError::argument(name, format!("holds the index {value}"), format!("Indices go from 1 to {limit}.")))
        }
    });
    checked.collect()
}

/// A vector of strings, none of them NA.
pub fn strings(name: &str, object: &Robj) -> Result<Vec<String>> {
    let values: Strings = object.clone().try_into().map_err(|_| wrong(name, "a vector of strings"))?;
    let text = |value: &Rstr| {
        if value.is_na() { Err(wrong(name, "a vector of strings without NA")) } else { Ok(value.to_string()) }
    };
    values.iter().map(text).collect()
}

/// Labels from R (1-based, NA = none) as 0-based ones, [`UNLABELLED`] where there is none.
pub fn labels(name: &str, object: &Robj, limit: usize) -> Result<Vec<u32>> {
    let values = object.as_integer_slice().ok_or_else(|| wrong(name, "a vector of integers"))?;
    let checked = values.iter().map(|&value| match usize::try_from(value) {
        _ if value == i32::MIN => Ok(UNLABELLED),
        Ok(index) if (1..=limit).contains(&index) => Ok(index as u32 - 1),
        _ => {
            Err(CoreError::argument(name, format!("holds the label {value}"), format!("Labels go from 1 to {limit}.")))
        }
    });
    checked.collect()
}

/// Back to R's 1-based indices.
pub fn indices_to_r(indices: impl IntoIterator<Item = u32>) -> Robj {
    indices.into_iter().map(|index| index as i32 + 1).collect::<Vec<i32>>().into()
}

/// The slots of a `dgCMatrix`, borrowed.
pub struct SparseSlots {
    /// Rows and columns.
    pub dim: (usize, usize),
    /// Column pointers.
    pub pointers: &'static [i32],
    /// Row indices.
    pub rows: &'static [i32],
    /// Values.
    pub values: &'static [f64],
}

impl SparseSlots {
    /// Borrows the slots of `object`. They live as long as R keeps the object: whoever holds this holds `object` too.
    pub fn of(argument: &str, object: &Robj) -> Result<Self> {
        let needed = "a dgCMatrix";
        let matrix: S4 = object.clone().try_into().map_err(|_| wrong(argument, needed))?;
        let slot = |name: &str| matrix.get_slot(name).ok_or_else(|| wrong(argument, needed));
        let integers = |name: &str| slot(name)?.as_integer_slice().ok_or_else(|| wrong(argument, needed));
        let dim = integers("Dim")?;
        let values = detached(&slot("x")?).ok_or_else(|| wrong(argument, needed))?;
        match dim {
            [rows, columns] => Ok(SparseSlots {
                dim: (*rows as usize, *columns as usize),
                pointers: integers("p")?,
                rows: integers("i")?,
                values,
            }),
            _ => Err(wrong(argument, needed)),
        }
    }

    /// Counts, genes × cells in R, as the engine's cells × genes.
    pub fn expression(&self, argument: &str) -> Result<Expression> {
        Expression::from_rows(argument, self.dim.0, self.pointers, self.rows, self.values)
    }
}

/// The data of a vector of doubles, without the lifetime of the handle that was used to reach it.
fn detached(vector: &Robj) -> Option<&'static [f64]> {
    let slice = vector.as_real_slice()?;
    // SAFETY: the slice is the data of an R vector that is a slot of an object the caller of `SparseSlots::of` keeps
    // protected from R's garbage collector, which never moves objects. Nobody writes to it meanwhile.
    Some(unsafe { std::slice::from_raw_parts(slice.as_ptr(), slice.len()) })
}

/// A `dgCMatrix` (row = source) as a graph.
pub fn graph_from_r(argument: &str, object: &Robj) -> Result<Graph> {
    let slots = SparseSlots::of(argument, object)?;
    let view = sprs::CsMatViewI::try_new_csc(slots.dim, slots.pointers, slots.rows, slots.values)
        .map_err(|(_, _, _, error)| CoreError::argument(argument, error.to_string(), "Pass a valid dgCMatrix."))?;
    let csr = view.to_csr();
    let (rows, columns) = slots.dim;
    let (pointers, indices, values) = csr.into_raw_storage();
    let pointers = pointers.into_iter().map(|p| p as usize).collect();
    let indices = indices.into_iter().map(|i| i as u32).collect();
    Ok(Graph::new((rows, columns), pointers, indices, values))
}

/// The columns of a `dgCMatrix`, not yet R's.
pub struct Columns {
    dim: [usize; 2],
    pointers: Vec<i32>,
    rows: Vec<i32>,
    values: Vec<f64>,
}

impl Columns {
    /// Those of a graph (row = source).
    ///
    /// # Errors
    /// [`CoreError::Argument`] with more entries than a `dgCMatrix` holds.
    pub fn of(graph: &Graph) -> Result<Self> {
        if graph.nnz() > i32::MAX as usize {
            let found = format!("has {} entries", graph.nnz());
            return Err(CoreError::argument(
                "graph",
                found,
                "A dgCMatrix holds at most 2^31 - 1: map fewer cells at once.",
            ));
        }
        let (pointers, rows, values) = graph.to_csc().into_raw_storage();
        Ok(Columns::new([graph.rows(), graph.cols()], &pointers, rows, values))
    }

    /// Of at most 2^31 - 1 entries.
    fn new(dim: [usize; 2], pointers: &[usize], rows: Vec<u32>, values: Vec<f64>) -> Self {
        let pointers = pointers.iter().map(|&p| p as i32).collect();
        let rows = rows.into_iter().map(|i| i as i32).collect();
        Columns { dim, pointers, rows, values }
    }

    /// The `dgCMatrix`, without dimnames.
    pub fn into_r(self) -> Result<Robj> {
        // By its full name: `S4::new` would call any function of that name in the user's workspace.
        let matrix = R!("methods::new('dgCMatrix')").map_err(interface)?;
        let mut matrix: S4 = matrix.try_into().map_err(interface)?;
        matrix.set_slot("i", self.rows).map_err(interface)?;
        matrix.set_slot("p", self.pointers).map_err(interface)?;
        matrix.set_slot("x", self.values).map_err(interface)?;
        matrix.set_slot("Dim", self.dim.map(|n| n as i32).to_vec()).map_err(interface)?;
        Ok(matrix.into())
    }
}

/// A graph as a `dgCMatrix` (row = source) without dimnames.
pub fn graph_to_r(graph: &Graph) -> Result<Robj> {
    Columns::of(graph)?.into_r()
}

/// Counts of cells × genes as a `dgCMatrix` of genes × cells: the rows of the one are the columns of the other.
///
/// # Errors
/// [`CoreError::Argument`] with more entries than a `dgCMatrix` holds.
pub fn expression_to_r(expression: &Expression) -> Result<Robj> {
    if expression.stored() > i32::MAX as usize {
        let found = format!("have {} entries", expression.stored());
        return Err(CoreError::argument("counts", found, "A dgCMatrix holds at most 2^31 - 1."));
    }
    let dim = [expression.genes(), expression.cells()];
    with_expression!(expression, matrix => {
        let values = matrix.data().iter().map(|&x| f64::from(x)).collect();
        let genes = matrix.indices().iter().map(|gene| gene.index() as u32);
        Columns::new(dim, matrix.indptr().raw_storage(), genes.collect(), values).into_r()
    })
}

/// Rows that are copied at once into the columns of R: they stay in the cache meanwhile.
const ROWS: usize = 64;

/// Columns that are filled by one task.
const COLUMNS: usize = 64;

/// Fills a matrix of R, whose memory is `columns` × `rows`, from rows.
fn fill<T>(data: &mut [T], rows: usize, value: impl Fn(usize, usize) -> T) {
    for start in (0..rows).step_by(ROWS) {
        for (j, column) in data.chunks_exact_mut(rows.max(1)).enumerate() {
            let some = &mut column[start..rows.min(start + ROWS)];
            some.iter_mut().zip(start..).for_each(|(out, i)| *out = value(i, j));
        }
    }
}

/// A dense matrix of numbers for R, in memory of R from the start: some are large.
pub fn numbers_to_r(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Result<Robj> {
    let mut numbers = Robj::from(Doubles::new(rows * columns));
    fill(numbers.as_real_slice_mut().ok_or_else(no_slice)?, rows, value);
    with_dim(numbers, rows, columns)
}

/// The same of whole numbers.
fn integers_to_r(rows: usize, columns: usize, value: impl Fn(usize, usize) -> i32) -> Result<Robj> {
    let mut numbers = Robj::from(Integers::new(rows * columns));
    fill(numbers.as_integer_slice_mut().ok_or_else(no_slice)?, rows, value);
    with_dim(numbers, rows, columns)
}

fn with_dim(mut numbers: Robj, rows: usize, columns: usize) -> Result<Robj> {
    let size = |n: usize| i32::try_from(n).map_err(|_| wrong("matrix", "at most 2^31 - 1 rows and columns"));
    numbers.set_attrib("dim", [size(rows)?, size(columns)?]).map_err(interface)?;
    Ok(numbers)
}

fn no_slice() -> CoreError {
    wrong("matrix", "a vector of numbers")
}

/// A dense matrix for R.
pub fn matrix_to_r<T: Copy + Into<f64>>(matrix: ArrayView2<T>) -> Result<Robj> {
    numbers_to_r(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)].into())
}

/// The same of a large matrix, by several threads.
pub fn large_matrix_to_r(matrix: ArrayView2<f32>, threads: i32) -> Result<Robj> {
    let (rows, columns) = matrix.dim();
    let mut numbers = Robj::from(Doubles::new(rows * columns));
    let data = numbers.as_real_slice_mut().ok_or_else(no_slice)?;
    pool(threads)?.install(|| {
        let shares = data.par_chunks_mut(COLUMNS * rows.max(1)).enumerate();
        shares.for_each(|(share, data)| fill(data, rows, |i, j| matrix[(i, COLUMNS * share + j)].into()));
    });
    with_dim(numbers, rows, columns)
}

/// Rows of equal length as a matrix for R.
pub fn rows_to_r(rows: &[Vec<f64>]) -> Result<Robj> {
    numbers_to_r(rows.len(), rows.first().map_or(0, Vec::len), |i, j| rows[i][j])
}

/// A dense matrix of R as `f32`.
pub fn matrix_from_r(argument: &str, object: &Robj) -> Result<Array2<f32>> {
    let matrix: RMatrix<f64> = object.clone().try_into().map_err(|_| wrong(argument, "a numeric matrix"))?;
    let data = matrix.data();
    let rows = matrix.nrows();
    Ok(Array2::from_shape_fn((rows, matrix.ncols()), |(i, j)| data[i + j * rows] as f32))
}

/// Neighbour indices (cells × k, 1-based) and distances for R.
pub fn neighbours_to_r(neighbours: &Neighbours) -> Result<(Robj, Robj)> {
    let (n, k) = (neighbours.cells(), neighbours.k);
    let index = integers_to_r(n, k, |i, j| neighbours.indices[i * k + j] as i32 + 1)?;
    Ok((index, numbers_to_r(n, k, |i, j| neighbours.distances[i * k + j])?))
}

/// Neighbours from R's matrix of 1-based indices; the distances are not needed by the mapping and left out.
pub fn neighbours_from_r(argument: &str, object: &Robj) -> Result<Neighbours> {
    let matrix: RMatrix<i32> = object.clone().try_into().map_err(|_| wrong(argument, "a matrix of integers"))?;
    let (n, k) = (matrix.nrows(), matrix.ncols());
    let by_column = indices(argument, object, n)?;
    let indices = (0..n * k).map(|at| by_column[at / k + (at % k) * n]).collect();
    Ok(Neighbours { k, indices, distances: Vec::new() })
}
