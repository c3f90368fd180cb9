# Memory and time of a run before it is made. What the phases need is computed by the engine from sizes and options.

#' What a run will need
#'
#' Estimates memory and time of [samap()] on these atlases, phase by phase, before anything runs.
#'
#' @param atlases,homology,keys,n_iterations,cross_species_k,neighborhood_sizes,umap As in [samap()].
#' @param knn,threads,control As in [samap()].
#'
#' @details
#' Memory is counted from the sizes of what each step holds: cells, genes, stored counts, neighbours, components, groups
#' and threads. On the data it was checked with, the peak is right within 25 %. It counts what the R process holds at
#' the moment: call it in the session, and with the objects, that the run will have.
#'
#' Time is rough. The work of each phase is divided by what this machine does at best (dense products and copying are
#' measured first, in less than a second), and multiplied by a factor that was recorded for the phase. How many
#' iterations SAM takes, and how alike cells are, depends on the data.
#'
#' [samap()] makes the memory part of this plan itself. It warns (class `samap_warning_memory`) before a run that needs
#' more memory than is available to this process, control groups (containers, batch systems) included, and refuses
#' (class `samap_error_memory`) one that needs more than 1.5 times all the memory there is, swap space included.
#' `options(samap.check_memory = FALSE)` turns both off.
#' @return A data frame of class `samap_plan`, one row per phase in the order of [run_info()]: step (the species, or
#'   `"mapping"`), phase, memory_mb (peak of the process up to the end of the phase, in MB), seconds (to expect), and
#'   floor (seconds that the arithmetic or the memory traffic of the phase alone would take). The attribute
#'   `available_mb` is what the process holds and can still get.
#' @examples
#' example <- samap_example("pancreas-small")
#' samap_plan(example$atlases, example$homology, keys = "cell_type", threads = 1)
#' @export
samap_plan <- function(atlases, homology, keys = NULL, n_iterations = 3L, cross_species_k = 20L,
                       neighborhood_sizes = 3L, umap = TRUE, knn = c("auto", "exact", "ivf", "hnsw"), threads = NULL,
                       control = samap_control()) {
  check_control(control)
  check_flag(umap, "umap")
  run <- new_run(threads, control$memory, verbose = FALSE)
  atlases <- read_atlases(atlases)
  species <- names(atlases)
  settings <- list(
    mapping = with_options(
      samap_defaults()$mapping,
      n_iterations = check_number(n_iterations, "n_iterations", min = 1, integer = TRUE),
      cross_species_k = check_number(cross_species_k, "cross_species_k", min = 1, integer = TRUE),
      expansion = control$expansion, max_neighborhood = control$max_neighborhood,
      keep_iterations = control$keep_iterations
    ),
    neighborhood_sizes = per_species(neighborhood_sizes, species, "neighborhood_sizes", 3L, check_count),
    neigh_from_keys = per_species(FALSE, species, "neigh_from_keys", FALSE, check_flag),
    keys = keys, loadings = loadings_options(control), control = control,
    knn = knn_options(check_choice(knn, knn_methods, "knn"), control)
  )
  inputs <- list(atlases = atlases, cells = cell_table(atlases), sizes = atlas_sizes(atlases))
  inputs$homology <- match_homology(as_homology(homology, species), atlases, FALSE, run)
  new_plan(plan_phases(inputs, settings, umap, NULL, run, measured = TRUE), species)
}

# The phases as the engine plans them: species (number, 0 = all), phase, bytes, floor, seconds.
plan_phases <- function(inputs, settings, umap, from, run, measured) {
  species <- names(inputs$atlases)
  keyed <- key_labels(settings$keys, inputs$cells, species)
  sizes <- lapply(species, function(id) {
    size <- inputs$sizes[inputs$sizes$species == id, ]
    list(
      cells = size$cells, genes = size$genes, stored = size$nonzeros, homologous = sum(inputs$homology$matched[[id]]),
      groups = if (is.null(keyed[[id]])) numeric() else as.numeric(table(group_index(keyed[[id]]))),
      fitted = !is.null(from) || !is.null(inputs$atlases[[id]]$sam),
      neighborhood_size = settings$neighborhood_sizes[[id]], neigh_from_keys = settings$neigh_from_keys[[id]]
    )
  })
  options <- list(
    sam = with_options(samap_defaults()$sam, pca_solver = settings$control$pca_solver), knn = settings$knn,
    loadings = settings$loadings, mapping = settings$mapping, umap = if (umap) umap_options(),
    edges = sum(inputs$homology$edges$matched), on_disk = !isFALSE(settings$control$on_disk)
  )
  engine_plan(sizes, options, measured, run)
}

new_plan <- function(phases, species) {
  memory <- machine_memory_()
  plan <- data.frame(
    step = c("mapping", species)[phases$species + 1], phase = phases$phase,
    memory_mb = (memory$resident + phases$bytes) / 2^20, seconds = phases$seconds, floor = phases$floor
  )
  structure(plan, available_mb = (memory$resident + memory$available) / 2^20, class = c("samap_plan", "data.frame"))
}

#' @method print samap_plan
#' @export
print.samap_plan <- function(x, ...) {
  cat("<samap_plan> about ", format_seconds(sum(x$seconds)), ", peak memory about ", format_mb(max(x$memory_mb)),
    " of ", format_mb(attr(x, "available_mb")), "\n",
    sep = "")
  shown <- data.frame(
    step = x$step, phase = x$phase, memory = format_mb(x$memory_mb), time = format_seconds(x$seconds)
  )
  print(shown, row.names = FALSE, right = FALSE)
  invisible(x)
}

format_mb <- function(x) {
  ifelse(is.na(x), "unknown", ifelse(x < 1000, sprintf("%.0f MB", x), sprintf("%.1f GB", x / 1000)))
}

format_seconds <- function(x) {
  ifelse(x < 60, sprintf("%.1f s", x), ifelse(x < 3600, sprintf("%.0f min", x / 60), sprintf("%.1f h", x / 3600)))
}

# How much more than all memory a plan must say for a run to be hopeless.
hopeless <- 1.5

# Warns before a run that will not fit, and refuses one that never can.
check_memory <- function(inputs, settings, umap, from, run) {
  memory <- machine_memory_()
  if (!isTRUE(getOption("samap.check_memory", TRUE)) || anyNA(unlist(memory))) {
    return(invisible())
  }
  needed <- max(plan_phases(inputs, settings, umap, from, run, measured = FALSE)$bytes)
  if (needed <= memory$available) {
    return(invisible())
  }
  remedy <- paste0(
    "`samap_plan()` says which phase needs most. Lower `samap_control(max_neighborhood =)` or `n_components`, set ",
    "`on_disk = TRUE` or `keep_counts = FALSE`, or map fewer cells."
  )
  if (memory$resident + needed > hopeless * memory$total) {
    samap_abort(
      "memory", "This run cannot fit into the memory of this machine.", argument = "atlases",
      found = memory_found(needed, "all there is", memory$total),
      remedy = remedy
    )
  }
  samap_warn(
    "memory", "This run may not fit into memory.", argument = "atlases",
    found = memory_found(needed, "available", memory$available),
    remedy = remedy
  )
}

memory_found <- function(needed, what, bytes) {
  paste0("It needs about ", format_mb(needed / 2^20), "; ", what, ": ", format_mb(bytes / 2^20), ".")
}
