#' Heatmap of alignment scores
#'
#' @param x What [alignment_scores()] returns, or what [samap()] returns.
#' @param by The types, where `x` is a result of [samap()]; as in [alignment_scores()].
#' @param min_score Leave out types whose best score is below this (0 to 1).
#' @param values Write the scores into the tiles; `NULL`: if there are at most 20 types on either side.
#' @param ... Passed to [alignment_scores()] where `x` is a result of [samap()].
#' @return A ggplot: for two species, types of the first as rows and of the second as columns; for more, a panel per
#'   pair. Types are ordered by hierarchical clustering of their scores, so that aligned types lie along the diagonal.
#'   Nothing is drawn until it is printed.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' plot_alignment(sm, "cell_type")
#' @export
plot_alignment <- function(x, by = NULL, min_score = 0, values = NULL, ...) {
  check_number(min_score, "min_score", min = 0, max = 1)
  if (!is.null(values)) check_flag(values, "values")
  scores <- drop_weak_types(plotted_scores(x, by, ...), min_score)
  pairs <- split(scores, species_pair(scores$species_a, scores$species_b), drop = TRUE)
  tiles <- do.call(rbind, lapply(unname(pairs), ordered_tiles))
  if (is.null(values)) values <- max(tiles$row, tiles$column) <= 20
  heatmap(tiles, pairs, values)
}

drop_weak_types <- function(scores, min_score) {
  best_a <- best_score(scores$score, scores[c("species_a", "type_a", "species_b")])
  best_b <- best_score(scores$score, scores[c("species_b", "type_b", "species_a")])
  kept <- scores[best_a >= min_score & best_b >= min_score, , drop = FALSE]
  if (nrow(kept) == 0) stop_without_scores(scores)
  kept
}

best_score <- function(score, groups) {
  stats::ave(score, interaction(groups, drop = TRUE), FUN = max)
}

# Tiles of one pair of species with the order of their rows and columns.
ordered_tiles <- function(scores) {
  rows <- unique(scores$type_a)
  columns <- unique(scores$type_b)
  table <- matrix(0, length(rows), length(columns), dimnames = list(rows, columns))
  table[cbind(match(scores$type_a, rows), match(scores$type_b, columns))] <- scores$score
  rows <- rows[clustered_order(table)]
  # Columns follow the rows they align with best, which puts matches on the diagonal; those without any come last.
  best <- apply(table[rows, , drop = FALSE], 2, function(score) if (max(score) > 0) which.max(score) else Inf)
  columns <- columns[order(best, -apply(table, 2, max))]
  data.frame(
    pair = between_species(scores$species_a[[1]], scores$species_b[[1]]),
    type_a = scores$type_a, type_b = scores$type_b,
    row = match(scores$type_a, rows), column = match(scores$type_b, columns), score = scores$score
  )
}

clustered_order <- function(table) {
  if (nrow(table) < 3L) {
    return(seq_len(nrow(table)))
  }
  stats::hclust(stats::dist(table), method = "average")$order
}

heatmap <- function(tiles, pairs, values) {
  # Types are keyed by panel and position: the same name may stand elsewhere in another panel.
  tiles$x <- paste(tiles$pair, sprintf("%05d", tiles$column))
  tiles$y <- paste(tiles$pair, sprintf("%05d", max(tiles$row) - tiles$row))
  x_names <- setNames(tiles$type_b, tiles$x)
  y_names <- setNames(tiles$type_a, tiles$y)
  single <- length(pairs) == 1L
  plot <- ggplot2::ggplot(tiles, ggplot2::aes(.data$x, .data$y, fill = .data$score)) +
    ggplot2::geom_tile(colour = "white", linewidth = 0.2) +
    scale_fill_much(limits = c(0, 1)) +
    ggplot2::scale_x_discrete(labels = function(at) shortened(x_names[at]), expand = c(0, 0)) +
    ggplot2::scale_y_discrete(labels = function(at) shortened(y_names[at]), expand = c(0, 0)) +
    ggplot2::labs(
      title = "Alignment of cell types", fill = "Alignment\nscore (0-1)",
      x = if (single) pairs[[1]]$species_b[[1]] else "second species",
      y = if (single) pairs[[1]]$species_a[[1]] else "first species"
    ) +
    theme_samap() +
    ggplot2::theme(
      axis.text = ggplot2::element_text(size = label_points(max(tiles$row, tiles$column)), colour = "black"),
      axis.text.x = ggplot2::element_text(angle = 90, hjust = 1, vjust = 0.5),
      aspect.ratio = max(tiles$row) / max(tiles$column)
    )
  if (!single) plot <- plot + ggplot2::facet_wrap(ggplot2::vars(.data$pair), scales = "free")
  if (values) plot <- plot + tile_values()
  plot
}

# The score on its tile, in a colour that stands out.
tile_values <- function() {
  list(
    ggplot2::geom_text(
      ggplot2::aes(label = ifelse(.data$score >= 0.05, sprintf("%.2f", .data$score), ""), colour = .data$score > 0.45),
      size = 2.8, show.legend = FALSE
    ),
    ggplot2::scale_colour_manual(values = c(`FALSE` = "black", `TRUE` = "white"))
  )
}
