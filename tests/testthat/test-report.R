# Not by expect_match(), which prints the whole page where it fails.
expect_shown <- function(page, text) expect_true(grepl(text, page, fixed = TRUE), label = paste("the page shows", text))

needs_pandoc <- function() {
  skip_if_not_installed("rmarkdown")
  skip_if_not(rmarkdown::pandoc_available("1.12.3"), "pandoc is not there")
}

test_that("a report is one file with all its figures and tables", {
  needs_pandoc()
  sm <- finished()
  file <- file.path(withr::local_tempdir(), "report.html")
  expect_identical(samap_report(sm, "cell_type", file, title = "It's \"A\": <b> *c*", threads = 1), normalizePath(file))
  page <- paste(readLines(file, warn = FALSE), collapse = "\n")
  expect_shown(page, "&lt;b&gt; *c*</h1>")
  # Convergence, two layouts, heatmap and Sankey, all inside.
  sources <- regmatches(page, gregexpr("<img src=\"[^\"]{30}", page))[[1]]
  expect_identical(sources, rep("<img src=\"data:image/png;base64,iVBORw0K", 5L))
  expect_false(grepl("<(script|link)[^>]{0,200} (src|href)=\"[^d#]", page))
  for (part in c("Inputs", "Warnings", "Convergence", "Aligned types", "Genes", "How it was made")) {
    expect_shown(page, paste0("<h2>", part, "</h2>"))
  }
  expect_shown(page, "https://www.ncbi.nlm.nih.gov/gene/?term=g")
})

test_that("results without counts or layout have a report without genes and cells", {
  needs_pandoc()
  sm <- finished()
  sm$counts <- NULL
  sm$umap <- NULL
  file <- file.path(withr::local_tempdir(), "report.html")
  samap_report(sm, "cell_type", file, threads = 1)
  page <- paste(readLines(file, warn = FALSE), collapse = "\n")
  expect_shown(page, "does not hold its counts")
  expect_shown(page, "has no layout")
})

test_that("weak, one-sided and tiny types are warned of", {
  sm <- finished()
  scores <- planted_scores()
  scores$score_ba[1] <- scores$score[1] / 10
  weak <- scores$type_a == "type 05" | scores$type_b == "type 05"
  scores[weak, c("score", "score_ab", "score_ba")] <- 0.01
  warnings <- report_warnings(sm, scores, 0.1)
  expect_setequal(warnings$What[warnings$Warning == "No match"], c("ha: type 05", "mu: type 05"))
  expect_identical(warnings$What[warnings$Warning == "One-sided"], "ha: type 01 - mu: type 01")
  expect_match(warnings$Why[warnings$Warning == "One-sided"], "cells of ha link to mu, but few back")
  # n_b is 5 + type.
  expect_setequal(warnings$What[warnings$Warning == "Tiny type"], paste0("mu: type 0", 1:4))
  expect_match(warnings$Why[warnings$Warning == "Tiny type"], "^[6-9] cells$")
  expect_identical(nrow(report_warnings(sm, planted_scores()[0, ], 0.1)), 0L)
  few <- sm
  few$genes$matched[few$genes$species == "mu"] <- seq_len(sum(few$genes$species == "mu")) == 1L
  expect_identical(few_genes_warnings(few)$What, "mu")
})

test_that("genes link to where names of their kind are known", {
  expect_identical(gene_kind(c("ENSG00000254647", "ENSMUSG00000000215.3")), "ensembl_gene")
  expect_identical(gene_kind(c("3630", "2641")), "ncbi_gene")
  expect_identical(gene_kind(c("P01308", "A0A024RBG1")), "uniprot")
  expect_identical(gene_kind(c("INS", "Gcg", "HLA-A")), "symbol")
  expect_identical(gene_kind(c("dd_Smed_v6_8102_0", "Schmidtea mediterranea 3")), "none")
  expect_identical(
    linked_genes("ENSG00000254647.6", "ensembl_gene"),
    "<a href=\"https://www.ensembl.org/id/ENSG00000254647\">ENSG00000254647.6</a>"
  )
  expect_match(linked_genes("sp|P01308|INS_HUMAN", "uniprot"), "uniprotkb/P01308\">sp|P01308|INS_HUMAN<", fixed = TRUE)
  expect_match(linked_genes("LOC3630", "ncbi_gene"), "gene/3630\">LOC3630<", fixed = TRUE)
  expect_match(linked_genes("A&B", "symbol"), "term=A%26B%5Bgene%5D\">A&amp;B</a>", fixed = TRUE)
  expect_identical(linked_genes("a<b", "none"), "a&lt;b")
  expect_identical(linked_genes(character(), "symbol"), character())
})

test_that("where to write is checked first", {
  sm <- finished()
  expect_error(samap_report(sm, "cell_type", "report.pdf"), class = "samap_error_argument")
  expect_error(samap_report(sm, "cell_type", file.path(tempdir(), "nowhere", "r.html")), class = "samap_error_io")
  expect_error(samap_report(1, "cell_type", "r.html"), class = "samap_error_argument")
})
