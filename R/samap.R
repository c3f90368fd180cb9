#' Map single-cell atlases of several species onto each other
#'
#' Runs SAM on every species, then alternates between projecting all species into a joint space through the homology
#' of their genes, linking cells that are mutual neighbours across species, and re-weighting the homology of genes by
#' the correlation of their expression over linked cells. The result is a stitched graph of all cells, and the refined
#' homology.
#'
#' @param atlases Named list, one entry per species id (two or more; any string without white space or `;`). Each
#'   entry is raw counts, genes x cells, as a matrix or sparse matrix; `list(counts =, cells =)` with a data frame of
#'   cell metadata; a Seurat object; a SingleCellExperiment; the path of an `.h5ad` file or of the `.h5` file of Cell
#'   Ranger, whose counts then stay out of R ([h5ad_atlas()] chooses a layer or another column of gene names); what
#'   [sam()] returned; or an unnamed list of those (several samples, stacked).
#' @param homology Homologous genes: what [homology_from_pairs()], [homology_from_blast()], [homology_from_eggnog()] or
#'   [read_homology()] return, a data frame with the columns `species_a`, `gene_a`, `species_b`, `gene_b`, `weight`, or
#'   the path of a folder of BLAST tables, such as [run_blast()] writes, or of a file of [save_homology()]. A pair of
#'   species without homology gets no direct links (star designs), with one warning.
#' @param keys Metadata column whose groups set how far neighbourhoods grow (one name for all species, or a named
#'   vector; species not named use clusters). `NULL`: Leiden clusters.
#' @param resolutions Resolution of those clusters.
#' @param n_iterations Number of passes; with `from`, of further passes.
#' @param cross_species_k Number of neighbours a cell has in each other species.
#' @param neighborhood_sizes Steps by which the neighbourhood of a cell grows in its own species, plus one.
#' @param neigh_from_keys Use the whole group of a cell as its neighbourhood.
#' @param pairwise Project and link every pair of species by itself. `FALSE`: all species at once.
#' @param scale_edges_by_corr Scale links by the correlation of the two cells in the joint space.
#' @param hom_edge_mode Refine homology by Pearson's correlation or by Chatterjee's xi.
#' @param hom_edge_thr Refined correlations below this become 0.
#' @param n_gene_chunks Number of chunks in which the homology graph is refined (memory; at least 1).
#' @param umap Lay out the stitched graph in two dimensions ([run_umap()] does it later).
#' @param backend `"auto"` (a GPU that can be used, else the CPU), `"cpu"` or `"cuda"` (an NVIDIA GPU; an error of class
#'   `samap_error_device` that says why where there is none). See [samap_devices()] for what is needed; [run_info()]
#'   says what was taken.
#' @param knn Neighbour search: `"auto"` (exact up to `control$exact_limit` cells), `"exact"`, `"ivf"` or `"hnsw"`.
#' @param from An earlier result on the same atlases and homology, to continue from (with its `keys`, unless others are
#'   given; all other arguments are taken from the call, not from `from`, `resolutions` too). With the same arguments
#'   one pass continued by two is bit for bit the same as three passes.
#' @param fix_ids Where gene names differ between atlas and homology by a version suffix, a prefix, case, `_` and `-`,
#'   or a part between `|`, or several of these, match them all the same (see [match_genes()]). `FALSE`: only say so.
#' @param threads Number of threads; `NULL`: `getOption("samap.threads")`, then `RAYON_NUM_THREADS`, then the
#'   available cores (one thread in a process that was forked, as by `parallel::mclapply()`); at most what
#'   `OMP_THREAD_LIMIT` allows. Results do not depend on it.
#' @param seed Seed of every random draw. The same input and seed give the same bits.
#' @param control What [samap_control()] returns.
#' @param verbose Show progress.
#'
#' @details
#' `resolutions`, `neighborhood_sizes`, `neigh_from_keys` and `keys` are single values for all species, or named by
#' species.
#'
#' @return A list of class `samap` (plain data: `saveRDS()` works). Read it with [stitched_graph()], [homology_graph()],
#'   [alignment_scores()], [gene_pairs()], [cluster_markers()], [cell_scores()], [transfer_labels()],
#'   [cluster_stitched()], [cell_metadata()], [gene_weights()], [embedding()], [plot_embedding()], [plot_alignment()],
#'   [samap_check()] and [run_info()]; [as_seurat()], [as_sce()] and [add_samap()] bring it to where you work. Its
#'   fields:
#'   * `format`: 1; see [update_samap()].
#'   * `species`: ids, in the order of `atlases`.
#'   * `cells`, `genes`: data frames, in the order of the graphs (species after species).
#'   * `homology`: list of `edges` (data frame; `matched`: both genes are in the atlases; `correlation`) and
#'     `refined_over` (the pass over whose graph the correlations were computed).
#'   * `passes`: list of the first and last pass (or all): `iteration`, `k`, `graph` (dgCMatrix cells x cells, row =
#'     source).
#'   * `latent`: matrix cells x dimensions, the joint projection of the last pass. `umap`: matrix cells x 2, or `NULL`.
#'   * `alignment`: mean alignment score of the cells per pair of species (0 to 1).
#'   * `checks`: what [samap_check()] found in the groups of the run, as far as [print()] counts it.
#'   * `sam`: per species, what [sam()] computes. `groups`: per species, the group of every cell.
#'   * `counts`: per species, the dgCMatrix, or path, size and hash of the files they are in; or `NULL`.
#'   * `options`, `timings`, `choices`, `provenance`.
#'
#' Errors have the classes `samap_error_<kind>`, all inheriting from `samap_error`, with fields `argument`, `species`,
#' `found` and `remedy`. Kinds: `argument`, `species`, `shape`, `names`, `missing`, `negative`, `infinite`, `empty`,
#' `few_cells`, `key`, `memory`, `disk`, `no_counts`, `no_match`, `different_input`, `device`, `io`, `parse`,
#' `numerical`, `internal`.
#' @references
#' Tarashansky AJ, Musser JM, Khariton M, Li P, Arendt D, Quake SR, Wang B (2021). Mapping single-cell atlases
#' throughout Metazoa unravels cell type evolution. *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(
#'   example$atlases, example$homology,
#'   keys = "cell_type", umap = FALSE, threads = 1, verbose = FALSE
#' )
#' sm
#' head(alignment_scores(sm, "cell_type"))
#' \donttest{
#' example <- samap_example("pancreas")
#' sm <- samap(example$atlases, example$homology, threads = 2)
#' plot_embedding(sm, "cell_type")
#' }
#' @export
samap <- function(atlases, homology,
                  keys = NULL, resolutions = 3,
                  n_iterations = 3L, cross_species_k = 20L,
                  neighborhood_sizes = 3L, neigh_from_keys = FALSE, pairwise = TRUE,
                  scale_edges_by_corr = TRUE, hom_edge_mode = c("pearson", "xi"), hom_edge_thr = 0, n_gene_chunks = 1L,
                  umap = TRUE, backend = c("auto", "cpu", "cuda"), knn = c("auto", "exact", "ivf", "hnsw"),
                  from = NULL, fix_ids = FALSE,
                  threads = NULL, seed = 0L, control = samap_control(), verbose = TRUE) {
  started <- proc.time()[["elapsed"]]
  check_control(control)
  check_flag(umap, "umap")
  check_flag(fix_ids, "fix_ids")
  if (!is.null(from)) check_samap(from, "from")
  run <- new_run(threads, control$memory, verbose, control$on_disk)
  run$backend <- resolve_backend(backend, run)
  atlases <- read_atlases(atlases)
  species <- names(atlases)
  seed <- check_number(seed, "seed", min = 0, integer = TRUE)
  settings <- list(
    mapping = with_options(
      samap_defaults()$mapping,
      n_iterations = check_number(n_iterations, "n_iterations", min = 1, integer = TRUE),
      cross_species_k = check_number(cross_species_k, "cross_species_k", min = 1, integer = TRUE),
      pairwise = check_flag(pairwise, "pairwise"),
      scale_edges_by_corr = check_flag(scale_edges_by_corr, "scale_edges_by_corr"),
      hom_edge_mode = check_choice(hom_edge_mode, c("pearson", "xi"), "hom_edge_mode"),
      hom_edge_thr = check_number(hom_edge_thr, "hom_edge_thr"),
      n_gene_chunks = check_number(n_gene_chunks, "n_gene_chunks", min = 1, integer = TRUE),
      wscale = control$wscale, expansion = control$expansion, max_neighborhood = control$max_neighborhood,
      correlation_memory = control$correlation_memory, keep_iterations = control$keep_iterations
    ),
    neighborhood_sizes = per_species(neighborhood_sizes, species, "neighborhood_sizes", 3L, check_count),
    neigh_from_keys = per_species(neigh_from_keys, species, "neigh_from_keys", FALSE, check_flag),
    resolutions = per_species(resolutions, species, "resolutions", 3, check_positive),
    keys = if (is.null(keys)) from$options$keys else keys,
    loadings = loadings_options(control), seed = seed, device = run$backend, control = control,
    knn = knn_options(check_choice(knn, knn_methods, "knn"), control)
  )
  inputs <- list(atlases = atlases, cells = cell_table(atlases), sizes = atlas_sizes(atlases))
  inputs$homology <- match_homology(as_homology(homology, species), atlases, fix_ids, run)
  check_memory(inputs, settings, umap, from, run)
  sm <- map_atlases(inputs, settings, from, run)
  if (umap) sm <- lay_out(sm, umap_options(seed = seed), run)
  sm$timings <- run_phases(run)
  sm$choices <- run_choices(run)
  sm$provenance$seconds <- proc.time()[["elapsed"]] - started
  sm
}

