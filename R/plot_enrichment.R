#' Dot plot of enriched terms
#'
#' @param x What [functional_enrichment()] or [enrich_genes()] returns.
#' @param n_terms Show this many terms per type, those with the smallest adjusted p-value; a term that one type brings
#'   in is shown for all types where it is significant. `Inf`: all.
#' @param max_padj Show only terms with an adjusted p-value below this.
#' @param species Only types of these species, where `x` has types. `NULL`: all.
#' @return A ggplot. With types: types (or matches, with the partner in brackets) as columns (a panel per species) and
#'   terms as rows, ordered by clustering, so that types with alike functions lie side by side. Without: terms by their
#'   adjusted p-value. The size of a dot is the number of genes, its colour -log10 of the adjusted p-value.
#' @examples
#' found <- data.frame(
#'   species_a = "human", type_a = c("alpha", "alpha", "ductal"),
#'   term = c("hormone activity", "secretion", "secretion"),
#'   n_genes = c(6, 9, 3), padj = c(1e-7, 1e-4, 0.02)
#' )
#' plot_enrichment(found)
#' @export
plot_enrichment <- function(x, n_terms = 5, max_padj = 0.05, species = NULL) {
  n_terms <- if (identical(n_terms, Inf)) Inf else check_number(n_terms, "n_terms", min = 1, integer = TRUE)
  check_number(max_padj, "max_padj", min = 0, max = 1)
  terms <- significant_terms(x, max_padj, species)
  typed <- "type" %in% names(terms)
  terms <- if (typed) top_terms(terms, n_terms) else utils::head(terms[order(terms$padj), ], n_terms)
  # The smallest number there is stands for p-values that are 0.
  terms$strength <- -log10(pmax(terms$padj, .Machine$double.xmin))
  plot <- if (typed) type_dots(terms) else term_dots(terms)
  plot +
    ggplot2::scale_size_area(max_size = if (nrow(terms) > 150) 4 else 6, breaks = size_breaks(terms$n_genes)) +
    ggplot2::guides(size = ggplot2::guide_legend(order = 1)) +
    ggplot2::labs(title = "Enriched terms", size = "Genes", fill = "-log10 of\nadjusted p") +
    theme_samap() +
    ggplot2::theme(
      panel.grid.major = ggplot2::element_line(colour = "grey92", linewidth = 0.3),
      axis.text.y = ggplot2::element_text(size = label_points(length(unique(terms$term))), colour = "black"),
      axis.text.x = if (typed) upright_names(length(unique(terms$type)))
    )
}

upright_names <- function(n) {
  ggplot2::element_text(angle = 90, hjust = 1, vjust = 0.5, size = label_points(n), colour = "black")
}

significant_terms <- function(x, max_padj, species) {
  if (!is.data.frame(x)) {
    samap_abort(
      "argument", "`x` must be what `functional_enrichment()` or `enrich_genes()` returns.", argument = "x",
      found = paste0("It is ", describe(x), ".")
    )
  }
  check_columns(x, c("term", "n_genes", "padj"), "x")
  terms <- data.frame(term = x$term, n_genes = x$n_genes, padj = x$padj)
  if (all(c("species_a", "type_a") %in% names(x))) {
    terms <- data.frame(terms, species = x$species_a, type = matched_name(x))
  }
  if (!is.null(species)) {
    check_known_species(species, unique(terms$species), "species")
    terms <- terms[terms$species %in% species, ]
  }
  significant <- terms[!is.na(terms$padj) & terms$padj <= max_padj & terms$n_genes > 0, , drop = FALSE]
  if (nrow(significant) == 0) {
    samap_abort(
      "argument", "No term has such a p-value.", argument = "max_padj",
      found = if (nrow(terms) > 0) paste0("The smallest is ", format(min(terms$padj), digits = 3), "."),
      remedy = "Raise `max_padj`."
    )
  }
  significant
}

# The type, with its partner where the table is by matches.
matched_name <- function(x) {
  if (is.null(x$type_b)) x$type_a else paste0(x$type_a, " (", x$species_b, ": ", x$type_b, ")")
}

# Rows of all terms that are among the first `n_terms` of some type.
top_terms <- function(terms, n_terms) {
  owner <- interaction(terms$species, terms$type, drop = TRUE)
  place <- stats::ave(terms$padj, owner, FUN = function(padj) rank(padj, ties.method = "first"))
  terms[terms$term %in% terms$term[place <= n_terms], , drop = FALSE]
}

type_dots <- function(terms) {
  owners <- unique(terms[c("species", "type")])
  rows <- unique(terms$term)
  table <- matrix(0, length(rows), nrow(owners))
  table[cbind(match(terms$term, rows), type_position(terms$species, terms$type, owners))] <- terms$strength
  rows <- rows[clustered_order(table)]
  # Types follow the terms they are strongest in, which puts dots on the diagonal.
  strongest <- apply(table, 2, function(strength) which.max(strength[match(rows, unique(terms$term))]))
  owners <- owners[order(strongest), ]
  terms$row <- factor(terms$term, rev(rows))
  terms$column <- factor(terms$type, unique(owners$type))
  ggplot2::ggplot(terms, ggplot2::aes(.data$column, .data$row)) +
    ggplot2::geom_point(ggplot2::aes(size = .data$n_genes, fill = .data$strength), shape = 21, stroke = 0.2) +
    scale_fill_much() +
    ggplot2::scale_x_discrete(labels = shortened) +
    ggplot2::scale_y_discrete(labels = function(term) shortened(term, 50L)) +
    ggplot2::facet_grid(cols = ggplot2::vars(.data$species), scales = "free_x", space = "free_x") +
    ggplot2::labs(x = NULL, y = NULL)
}

term_dots <- function(terms) {
  terms$row <- factor(terms$term, rev(unique(terms$term)))
  ggplot2::ggplot(terms, ggplot2::aes(.data$strength, .data$row)) +
    ggplot2::geom_segment(ggplot2::aes(xend = 0, yend = .data$row), colour = "grey70") +
    ggplot2::geom_point(ggplot2::aes(size = .data$n_genes), colour = okabe_ito[[1]]) +
    ggplot2::scale_x_continuous(limits = c(0, NA), expand = ggplot2::expansion(mult = c(0, 0.05))) +
    ggplot2::scale_y_discrete(labels = function(term) shortened(term, 50L)) +
    ggplot2::labs(x = "-log10 of adjusted p", y = NULL)
}
