# Runs tests/testthat against the installed package and writes `<passed> <failed>` (tests, not expectations) to the file that the first
# argument names. Skipped tests count neither way; they are listed.

target <- commandArgs(trailingOnly = TRUE)[[1]]
Sys.setenv(NOT_CRAN = "true")
collected <- testthat::ListReporter$new()
reporter <- testthat::MultiReporter$new(list(testthat::CheckReporter$new(), collected))
testthat::test_dir("tests/testthat",
  reporter = reporter, package = "samap", load_package = "installed", stop_on_failure = FALSE, stop_on_warning = FALSE
)
results <- as.data.frame(collected$get_results())
failed <- results$failed > 0 | results$error
skipped <- results$skipped & !failed
if (any(skipped)) cat("skipped:", paste0(results$file[skipped], ": ", results$test[skipped]), sep = "\n  ")
cat(sum(!failed & !skipped), sum(failed), "\n", file = target)
