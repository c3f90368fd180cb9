# Every call into the engine is made here (and in job.R): one function per step, named `engine_<step>`. Indices are 1-based.
# Options are the named lists of samap_defaults(), changed by with_options().

# Opaque handle of the normalised expression, with the mean and variance of every gene and whether the gene filter kept it.
engine_expression <- function(counts, preprocess, run, label) {
  run_job(expression_start(counts, preprocess, run$threads, run$memory), run, label)
}

engine_sam <- function(expression, sam, knn, run, label) {
  run_job(sam_start(expression, sam, knn, run$threads, run$memory), run, label)
}

# Opaque handle of the loadings the mapping projects through.
engine_loadings <- function(expression, weights, loadings, seed, run, label) {
  run_job(loadings_start(expression, weights, loadings, seed, run$threads, run$memory), run, label)$pointer
}

engine_mapping <- function(species, homology, from, mapping, knn, seed, run) {
  outcome <- mapping_start(unname(species), homology, from, mapping, knn, seed, run$threads, run$memory)
  run_job(outcome, run, "mapping")
}

# Correlation of every homology edge over the cells of a stitched graph.
engine_refine <- function(species, homology, graph, mapping, run) {
  outcome <- refine_start(unname(species), homology, graph, mapping, run$threads, run$memory)
  run_job(outcome, run, "refinement")$correlation
}

engine_umap <- function(graph, latent, umap, run) {
  run_job(umap_start(graph, latent, umap, run$threads, run$memory), run, "umap")
}

engine_alignment <- function(graph, cell_species, labels, label_species, k, n_top) {
  rust_value(alignment_scores_(
    graph, as.integer(cell_species), as.integer(labels), length(label_species), as.integer(label_species),
    as.integer(k), as.integer(n_top)
  ))
}

engine_markers <- function(expression, labels, n_labels, test, run, label) {
  run_job(markers_start(expression, labels, n_labels, test, run$threads, run$memory), run, label)
}

engine_gene_pairs <- function(species, homology, links, types, options, run, label) {
  outcome <- gene_pairs_start(unname(species), homology, links, types, options, run$threads, run$memory)
  run_job(outcome, run, label)
}

engine_blast <- function(forward, backward, evalue) {
  rust_value(blast_start(forward, backward, evalue))
}

engine_filter_homology <- function(n_genes, gene_a, gene_b, weight, threshold) {
  rust_value(filter_homology_(n_genes, gene_a, gene_b, weight, threshold))
}

# Default options with some of them changed. A name that is no option is a mistake of ours, hence the plain stop().
with_options <- function(defaults, ...) {
  changed <- list(...)
  unknown <- setdiff(names(changed), names(defaults))
  if (length(unknown) > 0) {
    stop("no such option: ", paste(unknown, collapse = ", "))
  }
  defaults[names(changed)] <- changed
  defaults
}
