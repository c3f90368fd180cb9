# Table of what criterion measured: Rscript benches/steps/report.R CRITERION THREADS
# CRITERION: the folder criterion writes to, with benchmark.json and estimates.json of every step.

source(file.path("benches", "data.R"))
arguments <- commandArgs(trailingOnly = TRUE)
files <- list.files(arguments[[1]], "^estimates[.]json$", recursive = TRUE, full.names = TRUE)
files <- files[basename(dirname(files)) == "new"]

# The first group of a pattern in a file.
field <- function(path, pattern) {
  text <- paste(readLines(path, warn = FALSE), collapse = "")
  found <- regmatches(text, regexpr(pattern, text, perl = TRUE))
  sub(pattern, "\\1", found, perl = TRUE)
}

steps <- vapply(file.path(dirname(files), "benchmark.json"), field, "", "\"full_id\":\"([^\"]*)\"")
# Nanoseconds.
median <- as.numeric(vapply(files, field, "", "\"median\":\\{.*?\"point_estimate\":([0-9.e+]+)"))
table <- data.frame(step = steps, `median, ms` = formatC(median / 1e6, format = "f", digits = 2, big.mark = " "), check.names = FALSE)
note <- c(
  "Every step of the core on the golden data (two species, 764 cells, 4000 genes), and searches for neighbours on",
  "made-up points of the size in their name. Made by `make bench`.", "", describe_machine(as.integer(arguments[[2]]))
)
write_section("steps", c(markdown(table[order(table$step), ]), "", note))
