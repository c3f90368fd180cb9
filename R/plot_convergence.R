#' How the mapping settled
#'
#' Alignment over the passes of the mapping, and how many of the edges between species each pass changed.
#'
#' @param sm What [samap()] returns. Results keep the graphs of their first and last pass, so that the plot has two
#'   points; `samap_control(keep_iterations = TRUE)` keeps all.
#' @param by Types, as in [alignment_scores()]: adds a panel with the scores of the matched types, those that are each
#'   other's best in the last pass or in the first, with a score of at least 0.1. `NULL`: no such panel.
#' @param threads,verbose As in [samap()].
#' @return A ggplot with a panel per measure over the passes that are kept: the mean alignment score of the cells of
#'   each pair of species (0 to 1); the share of cross-species edges that differ from the kept pass before (%, of the
#'   edges in either); and with `by` the scores of matched types.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology,
#'   umap = FALSE, threads = 1, control = samap_control(keep_iterations = TRUE), verbose = FALSE
#' )
#' plot_convergence(sm, threads = 1)
#' @export
plot_convergence <- function(sm, by = NULL, threads = NULL, verbose = FALSE) {
  check_samap(sm)
  if (is_imported(sm)) find_pass(sm, 1L)
  run <- result_run(sm, threads, verbose)
  values <- rbind(pass_alignment(sm, run), pass_changes(sm, run), if (!is.null(by)) pass_scores(sm, by))
  values$measure <- factor(values$measure, unique(values$measure))
  values <- values[order(values$pass), ]
  pairs <- unique(values$pair)
  values$pair <- factor(values$pair, pairs)
  passes <- sort(unique(values$pass))
  ggplot2::ggplot(values, ggplot2::aes(.data$pass, .data$value, colour = .data$pair, group = .data$line)) +
    ggplot2::geom_line(ggplot2::aes(alpha = .data$thin), data = several_passes(values), linewidth = 0.6) +
    ggplot2::geom_point(ggplot2::aes(alpha = .data$thin), size = 1.8) +
    ggplot2::facet_wrap(ggplot2::vars(.data$measure), scales = "free_y") +
    ggplot2::scale_x_continuous(breaks = seq_len(n_passes(sm)), limits = c(0.8, n_passes(sm) + 0.2)) +
    ggplot2::scale_y_continuous(limits = c(0, NA), expand = ggplot2::expansion(mult = c(0, 0.06))) +
    ggplot2::scale_alpha_manual(values = c(`FALSE` = 1, `TRUE` = 0.45), guide = "none") +
    ggplot2::scale_colour_manual(
      values = group_colours(length(pairs)), guide = if (length(pairs) > 1) "legend" else "none"
    ) +
    ggplot2::labs(
      title = if (length(pairs) > 1) "Mapping over its passes" else paste("Mapping of", pairs, "over its passes"),
      subtitle = if (length(passes) < n_passes(sm)) paste0(
        "The graphs of ", paste("pass", passes, collapse = " and "), " were kept; ",
        "samap_control(keep_iterations = TRUE) keeps all"
      ),
      x = "Pass (the first: sequence homology alone)", y = NULL, colour = "Species"
    ) +
    theme_lines()
}

# A line needs two points.
several_passes <- function(values) {
  owner <- interaction(values$measure, values$line, drop = TRUE)
  values[stats::ave(values$pass, owner, FUN = length) > 1, ]
}

convergence_rows <- function(pass, measure, value, pair, line = pair, thin = FALSE) {
  n <- length(value)
  data.frame(
    pass = rep(pass, n), measure = rep(measure, n), value = value, pair = pair, line = line, thin = rep(thin, n)
  )
}

pass_alignment <- function(sm, run) {
  do.call(rbind, lapply(sm$passes, function(pass) {
    scores <- species_alignment(replace(unclass(sm), "passes", list(list(pass))), run)
    pair <- between_species(scores$species_a, scores$species_b)
    convergence_rows(pass$iteration, "Mean alignment score (0-1)", scores$score, pair)
  }))
}

pass_changes <- function(sm, run) {
  do.call(rbind, lapply(seq_along(sm$passes)[-1], function(at) {
    changes <- engine_edge_changes(sm$passes[[at - 1L]]$graph, sm$passes[[at]]$graph, cells_per_species(sm), run)
    either <- changes$before + changes$after - changes$shared
    changes <- changes[either > 0, ]
    changed <- 100 * (1 - changes$shared / either[either > 0])
    pair <- between_species(sm$species[changes$species_a], sm$species[changes$species_b])
    convergence_rows(sm$passes[[at]]$iteration, "Edges changed (%)", changed, pair)
  }))
}

# Scores, over the passes, of types that are each other's best match.
pass_scores <- function(sm, by) {
  passes <- vapply(sm$passes, function(pass) as.integer(pass$iteration), integer(1))
  scores <- lapply(passes, function(pass) as.data.frame(alignment_scores(sm, by, iteration = pass)))
  key <- function(table) paste(table$species_a, table$type_a, table$species_b, table$type_b, sep = "\r")
  wanted <- unique(unlist(lapply(scores[c(1L, length(scores))], function(table) key(table)[mutually_best(table)])))
  do.call(rbind, Map(function(table, pass) {
    table <- table[key(table) %in% wanted, ]
    pair <- between_species(table$species_a, table$species_b)
    convergence_rows(pass, "Scores of matched types (0-1)", table$score, pair, key(table), thin = TRUE)
  }, scores, passes))
}

# Is a pair of types the best of both in their pair of species, with a score of at least 0.1?
mutually_best <- function(scores) {
  best_a <- best_score(scores$score, scores[c("species_a", "type_a", "species_b")])
  best_b <- best_score(scores$score, scores[c("species_b", "type_b", "species_a")])
  scores$score >= 0.1 & scores$score == best_a & scores$score == best_b
}
