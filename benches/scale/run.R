# The scaling series: Rscript benches/scale/run.R PROGRAMS INPUT THREADS SIZE...
# PROGRAMS: the folder of the built benchmark programs. Makes the atlases (kept in build/bench-scale), runs each size in a process of its
# own, fits the exponents, and writes scaling.csv, scaling.png and the section "scaling" of benches/RESULTS.md.

source(file.path("benches", "data.R"))
source(file.path("benches", "scale", "report.R"))
arguments <- commandArgs(trailingOnly = TRUE)
programs <- arguments[[1]]
input <- match.arg(arguments[[2]], c("h5ad", "memory"))
threads <- as.integer(arguments[[3]])
sizes <- sort(as.integer(arguments[-(1:3)]))
folder <- file.path("build", "bench-scale")

execute <- function(command, ...) {
  status <- system2(command, shQuote(c(...)))
  if (status != 0L) stop("failed (", status, "): ", paste(c(command, ...), collapse = " "))
}

source_data <- file.path(folder, "pancreas")
execute("Rscript", "--vanilla", file.path("benches", "reference", "export_data.R"), source_data)
kind <- c(h5ad = "h5ad", memory = "plain")[[input]]
for (size in format(sizes, scientific = FALSE, trim = TRUE)) {
  data <- file.path(folder, paste0(size, "-", kind))
  complete <- file.path(data, "complete")
  if (!file.exists(complete)) {
    message("making ", size, " cells")
    execute(file.path(programs, "generate"), source_data, data, size, kind)
    file.create(complete)
  }
  message("running ", size, " cells")
  out <- file.path(folder, paste0("result-", size))
  execute("Rscript", "--vanilla", file.path("benches", "scale", "one.R"), data, file.path(source_data, "homology.rds"), out,
    threads, input)
}
Sys.setenv(RAYON_NUM_THREADS = threads)
rates <- system2(file.path(programs, "machine"), stdout = TRUE)
report(folder, sizes, threads, rates)
