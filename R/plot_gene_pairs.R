#' Expression of gene pairs in aligned types
#'
#' A dot plot per species, side by side: the size of a dot is the share of the cells of a type that express the gene,
#' its colour the mean expression. Lines between both join homologous genes.
#'
#' @param sm What [samap()] returns, with its counts.
#' @param by The types, as in [alignment_scores()].
#' @param pairs What [gene_pairs()] returns, or some of its rows: the genes to show. `NULL`: `gene_pairs(sm, by)`.
#' @param n_top Show this many pairs of genes per pair of types, best first; `Inf`: all.
#' @param species The two species, left and right. `NULL`: those of the first row of `pairs`.
#' @param all_types Show all types of `by`, not only those in `pairs`; `NULL`: if neither species has more than 20.
#' @param scale Colours from 0 to the highest mean of each gene, so that genes of all levels show their pattern;
#'   `FALSE`: one scale of expression for all.
#' @param threads,verbose As in [samap()].
#' @return A ggplot. Genes stand in the order of `pairs`, types in that of their first gene, so that matched types lie
#'   along both diagonals. Means are over all cells of a type, zeros included, of the normalised expression; lines are
#'   darker the higher the refined correlation. `$data` holds the numbers: species, type, gene, mean, fraction (0 to 1).
#'
#'   Errors: `samap_error_no_counts`, `samap_error_key`, `samap_error_gene`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' pairs <- gene_pairs(sm, "cell_type", min_score = 0.3, threads = 1, verbose = FALSE)
#' plot_gene_pairs(sm, "cell_type", pairs, n_top = 2, threads = 1)
#' @export
plot_gene_pairs <- function(sm, by, pairs = NULL, n_top = 3, species = NULL, all_types = NULL, scale = TRUE,
                            threads = NULL, verbose = FALSE) {
  check_samap(sm)
  n_top <- if (identical(n_top, Inf)) Inf else check_number(n_top, "n_top", min = 1, integer = TRUE)
  if (!is.null(all_types)) check_flag(all_types, "all_types")
  check_flag(scale, "scale")
  need_counts(sm)
  if (is.null(pairs)) pairs <- gene_pairs(sm, by, threads = threads, verbose = verbose)
  pairs <- top_pairs(drawn_pairs(pairs), species, sm$species, n_top)
  labels <- resolve_labels(by, sm$cells, sm$species)
  sides <- pair_sides(pairs, labels$types, all_types)
  run <- result_run(sm, threads, verbose)
  own <- species_labels(labels, sm$cells, sm$species)
  dots <- lapply(sides, function(side) {
    data.frame(species = side$species, gene_in_types(sm, side$species, side$genes, own[[side$species]], run))
  })
  paired_dots(dots, sides, pairs, if (scale) NULL else expression_unit(sm))
}

drawn_pairs <- function(pairs) {
  if (!is.data.frame(pairs)) {
    samap_abort(
      "argument", "`pairs` must be what `gene_pairs()` returns.", argument = "pairs",
      found = paste0("It is ", describe(pairs), ".")
    )
  }
  check_columns(pairs, c("species_a", "type_a", "species_b", "type_b", "gene_a", "gene_b"), "pairs")
  if (nrow(pairs) == 0) {
    samap_abort(
      "argument", "There are no gene pairs to draw.", argument = "pairs", found = "`pairs` has no rows.",
      remedy = "Lower `min_score` or `min_weight`, or raise `max_pval`, in `gene_pairs()`."
    )
  }
  as.data.frame(pairs)
}

