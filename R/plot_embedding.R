#' Draw the cells in two dimensions
#'
#' @param sm,x What [samap()] or [sam()] returns, with a layout ([run_umap()]).
#' @param by What colours the cells: `"species"`, or labels as in [alignment_scores()].
#' @param split A panel per species.
#' @param size,alpha Diameter of the points in mm (`NULL`: by the number of cells), and their opacity (0 to 1).
#' @param label Write the groups onto their centres; `NULL`: numbers, if there are more than 12 groups. Numbers are
#'   those of the legend.
#' @param ... Passed to `plot_embedding()`.
#' @return A ggplot. Nothing is drawn until it is printed.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, threads = 1, verbose = FALSE)
#' plot_embedding(sm, "cell_type", split = TRUE)
#' @export
plot_embedding <- function(sm, by = NULL, split = FALSE, size = NULL, alpha = 0.8, label = NULL) {
  check_result(sm)
  check_flag(split, "split")
  check_number(alpha, "alpha", min = 0, max = 1)
  if (!is.null(size)) check_number(size, "size", min = 0)
  if (!is.null(label)) check_flag(label, "label")
  cells <- plot_cells(sm, by)
  if (is.null(size)) size <- max(0.2, min(1.5, 60 / sqrt(nrow(cells))))
  n_groups <- nlevels(cells$group)
  if (is.null(label)) label <- n_groups > many_groups
  numbered <- label && n_groups > many_groups
  if (numbered) levels(cells$group) <- paste(seq_len(n_groups), levels(cells$group))
  # A fixed shuffle, so that no group lies on top of the others.
  cells <- cells[with_seed(0L, sample.int(nrow(cells))), , drop = FALSE]
  plot <- ggplot2::ggplot(cells, ggplot2::aes(.data$x, .data$y, colour = .data$group)) +
    ggplot2::geom_point(size = size, alpha = alpha, stroke = 0) +
    ggplot2::scale_colour_manual(values = group_colours(n_groups), na.value = "grey80", drop = FALSE) +
    ggplot2::guides(colour = group_legend(n_groups)) +
    ggplot2::coord_equal() +
    ggplot2::labs(title = embedding_title(sm, by), x = "UMAP 1", y = "UMAP 2", colour = column_of(by)) +
    theme_samap() +
    ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank())
  if (split && !is.null(cells$species)) plot <- plot + ggplot2::facet_wrap(ggplot2::vars(.data$species))
  if (label) plot <- plot + group_labels(cells, split, numbered)
  plot
}

many_groups <- 12L

plot_cells <- function(sm, by) {
  coordinates <- embedding(sm, "umap")
  single <- inherits(sm, "samap_sam")
  cells <- data.frame(x = coordinates[, 1], y = coordinates[, 2], row.names = NULL)
  if (!single) cells$species <- factor(sm$cells$species, levels = sm$species)
  if (!single && (is.null(by) || identical(by, "species"))) {
    cells$group <- cells$species
    return(cells)
  }
  if (is.null(by)) by <- "samap_leiden"
  labels <- if (single) {
    resolve_labels(sole_labels(by), one_species_cells(sm), sole_species)
  } else {
    resolve_labels(by, sm$cells, sm$species)
  }
  cells$group <- factor(labels$label, levels = unique(labels$types$type))
  cells
}

# The one column that `by` names, if it does.
column_of <- function(by) if (is.character(by) && length(by) == 1L) unname(by)

embedding_title <- function(sm, by) {
  column <- column_of(by)
  species <- if (!inherits(sm, "samap_sam")) paste(" of", enumerate(sm$species))
  paste0("Cells", species, if (!is.null(column)) paste(" by", column))
}

group_legend <- function(n_groups) {
  ggplot2::guide_legend(
    override.aes = list(size = 3, alpha = 1), ncol = max(1L, ceiling(n_groups / 20)),
    keyheight = if (n_groups > many_groups) 0.7 else 1, keywidth = 0.7, default.unit = "lines"
  )
}

# The name (or number) of every group at the median of its cells.
group_labels <- function(cells, split, numbered) {
  cells <- cells[!is.na(cells$group), , drop = FALSE]
  panels <- if (split) cells$species else factor(rep(1L, nrow(cells)))
  parts <- split(cells, list(cells$group, panels), drop = TRUE)
  centres <- do.call(rbind, lapply(parts, function(part) {
    replace(part[1L, , drop = FALSE], c("x", "y"), list(stats::median(part$x), stats::median(part$y)))
  }))
  centres$text <- if (numbered) as.integer(centres$group) else as.character(centres$group)
  ggplot2::geom_label(
    data = centres, mapping = ggplot2::aes(label = .data$text), colour = "black", fill = "#FFFFFFB0",
    label.size = 0, label.padding = ggplot2::unit(0.1, "lines"), size = 3, show.legend = FALSE
  )
}

#' @rdname plot_embedding
#' @method plot samap
#' @export
plot.samap <- function(x, ...) plot_embedding(x, ...)

#' @rdname plot_embedding
#' @method plot samap_sam
#' @export
plot.samap_sam <- function(x, ...) plot_embedding(x, ...)
