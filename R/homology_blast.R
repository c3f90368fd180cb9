# Homology from BLAST tables: which files, what they hold, and names of transcripts as names of genes.

#' @rdname homology
#' @export
homology_from_blast <- function(dir, species, names = NULL, evalue = 1e-6, row_max_filter = 0.25) {
  check_number(evalue, "evalue", min = 0, infinite = TRUE)
  check_number(row_max_filter, "row_max_filter", min = 0, max = 1)
  check_blast_folder(dir, "dir")
  check_blast_arguments(species, names)
  tables <- blast_tables(dir, species)
  parts <- lapply(tables, read_blast_pair, evalue = evalue)
  edges <- do.call(rbind, lapply(parts, `[[`, "edges"))
  if (nrow(edges) == 0) {
    samap_abort(
      "empty", "The BLAST tables have no reciprocal hits.", argument = "dir", species = species,
      found = paste0("No pair of genes has an e-value of at most ", format(evalue), " in both directions."),
      remedy = "Are the tables complete, do both use the same names, and is `evalue` large enough?"
    )
  }
  genes <- merge_gene_lists(lapply(parts, `[[`, "genes"))
  for (id in names(names)) {
    renamed <- rename_genes(edges, genes, id, names[[id]])
    edges <- renamed$edges
    genes <- renamed$genes
  }
  filter_edges(new_homology(edges, genes), row_max_filter)
}

# ---- BLAST tables ------------------------------------------------------------

check_blast_folder <- function(dir, argument) {
  check_string(dir, argument)
  if (!dir.exists(dir)) {
    samap_abort(
      "io", paste0(backticked(argument), " is not a folder."), argument = argument,
      found = paste0("Looked for ", quoted(dir), "."),
      remedy = "Give the path of the folder that holds the BLAST tables."
    )
  }
}

check_blast_arguments <- function(species, names) {
  if (!is.character(species) || length(species) < 2L) {
    samap_abort(
      "argument", "`species` must be a character vector of two or more species ids.",
      argument = "species", found = paste0("It is ", describe(species), ".")
    )
  }
  check_species_ids(species, "species")
  check_names(names, species)
}

# Tables of other names, per species.
check_names <- function(names, species) {
  if (is.null(names)) {
    return(invisible())
  }
  if (!is.list(names) || is.data.frame(names) || is.null(names(names))) {
    samap_abort(
      "argument", "`names` must be a list named by species.", argument = "names",
      found = paste0("It is ", describe(names), "."),
      remedy = "For example `list(human = data.frame(transcript = ..., gene = ...))`."
    )
  }
  check_known_species(names(names), species, "names")
  for (id in names(names)) names_table(names[[id]], id)
}

# The names of one species as list(from, to); rows with a missing name say nothing. NULL: none.
names_table <- function(table, species) {
  if (is.null(table)) {
    return(list(from = character(), to = character()))
  }
  if (inherits(table, "samap_matches")) table <- table$names
  table <- as.data.frame(table)
  if (ncol(table) < 2L) {
    samap_abort(
      "argument", "Every entry of `names` must have two columns: the name in the tables, and the gene.",
      argument = "names", species = species, found = paste0("That of ", quoted(species), " has ", ncol(table), ".")
    )
  }
  names <- list(from = as.character(table[[1]]), to = as.character(table[[2]]))
  known <- !is.na(names$from) & !is.na(names$to) & nzchar(names$to)
  lapply(names, `[`, known)
}

# The tables of every pair of species that has any: list(a, b, forward, backward).
blast_tables <- function(dir, species) {
  pairs <- utils::combn(species, 2L, simplify = FALSE)
  tables <- Filter(Negate(is.null), lapply(pairs, function(pair) blast_pair_files(dir, pair[[1]], pair[[2]])))
  if (length(tables) == 0) {
    samap_abort(
      "io", "No BLAST tables found.", argument = "dir",
      found = paste0("Looked for ", enumerate(quoted(blast_candidates(dir, species[[1]], species[[2]])), 6L), "."),
      remedy = "Both directions are needed; the names of the files must contain the ids given in `species`."
    )
  }
  tables
}

blast_pair_files <- function(dir, a, b) {
  forward <- first_existing(blast_candidates(dir, a, b))
  backward <- first_existing(blast_candidates(dir, b, a))
  if (is.na(forward) && is.na(backward)) {
    return(NULL)
  }
  if (is.na(forward) || is.na(backward)) {
    here <- if (is.na(forward)) backward else forward
    absent <- if (is.na(forward)) paste0(a, "_to_", b, ".txt") else paste0(b, "_to_", a, ".txt")
    samap_abort(
      "io", paste0("Only one direction of the BLAST tables of ", quoted(a), " and ", quoted(b), " is there."),
      argument = "dir", species = c(a, b), found = paste0("Found ", quoted(here), " but no ", quoted(absent), "."),
      remedy = "Reciprocal hits are needed: search in the other direction too."
    )
  }
  list(a = a, b = b, forward = forward, backward = backward)
}

blast_candidates <- function(dir, a, b) {
  file <- paste0(a, "_to_", b, ".txt")
  folders <- c(file.path(dir, c(paste0(a, b), paste0(b, a))), dir)
  c(rbind(file.path(folders, file), file.path(folders, paste0(file, ".gz"))))
}

first_existing <- function(paths) {
  there <- paths[file.exists(paths)]
  if (length(there) == 0) NA_character_ else there[[1]]
}

read_blast_pair <- function(table, evalue) {
  read <- engine_blast(table$forward, table$backward, evalue)
  if (read$within > 0) {
    samap_warn(
      "within_species",
      paste0(
        count_of(read$within, "hit"), " within one species ignored in the tables of ", quoted(table$a), " and ",
        quoted(table$b), "."
      ),
      argument = "dir", species = c(table$a, table$b),
      remedy = "Only pairs between species are used; that does no harm."
    )
  }
  edges <- data.frame(
    species_a = rep(table$a, length(read$gene_a)), gene_a = read$gene_a,
    species_b = rep(table$b, length(read$gene_a)), gene_b = read$gene_b, weight = read$weight
  )
  list(edges = edges, genes = setNames(list(read$genes_a, read$genes_b), c(table$a, table$b)))
}

merge_gene_lists <- function(lists) {
  all <- unlist(lists, recursive = FALSE, use.names = FALSE)
  ids <- unlist(lapply(lists, names))
  lapply(split(all, factor(ids, levels = unique(ids))), function(x) unique(unlist(x)))
}

# Transcripts (or proteins) of one species become genes; duplicates are dealt with where the graph is put together.
rename_genes <- function(edges, genes, species, table) {
  table <- names_table(table, species)
  renamed <- function(x) {
    at <- match(x, table$from)
    ifelse(is.na(at), x, table$to[at])
  }
  in_a <- edges$species_a == species
  in_b <- edges$species_b == species
  edges$gene_a[in_a] <- renamed(edges$gene_a[in_a])
  edges$gene_b[in_b] <- renamed(edges$gene_b[in_b])
  if (!is.null(genes[[species]])) genes[[species]] <- unique(renamed(genes[[species]]))
  list(edges = edges, genes = genes)
}
