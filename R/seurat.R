# Seurat: objects of versions 3 to 5 as atlases, and results as Seurat objects.

# ---- in ----------------------------------------------------------------------

raw_seurat <- function(x, species) {
  rlang::check_installed("SeuratObject", "to read Seurat objects.")
  counts <- seurat_counts(x, species)
  metadata <- x[[]]
  list(counts = counts, cells = metadata[match(colnames(counts), rownames(metadata)), , drop = FALSE])
}

# Counts of the default assay; of the assay "RNA" where the default one has none of its own (SCTransform, integration).
seurat_counts <- function(x, species) {
  default <- SeuratObject::DefaultAssay(x)
  assays <- names(x@assays)
  sct <- vapply(assays, function(name) inherits(x[[name]], "SCTAssay"), logical(1))
  for (name in setdiff(unique(c(default, intersect("RNA", assays))), assays[sct])) {
    counts <- assay_counts(x[[name]])
    if (!is.null(counts) && nrow(counts) > 0 && ncol(counts) > 0) {
      return(counts)
    }
  }
  if (all(sct)) {
    bad_atlas("no_counts", species,
      paste0("is a Seurat object with nothing but what SCTransform made (", enumerate(quoted(assays)),
        "), whose counts are corrected for depth."),
      remedy = "Give the object with the assay of raw counts that SCTransform started from, or the counts themselves.")
  }
  bad_atlas("no_counts", species,
    paste0("is a Seurat object without raw counts in its default assay ", quoted(default), " (assays: ",
      enumerate(quoted(assays)), ")."),
    remedy = "Give the object with the assay that holds the counts: `DefaultAssay(object) <- \"RNA\"`.")
}

seurat_5 <- function() utils::packageVersion("SeuratObject") >= "5.0.0"

assay_counts <- function(assay) {
  if (!inherits(assay, c("StdAssay", "Assay5"))) {
    # The argument was renamed in SeuratObject 5.
    which <- if (seurat_5()) list(layer = "counts") else list(slot = "counts")
    return(do.call(SeuratObject::GetAssayData, c(list(assay), which)))
  }
  # Exports of SeuratObject 5, looked up at run time so that version 4 will do where objects are of version 4.
  layers_of <- getExportedValue("SeuratObject", "Layers")
  layer_data <- getExportedValue("SeuratObject", "LayerData")
  layers <- layers_of(assay, search = "counts")
  if (length(layers) == 0) {
    return(NULL)
  }
  parts <- lapply(layers, function(layer) as_counts(layer_data(assay, layer = layer), NULL))
  joined <- join_columns(parts)
  order <- match(colnames(assay), colnames(joined))
  if (anyNA(order) || !is.unsorted(order, strictly = TRUE)) joined else joined[, order, drop = FALSE]
}

# ---- out ---------------------------------------------------------------------