check_count <- function(x, argument, species = NULL) {
  check_number(x, argument, min = 0, integer = TRUE, species = species)
}

check_positive <- function(x, argument, species = NULL) {
  check_number(x, argument, min = 0, species = species)
}

# The run itself, on checked input.
map_atlases <- function(inputs, settings, from, run) {
  species <- names(inputs$atlases)
  if (!is.null(from)) check_same_inputs(from, inputs)
  keyed <- key_labels(settings$keys, inputs$cells, species)
  index <- homology_index(inputs$homology$edges, inputs$atlases, inputs$homology$matched)
  fits <- setNames(lapply(species, function(id) {
    prepare_species(inputs$atlases[[id]], id, index$columns[[id]], settings, from, run)
  }), species)
  check_partner_number(inputs$atlases, settings$mapping$cross_species_k)
  groups <- setNames(lapply(species, function(id) {
    species_groups(keyed[[id]], fits[[id]]$fit, id, settings)
  }), species)
  note_cap(groups, settings, run)
  parts <- setNames(lapply(species, function(id) {
    list(
      expression = fits[[id]]$expression, loadings = fits[[id]]$loadings, weights = fits[[id]]$fit$genes$weight,
      neighbor_index = fits[[id]]$fit$neighbor_index, gene_columns = index$columns[[id]],
      groups = group_index(groups[[id]]), neighborhood_size = settings$neighborhood_sizes[[id]],
      neigh_from_keys = settings$neigh_from_keys[[id]]
    )
  }), species)
  start <- continuation(from, settings)
  mapped <- engine_mapping(parts, index$homology, start, settings$mapping, settings$knn, settings$seed, run)
  new_samap(inputs, settings, fits, groups, mapped, from, run)
}

