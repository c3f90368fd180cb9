# An atlas inside: list(counts = dgCMatrix genes x cells, or a source that stays out of R (see counts.R), genes = unique
# names, cells = data.frame(barcode, sample, metadata), sam = samap_sam or NULL, stacked = several samples?). Every
# accepted input becomes one; a dgCMatrix is shared, never copied.

read_atlases <- function(atlases) {
  if (!is.list(atlases) || is.data.frame(atlases) || is.object(atlases)) {
    samap_abort(
      "argument", "`atlases` must be a named list with one entry per species.",
      argument = "atlases", found = paste0("It is ", describe(atlases), "."),
      remedy = "For example `list(human = x, mouse = y)`."
    )
  }
  if (length(atlases) < 2L) {
    samap_abort(
      "species", "`atlases` must have at least two species.",
      argument = "atlases", found = paste0("It has ", length(atlases), "."),
      remedy = "`sam()` analyses a single species."
    )
  }
  ids <- check_species_ids(names(atlases), "atlases")
  setNames(lapply(ids, function(id) read_atlas(atlases[[id]], id)), ids)
}

read_atlas <- function(x, species) {
  if (is_stack(x)) stack_samples(x, species) else read_sample(x, species)
}

# Several samples of one species: a plain list that is not list(counts =, cells =).
is_stack <- function(x) {
  is.list(x) && !is.object(x) && length(x) > 0 && !has_counts(x)
}

has_counts <- function(x) is.list(x) && !is.data.frame(x) && "counts" %in% names(x)

read_sample <- function(x, species) {
  if (inherits(x, "samap_sam")) {
    return(list(counts = need_counts(x), genes = x$genes$gene, cells = x$cells, sam = x, stacked = x$stacked))
  }
  raw <- raw_atlas(x, species)
  counts <- raw$counts
  if (!is_source(counts)) {
    counts <- as_counts(counts, species)
    raw$genes <- rownames(counts)
    raw["barcodes"] <- list(colnames(counts))
  }
  genes <- check_gene_names(raw$genes, species)
  if (!is_source(counts)) check_counts(counts, species)
  cells <- cell_frame(raw$cells, raw$barcodes, ncol(counts), species)
  list(counts = counts, genes = genes, cells = cells, sam = NULL, stacked = FALSE)
}

# Counts as they came, and the metadata of the cells (or NULL). A source of counts comes with the names of its genes and
# cells.
raw_atlas <- function(x, species) {
  load_methods(x)
  if (names_file(x)) {
    return(raw_file(x, species))
  }
  if (inherits(x, "Seurat")) {
    return(raw_seurat(x, species))
  }
  if (methods::is(x, "SummarizedExperiment")) {
    return(raw_experiment(x, species))
  }
  if (has_counts(x)) {
    return(raw_list(x, species))
  }
  if (is.matrix(x) || is_sparse(x)) {
    return(list(counts = x, cells = NULL))
  }
  bad_atlas(
    "argument", species, paste0("is ", describe(x), "."),
    remedy = paste0(
      "Accepted: a matrix or sparse matrix of counts (genes x cells), `list(counts =, cells =)`, a Seurat object, ",
      "a SingleCellExperiment, the path of an .h5ad or .h5 file, what `sam()` returns, or an unnamed list of those ",
      "(several samples)."
    )
  )
}

names_file <- function(x) is_path(x) || inherits(x, "samap_h5ad")

# list(counts =, cells =): counts in R, or in a file whose metadata the given ones replace.
raw_list <- function(x, species) {
  counts <- x[["counts"]]
  if (!names_file(counts)) {
    return(list(counts = counts, cells = x[["cells"]]))
  }
  raw <- raw_file(counts, species)
  if (!is.null(x[["cells"]])) raw$cells <- x[["cells"]]
  raw
}

# Matrices that stay on disk are read by methods of the package that made them.
load_methods <- function(x) {
  home <- attr(class(x), "package")
  if (is.character(home) && home %in% c("BPCells", "DelayedArray", "HDF5Array")) {
    rlang::check_installed(home, "to read the counts.")
    loadNamespace(home)
  }
}

is_sparse <- function(x) {
  methods::is(x, "Matrix") || methods::is(x, "DelayedMatrix") || methods::is(x, "IterableMatrix")
}

