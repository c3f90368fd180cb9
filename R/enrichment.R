# Enrichment of gene sets among genes, and among the genes that link cell types.

#' Terms that occur more often among some genes
#'
#' Tests whether genes of a gene set (a GO term, a KOG category, a pathway) are more frequent among the given genes than
#' among all genes of the universe, by the tail of the hypergeometric distribution.
#'
#' @param genes Character vector of genes; those outside of the universe are left out, and repeated ones count once.
#' @param gene_sets The gene sets: a named list of character vectors (names are terms), a data frame with the columns
#'   `gene` and `term`, or a path: a GAF file (`.gaf`, of GO annotations) or a GMT file (`.gmt`), plain or gzipped, read
#'   by [read_gene_sets()] with its defaults.
#' @param universe Character vector of the genes that could have been in `genes`: with or without a term, they all
#'   count. `NULL`: the genes that have a term.
#' @param delimiter Splits the terms of a data frame: `","` for `"GO:0001,GO:0002"`; `""` into single letters, as for
#'   `"KT"` of KOG categories (characters that are no letters are left out). `NULL`: every row has one term.
#' @param exclude Terms that are not tested. Their genes stay in the universe.
#' @param min_size,max_size A term is tested when this many genes of the universe have it.
#' @return Data frame, one row per term with a gene in `genes`, sorted by p-value: term, n_genes (of `genes` with the
#'   term), n_term (of the universe with the term), odds_ratio (`Inf` where all of `genes` have the term, or nobody
#'   else), pval (hypergeometric, exact, one-sided), padj (Benjamini-Hochberg over all terms that are tested, also those
#'   without a row), genes (list column of character vectors).
#'
#'   Errors: `samap_error_argument`, `samap_error_empty` (no gene in the universe, no gene sets), `samap_error_io`,
#'   `samap_error_parse`.
#' @seealso [functional_enrichment()], [kog_categories()]
#' @examples
#' sets <- list(
#'   hormones = c("INS", "GCG", "SST", "PPY"), enzymes = c("PRSS1", "CPA1", "CELA3A", "PNLIP")
#' )
#' enrich_genes(c("INS", "GCG", "PRSS1"), sets)
#' enrich_genes(c("INS", "GCG"), sets, universe = c(unlist(sets), "ACTB", "GAPDH"))
#' @export
enrich_genes <- function(genes, gene_sets, universe = NULL, delimiter = NULL, exclude = NULL, min_size = 1,
                         max_size = Inf) {
  genes <- check_strings(genes, "genes")
  sets <- as_gene_sets(gene_sets, "gene_sets", delimiter)
  exclude <- check_strings(exclude, "exclude")
  options <- enrichment_options(min_size, max_size)
  universe <- if (is.null(universe)) unique(sets$gene) else unique(check_strings(universe, "universe"))
  at <- match(unique(genes), universe)
  if (all(is.na(at)) && length(at) > 0) {
    samap_abort(
      "empty", "None of `genes` is in the universe.", argument = "genes",
      found = paste0(
        "It has ", enumerate(quoted(genes), 3L), "; the universe has ", enumerate(quoted(universe), 3L), "."
      ),
      remedy = "Use names of one kind (symbols or ids) for all."
    )
  }
  found <- test_terms(
    sets, match(sets$gene, universe), length(universe), list(at[!is.na(at)]), exclude, options, new_run(verbose = FALSE)
  )
  found$genes <- lapply(found$genes, function(rows) universe[rows])
  term_frame(found)
}

# What the engine finds, with the names of terms. gene: of each row of the sets, its place in the universe, or NA;
# lists: the places of the genes that are tested.
test_terms <- function(sets, gene, n_universe, lists, exclude, options, run) {
  known <- !is.na(gene) & !sets$term %in% exclude
  terms <- sort(unique(sets$term[known]), method = "radix")
  coded <- list(
    n_genes = as.double(n_universe), n_terms = as.double(length(terms)), gene = as.integer(gene[known]),
    term = match(sets$term[known], terms)
  )
  found <- engine_enrichment(coded, unname(lists), options, run)
  found$term <- terms[found$term]
  found
}

