# One run of the scaling series: raw counts to scores, gene pairs and UMAP, in a process of its own.
#
# Usage: Rscript one.R DATA HOMOLOGY OUT THREADS INPUT
# DATA: folder that `generate` made. HOMOLOGY: homology.rds of export_data.R. INPUT: "h5ad" (paths are given to samap(), which
# reads them), "disk" (the same, and expression stays on disk) or "memory" (matrices in R). OUT receives phases.csv, plan.csv and summary.csv.

source(file.path("benches", "data.R"))
arguments <- commandArgs(trailingOnly = TRUE)
data <- arguments[[1]]
homology <- readRDS(arguments[[2]])
out <- arguments[[3]]
threads <- as.integer(arguments[[4]])
input <- match.arg(arguments[[5]], c("h5ad", "memory", "disk"))
dir.create(out, recursive = TRUE, showWarnings = FALSE)
library(samap)

ids <- c(human = "human", mouse = "mouse")
atlases <- lapply(ids, function(species) {
  if (input == "memory") read_plain(data, species) else file.path(data, paste0(species, ".h5ad"))
})
control <- samap_control(on_disk = input == "disk")
planned <- samap_plan(atlases, homology, keys = "cell_type", umap = TRUE, threads = threads, control = control)
utils::write.csv(planned, file.path(out, "plan.csv"), row.names = FALSE)
planned <- planned[planned$phase != "umap", ]

timed <- function(work) {
  seconds <- system.time(value <- work)[["elapsed"]]
  list(value = value, seconds = seconds)
}
mapped <- timed(
  samap(atlases, homology, keys = "cell_type", umap = FALSE, threads = threads, control = control, verbose = FALSE)
)
sm <- mapped$value
mapping_peak <- peak_memory()
scores <- timed(alignment_scores(sm, by = "cell_type"))
pairs <- timed(gene_pairs(sm, by = "cell_type", min_score = 0.1, threads = threads, verbose = FALSE))
umap <- timed(run_umap(sm, threads = threads, verbose = FALSE))

phases <- run_info(sm)
phases <- phases[phases$kind == "phase", c("step", "what", "seconds", "peak_mb")]
after <- data.frame(
  step = "analysis", what = c("alignment scores", "gene pairs", "umap"),
  seconds = c(scores$seconds, pairs$seconds, umap$seconds), peak_mb = NA_real_
)
utils::write.csv(rbind(phases, after), file.path(out, "phases.csv"), row.names = FALSE)
summary <- data.frame(
  cells = nrow(cell_metadata(sm)), input = input, seconds = mapped$seconds + scores$seconds + pairs$seconds,
  umap = umap$seconds, peak_mb = mapping_peak / 2^20, predicted_mb = max(planned$memory_mb),
  predicted_seconds = sum(planned$seconds), pairs = nrow(pairs$value)
)
utils::write.csv(summary, file.path(out, "summary.csv"), row.names = FALSE)
print(summary)
