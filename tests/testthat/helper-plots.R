# Tables of alignment scores with planted matches, for plots: type i of one species aligns with type i of the others.

planted_scores <- function(species = c("ha", "mu"), n_types = 5L) {
  types <- sprintf("type %02d", seq_len(n_types))
  pairs <- utils::combn(species, 2L, simplify = FALSE)
  tables <- lapply(seq_along(pairs), function(k) {
    grid <- expand.grid(a = seq_len(n_types), b = seq_len(n_types))
    # Matches, weak links to the next type, and nothing.
    score <- ifelse(grid$a == grid$b, 0.95 - 0.4 * grid$a / n_types - 0.05 * k, ifelse(grid$b == grid$a + 1L, 0.15, 0))
    data.frame(
      species_a = pairs[[k]][[1]], type_a = types[grid$a], species_b = pairs[[k]][[2]], type_b = types[grid$b],
      score = score, score_ab = score, score_ba = score / 2, n_a = 10 * grid$a, n_b = 5L + grid$b
    )
  })
  scores <- do.call(rbind, tables)
  structure(scores[order(-scores$score), ], class = c("samap_alignment", "data.frame"))
}

# A table of enriched terms as functional_enrichment() makes it.
planted_terms <- function(n_types = 4L) {
  types <- sprintf("type %02d", seq_len(n_types))
  rows <- lapply(seq_len(n_types), function(k) {
    data.frame(
      species_a = c("ha", "mu")[[k %% 2L + 1L]], type_a = types[[k]], term = paste("term", k + 0:2),
      n_genes = c(12, 6, 3), n_term = 40, odds_ratio = 3, pval = c(1e-9, 1e-5, 1e-2), padj = c(1e-8, 1e-4, 0.04)
    )
  })
  do.call(rbind, rows)
}

builds <- function(plot) {
  testthat::expect_s3_class(plot, "ggplot")
  testthat::expect_s3_class(ggplot2::ggplot_build(plot), "ggplot_built")
}

# Snapshots are those of the versions of R and ggplot2 in Debian 12; others draw the same plots a little differently.
looks_like <- function(name, plot) {
  testthat::skip_if_not_installed("vdiffr")
  testthat::skip_if_not(
    getRversion() < "4.3" && utils::packageVersion("ggplot2") < "3.5.0", "snapshots are drawn by R 4.2 with ggplot2 3.4"
  )
  vdiffr::expect_doppelganger(name, plot)
}

# Normalised expression of a species, genes x cells, by the formula: counts to the median of the totals, log2(x + 1),
# and nothing where that is at most 1.
naive_expression <- function(sm, species) {
  counts <- as.matrix(sm$counts[[species]])
  totals <- colSums(counts)
  x <- log2(t(t(counts) / totals) * stats::median(totals) + 1)
  x[x <= 1] <- 0
  x
}
