# Mappings of the Python reference.

#' Take over a mapping of the Python package
#'
#' Reads the stitched AnnData that the Python package SAMap makes (`sm.samap.adata.write_h5ad(path)`): the stitched
#' graph, the homology as given and refined, the layout and the metadata, as a result of [samap()]. Alignment scores,
#' transfer of labels, clusters and plots then work as on a mapping made here.
#'
#' @param path Path of the file.
#' @param sams The SAM runs of the species, where what needs expression is wanted (markers, gene pairs, SAM weights):
#'   a list, or vector of paths, named by species, of files that `SAM.save_anndata()` wrote (`_pr.h5ad`), or what
#'   [read_sam_h5ad()] returned. All species, or `NULL`: none.
#' @return A list of class `samap`, as [samap()] returns it. Names of genes are without the species that the Python
#'   package puts before them. Its metadata columns `<species>_<column>`, in which other species are `unassigned`,
#'   become one column for all species; `batch`, which says the species again, is left out. With `sams` the metadata of
#'   the runs come first.
#'
#'   The file holds the graph of the last pass alone, and not its number ([stitched_graph()] has the iteration
#'   `"final"` only), no counts (`samap_error_no_counts`), no SAM runs (`samap_error_no_sam`; weights are `NA`), and no
#'   latent space (`samap_error_no_latent`). With `sams`, counts stay in their files. [attach_counts()] gives the
#'   result counts from matrices, whose genes and cells must be the same.
#'
#'   Errors: `samap_error_no_samap` (the file holds no such mapping), `samap_error_different_input` (`sams` are of other
#'   cells or genes), and those of [h5ad_atlas()]. A file that a second `run()` of the same Python object wrote has its
#'   refined homology at wrong genes: it is left out, with a warning of class `samap_warning_refined`.
#' @seealso [read_sam_h5ad()], [write_h5ad()]
#' @examples
#' # A file without a mapping of the Python package says so.
#' path <- tempfile(fileext = ".h5ad")
#' try(read_samap_h5ad(path))
#' \dontrun{
#' sm <- read_samap_h5ad("stitched.h5ad")
#' alignment_scores(sm, "cell_type")
#' sm <- read_samap_h5ad("stitched.h5ad", c(human = "human_pr.h5ad", mouse = "mouse_pr.h5ad"))
#' gene_pairs(sm, "cell_type")
#' }
#' @export
read_samap_h5ad <- function(path, sams = NULL) {
  check_string(path, "path")
  path <- normalizePath(path, winslash = "/", mustWork = FALSE)
  saved <- engine_saved_mapping(path)
  fits <- read_fits(sams, saved)
  if (saved$strangers > 0) warn_refined(saved, path)
  run <- new_run(threads = 1L, verbose = FALSE)
  genes <- saved_genes(saved, fits)
  edges <- saved_edges(saved)
  sm <- structure(list(
    format = result_format, species = saved$species, cells = saved_cells(saved, fits), genes = genes,
    homology = list(edges = edges, refined_over = NA_integer_),
    passes = list(list(iteration = NA_integer_, k = saved$k, graph = saved$graph)), latent = NULL, umap = saved$umap,
    alignment = NULL, sam = if (!is.null(fits)) lapply(fits, kept_fit), groups = NULL,
    counts = if (!is.null(fits)) lapply(fits, `[[`, "counts"),
    options = list(
      mapping = with_options(samap_defaults()$mapping, cross_species_k = saved$k), control = samap_control()
    ),
    timings = run_phases(run), choices = run_choices(run), provenance = saved_provenance(saved, genes, edges, path)
  ), class = "samap")
  sm$alignment <- species_alignment(sm, run)
  sm
}

# Whether a result was read from a file of the Python package.
is_imported <- function(sm) !is.null(sm$provenance$file)

# The SAM runs by species, or NULL; their genes without the species that the file may have before them.
read_fits <- function(sams, saved) {
  if (is.null(sams)) {
    return(NULL)
  }
  if (!is.list(sams) && !is.character(sams) || is.object(sams)) {
    samap_abort("argument", "`sams` must be named by species.", argument = "sams",
      found = paste0("It is ", describe(sams), "."), remedy = "For example `c(human = \"human_pr.h5ad\", ...)`.")
  }
  check_known_species(names(sams), saved$species, "sams")
  missing <- setdiff(saved$species, names(sams))
  if (length(missing) > 0 || anyDuplicated(names(sams))) {
    samap_abort("species", "`sams` must have one run for every species.", argument = "sams", species = missing,
      found = if (length(missing) > 0) paste0("None for ", enumerate(quoted(missing)), ".") else "One is there twice.")
  }
  setNames(lapply(saved$species, function(id) {
    fit <- if (is_path(sams[[id]])) read_sam_h5ad(sams[[id]]) else sams[[id]]
    if (!inherits(fit, "samap_sam")) {
      samap_abort("argument", paste0("`sams` has no SAM run for species ", quoted(id), "."), argument = "sams",
        species = id, found = paste0("It is ", describe(fit), "."),
        remedy = "Give a path, or what `read_sam_h5ad()` returns.")
    }
    check_fit(without_prefix(fit, id), id, saved)
  }), saved$species)
}

