# Leiden clustering by igraph, of the undirected kNN graph: two cells are linked if either is among the neighbours of
# the other, with weight 2 if both are, 1 otherwise. That is the directed graph of the reference plus its transpose,
# so that the modularity is close to the directed, unweighted one the reference maximises.

leiden_clusters <- function(neighbor_index, resolution, seed) {
  leiden(nrow(neighbor_index), undirected_edges(neighbor_index), resolution, seed)
}

# Leiden clusters of n nodes by the modularity; edges: from, to, weight, each pair of nodes once.
leiden <- function(n, edges, resolution, seed) {
  graph <- igraph::make_empty_graph(n, directed = FALSE)
  graph <- igraph::add_edges(graph, rbind(edges$from, edges$to))
  arguments <- list(graph, objective_function = "modularity", weights = edges$weight, n_iterations = 10)
  # The argument was renamed in igraph 2.
  known <- names(formals(igraph::cluster_leiden))
  arguments[[if ("resolution" %in% known) "resolution" else "resolution_parameter"]] <- resolution
  clusters <- with_seed(seed, do.call(igraph::cluster_leiden, arguments))
  number_by_size(as.integer(igraph::membership(clusters)))
}

# Neighbourhoods are as large as the clusters: with one cluster they have no bound, with hardly any cell per cluster
# they do not grow.
warn_degenerate <- function(clusters, species) {
  found <- nlevels(clusters)
  if (found < 2 || found > length(clusters) / 2) {
    samap_warn(
      "clusters",
      paste0("Leiden found ", count_of(found, "cluster"), " of ", length(clusters), " cells in ", quoted(species), "."),
      argument = "resolutions", species = species,
      remedy = paste0("Pass a ", if (found < 2) "larger" else "smaller", " `resolutions`, or labels as `keys`.")
    )
  }
}

#' Joint clusters of the cells of all species
#'
#' Leiden clustering of the stitched graph, each edge taken in both directions with the larger of its weights.
#'
#' @param sm What [samap()] returns.
#' @param resolution Resolution of the modularity: larger values give more clusters.
#' @param seed Seed of the clustering.
#' @param threads,verbose As in [samap()].
#' @return Factor: the cluster of every cell, in the order of [cell_metadata()]. Clusters are numbered from the largest
#'   to the smallest.
#' @references
#' Traag VA, Waltman L, van Eck NJ (2019). From Louvain to Leiden: guaranteeing well-connected communities. *Scientific
#' Reports* 9:5233. \doi{10.1038/s41598-019-41695-z}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' clusters <- cluster_stitched(sm, threads = 1, verbose = FALSE)
#' table(clusters, cell_metadata(sm)$species)
#' @export
cluster_stitched <- function(sm, resolution = 1, seed = 0L, threads = NULL, verbose = TRUE) {
  check_samap(sm)
  resolution <- check_number(resolution, "resolution", min = 0)
  seed <- check_number(seed, "seed", min = 0, integer = TRUE)
  run <- result_run(sm, threads, verbose)
  upper <- Matrix::triu(engine_symmetric(final_pass(sm)$graph, run), 1)
  columns <- rep.int(seq_len(ncol(upper)), diff(upper@p))
  leiden(nrow(sm$cells), list(from = upper@i + 1L, to = columns, weight = upper@x), resolution, seed)
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
