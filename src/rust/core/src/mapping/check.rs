//! Checks that atlases, homology graph, options and start fit together before a mapping.

use super::{Atlas, MappingOptions, Start};
use crate::homology::HomologyGraph;
use crate::{Error, Result};

/// Errors when the inputs of a mapping do not fit together. What is merely unusual (no homology between two species, fewer
/// cells than neighbours) the caller can tell by name.
pub(super) fn check(
    atlases: &[Atlas],
    homology: &HomologyGraph,
    from: Option<&Start>,
    options: &MappingOptions,
) -> Result<()> {
    if atlases.len() < 2 {
        return Err(Error::argument("atlases", format!("{} species", atlases.len()), "Pass two species or more."));
    }
    check_genes(atlases, homology)?;
    for (species, atlas) in atlases.iter().enumerate() {
        check_atlas(species, atlas)?;
    }
    check_options(atlases, options)?;
    if let Some(start) = from {
        let cells: usize = atlases.iter().map(|atlas| atlas.expression.cells()).sum();
        same("cells in the stitched graph to continue from", cells, start.stitched.rows())?;
        same("genes in the refined graph to continue from", homology.genes(), start.refined.rows())?;
    }
    Ok(())
}

fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::shape("mapping", format!("{expected} {what}"), found.to_string()))
    }
}

fn broken(species: usize, found: &str, remedy: &str) -> Result<()> {
    Err(Error::argument("atlases", format!("species {species}: {found}"), remedy))
}

/// Errors when the genes of the atlases are not those of the homology graph: all that a refinement relies on.
pub(super) fn check_genes(atlases: &[Atlas], homology: &HomologyGraph) -> Result<()> {
    same("species in the homology graph", atlases.len(), homology.species())?;
    for (species, atlas) in atlases.iter().enumerate() {
        let genes = atlas.expression.genes();
        same("gene weights", genes, atlas.weights.len())?;
        same("genes of the species in the homology graph", homology.genes_of(species).len(), atlas.gene_columns.len())?;
        if atlas.weights.iter().any(|w| !w.is_finite() || *w < 0.0) {
            return broken(species, "a gene weight is negative or not finite", "Run SAM on the species again.");
        }
        let mut taken = vec![false; genes];
        for &column in atlas.gene_columns {
            match taken.get_mut(column as usize) {
                Some(taken) if !*taken => *taken = true,
                _ => {
                    let found =
                        format!("column {column} is given to a homology gene, but is not there or taken already");
                    return broken(species, &found, "Give each gene of the homology graph its own column.");
                }
            }
        }
    }
    Ok(())
}

fn check_atlas(species: usize, atlas: &Atlas) -> Result<()> {
    let cells = atlas.expression.cells();
    if cells == 0 {
        return broken(species, "no cells", "Leave the species out or pass its cells.");
    }
    same("rows of loadings", atlas.gene_columns.len(), atlas.loadings.nrows())?;
    same("cells with neighbours", cells, atlas.neighbours.cells())?;
    same("cells with a group", cells, atlas.groups.len())?;
    if !atlas.loadings.is_standard_layout() {
        return broken(species, "loadings are not in row-major layout", "Pass them in standard layout.");
    }
    if atlas.neighbours.indices.iter().any(|&j| j as usize >= cells) {
        return broken(species, "a neighbour is no cell of the species", "Run SAM on the species again.");
    }
    if atlas.groups.iter().any(|&group| group as usize >= cells) {
        return broken(species, "more groups than cells", "Number the groups from 0, without gaps.");
    }
    Ok(())
}

fn check_options(atlases: &[Atlas], options: &MappingOptions) -> Result<()> {
    let at_least_1 = [
        ("n_iterations", options.n_iterations),
        ("cross_species_k", options.cross_species_k),
        ("n_gene_chunks", options.n_gene_chunks),
    ];
    for (name, value) in at_least_1 {
        if value == 0 {
            return Err(Error::argument(name, "0", "Pass 1 or more."));
        }
    }
    if options.hom_edge_thr.is_nan() {
        return Err(Error::argument("hom_edge_thr", "not a number", "Pass a number."));
    }
    let lengths =
        [("neighborhood_sizes", options.neighborhood_sizes.len()), ("neigh_from_keys", options.neigh_from_keys.len())];
    for (name, length) in lengths {
        if length != 1 && length != atlases.len() {
            let remedy = format!("Pass one for all species or one for each of the {}.", atlases.len());
            return Err(Error::argument(name, format!("{length} values"), remedy));
        }
    }
    Ok(())
}
