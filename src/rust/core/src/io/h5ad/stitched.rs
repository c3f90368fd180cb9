//! What the Python reference saved of a mapping: the stitched AnnData (`sm.samap.adata.write_h5ad()`). `obs` has the species of
//! every cell, `obsp` the stitched graph, `varp` the homology as given and refined, `uns` the number of neighbours in other
//! species and the genes with homology. Genes are called `<species>_<gene>`. Counts and SAM weights are not in it.

use super::layout::{dense, quoted};
use super::saved::square;
use super::{Column, SavedEdge, SavedMapping, frame};
use crate::io::h5::H5File;
use crate::sparse::{Graph, either_direction, row};
use crate::{Context, Error, Result};
use std::collections::HashSet;
use std::path::Path;

const GRAPH: &str = "obsp/connectivities";
const HOMOLOGY: &str = "varp/homology_graph";
const REFINED: &str = "varp/homology_graph_reweighted";

/// Reads a mapping.
///
/// # Errors
/// [`Error::Io`] and [`Error::Dataset`]; of kind `no_samap` if the file holds none.
pub fn read_mapping(path: &Path, ctx: &Context) -> Result<SavedMapping> {
    let file = H5File::open(path)?;
    check_parts(&file)?;
    let barcodes = frame::index(&file, "obs")?;
    let (species, cells) = species_of_cells(&file, barcodes.len())?;
    ctx.check()?;
    let graph = weights(&file, GRAPH, barcodes.len())?;
    ctx.check()?;
    let names = frame::index(&file, "var")?;
    let (gene_species, genes) = species_of_genes(&file, &names, &species)?;
    let known = genes_with_homology(&file)?;
    let (edges, strangers) = homology(&file, &gene_species)?;
    let columns = frame::columns(&file, "obs", ctx)?;
    for (column, values) in &columns {
        if values.len() != barcodes.len() {
            let found = format!("has {} rows for {} cells", values.len(), barcodes.len());
            return Err(file.broken(&format!("obs/{column}"), found));
        }
    }
    let umap = if file.has("obsm/X_umap") { Some(dense(&file, "obsm/X_umap", barcodes.len())?) } else { None };
    Ok(SavedMapping {
        species,
        cells,
        columns,
        k: neighbours(&file)?,
        graph,
        umap,
        matched: names.iter().map(|name| known.contains(name)).collect(),
        barcodes,
        gene_species,
        genes,
        edges,
        strangers,
    })
}

fn check_parts(file: &H5File) -> Result<()> {
    let refused = |part: &str, found: &str, remedy: &str| {
        Err(Error::dataset("no_samap", file.path(), part, found.to_owned(), remedy.to_owned()))
    };
    if file.has("uns/samap") {
        return refused("uns/samap", "says that `write_h5ad()` wrote the file", "Keep results with `saveRDS()`.");
    }
    for part in ["obs/species", GRAPH, "uns/mapping_K"] {
        if !file.has(part) {
            let remedy = "A file is needed that Python wrote of a mapping, by `sm.samap.adata.write_h5ad(path)`; \
                          `read_sam_h5ad()` takes runs of SAM of one species, and other files are atlases.";
            return refused(part, "is not there", remedy);
        }
    }
    Ok(())
}

fn neighbours(file: &H5File) -> Result<f64> {
    let array = file.array("uns/mapping_K")?;
    let k = array.scalar()?;
    if k.is_finite() && k >= 1.0 { Ok(k) } else { Err(array.broken(format!("is {k}; 1 or more are needed"))) }
}

/// A graph whose weights are such.
fn weights(file: &H5File, name: &str, size: usize) -> Result<Graph> {
    let graph = square(file, name, size)?;
    match graph.data().iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        Some(weight) => Err(file.broken(name, format!("holds the weight {weight}"))),
        None => Ok(graph),
    }
}

