test_that("terms and types with alike functions lie side by side", {
  plot <- plot_enrichment(planted_terms(6L), n_terms = 2)
  builds(plot)
  # A term that is among the best two of one type is shown for every type.
  expect_setequal(plot$data$term, paste("term", 1:7))
  expect_equal(plot$data$strength, -log10(plot$data$padj))
  expect_true(all(plot_enrichment(planted_terms(), max_padj = 0.01)$data$padj <= 0.01))
  expect_identical(unique(plot_enrichment(planted_terms(), species = "mu")$data$species), "mu")
  looks_like("enrichment of four types", plot_enrichment(planted_terms()))
})

test_that("terms without types, or by matches, are drawn too", {
  alone <- planted_terms(1L)[c("term", "n_genes", "padj")]
  builds(plot_enrichment(alone))
  by_match <- data.frame(planted_terms(), species_b = "zf", type_b = "other")
  expect_match(as.character(plot_enrichment(by_match)$data$type), "(zf: other)", fixed = TRUE)
  expect_error(plot_enrichment(planted_terms(), max_padj = 1e-20), class = "samap_error_argument")
  expect_error(plot_enrichment(data.frame(term = "x")), class = "samap_error_argument")
  zero <- transform(planted_terms(1L), padj = 0)
  expect_true(all(is.finite(plot_enrichment(zero)$data$strength)))
})
