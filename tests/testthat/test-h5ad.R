# Files written by AnnData (tests/h5ad/make_fixtures.py), with what is in them as CSV.

fixture <- function(name) testthat::test_path("h5ad", name)

skip_without_hdf5 <- function() testthat::skip_if_not(has_hdf5_(), "this build has no HDF5")

fixture_counts <- function() {
  entries <- utils::read.csv(fixture("counts.csv"))
  genes <- utils::read.csv(fixture("var.csv"))$gene
  cells <- utils::read.csv(fixture("obs.csv"))$barcode
  Matrix::sparseMatrix(
    i = entries$gene + 1L, j = entries$cell + 1L, x = entries$count,
    dims = c(length(genes), length(cells)), dimnames = list(genes, cells)
  )
}

quiet_sam <- function(x, ...) sam(x, ..., threads = 1L, verbose = FALSE)

# What two runs of sam() must share.
fitted_values <- function(fit) unclass(fit)[c("genes", "neighbor_index", "neighbor_distance", "scores", "pcs")]

two_files <- function(a = "csr.h5ad", b = "csc.h5ad") list(one = fixture(a), two = fixture(b))

two_matrices <- function() {
  counts <- fixture_counts()
  list(one = counts, two = counts)
}

fixture_homology <- function() planted_pairs("one", "two", n = 59L, prefix_a = "gene", prefix_b = "gene")

test_that("sam() on a file is sam() on its matrix, bit for bit, whatever the layout", {
  skip_without_hdf5()
  expected <- quiet_sam(fixture_counts())
  names <- c("csr.h5ad", "csc.h5ad", "dense.h5ad", "int64.h5ad", "anndata-0.7.8.h5ad", "anndata-0.6.22.h5ad",
    "cellranger2.h5", "cellranger3.h5")
  for (name in names) {
    fit <- quiet_sam(fixture(name))
    expect_identical(fitted_values(fit), fitted_values(expected), info = name)
    expect_s3_class(fit$counts, "samap_counts")
  }
})

test_that("samap() on files is samap() on matrices, and so is what follows", {
  skip_without_hdf5()
  matrices <- two_matrices()
  cells <- utils::read.csv(fixture("obs.csv"), stringsAsFactors = FALSE)["cell_type"]
  with_cells <- lapply(matrices, function(counts) list(counts = counts, cells = cells))
  a <- samap(two_files(), fixture_homology(), keys = "cell_type", umap = FALSE, threads = 1, verbose = FALSE)
  b <- samap(with_cells, fixture_homology(), keys = "cell_type", umap = FALSE, threads = 1, verbose = FALSE)
  same <- c("genes", "homology", "passes", "latent", "alignment")
  expect_identical(unclass(a)[same], unclass(b)[same])
  expect_identical(as.character(a$cells$cell_type), b$cells$cell_type)
  markers <- function(sm) cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_equal(markers(a)[order(markers(a)$type), -2], markers(b)[order(markers(b)$type), -2], ignore_attr = TRUE)
  expect_identical(refine_homology(a, threads = 1, verbose = FALSE), refine_homology(b, threads = 1, verbose = FALSE))
  skip_if_not_installed("SingleCellExperiment")
  counts <- function(sm) SummarizedExperiment::assay(as_sce(sm, threads = 1, verbose = FALSE), "counts")
  expect_identical(counts(a), counts(b))
})

test_that("metadata come with their types", {
  skip_without_hdf5()
  cells <- cell_metadata(quiet_sam(fixture("missing.h5ad")))
  truth <- utils::read.csv(fixture("obs.csv"), encoding = "UTF-8", na.strings = c("", "NA"))
  expect_identical(cells$barcode, truth$barcode)
  expect_identical(levels(cells$cell_type), c("delta", "gamma", "beta", "alpha"))
  expect_identical(as.character(cells$cell_type), truth$cell_type)
  expect_identical(as.character(cells$donor), enc2utf8(truth$donor))
  expect_identical(cells$n_counts, truth$n_counts)
  expect_equal(cells$score, truth$score)
  expect_identical(cells$doublet, truth$doublet == "True")
  expect_identical(cells$maybe_int, truth$maybe_int)
  expect_identical(cells$maybe_flag, truth$maybe_flag == "True")
  expect_identical(as.character(cells$some_type), truth$some_type)
})

test_that("layers and names of genes can be chosen", {
  skip_without_hdf5()
  expect_warning(fit <- quiet_sam(fixture("layers.h5ad")), class = "samap_warning_not_counts")
  expect_identical(fitted_values(fit), fitted_values(quiet_sam(h5ad_atlas(fixture("layers.h5ad"), "counts"))))
  ids <- quiet_sam(h5ad_atlas(fixture("csr.h5ad"), var_names = "gene_ids"))
  expect_identical(ids$genes$gene[[2]], "ENSG00000000001")
  expect_snapshot(show_condition(quiet_sam(h5ad_atlas(fixture("csr.h5ad"), layer = "other"))),
    transform = function(lines) gsub("[^ ]*(h5ad/)", "\\1", lines))
  own <- list(counts = fixture("csr.h5ad"), cells = data.frame(kind = rep(1:2, 20)))
  expect_identical(cell_metadata(quiet_sam(own))$kind, rep(1:2, 20))
})

