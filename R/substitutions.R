#' Paralogs that take the place of orthologs
#'
#' Where a gene is more like a paralog of its ortholog than like the ortholog itself: a pair of orthologs whose refined
#' correlation is lower than that of one of the genes with another homologue in the same species.
#'
#' @param sm What [samap()] returns.
#' @param orthologs Data frame of orthologous genes with the columns `species_a`, `gene_a`, `species_b`, `gene_b` (rows
#'   in either orientation), such as [homologs_from_eggnog()] gives. Genes and species that `sm` lacks are ignored.
#'   `NULL`: pairs of genes whose sequence weight is the largest for both of them in the other species (of equal
#'   weights all).
#' @param min_gain Least difference of the correlations.
#' @param paralogs Data frame like `orthologs`: only these pairs may substitute. Pairs within a species stand for the
#'   pairs that they make with the orthologs of their genes. `NULL`: all homologous pairs that are no orthologs.
#' @return Data frame, sorted by gain: species_a, gene_a, species_b, ortholog_b, paralog_b, ortholog_correlation,
#'   paralog_correlation (both refined, -1 to 1), gain (their difference). Both genes of a pair of orthologs are looked
#'   at in turn. Orthologs that are no homologous pair of `sm` have no correlation, and are left out. Without
#'   substitutions the data frame has no rows.
#'
#'   Errors: `samap_error_argument` (columns; orthologs none of which is among the genes of `sm`),
#'   `samap_error_missing` (empty names).
#' @seealso [gene_triangles()], [homology_graph()]
#' @references Tarashansky AJ et al. (2021). *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' paralog_substitutions(sm, min_gain = 0.1)
#' @export
paralog_substitutions <- function(sm, orthologs = NULL, min_gain = 0.3, paralogs = NULL) {
  check_samap(sm)
  min_gain <- check_number(min_gain, "min_gain", min = 0)
  index <- result_index(sm)
  orthologs <- ortholog_index(orthologs, index)
  paralogs <- if (!is.null(paralogs)) pair_index(check_gene_pairs(paralogs, "paralogs"), "paralogs", index)
  found <- engine_substitutions(
    correlated_pairs(sm, index), orthologs, paralogs, min_gain, new_run(verbose = FALSE)
  )
  gene <- name_genes(found$gene, index)
  data.frame(
    species_a = gene$species, gene_a = gene$gene, species_b = name_genes(found$ortholog, index)$species,
    ortholog_b = name_genes(found$ortholog, index)$gene, paralog_b = name_genes(found$paralog, index)$gene,
    found[c("ortholog_correlation", "paralog_correlation", "gain")]
  )
}

# Matched homologous pairs, genes numbered over all species, with their refined correlations for weights (0: none).
correlated_pairs <- function(sm, index) {
  correlation <- sm$homology$edges$correlation[sm$homology$edges$matched]
  correlation[is.na(correlation)] <- 0
  utils::modifyList(index$homology, list(weight = correlation))
}

# Orthologs as list(gene_a, gene_b), numbered over all species.
ortholog_index <- function(orthologs, index) {
  if (is.null(orthologs)) {
    return(engine_reciprocal_best(index$homology))
  }
  pairs <- check_gene_pairs(orthologs, "orthologs")
  pair_index(drop_within_species(pairs, "orthologs"), "orthologs", index)
}

pair_columns <- c("species_a", "gene_a", "species_b", "gene_b")

check_gene_pairs <- function(pairs, argument) {
  if (!is.data.frame(pairs)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be a data frame of pairs of genes."), argument = argument,
      found = paste0("It is ", describe(pairs), "."),
      remedy = paste0("Columns: ", paste(backticked(pair_columns), collapse = ", "), ".")
    )
  }
  check_columns(pairs, pair_columns, argument)
  pairs <- as.data.frame(pairs)[pair_columns]
  pairs[] <- Map(check_name_column, pairs, pair_columns, argument)
  pairs
}

# Genes of pairs as numbers; pairs with a gene that the homology of the result lacks are left out.
pair_index <- function(pairs, argument, index) {
  here <- pairs[pairs$species_a %in% names(index$genes) & pairs$species_b %in% names(index$genes), , drop = FALSE]
  at <- edge_index(here, index$genes)[c("gene_a", "gene_b")]
  known <- !is.na(at$gene_a) & !is.na(at$gene_b)
  if (!any(known)) {
    samap_abort(
      "argument", paste0("No pair of ", backticked(argument), " is among the genes of `sm`."), argument = argument,
      found = paste0(
        "It has genes such as ", enumerate(quoted(unique(pairs$gene_a)), 3L), " of species ",
        enumerate(quoted(unique(pairs$species_a)), 3L), "; `sm` has genes such as ",
        enumerate(quoted(index$genes[[1]]), 3L), " of species ", quoted(names(index$genes)[[1]]), "."
      ),
      remedy = "Use the ids of the species and the names of the genes of the run."
    )
  }
  lapply(at, function(gene) gene[known])
}

# Species and names of genes numbered over all species.
name_genes <- function(gene, index) {
  sizes <- lengths(index$genes)
  list(species = rep(names(index$genes), sizes)[gene], gene = unlist(index$genes, use.names = FALSE)[gene])
}
