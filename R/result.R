# The result of samap(): construction, printing, accessors.

new_samap <- function(inputs, settings, fits, groups, mapped, from, run) {
  species <- names(inputs$atlases)
  cells <- inputs$cells
  clustered <- setdiff(species, names(key_sources(settings$keys, species)))
  if (length(clustered) > 0) {
    cells[["samap_leiden"]] <- NULL
    cells[["samap_leiden"]] <- bind_column(Map(function(id, group) {
      if (id %in% clustered) group else factor(rep(NA, length(group)))
    }, species, groups))
  }
  edges <- inputs$homology$edges
  edges$correlation <- NA_real_
  edges$correlation[edges$matched] <- mapped$correlation
  sm <- structure(list(
    format = result_format, species = species, cells = cells, genes = gene_table(inputs, fits),
    homology = list(edges = edges, refined_over = mapped$refined_over),
    passes = join_passes(from, mapped$passes, settings), latent = mapped$latent, umap = NULL, alignment = NULL,
    sam = lapply(fits, function(fitted) kept_fit(fitted$fit)), groups = groups,
    counts = if (settings$control$keep_counts) lapply(inputs$atlases, `[[`, "counts"),
    options = settings[setdiff(names(settings), "device")],
    timings = NULL, choices = NULL, provenance = provenance(inputs, settings, run)
  ), class = "samap")
  sm$alignment <- species_alignment(sm, run)
  sm$checks <- quick_checks(species_parts(sm), NULL, run)
  sm
}

key_sources <- function(keys, species) if (is.null(keys)) list() else label_sources(keys, species, "keys")

gene_table <- function(inputs, fits) {
  parts <- Map(function(atlas, fitted, matched, id) {
    data.frame(species = id, gene = atlas$genes, weight = fitted$fit$genes$weight, matched = matched)
  }, inputs$atlases, fits, inputs$homology$matched, names(inputs$atlases))
  genes <- do.call(rbind, unname(parts))
  rownames(genes) <- NULL
  genes
}

# SAM results of a species as the result holds them: no loadings (they follow from counts and weights), no counts of
# their own.
kept_fit <- function(fit) {
  fields <- c(
    "genes", "neighbor_index", "neighbor_distance", "scores", "ranked_genes", "weights_per_iteration", "options"
  )
  unclass(fit)[fields]
}

# The passes of an earlier run and the new ones; the first and the last, or all that are there.
join_passes <- function(from, passes, settings) {
  k <- settings$mapping$cross_species_k
  new <- lapply(passes, function(pass) list(iteration = pass$iteration, k = k, graph = pass$graph))
  all <- c(from$passes, new)
  if (settings$mapping$keep_iterations || length(all) <= 2L) all else all[c(1L, length(all))]
}

provenance <- function(inputs, settings, run) {
  edges <- inputs$homology$edges
  list(
    samap = package_version_string(), r = R.version.string, date = Sys.time(), inputs = inputs$sizes,
    homology = list(hash = inputs$homology$hash, edges = nrow(edges), matched = sum(edges$matched)),
    seed = settings$seed, device = settings$device, threads = run$threads
  )
}

n_passes <- function(sm) sm$passes[[length(sm$passes)]]$iteration

# Mean alignment of the cells per pair of species: the alignment score with the species as the only type of each.
species_alignment <- function(sm, run) {
  pass <- final_pass(sm)
  labels <- lapply(unname(split(sm$cells$species, factor(sm$cells$species, sm$species))), function(cells) {
    list(labels = rep(1L, length(cells)), n_labels = 1L, n_cells = length(cells))
  })
  scores <- engine_alignment(pass$graph, labels, pass$k, 0, run)
  data.frame(
    species_a = sm$species[scores$species_a], species_b = sm$species[scores$species_b],
    score = (scores$score_ab + scores$score_ba) / 2
  )
}

# The SAM run of a species.
sam_of <- function(sm, species) {
  fit <- sm$sam[[species]]
  if (is.null(fit)) {
    samap_abort(
      "no_sam", paste0("This needs the SAM run of species ", quoted(species), ", which the result does not hold."),
      argument = "sm", species = species, remedy = "Give the runs to `read_samap_h5ad()`, as `sams`."
    )
  }
  fit
}

final_pass <- function(sm) sm$passes[[length(sm$passes)]]

