mapped_three <- local({
  sm <- NULL
  function() {
    if (is.null(sm)) sm <<- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
    sm
  }
})

test_that("triangles of cell types are all triples that align, with their scores", {
  sm <- mapped_three()
  scores <- alignment_scores(sm, "cell_type")
  for (min_score in c(0, 0.1, 0.6)) {
    found <- cell_type_triangles(sm, "cell_type", min_score = min_score)
    score <- function(a, type_a, b, type_b) {
      scores$score[scores$species_a == a & scores$type_a == type_a & scores$species_b == b & scores$type_b == type_b]
    }
    types <- paste0("type", 1:3)
    slow <- expand.grid(type_a = types, type_b = types, type_c = types, stringsAsFactors = FALSE)
    slow$score_ab <- mapply(score, "ha", slow$type_a, "mu", slow$type_b)
    slow$score_ac <- mapply(score, "ha", slow$type_a, "z_f", slow$type_c)
    slow$score_bc <- mapply(score, "mu", slow$type_b, "z_f", slow$type_c)
    least <- pmin(slow$score_ab, slow$score_ac, slow$score_bc)
    slow <- slow[least > 0 & least >= min_score, ]
    expect_identical(nrow(found), nrow(slow))
    key <- function(x) paste(x$type_a, x$type_b, x$type_c)
    columns <- c("score_ab", "score_ac", "score_bc")
    expect_equal(found[columns], slow[match(key(found), key(slow)), columns], ignore_attr = TRUE)
    expect_false(is.unsorted(-pmin(found$score_ab, found$score_ac, found$score_bc)))
  }
  expect_identical(names(found), c(
    "species_a", "type_a", "species_b", "type_b", "species_c", "type_c", "score_ab", "score_ac", "score_bc"
  ))
  expect_gte(nrow(found), 3L)
})

test_that("no triangles are a table without rows, and pairs are cliques, too", {
  sm <- mapped_three()
  some <- cell_type_triangles(sm, "cell_type")
  none <- cell_type_triangles(sm, "cell_type", min_score = 1)
  expect_identical(nrow(none), 0L)
  expect_identical(vapply(none, typeof, ""), vapply(some, typeof, ""))
  pairs <- cell_type_triangles(sm, "cell_type", n = 2, species = c("ha", "z_f"))
  scores <- alignment_scores(sm, "cell_type", species = c("ha", "z_f"))
  scores <- as.data.frame(scores)[scores$score >= 0.1, ]
  expect_equal(pairs$score_ab, scores$score)
  expect_equal(pairs$type_b, scores$type_b)
})

test_that("cliques of four species work from end to end", {
  ids <- c("ha", "mu", "z_f", "x1")
  pairs <- utils::combn(ids, 2L, simplify = FALSE)
  homology <- do.call(rbind, lapply(pairs, function(pair) planted_pairs(pair[[1]], pair[[2]])))
  sm <- quiet_samap(list(atlases = setNames(lapply(1:4, planted_atlas), ids), homology = homology),
    keys = "cell_type", n_iterations = 1
  )
  types <- cell_type_triangles(sm, "cell_type", n = 4, min_score = 0.3)
  expect_true(all(types$type_a == types$type_d & types$type_b == types$type_c))
  expect_setequal(types$type_a, paste0("type", 1:3))
  expect_true(all(c("species_d", "score_ad", "score_bd", "score_cd") %in% names(types)))
  expect_gt(nrow(cell_type_triangles(sm, "cell_type", min_score = 0.3)), 4L * nrow(types) - 1L)
  genes <- gene_triangles(sm, n = 4)
  expect_true(all(genes$gene_a == genes$gene_d))
  expect_true(all(genes$n_orthologs == 6L))
})

