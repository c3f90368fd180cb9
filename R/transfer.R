#' Carry labels from one species to the others
#'
#' Every labelled cell of the reference species is certain of its label. The other cells take on the average, over their
#' edges in the stitched graph, of what the cells at the other ends are; the reference keeps its labels. This is
#' repeated until nothing changes by more than `tolerance`, or `max_iterations` times, so that labels also reach cells
#' that have no link of their own to the reference but neighbours that do.
#'
#' @param sm What [samap()] returns.
#' @param from The species whose labels are transferred.
#' @param key The labels: a metadata column of that species, or a vector (one label per cell, `NA` for none).
#' @param to Species that get labels; `NULL`: all others.
#' @param method `"propagate"`: as above. `"direct"`: one step, the shares of a cell's own links to labelled cells.
#' @param min_probability Cells whose most probable label has a smaller probability stay without one.
#' @param max_iterations,tolerance When the propagation stops.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per cell of `to`, in the order of [cell_metadata()]: cell, species, label (`NA` where no
#'   label arrived, or none as probable as asked for), probability (of the most probable label, 0 where none arrived),
#'   uncertainty (1 - probability), entropy (of all labels, in nats; `NA` where none arrived).
#'
#'   A probability is that of a label *given that the cell has a counterpart* in the reference. Whether it has one is
#'   what [cell_scores()] says: a type that the reference lacks gets the label of what is nearest, with a low score.
#'
#'   Errors: `samap_error_key`, `samap_error_species`, `samap_error_shape`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' labels <- transfer_labels(sm, from = "human", key = "cell_type", threads = 1, verbose = FALSE)
#' head(labels)
#' cells <- cell_metadata(sm)
#' table(cells$cell_type[match(labels$cell, cells$cell)], labels$label)
#' @export
transfer_labels <- function(sm, from, key, to = NULL, method = c("propagate", "direct"), min_probability = 0,
                            max_iterations = 5L, tolerance = 0.005, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  check_known_species(check_string(from, "from"), sm$species, "from")
  to <- transfer_targets(to, from, sm$species)
  method <- check_choice(method, c("propagate", "direct"), "method")
  min_probability <- check_number(min_probability, "min_probability", min = 0, max = 1)
  max_iterations <- check_number(max_iterations, "max_iterations", min = 1, integer = TRUE)
  options <- with_options(
    samap_defaults()$transfer, max_iterations = if (method == "direct") 1L else max_iterations,
    tolerance = check_number(tolerance, "tolerance", min = 0)
  )
  labels <- resolve_labels(setNames(list(key), from), sm$cells, sm$species, "key")
  run <- result_run(sm, threads, verbose)
  found <- engine_transfer(
    final_pass(sm)$graph, sm$cells$species == from, labels$id, nrow(labels$types), options, run
  )
  rows <- which(sm$cells$species %in% to)
  label <- labels$types$type[found$label[rows]]
  probability <- found$probability[rows]
  label[probability < min_probability] <- NA
  entropy <- found$entropy[rows]
  data.frame(
    cell = sm$cells$cell[rows], species = sm$cells$species[rows], label = label, probability = probability,
    uncertainty = 1 - probability, entropy = replace(entropy, is.nan(entropy), NA)
  )
}

transfer_targets <- function(to, from, species) {
  if (is.null(to)) {
    return(setdiff(species, from))
  }
  check_known_species(to, species, "to")
  if (from %in% to) {
    samap_abort(
      "species", "`to` names the species the labels come from.", argument = "to", species = from,
      remedy = "Leave it out: its cells keep their labels."
    )
  }
  to
}
