#' Report of a mapping as one web page
#'
#' Writes what a reader wants to know first about a mapping: how well genes matched, whether the passes settled, which
#' types align and by which genes, and what to be careful with.
#'
#' @param sm What [samap()] returns.
#' @param by The types, as in [alignment_scores()].
#' @param file Where to write the page, `.html`. It holds everything it shows and can be sent around.
#' @param pairs What [gene_pairs()] returned. `NULL`: it is called, if `sm` has its counts; else the page has no gene
#'   pairs.
#' @param n_pairs Gene pairs shown per match.
#' @param min_score Alignment score (0 to 1) from which two types count as a match.
#' @param title Title of the page.
#' @param threads,verbose As in [samap()].
#' @return The path of `file`, invisibly. Genes link to Ensembl, NCBI or UniProt where their names are of a kind that
#'   is known there. Needs the package rmarkdown and pandoc (`samap_error_pandoc` where that is missing).
#'
#'   Warnings on the page: types without a match; matches where one direction of the score is less than a third of the
#'   other; types of fewer than 10 cells; species with few genes in the homology.
#' @examplesIf rlang::is_installed("rmarkdown") && rmarkdown::pandoc_available("1.12.3")
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, threads = 1, verbose = FALSE)
#' file <- tempfile(fileext = ".html")
#' samap_report(sm, "cell_type", file, threads = 1)
#' @export
samap_report <- function(sm, by, file, pairs = NULL, n_pairs = 5, min_score = 0.1, title = "Mapping of cell atlases",
                         threads = NULL, verbose = FALSE) {
  check_samap(sm)
  file <- check_report_file(file)
  n_pairs <- check_number(n_pairs, "n_pairs", min = 1, integer = TRUE)
  check_number(min_score, "min_score", min = 0, max = 1)
  check_string(title, "title")
  if (!is.null(pairs)) drawn_pairs(pairs)
  need_pandoc()
  scores <- alignment_scores(sm, by)
  if (is.null(pairs) && !is.null(sm$counts)) {
    pairs <- gene_pairs(sm, by, min_score = min_score, threads = threads, verbose = verbose)
  }
  report <- list(
    title = literal(title), inputs = report_inputs(sm), settings = report_settings(sm), choices = report_choices(sm),
    matches = report_matches(scores, min_score), min_score = min_score,
    warnings = report_warnings(sm, scores, min_score), genes = report_genes(sm, scores, pairs, min_score, n_pairs),
    figures = report_figures(sm, by, scores, min_score, threads)
  )
  render_report(report, file)
  invisible(normalizePath(file))
}

check_report_file <- function(file) {
  check_string(file, "file")
  if (!grepl("\\.html?$", file, ignore.case = TRUE)) {
    samap_abort(
      "argument", "`file` must end with `.html`.", argument = "file", found = paste0("It is ", quoted(file), ".")
    )
  }
  if (!dir.exists(dirname(file))) {
    samap_abort(
      "io", "The folder of `file` does not exist.", argument = "file",
      found = paste0("It is ", quoted(dirname(file)), "."), remedy = "Create it first."
    )
  }
  file
}

need_pandoc <- function() {
  rlang::check_installed(c("rmarkdown", "knitr"), "to write reports.")
  if (!rmarkdown::pandoc_available("1.12.3")) {
    samap_abort(
      "pandoc", "Reports need pandoc, which was not found.",
      remedy = "Install it (https://pandoc.org/installing.html), or run R from RStudio, which has it."
    )
  }
}

