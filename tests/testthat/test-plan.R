test_that("a plan has the phases of the run in their order, with memory and time", {
  data <- two_species()
  plan <- samap_plan(data$atlases, data$homology, keys = "cell_type", threads = 1)
  expect_s3_class(plan, c("samap_plan", "data.frame"), exact = TRUE)
  expect_named(plan, c("step", "phase", "memory_mb", "seconds", "floor"))
  expect_true(all(plan$memory_mb > 0 & plan$seconds >= plan$floor & plan$floor > 0))
  expect_gt(attr(plan, "available_mb"), 0)

  info <- run_info(quiet_samap(data, keys = "cell_type", umap = TRUE))
  # Small beside the run, and made for the result: the mean alignment, and the fragments that samap_check() looks for.
  phases <- info$what[info$kind == "phase" & !info$what %in% c("alignment scores", "components")]
  expect_identical(plan$phase, phases)
  expect_output(print(plan), "peak memory about")
})

test_that("what needs more is planned with more", {
  # What the session holds by itself grows meanwhile.
  local_mocked(machine_memory_ = function() list(resident = 2e8, available = 1e12, total = 1e12))
  example <- samap_example("pancreas-small")
  peak <- function(...) max(samap_plan(example$atlases, example$homology, ..., threads = 1)$memory_mb)
  few <- samap_plan(example$atlases, example$homology, n_iterations = 1, umap = FALSE, threads = 1)
  all <- samap_plan(example$atlases, example$homology, threads = 1)
  expect_lt(nrow(few), nrow(all))
  expect_gt(peak(control = samap_control(n_components = 500)), peak(control = samap_control(n_components = 20)))
})

test_that("the arguments of a plan are those of a run", {
  of_plan <- formals(samap_plan)
  expect_identical(as.list(of_plan), as.list(formals(samap))[names(of_plan)])
})

test_that("a plan is checked like a run", {
  data <- two_species()
  expect_error(samap_plan(data$atlases[1], data$homology), class = "samap_error_species")
  expect_error(samap_plan(data$atlases, data$homology, keys = "nothing"), class = "samap_error")
  expect_error(samap_plan(data$atlases, data$homology, knn = "best"), class = "samap_error_argument")
  expect_error(samap_plan(data$atlases, data$homology, control = list()), class = "samap_error_argument")
})

test_that("a run that will not fit is warned of, and a hopeless one refused", {
  memory <- list(resident = 2e8, available = 1e4, total = 1e12)
  local_mocked(machine_memory_ = function() memory)
  expect_warning(sm <- quiet_samap(two_species(), keys = "cell_type"), class = "samap_warning_memory")
  expect_s3_class(sm, "samap")

  memory$total <- 1e5
  expect_error(quiet_samap(two_species(), keys = "cell_type"), class = "samap_error_memory")
  withr::local_options(samap.check_memory = FALSE)
  expect_silent(quiet_samap(two_species(), keys = "cell_type"))
})

test_that("where the system does not tell, nothing is warned of and the plan says so", {
  local_mocked(machine_memory_ = function() list(resident = NA_real_, available = NA_real_, total = NA_real_))
  expect_silent(quiet_samap(two_species(), keys = "cell_type"))
  plan <- samap_plan(two_species()$atlases, two_species()$homology, threads = 1)
  expect_output(print(plan), "unknown")
})

# The number that a script about the example prints, in a process of its own.
number_of <- function(example, code) {
  script <- withr::local_tempfile(fileext = ".R", lines = c(
    "library(samap)",
    paste0("example <- samap_example(\"", example, "\")"),
    code
  ))
  withr::local_envvar(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep))
  said <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)), stdout = TRUE)
  as.numeric(said[[length(said)]])
}

# Planned and measured peak of a run in MB. Two processes: measuring the machine for the plan takes memory, too.
planned_and_measured <- function(example) {
  arguments <- "(example$atlases, example$homology, keys = \"cell_type\", umap = FALSE, threads = 2"
  c(
    number_of(example, paste0("cat(max(samap_plan", arguments, ")$memory_mb))")),
    number_of(example, paste0("cat(max(run_info(samap", arguments, ", verbose = FALSE))$peak_mb, na.rm = TRUE))"))
  )
}

test_that("the planned peak is within 25 % of the measured one", {
  skip_on_cran()
  skip_if_not(file.exists("/proc/self/status"), "the system tells no peak memory")
  for (example in c("pancreas-small", "pancreas")) {
    peak <- planned_and_measured(example)
    expect_lt(abs(peak[[1]] / peak[[2]] - 1), 0.25, label = paste0(example, ": |planned / measured - 1|"))
  }
})