# Columns of the engine's table as a data frame.
term_frame <- function(found, ...) {
  table <- data.frame(..., found[c("term", "n_genes", "n_term", "odds_ratio", "pval", "padj")])
  table$genes <- found$genes
  table
}

enrichment_options <- function(min_size, max_size) {
  with_options(
    samap_defaults()$enrichment,
    min_size = check_number(min_size, "min_size", min = 1, integer = TRUE),
    max_size = check_number(max_size, "max_size", min = 1, infinite = TRUE)
  )
}

# A vector of names; NULL and factors are as good as strings.
check_strings <- function(x, argument) {
  if (!is.null(x) && (!is.atomic(x) || !is.character(x) && !is.factor(x) || anyNA(x))) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be a character vector without missing values."),
      argument = argument, found = paste0("It is ", if (anyNA(x)) "a vector with NA" else describe(x), ".")
    )
  }
  as.character(x)
}

# ---- genes that link cell types ----------------------------------------------

#' What the genes that link cell types do
#'
#' Tests which terms (GO terms, KOG categories, any gene sets) are more frequent among the genes of a cell type's
#' [gene_pairs()] than among the genes that could have been in such a pair.
#'
#' @param sm What [samap()] returns, with its counts (unless `pairs` is given).
#' @param by The types, as in [alignment_scores()].
#' @param annotation Gene sets of the genes: a named list, per species what `gene_sets` of [enrich_genes()] can be; or a
#'   data frame with the columns `species`, `gene` and `term`. Species that are not there are not tested.
#' @param per `"type"`: a cell type with all genes of its gene pairs, whatever the partner. `"match"`: each pair of
#'   aligned types for itself.
#' @param side `"own"`: the genes of the type's own species. `"both"`: those of the partners, too, as in SAMap 3.0.1;
#'   since homologous genes tend to have the same terms, they then count about twice, and p-values are too small.
#' @param universe The genes that could have been found. `"tested"`: those with a homologue they are correlated with in
#'   the other species and a SAM weight of at least `min_weight`; `"annotated"`: all genes with a term, as in SAMap
#'   3.0.1; `"enriched"`: those in any gene pair. In each case only genes with a term.
#' @inheritParams enrich_genes
#' @param pairs What [gene_pairs()] returned, or some of its rows. `NULL`: it is called with `by`, `min_weight` and
#'   `...`.
#' @param min_weight Least SAM weight of a gene (0 to 1).
#' @param ... Further arguments of [gene_pairs()], such as `min_score`.
#' @param threads,verbose As in [samap()].
#' @return Data frame, one row per cell type and term with a gene in common: species_a, type_a (with `per = "match"`
#'   also species_b, type_b: the partner), term, n_genes, n_term, odds_ratio, pval, padj (Benjamini-Hochberg over all
#'   terms that are tested in a type or match), genes (list column of character vectors; with `side = "both"` named by
#'   species); see [enrich_genes()]. By types in the order of the gene pairs, then by p-value. With `side = "own"` a
#'   match has rows in both orientations, for the genes of either species.
#'
#'   Errors: those of [gene_pairs()] and [enrich_genes()]; `samap_error_empty` when no gene of `sm` has a term.
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' # An annotation made up for the example: the first letter of a gene's name.
#' weights <- gene_weights(sm)
#' annotation <- data.frame(
#'   species = weights$species, gene = weights$gene, term = toupper(substr(weights$gene, 1, 1))
#' )
#' found <- functional_enrichment(sm, "cell_type", annotation, threads = 1, verbose = FALSE)
#' head(found[c("species_a", "type_a", "term", "n_genes", "n_term", "pval")])
#' @export
functional_enrichment <- function(sm, by, annotation, per = c("type", "match"), side = c("own", "both"),
                                  universe = c("tested", "annotated", "enriched"), delimiter = NULL, exclude = NULL,
                                  min_size = 1, max_size = Inf, pairs = NULL, min_weight = 0.2, ..., threads = NULL,
                                  verbose = TRUE) {
  check_samap(sm)
  per <- check_choice(per, c("type", "match"), "per")
  side <- check_choice(side, c("own", "both"), "side")
  universe <- check_choice(universe, c("tested", "annotated", "enriched"), "universe")
  min_weight <- check_number(min_weight, "min_weight", min = 0)
  options <- enrichment_options(min_size, max_size)
  exclude <- check_strings(exclude, "exclude")
  sets <- species_sets(annotation, sm, delimiter)
  if (is.null(pairs)) {
    pairs <- gene_pairs(sm, by, min_weight = min_weight, ..., threads = threads, verbose = verbose)
  }
  check_columns(pairs, c(type_columns, "gene_a", "gene_b"), "pairs")
  run <- result_run(sm, threads, verbose)
  hits <- linking_genes(sm, pairs, per, side)
  candidates <- candidate_genes(sm, universe, hits, min_weight)
  # Types that share a universe are tested together.
  sharing <- c(if (side == "own" || per == "match") "species_a", if (per == "match") "species_b")
  tables <- lapply(split(hits, row_groups(hits[sharing])), function(group) {
    genes <- intersect(universe_genes(candidates, group, per, side), sets$gene)
    enrich_group(sm, group, sets, genes, per, side, exclude, options, run)
  })
  bind_enrichment(tables, hits, per)
}