# The first `n_top` pairs of genes of each pair of types of two species, with the left species as a.
top_pairs <- function(pairs, species, known, n_top) {
  if (is.null(species)) {
    species <- c(pairs$species_a[[1]], pairs$species_b[[1]])
  } else {
    check_known_species(species, known, "species")
    if (length(unique(species)) != 2L || length(species) != 2L) {
      samap_abort(
        "species", "`species` must name two species.", argument = "species",
        found = paste0("It names ", enumerate(quoted(species)), ".")
      )
    }
  }
  ends <- c("species_a", "type_a", "gene_a", "species_b", "type_b", "gene_b")
  turned <- pairs$species_a == species[[2]]
  pairs[turned, ends] <- pairs[turned, ends[c(4:6, 1:3)]]
  pairs <- pairs[pairs$species_a == species[[1]] & pairs$species_b == species[[2]], , drop = FALSE]
  if (nrow(pairs) == 0) {
    samap_abort(
      "argument", paste0("`pairs` has no gene pairs of ", enumerate(quoted(species)), "."), argument = "pairs",
      remedy = "Choose other `species`."
    )
  }
  match <- interaction(pairs$type_a, pairs$type_b, drop = TRUE)
  pairs[stats::ave(seq_len(nrow(pairs)), match, FUN = seq_along) <= n_top, , drop = FALSE]
}

# Per side the species, its types and its genes, each in the order of the pairs.
pair_sides <- function(pairs, types, all_types) {
  sides <- list(
    list(species = pairs$species_a[[1]], types = unique(pairs$type_a), genes = unique(pairs$gene_a)),
    list(species = pairs$species_b[[1]], types = unique(pairs$type_b), genes = unique(pairs$gene_b))
  )
  known <- lapply(sides, function(side) types$type[types$species == side$species])
  unknown <- unlist(Map(function(side, known) setdiff(side$types, known), sides, known))
  if (length(unknown) > 0) {
    samap_abort(
      "argument", "`pairs` names a type that is not in `by`.", argument = "pairs",
      found = paste0("Not there: ", enumerate(quoted(unknown)), "."), remedy = "Give the `by` that `gene_pairs()` had."
    )
  }
  if (is.null(all_types)) all_types <- max(lengths(known)) <= 20L
  if (!all_types) {
    return(sides)
  }
  Map(function(side, known) replace(side, "types", list(union(side$types, known))), sides, known)
}

# Both panels in one system of coordinates: left types at 1, 2, ..., then the gap with names and lines, then the right
# ones.
paired_dots <- function(dots, sides, pairs, unit) {
  n_types <- vapply(sides, function(side) length(side$types), integer(1))
  n_genes <- vapply(sides, function(side) length(side$genes), integer(1))
  gene_size <- label_mm(max(n_genes))
  gap <- pair_gap(sides, sum(n_types), gene_size)
  first <- c(0, n_types[[1]] + gap)
  # Genes of the side with fewer lie in the middle of the other's.
  above <- (max(n_genes) - n_genes) / 2
  level <- lapply(1:2, function(k) setNames(max(n_genes) + 1 - above[[k]] - seq_len(n_genes[[k]]), sides[[k]]$genes))
  placed <- do.call(rbind, lapply(1:2, function(k) {
    shown <- dots[[k]][dots[[k]]$type %in% sides[[k]]$types, ]
    data.frame(shown, x = first[[k]] + match(shown$type, sides[[k]]$types), y = unname(level[[k]][shown$gene]))
  }))
  highest <- best_score(placed$mean, placed[c("species", "gene")])
  placed$colour <- if (is.null(unit)) ifelse(highest > 0, placed$mean / highest, 0) else placed$mean
  placed <- placed[placed$fraction > 0, ]
  many <- max(max(n_genes), sum(n_types) / 1.6)
  ggplot2::ggplot(placed, ggplot2::aes(.data$x, .data$y)) +
    pair_frames(first, n_types, n_genes, above) +
    ggplot2::geom_point(ggplot2::aes(size = .data$fraction, fill = .data$colour), shape = 21, stroke = 0.15) +
    homology_lines(pairs, level, first, n_types, gap, sides, gene_size) +
    pair_genes(level, first, n_types, gene_size) +
    ggplot2::annotate(
      "text", x = first + (n_types + 1) / 2, y = max(n_genes) + 1, vjust = 0, fontface = "bold", size = 3.9,
      label = c(sides[[1]]$species, sides[[2]]$species)
    ) +
    ggplot2::scale_size_area(
      max_size = if (many <= 20) 5 else if (many <= 45) 3.5 else 2, limits = c(0, 1), breaks = c(0.1, 0.5, 1),
      labels = c("10", "50", "100")
    ) +
    scale_fill_much(limits = c(0, if (is.null(unit)) 1 else NA)) +
    ggplot2::scale_x_continuous(
      breaks = c(seq_len(n_types[[1]]), first[[2]] + seq_len(n_types[[2]])),
      labels = shortened(c(sides[[1]]$types, sides[[2]]$types)), expand = ggplot2::expansion(add = 0.2)
    ) +
    ggplot2::scale_y_continuous(breaks = NULL, expand = ggplot2::expansion(add = c(0.2, 0.8))) +
    ggplot2::coord_cartesian(clip = "off") +
    ggplot2::guides(size = ggplot2::guide_legend(order = 1)) +
    ggplot2::labs(
      title = "Homologous genes in aligned cell types", x = NULL, y = NULL, size = "Cells that\nexpress (%)",
      fill = paste0("Mean expression\n", if (is.null(unit)) "(share of gene's\nhighest type)" else unit)
    ) +
    theme_samap() +
    ggplot2::theme(
      axis.text.x = ggplot2::element_text(
        angle = 90, hjust = 1, vjust = 0.5, size = label_points(sum(n_types) / 1.6), colour = "black"
      )
    )
}

