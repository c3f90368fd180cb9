#' Analyse one species with SAM
#'
#' Normalises the counts, weighs genes by how much they vary between the neighbourhoods of the cells, and finds
#' neighbours of cells in the space of the weighted genes, in turns, until the weights settle (the SAM algorithm).
#' `samap()` does this for every species by itself; call `sam()` to set the options of one species, or to look at it
#' alone, and hand the result to [samap()].
#'
#' @param x Raw counts, genes x cells: a matrix or sparse matrix, `list(counts =, cells =)`, a Seurat object, a
#'   SingleCellExperiment, the path of an `.h5ad` or Cell Ranger `.h5` file (or [h5ad_atlas()]), or an unnamed list of
#'   those (several samples).
#' @param sum_norm What the counts of every cell are scaled to: `"cell_median"` (the median of the cells' totals),
#'   `"gene_median"`, `"none"`, or a number such as 1e4.
#' @param norm Transformation: `"log"` (log2(x / div + 1)), `"ftt"` (Freeman-Tukey), `"asin"` (inverse hyperbolic sine),
#'   `"multinomial"` (Pearson residuals; needs a `sum_norm` other than `"cell_median"`), `"none"`.
#' @param div Divisor of the counts before the transformation.
#' @param min_expression Transformed values up to this are set to 0.
#' @param thresh_low,thresh_high A gene is kept if it is expressed in more than `thresh_low` and at most `thresh_high`
#'   of the cells (shares).
#' @param filter_genes Apply those two thresholds.
#' @param max_iter Largest number of iterations (at least 5).
#' @param stopping_condition Root mean square change of the weights at which the iteration stops.
#' @param num_norm_avg Number of largest dispersions whose mean caps all dispersions.
#' @param k Number of neighbours, the cell itself included.
#' @param distance `"cosine"`, `"correlation"` or `"euclidean"`.
#' @param scaling `"StandardScaler"` (every gene to unit variance) or `"Normalizer"` (every cell to unit length).
#' @param npcs Number of principal components. 100 is what SAMap uses; the default of SAM itself is 150.
#' @param n_genes Number of genes that enter the components, the highest weights first; `NULL`: all.
#' @param weight_pcs Scale components by the square root of their share of variance.
#' @param sparse_pca Components from the sparse matrix with implicit centring: less memory, no clipping of outliers.
#' @param weight_mode How dispersion becomes weight: `"rms"`, `"dispersion"`, `"variance"` or `"combined"`.
#' @param reduction Coordinates to find the neighbours in, instead of principal components: a matrix cells x
#'   dimensions, or the name of a reduction of a Seurat object or SingleCellExperiment (such as `"harmony"`) or of an
#'   `.h5ad` file (of `obsm`, such as `"X_pca"`). Weights follow from those neighbours, and [samap()] projects the
#'   species through loadings fitted to these coordinates: take ones of some tens of dimensions, not a two-dimensional
#'   layout.
#' @param batch Metadata column with the batch of every cell (`"sample"` for stacked samples). The principal components
#'   are corrected by Harmony in every iteration, and [samap()] projects the species through loadings that carry the
#'   correction: V B, where V are the loadings and B = argmin |S V B - Z|, S the scaled expression and Z the corrected
#'   coordinates.
#' @param harmony Named list of the options of Harmony that differ from `samap_defaults()$harmony`: `theta` (weight of
#'   batch diversity), `lambda` (ridge penalty), `sigma` (width of the clusters), `n_clusters` (`NULL`: a thirtieth of
#'   the cells, at most 100), `block_size` (share of the cells updated at a time), `max_iter`, `max_iter_clusters`,
#'   `epsilon`, `epsilon_clusters` (relative changes at which it stops).
#' @param resolution Resolution of the Leiden clusters of the kNN graph (undirected; weight 2 where two cells are
#'   neighbours of each other, else 1), column `samap_leiden` of the metadata.
#' @param backend As in [samap()].
#' @param knn Neighbour search: `"auto"` (exact up to `control$exact_limit` cells), `"exact"`, `"ivf"` or `"hnsw"`.
#' @param threads Number of threads; `NULL`: `getOption("samap.threads")`, then `RAYON_NUM_THREADS`, then the
#'   available cores. Results do not depend on it.
#' @param seed Seed of every random draw.
#' @param control What [samap_control()] returns.
#' @param verbose Show progress.
#'
#' @return A list of class `samap_sam`: `cells` and `genes` (data frames; weight, dispersion, mean and variance per
#'   gene), `neighbor_index` and `neighbor_distance` (cells x k, the cell itself first), `scores` (cells x npcs),
#'   `pcs` (genes x npcs), `ranked_genes`, `weights_per_iteration` (iterations x genes), `options`, `counts`. Read it
#'   with [gene_weights()], [cell_metadata()], [embedding()], [cluster_markers()], [run_info()] and [run_umap()].
#'
#' Errors have the classes `samap_error_argument`, `samap_error_missing`, `samap_error_negative`, `samap_error_empty`,
#' `samap_error_few_cells` and others, all inheriting from `samap_error`.
#' @references
#' Tarashansky AJ, Xue Y, Li P, Quake SR, Wang B (2019). Self-assembling manifolds in single-cell RNA sequencing data.
#' *eLife* 8:e48994. \doi{10.7554/eLife.48994}
#'
#' Korsunsky I et al. (2019). Fast, sensitive and accurate integration of single-cell data with Harmony. *Nature
#' Methods* 16:1289-1296. \doi{10.1038/s41592-019-0619-0}
#' @examples
#' mouse <- samap_example("pancreas-small")$atlases$mouse
#' fit <- sam(mouse, threads = 1, verbose = FALSE)
#' fit
#' head(gene_weights(fit))
#' corrected <- sam(mouse, batch = "donor", threads = 1, verbose = FALSE)
#' @export
sam <- function(x,
                sum_norm = "cell_median", norm = c("log", "ftt", "asin", "multinomial", "none"), div = 1,
                min_expression = 1, thresh_low = 0, thresh_high = 0.96, filter_genes = TRUE,
                max_iter = 10L, stopping_condition = 0.01, num_norm_avg = 50L, k = 20L,
                distance = c("cosine", "correlation", "euclidean"), scaling = c("StandardScaler", "Normalizer"),
                npcs = 100L, n_genes = 3000L, weight_pcs = FALSE, sparse_pca = FALSE,
                weight_mode = c("rms", "dispersion", "variance", "combined"), reduction = NULL, batch = NULL,
                harmony = list(), resolution = 3, backend = c("auto", "cpu", "cuda"),
                knn = c("auto", "exact", "ivf", "hnsw"), threads = NULL, seed = 0L, control = samap_control(),
                verbose = TRUE) {
  check_control(control)
  defaults <- samap_defaults()
  preprocess <- with_options(
    defaults$preprocess,
    sum_norm = check_sum_norm(sum_norm),
    norm = check_choice(norm, c("log", "ftt", "asin", "multinomial", "none"), "norm"),
    div = check_number(div, "div", min = 1e-300),
    min_expression = check_number(min_expression, "min_expression", min = 0),
    thresh_low = check_number(thresh_low, "thresh_low", min = 0, max = 1),
    thresh_high = check_number(thresh_high, "thresh_high", min = 0, max = 1),
    filter_genes = check_flag(filter_genes, "filter_genes")
  )
  options <- with_options(
    defaults$sam,
    max_iter = check_number(max_iter, "max_iter", min = 1, integer = TRUE),
    stopping_condition = check_number(stopping_condition, "stopping_condition", min = 0),
    num_norm_avg = check_number(num_norm_avg, "num_norm_avg", min = 1, integer = TRUE),
    k = check_number(k, "k", min = 2, integer = TRUE),
    distance = check_choice(distance, c("cosine", "correlation", "euclidean"), "distance"),
    scaling = check_choice(scaling, c("StandardScaler", "Normalizer"), "scaling"),
    npcs = check_number(npcs, "npcs", min = 2, integer = TRUE),
    n_genes = if (!is.null(n_genes)) check_number(n_genes, "n_genes", min = 2, integer = TRUE),
    weight_pcs = check_flag(weight_pcs, "weight_pcs"),
    sparse_pca = check_flag(sparse_pca, "sparse_pca"),
    weight_mode = check_choice(weight_mode, c("rms", "dispersion", "variance", "combined"), "weight_mode"),
    pca_solver = control$pca_solver,
    seed = check_number(seed, "seed", min = 0, integer = TRUE)
  )
  check_number(resolution, "resolution", min = 0)
  search <- knn_options(check_choice(knn, knn_methods, "knn"), control)
  run <- new_run(threads, control$memory, verbose, control$on_disk)
  run$backend <- resolve_backend(backend, run, "sam")
  atlas <- read_atlas(x, sole_species)
  options["components"] <- list(read_reduction(x, reduction, nrow(atlas$cells)))
  options["batch"] <- list(read_batch(batch, atlas$cells, check_harmony(harmony), reduction))
  fitted <- fit_sam(atlas, sole_species, preprocess, options, search, run, control$cache)
  fit <- fitted$fit
  fit$cells[["samap_leiden"]] <- leiden_clusters(fit$neighbor_index, resolution, options$seed)
  fit$options$resolution <- resolution
  fit$options$batch <- batch
  fit$options$control <- control
  fit$counts <- if (control$keep_counts) atlas$counts
  finish_sam(fit, atlas, run)
}

