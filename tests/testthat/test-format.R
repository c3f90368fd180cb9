other_process <- function(code, ...) {
  file <- withr::local_tempfile(fileext = ".R")
  writeLines(c(sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")), code), file)
  output <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(file), shQuote(c(...))), stdout = TRUE)
  expect_null(attr(output, "status"))
}

test_that("a result saved by one R process is whole in another", {
  saved <- withr::local_tempfile(fileext = ".rds")
  answer <- withr::local_tempfile(fileext = ".rds")
  sm <- finished()
  saveRDS(sm, saved)
  other_process("
    files <- commandArgs(TRUE)
    suppressMessages(library(samap))
    sm <- readRDS(files[[1]])
    saveRDS(list(
      sm = sm, scores = alignment_scores(sm, \"cell_type\"),
      refined = refine_homology(sm, threads = 1, verbose = FALSE),
      labels = transfer_labels(sm, \"ha\", \"cell_type\", threads = 1, verbose = FALSE),
      umap = run_umap(sm, n_epochs = 20, threads = 1, verbose = FALSE)$umap
    ), files[[2]])
  ", saved, answer)
  there <- readRDS(answer)
  expect_identical(there$sm, sm)
  expect_identical(there$scores, alignment_scores(sm, "cell_type"))
  expect_identical(there$refined, refine_homology(sm, threads = 1, verbose = FALSE))
  expect_identical(there$labels, transfer_labels(sm, "ha", "cell_type", threads = 1, verbose = FALSE))
  expect_identical(there$umap, run_umap(sm, n_epochs = 20, threads = 1, verbose = FALSE)$umap)
})

# Classes of everything a list holds, at any depth, attributes included.
kinds <- function(x) {
  parts <- c(if (is.list(x)) unclass(x), attributes(x))
  unique(c(typeof(x), unlist(lapply(unname(parts), kinds))))
}

test_that("results hold no pointers and no environments", {
  fit <- sam(planted_atlas(1), batch = "batch", threads = 1, verbose = FALSE)
  expect_false(any(c("externalptr", "environment", "closure") %in% c(kinds(finished()), kinds(fit))))
})

test_that("results of other formats say so, and are brought up to date where there is a way", {
  sm <- finished()
  expect_identical(update_samap(sm), sm)
  newer <- replace(sm, "format", 99L)
  expect_error(alignment_scores(newer, "cell_type"), "Update samap", class = "samap_error_format")
  expect_error(update_samap(newer), class = "samap_error_format")
  expect_error(update_samap(1), class = "samap_error_format")
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  expect_error(embedding(replace(fit, "format", 99L), "latent"), class = "samap_error_format")
  local_mocked(result_format = 3L, result_migrations = list(
    "1" = function(x) replace(x, c("format", "added"), list(2L, "in format 2")),
    "2" = function(x) replace(x, c("format", "more"), list(3L, "in format 3"))
  ))
  expect_error(alignment_scores(sm, "cell_type"), "update_samap", class = "samap_error_format")
  updated <- update_samap(sm)
  expected <- list(format = 3L, added = "in format 2", more = "in format 3")
  expect_identical(unclass(updated)[names(expected)], expected)
  expect_identical(updated$cells, sm$cells)
  expect_s3_class(alignment_scores(updated, "cell_type"), "samap_alignment")
})
