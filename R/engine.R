# Every call into the engine is made here (and in job.R): one function per step, named `engine_<step>`. Indices are
# 1-based. Options are the named lists of samap_defaults(), changed by with_options().

# What is in an HDF5 file: which matrix holds the counts, names of genes and cells, metadata.
engine_inspect <- function(path, layer, var_names, species) {
  run <- new_run(threads = 1L, verbose = FALSE)
  run_job(inspect_start(path, layer, var_names, run$threads, run$memory), run, path, species)
}

# Coordinates of the cells in an HDF5 file.
engine_reduction <- function(path, name) {
  run <- new_run(threads = 1L, verbose = FALSE)
  run_job(reduction_start(path, name, run$threads, run$memory), run, path)
}

# What the Python reference saved of a SAM run.
engine_saved_sam <- function(path) {
  run <- new_run(threads = 1L, verbose = FALSE)
  run_job(saved_sam_start(path, run$threads, run$memory), run, path)
}

# What the Python reference saved of a mapping.
engine_saved_mapping <- function(path) {
  run <- new_run(threads = 1L, verbose = FALSE)
  run_job(saved_mapping_start(path, run$threads, run$memory), run, path)
}

# document: see write_h5ad.R.
engine_write <- function(path, document, run) {
  run_job(write_start(path, document, run$folder, run$threads, run$memory), run, "h5ad")
  invisible()
}

# Opaque handle of the normalised expression, with the mean and variance of every gene, whether the gene filter kept it,
# and the numbers of cells and genes without counts. counts: a dgCMatrix, or a source that stays out of R.
engine_expression <- function(counts, preprocess, run, label) {
  run_job(expression_start(counts, preprocess, run$folder, run$threads, run$memory), run, label, label)
}

# Range of the values of a dgCMatrix of counts, how many are missing, and how many genes have entries.
engine_count_summary <- function(counts) rust_value(count_summary(counts))

# Counts that stay out of R, as a dgCMatrix of genes x cells without dimnames.
engine_counts <- function(counts, run, label) {
  run_job(counts_start(counts, run$threads, run$memory), run, label, label)$counts
}

# pcs: whether the loadings of SAM's components are wanted.
engine_sam <- function(expression, sam, knn, pcs, run, label) {
  run_job(sam_start(expression, sam, knn, pcs, run$backend, run$threads, run$memory), run, label, label)
}

# Opaque handle of the loadings the mapping projects through. coordinates: those of the cells (cells x dimensions) that
# the loadings are to carry into the mapping, or NULL. genes: those in the homology, as homology_index() has them: the
# mapping needs no others.
engine_loadings <- function(expression, weights, coordinates, genes, loadings, seed, run, label) {
  outcome <- loadings_start(
    expression, weights, coordinates, genes, loadings, as.double(seed), run$backend, run$threads, run$memory
  )
  run_job(outcome, run, label, label, meanwhile = tidy)$pointer
}

# The engine takes expression and loadings: their handles are empty afterwards.
engine_mapping <- function(species, homology, from, mapping, knn, seed, run) {
  outcome <- mapping_start(
    unname(species), homology, from, mapping, knn, as.double(seed), run$backend, run$threads, run$memory
  )
  run_job(outcome, run, "mapping")
}

# Correlation of every homology edge over the cells of a stitched graph.
engine_refine <- function(species, homology, graph, mapping, run) {
  outcome <- refine_start(unname(species), homology, graph, mapping, run$backend, run$threads, run$memory)
  run_job(outcome, run, "refinement")$correlation
}

engine_umap <- function(graph, latent, umap, run) {
  run_job(umap_start(graph, latent, umap, run$backend, run$threads, run$memory), run, "umap")
}

# Scores of all pairs of types of different species, best first. labels: per species list(labels, n_labels), see
# species_labels(). Species and types of the table are indices.
engine_alignment <- function(graph, labels, k, n_top, run) {
  n_cells <- vapply(labels, function(one) as.double(one$n_cells), double(1), USE.NAMES = FALSE)
  outcome <- alignment_start(
    graph, n_cells, unname(labels), as.double(k), as.double(n_top), run$threads, run$memory
  )
  as.data.frame(run_job(outcome, run, "alignment scores"))
}

