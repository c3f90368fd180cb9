# The pictures of the README, in man/figures, from the pancreas pair that ships: Rscript tools/figures.R (make figures).

library(samap)

pancreas <- samap_example("pancreas")
control <- samap_control(keep_iterations = TRUE)
sm <- samap(pancreas$atlases, pancreas$homology, keys = "cell_type", control = control, seed = 0L, verbose = FALSE)
scores <- alignment_scores(sm, by = "cell_type")
pairs <- gene_pairs(sm, by = "cell_type", min_score = 0.3, verbose = FALSE)
genes <- c(human = "KRT19", mouse = "Krt19")

# Name, plot, width and height in inches.
figures <- list(
  list("alignment", plot_alignment(scores), 8, 6.4),
  list("umap", plot_embedding(sm, by = "cell_type", split = TRUE), 8.5, 4),
  list("sankey", plot_sankey(scores), 8, 5.5),
  list("chord", plot_chord(scores), 7, 7.4),
  list("network", plot_network(scores), 8, 5.6),
  list("gene-pairs", plot_gene_pairs(sm, "cell_type", pairs, n_top = 3), 9.5, 6.6),
  list("overlap", plot_expression_overlap(sm, genes), 7, 4.6),
  list("gene", plot_embedding(sm, gene = genes, split = TRUE), 8, 3.6),
  list("weights", plot_weights(sm), 8, 4),
  list("convergence", plot_convergence(sm, by = "cell_type"), 9, 3)
)

largest <- 150e3
for (figure in figures) {
  file <- file.path("man", "figures", paste0("README-", figure[[1]], ".png"))
  ggplot2::ggsave(file, figure[[2]], width = figure[[3]], height = figure[[4]], dpi = 90)
  if (file.size(file) > largest) stop(file, " has ", file.size(file), " bytes, more than ", largest, call. = FALSE)
  cat(file, file.size(file), "bytes\n")
}
