#' Chord diagram of aligned types
#'
#' Types lie on a circle, those of one species side by side; chords between them are as wide as the alignment score.
#'
#' @inheritParams plot_sankey
#' @param species Species in their order around the circle, clockwise. `NULL`: the order of the table.
#' @return A ggplot. The outer ring has a colour per species; a chord has the colour of its type in the species that
#'   comes first (colours come again after seven types, and only part neighbours). Types without a link are not shown; a
#'   caption counts them. Sixty types per species stay legible at 9 by 9 inches.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' plot_chord(sm, "cell_type")
#' @export
plot_chord <- function(x, by = NULL, species = NULL, min_score = 0.1, ...) {
  check_number(min_score, "min_score", min = 0, max = 1)
  scores <- plotted_scores(x, by, ...)
  species <- unique(links_species(scores, species))
  links <- linked_types(scores, min_score)
  links <- links[links$species_a %in% species & links$species_b %in% species, , drop = FALSE]
  if (nrow(links) == 0) stop_without_scores(scores)
  links <- first_species_first(links, species)
  arcs <- chord_arcs(links, species)
  size <- label_mm(nrow(arcs) / 2)
  reach <- 1.12 + label_room(max(nchar(shortened(arcs$type))), size)
  colours <- species_colours(species)
  ggplot2::ggplot(chord_ribbons(links, arcs), ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_polygon(ggplot2::aes(group = .data$link, fill = .data$colour), alpha = 0.5) +
    ggplot2::geom_polygon(ggplot2::aes(group = .data$arc, fill = .data$colour), data = chord_ring(arcs, colours)) +
    chord_labels(arcs, size) +
    ggplot2::scale_fill_identity(
      guide = "legend", name = "Species", breaks = unname(colours), labels = names(colours)
    ) +
    ggplot2::guides(fill = ggplot2::guide_legend(override.aes = list(alpha = 1))) +
    ggplot2::coord_equal(xlim = c(-reach, reach), ylim = c(-reach, reach), expand = FALSE, clip = "off") +
    ggplot2::labs(
      title = "Alignment of cell types",
      subtitle = paste0("Width: alignment score (0 to 1), at least ", format(min_score), "; the widest is ",
        sprintf("%.2f", max(links$score))),
      caption = links_caption(scores, links, species)
    ) +
    theme_bare() +
    ggplot2::theme(legend.position = "bottom")
}

# Room of the longest name beyond the circle of radius 1.12, in its units, on a page that is 7.5 inches wide.
label_room <- function(characters, size) {
  share <- min(0.55, characters * 0.5 * size / (7.5 * 25.4 / 2))
  1.12 * share / (1 - share)
}

# The end that comes first in `species` first.
first_species_first <- function(links, species) {
  turned <- match(links$species_a, species) > match(links$species_b, species)
  ends <- c("species_a", "type_a", "species_b", "type_b")
  links[turned, ends] <- links[turned, ends[c(3L, 4L, 1L, 2L)]]
  links
}

# One row per type: the angles of its arc, clockwise from the top. Every second species runs against the one before, so
# that matches face each other.
chord_arcs <- function(links, species) {
  ends <- data.frame(
    species = c(links$species_a, links$species_b), type = c(links$type_a, links$type_b), score = rep(links$score, 2L)
  )
  species <- species[species %in% ends$species]
  types <- lapply(seq_along(species), function(k) unique(ends$type[ends$species == species[[k]]]))
  for (k in seq_along(species)[-1]) {
    between <- links_between(links, species[[1]], species[[k]])
    if (nrow(between) > 0) {
      if (k == 2L) types[[1]] <- union(untangled(list(between))[[1]], types[[1]])
      types[[k]] <- rev(sorted_by_partners(types[[k]], types[[1]], between))
    }
  }
  arcs <- do.call(rbind, Map(function(id, type) {
    mine <- ends[ends$species == id, ]
    data.frame(species = id, type = type, width = added_scores(type, mine$type, mine$score))
  }, species, types))
  rownames(arcs) <- NULL
  # A third of the circle is left for gaps where types are many; gaps between species count for five.
  gaps <- 1 + 4 * !duplicated(arcs$species)
  gap <- min(0.03, 0.33 * 2 * pi / sum(gaps))
  unit <- (2 * pi - gap * sum(gaps)) / sum(arcs$width)
  arcs$end <- cumsum(gaps * gap + arcs$width * unit)
  arcs$start <- arcs$end - arcs$width * unit
  # The gap before the first species is halved by the top.
  arcs[c("start", "end")] <- arcs[c("start", "end")] - 2.5 * gap
  arcs
}

on_circle <- function(angle, radius = 1) data.frame(x = radius * sin(angle), y = radius * cos(angle))

chord_ribbons <- function(links, arcs) {
  a <- type_position(links$species_a, links$type_a, arcs)
  b <- type_position(links$species_b, links$type_b, arcs)
  starts <- chord_starts(c(a, b), c(b, a), rep(links$score, 2L), arcs)
  start_a <- starts[seq_along(a)]
  start_b <- starts[-seq_along(a)]
  colours <- recycled_colours(nrow(arcs))
  unit <- (arcs$end[[1]] - arcs$start[[1]]) / arcs$width[[1]]
  ribbons <- lapply(seq_len(nrow(links)), function(i) {
    width <- links$score[[i]] * unit
    data.frame(
      chord_outline(start_a[[i]], start_b[[i]], width), link = i, colour = colours[[a[[i]]]],
      species_a = links$species_a[[i]], type_a = links$type_a[[i]], species_b = links$species_b[[i]],
      type_b = links$type_b[[i]], score = links$score[[i]]
    )
  })
  do.call(rbind, ribbons)
}

# Where on the arc of their type the ends of the links begin: sorted so that chords of one type do not cross.
chord_starts <- function(own, other, score, arcs) {
  unit <- (arcs$end[[1]] - arcs$start[[1]]) / arcs$width[[1]]
  start <- double(length(own))
  for (arc in unique(own)) {
    mine <- which(own == arc)
    ahead <- (arcs$start[other[mine]] - arcs$start[[arc]]) %% (2 * pi)
    mine <- mine[order(-ahead)]
    start[mine] <- arcs$start[[arc]] + unit * c(0, cumsum(score[mine]))[seq_along(mine)]
  }
  start
}

# Along the arc of A, across to B, along its arc, and back; Bezier curves drawn towards the centre.
chord_outline <- function(start_a, start_b, width) {
  t <- seq(0, 1, length.out = 60)
  across <- function(from, to) {
    p <- on_circle(from)
    q <- on_circle(to)
    pull <- 0.1
    m <- data.frame(x = pull * (p$x + q$x), y = pull * (p$y + q$y))
    data.frame(
      x = (1 - t)^2 * p$x + 2 * t * (1 - t) * m$x + t^2 * q$x, y = (1 - t)^2 * p$y + 2 * t * (1 - t) * m$y + t^2 * q$y
    )
  }
  rbind(
    on_circle(start_a + width * t), across(start_a + width, start_b), on_circle(start_b + width * t),
    across(start_b + width, start_a)
  )
}

chord_ring <- function(arcs, colours) {
  ring <- lapply(seq_len(nrow(arcs)), function(i) {
    along <- seq(arcs$start[[i]], arcs$end[[i]], length.out = max(2L, ceiling(60 * (arcs$end[[i]] - arcs$start[[i]]))))
    data.frame(
      rbind(on_circle(along, 1.02), on_circle(rev(along), 1.08)), arc = i, colour = colours[[arcs$species[[i]]]]
    )
  })
  do.call(rbind, ring)
}

# Names outside of the ring, readable from either side.
chord_labels <- function(arcs, size) {
  middle <- (arcs$start + arcs$end) / 2
  left <- sin(middle) < 0
  degrees <- 90 - middle * 180 / pi
  labels <- data.frame(
    on_circle(middle, 1.12), text = shortened(arcs$type), angle = ifelse(left, degrees + 180, degrees), hjust = left + 0
  )
  ggplot2::geom_text(
    ggplot2::aes(label = .data$text, angle = .data$angle, hjust = .data$hjust), data = labels, size = size
  )
}