check_sum_norm <- function(sum_norm) {
  if (is.numeric(sum_norm)) {
    return(check_number(sum_norm, "sum_norm", min = 1e-300))
  }
  check_choice(sum_norm, c("cell_median", "gene_median", "none"), "sum_norm")
}

# The batch of every cell and how to correct for it, as the engine takes them, or NULL.
read_batch <- function(batch, cells, harmony, reduction) {
  if (is.null(batch)) {
    return(NULL)
  }
  if (!is.null(reduction)) {
    samap_abort(
      "argument", "`batch` and `reduction` exclude each other.", argument = "batch",
      remedy = "Given coordinates are taken as they are: correct them beforehand, or leave `reduction` out."
    )
  }
  column <- check_string(batch, "batch")
  values <- clean_labels(label_column(column, cells, seq_len(nrow(cells)), sole_species, "batch"))
  missing <- sum(is.na(values))
  if (missing > 0 || length(unique(values)) < 2L) {
    samap_abort(
      "argument", paste0("The column ", quoted(column), " cannot be used as `batch`."), argument = "batch",
      found = if (missing > 0) paste0("No batch: ", count_of(missing, "cell"), ".") else "All cells are in one batch.",
      remedy = "Every cell needs a batch, of two or more."
    )
  }
  list(of = match(values, unique(values)), options = harmony)
}

