#' Put results into your own object
#'
#' Adds to the object of one species, a Seurat object or a SingleCellExperiment, what a mapping says about its cells.
#'
#' @param object A Seurat object or SingleCellExperiment with the cells of one species. It may have fewer cells than the
#'   result; cells that the result does not have get `NA`, with one warning.
#' @param sm What [samap()] returns.
#' @param species The species id of `object` in `sm`.
#' @param key Labels to transfer from the other species: a metadata column, or a named vector (a column per species);
#'   `NULL`: none. See [transfer_labels()].
#' @param sample The sample of `object`, where the species was given as several samples.
#' @param threads,verbose As in [samap()].
#' @return `object` with more cell metadata: per other species `samap_score_<species>` (share of the cell's links, at
#'   full weight, that it has to that species; see [cell_scores()]) and, with `key`, `samap_label_<species>` and
#'   `samap_uncertainty_<species>`; and with the layout of the stitched graph as the reduction `samap`, if there is one.
#'
#'   Cells are matched by name. If none match, an error of class `samap_error_names`.
#' @seealso [as_seurat()], [as_sce()] for an object with all species.
#' @examplesIf requireNamespace("SingleCellExperiment", quietly = TRUE)
#' example <- samap_example("pancreas-small", as = "sce")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' mouse <- add_samap(example$atlases$mouse, sm, "mouse",
#'   key = "cell_type", threads = 1, verbose = FALSE
#' )
#' table(mouse$cell_type, mouse$samap_label_human)
#' @export
add_samap <- function(object, sm, species, key = NULL, sample = NULL, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  check_known_species(check_string(species, "species"), sm$species, "species")
  seurat <- inherits(object, "Seurat")
  if (!seurat && !methods::is(object, "SingleCellExperiment")) {
    samap_abort(
      "argument", "`object` must be a Seurat object or a SingleCellExperiment.", argument = "object",
      found = paste0("It is ", describe(object), ".")
    )
  }
  rows <- object_rows(colnames(object), sm, species, sample)
  columns <- cell_columns(sm, species, key, threads, verbose)[rows, , drop = FALSE]
  rownames(columns) <- colnames(object)
  layout <- if (!is.null(sm$umap)) embedding(sm, "umap")[which(sm$cells$species == species)[rows], , drop = FALSE]
  if (seurat) add_to_seurat(object, columns, layout) else add_to_experiment(object, columns, layout)
}

# For every cell of an object, its place among the cells of the species; NA for cells that the result does not have.
object_rows <- function(names, sm, species, sample) {
  cells <- sm$cells[sm$cells$species == species, ]
  if (!is.null(sample)) {
    cells$barcode[!cells$sample %in% check_string(sample, "sample")] <- NA
  }
  rows <- match(names, cells$barcode)
  if (is.null(names) || all(is.na(rows))) {
    samap_abort(
      "names", paste0("No cell of `object` is a cell of species ", quoted(species), "."), argument = "object",
      found = paste0(
        "In `object`: ", enumerate(quoted(names), 2L), "; in `sm`: ", enumerate(quoted(cells$barcode), 2L), "."
      ),
      remedy = "Give the object the species was read from (for one of several samples with `sample`)."
    )
  }
  twice <- unique(cells$barcode[duplicated(cells$barcode) & !is.na(cells$barcode)])
  if (any(names %in% twice)) {
    samap_abort(
      "names", "Names of cells are not unique in the species.", argument = "sample",
      found = paste0("More than once: ", enumerate(quoted(twice)), "."),
      remedy = "Say with `sample` which sample it is."
    )
  }
  if (anyNA(rows)) {
    samap_warn(
      "names", paste0(count_of(sum(is.na(rows)), "cell"), " of `object` not in the result."), argument = "object",
      found = paste0("For example ", quoted(names[is.na(rows)][[1]]), "."), remedy = "They get `NA`."
    )
  }
  rows
}

# What is added per cell of the species.
cell_columns <- function(sm, species, key, threads, verbose) {
  partners <- setdiff(sm$species, species)
  scores <- cell_scores(sm, threads = threads, verbose = verbose)
  scores <- scores[scores$species == species, ]
  columns <- list()
  for (partner in partners) columns[[paste0("samap_score_", partner)]] <- scores$score[scores$partner == partner]
  sources <- if (!is.null(key)) label_sources(key, sm$species, "key")
  for (partner in intersect(partners, names(sources))) {
    labels <- transfer_labels(sm, partner, sources[[partner]], species, threads = threads, verbose = verbose)
    columns[[paste0("samap_label_", partner)]] <- labels$label
    columns[[paste0("samap_uncertainty_", partner)]] <- labels$uncertainty
  }
  data.frame(columns, check.names = FALSE)
}

add_to_seurat <- function(object, columns, layout) {
  object <- SeuratObject::AddMetaData(object, columns)
  if (!is.null(layout)) {
    rownames(layout) <- colnames(object)
    placed <- layout[!is.na(layout[, 1]), , drop = FALSE]
    object[["samap"]] <- seurat_reduction(placed, "samap_", SeuratObject::DefaultAssay(object))
  }
  object
}

add_to_experiment <- function(object, columns, layout) {
  metadata <- SummarizedExperiment::colData(object)
  for (name in names(columns)) metadata[[name]] <- columns[[name]]
  SummarizedExperiment::colData(object) <- metadata
  if (!is.null(layout)) {
    rownames(layout) <- colnames(object)
    SingleCellExperiment::reducedDim(object, "samap") <- layout
  }
  object
}
