#' Names of genes, and how to make them match
#'
#' The genes of an atlas and those of a homology must have the same names. `detect_gene_ids()` says what kind of names
#' they are; `match_genes()` tries what can be done where they differ, and reports how many genes each transformation
#' matches.
#'
#' @details
#' A transformation is a composition of steps. On the side of the sequences or homology: taking the first word of a
#' header, a field between `|` (`sp|P01308|INS_HUMAN`), or a field such as `gene_symbol:`, `gene=`, `gene_id=`, `GN=` or
#' `locus_tag=`; then looking up the gene of a transcript or protein in `annotation`, by id or by name. On the side of
#' the atlas: taking the first word, or a field between `|`. Then on both sides: dropping a prefix that nearly all names
#' have (`hg38_`, `hu_`), dropping the version suffix (`.1`), writing `-` for `_` (as Seurat does), and ignoring case.
#' All compositions of steps that change something are tried. The best is the simplest that matches at least 99 % of the
#' genes that any of them matches. A name that is a gene as it stands always stays that gene.
#'
#' [samap()] makes the same check: it stops where no gene matches, warns below 30 %, and applies the best transformation
#' with `fix_ids = TRUE`.
#'
#' @param x An atlas (anything that [samap()] takes), or the names of its genes.
#' @param homology_or_fasta What should match: the path of a FASTA file, a homology (see [homology_from_pairs()]), or
#'   names.
#' @param species For a homology: the species of `x`.
#' @param annotation Where the genes of transcripts and proteins are looked up: the path of a GTF or GFF3 file (plain or
#'   gzipped), or a data frame whose first column has the names and whose second their genes. `NULL`: nowhere.
#' @param write For a FASTA file: path of a new one, with the longest sequence of each gene under the name of the gene.
#'   The table of names is written beside it, as `<write>.names.tsv`.
#' @param threads Number of threads, as in [samap()].
#'
#' @return `match_genes()`: a list of class `samap_matches`, with
#'   * `transformation`: the steps of the best transformation, in words; empty where names match as they are;
#'   * `n_genes`, `n_matched`, `n_names`: genes of the atlas, those of them that match, and names on the other side;
#'   * `tried`: a data frame of all transformations: `transformation`, `n_genes` and `n_names` that match, `share` of
#'     the smaller side, and an example (`gene`, `name`); most genes first;
#'   * `names`: a data frame of all names that match (`name`: the first word of a header) and their `gene`, which
#'     `homology_from_blast(names =)` takes;
#'   * `unmatched`: a list of names without a match, `genes` and `names`.
#'
#'   `detect_gene_ids()`: a data frame with a row per kind of names: `kind`, `n`, `share`, `versioned` (the share of
#'   them with a version suffix) and `examples`; most frequent first. Kinds: `ensembl_gene`, `ensembl_transcript`,
#'   `ensembl_protein`, `refseq_transcript`, `refseq_protein`, `ncbi_gene` (GeneID), `hgnc`, `mgi`, `zfin`,
#'   `flybase_gene`, `flybase_transcript`, `flybase_protein`, `wormbase_gene`, `wormbase_parasite`, `xenbase`, `tair`,
#'   `trinity`, `uniprot`, `symbol` (a guess) and `unknown`.
#'
#' Errors have the classes `samap_error_argument`, `samap_error_species`, `samap_error_io` and `samap_error_parse`.
#' @examples
#' detect_gene_ids(c("ENSG00000254647.7", "ENSG00000115263.15", "INS"))
#'
#' fasta <- tempfile(fileext = ".fasta")
#' writeLines(c(
#'   ">ENSP00000250971.3 pep gene:ENSG00000254647.7 gene_symbol:INS", "MALWMRLLPLLALLALWGPDPAAA",
#'   ">ENSP00000387662.3 pep gene:ENSG00000115263.15 gene_symbol:GCG", "MKSIYFVAGLFVMLVQGSWQ"
#' ), fasta)
#' matches <- match_genes(c("ENSG00000254647", "ENSG00000115263", "ENSG00000157005"), fasta)
#' matches
#' matches$names
#' @export
match_genes <- function(x, homology_or_fasta, species = NULL, annotation = NULL, write = NULL, threads = NULL) {
  genes <- atlas_gene_names(x)
  other <- names_to_match(homology_or_fasta, species)
  lookup <- annotation_source(annotation)
  if (!is.null(write)) check_write(write, other)
  run <- new_run(threads, verbose = FALSE)
  found <- engine_match_ids(genes, other$names, lookup, run)
  matches <- new_matches(found, genes, other, write)
  if (!is.null(write)) {
    engine_write_longest(other$path, write, genes[found$gene_of], run)
    utils::write.table(matches$names, paste0(write, ".names.tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
  }
  matches
}

#' @rdname match_genes
#' @export
detect_gene_ids <- function(x) {
  names <- atlas_gene_names(x)
  found <- engine_id_kinds(names)
  data.frame(
    kind = found$kind, n = found$n, share = found$n / max(1L, length(names)), versioned = found$versioned / found$n,
    examples = vapply(found$examples, function(at) paste(names[at], collapse = ", "), character(1))
  )
}

new_matches <- function(found, genes, other, write) {
  matched <- !is.na(found$gene_of)
  smaller <- pmin(length(genes), found$different)
  tried <- data.frame(
    transformation = vapply(found$steps, transformation_name, character(1)), n_genes = found$genes,
    n_names = found$names, share = ifelse(smaller > 0, found$genes / smaller, 0), gene = genes[found$example_gene],
    name = other$names[found$example_name]
  )
  structure(list(
    transformation = found$steps[[found$best]], n_genes = length(genes), n_matched = found$genes[[found$best]],
    n_names = length(other$names), tried = tried,
    names = unique(data.frame(name = other$ids[matched], gene = genes[found$gene_of[matched]])),
    unmatched = list(genes = setdiff(genes, genes[found$gene_of[matched]]), names = other$names[!matched]),
    written = write
  ), class = "samap_matches")
}

transformation_name <- function(steps) {
  if (length(steps) == 0) "names as they are" else paste(steps, collapse = ", then ")
}

#' @method print samap_matches
#' @export
print.samap_matches <- function(x, ...) {
  cat(
    "<samap_matches> ", x$n_matched, " of ", count_of(x$n_genes, "gene"), " match one of ", count_of(x$n_names, "name"),
    "\n", sep = ""
  )
  cat("  by ", transformation_name(x$transformation), "\n", sep = "")
  matching <- x$tried[x$tried$n_genes > 0, ]
  shown <- utils::head(matching, 6L)
  for (row in seq_len(nrow(shown))) {
    one <- shown[row, ]
    example <- paste0(": ", quoted(one$gene), " = ", quoted(shorten(one$name, 50L)))
    cat("  ", format(one$n_genes, width = nchar(x$n_genes)), "  ", one$transformation, example, "\n", sep = "")
  }
  if (nrow(matching) > 6L) cat("# and ", count_of(nrow(matching) - 6L, "more transformation"), "\n", sep = "")
  for (side in c("genes", "names")) {
    left <- x$unmatched[[side]]
    if (length(left) > 0) cat("  ", side, " without a match: ", enumerate(shorten(left, 50L), 3L), "\n", sep = "")
  }
  if (!is.null(x$written)) cat("  longest sequence of each gene: ", x$written, "\n", sep = "")
  invisible(x)
}

shorten <- function(x, width) ifelse(nchar(x) > width, paste0(substr(x, 1L, width - 3L), "..."), x)

# ---- input -------------------------------------------------------------------

# The genes of an atlas, or names as they are; a single string that is a file is an atlas.
atlas_gene_names <- function(x) {
  if (is.character(x) && is.null(dim(x)) && !is_existing_file(x)) {
    return(check_names_vector(x, "x"))
  }
  if (is_stack(x) && !is.null(names(x))) {
    samap_abort(
      "argument", "`x` must be one atlas.", argument = "x",
      found = paste0("It is a list of ", enumerate(quoted(names(x))), "."),
      remedy = paste0("For example `x$", names(x)[[1]], "`.")
    )
  }
  read_atlas(x, sole_species)$genes
}

is_existing_file <- function(x) {
  is.character(x) && length(x) == 1L && !is.na(x) && file.exists(x) && !dir.exists(x)
}

check_names_vector <- function(x, argument) {
  if (anyNA(x)) {
    samap_abort(
      "missing", paste0(backticked(argument), " has missing names."), argument = argument,
      found = paste0(count_of(sum(is.na(x)), "name"), ", the first is number ", which(is.na(x))[[1]], ".")
    )
  }
  unique(x)
}

# list(names = what is transformed, ids = what a BLAST table calls them, path = of a FASTA file or NULL).
names_to_match <- function(x, species) {
  if (is_existing_file(x)) {
    records <- engine_fasta(normalizePath(x), new_run(threads = 1L, verbose = FALSE))
    return(list(names = records$header, ids = records$id, path = x))
  }
  if (is.data.frame(x)) {
    names <- homology_names(x, species)
  } else if (is.character(x) && length(x) > 1L) {
    names <- check_names_vector(x, "homology_or_fasta")
  } else {
    samap_abort(
      "argument", "`homology_or_fasta` must be a homology, the path of a FASTA file, or names.",
      argument = "homology_or_fasta",
      found = paste0("It is ", describe(x), if (is.character(x)) ", which is no file", ".")
    )
  }
  list(names = names, ids = names, path = NULL)
}

homology_names <- function(x, species) {
  if (!inherits(x, "samap_homology")) x <- new_homology(check_pairs(x, "homology_or_fasta"))
  genes <- attr(x, "genes")
  if (!is.character(species) || length(species) != 1L || !species %in% names(genes)) {
    samap_abort(
      "species", "`species` must be a species of the homology.", argument = "species",
      found = paste0("It is ", describe(species), "; the homology has ", enumerate(quoted(names(genes))), ".")
    )
  }
  genes[[species]]
}

annotation_source <- function(annotation) {
  if (is.null(annotation)) {
    return(NULL)
  }
  if (is.data.frame(annotation)) {
    if (ncol(annotation) < 2L) {
      samap_abort(
        "argument", "`annotation` must have two columns: names, and their genes.", argument = "annotation",
        found = paste0("It has ", ncol(annotation), ".")
      )
    }
    return(names_table(annotation, NULL))
  }
  check_string(annotation, "annotation")
  if (!file.exists(annotation)) {
    samap_abort("io", "`annotation` is not there.", argument = "annotation",
      found = paste0("Looked for ", quoted(annotation), "."))
  }
  list(file = normalizePath(annotation))
}

check_write <- function(write, other) {
  check_string(write, "write")
  if (is.null(other$path)) {
    samap_abort("argument", "`write` needs sequences.", argument = "write",
      remedy = "Give the path of a FASTA file as `homology_or_fasta`.")
  }
  if (file.exists(write) && normalizePath(write) == normalizePath(other$path)) {
    samap_abort("argument", "`write` is the file that is read.", argument = "write",
      found = paste0("It is ", quoted(write), "."), remedy = "Give another path.")
  }
}

# ---- the check of samap() ----------------------------------------------------

few_matches <- 0.3

check_matches <- function(genes, named, species, run) {
  shares <- vapply(species, function(id) matched_share(genes[[id]], named[[id]]), double(1))
  without <- species[!is.na(shares) & shares == 0]
  if (length(without) > 0) {
    message <- paste0("No gene of species ", enumerate(quoted(without)), " has the same name in atlas and `homology`.")
    stop_without_match(message, genes, named, species, run)
  }
  few <- species[!is.na(shares) & shares < few_matches]
  if (length(few) > 0) {
    samap_warn(
      "few_matches", "Few genes have the same names in the atlases and in `homology`.",
      argument = "homology", species = few,
      found = match_report(genes, named, few), remedy = match_remedies(genes, named, few, run)
    )
  }
}

stop_without_match <- function(message, genes, named, species, run) {
  samap_abort(
    "no_match", message,
    argument = "homology", species = species, found = match_report(genes, named, species),
    remedy = match_remedies(genes, named, species, run)
  )
}

# Share of the smaller of both sets that is in the other; NA for a species the homology does not know.
matched_share <- function(genes, named) {
  if (length(named) == 0) {
    return(NA_real_)
  }
  sum(named %in% genes) / min(length(named), length(genes))
}

match_report <- function(genes, named, species) {
  vapply(species, function(id) {
    paste0(
      quoted(id), ": ", sum(named[[id]] %in% genes[[id]]), " of ", count_of(length(named[[id]]), "gene"),
      " of the homology are among the ", count_of(length(genes[[id]]), "gene"), " of the atlas. Atlas: ",
      enumerate(unmatched_first(genes[[id]], named[[id]]), 3L), ". Homology: ",
      enumerate(unmatched_first(named[[id]], genes[[id]]), 3L), "."
    )
  }, character(1), USE.NAMES = FALSE)
}

unmatched_first <- function(x, y) c(x[!x %in% y], x[x %in% y])

# What would mend the names of each species; where nothing does, what kinds of names they are.
match_remedies <- function(genes, named, species, run) {
  remedies <- lapply(species, function(id) {
    best <- best_transformation(genes[[id]], named[[id]], run)
    if (!is.null(best)) {
      paste0(quoted(id), ": ", best$name, " would match ", best$matches, ". `fix_ids = TRUE` does it.")
    } else if (length(named[[id]]) > 0 && matched_share(genes[[id]], named[[id]]) < few_matches) {
      kinds_remedy(id, genes[[id]], named[[id]])
    }
  })
  remedies <- unlist(remedies)
  same <- "Use the same names on both sides; `rownames()` of the counts are the atlas's."
  if (is.null(remedies)) same else remedies
}

kinds_remedy <- function(id, genes, named) {
  kinds <- vapply(list(genes, named), function(names) engine_id_kinds(names)$kind[[1]], character(1))
  if (kinds[[1]] == kinds[[2]]) {
    return(NULL)
  }
  paste0(
    quoted(id), ": use the same names on both sides (`rownames()` of the counts are the atlas's). The atlas has names ",
    "of the kind ", quoted(kinds[[1]]), ", the homology of the kind ", quoted(kinds[[2]]),
    ". `match_genes()` looks up the genes of transcripts and proteins in an annotation."
  )
}

# The transformation under which most genes of the homology are found, if any is better than leaving the names alone.
best_transformation <- function(genes, named, run) {
  if (length(named) == 0) {
    return(NULL)
  }
  found <- engine_match_ids(genes, named, NULL, run)
  if (length(found$steps[[found$best]]) == 0 || found$names[[found$best]] <= sum(named %in% genes)) {
    return(NULL)
  }
  list(
    name = transformation_name(found$steps[[found$best]]), matches = found$names[[found$best]], gene_of = found$gene_of
  )
}

# The homology with its genes renamed to those of the atlases, wherever a transformation helps.
fix_gene_ids <- function(homology, named, genes, run) {
  edges <- as.data.frame(homology)
  for (id in names(genes)) {
    best <- best_transformation(genes[[id]], named[[id]], run)
    if (is.null(best)) next
    table <- data.frame(from = named[[id]], to = genes[[id]][best$gene_of])
    fixed <- rename_genes(edges, named, id, table)
    edges <- fixed$edges
    named <- fixed$genes
    note_choice(run, id, "gene ids", best$name, paste(best$matches, "genes match"))
  }
  homology <- new_homology(edges, named, names(genes))
  list(homology = homology, named = attr(homology, "genes")[names(genes)])
}
