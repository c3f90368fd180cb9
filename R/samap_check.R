# What each check calls remarkable.
check_limits <- list(
  split = 0.1, # share of a group's cells outside of the component of the kNN graph that has most of them
  tiny = 10L, # cells of a group
  largest = 0.8, # share of cells in the largest group
  per_group = 5, # cells per group, on average
  one_batch = 0.95, # share of a group's cells in one batch
  homologs = 0.5, # share of a type's markers with a homolog
  linked = 0.05 # mean share of the links that the cells of a group have
)

check_batches <- c("sample", "batch", "donor", "individual", "replicate", "library", "orig.ident")

#' Check species and mapping
#'
#' Looks for what often goes wrong before a mapping and makes its scores hard to read: species whose cells fall apart or
#' follow batches, groups too small or too coarse, types whose markers have no homologs, and groups without a
#' counterpart.
#'
#' @param sm What [samap()] or, before a mapping, [sam()] returns.
#' @param by The groups to look at, as in [alignment_scores()] ([cluster_markers()] for the result of [sam()]); `NULL`,
#'   and for species that `by` does not name: the groups of the run.
#' @param batch Metadata column with the batches or donors; `NULL`: the first there is of `sample`, `batch`, `donor`,
#'   `individual`, `replicate`, `library`, `orig.ident`.
#' @param n_markers Number of markers per type that are looked up in the homology.
#' @param threads,verbose As in [samap()].
#' @return Data frame of class `samap_check`, one row per finding, and one for each check of a species that found
#'   nothing: check, species, level (`"ok"`, `"note"`: know it when you read the scores, `"warning"`: mend it), found,
#'   remedy (`NA` where all is well). Checks:
#'   * `fragments`: connected components of the kNN graph; a warning where they tear a group, more than 10 % of whose
#'     cells are outside of its main component.
#'   * `clusters`: one group only, a group with more than 80 % of the cells, or fewer than 5 cells per group.
#'   * `tiny_groups`: groups of fewer than 10 cells.
#'   * `batches`: groups with 95 % or more of their cells from one batch, where a species has several (groups of 10
#'     cells and more).
#'   * `markers`: types of which fewer than half of the markers (adjusted p below 0.01, the highest scores) have a
#'     homolog.
#'   * `links`: groups whose cells have on average less than 5 % of their links to every other species.
#'
#'   The result of [sam()] has the first four. `markers` needs the counts. [print()] of a result counts the findings of
#'   all but `markers` and `links`.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' samap_check(sm, by = "cell_type", threads = 1, verbose = FALSE)
#' @export
samap_check <- function(sm, by = NULL, batch = NULL, n_markers = 50L, threads = NULL, verbose = TRUE) {
  check_result(sm)
  n_markers <- check_number(n_markers, "n_markers", min = 1, integer = TRUE)
  run <- result_run(sm, threads, verbose)
  single <- inherits(sm, "samap_sam")
  parts <- if (single) sole_part(sm, by) else species_parts(sm, by)
  rows <- quick_checks(parts, batch, run)
  if (!single) {
    rows <- rbind(rows, check_markers(sm, parts, n_markers, run), check_links(sm, parts, run))
  } else {
    rows$species <- NA_character_
  }
  species <- if (single) NA_character_ else sm$species
  rows <- rows[order(match(rows$species, species)), , drop = FALSE]
  rownames(rows) <- NULL
  structure(rows, class = c("samap_check", "data.frame"))
}

# Per species what the checks read: cells, the kNN table, and the group of every cell (strings, NA for none).
species_parts <- function(sm, by = NULL) {
  label <- unlist(lapply(sm$groups, clean_labels), use.names = FALSE)
  if (is.null(label)) label <- no_groups(sm, by)
  if (!is.null(by)) {
    given <- resolve_labels(by, sm$cells, sm$species)
    rows <- sm$cells$species %in% given$types$species
    label[rows] <- given$label[rows]
  }
  lapply(setNames(nm = sm$species), function(id) {
    rows <- which(sm$cells$species == id)
    list(cells = sm$cells[rows, ], neighbors = sam_of(sm, id)$neighbor_index, group = label[rows])
  })
}

# A mapping that was read from a file has no groups of its own.
no_groups <- function(sm, by) {
  if (is.null(by) || !all(sm$species %in% names(label_sources(by, sm$species, "by")))) {
    samap_abort("argument", "`by` must name the groups of every species.", argument = "by",
      found = "The file the mapping was read from does not hold the groups of the run.")
  }
  rep(NA_character_, nrow(sm$cells))
}

