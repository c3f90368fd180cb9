test_that("devices are listed with what they are or why they cannot be used", {
  devices <- samap_devices()
  expect_identical(names(devices), c("device", "available", "reason", "memory"))
  expect_identical(devices$device, c("cpu", "cuda"))
  expect_true(devices$available[[1]])
  expect_match(devices$reason[[1]], "^[0-9]+ cores$")
  expect_true(all(nzchar(devices$reason)))
  expect_identical(is.na(devices$memory[[2]]), !devices$available[[2]])
})

test_that("a device that cannot be used is an error with the reason, and auto takes the CPU and says so", {
  none <- data.frame(device = c("cpu", "cuda"), available = c(TRUE, FALSE), reason = c("2 cores", "no driver"), memory = NA)
  local_mocked(samap_devices = function() none)
  run <- new_run(threads = 1, verbose = FALSE)
  error <- tryCatch(resolve_backend("cuda", run), error = identity)
  expect_s3_class(error, "samap_error_device")
  expect_match(conditionMessage(error), "no driver")
  expect_identical(resolve_backend("auto", run), "cpu")
  expect_identical(run_choices(run)[c("what", "chosen", "reason")], data.frame(
    what = "device", chosen = "cpu", reason = "no driver"
  ))
})

test_that("a usable GPU is taken, and the choice recorded where it was one", {
  both <- data.frame(device = c("cpu", "cuda"), available = TRUE, reason = c("2 cores", "a GPU"), memory = NA)
  local_mocked(samap_devices = function() both)
  run <- new_run(threads = 1, verbose = FALSE)
  expect_identical(resolve_backend("cpu", run), "cpu")
  expect_identical(resolve_backend("cuda", run), "cuda")
  expect_identical(nrow(run_choices(run)), 0L)
  expect_identical(resolve_backend("auto", run), "cuda")
  expect_identical(run_choices(run)$chosen, "cuda")
})

test_that("on a GPU, real or emulated, a run agrees with the CPU", {
  skip_if_not(samap_devices()$available[[2]], "no GPU: tools/run-cuda-tests.sh runs this on an emulated one")
  on <- function(backend) quiet_samap(two_species(), n_iterations = 2, umap = TRUE, backend = backend)
  cpu <- on("cpu")
  gpu <- on("cuda")
  expect_identical(gpu$provenance$device, "cuda")
  expect_equal(embedding(gpu, "latent"), embedding(cpu, "latent"), tolerance = 1e-3)
  scores <- function(sm) alignment_scores(sm, "cell_type")$score
  expect_equal(scores(gpu), scores(cpu), tolerance = 0.01)
  info <- run_info(gpu)
  expect_true("transfers" %in% info$what)
})

test_that("sam(), run_umap() and refine_homology() on a GPU, real or emulated, agree with the CPU", {
  skip_if_not(samap_devices()$available[[2]], "no GPU: tools/run-cuda-tests.sh runs this on an emulated one")
  both <- function(work) lapply(c(cpu = "cpu", gpu = "cuda"), work)
  fits <- both(function(backend) sam(planted_atlas(1)$counts, backend = backend, threads = 1, verbose = FALSE))
  expect_identical(fits$gpu$provenance$device, "cuda")
  expect_true("transfers" %in% run_info(fits$gpu)$what)
  expect_equal(fits$gpu$genes$weight, fits$cpu$genes$weight, tolerance = 1e-3)
  layouts <- both(function(backend) {
    run_umap(finished(), n_epochs = 20, backend = backend, threads = 1, verbose = FALSE)
  })
  expect_equal(embedding(layouts$gpu), embedding(layouts$cpu), tolerance = 1e-5)
  expect_true("transfers" %in% run_info(layouts$gpu)$what)
  refined <- both(function(backend) refine_homology(finished(), backend = backend, threads = 1, verbose = FALSE))
  expect_equal(refined$gpu, refined$cpu, tolerance = 1e-6)
})

test_that("steps on their own ask for a device as samap() does", {
  none <- data.frame(device = c("cpu", "cuda"), available = c(TRUE, FALSE), reason = c("2 cores", "no driver"), memory = NA)
  sm <- finished()
  local_mocked(samap_devices = function() none)
  steps <- list(
    function(...) sam(planted_atlas(1)$counts, ..., threads = 1, verbose = FALSE),
    function(...) run_umap(sm, n_epochs = 20, ..., threads = 1, verbose = FALSE),
    function(...) refine_homology(sm, ..., threads = 1, verbose = FALSE)
  )
  for (step in steps) {
    expect_error(step(backend = "cuda"), "no driver", class = "samap_error_device")
    expect_error(step(backend = "gpu"), class = "samap_error_argument")
    expect_identical(step(backend = "cpu")$options, step(backend = "auto")$options)
  }
  taken <- function(result) run_info(result)$chosen[run_info(result)$what %in% "device"]
  expect_identical(taken(steps[[1]](backend = "auto")), "cpu")
})