# Shares of every cell's cross-species edges, those other than 0: cell, species and label they go to, score; indices.
engine_cell_scores <- function(graph, labels, k, run) {
  n_cells <- vapply(labels, function(one) as.double(one$n_cells), double(1), USE.NAMES = FALSE)
  outcome <- cell_scores_start(graph, n_cells, unname(labels), as.double(k), run$threads, run$memory)
  as.data.frame(run_job(outcome, run, "cell scores"))
}

# Labels carried along a graph: list(label, probability, entropy, iterations). reference: whether a cell is of the
# species whose labels they are; label: 1-based, NA for none.
engine_transfer <- function(graph, reference, label, n_labels, transfer, run) {
  outcome <- transfer_start(graph, reference, label, as.double(n_labels), transfer, run$threads, run$memory)
  run_job(outcome, run, "label transfer")
}

# max(A, t(A)) of a dgCMatrix, without its diagonal.
engine_symmetric <- function(graph, run) {
  run_job(symmetric_start(graph, run$threads, run$memory), run, "stitched graph")
}

# Connected component of every cell of a kNN table.
engine_components <- function(neighbor_index, run) {
  run_job(components_start(neighbor_index, run$threads, run$memory), run, "components")
}

engine_markers <- function(expression, labels, test, run, label) {
  species <- list(expression = expression, labels = labels$labels, n_labels = labels$n_labels, test = test)
  run_job(markers_start(species, run$threads, run$memory), run, label, label)
}

# scores: rows of engine_alignment(), the pairs of types to look at. Genes of the table are rows of the counts.
engine_gene_pairs <- function(species, homology, graph, scores, options, run) {
  outcome <- gene_pairs_start(unname(species), homology, graph, scores, options, run$threads, run$memory)
  as.data.frame(run_job(outcome, run, "gene pairs"))
}

# sets: list(n_genes, n_terms, gene, term), a row per gene and term; lists: unnamed list of vectors of genes. A list of
# columns, one of which holds vectors of genes.
engine_enrichment <- function(sets, lists, options, run) {
  run_job(enrichment_start(sets, lists, options, run$threads, run$memory), run, "enrichment")
}

# Genes and terms of a GAF or GMT file: list(genes, terms, gene, term), the last two indices into the first two.
engine_gene_sets <- function(path, format, options, run) {
  run_job(gene_sets_start(path, format, options, run$threads, run$memory), run, "gene sets")
}

# homology: list(n_genes, gene_a, gene_b, weight), with refined correlations as weights. orthologs, paralogs:
# list(gene_a, gene_b), numbered in the same way.
engine_substitutions <- function(homology, orthologs, paralogs, min_gain, run) {
  outcome <- substitutions_start(homology, orthologs, paralogs, min_gain, run$threads, run$memory)
  as.data.frame(run_job(outcome, run, "paralog substitutions"))
}

# homology: as above, with sequence weights.
engine_reciprocal_best <- function(homology) rust_value(reciprocal_best_(homology))

# scores: rows of engine_alignment(). Matrices cliques x corners (species, kind) and cliques x edges (score).
engine_type_triangles <- function(scores, min_score, n, run) {
  outcome <- type_triangles_start(scores, min_score, as.double(n), run$threads, run$memory)
  run_job(outcome, run, "cell type triangles")
}

# homology, orthologs: as for engine_substitutions(). Matrices cliques x corners (gene) and cliques x edges
# (correlation, class).
engine_gene_triangles <- function(homology, orthologs, options, run) {
  run_job(gene_triangles_start(homology, orthologs, options, run$threads, run$memory), run, "gene triangles")
}

# Types that genes mark, a vector per gene. genes: rows of the counts.
engine_gene_types <- function(expression, labels, genes, test, max_pval, run, label) {
  species <- list(expression = expression, labels = labels$labels, n_labels = labels$n_labels, test = test)
  run_job(gene_types_start(species, genes, max_pval, run$threads, run$memory), run, label, label)
}

