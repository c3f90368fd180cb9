#' Tuning parameters
#'
#' Everything that trades accuracy, speed and memory, or that the defaults of [samap()] settle well for most data.
#'
#' @param expansion How the neighbourhood of a cell grows before mutual neighbours are sought: `"bfs"`, breadth first
#'   over the kNN graph until the budget of the cell (the size of its group) is spent, as in SAMap 3.0.1, where among
#'   the neighbours of one cell the order of the cells decides who comes first; `"nearest"`, the same but nearest
#'   neighbours first, so that the order of the cells does not matter; or `"matrix_power"`, ring by ring those that
#'   most paths lead to, as in SAMap before version 3.
#' @param max_neighborhood Most cells in the neighbourhood of a cell: its budget is the size of its group, or this if
#'   that is smaller. With a bound, time and memory grow with the number of cells and not with its square. `Inf`: no
#'   bound, as in the reference.
#' @param pca_solver How principal components are found: `"auto"` (exact while there are at most 8 times
#'   as many cells, or genes, as components, or 1408; else randomized), `"exact"`, `"lanczos"` or `"randomized"`.
#' @param n_components Number of components the mapping projects through, per species.
#' @param wscale Scale the refined correlation of two genes by their SAM weights.
#' @param correlation_memory Bytes; the refinement holds the smoothed expression of all homologous genes at once if it
#'   is estimated to take less than this and than `memory`, and streams it in tiles otherwise.
#' @param memory Budget of every working set that grows with the number of cells: a number of bytes, or a string with a
#'   unit such as `"512MB"`, `"8GB"` or `"1.5 GiB"` (kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of
#'   1024). Chunks are cut to fit it; it changes memory and time, never a result. Data and results come on top.
#' @param on_disk Keep the normalised expression of each species in a file instead of in memory: `TRUE` (in R's
#'   temporary folder) or the path of a folder on a disk with more room. The file has 6 bytes per count other than 0
#'   while counts are read and about 4 afterwards, has no name, and is gone with the run, however that ends. Results
#'   are the same bits; the run is somewhat slower. With counts in `.h5ad` files nothing that grows with the counts is
#'   held in memory. A folder that is itself in memory (tmpfs) gains nothing, which a warning says; a large file whose
#'   matrix is stored by gene (CSC) is read slowly.
#' @param exact_limit Largest number of cells that `knn = "auto"` searches exactly.
#' @param probes Lists of the inverted file that are searched per cell for neighbours in another species, of about twice
#'   the square root of the number of cells (`knn = "ivf"`); within a species a quarter of them.
#' @param hnsw_m,hnsw_ef_construction,hnsw_ef Connections per layer, and candidates held while building and searching
#'   the graph (`knn = "hnsw"`).
#' @param keep_iterations Keep the stitched graph of every pass. `FALSE`: of the first and the last.
#' @param keep_counts Keep the counts in the result (the caller's own matrix, not a copy). `FALSE` makes saved results
#'   small, but [gene_pairs()], [cluster_markers()] and [refine_homology()] then need [attach_counts()] first.
#' @param cache Folder in which what SAM finds for each species is kept and found again, so that an interrupted or
#'   repeated run goes on from there. A result is taken only where the counts, all options and the version of the engine
#'   are the same; [run_info()] says so. Files in it may be deleted at any time. `NULL`: none.
#'
#' @return A list of class `samap_control`. An unusable value is an error of class `samap_error_argument`; a disk
#'   without room for the expression is one of class `samap_error_disk` when the run meets it.
#' @examples
#' samap_control(keep_iterations = TRUE, memory = "4GB")
#' @export
samap_control <- function(expansion = c("bfs", "nearest", "matrix_power"), max_neighborhood = 4000,
                          pca_solver = c("auto", "exact", "lanczos", "randomized"), n_components = 300L,
                          wscale = FALSE, correlation_memory = 2e9, memory = 2^31, on_disk = FALSE,
                          exact_limit = 30000L, probes = 128L,
                          hnsw_m = 48L, hnsw_ef_construction = 200L, hnsw_ef = 200L,
                          keep_iterations = FALSE, keep_counts = TRUE, cache = NULL) {
  control <- list(
    expansion = check_choice(expansion, c("bfs", "nearest", "matrix_power"), "expansion"),
    max_neighborhood = check_number(max_neighborhood, "max_neighborhood", min = 1, infinite = TRUE),
    pca_solver = check_choice(pca_solver, pca_solvers, "pca_solver"),
    n_components = check_number(n_components, "n_components", min = 2, integer = TRUE),
    wscale = check_flag(wscale, "wscale"),
    correlation_memory = check_number(correlation_memory, "correlation_memory", min = 0, infinite = TRUE),
    memory = memory_bytes(memory),
    on_disk = check_on_disk(on_disk),
    exact_limit = check_number(exact_limit, "exact_limit", min = 0, integer = TRUE),
    probes = check_number(probes, "probes", min = 1, integer = TRUE),
    hnsw_m = check_number(hnsw_m, "hnsw_m", min = 2, max = 256, integer = TRUE),
    hnsw_ef_construction = check_number(hnsw_ef_construction, "hnsw_ef_construction", min = 1, integer = TRUE),
    hnsw_ef = check_number(hnsw_ef, "hnsw_ef", min = 1, integer = TRUE),
    keep_iterations = check_flag(keep_iterations, "keep_iterations"),
    keep_counts = check_flag(keep_counts, "keep_counts"),
    cache = if (!is.null(cache)) check_string(cache, "cache")
  )
  structure(control, class = "samap_control")
}

