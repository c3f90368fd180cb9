test_that("changes of edges are those of the graphs", {
  sm <- quiet_samap(two_species(), keys = "cell_type", control = samap_control(keep_iterations = TRUE))
  plot <- plot_convergence(sm, "cell_type", threads = 1)
  builds(plot)
  values <- plot$data
  cross <- outer(sm$cells$species, sm$cells$species, "!=")
  edges <- lapply(1:3, function(pass) which(cross & as.matrix(stitched_graph(sm, pass)) != 0))
  changed <- vapply(2:3, function(pass) {
    100 * (1 - length(intersect(edges[[pass - 1]], edges[[pass]])) / length(union(edges[[pass - 1]], edges[[pass]])))
  }, 1)
  expect_equal(values$value[grepl("changed", values$measure)], changed)
  expect_equal(values$value[grepl("Mean", values$measure) & values$pass == 3], sm$alignment$score)
  matched <- values[grepl("matched", values$measure) & values$pass == 3, ]
  scores <- alignment_scores(sm, "cell_type")
  expect_setequal(matched$value, scores$score[scores$type_a == scores$type_b])
  expect_null(plot$labels$subtitle)
})

test_that("the kept passes are named, and one pass is enough", {
  sm <- finished()
  expect_match(plot_convergence(sm, threads = 1)$labels$subtitle, "pass 1 and pass 3")
  builds(plot_convergence(quiet_samap(three_species(), n_iterations = 1), "cell_type", threads = 1))
})
