test_that("planted cell types of two species find each other", {
  sm <- finished()
  scores <- alignment_scores(sm, "cell_type")
  same <- scores$type_a == scores$type_b
  expect_gt(min(scores$score[same]), 0.5)
  expect_lt(max(scores$score[!same]), 0.1)
  expect_identical(sort(scores$type_a[1:3]), paste0("type", 1:3))
})

test_that("planted cell types of three species find each other", {
  data <- three_species()
  sm <- quiet_samap(data, keys = "cell_type")
  scores <- alignment_scores(sm, "cell_type")
  expect_identical(nrow(scores), 27L)
  expect_gt(min(scores$score[scores$type_a == scores$type_b]), 0.4)
  expect_lt(max(scores$score[scores$type_a != scores$type_b]), 0.1)
  all_to_all <- quiet_samap(data, keys = "cell_type", pairwise = FALSE, n_iterations = 1)
  expect_identical(dim(stitched_graph(all_to_all)), c(270L, 270L))
})

test_that("a star design has no links between the outer species, and says so once", {
  data <- three_species()
  data$homology <- data$homology[data$homology$species_a == "ha", ]
  warnings <- testthat::capture_warnings(sm <- quiet_samap(data, keys = "cell_type"))
  expect_length(warnings, 1L)
  expect_match(warnings, "mu and z_f")
  graph <- stitched_graph(sm)
  species <- cell_metadata(sm)$species
  expect_identical(sum(graph[species == "mu", species == "z_f"]), 0)
  expect_gt(sum(graph[species == "ha", species == "z_f"]), 0)
})

test_that("the same seed gives the same bits for any number of threads", {
  data <- two_species()
  one <- quiet_samap(data, umap = TRUE, threads = 1L)
  for (threads in c(1L, 2L, 8L)) {
    again <- quiet_samap(data, umap = TRUE, threads = threads)
    expect_identical(computed(again), computed(one))
  }
})

test_that("a run leaves R's random numbers alone", {
  withr::local_seed(3)
  before <- .Random.seed
  quiet_samap(two_species(), n_iterations = 1)
  expect_identical(.Random.seed, before)
})

test_that("passes continued are the passes of one longer run", {
  data <- two_species()
  parts <- c("passes", "latent", "homology", "alignment", "groups", "sam", "cells")
  for (mode in c("pearson", "xi")) {
    three <- quiet_samap(data, hom_edge_mode = mode)
    one <- quiet_samap(data, n_iterations = 1, hom_edge_mode = mode)
    continued <- quiet_samap(data, n_iterations = 2, hom_edge_mode = mode, from = one)
    expect_identical(unclass(continued)[parts], unclass(three)[parts])
    two <- quiet_samap(data, n_iterations = 2, hom_edge_mode = mode)
    continued <- quiet_samap(data, n_iterations = 1, hom_edge_mode = mode, from = two)
    expect_identical(unclass(continued)[parts], unclass(three)[parts])
  }
  kept <- quiet_samap(data, control = samap_control(keep_iterations = TRUE))
  expect_length(kept$passes, 3L)
  expect_identical(kept$passes[c(1, 3)], quiet_samap(data)$passes)
})

test_that("a run continues on the same data only", {
  data <- two_species()
  one <- quiet_samap(data, n_iterations = 1)
  other <- data
  other$atlases$mu <- planted_atlas(9)
  expect_error(quiet_samap(other, from = one), "mu", class = "samap_error_different_input")
  other <- data
  other$homology <- other$homology[-1, ]
  expect_error(quiet_samap(other, from = one), class = "samap_error_different_input")
  other <- data
  other$atlases <- rev(other$atlases)
  expect_error(quiet_samap(other, from = one), class = "samap_error_different_input")
})

test_that("the order of species, cells and edges does not matter much", {
  data <- two_species()
  sm <- quiet_samap(data, keys = "cell_type")
  shuffled <- data
  shuffled$homology <- data$homology[rev(seq_len(nrow(data$homology))), ]
  expect_identical(computed(quiet_samap(shuffled, keys = "cell_type")), computed(sm))
  swapped <- data
  swapped$atlases <- rev(data$atlases)
  a <- as.matrix(alignment_scores(sm, "cell_type"))
  b <- as.matrix(alignment_scores(quiet_samap(swapped, keys = "cell_type"), "cell_type"))
  expect_lt(max(abs(a - b[rownames(a), colnames(a)])), 0.02)
})

