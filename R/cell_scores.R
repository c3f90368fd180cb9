#' Where the links of each cell go
#'
#' The alignment score of single cells: of the links a cell has to another species, at most `cross_species_k` at full
#' weight, the share that it really has, and with `by` the types that they go to.
#'
#' @param sm What [samap()] returns.
#' @param by `NULL`, or the types of the cells, as in [alignment_scores()].
#' @param threads,verbose As in [samap()].
#' @return Data frame: cell, species, partner (the other species), with `by` also type (of the partner), and score: the
#'   share of the cell's links, 0 to 1. 1: all of them, at full weight; 0: none.
#'
#'   Without `by` one row per cell and partner. With `by` one row for every type a cell has links to, the highest score
#'   first. A cell without links to any labelled cell of a partner has one row there, with the type `NA` and the score
#'   0. Mean over the cells of a type: `score_ab` of [alignment_scores()].
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(cell_scores(sm, threads = 1, verbose = FALSE))
#' head(cell_scores(sm, "cell_type", threads = 1, verbose = FALSE))
#' @export
cell_scores <- function(sm, by = NULL, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  run <- result_run(sm, threads, verbose)
  own <- if (is.null(by)) {
    whole_species(sm)
  } else {
    species_labels(resolve_labels(by, sm$cells, sm$species), sm$cells, sm$species)
  }
  pass <- final_pass(sm)
  found <- engine_cell_scores(pass$graph, own, pass$k, run)
  targets <- which(vapply(own, function(one) one$n_labels > 0, logical(1)))
  found <- with_unlinked(found, match(sm$cells$species, sm$species), targets)
  scores <- data.frame(
    cell = sm$cells$cell[found$cell], species = sm$cells$species[found$cell], partner = sm$species[found$species]
  )
  if (!is.null(by)) scores$type <- type_names(own, found$species, found$label)
  scores$score <- found$score
  scores
}

# Every species as one type.
whole_species <- function(sm) {
  lapply(setNames(nm = sm$species), function(id) {
    n <- sum(sm$cells$species == id)
    list(labels = rep(1L, n), n_labels = 1L, n_cells = n, types = id)
  })
}

# Rows of score 0 for cells without any link to a species that has labels; then by cell, species and falling score.
with_unlinked <- function(found, species_of_cell, targets) {
  grid <- expand.grid(species = targets, cell = seq_along(species_of_cell))
  grid <- grid[species_of_cell[grid$cell] != grid$species, ]
  n <- max(targets, 0L) + 1
  linked <- (grid$cell * n + grid$species) %in% (found$cell * n + found$species)
  unlinked <- grid[!linked, ]
  none <- rep(NA_integer_, nrow(unlinked))
  all <- rbind(
    found, data.frame(cell = unlinked$cell, species = unlinked$species, label = none, score = rep(0, nrow(unlinked)))
  )
  all[order(all$cell, all$species, -all$score), , drop = FALSE]
}
