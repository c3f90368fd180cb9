test_that("embeddings are drawn by species, type and panel", {
  sm <- finished()
  builds(plot_embedding(sm))
  builds(plot_embedding(sm, "cell_type", split = TRUE, label = TRUE))
  builds(plot(sm, by = list(ha = rep(c("p", NA), 45))))
  plot <- plot_embedding(sm, "cell_type")
  expect_identical(plot$labels$title, "Cells of ha, mu by cell_type")
  expect_match(plot$labels$x, "UMAP 1")
})

test_that("embeddings are drawn by gene, with the values of the cells", {
  sm <- finished()
  plot <- plot_embedding(sm, gene = c(ha = "g1", mu = "g2"), split = TRUE)
  builds(plot)
  expect_identical(plot$labels$title, "Expression of g1 (ha), g2 (mu)")
  expect_match(plot$labels$colour, "log2")
  shown <- plot$data[order(match(plot$data$x, sm$umap[, 1])), ]
  expect_equal(shown$value, c(naive_expression(sm, "ha")["g1", ], naive_expression(sm, "mu")["g2", ]), tolerance = 1e-6,
    ignore_attr = TRUE
  )
  one <- plot_embedding(sm, gene = c(mu = "g2"))
  expect_true(all(is.na(one$data$value[one$data$species == "ha"])))
  expect_error(plot_embedding(sm, gene = "nothing"), class = "samap_error_gene")
  expect_error(plot_embedding(sm, gene = "g1", by = "cell_type"), class = "samap_error_argument")
})

test_that("embeddings are drawn by score", {
  sm <- finished()
  scores <- cell_scores(sm, verbose = FALSE)
  plot <- plot_embedding(sm, score = TRUE)
  builds(plot)
  expect_equal(sort(plot$data$value), sort(scores$score))
  one <- plot_embedding(sm, score = "mu")
  expect_true(all(is.na(one$data$value[one$data$species == "mu"])))
  expect_equal(sort(one$data$value), sort(scores$score[scores$partner == "mu"]))
  expect_error(plot_embedding(sm, score = "cow"), class = "samap_error_species")
  expect_error(plot_embedding(sm, score = TRUE, gene = "g1"), class = "samap_error_argument")
})

test_that("many cells are drawn as one picture", {
  skip_if_not_installed("scattermore")
  sm <- finished()
  plot <- plot_embedding(sm, "cell_type", raster = TRUE)
  builds(plot)
  expect_s3_class(plot$layers[[1]]$geom, "GeomScattermore")
  expect_s3_class(plot_embedding(sm, "cell_type")$layers[[1]]$geom, "GeomPoint")
  many <- data.frame(x = c(0, 4, rep(1, 1e5)), y = c(0, 2, rep(1, 1e5)))
  layer <- cell_points(many, NULL, NULL)()
  expect_s3_class(layer$geom, "GeomScattermore")
  expect_identical(layer$geom_params$pixels, c(1200, 600))
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
  looks_like("heatmap of five types", plot_alignment(planted_scores()))
  builds(plot_alignment(planted_scores(n_types = 60L)))
})

test_that("one species is drawn by its clusters and genes", {
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  expect_error(plot(fit), class = "samap_error_no_umap")
  fit <- run_umap(fit, n_epochs = 20, threads = 1, verbose = FALSE)
  builds(plot(fit))
  builds(plot(fit, by = "cell_type"))
  builds(plot(fit, by = fit$cells$cell_type))
  builds(plot(fit, gene = "g1"))
  expect_error(plot(fit, gene = "nothing"), class = "samap_error_gene")
  builds(plot_weights(fit, label = 0))
})

test_that("pictures of a result stay what they are", {
  # Layouts and weights differ in their last digits between processors: a plain spiral takes the place of the layout.
  sm <- finished()
  turn <- seq_len(nrow(sm$cells)) / 9
  sm$umap[] <- cbind(turn * cos(turn), turn * sin(turn))
  pairs <- data.frame(
    species_a = "ha", type_a = c("type1", "type2"), species_b = "mu", type_b = c("type1", "type2"),
    gene_a = c("g1", "g16"), gene_b = c("g1", "g16"), score = 1, correlation = c(0.9, 0.8), rank = 1L
  )
  looks_like("embedding of two species", plot_embedding(sm, "cell_type"))
  looks_like("two pairs of genes", plot_gene_pairs(sm, "cell_type", pairs = pairs))
  looks_like("overlap of two genes", plot_expression_overlap(sm, c(ha = "g1", mu = "g1")))
  looks_like("network of three species", plot_network(planted_scores(c("ha", "mu", "z_f")), label = FALSE))
})
