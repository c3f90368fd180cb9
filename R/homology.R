#' Homology of genes
#'
#' A homology table says which genes of one species are homologous to which genes of another, and how strongly.
#' `samap()` takes what these functions return.
#'
#' `homology_from_pairs()` takes a data frame with one row per pair of genes. Rows may be in either orientation; a
#' pair given more than once keeps its largest weight; rows within one species are ignored with a warning that says
#' how many. A symbol that two species share is two genes.
#'
#' Tables with a column of genes per species are read with `columns`: a cell may hold several genes separated by
#' commas, each of which pairs with each gene of the other columns, and an empty cell holds none. So
#'
#' * BioMart: `columns = c(human = "Gene.name", mouse = "Mouse.gene.name")`;
#' * OrthoFinder, orthologues or `Orthogroups.tsv` (any number of species):
#'   `columns = c(human = "Homo_sapiens", mouse = "Mus_musculus")`;
#' * OMA pairs, which have no header: `columns = c(human = "V1", mouse = "V2")`;
#' * HCOP: `columns = c(human = "human_symbol", mouse = "mouse_symbol")`.
#'
#' `homology_from_blast()` reads tables of BLAST, DIAMOND or MMseqs2 in the 12 columns of `-outfmt 6`, plain or
#' gzipped, both directions per pair of species: `a_to_b.txt` and `b_to_a.txt`, in the folder `ab/`, `ba/` or in `dir`
#' itself; [run_blast()] writes them. A hit counts when its e-value is at most `evalue`, and a pair of genes when both
#' directions have such a hit; several hits of the same pair count as the best one; the weight is the mean of the two
#' bit scores. Hits of a species in itself are ignored with a warning that says how many. A pair of species without
#' tables is left out.
#'
#' @param df A data frame with the columns `species_a`, `gene_a`, `species_b`, `gene_b` and, if pairs differ in
#'   strength, `weight` (positive; any unit, such as a bit score; 1 where the column is absent).
#' @param row_max_filter Share of a gene's largest weight below which an edge is dropped. An edge stays if it passes
#'   from either end. 0: no filter.
#' @param columns For tables with a column of genes per species: the names of the columns, named by species id (two or
#'   more).
#' @param weight With `columns`: name of the column of weights; `NULL`: all 1.
#' @param dir The folder of the tables.
#' @param species Character vector of species ids, as they occur in the names of the files.
#' @param names Named list, per species a data frame (or two-column matrix) whose first column has the names used in
#'   the tables (such as transcripts or proteins) and whose second has the genes of the atlas. Homologous transcripts
#'   become homologous genes with the largest weight. A name listed twice counts the first time; names not listed stay
#'   as they are. What [match_genes()] returns will do, too.
#' @param evalue Largest e-value of a hit.
#'
#' @return A data frame of class `samap_homology` with the columns `species_a`, `gene_a`, `species_b`, `gene_b`,
#'   `weight`, one row per pair of genes. Its attribute `genes` lists, per species, every gene the input named; its
#'   attribute `filter` is `row_max_filter`.
#'
#' Errors have the classes `samap_error_argument` (columns, weights), `samap_error_species`, `samap_error_io` (a missing
#' file) and `samap_error_parse` (a line that is not what it should be).
#' @references
#' Tarashansky AJ et al. (2021). Mapping single-cell atlases throughout Metazoa unravels cell type evolution. *eLife*
#' 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' pairs <- data.frame(
#'   species_a = "human", gene_a = c("INS", "GCG"),
#'   species_b = "mouse", gene_b = c("Ins2", "Gcg"),
#'   weight = c(210, 340)
#' )
#' homology_from_pairs(pairs)
#'
#' groups <- data.frame(human = c("INS", "GCG"), mouse = c("Ins1, Ins2", "Gcg"))
#' homology_from_pairs(groups, columns = c(human = "human", mouse = "mouse"))
#' @name homology
NULL

edge_columns <- c("species_a", "gene_a", "species_b", "gene_b", "weight")

#' @rdname homology
#' @export
homology_from_pairs <- function(df, row_max_filter = 0, columns = NULL, weight = NULL) {
  check_number(row_max_filter, "row_max_filter", min = 0, max = 1)
  if (!is.null(columns)) df <- pairs_of_columns(df, columns, weight)
  edges <- check_pairs(df, "df")
  filter_edges(new_homology(edges), row_max_filter)
}

# ---- the class ---------------------------------------------------------------