check_harmony <- function(harmony) {
  defaults <- samap_defaults()$harmony
  if (!is.list(harmony) || length(harmony) > 0 && is.null(names(harmony))) {
    samap_abort(
      "argument", "`harmony` must be a named list of options.", argument = "harmony",
      found = paste0("It is ", describe(harmony), "."), remedy = "For example `list(theta = 1)`."
    )
  }
  unknown <- setdiff(names(harmony), names(defaults))
  if (length(unknown) > 0) {
    samap_abort(
      "argument", paste0("`harmony` has no option ", enumerate(quoted(unknown)), "."), argument = "harmony",
      found = paste0("Options are ", paste(quoted(names(defaults)), collapse = ", "), ".")
    )
  }
  whole <- c("n_clusters", "max_iter", "max_iter_clusters")
  for (name in names(harmony)) {
    value <- harmony[[name]]
    if (is.null(value) && name == "n_clusters") next
    defaults[[name]] <- check_number(value, paste0("harmony$", name), min = 0, integer = name %in% whole)
  }
  defaults
}

# Coordinates to find neighbours in: a matrix cells x dimensions, or NULL.
read_reduction <- function(x, reduction, n_cells) {
  if (is.null(reduction)) {
    return(NULL)
  }
  if (is.character(reduction)) reduction <- named_reduction(x, check_string(reduction, "reduction"))
  if (!is.matrix(reduction) || !is.numeric(reduction) || nrow(reduction) != n_cells || anyNA(reduction)) {
    samap_abort(
      "shape", "`reduction` must be a numeric matrix with one row per cell, without missing values.",
      argument = "reduction",
      found = paste0(
        "It is ", if (is.matrix(reduction)) paste(dim(reduction), collapse = " x ") else describe(reduction),
        "; there are ", count_of(n_cells, "cell"), "."
      )
    )
  }
  storage.mode(reduction) <- "double"
  unname(reduction)
}