# rmarkdown writes beside its input, which is therefore a copy.
render_report <- function(report, file) {
  folder <- tempfile("samap-report-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  file.copy(system.file("report", c("report.Rmd", "report.css"), package = "samap", mustWork = TRUE), folder)
  done <- rmarkdown::render(
    file.path(folder, "report.Rmd"), output_file = "report.html", quiet = TRUE,
    envir = list2env(list(report = report), parent = globalenv())
  )
  if (!file.copy(done, file, overwrite = TRUE)) {
    samap_abort("io", "The report cannot be written.", argument = "file", found = paste0("To ", quoted(file), "."))
  }
}

# ---- tables ------------------------------------------------------------------

report_inputs <- function(sm) {
  overview <- summary(sm)$species
  data.frame(
    Species = overview$species, Cells = whole_number(overview$cells), Genes = whole_number(overview$genes),
    `With homologues` = whole_number(overview$matched), Share = in_percent(overview$matched / overview$genes),
    check.names = FALSE
  )
}

whole_number <- function(x) format(x, big.mark = ",", trim = TRUE, scientific = FALSE)

in_percent <- function(x) paste0(round(100 * x), " %")

# Of a mapping that was read from a file, what ran is not known.
report_settings <- function(sm) {
  edges <- sm$homology$edges
  run <- if (is_imported(sm)) {
    list(passes = "run in Python", seed = "not known", device = "not known", time = "not known")
  } else {
    list(passes = n_passes(sm), seed = sm$provenance$seed, device = sm$provenance$device,
      time = paste(format(round(sm$provenance$seconds, 1)), "s"))
  }
  data.frame(
    What = c("Pairs of homologous genes", "Passes", "Edges per cell to each other species", "Seed", "Device", "Time",
      "Version of samap", "Date"),
    Value = c(
      paste0(whole_number(sum(edges$matched)), " of ", whole_number(nrow(edges)), " given are in the atlases"),
      run$passes, final_pass(sm)$k, run$seed, run$device, run$time, sm$provenance$samap,
      format(sm$provenance$date, "%Y-%m-%d")
    )
  )
}

report_choices <- function(sm) {
  choices <- sm$choices
  data.frame(Step = choices$step, What = choices$what, Chosen = choices$chosen, Why = choices$reason)
}

score_text <- function(x) sprintf("%.2f", x)

report_matches <- function(scores, min_score) {
  matches <- scores[scores$score >= min_score & scores$score > 0, ]
  data.frame(
    Species = matches$species_a, Type = matches$type_a, `Other species` = matches$species_b,
    `Other type` = matches$type_b, Score = score_text(matches$score), There = score_text(matches$score_ab),
    Back = score_text(matches$score_ba), Cells = whole_number(matches$n_a), `Other cells` = whole_number(matches$n_b),
    check.names = FALSE
  )
}

# What to be careful with: one row per warning.
report_warnings <- function(sm, scores, min_score) {
  none <- data.frame(Warning = character(), What = character(), Why = character())
  rbind(none, few_genes_warnings(sm), unmatched_warnings(scores, min_score), one_sided_warnings(scores, min_score),
    tiny_warnings(scores))
}

few_genes_warnings <- function(sm) {
  overview <- summary(sm)$species
  few <- overview[overview$matched < few_matches * overview$genes, ]
  why <- paste(in_percent(few$matched / few$genes), "of its genes have homologues")
  warning_rows("Few homologues", few, few$species, why)
}

# `rows`: what is warned of; without any, no warning.
warning_rows <- function(kind, rows, what, why) {
  if (nrow(rows) > 0) data.frame(Warning = kind, What = what, Why = why)
}

unmatched_warnings <- function(scores, min_score) {
  ends <- type_ends(scores)
  ends <- ends[order(-ends$score), ]
  best <- ends[!duplicated(ends[c("species", "type")]), ]
  weak <- best[best$score < min_score | best$score == 0, ]
  weak <- weak[order(match(weak$species, unique(scores$species_a))), ]
  warning_rows("No match", weak, named_type(weak$species, weak$type), paste("best score", score_text(weak$score)))
}

named_type <- function(species, type) paste0(species, ": ", type)

# Matches where the weaker direction is less than this share of the stronger.
one_sided_share <- 1 / 3

one_sided_warnings <- function(scores, min_score) {
  weaker <- pmin(scores$score_ab, scores$score_ba)
  sided <- scores[scores$score >= min_score & scores$score > 0 & weaker < one_sided_share * scores$score, ]
  from <- ifelse(sided$score_ab > sided$score_ba, sided$species_a, sided$species_b)
  to <- ifelse(sided$score_ab > sided$score_ba, sided$species_b, sided$species_a)
  why <- paste0(
    "cells of ", from, " link to ", to, ", but few back (", score_text(sided$score_ab), " there, ",
    score_text(sided$score_ba), " back)"
  )
  what <- paste(named_type(sided$species_a, sided$type_a), "-", named_type(sided$species_b, sided$type_b))
  warning_rows("One-sided", sided, what, why)
}

# Scores of types of fewer cells are noisy.
tiny_type <- 10L

tiny_warnings <- function(scores) {
  ends <- unique(type_ends(scores)[c("species", "type", "n")])
  tiny <- ends[ends$n < tiny_type, ]
  cells <- vapply(tiny$n, count_of, character(1), noun = "cell")
  warning_rows("Tiny type", tiny, named_type(tiny$species, tiny$type), cells)
}

# Both ends of every row.
type_ends <- function(scores) {
  data.frame(
    species = c(scores$species_a, scores$species_b), type = c(scores$type_a, scores$type_b),
    score = rep(scores$score, 2L), n = c(scores$n_a, scores$n_b)
  )
}

# ---- gene pairs --------------------------------------------------------------

# Per match its title and its best gene pairs as a table with links; NULL without counts.
report_genes <- function(sm, scores, pairs, min_score, n_pairs) {
  if (is.null(pairs)) {
    return(NULL)
  }
  kinds <- lapply(split(sm$genes$gene, sm$genes$species), gene_kind)
  matches <- scores[scores$score >= min_score & scores$score > 0, ]
  lapply(seq_len(nrow(matches)), function(row) {
    match <- matches[row, ]
    mine <- pairs[pairs$species_a == match$species_a & pairs$type_a == match$type_a &
      pairs$species_b == match$species_b & pairs$type_b == match$type_b, ]
    mine <- utils::head(mine, n_pairs)
    table <- data.frame(
      linked_genes(mine$gene_a, kinds[[match$species_a]]), linked_genes(mine$gene_b, kinds[[match$species_b]]),
      Score = format(mine$score, digits = 2, scientific = TRUE), Correlation = score_text(mine$correlation),
      p_a = format(mine$padj_a, digits = 2, scientific = TRUE), p_b = format(mine$padj_b, digits = 2, scientific = TRUE)
    )
    names(table) <- c(
      match$species_a, match$species_b, "Score", "Correlation", paste("adjusted p", match$species_a),
      paste("adjusted p", match$species_b)
    )
    list(
      title = escaped(paste0(
        named_type(match$species_a, match$type_a), " \u2013 ", named_type(match$species_b, match$type_b), " (score ",
        score_text(match$score), ")"
      )),
      table = table
    )
  })
}

# Pages of genes, by the kind of their names. Symbols are searched for.
gene_pages <- c(
  ensembl_gene = "https://www.ensembl.org/id/%s", ncbi_gene = "https://www.ncbi.nlm.nih.gov/gene/%s",
  uniprot = "https://www.uniprot.org/uniprotkb/%s", symbol = "https://www.ncbi.nlm.nih.gov/gene/?term=%s%%5Bgene%%5D"
)

# The kind of most names, if there are pages for it; else "none".
gene_kind <- function(genes) {
  kinds <- detect_gene_ids(genes)
  if (kinds$share[[1]] > 0.6 && kinds$kind[[1]] %in% names(gene_pages)) kinds$kind[[1]] else "none"
}

# Names of genes as HTML, with a link where there is a page for names of their kind.
linked_genes <- function(genes, kind) {
  shown <- escaped(genes)
  if (kind == "none" || length(genes) == 0L) {
    return(shown)
  }
  key <- switch(kind,
    ensembl_gene = sub("\\.[0-9]+$", "", genes), ncbi_gene = sub("^(LOC|GeneID:)", "", genes),
    uniprot = sub("^([a-z]{2}\\|)?([A-Z0-9]+).*$", "\\2", genes), genes
  )
  key <- vapply(key, utils::URLencode, character(1), reserved = TRUE, USE.NAMES = FALSE)
  address <- sprintf(gene_pages[[kind]], key)
  paste0("<a href=\"", escaped(address), "\">", shown, "</a>")
}

# Text that means nothing to YAML, Markdown and HTML: punctuation by its numbers.
literal <- function(x) {
  code <- utf8ToInt(enc2utf8(x))
  plain <- code > 127L | grepl("[A-Za-z0-9 ]", intToUtf8(code, multiple = TRUE))
  paste0(ifelse(plain, intToUtf8(code, multiple = TRUE), sprintf("&#%d;", code)), collapse = "")
}

escaped <- function(x) {
  x <- gsub("&", "&amp;", x, fixed = TRUE)
  x <- gsub("<", "&lt;", x, fixed = TRUE)
  x <- gsub(">", "&gt;", x, fixed = TRUE)
  gsub("\"", "&quot;", x, fixed = TRUE)
}

# ---- figures -----------------------------------------------------------------

# Plots with their height in inches; NULL where there is nothing to draw.
report_figures <- function(sm, by, scores, min_score, threads) {
  n_types <- max(table(attr(scores, "types")$species))
  tall <- max(5, min(12, 2.2 + 0.22 * n_types))
  linked <- any(scores$score >= min_score & scores$score > 0)
  figure <- function(plot, height, caption) list(plot = plot, height = height, caption = caption)
  list(
    convergence = if (!is_imported(sm)) {
      figure(plot_convergence(sm, by, threads = threads), 3.2, "Alignment and edges over the passes.")
    },
    species = if (!is.null(sm$umap)) figure(plot_embedding(sm), 5.5, "All cells, by species."),
    types = if (!is.null(sm$umap)) figure(plot_embedding(sm, by), max(5.5, min(9, tall)), "All cells, by type."),
    heatmap = figure(plot_alignment(scores), tall, "Alignment scores of all types, ordered by clustering."),
    sankey = if (linked) figure(plot_sankey(scores, min_score = min_score), tall, "Matched types.")
  )
}
