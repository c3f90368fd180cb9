#' Homologous genes enriched in aligned cell types
#'
#' For every pair of aligned types, the homologous genes that both types express more than other cells, in those of their cells
#' that are linked to each other.
#'
#' @param sm What [samap()] returns, with its counts.
#' @param by The types, as in [alignment_scores()].
#' @param types Data frame with the columns `species_a`, `type_a`, `species_b`, `type_b`: the pairs of types to look at, such as
#'   rows of [alignment_scores()]. `NULL`: all whose alignment score is at least `min_score`.
#' @param min_score Smallest alignment score of the types (0 to 1).
#' @param min_weight Smallest SAM weight of a gene (0 to 1).
#' @param max_pairs Largest number of pairs of genes per pair of types, before the filter by p-value.
#' @param max_pval Both genes must have a p-value below this (not adjusted), see [cluster_markers()].
#' @param test `"tie_corrected"` or `"reference"`, as in [cluster_markers()].
#' @param direction `"enriched"`: pairs both types express. `"divergent"`: pairs that one type expresses and the other does not.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per pair of genes and pair of types: species_a, type_a, species_b, type_b, gene_a, gene_b,
#'   score (product of the standardised expression of both genes in linked cells, per homologous pair), correlation (refined),
#'   pval_a, pval_b, padj_a, padj_b (Benjamini-Hochberg over the genes of a type), rank (1 = highest score of its types).
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
  options <- list(
    min_weight = check_number(min_weight, "min_weight", min = 0),
    max_pairs = check_number(max_pairs, "max_pairs", min = 1, integer = TRUE),
    max_pval = check_number(max_pval, "max_pval", min = 0),
    test = check_choice(test, c("tie_corrected", "reference"), "test"),
    direction = check_choice(direction, c("enriched", "divergent"), "direction")
  )
  check_number(min_score, "min_score", min = 0, max = 1)
  counts <- need_counts(sm)
  labels <- resolve_labels(by, sm$cells, sm$species)
  wanted <- wanted_types(sm, by, types, min_score, labels)
  run <- new_run(threads, sm$options$control$memory, verbose)
  expressions <- lapply(setNames(nm = sm$species), function(id) {
    if (id %in% unlist(wanted[c("species_a", "species_b")])) sm_expression(sm, id, counts, run)
  })
  pairs <- split(wanted, species_pair(wanted$species_a, wanted$species_b), drop = TRUE)
  tables <- lapply(unname(pairs), function(pair) pairs_of_species(sm, pair, labels, expressions, options, run))
  table <- do.call(rbind, c(list(empty_pairs()), tables))
  rownames(table) <- NULL
  table
}

# Pairs of types to look at, the species that comes first in the result as species_a, best aligned first.
wanted_types <- function(sm, by, types, min_score, labels) {
  columns <- c("species_a", "type_a", "species_b", "type_b")
  if (is.null(types)) {
    scores <- as.data.frame(alignment_scores(sm, by))
    return(scores[scores$score >= min_score, columns, drop = FALSE])
  }
  if (!is.data.frame(types)) {
    samap_abort(
      "argument", "`types` must be a data frame of pairs of types.", argument = "types",
      found = paste0("It is ", describe(types), "."),
      remedy = paste0("Columns: ", paste(backticked(columns), collapse = ", "), ", as in `alignment_scores()`.")
    )
  }
  check_columns(types, columns, "types")
  types <- as.data.frame(lapply(as.data.frame(types)[columns], as.character))
  check_known_species(c(types$species_a, types$species_b), sm$species, "types")
  swap <- match(types$species_a, sm$species) > match(types$species_b, sm$species)
  types[swap, ] <- types[swap, columns[c(3, 4, 1, 2)]]
  known <- type_position(c(types$species_a, types$species_b), c(types$type_a, types$type_b), labels$types)
  unknown <- c(types$type_a, types$type_b)[is.na(known)]
  if (length(unknown) > 0) {
    samap_abort(
      "argument", "`types` names a type that is not in `by`.", argument = "types",
      found = paste0("Not there: ", enumerate(quoted(unique(unknown))), ".")
    )
  }
  unique(types[types$species_a != types$species_b, , drop = FALSE])
}

pairs_of_species <- function(sm, wanted, labels, expressions, options, run) {
  a <- wanted$species_a[[1]]
  b <- wanted$species_b[[1]]
  index <- result_index(sm)
  sides <- lapply(c(a, b), function(id) {
    local <- local_labels(labels, sm$cells$species, id)
    list(
      expression = expressions[[id]], weights = sm$sam[[id]]$genes$weight, gene_columns = index$columns[[id]],
      labels = local$id, n_labels = length(local$types), types = local$types
    )
  })
  edges <- pair_edges(sm, a, b, index)
  do <- list(type_a = match(wanted$type_a, sides[[1]]$types), type_b = match(wanted$type_b, sides[[2]]$types))
  found <- engine_gene_pairs(
    lapply(sides, function(side) side[names(side) != "types"]), edges, links_between(sm, a, b), do, options, run,
    paste(a, "and", b)
  )
  gene_pair_table(found, sides, sm, a, b, index)
}

# Refined edges between two species; genes as indices into the homologous genes of each.
pair_edges <- function(sm, a, b, index) {
  edges <- sm$homology$edges
  edges <- edges[edges$matched & edges$species_a == a & edges$species_b == b, , drop = FALSE]
  edges <- edges[!is.na(edges$correlation) & edges$correlation != 0, , drop = FALSE]
  list(
    gene_a = match(edges$gene_a, homology_genes(sm, a, index)), gene_b = match(edges$gene_b, homology_genes(sm, b, index)),
    correlation = edges$correlation
  )
}

homology_genes <- function(sm, species, index) {
  sm$genes$gene[sm$genes$species == species][index$columns[[species]]]
}

# Links between the cells of two species, in either direction: cells of a x cells of b.
links_between <- function(sm, a, b) {
  graph <- final_pass(sm)$graph
  rows <- which(sm$cells$species == a)
  columns <- which(sm$cells$species == b)
  graph[rows, columns, drop = FALSE] + Matrix::t(graph[columns, rows, drop = FALSE])
}

gene_pair_table <- function(found, sides, sm, a, b, index) {
  n <- length(found$type_a)
  data.frame(
    species_a = rep(a, n), type_a = sides[[1]]$types[found$type_a],
    species_b = rep(b, n), type_b = sides[[2]]$types[found$type_b],
    gene_a = homology_genes(sm, a, index)[found$gene_a], gene_b = homology_genes(sm, b, index)[found$gene_b],
    score = found$score, correlation = found$correlation, pval_a = found$pval_a, pval_b = found$pval_b,
    padj_a = found$padj_a, padj_b = found$padj_b, rank = as.integer(found$rank)
  )
}

empty_pairs <- function() {
  data.frame(
    species_a = character(), type_a = character(), species_b = character(), type_b = character(),
    gene_a = character(), gene_b = character(), score = numeric(), correlation = numeric(),
    pval_a = numeric(), pval_b = numeric(), padj_a = numeric(), padj_b = numeric(), rank = integer()
  )
}
