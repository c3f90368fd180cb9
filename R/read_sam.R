# SAM runs of the Python reference.

#' Take over a SAM run of the Python package
#'
#' Reads a file that the Python package wrote for a species (`<name>_pr.h5ad`, or `SAM.save_anndata()`): counts,
#' metadata, and what SAM found, the weights of the genes and the neighbours of the cells. [samap()] uses these as they
#' are, so that a mapping can be compared with one made in Python, or continue from curated runs.
#'
#' @param path Path of the file.
#' @param var_names Column of `var` with the names of the genes; `NULL`: the index.
#' @return What [sam()] returns. Its counts are the raw ones (`raw`), which stay in the file, and its options those of
#'   the run in Python. A file without a SAM run is an error of class `samap_error_no_sam`; see [h5ad_atlas()] for
#'   others.
#' @examples
#' # A file without a SAM run of the Python package says so.
#' path <- tempfile(fileext = ".h5ad")
#' try(read_sam_h5ad(path))
#' \dontrun{
#' human <- read_sam_h5ad("human_pr.h5ad")
#' mouse <- read_sam_h5ad("mouse_pr.h5ad")
#' sm <- samap(list(human = human, mouse = mouse), homology)
#' }
#' @export
read_sam_h5ad <- function(path, var_names = NULL) {
  raw <- raw_file(h5ad_atlas(path, "raw", var_names), sole_species)
  saved <- engine_saved_sam(raw$counts$samples[[1]]$counts$path)
  genes <- check_gene_names(raw$genes, sole_species)
  if (length(genes) != length(saved$weights)) {
    samap_abort(
      "shape", paste0(path, " has other genes in `raw` than in `var`."), argument = "path",
      found = paste0(length(genes), " and ", length(saved$weights), ".")
    )
  }
  defaults <- samap_defaults()
  run <- new_run(threads = 1L, verbose = FALSE)
  fit <- list(
    format = result_format, cells = cell_frame(raw$cells, raw$barcodes, ncol(raw$counts), sole_species),
    genes = data.frame(
      gene = genes, weight = saved$weights, dispersion = saved$dispersions, mean = saved$means,
      variance = saved$variances, kept = saved$kept
    ),
    neighbor_index = saved$neighbor_index, neighbor_distance = saved$neighbor_distance, scores = saved$scores,
    pcs = saved$pcs, ranked_genes = order(-saved$weights), weights_per_iteration = t(saved$weights),
    options = list(
      preprocess = saved_preprocess(saved$preprocess, defaults$preprocess),
      sam = saved_options(saved$run, defaults$sam, ncol(saved$neighbor_index)),
      knn = knn_options("auto", samap_control())
    ),
    stacked = FALSE, counts = raw$counts
  )
  fit$options$resolution <- eval(formals(sam)$resolution)
  fit$cells[["samap_leiden"]] <- leiden_clusters(fit$neighbor_index, fit$options$resolution, fit$options$sam$seed)
  finish_sam(fit, list(counts = raw$counts, genes = genes), run)
}

# Options by their names in Python; what is not there, or NULL in Python, keeps our default.
saved_preprocess <- function(saved, defaults) {
  # Python's None is not written: no transformation, no normalisation.
  known <- intersect(names(saved), names(defaults))
  if (is.null(saved$norm)) saved$norm <- "none"
  if (is.null(saved$sum_norm)) saved$sum_norm <- "none"
  defaults[c(known, "norm", "sum_norm")] <- saved[c(known, "norm", "sum_norm")]
  defaults
}

saved_options <- function(saved, defaults, k) {
  names(saved)[names(saved) == "weight_PCs"] <- "weight_pcs"
  names(saved)[names(saved) == "preprocessing"] <- "scaling"
  known <- intersect(names(saved), names(defaults))
  defaults[known] <- saved[known]
  defaults$k <- k
  defaults
}
