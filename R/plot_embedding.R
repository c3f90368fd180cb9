#' Draw the cells in two dimensions
#'
#' @param sm,x What [samap()] or [sam()] returns, with a layout ([run_umap()]).
#' @param by What colours the cells: `"species"`, or labels as in [alignment_scores()].
#' @param split A panel per species.
#' @param size,alpha Diameter of the points in mm (`NULL`: by the number of cells), and their opacity (0 to 1).
#' @param label Write the groups onto their centres; `NULL`: numbers, if there are more than 12 groups. Numbers are
#'   those of the legend.
#' @param raster Draw the points as one picture, so that files stay small (needs the package scattermore); `NULL`: from
#'   100,000 cells on, if scattermore is installed.
#' @param gene Colour by the normalised expression of a gene instead: `c(human = "INS", mouse = "Ins2")`, or one name
#'   for all species that have it. Cells of other species are grey. For the result of [sam()]: one name. Needs the
#'   counts.
#' @param score Colour by how well cells align instead: `TRUE`, the share of a cell's cross-species edges that it has
#'   (1: all, at full weight), of the other species that it aligns with best; or a species, the share that goes there.
#' @param ... Passed to `plot_embedding()`.
#' @return A ggplot. Nothing is drawn until it is printed. Errors: `samap_error_no_umap`, `samap_error_gene`,
#'   `samap_error_no_counts`, `samap_error_key`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, threads = 1, verbose = FALSE)
#' plot_embedding(sm, "cell_type", split = TRUE)
#' plot_embedding(sm, gene = c(human = "INS", mouse = "Ins2"))
#' @export
plot_embedding <- function(sm, by = NULL, split = FALSE, size = NULL, alpha = 0.8, label = NULL, raster = NULL,
                           gene = NULL, score = NULL) {
  check_result(sm)
  check_flag(split, "split")
  check_number(alpha, "alpha", min = 0, max = 1)
  if (!is.null(size)) check_number(size, "size", min = 0)
  if (!is.null(label)) check_flag(label, "label")
  one_colouring(by, gene, score)
  cells <- placed_cells(sm)
  points_layer <- cell_points(cells, size, raster)
  plot <- if (!is.null(gene)) {
    coloured_by_value(gene_values(sm, cells, gene), points_layer, alpha)
  } else if (!is.null(score)) {
    coloured_by_value(score_values(sm, cells, score), points_layer, alpha)
  } else {
    coloured_by_group(sm, grouped_cells(sm, cells, by), by, split, label, points_layer, alpha)
  }
  if (split && !is.null(cells$species)) plot <- plot + ggplot2::facet_wrap(ggplot2::vars(.data$species))
  plot +
    ggplot2::coord_equal() +
    ggplot2::labs(x = "UMAP 1", y = "UMAP 2") +
    theme_samap() +
    ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank())
}

many_groups <- 12L

one_colouring <- function(by, gene, score) {
  given <- c("by", "gene", "score")[!c(is.null(by), is.null(gene), is.null(score))]
  if (length(given) > 1L) {
    samap_abort(
      "argument", "Cells can have one colour only.", argument = given[[2]],
      found = paste0("Given: ", enumerate(backticked(given)), "."), remedy = "Give one of them."
    )
  }
}

# A layer of one point per cell, as a function of what geoms take.
cell_points <- function(cells, size, raster) {
  n <- nrow(cells)
  if (is.null(raster)) {
    raster <- n >= 100000L && rlang::is_installed("scattermore")
  } else if (check_flag(raster, "raster")) {
    rlang::check_installed("scattermore", "to draw cells as one picture.")
  }
  if (is.null(size)) size <- max(0.2, min(1.5, 60 / sqrt(n)))
  function(...) {
    if (!raster) {
      return(ggplot2::geom_point(..., size = size, stroke = 0))
    }
    # The picture has the shape of the panel, so that points are round. 1200 pixels over 6 inches are 8 per mm; a point
    # of size 1 has a radius of 3/8 mm.
    extent <- c(diff(range(cells$x)), diff(range(cells$y)))
    pixels <- pmax(100, round(1200 * extent / max(extent)))
    scattermore::geom_scattermore(..., pointsize = if (size < 0.33) 0 else 3 * size, pixels = pixels)
  }
}

placed_cells <- function(sm) {
  coordinates <- embedding(sm, "umap")
  cells <- data.frame(x = coordinates[, 1], y = coordinates[, 2], row.names = NULL)
  if (!inherits(sm, "samap_sam")) cells$species <- factor(sm$cells$species, levels = sm$species)
  cells
}

# ---- groups ------------------------------------------------------------------

