# A result whose refined homology is as the table says: correlations by pair, everything else of a real run.
with_correlations <- function(sm, edges) {
  table <- sm$homology$edges[rep(1L, nrow(edges)), ]
  table[names(edges)] <- edges
  table$matched <- TRUE
  rownames(table) <- NULL
  sm$homology$edges <- table
  sm$genes$matched <- paste(sm$genes$species, sm$genes$gene) %in%
    c(paste(edges$species_a, edges$gene_a), paste(edges$species_b, edges$gene_b))
  sm
}

edge <- function(gene_a, gene_b, weight, correlation, species_a = "ha", species_b = "mu") {
  data.frame(species_a, gene_a, species_b, gene_b, weight, correlation)
}

duplicated_genes <- function() {
  with_correlations(finished(), rbind(
    edge("g1", "g1", 100, 0.2), edge("g1", "g2", 60, 0.9), edge("g1", "g3", 50, 0.3),
    edge("g2", "g2", 100, 0.5), edge("g3", "g4", 80, 0), edge("g3", "g5", 70, 0.4), edge("g4", "g5", 90, 0.45)
  ))
}

test_that("a paralog that goes with the gene where the ortholog does not is found", {
  sm <- duplicated_genes()
  orthologs <- data.frame(
    species_a = c("ha", "mu", "ha", "ha", "ha"), gene_a = c("g1", "g2", "g3", "g4", "absent"),
    species_b = c("mu", "ha", "mu", "mu", "mu"), gene_b = c("g1", "g2", "g4", "g5", "g1")
  )
  expected <- data.frame(
    species_a = c("ha", "ha", "mu"), gene_a = c("g1", "g3", "g2"), species_b = c("mu", "mu", "ha"),
    ortholog_b = c("g1", "g4", "g2"), paralog_b = c("g2", "g5", "g1"), ortholog_correlation = c(0.2, 0, 0.5),
    paralog_correlation = c(0.9, 0.4, 0.9), gain = c(0.7, 0.4, 0.4)
  )
  expect_equal(paralog_substitutions(sm, orthologs), expected)
  expect_identical(nrow(paralog_substitutions(sm, orthologs, min_gain = 0.05)), 4L)
  # By default the best pairs by weight from both ends are orthologs: here the same but for g3, whose best is g4.
  expect_equal(paralog_substitutions(sm), expected)
  none <- paralog_substitutions(sm, orthologs, min_gain = 0.9)
  expect_identical(names(none), names(expected))
  expect_identical(nrow(none), 0L)
  # Orthologs that are no homologous pair have no correlation.
  unknown <- data.frame(species_a = "ha", gene_a = "g4", species_b = "mu", gene_b = "g1")
  expect_identical(nrow(paralog_substitutions(sm, unknown, min_gain = 0)), 0L)
})

test_that("paralogs can be given, also within a species", {
  sm <- duplicated_genes()
  pairs <- function(gene_a, gene_b, species_a = "ha") {
    data.frame(species_a = species_a, gene_a = gene_a, species_b = "mu", gene_b = gene_b)
  }
  orthologs <- pairs(c("g1", "g2", "g3", "g4"), c("g1", "g2", "g4", "g5"))
  across <- paralog_substitutions(sm, orthologs, paralogs = pairs("g3", "g5"))
  expect_identical(across$paralog_b, "g5")
  within <- paralog_substitutions(sm, orthologs, paralogs = pairs("g1", "g2", species_a = "mu"))
  expect_identical(within$gene_a, c("g1", "g2"))
})

test_that("wrong pairs of genes are said", {
  sm <- duplicated_genes()
  good <- data.frame(species_a = "ha", gene_a = "g1", species_b = "mu", gene_b = "g1")
  expect_snapshot({
    show_condition(paralog_substitutions(sm, "g1"))
    show_condition(paralog_substitutions(sm, good[-4]))
    show_condition(paralog_substitutions(sm, transform(good, gene_b = NA)))
    show_condition(paralog_substitutions(sm, transform(good, gene_b = "absent")))
    show_condition(paralog_substitutions(sm, transform(good, species_b = "fish")))
    show_condition(paralog_substitutions(sm, good, min_gain = -1))
    show_condition(paralog_substitutions(sm, good, paralogs = list()))
  })
})
