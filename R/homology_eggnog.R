#' Homology from orthologous groups of eggNOG
#'
#' Genes of different species are homologous when they share an orthologous group at a taxonomic level. The tables are
#' those of eggNOG-mapper (`*.emapper.annotations`, version 1 or 2, plain or gzipped), one or more per species.
#'
#' @details
#' A gene that belongs to several groups at the level is paired through each of them. Groups with more genes than
#' `max_group_size` are left out, with a message: they are large families whose members say little about each other.
#' All weights are 1.
#'
#' Common levels: 2759 or `"Eukaryota"`, 33208 or `"Metazoa"` (animals), 33154 (animals and fungi), 7742 (vertebrates);
#' version 1 writes names such as `"euNOG"` and `"meNOG"`. A level that the tables lack is an error that lists those
#' they have.
#'
#' @param files Named by species id: a character vector with a path per species, or a list with one or more each.
#' @param taxon Taxonomic level of the groups, by number or name.
#' @param max_group_size Largest number of genes, of all species, in a group that is used.
#' @param names As in [homology_from_blast()]: per species a table whose first column has the names used in `files`
#'   (such as proteins) and whose second has the genes of the atlas. Group sizes count genes after this.
#' @inheritParams homology
#'
#' @return `homology_from_eggnog()`: a `samap_homology`, see [homology_from_pairs()]. `homologs_from_eggnog()`: the
#'   pairs only, a data frame with the columns `species_a`, `gene_a`, `species_b`, `gene_b`, one row per pair of genes
#'   of different species; what asks for orthologs takes it.
#'
#' Errors have the classes `samap_error_io` (a missing file), `samap_error_parse` (a file that is no table of
#' eggNOG-mapper), `samap_error_species` and `samap_error_argument` (no pair at that level, or none small enough).
#' @references
#' Cantalapiedra CP et al. (2021). eggNOG-mapper v2. *Molecular Biology and Evolution* 38:5825-5829.
#' \doi{10.1093/molbev/msab293}
#' @examples
#' files <- c(human = tempfile(), mouse = tempfile())
#' header <- "#query\tseed_ortholog\tevalue\tscore\teggNOG_OGs"
#' writeLines(c(header, "INS\t9606.P1\t1e-50\t200\tKOG1@2759|Eukaryota"), files["human"])
#' writeLines(c(
#'   header, "Ins1\t10090.P1\t1e-50\t200\tKOG1@2759|Eukaryota",
#'   "Ins2\t10090.P2\t1e-50\t200\tKOG1@2759|Eukaryota"
#' ), files["mouse"])
#' homology_from_eggnog(files)
#' homologs_from_eggnog(files)
#' @export
homology_from_eggnog <- function(files, taxon = 2759, max_group_size = 200, names = NULL, row_max_filter = 0) {
  check_number(row_max_filter, "row_max_filter", min = 0, max = 1)
  pairs <- eggnog_pairs(files, taxon, max_group_size, names)
  edges <- data.frame(pairs$edges, weight = 1)
  filter_edges(new_homology(edges, pairs$genes, names(files)), row_max_filter)
}

#' @rdname homology_from_eggnog
#' @export
homologs_from_eggnog <- function(files, taxon = 2759, max_group_size = 200, names = NULL) {
  eggnog_pairs(files, taxon, max_group_size, names)$edges
}

# list(edges = data frame of pairs, genes = names per species).
eggnog_pairs <- function(files, taxon, max_group_size, names) {
  files <- check_species_files(files, "files")
  check_number(max_group_size, "max_group_size", min = 2, infinite = TRUE)
  taxon <- check_taxon(taxon)
  check_names(names, names(files))
  species <- lapply(names(files), function(id) c(list(files = files[[id]]), names_table(names[[id]], id)))
  found <- engine_eggnog(species, taxon, min(max_group_size, .Machine$integer.max))
  if (found$skipped > 0) {
    rlang::inform(c(i = paste0(
      count_of(found$skipped, "group"), " of ", found$groups, " left out for having more than ", max_group_size,
      " genes (the largest has ", found$largest, ")."
    )))
  }
  genes <- setNames(found$genes, names(files))
  name_of <- function(species, gene) {
    all <- unlist(genes, use.names = FALSE)
    all[cumsum(c(0L, lengths(genes)))[species] + gene]
  }
  edges <- data.frame(
    species_a = names(files)[found$species_a], gene_a = name_of(found$species_a, found$gene_a),
    species_b = names(files)[found$species_b], gene_b = name_of(found$species_b, found$gene_b)
  )
  list(edges = edges, genes = genes)
}

check_taxon <- function(taxon) {
  if (length(taxon) != 1L || is.na(taxon) || !(is.character(taxon) && nzchar(taxon) || is.numeric(taxon))) {
    samap_abort(
      "argument", "`taxon` must be one number or name.", argument = "taxon",
      found = paste0("It is ", describe(taxon), "."), remedy = "For example 2759 or \"Eukaryota\"."
    )
  }
  if (is.numeric(taxon)) format(taxon, scientific = FALSE, trim = TRUE) else taxon
}

# Paths of existing files of a species.
check_paths <- function(paths, argument, species) {
  if (!is.character(paths) || length(paths) == 0L || anyNA(paths)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be paths."), argument = argument, species = species,
      found = paste0("That of ", quoted(species), " is ", describe(paths), ".")
    )
  }
  absent <- paths[!file.exists(paths) | dir.exists(paths)]
  if (length(absent) > 0) {
    samap_abort(
      "io", paste0("A file of ", backticked(argument), " is not there."), argument = argument, species = species,
      found = paste0("That of ", quoted(species), ": ", quoted(absent[[1]]), ".")
    )
  }
}

# A list of existing files, named by two or more species.
check_species_files <- function(files, argument) {
  if (!(is.character(files) || is.list(files)) || length(files) < 2L) {
    samap_abort(
      "argument", paste0(backticked(argument), " must name the files of two or more species."), argument = argument,
      found = paste0("It is ", describe(files), "."),
      remedy = paste0("For example `", argument, " = c(human = \"human.txt\", mouse = \"mouse.txt\")`.")
    )
  }
  check_species_ids(names(files), argument)
  files <- as.list(files)
  for (id in names(files)) check_paths(files[[id]], argument, id)
  files
}