sole_part <- function(fit, by) {
  if (is.null(by)) by <- "samap_leiden"
  label <- resolve_labels(sole_labels(by), one_species_cells(fit), sole_species)$label
  setNames(list(list(cells = fit$cells, neighbors = fit$neighbor_index, group = label)), sole_species)
}

quick_checks <- function(parts, batch, run) {
  rows <- Map(function(part, id) {
    rbind(
      check_fragments(part, id, run), check_clusters(part, id), check_tiny(part, id), check_batch(part, id, batch)
    )
  }, parts, names(parts))
  do.call(rbind, unname(rows))
}

finding <- function(check, species, level, found, remedy = NA_character_) {
  data.frame(check = check, species = species, level = level, found = found, remedy = remedy)
}

percent <- function(x) paste0(round(100 * x), " %")

check_fragments <- function(part, species, run) {
  component <- engine_components(part$neighbors, run)
  sizes <- tabulate(component)
  if (length(sizes) == 1L) {
    return(finding("fragments", species, "ok", "The kNN graph hangs together."))
  }
  found <- paste0("The kNN graph has ", length(sizes), " components; ", percent(1 - max(sizes) / sum(sizes)),
    " of the cells are outside of the largest.")
  outside <- tapply(component, part$group, function(own) 1 - max(tabulate(own)) / length(own))
  split <- names(outside)[outside > check_limits$split]
  if (length(split) == 0L) {
    return(finding("fragments", species, "note", found,
      "No group is torn, so these may be types far from all others. More neighbours join them, `sam(k =)`."))
  }
  finding("fragments", species, "warning", paste0(found, " Torn: ", enumerate(quoted(split)), "."),
    "Do batches or donors part the cells? `sam(batch =)` corrects for them; else more neighbours, `sam(k =)`.")
}

check_clusters <- function(part, species) {
  sizes <- table(part$group)
  n <- sum(sizes)
  if (length(sizes) < 2L) {
    return(finding("clusters", species, "warning", "All cells are in one group.",
      "Neighbourhoods grow without a bound of their own: raise `resolutions`, or give `keys`."))
  }
  if (max(sizes) > check_limits$largest * n) {
    return(finding("clusters", species, "note",
      paste0("Group ", quoted(names(sizes)[[which.max(sizes)]]), " has ", percent(max(sizes) / n), " of the cells."),
      "Raise `resolutions`, or give finer `keys`."))
  }
  if (length(sizes) * check_limits$per_group > n) {
    return(finding("clusters", species, "warning", paste0(length(sizes), " groups for ", count_of(n, "cell"), "."),
      "Lower `resolutions`, or give coarser `keys`: neighbourhoods cannot grow in groups of a few cells."))
  }
  finding("clusters", species, "ok", paste0(length(sizes), " groups of ", min(sizes), " to ", max(sizes), " cells."))
}

check_tiny <- function(part, species) {
  sizes <- table(part$group)
  tiny <- sizes[sizes < check_limits$tiny]
  if (length(tiny) == 0L) {
    return(finding("tiny_groups", species, "ok", paste0("No group has fewer than ", check_limits$tiny, " cells.")))
  }
  finding("tiny_groups", species, "note",
    paste0("Fewer than ", check_limits$tiny, " cells: ", enumerate(paste0(quoted(names(tiny)), " (", tiny, ")")), "."),
    "Their scores are noisy: look at both directions and at the numbers of cells, or merge them.")
}

check_batch <- function(part, species, batch) {
  column <- batch_column(part$cells, batch)
  values <- if (!is.null(column)) clean_labels(part$cells[[column]])
  if (length(unique(values[!is.na(values)])) < 2L) {
    return(finding("batches", species, "ok", "No column with several batches or donors."))
  }
  table <- table(part$group, values)
  share <- apply(table, 1, max) / rowSums(table)
  alone <- rowSums(table) >= check_limits$tiny & share >= check_limits$one_batch
  # A batch that nearly all cells are in dominates every group.
  if (max(colSums(table)) >= check_limits$one_batch * sum(table) || !any(alone)) {
    return(finding("batches", species, "ok", paste0("No group is made of one ", quoted(column), " alone.")))
  }
  finding("batches", species, if (mean(alone) > 0.5) "warning" else "note",
    paste0("Made of one ", quoted(column), " alone: ", enumerate(quoted(rownames(table)[alone])), " (",
      sum(alone), " of ", nrow(table), " groups)."),
    paste0("Biology, or a batch effect? `sam(batch = ", quoted(column), ")` corrects for it."))
}

# The column the batches are in; NULL if there is none.
batch_column <- function(cells, batch) {
  there <- function(name) name %in% names(cells) && !all(is.na(cells[[name]]))
  if (!is.null(batch)) {
    return(if (there(check_string(batch, "batch"))) batch)
  }
  Find(function(name) there(name) && length(unique(cells[[name]])) > 1L, check_batches)
}