# `iteration`: "final", or the number of a pass; 0 means the first, as in the reference.
find_pass <- function(sm, iteration) {
  if (identical(iteration, "final")) {
    return(final_pass(sm))
  }
  if (is.character(iteration)) {
    samap_abort(
      "argument", "`iteration` must be \"final\" or the number of a pass.", argument = "iteration",
      found = paste0("It is ", describe(iteration), ".")
    )
  }
  wanted <- check_number(iteration, "iteration", min = 0, integer = TRUE)
  there <- vapply(sm$passes, function(pass) as.integer(pass$iteration), integer(1))
  at <- match(max(wanted, 1L), there)
  if (is.na(at)) {
    imported <- is_imported(sm)
    samap_abort(
      "argument", paste0("The graph of pass ", wanted, " is not there."), argument = "iteration",
      found = if (imported) "The file the mapping was read from holds the last pass alone." else paste0(
        "Kept: ", enumerate(there), "; passes made: ", n_passes(sm), "."
      ),
      remedy = if (!imported && wanted < n_passes(sm)) "`samap_control(keep_iterations = TRUE)` keeps all."
    )
  }
  sm$passes[[at]]
}

check_samap <- function(x, argument = "sm") {
  if (!inherits(x, "samap")) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be what `samap()` returns."),
      argument = argument, found = paste0("It is ", describe(x), ".")
    )
  }
  check_format(x, argument)
}

# ---- printing ----------------------------------------------------------------

#' @method print samap
#' @export
print.samap <- function(x, ...) {
  cat("<samap> ", count_of(length(x$species), "species", "species"), ", ", count_of(nrow(x$cells), "cell"), ", ",
    passes_text(x), "\n", sep = "")
  print_species(x)
  matched <- sum(x$homology$edges$matched)
  cat("homology: ", count_of(matched, "pair"), " of genes matched (of ", count_of(nrow(x$homology$edges), "input pair"),
    ")\n", sep = "")
  print_alignment(x)
  print_checks(x)
  cat("umap: ", if (is.null(x$umap)) "none" else "yes", " | counts: ", describe_counts(x$counts), "\n", sep = "")
  cat(origin_text(x), "\n", sep = "")
  invisible(x)
}

passes_text <- function(x) {
  if (is_imported(x)) "last pass of a run in Python" else count_of(n_passes(x), "pass", "passes")
}

origin_text <- function(x) {
  if (is_imported(x)) {
    return(paste0("read from: ", x$provenance$file))
  }
  paste0("time: ", format(round(x$provenance$seconds, 1)), " s on ", x$provenance$device, ", ",
    count_of(x$provenance$threads, "thread"), " | seed: ", x$provenance$seed)
}

max_printed <- 5L

print_species <- function(x) {
  for (id in utils::head(x$species, max_printed)) {
    genes <- x$genes[x$genes$species == id, ]
    cat("  ", id, ": ", count_of(sum(x$cells$species == id), "cell"), ", ", count_of(nrow(genes), "gene"), ", ",
      format(sum(genes$matched), big.mark = ","), " with homology\n", sep = "")
  }
  if (length(x$species) > max_printed) cat("  and ", length(x$species) - max_printed, " more\n", sep = "")
}

print_alignment <- function(x) {
  cat("mean alignment score (0 to 1):\n")
  for (row in seq_len(min(nrow(x$alignment), max_printed))) {
    cat("  ", x$alignment$species_a[[row]], " - ", x$alignment$species_b[[row]], ": ",
      format(round(x$alignment$score[[row]], 3), nsmall = 3), "\n", sep = "")
  }
  if (nrow(x$alignment) > max_printed) cat("  and ", nrow(x$alignment) - max_printed, " more pairs\n", sep = "")
}

#' Summarise a result
#'
#' @param object What [samap()] returns.
#' @param ... Ignored.
#' @return A list of class `summary.samap`: `species` (data frame: species, cells, genes, matched), `alignment` (data
#'   frame: species_a, species_b, score from 0 to 1), `edges` (matched pairs of genes), `passes`, and `seconds`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' summary(sm)
#' @method summary samap
#' @export
summary.samap <- function(object, ...) {
  structure(list(
    species = data.frame(
      species = object$species,
      cells = as.integer(table(factor(object$cells$species, object$species))),
      genes = as.integer(table(factor(object$genes$species, object$species))),
      matched = as.integer(table(factor(object$genes$species[object$genes$matched], object$species)))
    ),
    alignment = object$alignment, edges = sum(object$homology$edges$matched),
    passes = n_passes(object), seconds = object$provenance$seconds, origin = origin_text(object)
  ), class = "summary.samap")
}

#' @method print summary.samap
#' @export
print.summary.samap <- function(x, ...) {
  print(x$species, row.names = FALSE)
  cat("\nMean alignment score (0 to 1):\n")
  print(x$alignment, row.names = FALSE, digits = 3)
  cat("\n", count_of(x$edges, "homologous pair"), ", ",
    if (is.na(x$passes)) x$origin else paste0(
      count_of(x$passes, "pass", "passes"), ", ", format(round(x$seconds, 1)), " s"
    ), "\n", sep = "")
  invisible(x)
}

