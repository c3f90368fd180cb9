#' Genes that mark a cell type
#'
#' Wilcoxon's rank sum test of every gene, one type against all other labelled cells of its species.
#'
#' @param sm What [samap()] or [sam()] returns, with its counts.
#' @param by The types, as in [alignment_scores()]. For the result of [sam()] a metadata column, or a vector of labels.
#' @param test `"tie_corrected"`: the variance accounts for ties (as `wilcox.test()` without continuity correction).
#'   `"reference"`: it does not, and genes that are not higher in the type have score 0 and p-value 1, as in SAMap
#'   3.0.1.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per type and gene: species, type, gene, score (z; positive where the gene is higher in
#'   the type), pval (two-sided), padj (Benjamini-Hochberg over the genes of a type), fraction (of the type's cells
#'   that express the gene). Sorted by type, then by score.
#'
#'   Errors: `samap_error_no_counts`, `samap_error_key`, `samap_error_one_cluster` (nothing to compare with).
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE))
#' @export
cluster_markers <- function(sm, by, test = c("tie_corrected", "reference"), threads = NULL, verbose = TRUE) {
  check_result(sm)
  test <- check_choice(test, c("tie_corrected", "reference"), "test")
  if (inherits(sm, "samap_sam")) {
    return(markers_of_one(sm, by, test, threads, verbose))
  }
  counts <- need_counts(sm)
  labels <- resolve_labels(by, sm$cells, sm$species)
  own <- species_labels(labels, sm$cells, unique(labels$types$species))
  run <- result_run(sm, threads, verbose)
  tables <- lapply(names(own), function(id) {
    genes <- sm$genes$gene[sm$genes$species == id]
    find_markers(counts[[id]], sam_of(sm, id)$options$preprocess, genes, own[[id]], id, test, run)
  })
  markers <- do.call(rbind, tables)
  rownames(markers) <- NULL
  markers
}

markers_of_one <- function(fit, by, test, threads, verbose) {
  counts <- need_counts(fit)
  cells <- one_species_cells(fit)
  own <- species_labels(resolve_labels(sole_labels(by), cells, sole_species), cells, sole_species)[[1]]
  run <- result_run(fit, threads, verbose)
  markers <- find_markers(counts, fit$options$preprocess, fit$genes$gene, own, sole_species, test, run)
  rownames(markers) <- NULL
  markers[names(markers) != "species"]
}

# The cells of a result of sam(), as those of the one species there is.
one_species_cells <- function(fit) data.frame(fit$cells, species = sole_species, check.names = FALSE)

# Labels of a result of sam(), a column or a vector, as resolve_labels() takes them.
sole_labels <- function(by) {
  if (is.atomic(by) && length(by) > 0L && !is_column_name(by)) setNames(list(by), sole_species) else by
}

find_markers <- function(counts, preprocess, genes, labels, species, test, run) {
  check_several_types(labels$types, species)
  expression <- engine_expression(counts, preprocess, run, species)$pointer
  marker_table(engine_markers(expression, labels, test, run, species), genes, labels$types, species)
}

check_several_types <- function(types, species) {
  if (length(types) < 2L) {
    samap_abort(
      "one_cluster", paste0(the_species_first(species), " has only one type: there is nothing to compare it with."),
      argument = "by", species = species,
      found = if (length(types) == 0L) "No cell has a label." else paste0("The type is ", quoted(types), "."),
      remedy = "Give labels with two or more types."
    )
  }
}

# From genes x types to one row per type and gene.
marker_table <- function(found, genes, types, species) {
  table <- data.frame(
    species = species, type = rep(types, each = length(genes)), gene = rep(genes, length(types)),
    score = as.double(found$score), pval = as.double(found$pval), padj = as.double(found$padj),
    fraction = as.double(found$fraction)
  )
  table[order(rep(seq_along(types), each = length(genes)), -table$score), , drop = FALSE]
}