# Mean expression of genes (rows of the counts) in types and the share of cells that express them: genes x types.
# labels: list(labels, n_labels), see species_labels().
engine_type_expression <- function(expression, genes, labels, run, label) {
  species <- list(expression = expression, genes = genes, labels = labels$labels, n_labels = labels$n_labels)
  run_job(type_expression_start(species, run$threads, run$memory), run, label, label)
}

# Expression of genes in cells: cells x genes.
engine_cell_expression <- function(expression, genes, run, label) {
  run_job(cell_expression_start(expression, genes, run$threads, run$memory), run, label, label)$values
}

# genes: list of list(expression, species, gene), one per species; n_cells: cells per species; options: list(average,
# min_expression).
engine_expression_overlap <- function(graph, n_cells, genes, options, run) {
  outcome <- expression_overlap_start(graph, as.double(n_cells), genes, options, run$threads, run$memory)
  run_job(outcome, run, "expression overlap")
}

# Cross-species edges per pair of species in two graphs and in both.
engine_edge_changes <- function(before, after, n_cells, run) {
  as.data.frame(run_job(edge_changes_start(before, after, as.double(n_cells), run$threads, run$memory), run, "edges"))
}

engine_blast <- function(forward, backward, evalue) {
  run <- new_run(threads = 1L, verbose = FALSE)
  read <- run_job(blast_start(forward, backward, as.double(evalue), run$threads, run$memory), run, "BLAST tables")
  read$gene_a <- read$genes_a[read$gene_a]
  read$gene_b <- read$genes_b[read$gene_b]
  read
}

# species: per species list(files, from, to). Species and genes of the pairs are indices, genes into the names of
# theirs.
engine_eggnog <- function(species, taxon, max_group_size) {
  run <- new_run(threads = 1L, verbose = FALSE)
  outcome <- eggnog_start(species, taxon, as.double(max_group_size), run$threads, run$memory)
  run_job(outcome, run, "eggNOG tables")
}

# genes: named list. homology: see edge_index(). filter: share of the row-maximum filter.
engine_write_homology <- function(path, genes, homology, filter) {
  run <- new_run(threads = 1L, verbose = FALSE)
  outcome <- write_homology_start(path.expand(path), genes, homology, as.double(filter), run$threads, run$memory)
  run_job(outcome, run, "homology")
}

engine_read_homology <- function(path) {
  run <- new_run(threads = 1L, verbose = FALSE)
  run_job(read_homology_start(path, run$threads, run$memory), run, "homology")
}

# list(header, id, length, nucleotide), an entry per sequence.
engine_fasta <- function(path, run) {
  run_job(fasta_start(path, run$threads, run$memory), run, "sequences")
}

engine_number_sequences <- function(path, to, run) {
  run_job(number_sequences_start(path, to, run$threads, run$memory), run, "sequences")
}

# genes: the gene of each sequence, or NA.
engine_write_longest <- function(path, to, genes, run) {
  outcome <- write_longest_start(path.expand(path), path.expand(to), genes, run$threads, run$memory)
  run_job(outcome, run, "sequences")
}

engine_name_hits <- function(table, to, queries, targets, run) {
  run_job(name_hits_start(table, to, queries, targets, run$threads, run$memory), run, "hits")
}

# Runs a program until it ends, or until the user interrupts.
engine_program <- function(program, arguments, dir, log, phase, run) {
  run_job(program_start(unname(program), arguments, dir, log, phase, run$threads, run$memory), run, "sequences")
}

engine_id_kinds <- function(names) {
  rust_value(id_kinds_(names))
}

# annotation: NULL, list(file), or list(from, to). Genes and names of what it returns are positions.
engine_match_ids <- function(genes, names, annotation, run) {
  run_job(match_ids_start(genes, names, annotation, run$threads, run$memory), run, "gene names")
}

# homology: list(n_genes, gene_a, gene_b, weight), see edge_index().
engine_filter_homology <- function(homology, share) {
  rust_value(filter_homology_(homology, as.double(share)))
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

# Phases of a run that is not made: species (number, 0 = all), phase, bytes, floor, seconds.
engine_plan <- function(species, settings, measured, run) {
  as.data.frame(run_job(plan_start(species, settings, measured, run$threads, run$memory), run, "plan"))
}