# ---- accessors ---------------------------------------------------------------

#' The stitched graph of all cells
#'
#' @param sm What [samap()] returns.
#' @param iteration `"final"` (the last pass) or the number of a pass; 0 means the first, mapped with sequence
#'   homology alone. Passes between the first and the last are there with `samap_control(keep_iterations = TRUE)`.
#' @return dgCMatrix cells x cells; row = source, so that row i holds the weights of cell i's edges: neighbours within
#'   its species, and linked cells of others. Both dimnames are cell ids. An absent pass is an error of class
#'   `samap_error_argument`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' dim(stitched_graph(sm))
#' @export
stitched_graph <- function(sm, iteration = "final") {
  check_samap(sm)
  graph <- find_pass(sm, iteration)$graph
  dimnames(graph) <- list(sm$cells$cell, sm$cells$cell)
  graph
}

#' The homology graph
#'
#' @param sm What [samap()] returns.
#' @param refined `TRUE`: pairs of genes that kept a correlation after the last refinement. `FALSE`: all input pairs,
#'   with the correlation `NA`.
#' @return Data frame: species_a, gene_a, species_b, gene_b, weight (as given), correlation (of the smoothed
#'   expression of both genes over the cells of both species, -1 to 1). Each pair once. Correlations come from the
#'   last refinement made, over the graph of the pass before the last (of the first, if there was only one).
#' @seealso [refine_homology()], [query_gene_pairs()]
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(homology_graph(sm))
#' @export
homology_graph <- function(sm, refined = TRUE) {
  check_samap(sm)
  refined_edges(sm$homology$edges, check_flag(refined, "refined"))
}

refined_edges <- function(edges, refined) {
  if (refined) {
    edges <- edges[edges$matched & !is.na(edges$correlation) & edges$correlation != 0, , drop = FALSE]
  } else {
    edges$correlation <- NA_real_
  }
  rownames(edges) <- NULL
  edges[c(edge_columns, "correlation")]
}

#' Refine the homology once more
#'
#' Computes the correlation of every homologous pair of genes over the final stitched graph.
#'
#' @param sm What [samap()] returns, with its counts.
#' @param mode `"pearson"` or `"xi"` (Chatterjee's coefficient).
#' @param thr Correlations below this become 0 and are left out.
#' @param wscale Scale the correlation r of genes with the SAM weights v and w to sqrt(r sqrt(v w)).
#' @param backend As in [samap()].
#' @param threads,verbose As in [samap()].
#' @return Data frame as of [homology_graph()]. Without counts an error of class `samap_error_no_counts`.
#' @references Chatterjee S (2021). A new coefficient of correlation. *JASA* 116:2009-2022.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(refine_homology(sm, thr = 0.3, threads = 1, verbose = FALSE))
#' @export
refine_homology <- function(sm, mode = c("pearson", "xi"), thr = 0, wscale = FALSE,
                            backend = c("auto", "cpu", "cuda"), threads = NULL, verbose = TRUE) {
  check_samap(sm)
  mode <- check_choice(mode, c("pearson", "xi"), "mode")
  counts <- need_counts(sm)
  run <- result_run(sm, threads, verbose)
  run$backend <- resolve_backend(backend, run, "refinement")
  options <- with_options(
    sm$options$mapping, hom_edge_mode = mode,
    hom_edge_thr = check_number(thr, "thr"), wscale = check_flag(wscale, "wscale")
  )
  index <- result_index(sm)
  parts <- lapply(sm$species, function(id) {
    list(
      expression = sm_expression(sm, id, counts, run), weights = sam_of(sm, id)$genes$weight,
      gene_columns = index$columns[[id]]
    )
  })
  edges <- sm$homology$edges
  edges$correlation[edges$matched] <- engine_refine(parts, index$homology, final_pass(sm)$graph, options, run)
  refined_edges(edges, TRUE)
}

# As homology_index(), from a result.
result_index <- function(sm) {
  tables <- lapply(setNames(nm = sm$species), function(id) sm$genes[sm$genes$species == id, ])
  atlases <- lapply(tables, function(table) list(genes = table$gene))
  homology_index(sm$homology$edges, atlases, lapply(tables, `[[`, "matched"))
}

# Normalised expression of a species, made again from the counts.
sm_expression <- function(sm, species, counts, run) {
  engine_expression(counts[[species]], sam_of(sm, species)$options$preprocess, run, species)$pointer
}

