from_cache <- function(x) "from the cache" %in% run_info(x)$chosen

test_that("sam() is taken from the cache for the same counts and options only", {
  folder <- file.path(withr::local_tempdir(), "deep", "cache")
  atlas <- planted_atlas(1)
  fit <- function(...) sam(..., threads = 1, verbose = FALSE, control = samap_control(cache = folder))
  first <- fit(atlas)
  expect_length(dir(folder), 1L)
  again <- fit(atlas)
  expect_false(from_cache(first))
  expect_true(from_cache(again))
  fields <- c("cells", "genes", "neighbor_index", "neighbor_distance", "scores", "pcs", "ranked_genes")
  expect_identical(unclass(again)[fields], unclass(first)[fields])
  expect_false(from_cache(fit(atlas, k = 10)))
  expect_false(from_cache(fit(atlas, seed = 1)))
  other <- atlas
  other$counts@x[[1]] <- other$counts@x[[1]] + 1
  expect_false(from_cache(fit(other)))
  renamed <- atlas
  rownames(renamed$counts)[1:2] <- rownames(renamed$counts)[2:1]
  expect_false(from_cache(fit(renamed)))
  expect_length(dir(folder), 5L)
})

test_that("samap() resumes from the cache, and a broken file is made again", {
  folder <- withr::local_tempdir()
  data <- two_species()
  control <- samap_control(cache = folder)
  first <- quiet_samap(data, control = control)
  expect_length(dir(folder), 2L)
  again <- quiet_samap(data, control = control)
  expect_identical(computed(again), computed(first))
  expect_identical(sum(run_info(again)$chosen == "from the cache", na.rm = TRUE), 2L)
  writeLines("cut off", dir(folder, full.names = TRUE)[[1]])
  expect_warning(third <- quiet_samap(data, control = control), class = "samap_warning_cache")
  expect_identical(computed(third), computed(first))
})

test_that("a folder that cannot be written is a warning", {
  occupied <- withr::local_tempfile(lines = "a file")
  control <- samap_control(cache = occupied)
  expect_warning(sam(planted_atlas(1), threads = 1, verbose = FALSE, control = control), class = "samap_warning_cache")
})