/// The species in the order of their cells, which lie together, and their numbers of cells.
fn species_of_cells(file: &H5File, cells: usize) -> Result<(Vec<String>, Vec<usize>)> {
    let at = "obs/species";
    let of: Vec<Option<String>> = match frame::column(file, "obs", "species")? {
        Some(Column::Text(values)) => values,
        Some(Column::Category { levels, codes }) => {
            codes.into_iter().map(|code| code.and_then(|code| levels.get(code as usize).cloned())).collect()
        }
        _ => return Err(file.broken(at, "is no column of text")),
    };
    if of.len() != cells {
        return Err(file.broken(at, format!("has {} rows for {cells} cells", of.len())));
    }
    let (mut species, mut counts): (Vec<String>, Vec<usize>) = (Vec::new(), Vec::new());
    for (cell, id) in of.into_iter().enumerate() {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Err(file.broken(at, format!("has no species for cell {cell}")));
        };
        match counts.last_mut() {
            Some(count) if species.last() == Some(&id) => *count += 1,
            _ if species.contains(&id) => {
                return Err(file.broken(at, format!("has the cells of {id} in several places")));
            }
            _ => {
                species.push(id);
                counts.push(1);
            }
        }
    }
    if species.len() < 2 {
        return Err(file.broken(at, format!("names {} species; a mapping has two or more", species.len())));
    }
    Ok((species, counts))
}

/// The species of every gene, known by the prefix that the reference puts before all names, and the names without it.
/// Checked: the genes of a species lie together, in the order of the species.
fn species_of_genes(file: &H5File, names: &[String], species: &[String]) -> Result<(Vec<u32>, Vec<String>)> {
    let (mut of, mut genes) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
    for name in names {
        let bare = |id: &String| name.strip_prefix(id.as_str()).and_then(|rest| rest.strip_prefix('_'));
        let fitting = species.iter().enumerate().filter_map(|(at, id)| bare(id).map(|gene| (id.len(), at, gene)));
        let Some((_, at, gene)) = fitting.max_by_key(|&(length, ..)| length) else {
            let found = format!("names the gene \"{name}\", which begins with none of the species {}", quoted(species));
            return Err(file.broken("var", found));
        };
        if of.last().is_some_and(|&last| last > at as u32) {
            return Err(file.broken("var", format!("has the gene \"{name}\" after genes of another species")));
        }
        of.push(at as u32);
        genes.push(gene.to_owned());
    }
    Ok((of, genes))
}

/// Names, with their species, of the genes that the homology names.
fn genes_with_homology(file: &H5File) -> Result<HashSet<String>> {
    let group = "uns/homology_gene_names_dict";
    let mut known = HashSet::new();
    for species in file.names(group) {
        let array = file.array(&format!("{group}/{species}"))?;
        known.extend(array.texts(0..array.len())?);
    }
    Ok(known)
}

/// Pairs of genes of different species, each once, and how many refined pairs are not among them.
fn homology(file: &H5File, species: &[u32]) -> Result<(Vec<SavedEdge>, usize)> {
    if !file.has(HOMOLOGY) {
        return Ok((Vec::new(), 0));
    }
    let given = either_direction(&weights(file, HOMOLOGY, species.len())?);
    let refined = if file.has(REFINED) { Some(either_direction(&square(file, REFINED, species.len())?)) } else { None };
    let (mut edges, mut strangers) = (Vec::new(), 0);
    for a in 0..species.len() {
        let above = |graph: &Graph| -> Vec<(u32, f64)> {
            let (columns, values) = row(graph, a);
            let pairs = columns.iter().copied().zip(values.iter().copied());
            pairs.filter(|&(b, value)| species[b as usize] > species[a] && value != 0.0).collect()
        };
        for (b, weight) in above(&given) {
            let value = |refined: &Graph| refined.get(a, b as usize).copied().unwrap_or(0.0);
            edges.push(SavedEdge { a: a as u32, b, weight, correlation: refined.as_ref().map_or(f64::NAN, value) });
        }
        if let Some(refined) = &refined {
            strangers += above(refined).iter().filter(|&&(b, _)| given.get(a, b as usize).is_none()).count();
        }
    }
    Ok((edges, strangers))
}