type_columns <- c("species_a", "type_a", "species_b", "type_b")

# The columns that name what is tested.
tested_columns <- function(per) if (per == "type") type_columns[1:2] else type_columns

# Sets of the genes of all species as data frame of gene (a row of sm$genes) and term.
species_sets <- function(annotation, sm, delimiter) {
  parts <- if (is.data.frame(annotation)) {
    check_columns(annotation, c("species", "gene", "term"), "annotation")
    split(annotation, factor(annotation$species))
  } else if (is.list(annotation) && !is.null(names(annotation))) {
    check_known_species(names(annotation), sm$species, "annotation")
    annotation
  } else {
    samap_abort(
      "argument", "`annotation` must be a named list, one entry per species, or a data frame.", argument = "annotation",
      found = paste0("It is ", describe(annotation), "."),
      remedy = "Columns of the data frame: `species`, `gene`, `term`."
    )
  }
  sets <- lapply(intersect(sm$species, names(parts)), function(id) {
    one <- as_gene_sets(parts[[id]], "annotation", delimiter)
    data.frame(gene = gene_rows(sm, rep(id, nrow(one)), one$gene), term = one$term, name = one$gene)
  })
  sets <- do.call(rbind, c(list(data.frame(gene = integer(), term = character(), name = character())), sets))
  if (all(is.na(sets$gene))) {
    samap_abort(
      "empty", "No gene of `sm` is in `annotation`.", argument = "annotation",
      found = paste0(
        if (nrow(sets) > 0) paste0("It has ", enumerate(quoted(unique(sets$name)), 3L), "; ") else "It has none; ",
        "`sm` has ", enumerate(quoted(sm$genes$gene), 3L), "."
      ),
      remedy = "Use the ids of the species and the names of the genes of the run."
    )
  }
  sets[!is.na(sets$gene), c("gene", "term")]
}

# Rows of sm$genes; NA for genes that are not there.
gene_rows <- function(sm, species, gene) {
  at <- rep(NA_integer_, length(gene))
  for (id in intersect(sm$species, species)) {
    mine <- which(sm$genes$species == id)
    rows <- which(species == id)
    at[rows] <- mine[match(gene[rows], sm$genes$gene[mine])]
  }
  at
}

