test_that("the number of threads follows argument, option, environment and limits", {
  withr::local_options(samap.threads = NULL)
  withr::local_envvar(RAYON_NUM_THREADS = NA, OMP_THREAD_LIMIT = NA, `_R_CHECK_LIMIT_CORES_` = NA)
  expect_gte(resolve_threads(), 1L)
  expect_identical(resolve_threads(7), 7L)
  withr::local_envvar(RAYON_NUM_THREADS = "5")
  expect_identical(resolve_threads(), 5L)
  withr::local_options(samap.threads = 6)
  expect_identical(resolve_threads(), 6L)
  withr::local_envvar(OMP_THREAD_LIMIT = "4")
  expect_identical(resolve_threads(), 4L)
  withr::local_envvar(`_R_CHECK_LIMIT_CORES_` = "TRUE")
  expect_identical(resolve_threads(), 2L)
  withr::local_envvar(`_R_CHECK_LIMIT_CORES_` = "false")
  expect_identical(resolve_threads(), 4L)
  expect_error(resolve_threads(0), class = "samap_error_argument")
})

test_that("forked processes run the engine, with one thread each, and agree with their parent", {
  skip_on_os("windows")
  withr::local_options(samap.threads = NULL)
  withr::local_envvar(RAYON_NUM_THREADS = NA, OMP_THREAD_LIMIT = NA, `_R_CHECK_LIMIT_CORES_` = NA)
  data <- two_species()
  # The engine has run in the parent: its threads are not in the children, and nothing may wait for them.
  expected <- quiet_samap(data, n_iterations = 1L, threads = 2L)
  forked <- parallel::mclapply(1:2, function(i) {
    samap(data$atlases, data$homology, n_iterations = 1L, umap = FALSE, verbose = FALSE)
  }, mc.cores = 2L)
  for (sm in forked) {
    expect_identical(sm$provenance$threads, 1L)
    expect_identical(computed(sm), computed(expected))
  }
  expect_false(is_forked())
})
