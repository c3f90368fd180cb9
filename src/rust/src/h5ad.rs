//! AnnData files: the description of what there is in one, and writing one.

use crate::convert::{Fields, folder, graph_from_r, graph_to_r, indices_to_r, matrix_to_r, neighbours_to_r};
use crate::counts::{Counts, FORMATS};
use crate::error::{interface, outcome, wrong};
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use ndarray::Array2;
use samap_core::Result;
use samap_core::io::h5ad::{self, AtlasFile, Column, Document, Node, SavedMapping, SavedSam, Selection, Table};
use samap_core::knn::Neighbours;
use samap_core::sparse::{Graph, either_direction};
use std::path::PathBuf;

/// Whether this build reads and writes HDF5 files.
#[extendr]
fn has_hdf5_() -> bool {
    h5ad::AVAILABLE
}

/// Describes a file: `list(format, matrix, dim, nonzeros, genes, barcodes, cells, fractional, passed_over)`.
#[extendr]
fn inspect_start(path: String, layer: Robj, var_names: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let text = |name: &str, object: &Robj| match object.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None if object.is_null() => Ok(None),
            None => Err(wrong(name, "NULL or one string")),
        };
        let selection = Selection { layer: text("layer", &layer)?, var_names: text("var_names", &var_names)? };
        let path = PathBuf::from(path);
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("describe", 1, || h5ad::inspect(&path, &selection, ctx))?;
            Ok(Box::new(move || file_to_r(found)) as Pack)
        })
    })
}

fn file_to_r(found: AtlasFile) -> Result<Robj> {
    let counts = found.counts;
    let format = FORMATS.iter().find(|(_, format)| *format == counts.format).map_or("", |(name, _)| name);
    Ok(list!(
        format = format,
        matrix = counts.matrix,
        dim = vec![counts.genes as f64, counts.cells as f64],
        nonzeros = counts.stored as f64,
        genes = found.gene_names,
        barcodes = found.barcodes,
        cells = columns_to_r(found.columns)?,
        fractional = found.fractional,
        passed_over = found.passed_over.map_or_else(|| NULL.into(), Robj::from)
    )
    .into())
}

fn columns_to_r(columns: Vec<(String, Column)>) -> Result<List> {
    let (names, values): (Vec<String>, Vec<Column>) = columns.into_iter().unzip();
    let columns = values.into_iter().map(column_to_r).collect::<Result<Vec<Robj>>>()?;
    let mut list = List::from_values(columns);
    list.set_names(names).map_err(interface)?;
    Ok(list)
}

fn column_to_r(column: Column) -> Result<Robj> {
    Ok(match column {
        Column::Text(values) => values.into_iter().collect_robj(),
        Column::Integer(values) => values.into_iter().collect_robj(),
        Column::Flag(values) => values.into_iter().collect_robj(),
        Column::Real(values) => values.into(),
        Column::Category { levels, codes } => {
            let mut factor = codes.into_iter().map(|code| code.map(|code| code as i32 + 1)).collect_robj();
            factor.set_attrib("levels", levels).map_err(interface)?;
            factor.set_class(["factor"]).map_err(interface)?;
            factor
        }
    })
}

/// Reads coordinates of the cells (`obsm`).
#[extendr]
fn reduction_start(path: String, name: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let path = PathBuf::from(path);
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("read", 1, || h5ad::read_reduction(&path, &name))?;
            Ok(Box::new(move || matrix_to_r(found.view())) as Pack)
        })
    })
}

/// Reads a run of SAM that the Python reference saved.
#[extendr]
fn saved_sam_start(path: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let path = PathBuf::from(path);
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("read", 1, || h5ad::read_sam(&path, ctx))?;
            Ok(Box::new(move || saved_to_r(found)) as Pack)
        })
    })
}

fn saved_to_r(found: SavedSam) -> Result<Robj> {
    let neighbours = Neighbours { k: found.k, indices: found.indices, distances: found.distances };
    let (index, distance) = neighbours_to_r(&neighbours)?;
    Ok(list!(
        weights = found.weights,
        dispersions = found.dispersions,
        means = found.means,
        variances = found.variances,
        kept = found.kept,
        neighbor_index = index,
        neighbor_distance = distance,
        scores = matrix_to_r(found.scores.view())?,
        pcs = matrix_to_r(found.loadings.view())?,
        preprocess = parameters_to_r(found.preprocess)?,
        run = parameters_to_r(found.run)?
    )
    .into())
}