test_that("duplicated barcodes, shared gene names and odd species ids are harmless", {
  data <- two_species()
  plain <- quiet_samap(data, keys = "cell_type", umap = TRUE)
  odd <- data
  names(odd$atlases) <- c("x", "x_cell1")
  odd$homology <- transform(odd$homology, species_a = "x", species_b = "x_cell1")
  colnames(odd$atlases$x_cell1$counts)[2:3] <- colnames(odd$atlases$x_cell1$counts)[[1]]
  colnames(odd$atlases$x$counts)[[5]] <- paste0("cell1_", colnames(odd$atlases$x_cell1$counts)[[7]])
  rownames(odd$atlases$x$cells) <- rownames(odd$atlases$x_cell1$cells) <- NULL
  sm <- quiet_samap(odd, keys = "cell_type", umap = TRUE)
  expect_identical(sm$passes, plain$passes)
  expect_identical(sm$umap, plain$umap)
  expect_identical(anyDuplicated(cell_metadata(sm)$cell), 0L)
  expect_identical(cell_metadata(sm)$barcode[92:93], cell_metadata(sm)$barcode[c(91, 91)])
  expect_equal(alignment_scores(sm, "cell_type")$score, alignment_scores(plain, "cell_type")$score)
  expect_identical(homology_graph(sm)$species_b, rep("x_cell1", nrow(homology_graph(sm))))
})

test_that("dense, sparse, triplet, list, Seurat and SingleCellExperiment inputs give the same result", {
  data <- two_species()
  plain <- quiet_samap(data, n_iterations = 1)
  forms <- list(
    dense = function(atlas) as.matrix(atlas$counts),
    integers = function(atlas) {
      x <- as.matrix(atlas$counts)
      storage.mode(x) <- "integer"
      x
    },
    sparse = function(atlas) atlas$counts,
    table = function(atlas) structure(as.matrix(atlas$counts), class = "table"),
    triplet = function(atlas) methods::as(atlas$counts, "TsparseMatrix"),
    rows = function(atlas) methods::as(atlas$counts, "RsparseMatrix")
  )
  if (requireNamespace("SeuratObject", quietly = TRUE)) {
    forms$seurat <- function(atlas) {
      suppressWarnings(SeuratObject::CreateSeuratObject(atlas$counts, meta.data = atlas$cells))
    }
  }
  if (requireNamespace("SingleCellExperiment", quietly = TRUE)) {
    forms$sce <- function(atlas) {
      SingleCellExperiment::SingleCellExperiment(list(counts = atlas$counts), colData = atlas$cells)
    }
  }
  for (form in names(forms)) {
    other <- data
    other$atlases <- lapply(data$atlases, forms[[form]])
    sm <- quiet_samap(other, n_iterations = 1)
    expect_identical(sm$passes, plain$passes, info = form)
    if (form %in% c("seurat", "sce")) {
      expect_identical(as.character(sm$cells$cell_type), plain$cells$cell_type, info = form)
    }
  }
})

test_that("Assay5 layers are joined by columns", {
  skip_if_not_installed("SeuratObject", "5.0.0")
  atlas <- planted_atlas(1)
  object <- suppressWarnings(SeuratObject::CreateSeuratObject(atlas$counts, meta.data = atlas$cells))
  object[["RNA"]] <- split(object[["RNA"]], f = object$batch)
  read <- read_atlas(object, "ha")
  expect_identical(read$cells$barcode, colnames(atlas$counts))
  expect_identical(unname(as.matrix(read$counts)), unname(as.matrix(atlas$counts)))
})

test_that("the caller's matrix is shared, not copied", {
  atlas <- planted_atlas(1)
  read <- read_atlas(atlas, "ha")
  expect_identical(rlang::obj_address(read$counts@x), rlang::obj_address(atlas$counts@x))
})

