#' Coordinates of the cells
#'
#' @param sm What [samap()] or [sam()] returns.
#' @param which `"umap"`: the layout of the stitched graph (cells x 2). `"latent"`: the joint projection of the last
#'   pass (cells x dimensions), all species in one space. For the result of [sam()]: `"umap"`, or `"latent"` for the
#'   principal components.
#' @return Matrix with one row per cell, named by cell ids (by barcodes for one species). Without a layout an error of
#'   class `samap_error_no_umap`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' dim(embedding(sm, "latent"))
#' @export
embedding <- function(sm, which = c("umap", "latent")) {
  check_result(sm)
  which <- check_choice(which, c("umap", "latent"), "which")
  single <- inherits(sm, "samap_sam")
  coordinates <- if (which == "umap") sm$umap else if (single) sm$scores else sm$latent
  if (is.null(coordinates)) {
    abort_no_coordinates(which)
  }
  prefix <- if (which == "umap") "umap_" else if (single) "pc_" else "latent_"
  names <- if (single) make.unique(sm$cells$barcode, sep = "-") else sm$cells$cell
  dimnames(coordinates) <- list(names, paste0(prefix, seq_len(ncol(coordinates))))
  coordinates
}

#' Lay out the cells in two dimensions
#'
#' UMAP of the stitched graph (for the result of [sam()], of its kNN graph). Seeded, and the same for any number of
#' threads.
#'
#' @param sm What [samap()] or [sam()] returns.
#' @param min_dist Smallest distance of points in the layout.
#' @param n_epochs Number of epochs; `NULL`: 500 up to 10,000 cells, else 200.
#' @param init Start: `"spectral"`, `"pca"` (first two dimensions of the joint space) or `"random"`.
#' @param seed Seed of the layout.
#' @param backend As in [samap()].
#' @param threads,verbose As in [samap()].
#' @return `sm` with a new layout, which [embedding()] returns.
#' @references
#' McInnes L, Healy J, Melville J (2018). UMAP: Uniform manifold approximation and projection for dimension reduction.
#' arXiv:1802.03426.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' sm <- run_umap(sm, n_epochs = 50, threads = 1, verbose = FALSE)
#' head(embedding(sm))
#' @export
run_umap <- function(sm, min_dist = 0.1, n_epochs = NULL, init = "spectral", seed = 0L,
                     backend = c("auto", "cpu", "cuda"), threads = NULL, verbose = TRUE) {
  check_result(sm)
  options <- umap_options(min_dist, n_epochs, init, seed)
  run <- result_run(sm, threads, verbose)
  run$backend <- resolve_backend(backend, run, "umap")
  sm <- lay_out(sm, options, run)
  sm$timings <- rbind(sm$timings, run_phases(run))
  sm$choices <- unique(rbind(sm$choices, run_choices(run)))
  sm
}

abort_no_coordinates <- function(which, argument = "which") {
  if (which == "umap") {
    samap_abort("no_umap", "There is no layout yet.", argument = argument, remedy = "`sm <- run_umap(sm)` makes one.")
  }
  samap_abort("no_latent", "There is no latent space: the file the mapping was read from does not hold it.",
    argument = argument)
}

umap_options <- function(min_dist = 0.1, n_epochs = NULL, init = "spectral", seed = 0L) {
  with_options(
    samap_defaults()$umap,
    min_dist = check_number(min_dist, "min_dist", min = 0),
    n_epochs = if (!is.null(n_epochs)) check_number(n_epochs, "n_epochs", min = 1, integer = TRUE),
    init = check_choice(init, c("spectral", "pca", "random"), "init"),
    seed = check_number(seed, "seed", min = 0, integer = TRUE)
  )
}

lay_out <- function(sm, umap, run) {
  single <- inherits(sm, "samap_sam")
  graph <- if (single) knn_graph(sm) else final_pass(sm)$graph
  latent <- if (umap$init == "pca") (if (single) sm$scores else sm$latent)
  if (umap$init == "pca" && is.null(latent)) abort_no_coordinates("latent", "init")
  sm$umap <- engine_umap(graph, latent, umap, run)
  sm
}

# The kNN graph of one species, binary, row = source, without loops.
knn_graph <- function(fit) {
  n_cells <- nrow(fit$neighbor_index)
  from <- rep(seq_len(n_cells), ncol(fit$neighbor_index))
  to <- as.integer(fit$neighbor_index)
  other <- from != to
  Matrix::sparseMatrix(i = from[other], j = to[other], x = 1, dims = c(n_cells, n_cells))
}