named_reduction <- function(x, name) {
  if (is_path(x) || inherits(x, "samap_h5ad")) {
    return(engine_reduction(if (is_path(x)) x else x$path, name))
  }
  if (inherits(x, "Seurat")) {
    there <- names(x@reductions)
    if (name %in% there) {
      return(SeuratObject::Embeddings(x, reduction = name))
    }
  } else if (methods::is(x, "SingleCellExperiment")) {
    there <- SingleCellExperiment::reducedDimNames(x)
    if (name %in% there) {
      return(as.matrix(SingleCellExperiment::reducedDim(x, name)))
    }
  } else {
    there <- character()
  }
  samap_abort(
    "argument", paste0("`x` has no reduction ", quoted(name), "."), argument = "reduction",
    found = if (length(there) > 0) paste0("It has ", enumerate(quoted(there), 10L), ".") else "It has none by name.",
    remedy = "Give the coordinates as a matrix with one row per cell."
  )
}

# SAM of one atlas: list(fit = fields of a samap_sam, expression = handle of the normalised data). pcs: whether the fit
# is to have them; what is kept in a cache has.
fit_sam <- function(atlas, species, preprocess, sam, knn, run, cache = NULL, pcs = TRUE) {
  check_cell_number(ncol(atlas$counts), species, sam$k)
  expression <- engine_expression(atlas$counts, preprocess, run, species)
  # Of a matrix it was said when it was read.
  if (is_source(atlas$counts)) {
    warn_empty(expression$empty_cells, expression$empty_genes, nrow(atlas$counts), species)
  }
  key <- if (!is.null(cache)) list(atlas_hash(atlas), preprocess, sam, knn, run$backend)
  compute <- function() engine_sam(expression$pointer, sam, knn, pcs || !is.null(cache), run, species)
  result <- cached(cache, key, compute, run, if (is_sole(species)) "sam" else species)
  genes <- data.frame(
    gene = atlas$genes, weight = result$weights, dispersion = result$dispersions,
    mean = expression$means, variance = expression$variances, kept = expression$kept
  )
  fit <- list(
    format = result_format, cells = atlas$cells, genes = genes,
    neighbor_index = result$neighbor_index, neighbor_distance = result$neighbor_distance,
    scores = result$scores, pcs = result$pcs, ranked_genes = result$ranked_genes,
    weights_per_iteration = result$weights_per_iteration,
    options = list(preprocess = preprocess, sam = sam, knn = knn), stacked = atlas$stacked
  )
  list(fit = fit, expression = expression$pointer)
}

finish_sam <- function(fit, atlas, run) {
  fit$timings <- run_phases(run)
  fit$choices <- run_choices(run)
  fit$provenance <- list(
    samap = package_version_string(), r = R.version.string, inputs = atlas_sizes(list(x = atlas)),
    seed = fit$options$sam$seed, device = run$backend, threads = run$threads
  )
  structure(fit, class = "samap_sam")
}

package_version_string <- function() as.character(utils::packageVersion("samap"))

#' @method print samap_sam
#' @export
print.samap_sam <- function(x, ...) {
  top <- x$genes$gene[x$ranked_genes[seq_len(min(5L, length(x$ranked_genes)))]]
  cat("<samap_sam> ", count_of(nrow(x$cells), "cell"), ", ", count_of(nrow(x$genes), "gene"), "\n", sep = "")
  cat("  neighbours: ", ncol(x$neighbor_index), " (", x$options$sam$distance, "), components: ", ncol(x$scores), "\n",
    sep = "")
  if (!is.null(x$options$batch)) cat("  batches: ", x$options$batch, ", corrected by Harmony\n", sep = "")
  cat("  highest weights: ", paste(top, collapse = ", "), "\n", sep = "")
  cat("  clusters: ", nlevels(x$cells$samap_leiden), " at resolution ", format(x$options$resolution), "\n", sep = "")
  cat("  iterations: ", nrow(x$weights_per_iteration), ", seed ", x$options$sam$seed, "\n", sep = "")
  cat("  counts: ", describe_counts(x$counts), if (is.null(x$counts)) ", see `attach_counts()`", "\n", sep = "")
  invisible(x)
}
