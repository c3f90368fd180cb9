#' Homologues of a gene
#'
#' @param sm What [samap()] returns.
#' @param gene Name of a gene. In all species that have a gene of this name; `c(mouse = "Ins2")` means that of one
#'   species.
#' @param partner Only this homologue, in the same way.
#' @return Data frame, sorted by species and correlation: species_a, gene_a (the gene asked for), species_b, gene_b,
#'   weight (as given), correlation (refined; `NA` where a gene of the pair is not in the atlases). A gene no species
#'   has is an error of class `samap_error_gene`; a gene without homologues gives no rows.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' query_gene_pairs(sm, "INS")
#' @export
query_gene_pairs <- function(sm, gene, partner = NULL) {
  check_samap(sm)
  edges <- sm$homology$edges
  swapped <- edges[c("species_b", "gene_b", "species_a", "gene_a", "weight", "correlation")]
  both <- rbind(edges[c(edge_columns, "correlation")], setNames(swapped, c(edge_columns, "correlation")))
  found <- both[is_gene(both$species_a, both$gene_a, gene, "gene", sm), , drop = FALSE]
  if (!is.null(partner)) {
    found <- found[is_gene(found$species_b, found$gene_b, partner, "partner", sm), , drop = FALSE]
  }
  asked <- match(found$species_a, sm$species)
  order <- order(asked, -found$correlation, -found$weight, found$gene_b, method = "radix")
  found <- found[order, , drop = FALSE]
  rownames(found) <- NULL
  found
}

is_gene <- function(species, name, gene, argument, sm) {
  wanted <- check_string(unname(gene), argument)
  edges <- sm$homology$edges
  known_species <- c(sm$genes$species, edges$species_a, edges$species_b)
  known <- c(sm$genes$gene, edges$gene_a, edges$gene_b)
  one <- names(gene)
  if (!is.null(one)) check_known_species(one, sm$species, argument)
  if (!any(known == wanted & (is.null(one) | known_species %in% one))) {
    alike <- unique(known[toupper(known) == toupper(wanted)])
    samap_abort(
      "gene", paste0("There is no gene ", quoted(wanted), if (!is.null(one)) paste0(" of species ", quoted(one)), "."),
      argument = argument, species = one,
      found = if (length(alike) > 0) paste0("There is ", enumerate(quoted(alike)), "."),
      remedy = "`gene_weights()` lists the genes."
    )
  }
  name == wanted & (is.null(one) | species %in% one)
}
