# Two batches of one species, one of which expresses twenty genes of its own.
two_batches <- function(seed = 1) {
  atlas <- planted_atlas(seed)
  shifted <- which(atlas$cells$batch == "y")
  counts <- as.matrix(atlas$counts)
  counts[66:85, shifted] <- counts[66:85, shifted] + 8
  atlas$counts <- methods::as(counts, "CsparseMatrix")
  atlas
}

same_batch <- function(fit, batch) mean(batch[fit$neighbor_index[, -1]] == batch[row(fit$neighbor_index[, -1])])

test_that("batches are mixed, types stay, and the same for any number of threads", {
  atlas <- two_batches()
  plain <- sam(atlas, k = 10, threads = 1, verbose = FALSE)
  fit <- sam(atlas, k = 10, batch = "batch", threads = 1, verbose = FALSE)
  batch <- atlas$cells$batch
  expect_gt(same_batch(plain, batch), 0.9)
  expect_lt(same_batch(fit, batch), 0.7)
  type <- atlas$cells$cell_type
  expect_gt(mean(type[fit$neighbor_index] == type[row(fit$neighbor_index)]), 0.95)
  again <- sam(atlas, k = 10, batch = "batch", threads = 2, verbose = FALSE)
  expect_identical(again$scores, fit$scores)
  expect_output(print(fit), "batches: batch, corrected by Harmony")
  other <- sam(atlas, k = 10, batch = "batch", harmony = list(theta = 0, n_clusters = 5), threads = 1, verbose = FALSE)
  expect_false(identical(other$scores, fit$scores))
})

test_that("the correction is carried into the mapping, and into continued runs", {
  atlas <- two_batches()
  mouse <- planted_atlas(2)
  homology <- planted_pairs("ha", "mu")
  map <- function(fit, ...) {
    samap(list(ha = fit, mu = mouse), homology, ..., umap = FALSE, threads = 1, verbose = FALSE)
  }
  fit <- sam(atlas, batch = "batch", threads = 1, verbose = FALSE)
  plain <- map(sam(atlas, threads = 1, verbose = FALSE), n_iterations = 1)
  carried <- map(fit, n_iterations = 1)
  # How far the batches lie apart along the own components, in standard deviations.
  gap <- function(sm, width) {
    own <- sm$latent[sm$cells$species == "ha", seq_len(width)]
    y <- atlas$cells$batch == "y"
    sqrt(sum((colMeans(own[y, ]) - colMeans(own[!y, ]))^2) / sum(apply(own, 2, stats::var)))
  }
  width <- ncol(fit$scores)
  expect_lt(gap(carried, width), gap(plain, ncol(plain$latent) - ncol(carried$latent) + width) / 2)
  # Least squares: the projection is nearest to the corrected coordinates among all linear maps of the components.
  own <- carried$latent[1:90, seq_len(width)]
  target <- scale(fit$scores, scale = FALSE)
  expect_gt(stats::cor(as.numeric(own), as.numeric(target)), 0.95)
  longer <- map(fit, n_iterations = 2)
  expect_identical(map(fit, from = carried, n_iterations = 1)$passes[[2]], longer$passes[[2]])
})

test_that("what cannot be a batch, and options that are none, are errors", {
  atlas <- planted_atlas(1)
  atlas$cells$one <- "x"
  atlas$cells$part <- replace(atlas$cells$batch, 3, NA)
  fails <- function(..., class) expect_error(sam(atlas, ..., verbose = FALSE), class = class)
  fails(batch = "none", class = "samap_error_key")
  fails(batch = "one", class = "samap_error_argument")
  fails(batch = "part", class = "samap_error_argument")
  fails(batch = "batch", reduction = matrix(0, 90, 3), class = "samap_error_argument")
  fails(batch = "batch", harmony = list(thet = 1), class = "samap_error_argument")
  fails(batch = "batch", harmony = list(lambda = 0), class = "samap_error_argument")
  fails(batch = "batch", harmony = 3, class = "samap_error_argument")
})
