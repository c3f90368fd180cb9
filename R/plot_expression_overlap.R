#' Where homologous genes are expressed together
#'
#' Colours the cells of the layout by one gene per species, smoothed over the stitched graph, and by their overlap.
#'
#' @param sm What [samap()] returns, with its counts and a layout ([run_umap()]).
#' @param genes One gene per species: `c(human = "INS", mouse = "Ins2")`; two species or more.
#' @param average What the expression of a gene in a cell is averaged over. `"species"`: the neighbours of the cell in
#'   the species of the gene. `"all"`: its neighbours in all species of `genes`, those of other species counting 0, as
#'   in SAMap 3.0.1; cells whose edges nearly all lead to another species then have little of their own gene, and little
#'   overlap.
#' @param min_expression Smoothed expression below this counts as none.
#' @param size Diameter of the points in mm; `NULL`: by the number of cells.
#' @param raster As in [plot_embedding()].
#' @param threads,verbose As in [samap()].
#' @return A ggplot. The smoothed expression of a gene in a cell is its mean over the neighbours of the cell, weighted
#'   by the edges of the stitched graph; the overlap is the smallest of a cell's values, so that it shows where edges
#'   lead to cells of all these species that express their gene. Opacity is the share of the highest value of each
#'   colour. Cells of species without a gene in `genes` are grey. `$data` holds the values.
#'
#'   Errors: `samap_error_no_counts`, `samap_error_no_umap`, `samap_error_gene`, `samap_error_argument` (a single
#'   species).
#' @references `plot_expression_overlap()` of the Python package sc-samap 3.0.1.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, threads = 1, verbose = FALSE)
#' plot_expression_overlap(sm, c(human = "INS", mouse = "Ins2"), threads = 1)
#' @export
plot_expression_overlap <- function(sm, genes, average = c("species", "all"), min_expression = 0.1, size = NULL,
                                    raster = NULL, threads = NULL, verbose = FALSE) {
  check_samap(sm)
  options <- list(
    average = check_choice(average, c("species", "all"), "average"),
    min_expression = check_number(min_expression, "min_expression", min = 0)
  )
  if (!is.null(size)) check_number(size, "size", min = 0)
  coordinates <- embedding(sm, "umap")
  genes <- one_gene_each(sm, genes, "genes")
  if (length(genes) < 2L) {
    samap_abort(
      "argument", "`genes` must name genes of two or more species.", argument = "genes",
      found = paste0("It names ", enumerate(paste0(quoted(genes), " of ", names(genes))), "."),
      remedy = paste0("For example `c(", sm$species[[1]], " = \"...\", ", sm$species[[2]], " = \"...\")`.")
    )
  }
  found <- overlap_of(sm, genes, options, result_run(sm, threads, verbose))
  names <- c(paste0(genes, " (", names(genes), ")"), "all of them")
  if (length(genes) == 2L) names[[3]] <- "both"
  cells <- data.frame(x = coordinates[, 1], y = coordinates[, 2], row.names = NULL)
  values <- cbind(found$smoothed, found$overlap)
  points <- overlap_points(cells, values, names)
  points_layer <- cell_points(cells, size, raster)
  ggplot2::ggplot(points, ggplot2::aes(.data$x, .data$y)) +
    points_layer(data = cells, colour = nothing_grey, alpha = 1) +
    points_layer(mapping = ggplot2::aes(colour = .data$what, alpha = .data$share)) +
    ggplot2::scale_colour_manual(values = overlap_colours(names), drop = FALSE) +
    ggplot2::scale_alpha_continuous(range = c(0.05, 1), limits = c(0, 1), breaks = c(0.25, 0.5, 1)) +
    ggplot2::guides(
      colour = ggplot2::guide_legend(override.aes = list(size = 3, alpha = 1), order = 1),
      alpha = ggplot2::guide_legend(override.aes = list(size = 3), order = 2)
    ) +
    ggplot2::coord_equal() +
    ggplot2::labs(
      title = paste("Expression of", enumerate(genes)),
      subtitle = paste0(
        "Smoothed over the stitched graph, ", expression_unit(sm), ", at least ", format(min_expression)
      ),
      x = "UMAP 1", y = "UMAP 2", colour = "Expressed", alpha = "Share of the\nhighest value"
    ) +
    theme_samap() +
    ggplot2::theme(axis.text = ggplot2::element_blank())
}

overlap_of <- function(sm, genes, options, run) {
  rows <- shown_rows(sm, genes, "genes")
  counts <- need_counts(sm)
  parts <- lapply(names(genes), function(id) {
    list(expression = species_expression(sm, id, counts, run), species = match(id, sm$species), gene = rows[[id]])
  })
  engine_expression_overlap(final_pass(sm)$graph, cells_per_species(sm), parts, options, run)
}

cells_per_species <- function(sm) as.integer(table(factor(sm$cells$species, sm$species)))

# A row per cell and colour that shows there; the overlap comes last and lies on top.
overlap_points <- function(cells, values, names) {
  points <- lapply(seq_along(names), function(k) {
    there <- values[, k] > 0
    share <- values[there, k] / max(values[, k], .Machine$double.xmin)
    part <- data.frame(cells[there, ], what = rep(names[[k]], sum(there)), value = values[there, k], share = share)
    part[order(signif(part$share, 6)), ]
  })
  points <- do.call(rbind, points)
  points$what <- factor(points$what, names)
  points
}

# Blue and orange overlap in green.
overlap_colours <- function(names) {
  own <- c(okabe_ito[c(1, 2, 5, 6, 7, 4, 8)], group_colours(max(21L, length(names))))
  setNames(c(own[seq_len(length(names) - 1L)], okabe_ito[[3]]), names)
}