/// Reads a mapping that the Python reference saved.
#[extendr]
fn saved_mapping_start(path: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let path = PathBuf::from(path);
        Job::start(threads, memory, vec![], move |ctx| {
            let found = ctx.phase("read", 1, || h5ad::read_mapping(&path, ctx))?;
            Ok(Box::new(move || mapping_to_r(found)) as Pack)
        })
    })
}

fn mapping_to_r(found: SavedMapping) -> Result<Robj> {
    let edges = found.edges;
    Ok(list!(
        species = found.species,
        n_cells = found.cells.into_iter().map(|cells| cells as i32).collect::<Vec<i32>>(),
        barcodes = found.barcodes,
        cells = columns_to_r(found.columns)?,
        k = found.k,
        graph = graph_to_r(&found.graph)?,
        umap = found.umap.map_or_else(|| Ok(NULL.into()), |umap| matrix_to_r(umap.view()))?,
        gene_species = indices_to_r(found.gene_species),
        genes = found.genes,
        matched = found.matched,
        gene_a = indices_to_r(edges.iter().map(|edge| edge.a)),
        gene_b = indices_to_r(edges.iter().map(|edge| edge.b)),
        weight = edges.iter().map(|edge| edge.weight).collect::<Vec<f64>>(),
        correlation = edges.iter().map(|edge| edge.correlation).collect::<Vec<f64>>(),
        strangers = found.strangers as f64
    )
    .into())
}

/// Single values by their names.
fn parameters_to_r(nodes: Vec<(String, Node)>) -> Result<Robj> {
    let value = |node: &Node| match node {
        Node::Text(text) => Robj::from(text.as_str()),
        Node::Flag(flag) => Robj::from(*flag),
        Node::Number(number) => Robj::from(*number),
        _ => NULL.into(),
    };
    let mut list = List::from_values(nodes.iter().map(|(_, node)| value(node)));
    list.set_names(nodes.iter().map(|(name, _)| name.as_str())).map_err(interface)?;
    Ok(list.into())
}

/// Writes a file: `list()`. `document`: `list(obs, var, graphs, undirected, arrays, uns, counts, compress)` with tables
/// `list(index, columns)`; graphs (dgCMatrix; `undirected`: the larger weight of both directions is written) and arrays
/// (matrix) named by their places; and the counts of every species. `files`: as for
/// `expression_start`.
#[extendr]
fn write_start(path: String, document: Robj, files: Robj, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = Fields::of("document", &document)?;
        let counts: Vec<Counts> =
            elements(&fields, "counts")?.iter().map(|(_, counts)| Counts::of(counts)).collect::<Result<_>>()?;
        let graph = |(name, graph): (String, Robj)| Ok((name, graph_from_r("graph", &graph)?));
        let graphs: Vec<(String, Graph)> =
            elements(&fields, "graphs")?.into_iter().map(graph).collect::<Result<_>>()?;
        let undirected: Vec<(String, Graph)> =
            elements(&fields, "undirected")?.into_iter().map(graph).collect::<Result<_>>()?;
        let array = |(name, array): (String, Robj)| Ok((name, matrix(&array)?));
        let arrays: Vec<(String, Array2<f64>)> =
            elements(&fields, "arrays")?.into_iter().map(array).collect::<Result<_>>()?;
        let (obs, var) = (table(&fields, "obs")?, table(&fields, "var")?);
        let uns = elements(&fields, "uns")?.iter().filter_map(node).collect::<Result<_>>()?;
        let compress = fields.flag("compress")?;
        Job::start_in(folder("on_disk", &files)?, threads, memory, vec![document.clone()], move |ctx| {
            let undirected = undirected.into_iter().map(|(name, graph)| (name, either_direction(&graph)));
            let graphs = graphs.into_iter().chain(undirected).collect();
            let counts = counts.iter().map(|counts| (counts.samples(), counts.genes())).collect();
            h5ad::write(&PathBuf::from(path), &Document { obs, var, graphs, arrays, uns, counts, compress }, ctx)?;
            Ok(Box::new(move || Ok(list!().into())) as Pack)
        })
    })
}