# The dgCMatrix of genes x cells. The caller's own object where it is one already.
as_counts <- function(x, species) {
  load_methods(x)
  if (methods::is(x, "dgCMatrix")) {
    return(x)
  }
  check_matrix(x, species)
  names <- dimnames(x)
  # Such as a table: the methods of Matrix know plain matrices only.
  if (is.matrix(x) && is.object(x)) x <- unclass(x)
  if (methods::is(x, "DelayedMatrix") || methods::is(x, "IterableMatrix")) {
    x <- methods::as(x, "dgCMatrix")
  }
  counts <- methods::as(methods::as(methods::as(x, "CsparseMatrix"), "generalMatrix"), "dMatrix")
  dimnames(counts) <- names
  counts
}

check_matrix <- function(x, species) {
  if (is.matrix(x) && !is.numeric(x) && !is.logical(x)) {
    bad_atlas("argument", species, paste0("is a matrix of type ", typeof(x), "."), remedy = "Counts must be numbers.")
  }
  if (!is.matrix(x) && !is_sparse(x)) {
    bad_atlas("argument", species, paste0("has counts that are ", describe(x), "."),
      remedy = "Counts must be a (sparse) matrix of genes x cells; `as.matrix()` turns a data frame into one.")
  }
}

# Barcode, sample and metadata of every cell, in the order of the counts.
cell_frame <- function(metadata, barcodes, n_cells, species) {
  if (is.null(metadata)) {
    frame <- data.frame(row.names = seq_len(n_cells))
  } else {
    frame <- align_metadata(metadata, barcodes, n_cells, species)
  }
  if (is.null(barcodes) && is.character(attr(metadata, "row.names"))) barcodes <- rownames(metadata)
  if (is.null(barcodes)) barcodes <- as.character(seq_len(n_cells))
  sample <- if ("sample" %in% names(frame)) as.character(frame[["sample"]]) else rep(NA_character_, n_cells)
  frame <- free_names(frame[setdiff(names(frame), "sample")])
  rownames(frame) <- NULL
  data.frame(barcode = barcodes, sample = sample, frame, check.names = FALSE, stringsAsFactors = FALSE)
}

# The columns of the result keep their names; a column of the user's with such a name is kept as `<name>_original`.
free_names <- function(frame) {
  taken <- names(frame) %in% c("cell", "species", "barcode")
  names(frame)[taken] <- paste0(names(frame)[taken], "_original")
  frame[vapply(frame, function(column) is.atomic(column) && is.null(dim(column)), logical(1))]
}

align_metadata <- function(metadata, barcodes, n_cells, species) {
  if (!is.data.frame(metadata)) {
    bad_atlas("argument", species, paste0("has cell metadata that are ", describe(metadata), "."),
      remedy = "`cells` must be a data frame with one row per cell.")
  }
  if (nrow(metadata) != n_cells) {
    bad_atlas("shape", species,
      paste0("has ", count_of(n_cells, "cell"), " (columns) but ", count_of(nrow(metadata), "row"), " of metadata."),
      remedy = "Counts are genes x cells; `cells` has one row per column of `counts`.")
  }
  named <- is.character(attr(metadata, "row.names")) && !is.null(barcodes)
  if (!named || identical(rownames(metadata), barcodes) || anyDuplicated(barcodes)) {
    return(as.data.frame(metadata))
  }
  order <- match(barcodes, rownames(metadata))
  if (anyNA(order)) {
    bad_atlas("names", species,
      paste0("has row names of `cells` that are no barcodes, for example ",
        quoted(setdiff(rownames(metadata), barcodes)[[1]]), " (a barcode: ", quoted(barcodes[[1]]), ")."),
      remedy = "Give `cells` the column names of `counts` as row names, or none.")
  }
  as.data.frame(metadata)[order, , drop = FALSE]
}

# ---- samples -----------------------------------------------------------------

# Samples are named by the list, or 1, 2, ...; genes are joined by name, with zeros where a sample lacks a gene.
stack_samples <- function(samples, species) {
  ids <- names(samples)
  if (is.null(ids)) ids <- as.character(seq_along(samples))
  ids[!nzchar(ids)] <- as.character(seq_along(samples))[!nzchar(ids)]
  ids <- make.unique(ids, sep = "_")
  parts <- lapply(samples, read_sample, species = species)
  genes <- unique(unlist(lapply(parts, `[[`, "genes"), use.names = FALSE))
  cells <- Map(function(part, id) replace(part$cells, "sample", id), parts, ids)
  list(
    counts = stack_counts(parts, genes), genes = genes, cells = bind_frames(unname(cells)), sam = NULL, stacked = TRUE
  )
}