# Edges in one orientation (species in order of appearance), sorted, once each with the largest weight. `filter`: the
# share of the row-maximum filter that was applied.
new_homology <- function(edges, genes = NULL, species = NULL, filter = 0) {
  if (is.null(species)) species <- unique(c(rbind(edges$species_a, edges$species_b)))
  if (is.null(genes)) genes <- named_genes(edges, species)
  genes <- lapply(genes[intersect(species, names(genes))], function(x) sort(unique(x), method = "radix"))
  edges <- unique_edges(orient_edges(edges, species), genes)
  structure(edges, genes = genes, filter = filter, class = c("samap_homology", "data.frame"))
}

named_genes <- function(edges, species) {
  setNames(lapply(species, function(id) {
    c(edges$gene_a[edges$species_a == id], edges$gene_b[edges$species_b == id])
  }), species)
}

# The species that comes first in `species` becomes species_a.
orient_edges <- function(edges, species) {
  swap <- match(edges$species_a, species) > match(edges$species_b, species)
  data.frame(
    species_a = ifelse(swap, edges$species_b, edges$species_a), gene_a = ifelse(swap, edges$gene_b, edges$gene_a),
    species_b = ifelse(swap, edges$species_a, edges$species_b), gene_b = ifelse(swap, edges$gene_a, edges$gene_b),
    weight = as.double(edges$weight)
  )
}

unique_edges <- function(edges, genes) {
  index <- edge_index(edges, genes)
  order <- order(index$gene_a, index$gene_b, -edges$weight, method = "radix")
  pair <- index$gene_a * (sum(index$n_genes) + 1) + index$gene_b
  first <- !duplicated(pair[order])
  edges <- edges[order[first], , drop = FALSE]
  rownames(edges) <- NULL
  edges
}

# Ends of every edge as indices into the genes of all species, one species after the other.
edge_index <- function(edges, genes) {
  n_genes <- lengths(genes)
  before <- setNames(cumsum(c(0L, n_genes))[seq_along(n_genes)], names(genes))
  locate <- function(species, gene) {
    at <- rep(NA_integer_, length(gene))
    for (id in unique(species)) {
      rows <- which(species == id)
      at[rows] <- before[[id]] + match(gene[rows], genes[[id]])
    }
    as.integer(at)
  }
  list(
    n_genes = as.integer(unname(n_genes)),
    gene_a = locate(edges$species_a, edges$gene_a), gene_b = locate(edges$species_b, edges$gene_b),
    weight = edges$weight
  )
}

# The row-maximum filter, the same for every source; what was chosen stays with the homology.
filter_edges <- function(homology, threshold) {
  if (threshold == 0 || nrow(homology) == 0) {
    return(homology)
  }
  genes <- attr(homology, "genes")
  keep <- engine_filter_homology(edge_index(homology, genes), threshold)
  edges <- as.data.frame(homology)[keep, , drop = FALSE]
  rownames(edges) <- NULL
  structure(edges, genes = genes, filter = threshold, class = c("samap_homology", "data.frame"))
}

#' @method print samap_homology
#' @export
print.samap_homology <- function(x, ...) {
  cat("<samap_homology> ", count_of(nrow(x), "pair"), " of homologous genes\n", sep = "")
  if (all(edge_columns %in% names(x)) && nrow(x) > 0) {
    pairs <- split(seq_len(nrow(x)), species_pair(x$species_a, x$species_b), drop = TRUE)
    for (rows in pairs) {
      edges <- as.data.frame(x)[rows, ]
      cat(
        "  ", edges$species_a[[1]], " - ", edges$species_b[[1]], ": ", count_of(length(rows), "pair"), " of ",
        count_of(length(unique(edges$gene_a)), "gene"), " and ", count_of(length(unique(edges$gene_b)), "gene"),
        ", weights ", format(min(edges$weight), digits = 3), " to ", format(max(edges$weight), digits = 3), "\n",
        sep = ""
      )
    }
    cat("  ", filter_sentence(attr(x, "filter")), "\n", sep = "")
    print(utils::head(as.data.frame(x)), row.names = FALSE)
    if (nrow(x) > 6L) cat("# and ", count_of(nrow(x) - 6L, "more pair"), "\n", sep = "")
  }
  invisible(x)
}

# NULL: a homology that was made by an older version.
filter_sentence <- function(share) {
  if (is.null(share) || share == 0) {
    return("no row-maximum filter: every pair counts")
  }
  paste0("row-maximum filter: pairs below ", format(100 * share), " % of the largest weight of both genes dropped")
}

