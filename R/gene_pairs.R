#' Homologous genes enriched in aligned cell types
#'
#' For every pair of aligned types, the homologous genes that both types express more than other cells, in those of
#' their cells that are linked to each other.
#'
#' @param sm What [samap()] returns, with its counts.
#' @param by The types, as in [alignment_scores()].
#' @param types Data frame with the columns `species_a`, `type_a`, `species_b`, `type_b`: the pairs of types to look
#'   at, such as rows of [alignment_scores()], whatever their score. `NULL`: all whose alignment score is at least
#'   `min_score`.
#' @param min_score Smallest alignment score of the types (0 to 1).
#' @param min_weight Smallest SAM weight of a gene (0 to 1).
#' @param max_pairs Largest number of pairs of genes per pair of types, before the filter by p-value; `Inf`: all.
#' @param max_pval Both genes must have a p-value below this (not adjusted), see [cluster_markers()].
#' @param test `"tie_corrected"` or `"reference"`, as in [cluster_markers()].
#' @param direction `"enriched"`: pairs both types express. `"divergent"`: pairs that one type expresses and the other
#'   does not.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per pair of genes and pair of types: species_a, type_a, species_b, type_b, gene_a,
#'   gene_b, score (product of the standardised expression of both genes in linked cells, per homologous pair),
#'   correlation (refined), pval_a, pval_b, padj_a, padj_b (Benjamini-Hochberg over the genes of a type), rank (1 =
#'   highest score of its types).
#'
#'   Errors: `samap_error_no_counts`, `samap_error_key`, `samap_error_argument` (unknown types).
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(gene_pairs(sm, "cell_type", min_score = 0.3, threads = 1, verbose = FALSE))
#' @export
gene_pairs <- function(sm, by, types = NULL, min_score = 0.1, min_weight = 0.2, max_pairs = 1000, max_pval = 0.01,
                       test = c("tie_corrected", "reference"), direction = c("enriched", "divergent"),
                       threads = NULL, verbose = TRUE) {
  check_samap(sm)
  options <- with_options(
    samap_defaults()$gene_pairs,
    min_score = check_number(min_score, "min_score", min = 0, max = 1),
    min_weight = check_number(min_weight, "min_weight", min = 0),
    max_pairs = if (identical(max_pairs, Inf)) Inf else check_number(max_pairs, "max_pairs", min = 1, integer = TRUE),
    max_pval = check_number(max_pval, "max_pval", min = 0),
    test = check_choice(test, c("tie_corrected", "reference"), "test"),
    direction = check_choice(direction, c("enriched", "divergent"), "direction")
  )
  if (!is.null(types)) options$min_score <- 0
  counts <- need_counts(sm)
  labels <- keep_species(resolve_labels(by, sm$cells, sm$species), NULL, sm$species)
  wanted <- wanted_types(types, labels, sm$species)
  own <- species_labels(labels, sm$cells, sm$species)
  warn_single_types(own)
  run <- result_run(sm, threads, verbose)
  pass <- final_pass(sm)
  scores <- engine_alignment(pass$graph, own, pass$k, 0, run)
  if (!is.null(wanted)) scores <- among_types(scores, wanted, own)
  index <- result_index(sm)
  # What a mapping leaves behind would lie beside the expression that is made again.
  tidy(run)
  parts <- lapply(sm$species, function(id) annotated_species(sm, id, own[[id]], index, counts, run))
  homology <- refined_homology(sm, index)
  pairs <- name_types(engine_gene_pairs(parts, homology, pass$graph, scores, options, run), own, sm$species)
  pairs$gene_a <- genes_at(sm, pairs$species_a, pairs$gene_a)
  pairs$gene_b <- genes_at(sm, pairs$species_b, pairs$gene_b)
  columns <- c(
    "species_a", "type_a", "species_b", "type_b", "gene_a", "gene_b", "score", "correlation",
    "pval_a", "pval_b", "padj_a", "padj_b", "rank"
  )
  pairs[columns]
}

# A type is compared with the other types of its species; without any, no gene has a small p-value.
warn_single_types <- function(labels) {
  single <- names(labels)[vapply(labels, function(one) one$n_labels == 1L, logical(1))]
  if (length(single) > 0) {
    samap_warn(
      "one_cluster", paste0("Only one type in species ", enumerate(quoted(single)), ": it has no gene pairs."),
      argument = "by", species = single, remedy = "Give labels with two or more types per species."
    )
  }
}

# Normalised expression, weights and labels of a species; one that is left out has no labels.
annotated_species <- function(sm, species, labels, index, counts, run) {
  list(
    expression = sm_expression(sm, species, counts, run), weights = sam_of(sm, species)$genes$weight,
    gene_columns = index$columns[[species]],
    labels = if (is.null(labels$labels)) rep(NA_integer_, labels$n_cells) else labels$labels, n_labels = labels$n_labels
  )
}

# The homology graph with its refined correlations for weights.
refined_homology <- function(sm, index) {
  homology <- index$homology
  correlation <- sm$homology$edges$correlation[sm$homology$edges$matched]
  there <- !is.na(correlation) & correlation != 0
  list(
    n_genes = homology$n_genes, gene_a = homology$gene_a[there], gene_b = homology$gene_b[there],
    weight = correlation[there]
  )
}

genes_at <- function(sm, species, row) {
  first <- match(species, sm$genes$species)
  sm$genes$gene[first + row - 1L]
}

# The pairs of types asked for, as positions in the table of types, the earlier first; NULL: all.
wanted_types <- function(types, labels, species) {
  if (is.null(types)) {
    return(NULL)
  }
  columns <- c("species_a", "type_a", "species_b", "type_b")
  if (!is.data.frame(types)) {
    samap_abort(
      "argument", "`types` must be a data frame of pairs of types.", argument = "types",
      found = paste0("It is ", describe(types), "."),
      remedy = paste0("Columns: ", paste(backticked(columns), collapse = ", "), ", as in `alignment_scores()`.")
    )
  }
  check_columns(types, columns, "types")
  types <- as.data.frame(lapply(as.data.frame(types)[columns], as.character))
  check_known_species(c(types$species_a, types$species_b), species, "types")
  if (any(types$species_a == types$species_b)) {
    samap_abort(
      "argument", "`types` pairs two types of one species.", argument = "types",
      remedy = "Gene pairs are between species: `species_a` and `species_b` must differ."
    )
  }
  at_a <- type_position(types$species_a, types$type_a, labels$types)
  at_b <- type_position(types$species_b, types$type_b, labels$types)
  unknown <- c(types$type_a[is.na(at_a)], types$type_b[is.na(at_b)])
  if (length(unknown) > 0) {
    samap_abort(
      "argument", "`types` names a type that is not in `by`.", argument = "types",
      found = paste0("Not there: ", enumerate(quoted(unique(unknown))), ".")
    )
  }
  list(a = pmin(at_a, at_b), b = pmax(at_a, at_b))
}

# Rows of a table of scores for the pairs of types asked for. Types of all species are numbered one after the other.
among_types <- function(scores, wanted, labels) {
  before <- cumsum(c(0L, vapply(labels, `[[`, integer(1), "n_labels")))
  a <- before[scores$species_a] + scores$type_a
  b <- before[scores$species_b] + scores$type_b
  size <- before[[length(before)]] + 1
  scores[(a * size + b) %in% (wanted$a * size + wanted$b), , drop = FALSE]
}
