# SingleCellExperiment: objects as atlases, and results as such objects.

raw_experiment <- function(x, species) {
  rlang::check_installed("SummarizedExperiment", "to read SingleCellExperiment objects.")
  assays <- SummarizedExperiment::assayNames(x)
  if (!"counts" %in% assays) {
    bad_atlas("no_counts", species,
      paste0("has no assay \"counts\" (assays: ", if (length(assays) > 0) enumerate(quoted(assays)) else "none",
        alternative_experiments(x), ")."),
      remedy = paste(
        "Raw counts are needed: `assay(x, \"counts\") <- ...`.",
        "An alternative experiment is given as `altExp(x, \"name\")`."
      ))
  }
  counts <- SummarizedExperiment::assay(x, "counts")
  cells <- as.data.frame(SummarizedExperiment::colData(x), optional = TRUE)
  if (is.null(colnames(x))) rownames(cells) <- NULL
  list(counts = counts, cells = cells)
}

alternative_experiments <- function(x) {
  others <- if (methods::is(x, "SingleCellExperiment")) SingleCellExperiment::altExpNames(x)
  if (length(others) > 0) paste0("; alternative experiments: ", enumerate(quoted(others)))
}

#' @rdname as_seurat
#' @export
as_sce <- function(sm, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  rlang::check_installed("SingleCellExperiment", "to make SingleCellExperiment objects.")
  features <- feature_table(sm)
  rownames(features) <- make.unique(feature_names(features), sep = "-")
  counts <- joined_counts(sm, result_run(sm, threads, verbose))
  dimnames(counts) <- list(rownames(features), sm$cells$cell)
  reductions <- if (!is.null(sm$latent)) list(latent = embedding(sm, "latent")) else list()
  if (!is.null(sm$umap)) reductions <- c(list(UMAP = embedding(sm, "umap")), reductions)
  object <- SingleCellExperiment::SingleCellExperiment(
    list(counts = counts), colData = output_metadata(sm), rowData = features, reducedDims = reductions,
    metadata = list(samap = list(species = sm$species, alignment = sm$alignment, provenance = sm$provenance))
  )
  SingleCellExperiment::colPair(object, "samap") <- final_pass(sm)$graph
  object
}

#' @exportS3Method Seurat::as.SingleCellExperiment
as.SingleCellExperiment.samap <- function(x, ...) as_sce(x, ...)
