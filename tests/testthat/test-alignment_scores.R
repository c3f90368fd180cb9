# The definition, written plainly.
slow_scores <- function(sm, labels, n_top = 0) {
  graph <- as.matrix(stitched_graph(sm))
  species <- cell_metadata(sm)$species
  k <- sm$options$mapping$cross_species_k
  average <- function(x) {
    x <- sort(x, decreasing = TRUE)
    if (n_top > 0) mean(x[seq_len(min(n_top, length(x)))]) else mean(x)
  }
  rows <- list()
  for (a in unique(labels[species == "ha"])) {
    for (b in unique(labels[species == "mu"])) {
      in_a <- species == "ha" & labels == a
      in_b <- species == "mu" & labels == b
      ab <- average(rowSums(graph[in_a, in_b, drop = FALSE])) / k
      ba <- average(rowSums(graph[in_b, in_a, drop = FALSE])) / k
      rows <- c(rows, list(data.frame(
        type_a = a, type_b = b, score = max(ab, ba), score_ab = ab, score_ba = ba, n_a = sum(in_a), n_b = sum(in_b)
      )))
    }
  }
  do.call(rbind, rows)
}

test_that("scores are what their definition says", {
  sm <- finished()
  labels <- cell_metadata(sm)$cell_type
  for (n_top in c(0, 4)) {
    fast <- alignment_scores(sm, "cell_type", n_top = n_top)
    slow <- slow_scores(sm, labels, n_top)
    slow <- slow[match(paste(fast$type_a, fast$type_b), paste(slow$type_a, slow$type_b)), ]
    for (column in names(slow)[-(1:2)]) expect_equal(fast[[column]], slow[[column]], tolerance = 1e-10, info = column)
    expect_false(is.unsorted(-fast$score))
  }
})

test_that("labels can be columns, columns per species, vectors and factors made after the run", {
  sm <- finished()
  cells <- cell_metadata(sm)
  plain <- alignment_scores(sm, "cell_type")
  expect_identical(alignment_scores(sm, c(mu = "cell_type", ha = "cell_type")), plain)
  vectors <- split(cells$cell_type, cells$species)
  expect_identical(alignment_scores(sm, vectors), plain)
  named <- lapply(split(cells, cells$species), function(x) rev(setNames(factor(x$cell_type), x$barcode)))
  expect_identical(alignment_scores(sm, named), plain)
  numbers <- lapply(vectors, function(x) as.integer(sub("type", "", x)))
  expect_identical(alignment_scores(sm, numbers)$score, plain$score)
})

test_that("unlabelled cells count for no type", {
  sm <- finished()
  cells <- cell_metadata(sm)
  labels <- split(cells$cell_type, cells$species)
  labels$ha[labels$ha == "type2"] <- NA
  scores <- alignment_scores(sm, labels)
  expect_false("type2" %in% scores$type_a)
  expect_identical(nrow(scores), 6L)
})

test_that("species can be chosen, and the table made square", {
  sm <- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
  scores <- alignment_scores(sm, "cell_type")
  some <- alignment_scores(sm, "cell_type", species = c("ha", "z_f"))
  expect_identical(some$score, scores$score[scores$species_a == "ha" & scores$species_b == "z_f"])
  square <- as.matrix(scores)
  expect_identical(dim(square), c(9L, 9L))
  expect_identical(square, t(square))
  one <- some$score[some$type_a == "type1" & some$type_b == "type2"]
  expect_identical(square[["ha_type1", "z_f_type2"]], one)
  expect_identical(unname(square[1:3, 1:3]), matrix(0, 3, 3))
  directed <- as.matrix(scores, directed = TRUE)
  expect_identical(pmax(directed, t(directed)), square)
  row <- scores[scores$score_ab != scores$score_ba, ][1, ]
  from <- paste(row$species_a, row$type_a, sep = "_")
  to <- paste(row$species_b, row$type_b, sep = "_")
  expect_identical(c(directed[from, to], directed[to, from]), c(row$score_ab, row$score_ba))
})

test_that("scores come from the graph of any pass", {
  sm <- quiet_samap(two_species(), keys = "cell_type", control = samap_control(keep_iterations = TRUE))
  cells <- cell_metadata(sm)
  type <- paste(cells$species, cells$cell_type, sep = "_")
  member <- outer(type, unique(type), "==") + 0
  colnames(member) <- unique(type)
  tables <- lapply(list(0, 1, 2, 3, "final"), function(iteration) {
    # Sums over the rows of a type and the columns of another, by two products.
    weights <- t(member) %*% as.matrix(stitched_graph(sm, iteration)) %*% member
    slow <- weights / colSums(member) / sm$options$mapping$cross_species_k
    fast <- as.matrix(alignment_scores(sm, "cell_type", iteration = iteration), directed = TRUE)
    across <- outer(sub("_.*", "", rownames(fast)), sub("_.*", "", rownames(fast)), "!=")
    expect_equal(fast[across], slow[rownames(fast), colnames(fast)][across], tolerance = 1e-12)
    fast
  })
  expect_identical(tables[[1]], tables[[2]])
  expect_identical(tables[[4]], tables[[5]])
  expect_false(identical(tables[[1]], tables[[4]]))
})

test_that("types may be strings, factors or numbers", {
  sm <- finished()
  scores <- alignment_scores(sm, "cell_type")
  of <- function(id) sm$cells$cell_type[sm$cells$species == id]
  by <- list(ha = as.integer(sub("type", "", of("ha"))), mu = factor(of("mu"), paste0("type", c(3, 1, 2, 9))))
  other <- alignment_scores(sm, by)
  expect_setequal(other$type_a, c("1", "2", "3"))
  at <- match(paste0("type", other$type_a, other$type_b), paste0(scores$type_a, scores$type_b))
  expect_identical(other$score, scores$score[at])
  expect_identical(rownames(as.matrix(other)), c(paste0("ha_", 1:3), paste0("mu_type", c(3, 1, 2))))
})
