# The formula, dense.
propagate <- function(graph, reference, label, types, iterations) {
  start <- outer(label, types, `==`)
  start <- (start & !is.na(start) & reference) * 1
  mean <- function(m) m / pmax(rowSums(m), 1e-300)
  p <- start
  for (step in seq_len(iterations)) {
    p <- mean(mean(graph) %*% p)
    p[reference, ] <- start[reference, ]
  }
  p
}

test_that("labels arrive with the probabilities of the formula", {
  sm <- finished()
  labels <- sm$cells$cell_type
  labels[1:5] <- NA
  sm$cells$partly <- labels
  types <- sort(unique(labels[1:90]))
  reference <- sm$cells$species == "ha"
  for (iterations in c(1, 2, 7)) {
    found <- transfer_labels(
      sm, "ha", "partly", max_iterations = iterations, tolerance = 0, threads = 1, verbose = FALSE
    )
    expected <- propagate(as.matrix(sm$passes[[2]]$graph), reference, labels, types, iterations)[91:180, ]
    expect_equal(found$probability, apply(expected, 1, max), tolerance = 1e-12)
    expect_identical(found$label, types[max.col(expected, ties.method = "first")])
    expect_equal(found$entropy, -rowSums(ifelse(expected > 0, expected * log(expected), 0)), tolerance = 1e-9)
    expect_equal(found$uncertainty, 1 - found$probability)
  }
  expect_identical(names(found), c("cell", "species", "label", "probability", "uncertainty", "entropy"))
  expect_identical(found$cell, sm$cells$cell[91:180])
  direct <- transfer_labels(sm, "ha", "partly", method = "direct", threads = 1, verbose = FALSE)
  once <- transfer_labels(sm, "ha", "partly", max_iterations = 1, threads = 1, verbose = FALSE)
  expect_identical(direct, once)
})

test_that("planted types are recovered, and cells out of reach stay unassigned", {
  sm <- finished()
  found <- transfer_labels(sm, "ha", "cell_type", threads = 1, verbose = FALSE)
  expect_identical(found$label, sm$cells$cell_type[91:180])
  cut <- sm
  graph <- cut$passes[[2]]$graph
  graph[91:100, ] <- 0
  cut$passes[[2]]$graph <- Matrix::drop0(graph)
  found <- transfer_labels(cut, "ha", "cell_type", threads = 1, verbose = FALSE)
  expect_true(all(is.na(found$label[1:10]) & found$probability[1:10] == 0 & found$uncertainty[1:10] == 1))
  expect_true(all(is.na(found$entropy[1:10])))
  strict <- transfer_labels(sm, "ha", "cell_type", min_probability = 1, threads = 1, verbose = FALSE)
  expect_identical(is.na(strict$label), strict$probability < 1)
})

test_that("three species: several targets, labels as vectors, and errors", {
  sm <- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
  labels <- sm$cells$cell_type[sm$cells$species == "mu"]
  all <- transfer_labels(sm, "mu", labels, threads = 1, verbose = FALSE)
  expect_identical(unique(all$species), c("ha", "z_f"))
  one <- transfer_labels(sm, "mu", "cell_type", to = "z_f", threads = 2, verbose = FALSE)
  expect_identical(one, all[all$species == "z_f", ], ignore_attr = "row.names")
  expect_error(transfer_labels(sm, "mouse", "cell_type"), class = "samap_error_species")
  expect_error(transfer_labels(sm, "mu", "cell_type", to = "mu"), class = "samap_error_species")
  expect_error(transfer_labels(sm, "mu", "none"), class = "samap_error_key")
  expect_error(transfer_labels(sm, "mu", labels[-1]), class = "samap_error_shape")
})
