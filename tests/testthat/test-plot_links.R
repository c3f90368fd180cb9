# Sankey, chord and network: pictures of the same links.

test_that("ribbons of a Sankey diagram are as wide as scores, and bars as high as their sum", {
  plot <- plot_sankey(planted_scores(), min_score = 0.1)
  builds(plot)
  ribbons <- split(plot$data, plot$data$link)
  expect_length(ribbons, 5L + 4L)
  for (ribbon in ribbons) {
    left <- range(ribbon$y[ribbon$x == min(ribbon$x)])
    right <- range(ribbon$y[ribbon$x == max(ribbon$x)])
    expect_equal(diff(left), ribbon$score[[1]])
    expect_equal(diff(right), ribbon$score[[1]])
  }
  nodes <- sankey_nodes(sankey_links(linked_types(as.data.frame(planted_scores()), 0.1), c("ha", "mu")))
  expect_equal(nodes$top - nodes$bottom, nodes$height)
  one_each <- do.call(rbind, lapply(ribbons, function(ribbon) ribbon[1, ]))
  sums <- tapply(one_each$score, one_each$type_a, sum)
  left <- nodes[nodes$column == 1L, ]
  expect_equal(left$height, as.double(sums[left$type]))
  # Bars of a column do not overlap, and matches lie at the same height.
  expect_true(all(utils::head(left$bottom, -1) > utils::tail(left$top, -1)))
  expect_identical(left$type, nodes$type[nodes$column == 2L])
})

test_that("a Sankey diagram takes any number of species, in any order, and closes the circle", {
  scores <- planted_scores(c("ha", "mu", "z_f"))
  builds(plot_sankey(scores))
  circle <- plot_sankey(scores, species = c("mu", "z_f", "ha", "mu"))
  builds(circle)
  expect_setequal(unique(round(range(circle$data$x))), c(1, 4))
  expect_identical(plot_sankey(scores, species = c("z_f", "ha"))$data$type_a[[1]], "type 01")
  expect_error(plot_sankey(scores, species = c("ha", "cow")), class = "samap_error_species")
  expect_error(plot_sankey(scores, species = "ha"), class = "samap_error_species")
  expect_error(plot_sankey(scores, min_score = 0.99), class = "samap_error_argument")
  looks_like("sankey of three species", plot_sankey(scores))
  looks_like("sankey of sixty types", plot_sankey(planted_scores(n_types = 60L)))
})

test_that("types without a link are counted, not drawn", {
  scores <- planted_scores()
  scores$score[scores$type_a == "type 05" | scores$type_b == "type 05"] <- 0
  for (plot in list(plot_sankey(scores), plot_chord(scores), plot_network(scores, label = FALSE))) {
    expect_identical(plot$labels$caption, "2 types without such a score not shown")
  }
  expect_null(plot_sankey(planted_scores())$labels$caption)
})

test_that("arcs of a chord diagram are as long as the scores of their links, and ends do not overlap", {
  for (species in list(c("ha", "mu"), c("ha", "mu", "z_f"))) {
    scores <- planted_scores(species)
    links <- first_species_first(linked_types(as.data.frame(scores), 0.1), species)
    arcs <- chord_arcs(links, species)
    unit <- (arcs$end - arcs$start) / arcs$width
    expect_equal(unit, rep(unit[[1]], nrow(arcs)))
    expect_true(all(utils::head(arcs$end, -1) < utils::tail(arcs$start, -1)))
    expect_lt(max(arcs$end) - min(arcs$start), 2 * pi)
    own <- c(type_position(links$species_a, links$type_a, arcs), type_position(links$species_b, links$type_b, arcs))
    score <- rep(links$score, 2L)
    start <- chord_starts(own, c(own[-seq_len(nrow(links))], own[seq_len(nrow(links))]), score, arcs)
    for (arc in seq_len(nrow(arcs))) {
      mine <- order(start)[own[order(start)] == arc]
      expect_equal(start[mine], arcs$start[[arc]] + unit[[1]] * c(0, cumsum(score[mine]))[seq_along(mine)])
    }
    builds(plot_chord(scores))
  }
  expect_error(plot_chord(planted_scores(), min_score = 1), class = "samap_error_argument")
  looks_like("chord of three species", plot_chord(planted_scores(c("ha", "mu", "z_f"))))
  builds(plot_chord(planted_scores(n_types = 60L)))
})

test_that("a network joins what aligns, the same way every time", {
  scores <- planted_scores(c("ha", "mu", "z_f"))
  plot <- plot_network(scores, label = FALSE)
  builds(plot)
  expect_identical(nrow(plot$data), 15L)
  lines <- plot$layers[[1]]$data
  expect_identical(nrow(lines), sum(scores$score >= 0.1))
  expect_identical(plot_network(scores, label = FALSE)$data, plot$data)
  # Parts do not overlap: two pairs of types lie apart.
  apart <- plot_network(planted_scores(n_types = 3L)[1:3, ], label = FALSE)$data
  expect_gt(min(stats::dist(apart[c("x", "y")])), 0.5)
  isolated <- scores
  isolated$score[isolated$type_a == "type 01" | isolated$type_b == "type 01"] <- 0
  expect_identical(nrow(plot_network(isolated, label = FALSE)$data), 12L)
  expect_identical(nrow(plot_network(isolated, isolated = TRUE, label = FALSE)$data), 15L)
  skip_if_not_installed("ggrepel")
  builds(plot_network(scores))
})

test_that("results of samap() are taken as they are", {
  sm <- finished()
  builds(plot_sankey(sm, "cell_type"))
  builds(plot_chord(sm, "cell_type", n_top = 5))
  builds(plot_network(sm, "cell_type", label = FALSE))
  expect_error(plot_sankey(planted_scores(), "cell_type"), class = "samap_error_argument")
  expect_error(plot_chord(1), class = "samap_error_argument")
})
