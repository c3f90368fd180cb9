# Small atlases with planted cell types: every type has its own marker genes, homologous between species.

planted_atlas <- function(seed, n_types = 3L, cells_per_type = 30L, genes_per_type = 15L, n_other = 40L, prefix = "g") {
  withr::with_seed(seed, {
    types <- rep(paste0("type", seq_len(n_types)), each = cells_per_type)
    n_genes <- n_types * genes_per_type + n_other
    rate <- matrix(0.3, n_genes, length(types))
    for (type in seq_len(n_types)) {
      rows <- (type - 1L) * genes_per_type + seq_len(genes_per_type)
      rate[rows, types == paste0("type", type)] <- 5
    }
    counts <- matrix(stats::rpois(length(rate), rate), n_genes)
    dimnames(counts) <- list(paste0(prefix, seq_len(n_genes)), paste0("cell", seq_along(types)))
    order <- sample(length(types))
    cells <- data.frame(cell_type = types, batch = rep_len(c("x", "y"), length(types)))
    list(
      counts = methods::as(counts[, order], "CsparseMatrix"),
      cells = data.frame(cells[order, ], row.names = colnames(counts)[order])
    )
  })
}

planted_pairs <- function(a, b, n = 85L, prefix_a = "g", prefix_b = "g") {
  data.frame(
    species_a = a, gene_a = paste0(prefix_a, seq_len(n)),
    species_b = b, gene_b = paste0(prefix_b, seq_len(n)), weight = 100
  )
}

two_species <- function() {
  list(atlases = list(ha = planted_atlas(1), mu = planted_atlas(2)), homology = planted_pairs("ha", "mu"))
}

three_species <- function() {
  ids <- c("ha", "mu", "z_f")
  atlases <- setNames(lapply(1:3, planted_atlas), ids)
  pairs <- utils::combn(ids, 2L, simplify = FALSE)
  list(atlases = atlases, homology = do.call(rbind, lapply(pairs, function(pair) planted_pairs(pair[[1]], pair[[2]]))))
}

quiet_samap <- function(data, ..., umap = FALSE, threads = 1L) {
  samap(data$atlases, data$homology, ..., umap = umap, threads = threads, verbose = FALSE)
}

# A finished run on two species, made once.
finished <- local({
  sm <- NULL
  function() {
    if (is.null(sm)) sm <<- quiet_samap(two_species(), keys = "cell_type", umap = TRUE)
    sm
  }
})

# What two runs must share bit for bit: everything but times and thread numbers.
computed <- function(sm) {
  unclass(sm)[c("cells", "genes", "homology", "passes", "latent", "umap", "alignment", "sam", "groups")]
}

# Class and text of a condition, the same under all versions of rlang and testthat.
show_condition <- function(code) {
  condition <- tryCatch(
    {
      force(code)
      NULL
    },
    samap_error = identity, samap_warning = identity
  )
  if (is.null(condition)) {
    cat("no condition\n")
  } else {
    cat("<", class(condition)[[1]], "> ", condition$argument, "\n", sep = "")
    cat(conditionMessage(condition), "\n")
  }
}

golden_folder <- function() {
  # Beside the tests in the sources; not part of the built package.
  folder <- testthat::test_path("..", "golden", "sc-samap-3.0.1")
  testthat::skip_if_not(dir.exists(folder), "the golden fixtures are not part of the built package")
  folder
}

# Replaces functions of the package during a test, as local_mocked_bindings() of newer versions of testthat does.
local_mocked <- function(..., env = parent.frame()) {
  replacements <- list(...)
  home <- environment(samap)
  before <- mget(names(replacements), home)
  rebind <- function(values) {
    for (name in names(values)) {
      locked <- bindingIsLocked(name, home)
      if (locked) unlockBinding(name, home)
      assign(name, values[[name]], home)
      if (locked) lockBinding(name, home)
    }
  }
  withr::defer(rebind(before), envir = env)
  rebind(replacements)
}
