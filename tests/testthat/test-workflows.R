# The scripts that do what users of Seurat and Bioconductor do, each in an R process of its own.
run_script <- function(name) {
  script <- system.file("scripts", name, package = "samap", mustWork = TRUE)
  folder <- withr::local_tempdir(.local_envir = parent.frame())
  withr::local_envvar(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep))
  output <- system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script), shQuote(folder)), stdout = TRUE, stderr = TRUE
  )
  expect_null(attr(output, "status"), info = paste(output, collapse = "\n"))
  expect_identical(utils::tail(output, 1), "done")
  folder
}

test_that("a user of Seurat gets there and back", {
  skip_if_not_installed("Seurat")
  folder <- run_script("seurat.R")
  mouse <- readRDS(file.path(folder, "mouse.rds"))
  expect_true(all(c("samap_label_human", "samap_uncertainty_human", "samap_score_human") %in% names(mouse[[]])))
  expect_true(all(file.size(file.path(folder, c("clusters.png", "insulin.png", "labels.png"))) > 5000))
})

test_that("a user of Bioconductor gets there and back", {
  skip_if_not_installed("SingleCellExperiment")
  folder <- run_script("bioconductor.R")
  mouse <- readRDS(file.path(folder, "mouse.rds"))
  expect_true(all(mouse$samap_score_human >= 0))
  expect_gt(file.size(file.path(folder, "clusters.png")), 5000)
})