/// The elements of a list with their names; none for NULL.
fn elements(fields: &Fields, name: &str) -> Result<Vec<(String, Robj)>> {
    let Some(object) = fields.optional(name) else { return Ok(Vec::new()) };
    let list = object.as_list().ok_or_else(|| wrong(name, "a list"))?;
    Ok(list.iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn matrix(object: &Robj) -> Result<Array2<f64>> {
    let matrix: RMatrix<f64> = object.clone().try_into().map_err(|_| wrong("arrays", "numeric matrices"))?;
    let (rows, data) = (matrix.nrows(), matrix.data());
    Ok(Array2::from_shape_fn((rows, matrix.ncols()), |(i, j)| data[i + j * rows]))
}

fn table(fields: &Fields, name: &str) -> Result<Table> {
    let fields = Fields::of(name, fields.get(name)?)?;
    let index = strings("index", fields.get("index")?)?.into_iter().map(Option::unwrap_or_default).collect();
    let columns = elements(&fields, "columns")?;
    let columns =
        columns.into_iter().map(|(name, values)| Ok((name, column_from_r(&values)?))).collect::<Result<_>>()?;
    Ok(Table { index, columns })
}

/// A data frame; its rows are named by their numbers.
fn frame(object: &Robj) -> Result<Table> {
    let list = object.as_list().ok_or_else(|| wrong("uns", "data frames"))?;
    let columns: Vec<(String, Column)> =
        list.iter().map(|(name, values)| Ok((name.to_owned(), column_from_r(&values)?))).collect::<Result<_>>()?;
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    Ok(Table { index: (1..=rows).map(|row| row.to_string()).collect(), columns })
}

fn strings(name: &str, object: &Robj) -> Result<Vec<Option<String>>> {
    let strings: Strings = object.clone().try_into().map_err(|_| wrong(name, "strings"))?;
    Ok(strings.iter().map(|text| (!text.is_na()).then(|| text.to_string())).collect())
}

fn column_from_r(object: &Robj) -> Result<Column> {
    let integers = |object: &Robj| -> Result<Vec<Option<i32>>> {
        let values = object.as_integer_slice().ok_or_else(|| wrong("columns", "vectors"))?;
        Ok(values.iter().map(|&value| (value != i32::MIN).then_some(value)).collect())
    };
    if object.is_factor() {
        let levels = object.get_attrib("levels").ok_or_else(|| wrong("columns", "factors with levels"))?;
        let codes = integers(object)?.into_iter().map(|code| code.map(|code| code as u32 - 1)).collect();
        return Ok(Column::Category { levels: strings("levels", &levels)?.into_iter().flatten().collect(), codes });
    }
    if object.is_logical() {
        let flags = object.as_logical_slice().ok_or_else(|| wrong("columns", "vectors"))?;
        return Ok(Column::Flag(flags.iter().map(|flag| (!flag.is_na()).then(|| flag.is_true())).collect()));
    }
    if object.is_integer() {
        return Ok(Column::Integer(integers(object)?));
    }
    match object.as_real_vector() {
        Some(values) => Ok(Column::Real(values)),
        None => Ok(Column::Text(strings("columns", object)?)),
    }
}

/// A parameter; nothing for NULL, which AnnData does not have.
fn node((name, object): &(String, Robj)) -> Option<Result<(String, Node)>> {
    if object.is_null() {
        return None;
    }
    Some(value(object).map(|node| (name.clone(), node)))
}

fn value(object: &Robj) -> Result<Node> {
    if object.inherits("data.frame") {
        return Ok(Node::Table(frame(object)?));
    }
    if let Some(list) = object.as_list() {
        let children: Vec<(String, Robj)> = list.iter().map(|(name, value)| (name.to_owned(), value)).collect();
        return Ok(Node::Group(children.iter().filter_map(node).collect::<Result<_>>()?));
    }
    let single = object.len() == 1;
    Ok(match column_from_r(object)? {
        Column::Text(values) => {
            let values: Vec<String> = values.into_iter().map(Option::unwrap_or_default).collect();
            if single { Node::Text(values.concat()) } else { Node::Texts(values) }
        }
        Column::Flag(values) => {
            let values: Vec<bool> = values.into_iter().map(|flag| flag == Some(true)).collect();
            if single { Node::Flag(values[0]) } else { Node::Flags(values) }
        }
        Column::Category { levels, codes } => {
            let name = |code: Option<u32>| code.and_then(|code| levels.get(code as usize).cloned()).unwrap_or_default();
            Node::Texts(codes.into_iter().map(name).collect())
        }
        Column::Integer(values) => {
            numbers(values.into_iter().map(|value| value.map_or(f64::NAN, f64::from)).collect(), single)
        }
        Column::Real(values) => numbers(values, single),
    })
}

fn numbers(values: Vec<f64>, single: bool) -> Node {
    if single { Node::Number(values[0]) } else { Node::Numbers(values) }
}

extendr_module! {
    mod h5ad;
    fn has_hdf5_;
    fn inspect_start;
    fn reduction_start;
    fn saved_mapping_start;
    fn saved_sam_start;
    fn write_start;
}
