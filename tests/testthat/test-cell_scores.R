test_that("scores are the shares of the links, one row per cell and partner", {
  sm <- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
  found <- cell_scores(sm, threads = 1, verbose = FALSE)
  expect_identical(names(found), c("cell", "species", "partner", "score"))
  expect_identical(nrow(found), 2L * nrow(sm$cells))
  graph <- as.matrix(stitched_graph(sm)) / 20
  for (partner in sm$species) {
    expected <- rowSums(graph[, sm$cells$species == partner])[sm$cells$species != partner]
    rows <- found[found$partner == partner, ]
    expect_identical(rows$cell, names(expected))
    expect_equal(rows$score, unname(expected), tolerance = 1e-12)
  }
  expect_true(all(found$score >= 0 & found$score <= 1 + 1e-9))
})

test_that("with types their means are the alignment scores, and unlinked cells have one row", {
  sm <- finished()
  graph <- sm$passes[[2]]$graph
  graph[1:2, 91:180] <- 0
  sm$passes[[2]]$graph <- Matrix::drop0(graph)
  found <- cell_scores(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_identical(names(found), c("cell", "species", "partner", "type", "score"))
  expect_identical(found$score[is.na(found$type)], c(0, 0))
  expect_identical(found$cell[is.na(found$type)], sm$cells$cell[1:2])
  scores <- alignment_scores(sm, "cell_type")
  type <- sm$cells$cell_type[match(found$cell, sm$cells$cell)]
  for (row in seq_len(nrow(scores))) {
    here <- found$species == scores$species_a[[row]] & type == scores$type_a[[row]] &
      found$type %in% scores$type_b[[row]]
    expect_equal(sum(found$score[here]) / scores$n_a[[row]], scores$score_ab[[row]], tolerance = 1e-12)
  }
  one <- cell_scores(sm, list(mu = sm$cells$cell_type[91:180]), threads = 1, verbose = FALSE)
  expect_identical(unique(one$species), "ha")
})
