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
  expect_true(job_poll(job, 0)$done)
  expect_error(rust_value(job_result(job)), class = "samap_error")
  expect_error(rust_value(job_result("no job")), class = "samap_error")
})

test_that("an interrupt cancels the job", {
  cancelled <- FALSE
  local_mocked(
    job_poll = function(job, wait) rlang::interrupt(),
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

# Runs `work` (lines of R that need seconds) in an R process of its own, sends it SIGINT `after` seconds into `phase`, and
# gives how it ended, and how many seconds later it had, with the class of what sam() makes there after an interrupt.
interrupt_in <- function(phase, work, after = 1, frame = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = frame)
  script <- file.path(folder, "script.R")
  writeLines(c(
    sprintf("library(samap, lib.loc = %s)", deparse(dirname(system.file(package = "samap")))),
    sprintf("setwd(%s)", deparse(folder)),
    "poll <- samap:::job_poll",
    "tell <- function(...) {",
    "  state <- poll(...)",
    sprintf("  if (state$phase == %s && !file.exists('started')) {", deparse(phase)),
    "    writeLines(as.character(Sys.getpid()), 'starting'); file.rename('starting', 'started')",
    "  }",
    "  state",
    "}",
    "utils::assignInNamespace('job_poll', tell, 'samap')",
    "small <- samap_example('pancreas-small')$atlases$mouse",
    "work <- function() {", work, "'finished' }",
    "end <- tryCatch(work(), interrupt = function(i) 'interrupt')",
    "ended <- format(as.numeric(Sys.time()), digits = 15)",
    # Work that was done before the signal says so; the signal would end what came after it.
    "after <- if (end == 'interrupt') class(sam(small, verbose = FALSE)) else 'none'",
    "writeLines(c(end, ended, after), 'ending'); file.rename('ending', 'ended')"
  ), script)
  wait_for <- function(file, seconds) {
    start <- proc.time()[["elapsed"]]
    while (!file.exists(file.path(folder, file)) && proc.time()[["elapsed"]] < start + seconds) Sys.sleep(0.05)
    readLines(file.path(folder, file))
  }
  r <- file.path(R.home("bin"), "R")
  system2(r, c("--vanilla", "--slave", "-f", shQuote(script)), wait = FALSE, stdout = FALSE, stderr = FALSE)
  process <- as.integer(wait_for("started", 60))
  Sys.sleep(after)
  sent <- as.numeric(Sys.time())
  tools::pskill(process, tools::SIGINT)
  ended <- wait_for("ended", 60)
  list(end = ended[[1]], seconds = as.numeric(ended[[2]]) - sent, class = ended[[3]])
}

expect_interrupted <- function(outcome) {
  expect_identical(outcome[c("end", "class")], list(end = "interrupt", class = "samap_sam"))
  expect_lt(outcome$seconds, 3)
}

# A matrix whose decomposition takes some ten seconds: so many components are wanted that all are computed.
large_decomposition <- c(
  "set.seed(1)",
  "counts <- Matrix::rsparsematrix(5000, 5000, 0.02, rand.x = function(n) rpois(n, 3) + 1)",
  "dimnames(counts) <- list(paste0('g', 1:5000), paste0('c', 1:5000))"
)

test_that("Ctrl-C stops samap() within seconds as an interrupt, and the session goes on", {
  skip_on_cran()
  skip_on_os("windows")
  work <- c("data <- samap_example('pancreas')", "samap(data$atlases, data$homology, verbose = FALSE)")
  expect_interrupted(interrupt_in("sam", work, after = 0.2))
})

test_that("Ctrl-C within a factorisation of SAM is not waited out", {
  skip_on_cran()
  skip_on_os("windows")
  work <- c(large_decomposition, "sam(counts, npcs = 1500, threads = 2, verbose = FALSE)")
  expect_interrupted(interrupt_in("sam", work, after = 2))
})

test_that("Ctrl-C within a factorisation of the loadings is not waited out", {
  skip_on_cran()
  skip_on_os("windows")
  work <- c(
    large_decomposition,
    "run <- samap:::new_run(2L, verbose = FALSE)",
    "held <- samap:::engine_expression(counts, samap_defaults()$preprocess, run, 'x')$pointer",
    "loadings <- samap:::with_options(samap_defaults()$loadings, n_components = 1500, pca_solver = 'exact')",
    "samap:::engine_loadings(held, rep(1, 5000), NULL, 1:5000, loadings, 0, run, 'x')"
  )
  expect_interrupted(interrupt_in("loadings", work, after = 2))
})
