#' Sankey diagram of aligned types
#'
#' Types of each species stand in a column of their own; ribbons between columns are as wide as the alignment score.
#'
#' @param x What [alignment_scores()] returns, or what [samap()] returns.
#' @param by The types, where `x` is a result of [samap()]; as in [alignment_scores()].
#' @param species Species of the columns, from left to right; links are drawn between neighbours. The first may come
#'   again at the end, so that three species show all their pairs. `NULL`: the order of the table.
#' @param min_score Draw no links with a score below this (0 to 1).
#' @param ... Passed to [alignment_scores()] where `x` is a result of [samap()].
#' @return A ggplot. Types are ordered so that few ribbons cross; a ribbon has the colour of its type on the left
#'   (colours come again after seven types, and only part neighbours). Types without a link are not shown; a caption
#'   counts them. Sixty types per species stay legible from a height of 8 inches on.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' plot_sankey(sm, "cell_type")
#' @export
plot_sankey <- function(x, by = NULL, species = NULL, min_score = 0.1, ...) {
  check_number(min_score, "min_score", min = 0, max = 1)
  scores <- plotted_scores(x, by, ...)
  species <- links_species(scores, species)
  between <- sankey_links(linked_types(scores, min_score), species)
  if (sum(vapply(between, nrow, integer(1))) == 0) stop_without_scores(scores)
  nodes <- sankey_nodes(between)
  ribbons <- sankey_ribbons(between, nodes)
  ggplot2::ggplot(ribbons, ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_polygon(ggplot2::aes(group = .data$link, fill = .data$colour), alpha = 0.55) +
    ggplot2::geom_rect(
      data = nodes, inherit.aes = FALSE, fill = "grey25",
      mapping = ggplot2::aes(
        xmin = .data$column - half_bar, xmax = .data$column + half_bar, ymin = .data$bottom, ymax = .data$top
      )
    ) +
    inner_labels(nodes, length(species)) +
    ggplot2::scale_fill_identity() +
    sankey_axes(nodes, species) +
    ggplot2::labs(
      title = "Alignment of cell types",
      subtitle = paste0("Width: alignment score (0 to 1), at least ", format(min_score), "; the widest is ",
        sprintf("%.2f", max(unlist(lapply(between, `[[`, "score"))))),
      x = NULL, y = NULL, caption = links_caption(scores, do.call(rbind, between), species)
    ) +
    theme_samap() +
    ggplot2::theme(
      axis.text.y = ggplot2::element_text(size = label_points(max(table(nodes$column))), colour = "black"),
      axis.text.x.top = ggplot2::element_text(size = 11, face = "bold", colour = "black")
    )
}

# Half the width of the bar of a type; columns are 1 apart.
half_bar <- 0.015

sankey_links <- function(links, species) {
  Map(function(a, b) links_between(links, a, b), species[-length(species)], species[-1], USE.NAMES = FALSE)
}

# One row per type and column: where its bar lies. A bar is as high as its scores add up to on the fuller side; small
# ones have as much room as their names need.
sankey_nodes <- function(between) {
  order <- untangled(between)
  columns <- length(order)
  nodes <- do.call(rbind, lapply(seq_len(columns), function(k) {
    left <- if (k > 1) added_scores(order[[k]], between[[k - 1L]]$type_b, between[[k - 1L]]$score) else 0
    right <- if (k < columns) added_scores(order[[k]], between[[k]]$type_a, between[[k]]$score) else 0
    data.frame(column = k, type = order[[k]], height = pmax(left, right))
  }))
  size <- tabulate(nodes$column)
  total <- max(tapply(nodes$height, nodes$column, sum))
  room <- pmax(nodes$height, 0.7 * total / max(size)) + 0.3 * total / max(size)
  filled <- as.double(tapply(room, nodes$column, sum))
  # Columns with few types spread over the height of the fullest.
  room <- room + ((max(filled) - filled) / size)[nodes$column]
  below <- stats::ave(room, nodes$column, FUN = cumsum)
  middle <- max(filled) - (below - room / 2)
  data.frame(nodes, middle = middle, bottom = middle - nodes$height / 2, top = middle + nodes$height / 2)
}

added_scores <- function(types, ends, score) {
  vapply(types, function(type) sum(score[ends == type]), double(1), USE.NAMES = FALSE)
}

# The outline of every ribbon.
sankey_ribbons <- function(between, nodes) {
  ribbons <- lapply(seq_along(between), function(k) {
    links <- between[[k]]
    if (nrow(links) == 0) {
      return(NULL)
    }
    left <- nodes[nodes$column == k, ]
    right <- nodes[nodes$column == k + 1L, ]
    a <- match(links$type_a, left$type)
    b <- match(links$type_b, right$type)
    top_a <- stacked_tops(a, b, links$score, left)
    top_b <- stacked_tops(b, a, links$score, right)
    colours <- recycled_colours(nrow(left))
    do.call(rbind, lapply(seq_len(nrow(links)), function(i) {
      data.frame(
        sankey_outline(k, top_a[[i]], top_b[[i]], links$score[[i]]), link = paste(k, i), colour = colours[[a[[i]]]],
        type_a = links$type_a[[i]], type_b = links$type_b[[i]], score = links$score[[i]]
      )
    }))
  })
  do.call(rbind, ribbons)
}

# Upper ends of the links at one side of their bars: from the top, in the order of the bars they lead to.
stacked_tops <- function(own, other, score, nodes) {
  top <- double(length(own))
  for (node in unique(own)) {
    mine <- which(own == node)
    mine <- mine[order(other[mine])]
    full <- (nodes$top[[node]] - nodes$bottom[[node]] - sum(score[mine])) / 2
    top[mine] <- nodes$top[[node]] - full - c(0, cumsum(score[mine]))[seq_along(mine)]
  }
  top
}

sankey_outline <- function(column, top_a, top_b, width) {
  t <- seq(0, 1, length.out = 40)
  x <- column + half_bar + t * (1 - 2 * half_bar)
  y <- top_a + (top_b - top_a) * t^2 * (3 - 2 * t)
  data.frame(x = c(x, rev(x)), y = c(y, rev(y - width)))
}

# Names of the first and the last column are axes, so that the plot makes room for them.
sankey_axes <- function(nodes, species) {
  first <- nodes[nodes$column == 1L, ]
  last <- nodes[nodes$column == length(species), ]
  list(
    ggplot2::scale_x_continuous(
      breaks = seq_along(species), labels = species, position = "top", expand = ggplot2::expansion(add = 0.01)
    ),
    ggplot2::scale_y_continuous(
      breaks = first$middle, labels = shortened(first$type), expand = ggplot2::expansion(mult = 0.01),
      sec.axis = ggplot2::dup_axis(breaks = last$middle, labels = shortened(last$type), name = NULL)
    )
  )
}

inner_labels <- function(nodes, columns) {
  inner <- nodes[nodes$column > 1L & nodes$column < columns, ]
  if (nrow(inner) == 0) {
    return(NULL)
  }
  ggplot2::geom_text(
    data = inner, mapping = ggplot2::aes(.data$column + 2 * half_bar, .data$middle, label = shortened(.data$type)),
    inherit.aes = FALSE, hjust = 0, size = 0.9 * label_mm(max(table(nodes$column)))
  )
}
