test_that("weights are drawn for the genes that were kept", {
  sm <- finished()
  plot <- plot_weights(sm, label = 0)
  builds(plot)
  genes <- sm$sam$mu$genes
  kept <- genes[genes$kept & genes$variance > 0, ]
  shown <- plot$data[plot$data$species == "mu", ]
  expect_identical(shown$gene, kept$gene)
  expect_identical(shown$weight, kept$weight)
  expect_equal(shown$dispersion, kept$variance / kept$mean)
  expect_identical(levels(droplevels(plot_weights(sm, "mu", label = 0)$data$species)), "mu")
  expect_error(plot_weights(sm, "cow", label = 0), class = "samap_error_species")
  skip_if_not_installed("ggrepel")
  builds(plot_weights(sm))
})
