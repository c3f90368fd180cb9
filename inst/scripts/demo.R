# The main job on the data that ships: human pancreas (2 142 cells) mapped onto mouse pancreas (1 886 cells).
#
#   Rscript demo.R [FOLDER]        # figures and tables go to FOLDER (default: demo-output)

library(samap)
options(width = 120)

folder <- c(commandArgs(trailingOnly = TRUE), "demo-output")[[1]]
dir.create(folder, recursive = TRUE, showWarnings = FALSE)

pancreas <- samap_example("pancreas")
sm <- samap(pancreas$atlases, pancreas$homology, keys = "cell_type", seed = 0L)
print(sm)

scores <- alignment_scores(sm, by = "cell_type")
pairs <- gene_pairs(sm, by = "cell_type")

cat("\nBest aligned cell types (score 1: every cell spends all of its cross-species edges on the other type)\n\n")
best <- scores[scores$score >= 0.1, c("species_a", "type_a", "species_b", "type_b", "score", "n_a", "n_b")]
best$score <- sprintf("%.3f", best$score)
print(best, row.names = FALSE, right = FALSE)

tables <- list(
  alignment_scores = scores,
  gene_pairs = pairs,
  gene_weights = gene_weights(sm),
  homology = homology_graph(sm),
  cells = cbind(cell_metadata(sm), embedding(sm, "umap")),
  run_info = run_info(sm)
)
for (name in names(tables)) {
  utils::write.csv(tables[[name]], file.path(folder, paste0(name, ".csv")), row.names = FALSE)
}

figures <- list(
  umap_species = plot_embedding(sm, by = "species"),
  umap_cell_type = plot_embedding(sm, by = "cell_type"),
  alignment = plot_alignment(sm, by = "cell_type"),
  sankey = plot_sankey(sm, by = "cell_type"),
  gene_pairs = plot_gene_pairs(sm, by = "cell_type", pairs[pairs$rank <= 3 & pairs$type_a == pairs$type_b, ])
)
for (name in names(figures)) {
  ggplot2::ggsave(file.path(folder, paste0(name, ".png")), figures[[name]], width = 9, height = 7, dpi = 120)
}

cat("\nTables and figures are in ", normalizePath(folder), ":\n", sep = "")
cat(paste0("  ", sort(list.files(folder))), sep = "\n")
