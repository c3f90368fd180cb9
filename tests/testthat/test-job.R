test_that("an error of the engine is a classed condition with its parts", {
  outcome <- list(value = NULL, error = list(
    kind = "argument", message = "`k`: is 0. Use more.", argument = "k", found = "is 0", remedy = "Use more."
  ))
  error <- tryCatch(rust_value(outcome), error = identity)
  expect_s3_class(error, c("samap_error_argument", "samap_error"))
  expect_identical(error$argument, "k")
  expect_identical(rust_value(list(value = 3, error = NULL)), 3)
})

test_that("a cancelled job has no result, and no harm is done", {
  counts <- planted_atlas(1)$counts
  job <- rust_value(expression_start(counts, samap_defaults()$preprocess, NULL, 1L, 2^30))
  job_cancel(job)
  job_cancel(job)
  expect_true(job_poll(job)$done)
  expect_error(rust_value(job_result(job)), class = "samap_error")
  expect_error(rust_value(job_result("no job")), class = "samap_error")
})

test_that("an interrupt cancels the job", {
  cancelled <- FALSE
  local_mocked(
    job_poll = function(job) rlang::interrupt(),
    job_cancel = function(job) cancelled <<- TRUE
  )
  run <- new_run(1L, verbose = FALSE)
  interrupted <- tryCatch(run_job(list(value = "job", error = NULL), run, "x"), interrupt = function(i) TRUE)
  expect_true(interrupted)
  expect_true(cancelled)
})

test_that("progress is drawn per phase and closed", {
  withr::local_options(cli.progress_show_after = 0, cli.dynamic = FALSE)
  bar <- new_bar("human", TRUE)
  states <- list(
    list(phase = "", step = 0, total = 0), list(phase = "preprocess", step = 0, total = 4),
    list(phase = "preprocess", step = 4, total = 4), list(phase = "preprocess", step = 4, total = 4),
    list(phase = "loadings", step = 1, total = 1), list(phase = "loadings", step = 1, total = 1),
    list(phase = "sam", step = 1, total = 0)
  )
  expect_error(suppressMessages(for (state in states) draw_bar(bar, state)), NA)
  expect_identical(bar$phase, "sam")
  close_bar(bar)
  expect_null(bar$id)
})

test_that("what a job did is recorded", {
  run <- new_run(1L, verbose = FALSE)
  result <- list(
    value = 1, phases = data.frame(phase = "p", seconds = 1, peak_mb = 2),
    choices = data.frame(what = "solver", chosen = "exact", reason = "small"), warnings = "beware"
  )
  expect_warning(record(run, "human", result), "human: beware", class = "samap_warning_engine")
  expect_identical(run_phases(run)$step, "human")
  expect_identical(run_choices(run)$chosen, "exact")
})

test_that("an error of the engine says whose data it was", {
  # No gene varies.
  counts <- matrix(1, 85, 30, dimnames = list(paste0("g", 1:85), NULL))
  data <- two_species()
  data$atlases$mu <- counts
  error <- tryCatch(quiet_samap(data, n_iterations = 1), error = identity)
  expect_s3_class(error, "samap_error_argument")
  expect_identical(error$species, "mu")
  expect_identical(error$argument, "atlases")
  expect_match(conditionMessage(error), "mu")
  error <- tryCatch(sam(counts, verbose = FALSE), error = identity)
  expect_identical(error$argument, "x")
})

test_that("Ctrl-C stops samap() within seconds as an interrupt, and the session goes on", {
  skip_on_cran()
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  script <- file.path(folder, "script.R")
  writeLines(c(
    sprintf("library(samap, lib.loc = %s)", deparse(dirname(system.file(package = "samap")))),
    sprintf("setwd(%s)", deparse(folder)),
    "data <- samap_example('pancreas')",
    "writeLines(as.character(Sys.getpid()), 'starting'); file.rename('starting', 'started')",
    "run <- function() { samap(data$atlases, data$homology, verbose = FALSE); 'finished' }",
    "end <- tryCatch(run(), interrupt = function(i) 'interrupt')",
    "small <- samap_example('pancreas-small')$atlases$mouse",
    "writeLines(c(end, class(sam(small, verbose = FALSE))), 'ending'); file.rename('ending', 'ended')"
  ), script)
  wait_for <- function(file, seconds) {
    start <- proc.time()[["elapsed"]]
    while (!file.exists(file.path(folder, file)) && proc.time()[["elapsed"]] < start + seconds) Sys.sleep(0.05)
    readLines(file.path(folder, file))
  }
  r <- file.path(R.home("bin"), "R")
  system2(r, c("--vanilla", "--slave", "-f", shQuote(script)), wait = FALSE, stdout = FALSE, stderr = FALSE)
  process <- as.integer(wait_for("started", 60))
  Sys.sleep(1)
  tools::pskill(process, tools::SIGINT)
  expect_identical(wait_for("ended", 20), c("interrupt", "samap_sam"))
})
