#' Genes that mark a cell type
#'
#' Wilcoxon's rank sum test of every gene, one type against all other labelled cells of its species.
#'
#' @param sm What [samap()] or [sam()] returns, with its counts.
#' @param by The types, as in [alignment_scores()]. For the result of [sam()] a metadata column, or a vector of labels.
#' @param test `"tie_corrected"`: the variance accounts for ties (as `wilcox.test()` without continuity correction).
#'   `"reference"`: it does not, as in the Python implementation.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per type and gene: species, type, gene, score (z; positive where the gene is higher in the type),
#'   pval (two-sided; genes that are not higher have score 0 and p-value 1), padj (Benjamini-Hochberg over the genes of
#'   a type), fraction (of the type's cells that express the gene). Sorted by type, then by score.
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
  single <- inherits(sm, "samap_sam")
  counts <- need_counts(sm)
  cells <- if (single) data.frame(sm$cells, species = "x", check.names = FALSE) else sm$cells
  if (single && (is.factor(by) || !is.null(by) && length(by) > 1L && !is.list(by))) by <- list(x = by)
  labels <- resolve_labels(by, cells, if (single) "x" else sm$species)
  run <- new_run(threads, sm_memory(sm), verbose)
  tables <- lapply(unique(labels$types$species), function(id) {
    expression <- if (single) {
      engine_expression(counts, sm$options$preprocess, run, id)$pointer
    } else {
      sm_expression(sm, id, counts, run)
    }
    genes <- if (single) sm$genes$gene else sm$genes$gene[sm$genes$species == id]
    markers_of(expression, genes, local_labels(labels, cells$species, id), id, test, run)
  })
  markers <- do.call(rbind, tables)
  if (single) markers$species <- NULL
  rownames(markers) <- NULL
  markers
}

sm_memory <- function(x) {
  if (is.null(x$options$control)) samap_defaults()$memory else x$options$control$memory
}

# Labels of one species: id = 1-based index into its types per cell, types = their names.
local_labels <- function(labels, cell_species, species) {
  mine <- which(labels$types$species == species)
  list(id = match(labels$id[cell_species == species], mine), types = labels$types$type[mine])
}

markers_of <- function(expression, genes, labels, species, test, run) {
  n_types <- length(labels$types)
  if (n_types < 2L) {
    samap_abort(
      "one_cluster", paste0("Species ", quoted(species), " has only one type: there is nothing to compare it with."),
      argument = "by", species = species, found = paste0("The type is ", quoted(labels$types), ".")
    )
  }
  found <- engine_markers(expression, labels$id, n_types, test, run, species)
  table <- data.frame(
    species = species, type = rep(labels$types, each = length(genes)), gene = rep(genes, n_types),
    score = as.double(found$score), pval = as.double(found$pval), padj = as.double(found$padj),
    fraction = as.double(found$fraction)
  )
  table[order(rep(seq_len(n_types), each = length(genes)), -table$score), , drop = FALSE]
}
