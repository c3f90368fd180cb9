#' How well cell types of different species align
#'
#' The score of types A and B of two species is the mean, over the cells of A, of the share of a cell's cross-species
#' links that go to cells of B, or the same the other way round if that is larger. 1: every cell spends all its links,
#' at full weight, on the other type. 0: no links.
#'
#' @param sm What [samap()] returns.
#' @param by The types: a metadata column, a named vector (a column per species), or a named list of label vectors
#'   (one label per cell, `NA` for none; made after the run is fine; in the order of the cells, or named by
#'   barcodes or cell ids). Species not named are left out.
#' @param n_top Average only this many largest values per pair of types; 0: all cells.
#' @param iteration `"final"`, or the number of a pass; 0 is the first (sequence homology alone), for comparison.
#' @param species Restrict to these species.
#' @return Data frame of class `samap_alignment`, one row per pair of types of different species: species_a, type_a,
#'   species_b, type_b, score (the larger of both directions), score_ab (mean over the cells of A), score_ba, n_a, n_b
#'   (number of cells); sorted by score, zeros included. `as.matrix()` gives the square table, with the names
#'   `<species>_<type>`; `as.matrix(directed = TRUE)` that of the single directions, from the cells of the row's type to
#'   the column's.
#'
#'   Errors: `samap_error_key` (no such column), `samap_error_shape` (labels that do not fit), `samap_error_species`.
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' scores <- alignment_scores(sm, "cell_type")
#' head(scores)
#' @export
alignment_scores <- function(sm, by, n_top = 0, iteration = "final", species = NULL) {
  check_samap(sm)
  pass <- find_pass(sm, iteration)
  n_top <- check_number(n_top, "n_top", min = 0, integer = TRUE)
  labels <- keep_species(resolve_labels(by, sm$cells, sm$species), species, sm$species)
  own <- species_labels(labels, sm$cells, sm$species)
  table <- name_types(engine_alignment(pass$graph, own, pass$k, n_top, new_run(verbose = FALSE)), own, sm$species)
  # The order of the types, for the square table and for plots.
  structure(table, types = labels$types, class = c("samap_alignment", "data.frame"))
}

keep_species <- function(labels, wanted, species) {
  there <- unique(labels$types$species)
  if (!is.null(wanted)) {
    check_known_species(wanted, species, "species")
    there <- intersect(there, wanted)
  }
  if (length(there) < 2L) {
    samap_abort(
      "species", "Alignment needs labels of at least two species.", argument = if (is.null(wanted)) "by" else "species",
      found = paste0("There are labels of ", if (length(there) == 0) "none" else enumerate(quoted(there)), ".")
    )
  }
  keep <- which(labels$types$species %in% there)
  labels$id <- match(labels$id, keep)
  labels$types <- labels$types[keep, , drop = FALSE]
  labels
}

# Names for the indices of a table of the engine.
name_types <- function(table, labels, species) {
  table$type_a <- type_names(labels, table$species_a, table$type_a)
  table$type_b <- type_names(labels, table$species_b, table$type_b)
  table$species_a <- species[table$species_a]
  table$species_b <- species[table$species_b]
  rownames(table) <- NULL
  table
}

#' @method as.matrix samap_alignment
#' @export
as.matrix.samap_alignment <- function(x, directed = FALSE, ...) {
  check_flag(directed, "directed")
  types <- alignment_types(x)
  names <- make.unique(paste(types$species, types$type, sep = "_"))
  square <- matrix(0, nrow(types), nrow(types), dimnames = list(names, names))
  a <- type_position(x$species_a, x$type_a, types)
  b <- type_position(x$species_b, x$type_b, types)
  square[cbind(a, b)] <- if (directed) x$score_ab else x$score
  square[cbind(b, a)] <- if (directed) x$score_ba else x$score
  square
}

# Types of a table, also one that was cut or put together by the user.
alignment_types <- function(x) {
  there <- unique(data.frame(species = c(x$species_a, x$species_b), type = c(x$type_a, x$type_b)))
  known <- attr(x, "types")
  if (is.null(known)) {
    return(there)
  }
  at <- type_position(there$species, there$type, known)
  there[order(at), , drop = FALSE]
}

type_position <- function(species, type, types) {
  at <- rep(NA_integer_, length(species))
  for (id in unique(species)) {
    mine <- which(types$species == id)
    rows <- which(species == id)
    at[rows] <- mine[match(type[rows], types$type[mine])]
  }
  at
}
