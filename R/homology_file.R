#' Save and read a homology
#'
#' A homology in one small file: gzipped text with a checksum, which other programs can read, too. Reading it takes a
#' fraction of the time that BLAST tables take.
#'
#' @details Weights are stored exactly. The file has the version of its format; one of a newer format, and one that was
#' cut off or damaged, are errors of class `samap_error_parse`. It appears when it is complete.
#'
#' @param homology A homology, see [homology_from_pairs()]; or a data frame of pairs as that function takes it.
#' @param file Path of the file; by custom it ends with `.samap.gz`.
#' @return `save_homology()`: `file`, invisibly. `read_homology()`: the homology that was saved.
#'
#' Errors have the classes `samap_error_argument`, `samap_error_io` and `samap_error_parse`.
#' @examples
#' homology <- samap_example("pancreas-small")$homology
#' file <- tempfile(fileext = ".samap.gz")
#' save_homology(homology, file)
#' identical(read_homology(file), homology)
#' @export
save_homology <- function(homology, file) {
  check_string(file, "file")
  if (!inherits(homology, "samap_homology")) homology <- new_homology(check_pairs(homology, "homology"))
  genes <- attr(homology, "genes")
  if (!dir.exists(dirname(file))) {
    samap_abort("io", "The folder of `file` is not there.", argument = "file",
      found = paste0("Looked for ", quoted(dirname(file)), "."))
  }
  filter <- attr(homology, "filter")
  engine_write_homology(file, genes, edge_index(homology, genes), if (is.null(filter)) 0 else filter)
  invisible(file)
}

#' @rdname save_homology
#' @export
read_homology <- function(file) {
  check_string(file, "file")
  if (!file.exists(file)) {
    samap_abort("io", "`file` is not there.", argument = "file", found = paste0("Looked for ", quoted(file), "."))
  }
  read <- engine_read_homology(normalizePath(file))
  genes <- setNames(read$genes, read$species)
  species <- rep(names(genes), lengths(genes))
  names <- unlist(genes, use.names = FALSE)
  edges <- data.frame(
    species_a = species[read$gene_a], gene_a = names[read$gene_a],
    species_b = species[read$gene_b], gene_b = names[read$gene_b], weight = read$weight
  )
  structure(edges, genes = genes, filter = read$filter, class = c("samap_homology", "data.frame"))
}