# The genes to test: a row per gene (of sm$genes) and cell type or match, by species.
linking_genes <- function(sm, pairs, per, side) {
  pairs <- as.data.frame(pairs)[c(type_columns, "gene_a", "gene_b")]
  pairs$gene_a <- gene_rows(sm, pairs$species_a, pairs$gene_a)
  pairs$gene_b <- gene_rows(sm, pairs$species_b, pairs$gene_b)
  turned <- setNames(pairs[c("species_b", "type_b", "species_a", "type_a", "gene_b", "gene_a")], names(pairs))
  # Of a match of which both sides are tested, one orientation says all.
  both <- if (side == "both" && per == "match") pairs else rbind(pairs, turned)
  hits <- data.frame(both[type_columns], gene = both$gene_a)
  if (side == "both") hits <- rbind(hits, data.frame(both[type_columns], gene = both$gene_b))
  hits[order(match(hits$species_a, sm$species)), , drop = FALSE]
}

# Numbers of the different rows of a data frame, in order of appearance; 1 where there are no columns.
row_groups <- function(x) {
  code <- rep(1, nrow(x))
  for (column in x) {
    values <- unique(column)
    code <- (code - 1) * length(values) + match(column, values)
    code <- match(code, unique(code))
  }
  code
}

# What could have been found, as data frame: gene (row of sm$genes), species, partner (a species it could have been
# found with; NA: any).
candidate_genes <- function(sm, universe, hits, min_weight) {
  if (universe == "annotated") {
    return(data.frame(gene = seq_len(nrow(sm$genes)), species = sm$genes$species, partner = NA_character_))
  }
  if (universe == "enriched") {
    species <- sm$genes$species[hits$gene]
    partner <- ifelse(species == hits$species_a, hits$species_b, hits$species_a)
    return(unique(data.frame(gene = hits$gene, species = species, partner = partner)))
  }
  edges <- refined_edges(sm$homology$edges, TRUE)
  a <- gene_rows(sm, edges$species_a, edges$gene_a)
  b <- gene_rows(sm, edges$species_b, edges$gene_b)
  weight <- pmin(sm$genes$weight[a], sm$genes$weight[b])
  usable <- weight >= min_weight & weight > 0
  unique(data.frame(
    gene = c(a[usable], b[usable]), species = c(edges$species_a[usable], edges$species_b[usable]),
    partner = c(edges$species_b[usable], edges$species_a[usable])
  ))
}

# Of the candidates, those of the species that a group of tests is about.
universe_genes <- function(candidates, group, per, side) {
  a <- group$species_a[[1]]
  b <- group$species_b[[1]]
  beside <- function(partner) per == "type" | is.na(candidates$partner) | candidates$partner == partner
  own <- candidates$species == a & beside(b)
  partners <- if (per == "type") TRUE else candidates$species == b & beside(a)
  unique(candidates$gene[if (side == "own") own else own | partners])
}

# Tests one group of types (or matches) that share a universe.
enrich_group <- function(sm, group, sets, universe, per, side, exclude, options, run) {
  test <- row_groups(group[tested_columns(per)])
  lists <- lapply(unname(split(match(group$gene, universe), test)), function(at) at[!is.na(at)])
  found <- test_terms(sets, match(sets$gene, universe), length(universe), lists, exclude, options, run)
  found$genes <- lapply(found$genes, function(at) {
    rows <- universe[at]
    if (side == "own") sm$genes$gene[rows] else setNames(sm$genes$gene[rows], sm$genes$species[rows])
  })
  first <- match(found$list, test)
  term_frame(found, group[first, tested_columns(per), drop = FALSE], row.names = NULL)
}

# In the order of the types among the gene pairs, by species.
bind_enrichment <- function(tables, hits, per) {
  if (nrow(hits) == 0) {
    table <- term_frame(
      list(term = character(), n_genes = integer(), n_term = integer(), odds_ratio = double(), pval = double(),
        padj = double(), genes = list()), hits[tested_columns(per)]
    )
    return(table)
  }
  table <- do.call(rbind, unname(tables))
  types <- rbind(hits[tested_columns(per)], table[tested_columns(per)])
  order <- order(row_groups(types)[-seq_len(nrow(hits))])
  table <- table[order, , drop = FALSE]
  rownames(table) <- NULL
  table
}