# SAM results of a species, its normalised expression, and its loadings. Results of sam() and of an earlier run are
# taken over; expression and loadings (of `genes`) follow from them and the counts.
prepare_species <- function(atlas, species, genes, settings, from, run) {
  known <- if (is.null(from)) atlas$sam else from$sam[[species]]
  if (is.null(known)) {
    defaults <- samap_defaults()
    options <- with_options(defaults$sam, seed = settings$seed, pca_solver = settings$control$pca_solver)
    fitted <- fit_sam(
      atlas, species, defaults$preprocess, options, settings$knn, run, settings$control$cache, pcs = FALSE
    )
  } else {
    expression <- engine_expression(atlas$counts, known$options$preprocess, run, species)
    fitted <- list(fit = known, expression = expression$pointer)
  }
  # Nothing needs SAM's own loadings.
  fitted$fit$pcs <- NULL
  fitted$loadings <- engine_loadings(
    fitted$expression, fitted$fit$genes$weight, carried_coordinates(fitted$fit), genes, settings$loadings,
    settings$seed, run, species
  )
  fitted
}

# Coordinates of the cells that are not plain principal components: given ones, or corrected for batches. The loadings
# carry them into the mapping.
carried_coordinates <- function(fit) {
  if (!is.null(fit$options$sam$components) || !is.null(fit$options$sam$batch)) fit$scores
}