#' @method as.data.frame samap_homology
#' @export
as.data.frame.samap_homology <- function(x, ...) {
  attr(x, "genes") <- NULL
  attr(x, "filter") <- NULL
  class(x) <- "data.frame"
  x
}

# A factor with a level per pair of species, in order of appearance; only for grouping, never taken apart again.
species_pair <- function(a, b) {
  ids <- unique(c(a, b))
  code <- (match(a, ids) - 1) * length(ids) + match(b, ids)
  factor(code, levels = unique(code))
}

# ---- other forms of tables ---------------------------------------------------

# Rows with genes of each species in a column of its own, several of them separated by commas, as pairs.
pairs_of_columns <- function(df, columns, weight) {
  if (!is.data.frame(df)) {
    return(df)
  }
  check_pair_columns(df, columns, weight)
  df <- as.data.frame(df)
  genes <- lapply(columns, function(column) split_genes(df[[column]]))
  weights <- if (is.null(weight)) rep(1, nrow(df)) else df[[weight]]
  pairs <- utils::combn(names(columns), 2L, simplify = FALSE)
  do.call(rbind, lapply(pairs, function(pair) {
    crossed <- cross_genes(genes[[pair[[1]]]], genes[[pair[[2]]]])
    data.frame(
      species_a = rep(pair[[1]], length(crossed$row)), gene_a = crossed$a,
      species_b = rep(pair[[2]], length(crossed$row)), gene_b = crossed$b, weight = weights[crossed$row]
    )
  }))
}

check_pair_columns <- function(df, columns, weight) {
  if (!is.character(columns) || length(columns) < 2L || anyNA(columns)) {
    samap_abort(
      "argument", "`columns` must name the column of each species.", argument = "columns",
      found = paste0("It is ", describe(columns), "."),
      remedy = "For example `columns = c(human = \"Gene.name\", mouse = \"Mouse.gene.name\")`."
    )
  }
  check_species_ids(names(columns), "columns")
  check_columns(df, unname(columns), "df")
  if (!is.null(weight)) check_columns(df, check_string(weight, "weight"), "df")
}

# The genes of every cell of a column; cells that are empty, missing or "-" have none.
split_genes <- function(x) {
  x <- as.character(x)
  x[is.na(x)] <- ""
  lapply(strsplit(x, ",", fixed = TRUE), function(genes) setdiff(trimws(genes), c("", "-")))
}

# Every gene of a row's first list with every gene of its second.
cross_genes <- function(a, b) {
  n_a <- lengths(a)
  n_b <- lengths(b)
  row_of_a <- rep(seq_along(a), n_a)
  list(
    row = rep(row_of_a, n_b[row_of_a]), a = rep(as.character(unlist(a)), n_b[row_of_a]),
    b = as.character(unlist(rep(b, n_a)))
  )
}

# ---- checks ------------------------------------------------------------------

check_pairs <- function(df, argument) {
  if (!is.data.frame(df)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be a data frame of homologous genes."),
      argument = argument, found = paste0("It is ", describe(df), "."),
      remedy = paste0("Columns: ", paste(backticked(edge_columns), collapse = ", "), ".")
    )
  }
  df <- as.data.frame(df)
  if (!"weight" %in% names(df)) df[["weight"]] <- rep(1, nrow(df))
  check_columns(df, edge_columns, argument)
  edges <- df[edge_columns]
  for (column in edge_columns[1:4]) {
    edges[[column]] <- check_name_column(edges[[column]], column, argument)
  }
  check_weights(edges$weight, argument)
  check_species_ids(unique(c(edges$species_a, edges$species_b)), argument)
  drop_within_species(edges, argument)
}

check_name_column <- function(x, column, argument) {
  x <- as.character(x)
  bad <- is.na(x) | !nzchar(x)
  if (any(bad)) {
    samap_abort(
      "missing", paste0("Column ", backticked(column), " of ", backticked(argument), " has empty or missing names."),
      argument = argument, found = paste0(count_of(sum(bad), "row"), ", the first is row ", which(bad)[[1]], "."),
      remedy = "Remove those rows: a gene without a partner is no pair."
    )
  }
  x
}

check_weights <- function(weight, argument) {
  if (!is.numeric(weight)) {
    samap_abort(
      "argument", paste0("Column `weight` of ", backticked(argument), " must be numeric."),
      argument = argument, found = paste0("It is ", describe(weight), ".")
    )
  }
  bad <- !is.finite(weight) | weight <= 0
  if (any(bad)) {
    row <- which(bad)[[1]]
    samap_abort(
      "argument", paste0("Column `weight` of ", backticked(argument), " must be positive and finite."),
      argument = argument,
      found = paste0(count_of(sum(bad), "row"), ", the first is row ", row, " (", weight[[row]], ")."),
      remedy = "Remove those rows, or give a weight such as a bit score or 1."
    )
  }
}