without_prefix <- function(fit, id) {
  prefix <- paste0(id, "_")
  named <- startsWith(fit$genes$gene, prefix)
  if (all(named)) fit$genes$gene <- substring(fit$genes$gene, nchar(prefix) + 1L)
  fit
}

# A run must be of the cells and genes of the mapping. The Python package makes names of cells that several species
# share unique, by a number after them.
check_fit <- function(fit, id, saved) {
  genes <- saved$genes[saved$gene_species == match(id, saved$species)]
  cells <- saved$barcodes[saved_species(saved) == id]
  own <- fit$cells$barcode
  same_cells <- length(own) == length(cells) && all(cells == own | startsWith(cells, paste0(own, "-")))
  if (!same_cells || !identical(fit$genes$gene, genes)) {
    samap_abort(
      "different_input", paste0("The SAM run of species ", quoted(id), " is not that of the mapping."),
      argument = "sams", species = id,
      found = paste0(
        "It has ", count_of(length(own), "cell"), " and ", count_of(nrow(fit$genes), "gene"), "; the mapping has ",
        count_of(length(cells), "cell"), " and ", count_of(length(genes), "gene"),
        if (same_cells) ", of other names" else if (length(own) == length(cells)) ", the cells of other names", "."
      ),
      remedy = "Give the files that the mapping in Python was made from."
    )
  }
  fit
}

saved_species <- function(saved) rep(saved$species, saved$n_cells)

saved_genes <- function(saved, fits) {
  weights <- lapply(fits, function(fit) fit$genes$weight)
  data.frame(
    species = saved$species[saved$gene_species], gene = saved$genes,
    weight = if (is.null(fits)) NA_real_ else unlist(weights, use.names = FALSE), matched = saved$matched
  )
}

saved_edges <- function(saved) {
  species <- function(gene) saved$species[saved$gene_species[gene]]
  data.frame(
    species_a = species(saved$gene_a), gene_a = saved$genes[saved$gene_a],
    species_b = species(saved$gene_b), gene_b = saved$genes[saved$gene_b],
    weight = saved$weight, matched = rep(TRUE, length(saved$weight)),
    correlation = if (saved$strangers > 0) rep(NA_real_, length(saved$weight)) else saved$correlation
  )
}

saved_cells <- function(saved, fits) {
  species <- saved_species(saved)
  columns <- data.frame(saved$cells, check.names = FALSE, stringsAsFactors = FALSE, row.names = NULL)
  columns <- columns[setdiff(names(columns), c("species", "batch"))]
  owners <- lapply(setNames(nm = names(columns)), function(name) column_owner(columns[[name]], name, species))
  atlases <- lapply(setNames(nm = saved$species), function(id) {
    rows <- which(species == id)
    own <- columns_of(columns, owners, id, rows)
    cells <- fits[[id]]$cells
    if (is.null(cells)) cells <- cell_frame(own, saved$barcodes[rows], length(rows), id)
    list(cells = data.frame(cells, own[setdiff(names(own), names(cells))], check.names = FALSE), stacked = FALSE)
  })
  cell_table(atlases)
}

# The species a column `<species>_<column>` is of: all cells of others are `unassigned` in it. NA: a column of all.
column_owner <- function(values, name, species) {
  for (id in unique(species)) {
    if (startsWith(name, paste0(id, "_")) && all(as.character(values[species != id]) %in% "unassigned")) {
      return(id)
    }
  }
  NA_character_
}

# The columns of a species, by their own names, over its cells. Levels that it does not have are left out.
columns_of <- function(columns, owners, id, rows) {
  mine <- names(columns)[owners %in% id]
  shared <- names(columns)[is.na(owners)]
  own <- columns[rows, c(mine, shared), drop = FALSE]
  names(own) <- c(substring(mine, nchar(id) + 2L), shared)
  own <- own[!duplicated(names(own))]
  rownames(own) <- NULL
  for (name in names(own)) if (is.factor(own[[name]])) own[[name]] <- droplevels(own[[name]])
  own
}

warn_refined <- function(saved, path) {
  samap_warn(
    "refined", "The refined homology of the file is left out: it is at other genes than the given one.",
    argument = "path",
    found = paste0(count_of(saved$strangers, "refined pair"), " of ", path, " not among the given ones."),
    remedy = paste0(
      "A second `run()` of one Python object does that: run a new one, or give `sams` and call `refine_homology()`."
    )
  )
}

saved_provenance <- function(saved, genes, edges, path) {
  unknown <- rep(NA_character_, length(saved$species))
  list(
    samap = package_version_string(), r = R.version.string, date = file.mtime(path),
    inputs = data.frame(
      species = saved$species, cells = saved$n_cells, genes = as.integer(table(factor(genes$species, saved$species))),
      nonzeros = NA_real_, hash = unknown
    ),
    homology = list(hash = NA_character_, edges = nrow(edges), matched = nrow(edges)),
    seed = NA_integer_, device = NA_character_, threads = NA_integer_, seconds = NA_real_, file = path
  )
}