#' The result as a Seurat object or a SingleCellExperiment
#'
#' One object with the cells and genes of all species, to go on working with. Also as methods of `as.Seurat()` (of
#' SeuratObject) and `as.SingleCellExperiment()` (of Seurat).
#'
#' @param sm What [samap()] returns, with its counts.
#' @param threads,verbose As in [samap()].
#'
#' @details
#' Features are called `<species>-<gene>`; the columns `species` and `gene` of the feature metadata have both apart,
#' with the SAM `weight` and `matched` (the homology names the gene). In the Seurat object every `_` of a feature's name
#' is a `-`, since Seurat has it so. Cells have the ids and metadata of [cell_metadata()].
#'
#' Of the stitched graph the Seurat object holds each edge in both directions, with the larger weight:
#' `FindClusters(object, graph.name = "samap")` reads one triangle only. The SingleCellExperiment holds it as it is,
#' directed, in `colPair(object, "samap")`.
#'
#' Counts are raw: `Seurat::NormalizeData()` or `scuttle::logNormCounts()` normalise them. Counts that are in files are
#' read into the object.
#'
#' @return `as_seurat()`: a Seurat object with the assay `RNA` (counts), the graph `samap`, and the reductions `umap`
#'   (if there is a layout) and `latent` (the joint space). The identity of the cells is their species.
#'
#'   `as_sce()`: a SingleCellExperiment with the assay `counts`, the colPair `samap`, the reducedDims `UMAP` and
#'   `latent`, and the alignment of the species and the provenance of the run in `metadata(object)$samap`.
#'
#'   Without counts an error of class `samap_error_no_counts`; more than a sparse matrix of R holds (2^31 - 1 entries)
#'   are an error of class `samap_error_memory`.
#' @seealso [add_samap()] puts results into the objects you already have.
#' @examplesIf requireNamespace("SeuratObject", quietly = TRUE)
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' as_seurat(sm, threads = 1, verbose = FALSE)
#' @export
as_seurat <- function(sm, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  rlang::check_installed("SeuratObject", "to make Seurat objects.")
  features <- feature_table(sm)
  rownames(features) <- make.unique(gsub("[_|]", "-", feature_names(features)), sep = "-")
  run <- result_run(sm, threads, verbose)
  counts <- joined_counts(sm, run)
  dimnames(counts) <- list(rownames(features), sm$cells$cell)
  metadata <- output_metadata(sm)
  if (!"orig.ident" %in% names(metadata)) metadata[["orig.ident"]] <- sm$cells$species
  object <- SeuratObject::CreateSeuratObject(counts, project = "samap", assay = "RNA")
  object <- SeuratObject::AddMetaData(object, metadata)
  object[["RNA"]] <- SeuratObject::AddMetaData(object[["RNA"]], features)
  SeuratObject::Idents(object) <- factor(sm$cells$species, sm$species)
  object[["samap"]] <- seurat_graph(engine_symmetric(final_pass(sm)$graph, run), sm$cells$cell)
  if (!is.null(sm$umap)) object[["umap"]] <- seurat_reduction(embedding(sm, "umap"), "umap_", "RNA")
  if (!is.null(sm$latent)) object[["latent"]] <- seurat_reduction(embedding(sm, "latent"), "latent_", "RNA")
  object
}

seurat_graph <- function(graph, cells) {
  dimnames(graph) <- list(cells, cells)
  graph <- SeuratObject::as.Graph(graph)
  SeuratObject::DefaultAssay(graph) <- "RNA"
  graph
}

# coordinates: a matrix with the names of the cells.
seurat_reduction <- function(coordinates, key, assay) {
  colnames(coordinates) <- paste0(key, seq_len(ncol(coordinates)))
  SeuratObject::CreateDimReducObject(embeddings = coordinates, key = key, assay = assay)
}

#' @exportS3Method SeuratObject::as.Seurat
as.Seurat.samap <- function(x, ...) as_seurat(x, ...)

# ---- what both kinds of objects hold -----------------------------------------

# Genes of all species, in the order of joined_counts().
feature_table <- function(sm) sm$genes[c("species", "gene", "weight", "matched")]

feature_names <- function(features) paste(features$species, features$gene, sep = "-")

# Genes of all species x cells of all species: a block per species.
joined_counts <- function(sm, run) {
  counts <- need_counts(sm)[sm$species]
  entries <- sum(vapply(counts, function(one) if (is_source(one)) one$nonzeros else stored_of(one), double(1)))
  if (entries > .Machine$integer.max) {
    samap_abort(
      "memory", "The counts are too many for one sparse matrix of R.", argument = "sm",
      found = paste0("They have ", count_of(entries, "entry", "entries"), ", and it holds 2^31 - 1."),
      remedy = "`write_h5ad()` writes them all; `add_samap()` needs none."
    )
  }
  counts <- Map(function(one, id) if (is_source(one)) engine_counts(one, run, id) else one, counts, sm$species)
  methods::as(methods::as(Matrix::bdiag(unname(counts)), "CsparseMatrix"), "generalMatrix")
}

# Metadata of the cells, with their ids as row names.
output_metadata <- function(sm) {
  data.frame(sm$cells[names(sm$cells) != "cell"], row.names = sm$cells$cell, check.names = FALSE)
}
