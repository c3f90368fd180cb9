# Checks of single arguments. Each returns the value as the engine wants it, or stops with a classed error that names
# the argument.

describe <- function(x) {
  if (is.null(x)) {
    return("NULL")
  }
  if (!is.atomic(x) || !is.null(dim(x)) || is.object(x)) {
    return(paste0("an object of class ", backticked(class(x)[[1]])))
  }
  if (length(x) != 1L) {
    article <- if (grepl("^[aeiou]", typeof(x))) "an " else "a "
    return(paste0(article, typeof(x), " vector of length ", length(x)))
  }
  if (is.character(x)) quoted(x) else format(x)
}

check_number <- function(x, argument, min = -Inf, max = Inf, integer = FALSE, infinite = FALSE, species = NULL) {
  if (integer) max <- integer_max(x, max)
  if (!in_range(x, min, max, infinite) || integer && x != round(x)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be ", number_range(min, max, integer), for_species(species), "."),
      argument = argument, species = species, found = paste0("It is ", describe(x), ".")
    )
  }
  if (integer) as.integer(x) else as.double(x)
}

in_range <- function(x, min, max, infinite) {
  is_number(x) && x >= min && x <= max && (infinite || is.finite(x))
}

# R's largest integer is a limit; it is worth saying only where it is passed.
integer_max <- function(x, max) {
  if (is_number(x) && x > .Machine$integer.max) min(max, .Machine$integer.max) else max
}

is_number <- function(x) is.numeric(x) && length(x) == 1L && !is.na(x)

number_range <- function(min, max, integer) {
  noun <- if (integer) "a whole number" else "a number"
  if (is.finite(min) && is.finite(max)) {
    return(paste0(noun, " from ", format(min), " to ", format(max)))
  }
  if (is.finite(min)) {
    return(paste0(noun, " of at least ", format(min)))
  }
  noun
}

for_species <- function(species) if (is.null(species)) "" else paste0(" (species ", quoted(species), ")")

check_flag <- function(x, argument, species = NULL) {
  if (!is.logical(x) || length(x) != 1L || is.na(x)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be TRUE or FALSE", for_species(species), "."),
      argument = argument, species = species, found = paste0("It is ", describe(x), ".")
    )
  }
  x
}

check_string <- function(x, argument) {
  if (!is.character(x) || length(x) != 1L || is.na(x) || !nzchar(x)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be a single string."),
      argument = argument, found = paste0("It is ", describe(x), ".")
    )
  }
  x
}

# One of `choices`; the whole vector, as in the formals, means the first.
check_choice <- function(x, choices, argument) {
  if (identical(x, choices)) {
    return(choices[[1]])
  }
  if (!is.character(x) || length(x) != 1L || !x %in% choices) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be one of ", paste(quoted(choices), collapse = ", "), "."),
      argument = argument, found = paste0("It is ", describe(x), ".")
    )
  }
  x
}

# Species ids are what everything else refers to: any string without white space or `;`.
check_species_ids <- function(ids, argument) {
  if (is.null(ids)) {
    samap_abort(
      "species", paste0(backticked(argument), " must have names: one species id per entry."),
      argument = argument, remedy = "For example `list(human = x, mouse = y)`."
    )
  }
  bad <- is.na(ids) | !nzchar(ids) | grepl("[[:space:];]", ids)
  if (any(bad)) {
    samap_abort(
      "species", paste0("A species id in ", backticked(argument), " is empty or contains white space or `;`."),
      argument = argument, found = paste0("Found ", paste(quoted(ids[bad]), collapse = ", "), "."),
      remedy = "Rename it, for example with `_` for a blank."
    )
  }
  twice <- unique(ids[duplicated(ids)])
  if (length(twice) > 0) {
    samap_abort(
      "species", paste0("Species ids in ", backticked(argument), " must be unique."),
      argument = argument, species = twice[[1]], found = paste0("Used more than once: ", enumerate(quoted(twice)), "."),
      remedy = "Put several samples of one species into one unnamed list under its id."
    )
  }
  ids
}

# A setting per species: a scalar for all, or a named vector or list for some or all; those not named have the default.
per_species <- function(x, species, argument, default, check) {
  if (is.null(names(x)) && length(x) == 1L) {
    return(setNames(lapply(species, function(id) check(x[[1]], argument)), species))
  }
  if (is.null(names(x))) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be a single value for all species, or named by species."),
      argument = argument, found = paste0("It is ", describe(x), " without names."),
      remedy = paste0("Name it, for example `c(", species[[1]], " = ", format(x[1]), ")`.")
    )
  }
  check_known_species(names(x), species, argument)
  values <- setNames(rep(list(default), length(species)), species)
  for (id in names(x)) {
    values[[id]] <- check(x[[id]], argument, species = id)
  }
  values
}

check_known_species <- function(ids, species, argument) {
  unknown <- setdiff(ids, species)
  if (length(unknown) > 0) {
    samap_abort(
      "species", paste0(backticked(argument), " names a species that is not there: ", enumerate(quoted(unknown)), "."),
      argument = argument, species = unknown[[1]], found = paste0("The species are ", enumerate(quoted(species)), ".")
    )
  }
  invisible(ids)
}

check_columns <- function(x, columns, argument) {
  absent <- setdiff(columns, names(x))
  if (length(absent) > 0) {
    samap_abort(
      "argument", paste0(backticked(argument), " lacks the column ", enumerate(backticked(absent)), "."),
      argument = argument, found = paste0("It has ", enumerate(backticked(names(x)), 10L), "."),
      remedy = paste0("Needed: ", paste(backticked(columns), collapse = ", "), ".")
    )
  }
  invisible(x)
}

