# The formulas, word by word, on dense matrices.
naive_smoothed <- function(sm, genes, average, min_expression) {
  graph <- as.matrix(stitched_graph(sm))
  species <- sm$cells$species
  vapply(names(genes), function(id) {
    x <- rep(0, nrow(graph))
    x[species == id] <- naive_expression(sm, id)[genes[[id]], ]
    among <- if (average == "species") species == id else species %in% names(genes)
    total <- rowSums(graph[, among, drop = FALSE])
    mean <- ifelse(total < 1e-3, 0, (graph %*% x)[, 1] / total)
    ifelse(mean < min_expression | !species %in% names(genes), 0, mean)
  }, double(nrow(graph)))
}

test_that("cells are coloured by smoothed expression and its overlap", {
  sm <- finished()
  genes <- c(ha = "g1", mu = "g2")
  for (average in c("species", "all")) {
    plot <- plot_expression_overlap(sm, genes, average, min_expression = 0.01, threads = 1)
    builds(plot)
    expected <- naive_smoothed(sm, genes, average, 0.01)
    values <- cbind(expected, apply(expected, 1, min))
    what <- c("g1 (ha)", "g2 (mu)", "both")
    for (k in 1:3) {
      shown <- plot$data[plot$data$what == what[[k]], ]
      expect_equal(sort(shown$value), sort(unname(values[values[, k] > 0, k])), tolerance = 1e-6)
      expect_equal(max(shown$share), 1)
    }
  }
})

test_that("genes of one species, or of none, are errors; a third species stays grey", {
  sm <- finished()
  expect_error(plot_expression_overlap(sm, c(ha = "g1")), class = "samap_error_argument")
  expect_error(plot_expression_overlap(sm, c(ha = "g1", ha = "g2")), class = "samap_error_argument")
  expect_error(plot_expression_overlap(sm, c(ha = "g1", mu = "nothing")), class = "samap_error_gene")
  expect_error(plot_expression_overlap(sm, c(ha = "g1", cow = "g1")), class = "samap_error_species")
  three <- quiet_samap(three_species(), n_iterations = 1, umap = TRUE)
  plot <- plot_expression_overlap(three, c(ha = "g1", z_f = "g1"), threads = 1)
  builds(plot)
  expect_setequal(levels(plot$data$what), c("g1 (ha)", "g1 (z_f)", "both"))
  builds(plot_expression_overlap(three, "g1", threads = 1))
})