# One matrix of matrices; with a file among them a source, which the engine stacks.
stack_counts <- function(parts, genes) {
  if (any(vapply(parts, function(part) is_source(part$counts), logical(1)))) {
    samples <- lapply(parts, function(part) as_samples(part$counts, part$genes, genes))
    return(new_counts(unlist(unname(samples), recursive = FALSE), length(genes)))
  }
  join_columns(lapply(unname(parts), function(part) {
    dimnames(part$counts) <- list(part$genes, NULL)
    part$counts
  }))
}

# Matrices side by side, rows joined by name.
join_columns <- function(parts) {
  if (length(parts) == 1L) {
    return(parts[[1]])
  }
  genes <- unique(unlist(lapply(parts, rownames)))
  aligned <- lapply(parts, function(part) {
    if (identical(rownames(part), genes)) part else spread_rows(part, genes)
  })
  do.call(cbind, aligned)
}

# The same columns over a longer list of rows.
spread_rows <- function(x, genes) {
  columns <- rep.int(seq_len(ncol(x)), diff(x@p))
  Matrix::sparseMatrix(
    i = match(rownames(x), genes)[x@i + 1L], j = columns, x = x@x,
    dims = c(length(genes), ncol(x)), dimnames = list(genes, colnames(x))
  )
}

# Rows of all frames under the union of their columns. Factors keep their levels; other types that differ become
# strings.
bind_frames <- function(frames) {
  columns <- unique(unlist(lapply(frames, names)))
  joined <- lapply(columns, function(column) bind_column(lapply(frames, bindable, column = column)))
  names(joined) <- columns
  data.frame(joined, check.names = FALSE, stringsAsFactors = FALSE)
}

bindable <- function(frame, column) {
  if (column %in% names(frame)) frame[[column]] else rep(NA, nrow(frame))
}

bind_column <- function(parts) {
  present <- Filter(function(part) !all(is.na(part)), parts)
  kinds <- unique(vapply(present, function(part) class(part)[[1]], character(1)))
  if (any(vapply(present, is.factor, logical(1)))) {
    levels <- unique(unlist(lapply(present, function(part) levels(as.factor(part)))))
    values <- unlist(lapply(parts, as.character), use.names = FALSE)
    return(factor(values, levels = levels))
  }
  numbers <- all(kinds %in% c("integer", "numeric"))
  if (length(kinds) <= 1L || numbers) {
    # Missing values of the same type: c(NA, a date) would be a number.
    if (length(present) > 0) {
      missing <- present[[1]][NA_integer_]
      parts <- lapply(parts, function(part) if (all(is.na(part))) rep(missing, length(part)) else part)
    }
    return(do.call(c, unname(parts)))
  }
  unlist(lapply(parts, as.character), use.names = FALSE)
}

# ---- all cells ---------------------------------------------------------------

# One row per cell of all species, in the order of the stitched graph. Ids are `<species>_<barcode>`, or
# `<species>_<sample>_<barcode>` for stacked samples; repeated ids get `-1`, `-2` in order of appearance.
cell_table <- function(atlases) {
  frames <- Map(function(atlas, id) {
    data.frame(cell = cell_ids(atlas, id), species = id, atlas$cells, check.names = FALSE, stringsAsFactors = FALSE)
  }, atlases, names(atlases))
  cells <- bind_frames(unname(frames))
  cells$cell <- make.unique(cells$cell, sep = "-")
  cells
}

cell_ids <- function(atlas, species) {
  cells <- atlas$cells
  parts <- c(list(species), if (atlas$stacked) list(cells$sample), list(cells$barcode))
  do.call(paste, c(parts, sep = "_"))
}

# What an atlas contains, as a short stable hash: the same counts under the same gene names have the same hash.
atlas_hash <- function(atlas) {
  counts <- atlas$counts
  if (is_source(counts)) {
    return(rlang::hash(list(counts_key(counts), c(atlas$genes))))
  }
  rlang::hash(c(counts_key(counts), list(c(atlas$genes))))
}

atlas_sizes <- function(atlases) {
  data.frame(
    species = names(atlases),
    cells = vapply(atlases, function(atlas) ncol(atlas$counts), integer(1)),
    genes = vapply(atlases, function(atlas) nrow(atlas$counts), integer(1)),
    nonzeros = vapply(atlases, function(atlas) stored_of(atlas$counts), double(1)),
    hash = vapply(atlases, atlas_hash, character(1)),
    row.names = NULL
  )
}
