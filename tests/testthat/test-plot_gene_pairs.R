shown_pairs <- function(sm) gene_pairs(sm, "cell_type", min_weight = 0, threads = 1, verbose = FALSE)

test_that("dots are means and shares of the cells of a type", {
  sm <- finished()
  pairs <- shown_pairs(sm)
  plot <- plot_gene_pairs(sm, "cell_type", pairs, n_top = 2, threads = 1)
  builds(plot)
  dots <- plot$data
  for (id in sm$species) {
    x <- naive_expression(sm, id)
    types <- sm$cells$cell_type[sm$cells$species == id]
    mine <- dots[dots$species == id, ]
    mean_of <- mapply(function(gene, type) mean(x[gene, types == type]), mine$gene, mine$type)
    share_of <- mapply(function(gene, type) mean(x[gene, types == type] > 0), mine$gene, mine$type)
    expect_equal(mine$mean, mean_of, tolerance = 1e-6, ignore_attr = TRUE)
    expect_equal(mine$fraction, share_of, tolerance = 1e-12, ignore_attr = TRUE)
    expect_equal(mine$colour, mine$mean / stats::ave(mine$mean, mine$gene, FUN = max))
  }
  top <- pairs[pairs$rank <= 2, ]
  expect_setequal(dots$gene[dots$species == "ha"], top$gene_a)
  expect_match(plot_gene_pairs(sm, "cell_type", pairs, scale = FALSE, threads = 1)$labels$fill, "log2")
})

test_that("either species can be left, and all types or those of the pairs be shown", {
  sm <- finished()
  pairs <- shown_pairs(sm)
  pairs <- pairs[pairs$type_a == "type1", ]
  some <- plot_gene_pairs(sm, "cell_type", pairs, species = c("mu", "ha"), all_types = FALSE, threads = 1)
  builds(some)
  expect_identical(unique(some$data$type), "type1")
  expect_lt(max(some$data$x[some$data$species == "mu"]), min(some$data$x[some$data$species == "ha"]))
  all <- plot_gene_pairs(sm, "cell_type", pairs, threads = 1)
  expect_setequal(all$data$type, c("type1", "type2", "type3"))
})

test_that("what cannot be drawn is an error", {
  sm <- finished()
  pairs <- shown_pairs(sm)
  expect_error(plot_gene_pairs(sm, "cell_type", pairs[0, ]), class = "samap_error_argument")
  expect_error(plot_gene_pairs(sm, "cell_type", 1), class = "samap_error_argument")
  expect_error(plot_gene_pairs(sm, "batch", pairs), class = "samap_error_argument")
  expect_error(plot_gene_pairs(sm, "cell_type", pairs, species = c("ha", "cow")), class = "samap_error_species")
  pairs$gene_a[[1]] <- "nothing"
  expect_error(plot_gene_pairs(sm, "cell_type", pairs), class = "samap_error_gene")
  bare <- sm
  bare$counts <- NULL
  expect_error(plot_gene_pairs(bare, "cell_type", pairs), class = "samap_error_no_counts")
})
