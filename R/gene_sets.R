# Gene sets: from files, data frames and lists to one form, a data frame of gene and term.

#' Read gene sets from a GAF or GMT file
#'
#' @param file Path of a GAF file (GO annotations, version 2; <https://geneontology.org/docs/download-go-annotations/>)
#'   or of a GMT file (a set per line: name, description, genes, separated by tabs), plain or gzipped.
#' @param format `"auto"`: by the name of the file.
#' @param id What names the genes of a GAF file: `"symbol"` (column 3) or `"id"` (column 2).
#' @param aspect Aspects of GO of a GAF file: `"P"` (biological process), `"F"` (molecular function), `"C"` (cellular
#'   component).
#' @param exclude_evidence Evidence codes of a GAF file that are left out, such as `"IEA"`. The default leaves out
#'   `"ND"`, which says that nothing is known.
#' @return Data frame: gene, term; each pair once. Annotations of a GAF file that are negated (`NOT`) are left out.
#'   Genes have the terms that the file gives them, and not the terms above these in the ontology.
#'
#'   Errors: `samap_error_io`, `samap_error_parse` (with the line), `samap_error_argument`.
#' @examples
#' file <- tempfile(fileext = ".gmt")
#' writeLines(c(
#'   "hormones\tof the islets\tINS\tGCG\tSST", "enzymes\tof acinar cells\tPRSS1\tCPA1"
#' ), file)
#' read_gene_sets(file)
#' @export
read_gene_sets <- function(file, format = c("auto", "gaf", "gmt"), id = c("symbol", "id"), aspect = c("P", "F", "C"),
                           exclude_evidence = "ND") {
  file <- check_string(file, "file")
  format <- check_choice(format, c("auto", "gaf", "gmt"), "format")
  if (format == "auto") format <- set_format(file, "file")
  options <- list(
    id = check_choice(id, c("symbol", "id"), "id"), aspect = check_strings(aspect, "aspect"),
    exclude_evidence = check_strings(exclude_evidence, "exclude_evidence")
  )
  run <- new_run(threads = 1L, verbose = FALSE)
  read <- engine_gene_sets(path.expand(file), format, options, run)
  data.frame(gene = read$genes[read$gene], term = read$terms[read$term])
}

set_format <- function(file, argument) {
  found <- regmatches(file, regexec("\\.(gaf|gmt)(\\.gz)?$", file, ignore.case = TRUE))[[1]]
  if (length(found) == 0) {
    samap_abort(
      "argument", paste0("The format of ", quoted(file), " cannot be told from its name."), argument = argument,
      remedy = "Use a file `.gaf` or `.gmt` (also `.gz`), or `read_gene_sets(format =)`."
    )
  }
  tolower(found[[2]])
}

# Gene sets in any of their forms as a data frame of gene and term.
as_gene_sets <- function(x, argument, delimiter = NULL) {
  if (is.character(x) && length(x) == 1L && is.null(names(x))) {
    x <- read_gene_sets(x)
  } else if (is.data.frame(x)) {
    check_columns(x, c("gene", "term"), argument)
    x <- split_terms(as.character(x$gene), as.character(x$term), delimiter)
  } else if (is.list(x) && !is.null(names(x))) {
    x <- data.frame(gene = as.character(unlist(x, use.names = FALSE)), term = rep(names(x), lengths(x)))
  } else {
    samap_abort(
      "argument", paste0(backticked(argument), " are no gene sets."), argument = argument,
      found = paste0("It is ", describe(x), "."),
      remedy = "Give a named list of genes, a data frame with the columns `gene` and `term`, or a path (.gaf, .gmt)."
    )
  }
  x <- x[!is.na(x$gene) & nzchar(x$gene) & !is.na(x$term) & nzchar(x$term), , drop = FALSE]
  if (nrow(x) == 0) {
    samap_abort("empty", paste0(backticked(argument), " has no gene with a term."), argument = argument)
  }
  x
}

split_terms <- function(gene, term, delimiter) {
  if (is.null(delimiter)) {
    return(data.frame(gene = gene, term = term))
  }
  if (!is.character(delimiter) || length(delimiter) != 1L || is.na(delimiter)) {
    samap_abort(
      "argument", "`delimiter` must be a single string.", argument = "delimiter",
      found = paste0("It is ", describe(delimiter), ".")
    )
  }
  parts <- strsplit(term, delimiter, fixed = TRUE)
  split <- data.frame(gene = rep(gene, lengths(parts)), term = trimws(as.character(unlist(parts))))
  if (nzchar(delimiter)) split else split[grepl("[[:alpha:]]", split$term), , drop = FALSE]
}

#' Categories of KOG, COG and eggNOG
#'
#' The letters by which these databases classify the functions of genes.
#'
#' @return Data frame: category (a letter), description.
#' @references Galperin MY et al. (2021). COG database update. *Nucleic Acids Research* 49:D274-D281.
#'   \doi{10.1093/nar/gkaa1018}
#' @examples
#' head(kog_categories())
#' @export
kog_categories <- function() {
  descriptions <- c(
    A = "RNA processing and modification", B = "Chromatin structure and dynamics",
    C = "Energy production and conversion", D = "Cell cycle control, cell division, chromosome partitioning",
    E = "Amino acid transport and metabolism", F = "Nucleotide transport and metabolism",
    G = "Carbohydrate transport and metabolism", H = "Coenzyme transport and metabolism",
    I = "Lipid transport and metabolism", J = "Translation, ribosomal structure and biogenesis", K = "Transcription",
    L = "Replication, recombination and repair", M = "Cell wall, membrane and envelope biogenesis",
    N = "Cell motility", O = "Posttranslational modification, protein turnover, chaperones",
    P = "Inorganic ion transport and metabolism",
    Q = "Secondary metabolites biosynthesis, transport and catabolism", R = "General function prediction only",
    S = "Function unknown", T = "Signal transduction mechanisms",
    U = "Intracellular trafficking, secretion and vesicular transport", V = "Defense mechanisms",
    W = "Extracellular structures", X = "Mobilome: prophages, transposons", Y = "Nuclear structure", Z = "Cytoskeleton"
  )
  data.frame(category = names(descriptions), description = unname(descriptions))
}
