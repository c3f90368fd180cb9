skip_if_not_installed("SingleCellExperiment")

as_experiment <- function(atlas, counts = atlas$counts) {
  SingleCellExperiment::SingleCellExperiment(list(counts = counts), colData = atlas$cells)
}

test_that("a result becomes a SingleCellExperiment with the directed graph", {
  sm <- finished()
  object <- as_sce(sm, threads = 1, verbose = FALSE)
  expect_s4_class(object, "SingleCellExperiment")
  expect_identical(colnames(object), cell_metadata(sm)$cell)
  expect_identical(object$cell_type, cell_metadata(sm)$cell_type)
  features <- SummarizedExperiment::rowData(object)
  expect_identical(features$gene, gene_weights(sm)$gene)
  expect_identical(unique(features$species), c("ha", "mu"))
  expect_identical(unname(SingleCellExperiment::reducedDim(object, "UMAP")), unname(embedding(sm)))
  expect_identical(SingleCellExperiment::reducedDimNames(object), c("UMAP", "latent"))
  graph <- SingleCellExperiment::colPair(object, "samap", asSparse = TRUE)
  expect_equal(as.matrix(graph), as.matrix(stitched_graph(sm)), ignore_attr = TRUE)
  counts <- SummarizedExperiment::assay(object, "counts")
  expect_identical(unname(as.matrix(counts[86:170, 91:180])), unname(as.matrix(two_species()$atlases$mu$counts)))
})

test_that("scores, labels and layout go into the user's own experiment, also into one with more or fewer cells", {
  data <- two_species()
  sm <- finished()
  own <- as_experiment(data$atlases$mu)
  more <- add_samap(own, sm, "mu", key = c(ha = "cell_type"), threads = 1, verbose = FALSE)
  expect_identical(more$samap_label_ha, data$atlases$mu$cells$cell_type)
  expect_identical(unname(SingleCellExperiment::reducedDim(more, "samap")), unname(embedding(sm)[91:180, ]))
  few <- add_samap(own[, 5:3], sm, "mu", threads = 1, verbose = FALSE)
  expect_identical(few$samap_score_ha, more$samap_score_ha[5:3])
  colnames(own)[[2]] <- "new"
  expect_warning(other <- add_samap(own, sm, "mu", threads = 1, verbose = FALSE), "new", class = "samap_warning_names")
  expect_identical(which(is.na(other$samap_score_ha)), 2L)
})

test_that("counts on disk or delayed are read as they are", {
  skip_if_not_installed("HDF5Array")
  atlas <- planted_atlas(1)
  path <- withr::local_tempfile(fileext = ".h5")
  disk <- HDF5Array::writeHDF5Array(as.matrix(atlas$counts), path, "counts", with.dimnames = TRUE)
  for (counts in list(disk, disk * 1, DelayedArray::DelayedArray(atlas$counts))) {
    read <- read_atlas(as_experiment(atlas, counts), "ha")
    expect_identical(as.matrix(read$counts), as.matrix(atlas$counts))
    expect_identical(read$cells$cell_type, atlas$cells$cell_type)
  }
})

test_that("an experiment without counts names its assays and its alternative experiments", {
  atlas <- planted_atlas(1)
  object <- as_experiment(atlas)
  SummarizedExperiment::assayNames(object) <- "logcounts"
  SingleCellExperiment::altExp(object, "antibodies") <- as_experiment(atlas)
  expect_error(read_atlas(object, "ha"), "logcounts.*antibodies", class = "samap_error_no_counts")
  expect_identical(read_atlas(SingleCellExperiment::altExp(object, "antibodies"), "ha")$counts, atlas$counts)
})
