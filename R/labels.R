# Labels of cells: from a metadata column, a column per species, or vectors made after the run.

# `by` resolved over the rows of `cells` (with a column `species`): list(label = strings with NA for unlabelled cells,
# id = 1-based index into types, types = data.frame(species, type)). Types are ordered by species, then as their factor
# levels, else sorted (numbers as numbers).
resolve_labels <- function(by, cells, species, argument = "by") {
  sources <- label_sources(by, species, argument)
  label <- rep(NA_character_, nrow(cells))
  types <- list()
  for (one in names(sources)) {
    rows <- which(cells$species == one)
    values <- label_values(sources[[one]], cells, rows, one, argument)
    label[rows] <- clean_labels(values)
    types[[one]] <- data.frame(species = rep(one, length(label_order(values))), type = label_order(values))
  }
  types <- do.call(rbind, unname(types))
  id <- rep(NA_integer_, nrow(cells))
  for (one in unique(types$species)) {
    rows <- which(cells$species == one)
    mine <- which(types$species == one)
    id[rows] <- mine[match(label[rows], types$type[mine])]
  }
  list(label = label, id = id, types = types)
}

# Per species, a column name or a vector of labels.
label_sources <- function(by, species, argument) {
  if (is_column_name(by)) {
    return(setNames(rep(list(by), length(species)), species))
  }
  if (!is_named_source(by)) {
    samap_abort(
      "argument",
      paste0(backticked(argument), " must be a metadata column, a named vector of columns, or a named list of labels."),
      argument = argument, found = paste0("It is ", describe(by), "."),
      remedy = paste0("For example `\"cell_type\"`, or `c(", species[[1]], " = \"cell_type\")`.")
    )
  }
  check_known_species(names(by), species, argument)
  twice <- unique(names(by)[duplicated(names(by))])
  if (length(twice) > 0) {
    samap_abort(
      "species", paste0(backticked(argument), " names the species ", quoted(twice[[1]]), " more than once."),
      argument = argument, species = twice[[1]]
    )
  }
  as.list(by)[intersect(species, names(by))]
}

is_column_name <- function(by) is.character(by) && length(by) == 1L && is.null(names(by)) && !is.na(by)

is_named_source <- function(by) {
  (is.character(by) || is.list(by)) && !is.data.frame(by) && length(by) > 0 && !is.null(names(by))
}

label_values <- function(source, cells, rows, species, argument) {
  if (is.character(source) && length(source) == 1L) {
    return(label_column(source, cells, rows, species, argument))
  }
  label_vector(source, cells[rows, , drop = FALSE], species, argument)
}

label_column <- function(column, cells, rows, species, argument) {
  values <- if (column %in% names(cells)) cells[[column]][rows]
  if (is.null(values) || all(is.na(values))) {
    metadata <- cells[rows, setdiff(names(cells), c("cell", "species", "barcode")), drop = FALSE]
    there <- names(metadata)[!vapply(metadata, function(x) all(is.na(x)), logical(1))]
    samap_abort(
      "key", paste0(the_species_first(species), " has no metadata column ", quoted(column), "."),
      argument = argument, species = species,
      found = if (length(there) > 0) paste0("It has ", enumerate(quoted(there), 10L), ".") else "It has no metadata.",
      remedy = if (is_sole(species)) "Labels can also be given as a vector." else paste0(
        "Columns may differ: `", argument, " = c(", species, " = \"...\")`; labels can also be given as vectors: `",
        argument, " = list(", species, " = labels)`."
      )
    )
  }
  values
}

# Labels given as a vector: by name where it has names (barcodes, or the ids of the result), else by position.
label_vector <- function(values, cells, species, argument) {
  barcodes <- cells$barcode
  if (!is.atomic(values) || length(values) != length(barcodes)) {
    samap_abort(
      "shape",
      paste0("The labels of ", the_species(species), " in ", backticked(argument), " do not fit its cells."),
      argument = argument, species = species,
      found = paste0(
        "It has ", count_of(length(barcodes), "cell"), "; the labels are ",
        if (is.atomic(values)) count_of(length(values), "value") else describe(values), "."
      ),
      remedy = "One label per cell, in the order of the cells (NA: no label)."
    )
  }
  if (!is.null(cells$cell) && all(cells$cell %in% names(values))) {
    return(values[match(cells$cell, names(values))])
  }
  if (is.null(names(values)) || anyDuplicated(barcodes)) {
    return(values)
  }
  at <- match(barcodes, names(values))
  if (anyNA(at)) {
    samap_abort(
      "names",
      paste0("The labels of ", the_species(species), " in ", backticked(argument), " are not named by barcodes."),
      argument = argument, species = species,
      found = paste0("No label for ", quoted(barcodes[is.na(at)][[1]]), "."),
      remedy = "Name the labels by barcode, or use `unname()` if they are in the order of the cells."
    )
  }
  values[at]
}

clean_labels <- function(values) {
  labels <- as.character(values)
  labels[!is.na(labels) & !nzchar(labels)] <- NA
  labels
}

label_order <- function(values) {
  present <- unique(clean_labels(values))
  present <- present[!is.na(present)]
  if (is.factor(values)) {
    return(intersect(levels(values), present))
  }
  if (is.numeric(values)) {
    return(present[order(as.numeric(present))])
  }
  sort(present, method = "radix")
}

# Labels as the engine takes them, per species: 1-based indices into its own types (NA: none), their number, and the
# number of cells. A species without labels has `labels = NULL`.
species_labels <- function(labels, cells, species) {
  lapply(setNames(nm = species), function(id) {
    rows <- which(cells$species == id)
    mine <- which(labels$types$species == id)
    list(
      labels = if (length(mine) > 0) match(labels$id[rows], mine), n_labels = length(mine), n_cells = length(rows),
      types = labels$types$type[mine]
    )
  })
}

# Names of types given by the index of their species and their index within it.
type_names <- function(labels, species_index, type_index) {
  types <- lapply(labels, `[[`, "types")
  offsets <- cumsum(c(0L, lengths(types)))
  unlist(types, use.names = FALSE)[offsets[species_index] + type_index]
}

# Groups whose sizes are the neighbourhood budgets: an integer per cell of every species.
group_index <- function(values) {
  label <- clean_labels(values)
  label[is.na(label)] <- "\u0001unlabelled"
  match(label, unique(label))
}