#' Cells, genes, and what happened during a run
#'
#' @param sm What [samap()] or [sam()] returns.
#' @return `cell_metadata()`: data frame, one row per cell in the order of [stitched_graph()]: cell (the id
#'   `<species>_<barcode>`, made unique), species, barcode (the original name), sample, then the metadata of each
#'   species (`NA` where a species lacks a column; `samap_leiden` where clusters were made). Metadata columns that are
#'   called `cell`, `species` or `barcode` become `<name>_original`.
#'
#'   `gene_weights()`: data frame, one row per gene: species, gene, weight (of SAM, 0 to 1), matched (the homology
#'   names the gene). For one species: gene, weight, dispersion, mean, variance (of the normalised data), kept (by the
#'   gene filter).
#'
#'   `run_info()`: data frame of the phases (`kind` is `"phase"`; with seconds, and the peak memory of the process in
#'   MB) and of everything that was chosen automatically (`kind` is `"choice"`; with what was chosen and why).
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' head(cell_metadata(sm))
#' head(gene_weights(sm))
#' run_info(sm)
#' @name accessors
NULL

#' @rdname accessors
#' @export
cell_metadata <- function(sm) {
  check_result(sm)
  sm$cells
}

#' @rdname accessors
#' @export
gene_weights <- function(sm) {
  check_result(sm)
  sm$genes
}

#' @rdname accessors
#' @export
run_info <- function(sm) {
  check_result(sm)
  phases <- sm$timings
  choices <- sm$choices
  data.frame(
    step = c(phases$step, choices$step),
    kind = rep(c("phase", "choice"), c(nrow(phases), nrow(choices))),
    what = c(phases$phase, choices$what),
    seconds = c(phases$seconds, rep(NA_real_, nrow(choices))),
    peak_mb = c(phases$peak_mb, rep(NA_real_, nrow(choices))),
    chosen = c(rep(NA_character_, nrow(phases)), choices$chosen),
    reason = c(rep(NA_character_, nrow(phases)), choices$reason)
  )
}

check_result <- function(x, argument = "sm") {
  if (inherits(x, "samap_sam")) check_format(x, argument) else check_samap(x, argument)
}

# ---- counts ------------------------------------------------------------------

# The counts a result holds: per species, or of its one species.
need_counts <- function(x) {
  if (is.null(x$counts)) {
    samap_abort(
      "no_counts", "This needs the counts, which the result does not hold.",
      remedy = if (is_imported(x)) {
        "Give the SAM runs of the species to `read_samap_h5ad()`, as `sams`."
      } else {
        "`attach_counts()` restores them from the atlases of the run."
      }
    )
  }
  counts <- if (inherits(x, "samap_sam")) list(x$counts) else x$counts
  for (file in unlist(lapply(unname(counts), source_files), recursive = FALSE)) check_counts_file(file)
  x$counts
}

#' Give a result its counts back
#'
#' @param sm What [samap()] or [sam()] returned with `samap_control(keep_counts = FALSE)`, or from files that are
#'   elsewhere now.
#' @param atlases The atlases of that run, as given to [samap()] (or the one given to [sam()]); files wherever they are
#'   now.
#' @return `sm` with the counts. Other atlases than those of the run are an error of class
#'   `samap_error_different_input`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology,
#'   umap = FALSE, threads = 1, control = samap_control(keep_counts = FALSE), verbose = FALSE
#' )
#' sm <- attach_counts(sm, example$atlases)
#' @export
attach_counts <- function(sm, atlases) {
  check_result(sm)
  single <- inherits(sm, "samap_sam")
  read <- if (single) list(x = read_atlas(atlases, sole_species)) else read_atlases(atlases)
  now <- atlas_sizes(read)
  before <- sm$provenance$inputs
  same <- before$hash == now$hash[match(before$species, now$species)]
  if (is_imported(sm)) same <- vapply(sm$species, function(id) same_names(read[[id]], sm, id), logical(1))
  if (!all(same %in% TRUE)) {
    changed <- before$species[!same %in% TRUE]
    samap_abort(
      "different_input", "The atlases are not those of the run.", argument = "atlases", species = changed,
      found = if (!single) paste0("Different or absent: ", enumerate(quoted(changed)), "."),
      remedy = "Give the very counts `sm` was made from."
    )
  }
  counts <- lapply(read, `[[`, "counts")
  sm$counts <- if (single) counts[[1]] else counts[sm$species]
  sm
}

# What can be known of counts for a mapping that was read from a file: whether genes and cells are the same.
same_names <- function(atlas, sm, species) {
  cells <- sm$cells$barcode[sm$cells$species == species]
  identical(atlas$genes, sm$genes$gene[sm$genes$species == species]) && identical(atlas$cells$barcode, cells)
}
