# One run of samap on an atlas pair: raw counts to alignment scores and gene pairs, then UMAP.
#
# Usage: Rscript run_samap.R DATA OUT THREADS
# DATA is what export_data.R or `generate` wrote; OUT receives phases.json (seconds of each phase, and the peak memory up to the
# gene pairs), phases.csv (those of the engine) and scores.csv.

source(file.path("benches", "data.R"))
clock <- proc.time()[["elapsed"]]
phases <- c()
done <- function(phase) {
  now <- proc.time()[["elapsed"]]
  phases[[phase]] <<- now - clock
  clock <<- now
}

library(samap)
arguments <- commandArgs(trailingOnly = TRUE)
data <- arguments[[1]]
out <- arguments[[2]]
threads <- as.integer(arguments[[3]])
dir.create(out, recursive = TRUE, showWarnings = FALSE)
atlases <- lapply(c(human = "human", mouse = "mouse"), function(species) read_plain(data, species))
homology <- readRDS(file.path(data, "homology.rds"))
# What reading leaves behind is not samap's.
invisible(gc())
done("start and reading")

sm <- samap(atlases, homology, keys = "cell_type", umap = FALSE, threads = threads, verbose = FALSE)
done("SAM and mapping")

scores <- alignment_scores(sm, by = "cell_type")
done("alignment scores")

pairs <- gene_pairs(sm, by = "cell_type", min_score = 0.1, test = "reference", threads = threads, verbose = FALSE)
done("gene pairs")

phases[["memory"]] <- peak_memory()
sm <- run_umap(sm, threads = threads, verbose = FALSE)
done("UMAP")

table <- data.frame(human = scores$type_a, mouse = scores$type_b, score = scores$score)
swapped <- scores$species_a == "mouse"
table[swapped, c("human", "mouse")] <- table[swapped, c("mouse", "human")]
utils::write.csv(table, file.path(out, "scores.csv"), row.names = FALSE)
utils::write.csv(run_info(sm), file.path(out, "phases.csv"), row.names = FALSE)
phases[["gene pairs found"]] <- nrow(pairs)
writeLines(paste0("{", paste0("\"", names(phases), "\": ", unlist(phases), collapse = ", "), "}"), file.path(out, "phases.json"))
