//! Reads the golden fixtures (`tests/golden`, see its README for what lies where) and measures how far results are from them.
//!
//! The folder is that of the variable `SAMAP_GOLDEN` where it is set, else the one that ships with the sources.

// Each test file uses its own part of this module; a fixture that cannot be read fails the test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hdf5_metno::types::{TypeDescriptor, VarLenUnicode};
use hdf5_metno::{Dataset, File, H5Type};
use ndarray::{Array2, ArrayView1, ArrayView2};
use samap_core::sparse::{Expression, Graph, row};
use sprs::SpIndex;
use std::path::PathBuf;

/// The folder of the fixtures.
pub fn folder() -> PathBuf {
    match std::env::var_os("SAMAP_GOLDEN") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden/sc-samap-3.0.1"),
    }
}

/// One fixture: `small2` or `small3`.
pub struct Golden {
    file: File,
}

/// A data frame: row names, column names and the columns.
#[derive(Debug, Clone)]
pub struct Frame {
    pub index: Vec<String>,
    pub columns: Vec<String>,
    pub values: Vec<Values>,
}

/// A column of a frame.
#[derive(Debug, Clone)]
pub enum Values {
    Numbers(Vec<f64>),
    Text(Vec<String>),
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = folder().join(format!("{name}.h5"));
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Golden { file }
    }

    pub fn has(&self, path: &str) -> bool {
        self.file.link_exists(path)
    }

    /// Names of what a group holds, sorted.
    pub fn children(&self, path: &str) -> Vec<String> {
        let mut names = self.file.group(path).unwrap_or_else(|error| panic!("{path}: {error}")).member_names().unwrap();
        names.sort();
        names
    }

    /// Ids of the species in the order of the runs: hu, hb, ms.
    pub fn species(&self) -> Vec<String> {
        ["hu", "hb", "ms"].iter().filter(|id| self.has(&format!("species/{id}"))).map(|id| (*id).to_owned()).collect()
    }

    fn dataset(&self, path: &str) -> Dataset {
        self.file.dataset(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn numbers<T: H5Type>(&self, path: &str) -> Vec<T> {
        self.dataset(path).read_raw().unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn f64s(&self, path: &str) -> Vec<f64> {
        self.numbers(path)
    }

    pub fn f32s(&self, path: &str) -> Vec<f32> {
        self.numbers(path)
    }

    pub fn bools(&self, path: &str) -> Vec<bool> {
        self.numbers::<u8>(path).into_iter().map(|x| x != 0).collect()
    }

    pub fn strings(&self, path: &str) -> Vec<String> {
        self.numbers::<VarLenUnicode>(path).into_iter().map(|x| x.as_str().to_owned()).collect()
    }

    pub fn dense_f64(&self, path: &str) -> Array2<f64> {
        self.dataset(path).read_2d().unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn dense_f32(&self, path: &str) -> Array2<f32> {
        self.dataset(path).read_2d().unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Shape of a sparse matrix.
    pub fn shape(&self, path: &str) -> (usize, usize) {
        let group = self.file.group(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let shape: Vec<u64> = group.attr("shape").unwrap().read_raw().unwrap();
        (shape[0] as usize, shape[1] as usize)
    }

    fn pattern(&self, path: &str) -> (Vec<usize>, Vec<u32>) {
        let pointers = self.numbers::<i64>(&format!("{path}/indptr")).into_iter().map(|p| p as usize).collect();
        (pointers, self.numbers(&format!("{path}/indices")))
    }

    /// A sparse matrix as a graph.
    pub fn graph(&self, path: &str) -> Graph {
        let (pointers, columns) = self.pattern(path);
        Graph::new(self.shape(path), pointers, columns, self.f64s(&format!("{path}/data")))
    }

    /// A sparse cells × genes matrix of finite values ≥ 0 as counts or expression; its stored zeros stay.
    pub fn expression(&self, path: &str) -> Expression {
        let (pointers, columns) = self.pattern(path);
        let values = self.f32s(&format!("{path}/data"));
        Expression::from_rows(path, self.shape(path).1, &pointers, &columns, &values).unwrap()
    }

    /// A data frame.
    pub fn frame(&self, path: &str) -> Frame {
        let index = self.strings(&format!("{path}/index"));
        let columns = self.strings(&format!("{path}/columns"));
        let values = (0..columns.len())
            .map(|i| {
                let column = format!("{path}/col{i}");
                match self.dataset(&column).dtype().unwrap().to_descriptor().unwrap() {
                    TypeDescriptor::VarLenUnicode => Values::Text(self.strings(&column)),
                    _ => Values::Numbers(self.f64s(&column)),
                }
            })
            .collect();
        Frame { index, columns, values }
    }

    /// An attribute of a group as text, e.g. `K` of `mapping/default`.
    pub fn attribute(&self, path: &str, name: &str) -> String {
        let attribute = self.file.group(path).unwrap().attr(name).unwrap();
        match attribute.dtype().unwrap().to_descriptor().unwrap() {
            TypeDescriptor::VarLenUnicode => attribute.read_scalar::<VarLenUnicode>().unwrap().as_str().to_owned(),
            _ => attribute.read_scalar::<i64>().unwrap().to_string(),
        }
    }
}

impl Frame {
    /// Position of a column.
    pub fn position(&self, column: &str) -> usize {
        self.columns.iter().position(|c| c == column).unwrap_or_else(|| panic!("no column {column}"))
    }

    pub fn numbers(&self, column: &str) -> &[f64] {
        match &self.values[self.position(column)] {
            Values::Numbers(values) => values,
            Values::Text(_) => panic!("column {column} is text"),
        }
    }

    pub fn text(&self, column: &str) -> &[String] {
        match &self.values[self.position(column)] {
            Values::Text(values) => values,
            Values::Numbers(_) => panic!("column {column} is numeric"),
        }
    }

    /// All columns as one matrix; they must all be numeric.
    pub fn matrix(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.index.len(), self.columns.len()), |(i, j)| match &self.values[j] {
            Values::Numbers(values) => values[i],
            Values::Text(_) => panic!("column {} is text", self.columns[j]),
        })
    }
}

/// max|x − y| / max|y|; where y is all zero, max|x|. `NaN` anywhere gives infinity.
pub fn relative_error(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "lengths differ");
    let difference = x.iter().zip(y).map(|(a, b)| (a - b).abs()).fold(0.0, max_or_infinite);
    let scale = y.iter().map(|b| b.abs()).fold(0.0, f64::max);
    if scale > 0.0 { difference / scale } else { difference }
}

fn max_or_infinite(largest: f64, value: f64) -> f64 {
    if value.is_nan() { f64::INFINITY } else { largest.max(value) }
}

/// The largest [`relative_error`] of a row of two dense matrices.
pub fn row_relative_error<A, B>(x: ArrayView2<A>, y: ArrayView2<B>) -> f64
where
    A: Copy + Into<f64>,
    B: Copy + Into<f64>,
{
    assert_eq!(x.dim(), y.dim(), "shapes differ");
    x.outer_iter().zip(y.outer_iter()).map(|(a, b)| relative_error(&widened(a), &widened(b))).fold(0.0, f64::max)
}

fn widened<A: Copy + Into<f64>>(x: ArrayView1<A>) -> Vec<f64> {
    x.iter().map(|&v| v.into()).collect()
}

/// The largest relative error of a row of two sparse matrices, absent entries being 0.
pub fn graph_error(x: &Graph, y: &Graph) -> f64 {
    assert_eq!(x.shape(), y.shape(), "shapes differ");
    let dense = |matrix: &Graph, i: usize| {
        let mut values = vec![0.0; matrix.cols()];
        let (columns, weights) = row(matrix, i);
        columns.iter().zip(weights).for_each(|(&c, &w)| values[c as usize] = w);
        values
    };
    (0..x.rows()).map(|i| relative_error(&dense(x, i), &dense(y, i))).fold(0.0, f64::max)
}

/// Largest relative error of a row of two expression matrices, absent entries being 0.
pub fn expression_error(x: &Expression, y: &Expression) -> f64 {
    graph_error(&as_graph(x), &as_graph(y))
}

/// An expression matrix in double precision.
pub fn as_graph(x: &Expression) -> Graph {
    samap_core::with_expression!(x, matrix => {
        let columns = matrix.indices().iter().map(|c| c.index() as u32).collect();
        let values = matrix.data().iter().map(|&v| f64::from(v)).collect();
        Graph::new(matrix.shape(), matrix.indptr().raw_storage().to_vec(), columns, values)
    })
}

/// Shared edges over all edges of two graphs; edges with |weight| ≤ 1e-9 do not count.
pub fn jaccard(x: &Graph, y: &Graph) -> f64 {
    assert_eq!(x.shape(), y.shape(), "shapes differ");
    let (mut shared, mut all) = (0usize, 0usize);
    for i in 0..x.rows() {
        let (a, b) = (edges_of(x, i), edges_of(y, i));
        let both = a.iter().filter(|column| b.binary_search(column).is_ok()).count();
        shared += both;
        all += a.len() + b.len() - both;
    }
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

/// Columns of row `i` with |weight| > 1e-9, ascending.
pub fn edges_of(graph: &Graph, i: usize) -> Vec<u32> {
    let (columns, weights) = row(graph, i);
    columns.iter().zip(weights).filter(|(_, w)| w.abs() > 1e-9).map(|(&c, _)| c).collect()
}

/// Pearson correlation.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "lengths differ");
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xy += (a - mx) * (b - my);
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
    }
    xy / (xx * yy).sqrt()
}

/// Spearman correlation, with average ranks for ties.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| x[a] == x[b]) {
        let rank = start as f64 + (group.len() as f64 - 1.0) / 2.0;
        group.iter().for_each(|&i| ranks[i] = rank);
        start += group.len();
    }
    ranks
}
