# Leiden clustering by igraph, of the undirected kNN graph: two cells are linked if either is among the neighbours of
# the other, with weight 2 if both are, 1 otherwise. That is the directed graph of the reference plus its transpose,
# so that the modularity is close to the directed, unweighted one the reference maximises.

leiden_clusters <- function(neighbor_index, resolution, seed) {
  edges <- undirected_edges(neighbor_index)
  graph <- igraph::make_empty_graph(nrow(neighbor_index), directed = FALSE)
  graph <- igraph::add_edges(graph, rbind(edges$from, edges$to))
  arguments <- list(graph, objective_function = "modularity", weights = edges$weight, n_iterations = 10)
  # The argument was renamed in igraph 2.
  known <- names(formals(igraph::cluster_leiden))
  arguments[[if ("resolution" %in% known) "resolution" else "resolution_parameter"]] <- resolution
  clusters <- with_seed(seed, do.call(igraph::cluster_leiden, arguments))
  number_by_size(as.integer(igraph::membership(clusters)))
}

# Neighbourhoods are as large as the clusters: with one cluster they have no bound, with hardly any cell per cluster they
# do not grow.
warn_degenerate <- function(clusters, species) {
  found <- nlevels(clusters)
  if (found < 2 || found > length(clusters) / 2) {
    samap_warn(
      "clusters", paste0("Leiden found ", found, " cluster(s) of ", length(clusters), " cells in ", quoted(species), "."),
      argument = "resolutions", species = species,
      remedy = paste0("Pass a ", if (found < 2) "larger" else "smaller", " `resolutions`, or labels as `keys`.")
    )
  }
}

# The edges of a kNN table (row = cell, first column = the cell itself), once per pair of cells.
undirected_edges <- function(neighbor_index) {
  n_cells <- nrow(neighbor_index)
  from <- rep(seq_len(n_cells), ncol(neighbor_index))
  to <- as.integer(neighbor_index)
  other <- from != to
  low <- pmin(from, to)[other]
  high <- pmax(from, to)[other]
  code <- (low - 1) * n_cells + high
  order <- order(code, method = "radix")
  runs <- rle(code[order])
  first <- order[cumsum(c(1L, runs$lengths))[seq_along(runs$lengths)]]
  list(from = low[first], to = high[first], weight = as.double(runs$lengths))
}

# Clusters "1", "2", ... from the largest to the smallest.
number_by_size <- function(membership) {
  sizes <- table(membership)
  order <- order(-as.integer(sizes), as.integer(names(sizes)))
  factor(match(membership, as.integer(names(sizes))[order]), levels = seq_along(order))
}

# Evaluates `code` with R's generator seeded, and leaves the generator as it was.
with_seed <- function(seed, code) {
  state <- get0(".Random.seed", envir = globalenv(), inherits = FALSE)
  kind <- RNGkind()
  on.exit({
    # "Rounding" is R's old sampler: choosing it again warns, restoring it need not.
    suppressWarnings(RNGkind(kind[[1]], kind[[2]], kind[[3]]))
    if (is.null(state)) {
      rm(".Random.seed", envir = globalenv())
    } else {
      assign(".Random.seed", state, envir = globalenv())
    }
  })
  set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
  force(code)
}