# Per species, the labels `keys` name, or NULL where clusters are to be used.
key_labels <- function(keys, cells, species) {
  if (is.null(keys)) {
    return(list())
  }
  sources <- label_sources(keys, species, "keys")
  Map(function(source, id) label_values(source, cells, which(cells$species == id), id, "keys"), sources, names(sources))
}

# The groups whose sizes are the neighbourhood budgets of the cells.
species_groups <- function(labels, fit, species, settings) {
  if (is.null(labels)) {
    clusters <- leiden_clusters(fit$neighbor_index, settings$resolutions[[species]], settings$seed)
    warn_degenerate(clusters, species)
    return(clusters)
  }
  if (length(unique(clean_labels(labels))) == 1L) {
    samap_warn(
      "one_cluster", paste0("All cells of species ", quoted(species), " are in one group of `keys`."),
      argument = "keys", species = species,
      remedy = "Neighbourhoods then grow without a bound of their own; `keys = NULL` uses clusters."
    )
  }
  labels
}

# Whether `max_neighborhood` cuts the neighbourhood budgets, which are the sizes of the groups.
note_cap <- function(groups, settings, run) {
  cap <- settings$mapping$max_neighborhood
  if (is.infinite(cap)) {
    return(invisible())
  }
  for (id in names(groups)[!unlist(settings$neigh_from_keys)]) {
    largest <- max(tabulate(group_index(groups[[id]])))
    chosen <- if (largest > cap) "capped" else "not capped"
    reason <- paste0("the largest group has ", largest, " cells, the cap is ", cap)
    note_choice(run, id, "neighbourhoods", chosen, reason)
  }
}

# The homology graph as the engine takes it: genes that both the atlas and the homology have, per species in code-point
# order. columns: their rows in the counts. homology: edges between them.
homology_index <- function(edges, atlases, matched) {
  genes <- Map(function(atlas, here) sort(atlas$genes[here], method = "radix"), atlases, matched)
  columns <- Map(function(atlas, names) match(names, atlas$genes), atlases, genes)
  list(genes = genes, columns = columns, homology = edge_index(edges[edges$matched, , drop = FALSE], genes))
}

# ---- continuing --------------------------------------------------------------

# What the mapping starts with: nothing, or where an earlier run ended. Correlations over the graph of its last pass
# are made by the engine, unless they are there already, by the same options.
continuation <- function(from, settings) {
  if (is.null(from)) {
    return(NULL)
  }
  edges <- from$homology$edges
  usable <- same_refinement(from$options$mapping, settings$mapping)
  list(
    passes = n_passes(from), graph = final_pass(from)$graph, correlation = edges$correlation[edges$matched],
    refined_over = if (usable) from$homology$refined_over else 0L
  )
}

same_refinement <- function(a, b) {
  which <- c("hom_edge_mode", "hom_edge_thr", "wscale")
  identical(a[which], b[which])
}

check_same_inputs <- function(from, inputs) {
  if (is_imported(from)) {
    different_input("from", "A mapping that was read from a file cannot be continued.", NULL,
      "The file does not hold what the passes before it were made with.")
  }
  before <- from$provenance$inputs
  now <- inputs$sizes
  if (!identical(before$species, now$species)) {
    different_input("atlases", "The species are others, or in another order, than in `from`.", before$species,
      paste0("Then ", enumerate(quoted(before$species)), "; now ", enumerate(quoted(now$species)), "."))
  }
  changed <- now$species[before$hash != now$hash | !vapply(now$species, function(id) {
    same_fit(inputs$atlases[[id]]$sam, from$sam[[id]])
  }, logical(1))]
  if (length(changed) > 0) {
    found <- paste0("Different: ", enumerate(quoted(changed)), ".")
    different_input("atlases", "The atlases are not those of `from`.", changed, found)
  }
  if (!identical(from$provenance$homology$hash, inputs$homology$hash)) {
    different_input("homology", "The homology is not that of `from`.", NULL, NULL)
  }
}

same_fit <- function(given, before) {
  is.null(given) ||
    identical(given$genes$weight, before$genes$weight) && identical(given$neighbor_index, before$neighbor_index)
}

different_input <- function(argument, message, species, found) {
  samap_abort(
    "different_input", message, argument = argument, species = species, found = found,
    remedy = "A run continues on the same data; leave `from` out to start anew."
  )
}