# Three species; ha and mu have a pair whose paralog goes with the gene, and z_f follows.
triangle_genes <- function() {
  sm <- mapped_three()
  of <- function(species_a, species_b) function(gene_a, gene_b, correlation, weight = 100) {
    data.frame(species_a, gene_a, species_b, gene_b, weight, correlation)
  }
  hm <- of("ha", "mu")
  hz <- of("ha", "z_f")
  mz <- of("mu", "z_f")
  edges <- rbind(
    hm("g1", "g1", 0.9), hz("g1", "g1", 0.8), mz("g1", "g1", 0.7),
    hm("g16", "g16", 0.2), hm("g16", "g17", 0.95, 50), hz("g16", "g16", 0.9), mz("g16", "g16", 0.3),
    mz("g17", "g16", 0.85, 50), mz("g17", "g17", 0.4), hm("g17", "g17", 0.1), hz("g17", "g17", 0.35)
  )
  table <- cbind(edges, matched = TRUE)
  sm$homology$edges <- table
  used <- c(paste(edges$species_a, edges$gene_a), paste(edges$species_b, edges$gene_b))
  sm$genes$matched <- paste(sm$genes$species, sm$genes$gene) %in% used
  sm
}

test_that("triangles of genes know orthologs, substitutions and homologs", {
  sm <- triangle_genes()
  orthologs <- sm$homology$edges[sm$homology$edges$weight == 100, c("species_a", "gene_a", "species_b", "gene_b")]
  found <- gene_triangles(sm, orthologs)
  expect_equal(found[c("gene_a", "gene_b", "gene_c")], data.frame(
    gene_a = c("g16", "g1"), gene_b = c("g17", "g1"), gene_c = c("g16", "g1")
  ))
  expect_identical(found$class_ab, c("substitution", "ortholog"))
  expect_identical(found$class_ac, c("ortholog", "ortholog"))
  expect_identical(found$class_bc, c("substitution", "ortholog"))
  expect_equal(found$correlation_bc, c(0.85, 0.7))
  expect_equal(found$min_correlation, c(0.85, 0.7))
  expect_identical(found$n_orthologs, c(1L, 3L))
  expect_identical(found$n_substitutions, c(2L, 0L))
  # A gain that is too small leaves a homolog.
  expect_identical(gene_triangles(sm, orthologs, min_gain = 0.6)$gene_a, "g1")
  all <- gene_triangles(sm, orthologs, min_gain = 0.6, classes = c("ortholog", "substitution", "homolog"))
  expect_identical(all$class_bc, c("homolog", "ortholog"))
  # Best pairs by weight are the orthologs here.
  expect_identical(gene_triangles(sm), found)
  low <- gene_triangles(sm, orthologs, min_correlation = 0.15)
  expect_setequal(paste(low$gene_a, low$gene_b, low$gene_c), c("g1 g1 g1", "g16 g17 g16", "g16 g16 g16"))
})

test_that("genes come with the types they mark", {
  sm <- triangle_genes()
  found <- gene_triangles(sm, by = "cell_type", threads = 1, verbose = FALSE)
  expect_identical(found$type_a[[1]], "type2")
  expect_identical(found$type_c[[2]], "type1")
  markers <- cluster_markers(sm, "cell_type", threads = 1, verbose = FALSE)
  for (max_pval in c(0, 1)) {
    found <- gene_triangles(sm, by = "cell_type", max_pval = max_pval, threads = 1, verbose = FALSE)
    mine <- markers[markers$species == "mu" & markers$gene == found$gene_b[[1]], ]
    expected <- mine$type[mine$score > 0 & (mine$score == max(mine$score) | mine$pval <= max_pval)]
    expect_setequal(found$type_b[[1]], expected)
  }
  two <- gene_triangles(sm, by = c(ha = "cell_type"), threads = 1, verbose = FALSE)
  expect_identical(lengths(two$type_b), c(0L, 0L))
  none <- gene_triangles(sm, by = "cell_type", min_correlation = 1, threads = 1, verbose = FALSE)
  expect_identical(names(none), names(found))
  expect_identical(nrow(none), 0L)
})

test_that("what has no triangles is said", {
  sm <- finished()
  expect_snapshot({
    show_condition(cell_type_triangles(sm, "cell_type"))
    show_condition(cell_type_triangles(mapped_three(), c(ha = "cell_type", mu = "cell_type")))
    show_condition(cell_type_triangles(mapped_three(), "cell_type", n = 1))
    show_condition(gene_triangles(sm))
    show_condition(gene_triangles(mapped_three(), classes = "paralog"))
    show_condition(gene_triangles(mapped_three(), orthologs = 1))
  })
})