check_on_disk <- function(on_disk) {
  if (!is.character(on_disk)) {
    return(check_flag(on_disk, "on_disk"))
  }
  folder <- check_string(on_disk, "on_disk")
  if (!dir.exists(folder)) {
    samap_abort(
      "argument", "`on_disk` must be TRUE, FALSE or the path of a folder.", argument = "on_disk",
      found = paste0("There is no folder ", folder, ".")
    )
  }
  normalizePath(folder)
}

# Bytes from a number, or from a string such as "8GB".
memory_bytes <- function(memory) {
  units <- c(B = 1, KB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12, KIB = 2^10, MIB = 2^20, GIB = 2^30, TIB = 2^40)
  if (is.character(memory) && length(memory) == 1L && !is.na(memory)) {
    parts <- regmatches(memory, regexec("^ *([0-9]+[.]?[0-9]*) *([[:alpha:]]+) *$", memory))[[1]]
    unit <- units[toupper(parts[3])]
    if (length(parts) == 0L || is.na(unit)) {
      samap_abort(
        "argument", "`memory` must be a number of bytes or a string such as \"8GB\".",
        argument = "memory", found = paste0("It is ", describe(memory), "."),
        remedy = "Units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB."
      )
    }
    memory <- as.double(parts[2]) * unname(unit)
  }
  check_number(memory, "memory", min = 2^20)
}

pca_solvers <- c("auto", "exact", "lanczos", "randomized")

knn_methods <- c("auto", "exact", "ivf", "hnsw")

#' The engine's default options
#'
#' Defaults live in the engine, once. The arguments of [samap()], [sam()], [run_umap()], [samap_control()] and of the
#' functions that make tables have the same values (a test asserts it).
#'
#' @return A named list of named lists, one per step (`preprocess`, `sam`, `knn`, `loadings`, `mapping`, `umap`,
#'   `gene_pairs`, `enrichment`, `substitutions`, `cell_type_triangles`, `gene_triangles`), `memory` in bytes, and
#'   `on_disk`.
#' @examples
#' samap_defaults()$mapping$n_iterations
#' @export
samap_defaults <- function() {
  rust_value(samap_defaults_())
}

#' @method print samap_control
#' @export
print.samap_control <- function(x, ...) {
  changed <- names(x)[!mapply(identical, unclass(x), unclass(samap_control())[names(x)])]
  cat("<samap_control>\n")
  for (name in names(x)) {
    cat("  ", name, " = ", format(x[[name]]), if (name %in% changed) " (changed)", "\n", sep = "")
  }
  invisible(x)
}

check_control <- function(control) {
  if (!inherits(control, "samap_control")) {
    samap_abort(
      "argument", "`control` must be what `samap_control()` returns.",
      argument = "control", found = paste0("It is ", describe(control), ".")
    )
  }
  control
}

knn_options <- function(method, control) {
  with_options(
    samap_defaults()$knn,
    method = method, exact_limit = control$exact_limit, probes = control$probes,
    hnsw_m = control$hnsw_m, hnsw_ef_construction = control$hnsw_ef_construction, hnsw_ef = control$hnsw_ef
  )
}

loadings_options <- function(control) {
  with_options(samap_defaults()$loadings, n_components = control$n_components, pca_solver = control$pca_solver)
}