test_that("samples in files and in memory are stacked as if all were in memory", {
  skip_without_hdf5()
  counts <- fixture_counts()
  fewer <- counts[rev(seq_len(50)), ]
  mixed <- quiet_sam(list(a = fixture("csr.h5ad"), b = fewer, c = fixture("csc.h5ad")))
  memory <- quiet_sam(list(a = counts, b = fewer, c = counts))
  expect_identical(fitted_values(mixed), fitted_values(memory))
  expect_identical(cell_metadata(mixed)$sample, rep(c("a", "b", "c"), each = 40))
  again <- quiet_sam(list(x = mixed, y = fewer))
  expect_identical(fitted_values(again), fitted_values(quiet_sam(list(x = memory, y = fewer))))
})

test_that("results survive saving, and say when a file is gone, changed or moved", {
  skip_without_hdf5()
  folder <- withr::local_tempdir()
  path <- file.path(folder, "a.h5ad")
  file.copy(fixture("csr.h5ad"), path)
  fit <- quiet_sam(path)
  saved <- withr::local_tempfile(fileext = ".rds")
  saveRDS(fit, saved)
  fit <- readRDS(saved)
  labels <- rep(1:2, 20)
  before <- cluster_markers(fit, labels, threads = 1, verbose = FALSE)
  Sys.setFileTime(path, Sys.time() - 100)
  expect_identical(cluster_markers(fit, labels, threads = 1, verbose = FALSE), before)
  moved <- file.path(folder, "moved.h5ad")
  file.rename(path, moved)
  expect_error(cluster_markers(fit, labels, verbose = FALSE), class = "samap_error_no_counts")
  fit <- attach_counts(fit, moved)
  expect_identical(cluster_markers(fit, labels, threads = 1, verbose = FALSE), before)
  file.copy(fixture("csc.h5ad"), moved, overwrite = TRUE)
  expect_error(cluster_markers(fit, labels, verbose = FALSE), class = "samap_error_no_counts")
  expect_error(attach_counts(fit, fixture("raw.h5ad")), class = "samap_error_different_input") |>
    suppressWarnings()
})

test_that("a file that cannot be used says why", {
  expect_error(quiet_sam("/no/such/file.h5ad"), class = "samap_error_io")
  skip_without_hdf5()
  text <- withr::local_tempfile(lines = "not HDF5", fileext = ".h5ad")
  expect_error(quiet_sam(text), class = "samap_error_parse")
  expect_error(quiet_sam(dirname(text)), class = "samap_error_parse")
})

test_that("compression that is not read is named", {
  skip_without_hdf5()
  expect_error(quiet_sam(fixture("blosc.h5ad")), "blosc", class = "samap_error_compression")
})

test_that("a SAM run of the Python package is taken over, and maps like one of ours", {
  skip_without_hdf5()
  fit <- read_sam_h5ad(fixture("sc-samap-3.0.1_pr.h5ad"))
  genes <- utils::read.csv(fixture("sc-samap-genes.csv"))
  expect_identical(fit$genes$gene, genes$gene)
  expect_equal(fit$genes$weight, genes$weights)
  expect_equal(fit$genes$dispersion, genes$spatial_dispersions)
  pairs <- utils::read.csv(fixture("sc-samap-neighbors.csv"))
  expect_identical(dim(fit$neighbor_index), c(40L, 10L))
  expect_identical(fit$neighbor_index[, 1], 1:40)
  found <- paste(rep(1:40, 10), c(fit$neighbor_index))
  expect_setequal(found, paste(pairs$cell + 1L, pairs$neighbor + 1L))
  far <- pairs$distance[match(found, paste(pairs$cell + 1L, pairs$neighbor + 1L))]
  expect_equal(c(fit$neighbor_distance), pmax(far, 0))
  expect_false(any(apply(fit$neighbor_distance, 1, is.unsorted)))
  expect_identical(fit$options$sam$npcs, 20)
  # Its counts are the raw ones.
  expect_equal(fit$genes$mean, engine_expression(fixture_counts(), fit$options$preprocess, new_run(1L, verbose = FALSE),
    "x")$means, tolerance = 1e-6)
  sm <- samap(
    list(one = fit, two = fixture("csr.h5ad")), fixture_homology(),
    keys = "cell_type", umap = FALSE, threads = 1, verbose = FALSE
  )
  expect_identical(sm$sam$one$genes$weight, fit$genes$weight)
  expect_identical(sm$sam$one$neighbor_index, fit$neighbor_index)
  expect_error(read_sam_h5ad(fixture("raw.h5ad")), class = "samap_error_no_sam")
})

test_that("coordinates in a file can stand for components", {
  skip_without_hdf5()
  path <- fixture("sc-samap-3.0.1_pr.h5ad")
  raw <- h5ad_atlas(path, "raw")
  fit <- quiet_sam(raw, reduction = "X_pca")
  expect_identical(dim(fit$scores), c(40L, 20L))
  expect_equal(fit$scores, read_sam_h5ad(path)$scores, tolerance = 1e-6)
  expect_error(quiet_sam(raw, reduction = "X_none"), "X_pca", class = "samap_error_argument")
})
