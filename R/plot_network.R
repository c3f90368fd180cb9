#' Network of aligned types
#'
#' Types are points, and types of different species are joined where they align (as in figure 5C of Tarashansky et al.
#' 2021). Families of types that many species share show as clusters.
#'
#' @inheritParams plot_sankey
#' @param species Only these species. `NULL`: all of the table.
#' @param isolated Show types without a link, too.
#' @param label Write the names of the types beside their points; needs the package ggrepel.
#' @param seed Seed of the places of the names.
#' @return A ggplot: points coloured by species, lines as wide as the alignment score. Each connected part is laid out
#'   by Kamada and Kawai's method; large parts come first. The same input and seed give the same picture. Types without
#'   a link are counted in a caption unless `isolated`. Sixty types per species stay legible at 10 by 9 inches.
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examplesIf rlang::is_installed("ggrepel")
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' plot_network(sm, "cell_type")
#' @export
plot_network <- function(x, by = NULL, species = NULL, min_score = 0.1, isolated = FALSE, label = TRUE, seed = 0L,
                         ...) {
  check_number(min_score, "min_score", min = 0, max = 1)
  check_flag(isolated, "isolated")
  seed <- check_number(seed, "seed", min = 0, integer = TRUE)
  if (check_flag(label, "label")) rlang::check_installed("ggrepel", "to keep the names of types apart.")
  scores <- plotted_scores(x, by, ...)
  species <- unique(links_species(scores, species))
  scores <- scores[scores$species_a %in% species & scores$species_b %in% species, , drop = FALSE]
  links <- linked_types(scores, min_score)
  nodes <- network_nodes(if (isolated) scores else links)
  ends <- cbind(
    type_position(links$species_a, links$type_a, nodes), type_position(links$species_b, links$type_b, nodes)
  )
  nodes[c("x", "y")] <- network_layout(ends, nrow(nodes))
  lines <- data.frame(
    x = nodes$x[ends[, 1]], y = nodes$y[ends[, 1]], xend = nodes$x[ends[, 2]], yend = nodes$y[ends[, 2]],
    score = links$score
  )
  nodes$species <- factor(nodes$species, species)
  ggplot2::ggplot(nodes, ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$xend, yend = .data$yend, linewidth = .data$score), data = lines, colour = "grey60",
      alpha = 0.7, lineend = "round"
    ) +
    ggplot2::geom_point(ggplot2::aes(fill = .data$species), shape = 21, size = node_size, colour = "grey20") +
    (if (label) network_labels(nodes, seed)) +
    ggplot2::scale_linewidth(range = c(0.3, 2.5), limits = c(0, 1), breaks = c(0.25, 0.5, 0.75, 1)) +
    ggplot2::scale_fill_manual(values = species_colours(species), drop = FALSE) +
    ggplot2::guides(
      fill = ggplot2::guide_legend(override.aes = list(size = 4), order = 1),
      linewidth = ggplot2::guide_legend(order = 2)
    ) +
    ggplot2::coord_equal(clip = "off") +
    ggplot2::labs(
      title = "Alignment of cell types",
      subtitle = paste0("Types of different species are joined where their alignment score is at least ",
        format(min_score)),
      fill = "Species", linewidth = "Alignment\nscore (0-1)",
      caption = if (!isolated) links_caption(scores, links, species)
    ) +
    theme_bare()
}

# One row per type.
network_nodes <- function(links) {
  nodes <- unique(data.frame(species = c(links$species_a, links$species_b), type = c(links$type_a, links$type_b)))
  rownames(nodes) <- NULL
  nodes
}

# Connected parts, each laid out by itself and put beside each other, the largest first, in rows of about the same
# width.
network_layout <- function(ends, n) {
  graph <- igraph::make_undirected_graph(as.vector(t(ends)), n = n)
  part <- igraph::components(graph)$membership
  parts <- split(seq_len(n), part)
  parts <- parts[order(-lengths(parts), vapply(parts, min, integer(1)))]
  places <- lapply(parts, function(members) part_layout(igraph::induced_subgraph(graph, members)))
  width <- vapply(places, function(place) diff(range(place[, 1])), double(1)) + part_gap
  height <- vapply(places, function(place) diff(range(place[, 2])), double(1)) + part_gap
  line <- max(width, sqrt(1.4 * sum(width * height)))
  at <- matrix(0, n, 2)
  x <- y <- row_height <- 0
  for (k in seq_along(parts)) {
    if (x > 0 && x + width[[k]] > line) {
      y <- y - row_height
      x <- row_height <- 0
    }
    at[parts[[k]], 1] <- places[[k]][, 1] - min(places[[k]][, 1]) + x
    at[parts[[k]], 2] <- places[[k]][, 2] - max(places[[k]][, 2]) + y
    x <- x + width[[k]]
    row_height <- max(row_height, height[[k]])
  }
  data.frame(x = at[, 1], y = at[, 2])
}

# Room between the parts; joined types are about 1 apart.
part_gap <- 1

part_layout <- function(graph) {
  n <- igraph::vcount(graph)
  if (n == 1L) {
    return(matrix(0, 1, 2))
  }
  place <- if (n == 2L) cbind(c(0, 1), 0) else igraph::layout_with_kk(graph)
  # The longer side lies level; the mean length of a line is 1.
  place <- scale(place, scale = FALSE)
  if (n > 2L) place <- place %*% svd(place)$v
  ends <- igraph::as_edgelist(graph, names = FALSE)
  place / mean(sqrt(rowSums((place[ends[, 1], , drop = FALSE] - place[ends[, 2], , drop = FALSE])^2)))
}

# Diameter of the points in mm.
node_size <- 3.5

network_labels <- function(nodes, seed) {
  ggrepel::geom_text_repel(
    ggplot2::aes(label = shortened(.data$type)),
    size = if (nrow(nodes) > 60) 2.2 else if (nrow(nodes) > 30) 2.6 else 3.2, seed = seed, point.size = node_size,
    max.overlaps = Inf, min.segment.length = 0.3, segment.colour = "grey70", segment.size = 0.2, box.padding = 0.2,
    force = 1.5, max.time = 20, max.iter = 4000, bg.colour = "white", bg.r = 0.12
  )
}
