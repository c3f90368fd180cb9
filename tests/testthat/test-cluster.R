test_that("clusters are those of the graph, seeded, and numbered by size", {
  index <- cbind(1:9, c(2, 1, 1, 5, 4, 4, 4, 9, 8), c(3, 3, 2, 6, 6, 5, 5, 8, 9))
  clusters <- leiden_clusters(index, 1, 0L)
  expect_identical(nlevels(clusters), 3L)
  expect_identical(as.character(clusters), c("2", "2", "2", "1", "1", "1", "1", "3", "3"))
  expect_identical(leiden_clusters(index, 1, 0L), clusters)
})

test_that("edges are undirected and weigh double when mutual", {
  edges <- undirected_edges(cbind(1:3, c(2, 1, 1)))
  expect_identical(edges, list(from = c(1L, 1L), to = c(2L, 3L), weight = c(2, 1)))
})

test_that("R's random numbers are left alone, whatever their kind", {
  index <- cbind(1:4, c(2, 1, 4, 3))
  withr::local_preserve_seed()
  suppressWarnings(RNGkind("Wichmann-Hill", "Box-Muller", "Rounding"))
  set.seed(5)
  before <- .Random.seed
  leiden_clusters(index, 1, 0L)
  expect_identical(.Random.seed, before)
  expect_identical(RNGkind(), c("Wichmann-Hill", "Box-Muller", "Rounding"))
  RNGkind("default", "default", "default")
})

test_that("cells of all species are clustered jointly", {
  sm <- finished()
  clusters <- cluster_stitched(sm, resolution = 0.5, threads = 1, verbose = FALSE)
  expect_s3_class(clusters, "factor")
  expect_identical(nrow(unique(data.frame(clusters, sm$cells$cell_type))), 3L)
  expect_true(all(table(clusters, sm$cells$species) > 0))
  expect_identical(cluster_stitched(sm, resolution = 0.5, threads = 2, verbose = FALSE), clusters)
  expect_gt(nlevels(cluster_stitched(sm, resolution = 5, verbose = FALSE)), 3L)
  expect_error(cluster_stitched(sm, resolution = -1), class = "samap_error_argument")
})
