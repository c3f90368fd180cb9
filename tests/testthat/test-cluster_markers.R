test_that("the test with corrected ties is that of wilcox.test()", {
  sm <- finished()
  markers <- cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE)
  fit <- sm$counts$ha
  totals <- Matrix::colSums(fit)
  x <- log2(sweep(as.matrix(fit), 2, stats::median(totals) / totals, "*") + 1)
  x[x <= 1] <- 0
  labels <- cell_metadata(sm)$cell_type[1:90]
  # Exact values of the counts' ties: the engine normalises in single precision.
  x <- signif(x, 6)
  for (gene in c("g1", "g20", "g60", "g70")) {
    mine <- x[gene, labels == "type1"]
    rest <- x[gene, labels != "type1"]
    expected <- suppressWarnings(stats::wilcox.test(mine, rest, exact = FALSE, correct = FALSE))
    row <- markers[markers$species == "ha" & markers$type == "type1" & markers$gene == gene, ]
    expect_equal(row$pval, expected$p.value, tolerance = 1e-6, info = gene)
    expect_identical(row$score > 0, mean(rank(x[gene, ])[labels == "type1"]) > mean(rank(x[gene, ])), info = gene)
    expect_equal(row$fraction, mean(mine > 0), tolerance = 1e-12)
  }
})

test_that("p-values are adjusted over the genes of a type", {
  sm <- finished()
  markers <- cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE)
  mine <- markers[markers$species == "mu" & markers$type == "type2", ]
  expect_equal(mine$padj, stats::p.adjust(mine$pval, "BH"), tolerance = 1e-12)
  expect_setequal(mine$gene[1:15], paste0("g", 16:30))
  expect_identical(nrow(markers), 2L * 3L * 85L)
})

test_that("markers of one species follow from sam()", {
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  markers <- cluster_markers(fit, "cell_type", threads = 1, verbose = FALSE)
  both <- cluster_markers(finished(), "cell_type", threads = 1, verbose = FALSE)
  expect_equal(markers, both[both$species == "ha", -1], ignore_attr = TRUE)
  expect_identical(cluster_markers(fit, fit$cells$cell_type, threads = 1, verbose = FALSE), markers)
})
