normalised <- function(sm, id) {
  counts <- as.matrix(sm$counts[[id]])
  totals <- colSums(counts)
  x <- log2(sweep(counts, 2, stats::median(totals) / totals, "*") + 1)
  x[x <= 1] <- 0
  x[rowMeans(counts > 0) > 0.96, ] <- 0
  x
}

# The definition, written plainly, for one pair of types.
slow_pairs <- function(sm, type_a, type_b, min_weight, max_pval, test, direction = "enriched") {
  graph <- as.matrix(stitched_graph(sm))
  cells <- cell_metadata(sm)
  edges <- homology_graph(sm)
  link <- (graph + t(graph)) > 0
  in_a <- cells$species == "ha" & cells$cell_type == type_a
  in_b <- cells$species == "mu" & cells$cell_type == type_b
  side <- function(id, genes, mine, theirs) {
    x <- normalised(sm, id)
    mean <- rowMeans(x)
    sd <- sqrt(rowMeans(x^2) - mean^2)
    z <- pmax((x - mean) / ifelse(sd > 0, sd, 1), 0) * (x > 0)
    linked <- rowSums(link[mine, theirs, drop = FALSE]) > 0
    here <- mine[cells$species == id]
    u <- rowMeans(z[, which(here)[linked], drop = FALSE])[genes]
    u <- pmax((u - mean(u)) / sqrt(mean((u - mean(u))^2)), 0)
    fraction <- rowMeans(x[, here] > mean)[genes]
    weights <- gene_weights(sm)
    weights <- weights[weights$species == id, ]
    list(up = u, allowed = weights$weight[match(genes, weights$gene)] >= min_weight & fraction > 0.05)
  }
  a <- side("ha", edges$gene_a, in_a, in_b)
  b <- side("mu", edges$gene_b, in_b, in_a)
  markers <- cluster_markers(sm, "cell_type", test = test, threads = 1, verbose = FALSE)
  is_marker <- function(id, type, genes) {
    mine <- markers[markers$species == id & markers$type == type, ]
    mine <- mine[match(genes, mine$gene), ]
    mine$pval < max_pval & mine$score >= 0
  }
  marks_a <- is_marker("ha", type_a, edges$gene_a)
  marks_b <- is_marker("mu", type_b, edges$gene_b)
  if (direction == "enriched") {
    score <- a$up * b$up / nrow(edges)
    keep <- a$allowed & b$allowed & marks_a & marks_b
  } else {
    score <- abs(a$up - b$up) * pmax(a$up, b$up) / nrow(edges)
    # What is up must be a marker there, its homologue none.
    keep <- ifelse(b$up > a$up, b$allowed & marks_b & !marks_a, a$allowed & marks_a & !marks_b)
  }
  keep <- keep & score > 0
  data.frame(gene_a = edges$gene_a, gene_b = edges$gene_b, score = score)[keep, ]
}

test_that("gene pairs are what their definition says", {
  sm <- finished()
  for (test in c("tie_corrected", "reference")) {
    pairs <- gene_pairs(sm, "cell_type", test = test, threads = 1, verbose = FALSE)
    expect_setequal(pairs$type_a, paste0("type", 1:3))
    for (type in unique(pairs$type_a)) {
      fast <- pairs[pairs$type_a == type & pairs$type_b == type, ]
      slow <- slow_pairs(sm, type, type, 0.2, 0.01, test)
      expect_setequal(paste(fast$gene_a, fast$gene_b), paste(slow$gene_a, slow$gene_b))
      slow <- slow[match(paste(fast$gene_a, fast$gene_b), paste(slow$gene_a, slow$gene_b)), ]
      expect_equal(fast$score, slow$score, tolerance = 1e-4)
      expect_false(is.unsorted(-fast$score))
      expect_identical(fast$rank, seq_len(nrow(fast)))
    }
  }
})

test_that("divergent pairs are what their definition says", {
  sm <- finished()
  # Types that do not match: the markers of one are not those of the other.
  types <- data.frame(species_a = "ha", type_a = "type1", species_b = "mu", type_b = "type2")
  graph <- sm$passes[[length(sm$passes)]]$graph
  # Links between them, since the real graph has hardly any.
  cells <- cell_metadata(sm)
  from <- which(cells$species == "ha" & cells$cell_type == "type1")
  to <- which(cells$species == "mu" & cells$cell_type == "type2")
  graph[cbind(from, to)] <- 0.5
  sm$passes[[length(sm$passes)]]$graph <- methods::as(graph, "CsparseMatrix")
  for (test in c("tie_corrected", "reference")) {
    fast <- gene_pairs(
      sm, "cell_type", types = types, test = test, direction = "divergent", threads = 1, verbose = FALSE
    )
    slow <- slow_pairs(sm, "type1", "type2", 0.2, 0.01, test, "divergent")
    expect_gt(nrow(fast), 10)
    expect_setequal(paste(fast$gene_a, fast$gene_b), paste(slow$gene_a, slow$gene_b))
    slow <- slow[match(paste(fast$gene_a, fast$gene_b), paste(slow$gene_a, slow$gene_b)), ]
    expect_equal(fast$score, slow$score, tolerance = 1e-4)
  }
})

test_that("planted markers are found, with their correlation", {
  sm <- finished()
  pairs <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  first <- pairs[pairs$type_a == "type1" & pairs$type_b == "type1", ]
  expect_true(all(first$gene_a %in% paste0("g", 1:15)))
  expect_gt(nrow(first), 10)
  refined <- homology_graph(sm)
  expect_equal(first$correlation, refined$correlation[match(first$gene_a, refined$gene_a)], tolerance = 1e-6)
  expect_true(all(first$padj_a >= first$pval_a))
})

test_that("pairs of types can be chosen, in either orientation, whatever their score", {
  sm <- finished()
  all <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  types <- data.frame(species_a = "mu", type_a = "type2", species_b = "ha", type_b = "type2")
  some <- gene_pairs(sm, "cell_type", types = types, threads = 1, verbose = FALSE)
  expect_equal(some, all[all$type_a == "type2" & all$type_b == "type2", ], ignore_attr = TRUE)
  expect_identical(nrow(gene_pairs(sm, "cell_type", min_score = 1, threads = 1, verbose = FALSE)), 0L)
  few <- gene_pairs(sm, "cell_type", max_pairs = 3, threads = 1, verbose = FALSE)
  expect_lte(max(few$rank), 3)
})

test_that("three species work, also with labels for two of them", {
  sm <- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
  pairs <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_identical(nrow(unique(pairs[c("species_a", "species_b")])), 3L)
  two <- gene_pairs(sm, c(ha = "cell_type", z_f = "cell_type"), threads = 1, verbose = FALSE)
  expect_equal(two, pairs[pairs$species_a == "ha" & pairs$species_b == "z_f", ], ignore_attr = TRUE)
})

test_that("what cannot have gene pairs is said", {
  sm <- finished()
  by <- list(ha = rep("all", 90), mu = cell_metadata(sm)$cell_type[91:180])
  expect_warning(
    pairs <- gene_pairs(sm, by, threads = 1, verbose = FALSE), "\"ha\"", class = "samap_warning_one_cluster"
  )
  expect_identical(nrow(pairs), 0L)
  types <- data.frame(species_a = "ha", type_a = "type1", species_b = "ha", type_b = "type2")
  expect_error(gene_pairs(sm, "cell_type", types = types), "one species", class = "samap_error_argument")
  all <- gene_pairs(sm, "cell_type", max_pairs = Inf, threads = 1, verbose = FALSE)
  expect_identical(all, gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE))
})