# Columns of types that names and lines take, on a page on which the panels are 7 inches wide together.
pair_gap <- function(sides, columns, size) {
  letters <- max(nchar(sides[[1]]$genes)) + max(nchar(sides[[2]]$genes))
  share <- min(0.6, letters * 0.68 * size / (7 * 25.4) + 0.1)
  share / (1 - share) * columns + 1
}

pair_frames <- function(first, n_types, n_genes, above) {
  frames <- data.frame(
    xmin = first + 0.4, xmax = first + n_types + 0.6, ymin = max(n_genes) - above - n_genes + 0.4,
    ymax = max(n_genes) - above + 0.6
  )
  ggplot2::geom_rect(
    ggplot2::aes(xmin = .data$xmin, xmax = .data$xmax, ymin = .data$ymin, ymax = .data$ymax), data = frames,
    inherit.aes = FALSE, fill = "grey98", colour = "grey80", linewidth = 0.3
  )
}

# A line per pair of genes, between their names.
homology_lines <- function(pairs, level, first, n_types, gap, sides, size) {
  lines <- unique(pairs[intersect(c("gene_a", "gene_b", "correlation"), names(pairs))])
  letters <- c(max(nchar(sides[[1]]$genes)), max(nchar(sides[[2]]$genes)))
  room <- gap - 0.6
  share <- letters * 0.68 * size / (7 * 25.4)
  taken <- room * share / (sum(share) + 0.1)
  lines <- data.frame(
    x = n_types[[1]] + 0.8 + taken[[1]], xend = first[[2]] + 0.2 - taken[[2]], y = unname(level[[1]][lines$gene_a]),
    yend = unname(level[[2]][lines$gene_b]), correlation = if (is.null(lines$correlation)) 1 else lines$correlation
  )
  list(
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$xend, yend = .data$yend, alpha = .data$correlation), data = lines, linewidth = 0.5
    ),
    ggplot2::scale_alpha_continuous(
      range = c(0.15, 1), limits = c(0, 1), breaks = c(0.2, 0.6, 1), name = "Correlation\nof homologues",
      oob = function(x, ...) pmin(pmax(x, 0), 1)
    )
  )
}

pair_genes <- function(level, first, n_types, size) {
  names <- data.frame(
    text = c(names(level[[1]]), names(level[[2]])), y = unlist(level, use.names = FALSE),
    x = rep(c(n_types[[1]] + 0.75, first[[2]] + 0.25), lengths(level)), hjust = rep(c(0, 1), lengths(level))
  )
  ggplot2::geom_text(
    ggplot2::aes(label = .data$text, hjust = .data$hjust), data = names, size = size, fontface = "italic"
  )
}
