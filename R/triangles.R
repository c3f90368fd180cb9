#' Cell types that align across three or more species
#'
#' Triangles of cell types of three species, every two of which are aligned; or, with `n`, the same of more species.
#'
#' @inheritParams alignment_scores
#' @param min_score Least alignment score of every two of the types (0 to 1); a score of 0 never counts.
#' @param n Number of species: 3 for triangles.
#' @return Data frame, one row per triangle: species_a, type_a, species_b, type_b, species_c, type_c, score_ab,
#'   score_ac, score_bc (the larger of both directions, as in [alignment_scores()]). With `n = 4` there are also
#'   species_d, type_d, score_ad, score_bd, score_cd, and so on. The triangle whose smallest score is largest comes
#'   first. Without triangles the data frame has no rows.
#'
#'   Errors: `samap_error_species` (fewer species with labels than `n`), and those of [alignment_scores()].
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' # The human donors as two species.
#' human <- example$atlases$human
#' half <- seq_len(ncol(human$counts)) %% 2 == 0
#' part <- function(cells) {
#'   list(counts = human$counts[, cells], cells = human$cells[cells, , drop = FALSE])
#' }
#' genes <- intersect(rownames(human$counts), example$homology$gene_a)
#' other <- transform(example$homology, species_a = "human2")
#' same <- data.frame(
#'   species_a = "human", gene_a = genes, species_b = "human2", gene_b = genes, weight = 200
#' )
#' sm <- samap(
#'   list(human = part(half), human2 = part(!half), mouse = example$atlases$mouse),
#'   rbind(as.data.frame(example$homology), other, same),
#'   umap = FALSE, threads = 1, verbose = FALSE
#' )
#' head(cell_type_triangles(sm, "cell_type"))
#' @export
cell_type_triangles <- function(sm, by, min_score = 0.1, n = 3, n_top = 0, iteration = "final", species = NULL) {
  check_samap(sm)
  pass <- find_pass(sm, iteration)
  min_score <- check_number(min_score, "min_score", min = 0, max = 1)
  n_top <- check_number(n_top, "n_top", min = 0, integer = TRUE)
  labels <- keep_species(resolve_labels(by, sm$cells, sm$species), species, sm$species)
  n <- check_corners(n, unique(labels$types$species))
  own <- species_labels(labels, sm$cells, sm$species)
  run <- new_run(verbose = FALSE)
  scores <- engine_alignment(pass$graph, own, pass$k, n_top, run)
  found <- engine_type_triangles(scores, min_score, n, run)
  corners <- lapply(seq_len(n), function(corner) {
    at <- list(species = clique_column(found$species, corner), type = clique_column(found$kind, corner))
    list(species = sm$species[at$species], type = type_names(own, at$species, at$type))
  })
  clique_frame(n, list(species = lapply(corners, `[[`, "species"), type = lapply(corners, `[[`, "type")),
    list(score = found$score))
}

# How many species a clique has; more than there are letters for columns is out of the question.
check_corners <- function(n, species) {
  n <- check_number(n, "n", min = 2, max = length(letters), integer = TRUE)
  if (n > length(species)) {
    samap_abort(
      "species", paste0("Sets of ", n, " species need at least as many species."), argument = "n",
      found = paste0("There are ", length(species), ": ", enumerate(quoted(species)), "."),
      remedy = if (length(species) > 1L) paste0("Set `n` to at most ", length(species), ".")
    )
  }
  n
}

# A column of a matrix of the engine, which has no columns when it has no rows.
clique_column <- function(x, column) if (nrow(x) == 0) x[0] else x[, column]

# A data frame of cliques of n corners. per_corner: named list, per name a list of columns, one per corner; per_edge:
# named list of matrices cliques x edges. Columns are <name>_a, <name>_b, ... and <name>_ab, <name>_ac, ...
clique_frame <- function(n, per_corner, per_edge) {
  corner <- letters[seq_len(n)]
  edge <- utils::combn(corner, 2L, paste, collapse = "")
  # Corner by corner: species_a, gene_a, species_b, ...
  corners <- unlist(lapply(seq_len(n), function(i) {
    setNames(lapply(per_corner, function(columns) as.vector(columns[[i]])), paste0(names(per_corner), "_", corner[[i]]))
  }), recursive = FALSE)
  edges <- unlist(lapply(names(per_edge), function(name) {
    columns <- lapply(seq_along(edge), function(i) clique_column(per_edge[[name]], i))
    setNames(columns, paste0(name, "_", edge))
  }), recursive = FALSE)
  data.frame(c(corners, edges))
}