# ---- counts ------------------------------------------------------------------

# What raw counts must be: at least one cell and gene, finite, not negative. `counts` is a dgCMatrix of genes × cells.
check_counts <- function(counts, species) {
  if (nrow(counts) == 0 || ncol(counts) == 0) {
    found <- paste0("has ", count_of(nrow(counts), "gene"), " and ", count_of(ncol(counts), "cell"), ".")
    bad_atlas("empty", species, found,
      remedy = "Counts are genes x cells; remove the species, or give it cells.")
  }
  found <- engine_count_summary(counts)
  if (found$missing > 0) {
    bad_atlas("missing", species, paste0("has ", count_of(found$missing, "missing value"), " (NA or NaN)."),
      remedy = "Counts must be complete; 0 where nothing was counted.")
  }
  if (found$smallest < 0) {
    bad_atlas("negative", species, paste0("has negative values, the smallest is ", format(found$smallest), "."),
      remedy = "Give raw counts, not scaled or centred data.")
  }
  if (found$largest == Inf) {
    bad_atlas("infinite", species, "has infinite values.", remedy = "Give raw counts.")
  }
  if (found$largest <= 0) {
    bad_atlas("empty", species, "has no counts at all: every value is 0.", remedy = "Give raw counts.")
  }
  looked_at <- counts@x[seq_len(min(length(counts@x), 1e5))]
  warn_not_counts(mean(looked_at != round(looked_at)), species)
  warn_empty(sum(diff(counts@p) == 0), nrow(counts) - found$genes, nrow(counts), species)
  counts
}

bad_atlas <- function(kind, species, found, remedy) {
  samap_abort(
    kind, unusable_atlas(species), argument = atlas_argument(species), species = species,
    found = paste("It", found), remedy = remedy
  )
}

# fractional: share of values that are no whole numbers.
warn_not_counts <- function(fractional, species) {
  if (fractional > 0.5) {
    samap_warn(
      "not_counts", paste0("The counts of ", the_species(species), " are mostly not whole numbers."),
      argument = atlas_argument(species), species = species,
      remedy = "Give raw counts: normalisation and logarithm are done here, once."
    )
  }
}

warn_empty <- function(empty_cells, empty_genes, n_genes, species) {
  if (empty_cells > 0) {
    samap_warn(
      "empty_cells", paste0(count_of(empty_cells, "cell"), " of ", the_species(species), " without any counts."),
      argument = atlas_argument(species), species = species,
      remedy = "They cannot be placed; remove them, for example `counts[, colSums(counts) > 0]`."
    )
  }
  if (empty_genes > n_genes / 2) {
    samap_warn(
      "empty_genes",
      paste0(count_of(empty_genes, "gene"), " (of ", n_genes, ") of ", the_species(species), " are empty."),
      argument = atlas_argument(species), species = species,
      remedy = "They are harmless, but are the counts complete, and is this the right matrix?"
    )
  }
}

# Too few cells to find neighbours among is an error; fewer than were asked for is a warning, and all the others are
# used.
check_cell_number <- function(n_cells, species, k) {
  if (n_cells < 7L) {
    bad_atlas("few_cells", species, paste0("has only ", count_of(n_cells, "cell"), "."),
      remedy = "Neighbours cannot be found among fewer than 7 cells; remove the species or add cells.")
  }
  if (n_cells - 1L < k) {
    samap_warn(
      "few_cells",
      paste0(the_species_first(species), " has ", n_cells, " cells, fewer than the ", k, " neighbours asked for."),
      argument = atlas_argument(species), species = species,
      remedy = paste0("Its cells have ", n_cells - 2L, " neighbours; be careful with what they show.")
    )
  }
}

# A species with fewer cells than cross-species neighbours are asked for gives all it has.
check_partner_number <- function(atlases, k) {
  n_cells <- vapply(atlases, function(atlas) ncol(atlas$counts), integer(1))
  for (species in names(atlases)[n_cells < k]) {
    few <- count_of(n_cells[[species]], "cell")
    samap_warn(
      "few_cells", paste0("Species ", quoted(species), " has ", few, ", fewer than `cross_species_k` = ", k, "."),
      argument = "cross_species_k", species = species,
      remedy = paste(
        "Every cell of the others has all of them as neighbours;",
        "scores say more with a smaller `cross_species_k`."
      )
    )
  }
}

# Names of the genes: present, not empty. Repeated names are made unique, since a gene is found by its name.
check_gene_names <- function(genes, species) {
  if (is.null(genes)) {
    bad_atlas("names", species, "has no gene names.", remedy = "Counts are genes x cells; set `rownames()`.")
  }
  bad <- is.na(genes) | !nzchar(genes)
  if (any(bad)) {
    bad_atlas("names", species, paste0("has ", count_of(sum(bad), "gene"), " with an empty or missing name."),
      remedy = "Name or remove them.")
  }
  twice <- unique(genes[duplicated(genes)])
  if (length(twice) == 0) {
    return(genes)
  }
  samap_warn(
    "duplicate_genes",
    paste0(count_of(length(twice), "gene name"), " of ", the_species(species), " occurring more than once: ",
      enumerate(twice), "."),
    argument = atlas_argument(species), species = species,
    remedy = "The first keeps its name, the others become `name.1`, ...; sum the rows beforehand if they are one gene."
  )
  make.unique(genes)
}