drop_within_species <- function(edges, argument) {
  within <- edges$species_a == edges$species_b
  if (any(within)) {
    samap_warn(
      "within_species",
      paste0(count_of(sum(within), "row"), " of ", backticked(argument), " within one species ignored."),
      argument = argument, remedy = "Only pairs between species are used."
    )
  }
  edges <- edges[!within, , drop = FALSE]
  if (nrow(edges) == 0) {
    samap_abort(
      "empty", paste0(backticked(argument), " has no pair of homologous genes between species."), argument = argument,
      remedy = "Give one row per pair of homologous genes of two species."
    )
  }
  edges
}

# ---- joining with the atlases ------------------------------------------------

# What `samap(homology =)` accepts, as a homology between the given species.
as_homology <- function(x, species) {
  if (is.character(x) && length(x) == 1L && !is.na(x)) {
    if (!file.exists(x) || dir.exists(x)) {
      check_blast_folder(x, "homology")
      return(homology_from_blast(x, species))
    }
    x <- read_homology(x)
  }
  if (!is.data.frame(x)) {
    samap_abort(
      "argument", "`homology` must be a homology table.", argument = "homology",
      found = paste0("It is ", describe(x), "."),
      remedy = paste0(
        "Accepted: what `homology_from_pairs()` and the like return, a data frame with the columns ",
        paste(backticked(edge_columns), collapse = ", "),
        ", the path of a folder of BLAST tables, or that of a file of `save_homology()`."
      )
    )
  }
  edges <- check_pairs(x, "homology")
  here <- edges$species_a %in% species & edges$species_b %in% species
  if (!any(here)) {
    samap_abort(
      "species", "`homology` has no pair of homologous genes between the species of `atlases`.",
      argument = "homology",
      found = paste0(
        "The atlases are of ", enumerate(quoted(species)), ", the homology is of ",
        enumerate(quoted(unique(c(edges$species_a, edges$species_b)))), "."
      ),
      remedy = "The names of `atlases` must be the species ids of `homology`."
    )
  }
  edges <- edges[here, , drop = FALSE]
  # Genes that the tables named but that lost all their edges still belong to the homology graph.
  genes <- merge_gene_lists(list(named_genes(edges, species), attr(x, "genes")))
  new_homology(edges, genes, species)
}

# Which input edges have both genes in the atlases, and which genes of the atlases the homology names. Every pair of
# species without homology is told once; a species none of whose genes match is an error with a report.
match_homology <- function(homology, atlases, fix_ids, run) {
  genes <- lapply(atlases, `[[`, "genes")
  named <- attr(homology, "genes")[names(atlases)]
  names(named) <- names(atlases)
  if (fix_ids) {
    fixed <- fix_gene_ids(homology, named, genes, run)
    homology <- fixed$homology
    named <- fixed$named
  }
  check_matches(genes, named, names(atlases), run)
  edges <- as.data.frame(homology)
  edges$matched <- in_atlas(edges$species_a, edges$gene_a, genes) & in_atlas(edges$species_b, edges$gene_b, genes)
  if (!any(edges$matched)) {
    message <- "No pair of `homology` has both of its genes in the atlases."
    stop_without_match(message, genes, named, names(atlases), run)
  }
  warn_without_homology(edges, names(atlases))
  list(edges = edges, matched = Map(function(x, y) x %in% y, genes, named), hash = rlang::hash(edges))
}

in_atlas <- function(species, gene, genes) {
  found <- logical(length(gene))
  for (id in unique(species)) {
    rows <- which(species == id)
    found[rows] <- gene[rows] %in% genes[[id]]
  }
  found
}

warn_without_homology <- function(edges, species) {
  matched <- edges[edges$matched, ]
  there <- unique(matched[c("species_a", "species_b")])
  pairs <- utils::combn(species, 2L, simplify = FALSE)
  absent <- Filter(function(pair) !any(there$species_a == pair[[1]] & there$species_b == pair[[2]]), pairs)
  if (length(absent) > 0) {
    names <- vapply(absent, paste, character(1), collapse = " and ")
    samap_warn(
      "no_homology", paste0("No homology between ", enumerate(names), "."), argument = "homology",
      remedy = "Their cells are not linked directly: right for a star design; otherwise add the missing pairs."
    )
  }
}
