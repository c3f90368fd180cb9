test_that("the pancreas pair is ready for samap()", {
  example <- samap_example("pancreas")
  expect_identical(names(example$atlases), c("human", "mouse"))
  expect_identical(vapply(example$atlases, function(x) ncol(x$counts), 1L), c(human = 2142L, mouse = 1886L))
  expect_true(all(c("cell_type", "donor") %in% names(example$atlases$human$cells)))
  expect_s3_class(example$homology, "samap_homology")
  expect_gt(nrow(example$homology), 12000)
})

test_that("the example comes as Seurat and Bioconductor objects", {
  skip_if_not_installed("SeuratObject")
  skip_if_not_installed("SingleCellExperiment")
  seurat <- samap_example("pancreas-small", as = "seurat")$atlases$mouse
  expect_s4_class(seurat, "Seurat")
  expect_true("cell_type" %in% names(seurat[[]]))
  sce <- samap_example("pancreas-small", as = "sce")$atlases$mouse
  expect_s4_class(sce, "SingleCellExperiment")
})