#' Genes that are homologous and correlated across three or more species
#'
#' Triangles of genes of three species, every two of which are homologous and have a refined correlation of at least
#' `min_correlation`; or, with `n`, the same of more species. Each of their pairs has a class: `"ortholog"`;
#' `"substitution"`, where a gene goes with a paralog of its ortholog (see [paralog_substitutions()]); or `"homolog"`,
#' neither.
#'
#' @param sm What [samap()] returns; with its counts if `by` is given.
#' @param orthologs As in [paralog_substitutions()].
#' @param by The types, as in [alignment_scores()]: adds the types that each gene marks. `NULL`: none.
#' @param min_correlation Least refined correlation of every two genes; one of 0 never counts.
#' @param min_gain Least gain in correlation of a substitution.
#' @param classes Classes a pair may have. The default leaves out triangles with a pair that is neither ortholog nor
#'   substitution.
#' @param n Number of species: 3 for triangles.
#' @param max_pval A gene marks the type where its marker score is largest, and all where its p-value (not adjusted) is
#'   at most this; only types where it is higher than elsewhere.
#' @param test `"tie_corrected"` or `"reference"`, as in [cluster_markers()].
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per triangle: species_a, gene_a, species_b, gene_b, species_c, gene_c, correlation_ab,
#'   correlation_ac, correlation_bc, class_ab, class_ac, class_bc, min_correlation (the smallest of the three),
#'   n_orthologs, n_substitutions (of the three pairs), and with `by` the list columns type_a, type_b, type_c (character
#'   vectors). With `n = 4` there are four corners and six pairs, and so on. Sorted by `min_correlation`. Without
#'   triangles the data frame has no rows.
#'
#'   Errors: `samap_error_species` (fewer species than `n`), `samap_error_argument`, `samap_error_no_counts`.
#' @seealso [paralog_substitutions()], [cell_type_triangles()]
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' # Two species have pairs, not triangles.
#' head(gene_triangles(sm, n = 2))
#' @export
gene_triangles <- function(sm, orthologs = NULL, by = NULL, min_correlation = 0.3, min_gain = 0.3,
                           classes = c("ortholog", "substitution"), n = 3, max_pval = 1e-10,
                           test = c("tie_corrected", "reference"), threads = NULL, verbose = TRUE) {
  check_samap(sm)
  options <- list(
    min_correlation = check_number(min_correlation, "min_correlation", min = 0, max = 1),
    min_gain = check_number(min_gain, "min_gain", min = 0), n = check_corners(n, sm$species),
    classes = check_classes(classes)
  )
  test <- check_choice(test, c("tie_corrected", "reference"), "test")
  max_pval <- check_number(max_pval, "max_pval", min = 0)
  labels <- if (!is.null(by)) resolve_labels(by, sm$cells, sm$species)
  counts <- if (!is.null(by)) need_counts(sm)
  run <- result_run(sm, threads, verbose)
  index <- result_index(sm)
  found <- engine_gene_triangles(correlated_pairs(sm, index), ortholog_index(orthologs, index), options, run)
  found$class[] <- edge_classes[found$class]
  genes <- lapply(seq_len(options$n), function(corner) clique_column(found$gene, corner))
  named <- lapply(genes, name_genes, index = index)
  triangles <- clique_frame(
    options$n, list(species = lapply(named, `[[`, "species"), gene = lapply(named, `[[`, "gene")),
    found[c("correlation", "class")]
  )
  triangles$min_correlation <- if (nrow(triangles) > 0) apply(found$correlation, 1, min) else double()
  triangles$n_orthologs <- as.integer(rowSums(found$class == "ortholog"))
  triangles$n_substitutions <- as.integer(rowSums(found$class == "substitution"))
  if (is.null(by)) {
    return(triangles)
  }
  types <- marked_types(sm, sort(unique(unlist(genes))), labels, index, counts, test, max_pval, run)
  for (corner in seq_len(options$n)) {
    triangles[[paste0("type_", letters[[corner]])]] <- unname(types[match(genes[[corner]], as.integer(names(types)))])
  }
  triangles
}

# In the order of the engine.
edge_classes <- c("ortholog", "substitution", "homolog")

check_classes <- function(classes) {
  if (!is.character(classes) || length(classes) == 0 || !all(classes %in% edge_classes)) {
    samap_abort(
      "argument", paste0("`classes` must be one or more of ", paste(quoted(edge_classes), collapse = ", "), "."),
      argument = "classes", found = paste0("It is ", describe(classes), ".")
    )
  }
  unique(classes)
}

# The types that genes mark: a named list of character vectors, by gene. A species without labels has none.
marked_types <- function(sm, genes, labels, index, counts, test, max_pval, run) {
  own <- species_labels(labels, sm$cells, sm$species)
  before <- cumsum(c(0L, lengths(index$genes)))
  parts <- lapply(seq_along(sm$species), function(s) {
    id <- sm$species[[s]]
    mine <- genes[genes > before[[s]] & genes <= before[[s + 1L]]]
    if (length(mine) == 0 || own[[id]]$n_labels == 0L) {
      return(setNames(rep(list(character()), length(mine)), mine))
    }
    rows <- index$columns[[id]][mine - before[[s]]]
    expression <- sm_expression(sm, id, counts, run)
    types <- engine_gene_types(expression, own[[id]], rows, test, max_pval, run, id)
    setNames(lapply(types, function(type) own[[id]]$types[type]), mine)
  })
  do.call(c, parts)
}
