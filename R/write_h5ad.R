# Results as AnnData files.

#' Write a result as an AnnData file
#'
#' The file opens in Python with `anndata.read_h5ad()`; scanpy's plots, clustering and embeddings work on it as it is.
#'
#' @param sm What [samap()] or [sam()] returns.
#' @param path Where to write; a file that is there is replaced.
#' @param counts Write the counts into `X` (they are read and written one species at a time). `FALSE`: no `X`.
#' @param compress Compress large arrays (gzip).
#' @param threads,verbose As in [samap()].
#' @return `path`, invisibly. In the file, of [samap()]:
#'   * `obs`: [cell_metadata()], with cell ids as index. `var`: [gene_weights()], with the index `<species>_<gene>`.
#'   * `X`: counts, block diagonal (genes of a species are 0 in the cells of the others).
#'   * `obsp`: `stitched`, the stitched graph as [stitched_graph()] gives it (directed), and `connectivities`, the
#'     larger of both directions, which is what scanpy reads.
#'   * `obsm`: `X_umap`, if it was made, and `X_samap`, the joint projection (not of [read_samap_h5ad()]).
#'   * `varp`: `homology_graph`, the weights of all input pairs whose genes are in the atlases, and
#'     `homology_graph_reweighted`, their refined correlations.
#'   * `uns`: `samap` (version, seed, parameters, alignment of the species, phases and choices), `neighbors` and
#'     `mapping_K`.
#'
#'   Of [sam()]: `obsp` has `distances` and `connectivities` (1 to each neighbour, in either direction), `obsm` `X_pca`,
#'   `varm` `PCs`, `uns` `samap` and `neighbors`.
#'
#'   Errors: `samap_error_no_counts` (give `counts = FALSE`, or [attach_counts()]), `samap_error_io`,
#'   `samap_error_no_hdf5`.
#' @seealso [h5ad_atlas()]
#' @examplesIf samap:::has_hdf5_()
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' write_h5ad(sm, tempfile(fileext = ".h5ad"), verbose = FALSE)
#' @export
write_h5ad <- function(sm, path, counts = TRUE, compress = TRUE, threads = NULL, verbose = TRUE) {
  check_result(sm)
  check_string(path, "path")
  check_flag(counts, "counts")
  check_flag(compress, "compress")
  run <- result_run(sm, threads, verbose)
  held <- if (counts) need_counts(sm)
  document <- if (inherits(sm, "samap_sam")) sam_document(sm, held) else samap_document(sm, held)
  document$compress <- compress
  engine_write(normalizePath(path, winslash = "/", mustWork = FALSE), document, run)
  invisible(path)
}

samap_document <- function(sm, counts) {
  graph <- final_pass(sm)$graph
  obs <- sm$cells[names(sm$cells) != "cell"]
  var <- sm$genes
  names(var)[names(var) == "weight"] <- "weights"
  matched <- sm$homology$edges[sm$homology$edges$matched, , drop = FALSE]
  arrays <- list()
  if (!is.null(sm$latent)) arrays[["obsm/X_samap"]] <- sm$latent
  if (!is.null(sm$umap)) arrays[["obsm/X_umap"]] <- sm$umap
  list(
    obs = table_of(obs, sm$cells$cell), var = table_of(var, paste(var$species, var$gene, sep = "_")),
    graphs = list(
      "obsp/stitched" = graph,
      "varp/homology_graph" = gene_graph(sm, matched, matched$weight),
      "varp/homology_graph_reweighted" = gene_graph(sm, matched, matched$correlation)
    ),
    undirected = list("obsp/connectivities" = graph), arrays = lapply(arrays, plain_matrix),
    uns = list(
      samap = parameters(sm), mapping_K = final_pass(sm)$k,
      neighbors = list(
        connectivities_key = "connectivities", distances_key = "stitched",
        params = list(n_neighbors = final_pass(sm)$k, method = "samap", metric = "cosine")
      )
    ),
    counts = unname(counts)
  )
}

sam_document <- function(fit, counts) {
  n <- nrow(fit$cells)
  others <- fit$neighbor_index[, -1L, drop = FALSE]
  rows <- rep(seq_len(n), ncol(others))
  distances <- Matrix::sparseMatrix(
    i = rows, j = c(others), x = c(fit$neighbor_distance[, -1L, drop = FALSE]), dims = c(n, n)
  )
  linked <- Matrix::sparseMatrix(i = rows, j = c(others), x = 1, dims = c(n, n))
  var <- fit$genes
  names(var)[names(var) == "weight"] <- "weights"
  list(
    obs = table_of(fit$cells, make.unique(fit$cells$barcode, sep = "-")), var = table_of(var, var$gene),
    graphs = list("obsp/distances" = distances), undirected = list("obsp/connectivities" = linked),
    arrays = list("obsm/X_pca" = plain_matrix(fit$scores), "varm/PCs" = plain_matrix(fit$pcs)),
    uns = list(
      samap = parameters(fit),
      neighbors = list(
        connectivities_key = "connectivities", distances_key = "distances",
        params = list(
          n_neighbors = ncol(fit$neighbor_index), method = "samap", metric = fit$options$sam$distance
        )
      )
    ),
    counts = if (!is.null(counts)) list(counts)
  )
}

# A data frame as the engine takes it: columns that AnnData has types for, no missing strings in the index.
table_of <- function(frame, index) {
  columns <- lapply(frame, function(column) {
    if (is.factor(column) || is.character(column) || is.logical(column)) return(column)
    if (is.numeric(column) && !is.object(column)) return(column)
    as.character(column)
  })
  list(index = index, columns = columns)
}

plain_matrix <- function(x) {
  x <- unname(as.matrix(x))
  storage.mode(x) <- "double"
  x
}

# Values of pairs of genes, in both directions, over the genes of all species.
gene_graph <- function(sm, edges, values) {
  # A species id holds no ";".
  all <- paste(sm$genes$species, sm$genes$gene, sep = ";")
  rows <- function(species, gene) match(paste(species, gene, sep = ";"), all)
  a <- rows(edges$species_a, edges$gene_a)
  b <- rows(edges$species_b, edges$gene_b)
  kept <- !is.na(values) & values != 0
  n <- nrow(sm$genes)
  Matrix::sparseMatrix(
    i = c(a[kept], b[kept]), j = c(b[kept], a[kept]), x = rep(as.double(values[kept]), 2L), dims = c(n, n)
  )
}

# What uns says of a run.
parameters <- function(sm) {
  settings <- sm$options
  settings$control <- unclass(settings$control)
  list(
    version = sm$provenance$samap, seed = as.double(sm$provenance$seed), options = savable(settings),
    inputs = sm$provenance$inputs, alignment = sm$alignment, phases = sm$timings, choices = sm$choices
  )
}

# Of nested lists, what a file can hold: named elements that are plain vectors.
savable <- function(x) {
  if (is.data.frame(x)) {
    return(x)
  }
  # A value per species is a group, too.
  if (!is.null(names(x))) x <- as.list(x)
  if (is.list(x)) {
    kept <- lapply(x[nzchar(names(x))], savable)
    return(kept[!vapply(kept, is.null, logical(1))])
  }
  if (is.atomic(x) && is.null(dim(x)) && length(x) > 0) if (is.factor(x)) as.character(x) else unname(x)
}