check_markers <- function(sm, parts, n_markers, run) {
  counts <- tryCatch(need_counts(sm), samap_error_no_counts = function(condition) NULL)
  rows <- lapply(sm$species, function(id) {
    group <- parts[[id]]$group
    if (is.null(counts)) {
      return(finding("markers", id, "note", "Not checked: the counts are not there.", "`attach_counts()`"))
    }
    if (length(unique(group[!is.na(group)])) < 2L) {
      return(finding("markers", id, "ok", "Not checked: there are no two groups."))
    }
    marker_finding(marker_share(sm, id, group, n_markers, run), id, n_markers)
  })
  do.call(rbind, rows)
}

# Per group, the share of its markers that have a homolog.
marker_share <- function(sm, species, group, n_markers, run) {
  genes <- sm$genes[sm$genes$species == species, ]
  types <- label_order(group)
  labels <- list(labels = match(group, types), n_labels = length(types), types = types)
  markers <- find_markers(
    sm$counts[[species]], sam_of(sm, species)$options$preprocess, genes$gene, labels, species, "tie_corrected", run
  )
  markers <- markers[!is.na(markers$padj) & markers$padj < 0.01 & markers$score > 0, ]
  vapply(split(markers$gene, factor(markers$type, types)), function(top) {
    top <- utils::head(top, n_markers)
    if (length(top) == 0L) NA_real_ else mean(genes$matched[match(top, genes$gene)])
  }, double(1))
}

marker_finding <- function(share, species, n_markers) {
  few <- share[!is.na(share) & share < check_limits$homologs]
  if (length(few) == 0L) {
    return(finding("markers", species, "ok", paste0("At least half of the markers of every group have a homolog.")))
  }
  finding("markers", species, "note",
    paste0("Markers with a homolog (of the ", n_markers, " highest): ",
      enumerate(paste0(quoted(names(few)), " ", percent(few))), "."),
    "These groups align by the few genes they share. Are gene names and homology complete (`match_genes()`)?")
}

check_links <- function(sm, parts, run) {
  rows <- lapply(sm$species, function(id) {
    best <- linked_share(sm, id, parts[[id]]$group, run)
    alone <- names(best)[best < check_limits$linked]
    if (length(alone) == 0L) {
      return(finding("links", id, "ok", "All groups have links to other species."))
    }
    finding("links", id, "note", paste0("Hardly any links to other species: ", enumerate(quoted(alone)), "."),
      "They may have no counterpart. See `cell_scores()`, and the markers of these groups.")
  })
  do.call(rbind, rows)
}

# Per group, the mean share of its cells' links to the species it is linked to best: the alignment score of the group
# with that species as one type.
linked_share <- function(sm, species, group, run) {
  pass <- final_pass(sm)
  types <- label_order(group)
  labels <- whole_species(sm)
  labels[[species]] <- list(labels = match(group, types), n_labels = length(types), n_cells = length(group))
  scores <- engine_alignment(pass$graph, labels, pass$k, 0, run)
  own <- match(species, sm$species)
  forth <- scores[scores$species_a == own, ]
  back <- scores[scores$species_b == own, ]
  best <- tapply(c(forth$score_ab, back$score_ba), factor(c(forth$type_a, back$type_b), seq_along(types)), max)
  setNames(as.double(best), types)
}

# ---- printing ----------------------------------------------------------------

#' @method print samap_check
#' @export
print.samap_check <- function(x, ...) {
  if (!all(c("check", "species", "level", "found", "remedy") %in% names(x))) {
    return(NextMethod())
  }
  cat("<samap_check> ", check_counts_text(x), "\n", sep = "")
  for (row in seq_len(nrow(x))) {
    who <- if (is.na(x$species[[row]])) "" else paste0(x$species[[row]], ", ")
    text <- paste0(toupper(x$level[[row]]), "  ", who, x$check[[row]], ": ", x$found[[row]])
    cat(strwrap(text, exdent = 4), sep = "\n")
    if (!is.na(x$remedy[[row]])) cat(strwrap(x$remedy[[row]], indent = 4, exdent = 4), sep = "\n")
  }
  invisible(x)
}

check_counts_text <- function(x) {
  paste0(count_of(sum(x$level == "warning"), "warning"), ", ", count_of(sum(x$level == "note"), "note"))
}

print_checks <- function(x) {
  if (!is.null(x$checks)) cat("checks: ", check_counts_text(x$checks), " | see `samap_check()`\n", sep = "")
}