grouped_cells <- function(sm, cells, by) {
  single <- inherits(sm, "samap_sam")
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

coloured_by_group <- function(sm, cells, by, split, label, points_layer, alpha) {
  n_groups <- nlevels(cells$group)
  if (is.null(label)) label <- n_groups > many_groups
  numbered <- label && n_groups > many_groups
  if (numbered) levels(cells$group) <- paste(seq_len(n_groups), levels(cells$group))
  # A fixed shuffle, so that no group lies on top of the others.
  cells <- cells[with_seed(0L, sample.int(nrow(cells))), , drop = FALSE]
  plot <- ggplot2::ggplot(cells, ggplot2::aes(.data$x, .data$y, colour = .data$group)) +
    points_layer(alpha = alpha) +
    ggplot2::scale_colour_manual(values = group_colours(n_groups), na.value = "grey80", drop = FALSE) +
    ggplot2::guides(colour = group_legend(n_groups)) +
    ggplot2::labs(title = embedding_title(sm, by), colour = column_of(by))
  if (label) plot <- plot + group_labels(cells, split, numbered)
  plot
}

# The one column that `by` names, if it does.
column_of <- function(by) if (is.character(by) && length(by) == 1L) unname(by)

embedding_title <- function(sm, by) {
  column <- column_of(by)
  species <- if (!inherits(sm, "samap_sam")) paste(" of", enumerate(sm$species))
  paste0("Cells", species, if (!is.null(column)) paste(" by", column))
}

# Keys as high as their text; sixty groups take two columns that fit a page 7 inches high.
group_legend <- function(n_groups) {
  many <- n_groups > many_groups
  ggplot2::guide_legend(
    override.aes = list(size = if (many) 2.5 else 3, alpha = 1), ncol = max(1L, ceiling(n_groups / 32)),
    keyheight = if (many) 0.7 else 1, keywidth = 0.7, default.unit = "lines",
    label.theme = ggplot2::element_text(size = if (n_groups > 40) 7 else if (many) 8 else 9)
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

# ---- values ------------------------------------------------------------------

# Cells with a value, what it is called, and the title of the plot.
gene_values <- function(sm, cells, gene) {
  run <- result_run(sm)
  if (inherits(sm, "samap_sam")) {
    gene <- check_string(unname(gene), "gene")
    row <- match(gene, sm$genes$gene)
    if (is.na(row)) {
      samap_abort("gene", paste0("There is no gene ", quoted(gene), "."), argument = "gene",
        remedy = "`gene_weights()` lists the genes.")
    }
    expression <- shown_expression(need_counts(sm), sm$options$preprocess, run, sole_species)
    cells$value <- as.double(engine_cell_expression(expression, row, run, sole_species))
    return(list(cells = cells, title = paste("Expression of", gene), name = norm_unit(sm$options$preprocess$norm)))
  }
  genes <- one_gene_each(sm, gene, "gene")
  cells$value <- gene_in_cells(sm, genes, run)
  shown <- if (length(unique(genes)) == 1L) genes[[1]] else paste0(genes, " (", names(genes), ")")
  list(cells = cells, title = paste("Expression of", enumerate(shown)), name = expression_unit(sm))
}

score_values <- function(sm, cells, score) {
  check_samap(sm)
  scores <- cell_scores(sm, verbose = FALSE)
  if (isTRUE(score)) {
    title <- "How well cells align with another species"
  } else {
    check_known_species(check_string(score, "score"), sm$species, "score")
    scores <- scores[scores$partner == score, ]
    title <- paste("How well cells align with", score)
  }
  best <- scores[order(-scores$score), ]
  cells$value <- best$score[match(sm$cells$cell, best$cell)]
  # A score of 1 may be more by rounding.
  list(cells = cells, title = title, name = "Share of edges (0-1)", limits = c(0, max(1, best$score)))
}

# High values on top; cells without a value in grey below.
coloured_by_value <- function(values, points_layer, alpha) {
  cells <- values$cells[order(values$cells$value, na.last = FALSE), ]
  ggplot2::ggplot(cells, ggplot2::aes(.data$x, .data$y, colour = .data$value)) +
    points_layer(alpha = alpha) +
    ggplot2::scale_colour_gradientn(
      colours = c(nothing_grey, much_colours[3:6]), na.value = "grey95", limits = values$limits
    ) +
    ggplot2::labs(title = values$title, colour = gsub(" of ", " of\n", sub("(", "\n(", values$name, fixed = TRUE)))
}

#' @rdname plot_embedding
#' @method plot samap
#' @export
plot.samap <- function(x, ...) plot_embedding(x, ...)

#' @rdname plot_embedding
#' @method plot samap_sam
#' @export
plot.samap_sam <- function(x, ...) plot_embedding(x, ...)
