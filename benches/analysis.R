# Time and memory of the tables of a large result: Rscript benches/analysis.R [CELLS] [THREADS]
#
# A made-up result of three species, since a real mapping of this size takes longer than its tables: types with their own
# genes, a stitched graph that links cells of the same type, correlations of homologous genes at random. Prints, per table,
# its rows, seconds, and by how much the peak memory of the process grew.
library(samap)

arguments <- as.numeric(commandArgs(trailingOnly = TRUE))
n_cells <- if (length(arguments) > 0) arguments[[1]] else 100000
threads <- if (length(arguments) > 1) arguments[[2]] else 2
ids <- c("a", "b", "c")
each <- n_cells %/% length(ids)
n_types <- 20L
n_genes <- 12000L
n_homologous <- 10000L
entries_per_cell <- 400L
k <- 20L
set.seed(1)

# Genes × cells: a tenth of the counts of a cell are of the genes of its type.
make_counts <- function(type) {
  of_type <- n_genes %/% n_types
  gene <- sample.int(n_genes, each * entries_per_cell, replace = TRUE)
  own <- sample.int(length(gene), length(gene) %/% 10L)
  cell <- rep(seq_len(each), each = entries_per_cell)
  gene[own] <- (type[cell[own]] - 1L) * of_type + sample.int(of_type, length(own), replace = TRUE)
  count <- 1 + stats::rpois(length(gene), 1)
  Matrix::sparseMatrix(i = gene, j = cell, x = count, dims = c(n_genes, each),
    dimnames = list(paste0("g", seq_len(n_genes)), paste0("cell", seq_len(each))))
}

# Each cell has k neighbours of its type in its own species, and k in each other one.
make_graph <- function(type) {
  members <- lapply(seq_along(ids), function(s) lapply(seq_len(n_types), function(one) which(type[[s]] == one)))
  blocks <- expand.grid(from = seq_along(ids), to = seq_along(ids))
  parts <- Map(function(from, to) {
    draw <- function(one) sample(members[[to]][[one]], k * length(members[[from]][[one]]), replace = TRUE)
    data.frame(
      i = (from - 1) * each + rep(unlist(members[[from]]), each = k),
      j = (to - 1) * each + unlist(lapply(seq_len(n_types), draw))
    )
  }, blocks$from, blocks$to)
  edges <- do.call(rbind, parts)
  graph <- Matrix::sparseMatrix(i = edges$i, j = edges$j, x = 1, dims = rep(length(ids) * each, 2))
  graph@x <- stats::runif(length(graph@x))
  graph
}

make_homology <- function() {
  pairs <- utils::combn(ids, 2L, simplify = FALSE)
  edges <- lapply(pairs, function(pair) {
    gene <- rep(seq_len(n_homologous), 2L)
    other <- c(seq_len(n_homologous), sample.int(n_homologous))
    data.frame(
      species_a = pair[[1]], gene_a = paste0("g", gene), species_b = pair[[2]], gene_b = paste0("g", other),
      weight = rep(c(200, 100), each = n_homologous),
      correlation = pmax(0, stats::runif(2L * n_homologous, -0.2, 0.9))
    )
  })
  edges <- unique(do.call(rbind, edges))
  edges <- edges[!duplicated(edges[1:4]), ]
  cbind(edges, matched = TRUE)
}

type <- replicate(length(ids), sample.int(n_types, each, replace = TRUE), simplify = FALSE)
cells <- data.frame(
  cell = paste0(rep(ids, each = each), "_cell", seq_len(each)), species = rep(ids, each = each),
  barcode = paste0("cell", seq_len(each)), sample = NA_character_, cell_type = paste0("type", unlist(type))
)
genes <- data.frame(
  species = rep(ids, each = n_genes), gene = paste0("g", seq_len(n_genes)),
  weight = stats::runif(length(ids) * n_genes, 0.1, 1), matched = rep(seq_len(n_genes) <= n_homologous, length(ids))
)
fits <- lapply(setNames(nm = ids), function(id) {
  list(genes = genes[genes$species == id, ], options = list(preprocess = samap_defaults()$preprocess))
})
sm <- structure(list(
  format = 1L, species = ids, cells = cells, genes = genes, homology = list(edges = make_homology(), refined_over = 1L),
  passes = list(list(iteration = 1L, k = k, graph = make_graph(type))), sam = fits,
  counts = setNames(lapply(type, make_counts), ids), options = list(control = samap_control())
), class = "samap")
invisible(gc())

peak_mb <- function() {
  line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

annotation <- data.frame(genes[c("species", "gene")], term = paste0("term", sample.int(500, nrow(genes), TRUE)))
options(samap.threads = threads)
by <- "cell_type"
calls <- list(
  alignment_scores = function() alignment_scores(sm, by),
  cluster_markers = function() cluster_markers(sm, by, verbose = FALSE),
  gene_pairs = function() gene_pairs(sm, by, verbose = FALSE),
  functional_enrichment = function() functional_enrichment(sm, by, annotation, verbose = FALSE),
  cell_type_triangles = function() cell_type_triangles(sm, by),
  paralog_substitutions = function() paralog_substitutions(sm),
  gene_triangles = function() gene_triangles(sm, by = by, verbose = FALSE)
)
cat(nrow(cells), "cells,", nrow(genes), "genes,", sum(lengths(lapply(sm$counts, function(x) x@x))), "counts,",
  length(sm$passes[[1]]$graph@x), "edges,", threads, "threads; before:", round(peak_mb()), "MB\n")
for (name in names(calls)) {
  before <- peak_mb()
  seconds <- system.time(table <- calls[[name]]())[["elapsed"]]
  cat(sprintf("%-22s %8d rows %7.2f s %+6.0f MB\n", name, nrow(table), seconds, peak_mb() - before))
}
