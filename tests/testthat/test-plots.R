builds <- function(plot) {
  expect_s3_class(plot, "ggplot")
  expect_s3_class(ggplot2::ggplot_build(plot), "ggplot_built")
}

test_that("embeddings are drawn by species, type and panel", {
  sm <- finished()
  builds(plot_embedding(sm))
  builds(plot_embedding(sm, "cell_type", split = TRUE, label = TRUE))
  builds(plot(sm, by = list(ha = rep(c("p", NA), 45))))
  plot <- plot_embedding(sm, "cell_type")
  expect_identical(plot$labels$title, "Cells of ha, mu by cell_type")
  expect_match(plot$labels$x, "UMAP 1")
})

test_that("sixty groups are numbered and told apart", {
  sm <- finished()
  by <- split(rep(sprintf("group %02d", 1:60), 3), rep(c("ha", "mu"), each = 90))
  plot <- plot_embedding(sm, by)
  builds(plot)
  expect_identical(levels(plot$data$group)[[60]], "60 group 60")
  expect_identical(anyDuplicated(group_colours(60)), 0L)
  expect_identical(anyDuplicated(group_colours(20)), 0L)
})

test_that("alignment is drawn as a heatmap with matches on the diagonal", {
  sm <- finished()
  plot <- plot_alignment(sm, "cell_type")
  builds(plot)
  tiles <- plot$data
  matches <- tiles[tiles$type_a == tiles$type_b, ]
  expect_identical(matches$row, matches$column)
  expect_match(plot$labels$fill, "0-1")
  builds(plot_alignment(alignment_scores(sm, "cell_type"), min_score = 0.1))
  expect_error(plot_alignment(alignment_scores(sm, "cell_type"), "batch"), class = "samap_error_argument")
  builds(plot_alignment(quiet_samap(three_species(), n_iterations = 1), "cell_type"))
})

test_that("one species is drawn by its clusters", {
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  expect_error(plot(fit), class = "samap_error_no_umap")
  fit <- run_umap(fit, n_epochs = 20, threads = 1, verbose = FALSE)
  builds(plot(fit))
  builds(plot(fit, by = "cell_type"))
  builds(plot(fit, by = fit$cells$cell_type))
})
