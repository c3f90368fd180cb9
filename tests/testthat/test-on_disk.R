# samap_control(on_disk =): expression in files instead of memory.

on_disk <- function(...) samap_control(on_disk = TRUE, ...)

test_that("on disk every bit is the same", {
  data <- two_species()
  expected <- quiet_samap(data, keys = "cell_type")
  sm <- quiet_samap(data, keys = "cell_type", control = on_disk())
  expect_identical(computed(sm), computed(expected))
  pairs <- function(sm) gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_identical(pairs(sm), pairs(expected))
  refined <- function(sm) refine_homology(sm, threads = 1, verbose = FALSE)
  expect_identical(refined(sm), refined(expected))

  atlas <- data$atlases$ha
  fit <- function(...) sam(atlas, norm = "multinomial", sum_norm = "none", threads = 1, verbose = FALSE, ...)
  expect_identical(fit(control = on_disk())[c("genes", "scores")], fit()[c("genes", "scores")])
})

test_that("files are read on disk, and results made from them have their counts", {
  testthat::skip_if_not(has_hdf5_(), "this build has no HDF5")
  files <- lapply(c(one = "csr.h5ad", two = "csc.h5ad"), function(name) testthat::test_path("h5ad", name))
  data <- list(atlases = files, homology = planted_pairs("one", "two", n = 59L, prefix_a = "gene", prefix_b = "gene"))
  expected <- quiet_samap(data, keys = "cell_type")
  sm <- quiet_samap(data, keys = "cell_type", control = on_disk())
  expect_identical(computed(sm), computed(expected))
  markers <- function(sm) cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_identical(markers(sm), markers(expected))

  bare <- quiet_samap(data, keys = "cell_type", control = on_disk(keep_counts = FALSE))
  expect_null(bare$counts)
  expect_error(markers(bare), class = "samap_error_no_counts")
  expect_identical(markers(attach_counts(bare, files)), markers(expected))
})

test_that("nothing is left in the folder, after errors neither", {
  folder <- withr::local_tempdir()
  left <- function() list.files(folder, all.files = TRUE, no.. = TRUE)
  control <- samap_control(on_disk = folder)
  sm <- quiet_samap(two_species(), keys = "cell_type", control = control)
  expect_identical(left(), character())
  data <- two_species()
  data$atlases$mu$counts@x[[1]] <- Inf
  expect_error(quiet_samap(data, keys = "cell_type", control = control), class = "samap_error")
  expect_error(sam(data$atlases$ha, sum_norm = "gene_median", norm = "multinomial", threads = 1, verbose = FALSE,
    control = control), class = "samap_error_argument")
  expect_identical(left(), character())
  # A result outlives the folder it was made in.
  unlink(folder, recursive = TRUE)
  expect_s3_class(gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE), "data.frame")
})

test_that("a place that cannot be used is named", {
  expect_error(samap_control(on_disk = NA), class = "samap_error_argument")
  expect_error(samap_control(on_disk = "no such folder"), class = "samap_error_argument")
  control <- samap_control(on_disk = withr::local_tempdir())
  unlink(control$on_disk, recursive = TRUE)
  expect_error(sam(two_species()$atlases$ha, threads = 1, verbose = FALSE, control = control), class = "samap_error_io")
})

test_that("a plan on disk is without the expression", {
  local_mocked(machine_memory_ = function() list(resident = 0, available = 1e12, total = 1e12))
  example <- samap_example("pancreas")
  held <- function(...) {
    plan <- samap_plan(example$atlases, example$homology, keys = "cell_type", threads = 1, control = samap_control(...))
    plan$memory_mb[plan$phase == "projection within species"]
  }
  # 0.6 of the counts, 6 bytes each, in both species; pages in use are a sixteenth of `memory` at most.
  expression <- sum(vapply(example$atlases, function(atlas) length(atlas$counts@x), 0)) * 0.6 * 6 / 2^20
  saved <- held(memory = "32MB") - held(memory = "32MB", on_disk = TRUE)
  expect_equal(saved, expression - 2 * 32e6 / 16 / 2^20, tolerance = 1e-6)
})

test_that("the working set of the refinement follows `memory`, and no bit does", {
  example <- samap_example("pancreas-small")
  of <- function(...) {
    samap(example$atlases, example$homology, keys = "cell_type", hom_edge_mode = "xi", n_iterations = 1, umap = FALSE,
      threads = 1, verbose = FALSE, control = samap_control(...))
  }
  expected <- of()
  small <- of(memory = 2^20)
  expect_identical(computed(small), computed(expected))
  refinement <- function(sm) with(run_info(sm), unique(chosen[what == "refinement"]))
  expect_identical(c(refinement(expected), refinement(small)), c("dense", "streamed"))
})
