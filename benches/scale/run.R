# The scaling series: Rscript benches/scale/run.R PROGRAMS INPUT MIXED THREADS SIZE...
# PROGRAMS: the folder of the built benchmark programs. INPUT: "memory", "h5ad" or "disk" (see one.R). MIXED: 0 for copies of cells,
# or the share of genes that a cell has at most from another one of its type. Makes the atlases (kept in build/bench-scale), runs
# each size in a process of its own, fits the exponents, and writes tables, plot and the section "scaling", or "scaling-mixed" for
# mixed cells, of benches/RESULTS.md. A size that was run before by the same sources, with the same input and threads, keeps its result,
# so that a series can be made in several goes; FRESH=1 in the environment runs all of them again.

source(file.path("benches", "data.R"))
source(file.path("benches", "scale", "report.R"))
arguments <- commandArgs(trailingOnly = TRUE)
programs <- arguments[[1]]
input <- match.arg(arguments[[2]], c("h5ad", "memory", "disk"))
mixed <- as.numeric(arguments[[3]])
threads <- as.integer(arguments[[4]])
sizes <- sort(as.integer(arguments[-(1:4)]))
series <- if (mixed > 0) "scaling-mixed" else "scaling"
folder <- file.path("build", "bench-scale")
results <- if (mixed > 0) file.path(folder, paste0("mixed-", mixed)) else folder
seed <- 1
fresh <- Sys.getenv("FRESH") %in% "1"

# What a result depends on besides the size: all that is compiled or interpreted, and the settings.
sources <- c(
  list.files("R", full.names = TRUE), list.files(file.path("src", "rust"), "[.](rs|toml|lock|cu)$", full.names = TRUE, recursive = TRUE),
  list.files(file.path("benches", "src"), full.names = TRUE, recursive = TRUE),
  file.path("benches", c("data.R", "scale/one.R"))
)
key <- c(input, mixed, threads, paste(sources, tools::md5sum(sources)))

execute <- function(command, ...) {
  status <- system2(command, shQuote(c(...)))
  if (status != 0L) stop("failed (", status, "): ", paste(c(command, ...), collapse = " "))
}

source_data <- file.path(folder, "pancreas")
execute("Rscript", "--vanilla", file.path("benches", "reference", "export_data.R"), source_data)
kind <- c(h5ad = "h5ad", disk = "h5ad", memory = "plain")[[input]]
for (size in format(sizes, scientific = FALSE, trim = TRUE)) {
  out <- file.path(results, paste0("result-", size))
  made_with <- file.path(out, "key.txt")
  if (!fresh && file.exists(made_with) && identical(readLines(made_with), key)) {
    message(size, " cells: kept from before (FRESH=1 runs them again)")
    next
  }
  data <- file.path(results, paste0(size, "-", kind))
  complete <- file.path(data, "complete")
  if (!file.exists(complete)) {
    message("making ", size, " cells")
    execute(file.path(programs, "generate"), source_data, data, size, kind, seed, mixed)
    file.create(complete)
  }
  message("running ", size, " cells")
  unlink(out, recursive = TRUE)
  execute("Rscript", "--vanilla", file.path("benches", "scale", "one.R"), data, file.path(source_data, "homology.rds"), out,
    threads, input)
  writeLines(key, made_with)
}
Sys.setenv(RAYON_NUM_THREADS = threads)
rates <- system2(file.path(programs, "machine"), stdout = TRUE)
report(series, results, sizes, threads, rates)