test_that("samples of one species are stacked", {
  data <- two_species()
  whole <- data$atlases$ha
  first <- list(counts = whole$counts[, 1:50], cells = whole$cells[1:50, ])
  second <- list(counts = whole$counts[-3, 51:90], cells = whole$cells[51:90, "cell_type", drop = FALSE])
  stacked <- data
  stacked$atlases$ha <- list(first, second)
  sm <- quiet_samap(stacked, n_iterations = 1, keys = "cell_type")
  cells <- cell_metadata(sm)
  expect_identical(cells$cell[[1]], paste0("ha_1_", colnames(whole$counts)[[1]]))
  expect_identical(cells$sample[c(50, 51, 91)], c("1", "2", NA))
  expect_identical(cells$cell_type[1:90], whole$cells$cell_type)
  expect_identical(as.matrix(sm$counts$ha)[3, 51:90], rep(0, 40))
  stacked$atlases$ha <- list(old = first, new = second)
  expect_identical(cell_metadata(quiet_samap(stacked, n_iterations = 1))$sample[[51]], "new")
})

test_that("results of sam() are used as they are", {
  data <- two_species()
  plain <- quiet_samap(data, n_iterations = 1)
  fitted <- data
  fitted$atlases <- lapply(data$atlases, sam, threads = 1, verbose = FALSE)
  expect_identical(quiet_samap(fitted, n_iterations = 1)$passes, plain$passes)
  fitted$atlases$mu <- sam(data$atlases$mu, n_genes = 20, threads = 1, verbose = FALSE)
  sm <- quiet_samap(fitted, n_iterations = 1)
  expect_identical(gene_weights(sm)$weight[86:170], gene_weights(fitted$atlases$mu)$weight)
})

test_that("settings can differ between species", {
  sm <- quiet_samap(
    two_species(), n_iterations = 1, keys = c(mu = "cell_type"), resolutions = c(ha = 0.5),
    neighborhood_sizes = c(mu = 2), neigh_from_keys = c(ha = TRUE)
  )
  expect_identical(sm$options$neighborhood_sizes, list(ha = 3L, mu = 2L))
  expect_identical(sm$options$neigh_from_keys, list(ha = TRUE, mu = FALSE))
  expect_false(anyNA(sm$cells$samap_leiden[1:90]))
  expect_true(all(is.na(sm$cells$samap_leiden[91:180])))
})

test_that("fix_ids matches genes that differ by a suffix", {
  data <- two_species()
  plain <- quiet_samap(data, n_iterations = 1)
  data$homology$gene_b <- paste0(data$homology$gene_b, ".2")
  sm <- quiet_samap(data, n_iterations = 1, fix_ids = TRUE)
  expect_identical(sm$passes, plain$passes)
  expect_true("gene ids" %in% run_info(sm)$what)
})

test_that("a result survives saveRDS() and another process of analysis", {
  sm <- finished()
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(sm, file)
  again <- readRDS(file)
  expect_identical(again, sm)
  expect_identical(
    gene_pairs(again, "cell_type", threads = 1, verbose = FALSE),
    gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  )
})

test_that("a result without counts says what to do, and takes them back", {
  data <- two_species()
  sm <- quiet_samap(data, control = samap_control(keep_counts = FALSE))
  expect_null(sm$counts)
  expect_error(gene_pairs(sm, "cell_type"), "attach_counts", class = "samap_error_no_counts")
  expect_error(cluster_markers(sm, "cell_type"), class = "samap_error_no_counts")
  expect_error(refine_homology(sm), class = "samap_error_no_counts")
  expect_s3_class(run_umap(sm, n_epochs = 20, threads = 1, verbose = FALSE), "samap")
  wrong <- data$atlases
  wrong$mu$counts[1, 1] <- wrong$mu$counts[1, 1] + 1
  expect_error(attach_counts(sm, wrong), "mu", class = "samap_error_different_input")
  attached <- attach_counts(sm, data$atlases)
  expect_identical(
    gene_pairs(attached, "cell_type", threads = 1, verbose = FALSE),
    gene_pairs(quiet_samap(data), "cell_type", threads = 1, verbose = FALSE)
  )
})

test_that("progress is shown only when it is wanted", {
  expect_silent(quiet_samap(two_species(), n_iterations = 1))
})

test_that("it is recorded whether neighbourhoods were capped", {
  capped <- function(...) {
    info <- run_info(quiet_samap(two_species(), keys = "cell_type", n_iterations = 1, ...))
    info$chosen[info$what == "neighbourhoods" & info$kind == "choice"]
  }
  expect_identical(capped(control = samap_control(max_neighborhood = 5)), c("capped", "capped"))
  expect_identical(capped(control = samap_control(max_neighborhood = 30), neigh_from_keys = c(mu = TRUE)), "not capped")
  expect_length(capped(control = samap_control(max_neighborhood = Inf)), 0L)
})
