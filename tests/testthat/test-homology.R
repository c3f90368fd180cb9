test_that("pairs are kept once, with the largest weight, in one orientation", {
  df <- data.frame(
    species_a = c("b", "a", "a", "a"), gene_a = c("y", "x", "x", "z"),
    species_b = c("a", "b", "b", "b"), gene_b = c("x", "y", "y", "y"), weight = c(3, 7, 5, 1)
  )
  h <- homology_from_pairs(df)
  expect_s3_class(h, c("samap_homology", "data.frame"), exact = TRUE)
  expect_identical(as.data.frame(h), data.frame(
    species_a = c("b", "b"), gene_a = c("y", "y"), species_b = c("a", "a"), gene_b = c("x", "z"), weight = c(7, 1)
  ))
  expect_identical(attr(h, "genes"), list(b = "y", a = c("x", "z")))
})

test_that("a gene name shared by two species is two genes", {
  h <- homology_from_pairs(data.frame(species_a = "a", gene_a = c("x", "y"), species_b = "b", gene_b = c("x", "y")))
  expect_identical(attr(h, "genes"), list(a = c("x", "y"), b = c("x", "y")))
  expect_identical(h$weight, c(1, 1))
})

test_that("weak edges are dropped unless they pass from either end", {
  df <- data.frame(
    species_a = "a", gene_a = c("x", "x", "w"), species_b = "b", gene_b = c("y", "z", "y"), weight = c(100, 20, 24)
  )
  kept <- homology_from_pairs(df, row_max_filter = 0.25)
  # x-z is the best of z; w-y is the best of w.
  expect_identical(nrow(kept), 3L)
  df <- rbind(df, transform(df[2:3, ], gene_a = c("u", "w"), gene_b = c("z", "v"), weight = c(100, 100)))
  kept <- homology_from_pairs(df, row_max_filter = 0.25)
  expect_setequal(paste(kept$gene_a, kept$gene_b), c("x y", "u z", "w v"))
})

test_that("rows within a species are ignored with their number", {
  df <- data.frame(species_a = "a", gene_a = c("x", "x"), species_b = c("b", "a"), gene_b = c("y", "w"))
  expect_snapshot(show_condition(homology_from_pairs(df)))
  expect_warning(h <- homology_from_pairs(df), class = "samap_warning_within_species")
  expect_identical(nrow(h), 1L)
})

test_that("a homology prints its pairs of species", {
  expect_snapshot(print(homology_from_pairs(three_species()$homology)))
})

# ---- BLAST -------------------------------------------------------------------

blast_row <- function(query, target, evalue, score) {
  paste(query, target, 90, 100, 5, 0, 1, 100, 1, 100, evalue, score, sep = "\t")
}

blast_folder <- function(folder = c("ab", "ba", "."), gz = FALSE, env = parent.frame()) {
  dir <- withr::local_tempdir(.local_envir = env)
  into <- file.path(dir, match.arg(folder))
  dir.create(into, showWarnings = FALSE)
  write <- function(lines, file) {
    con <- if (gz) gzfile(file.path(into, paste0(file, ".gz")), "w") else file(file.path(into, file), "w")
    writeLines(lines, con)
    close(con)
  }
  write(c(
    blast_row("g1", "h1", 1e-30, 40), blast_row("g1", "h1", 1e-30, 100), blast_row("g1", "h1", 1e-30, 50),
    blast_row("g2", "h2", 1e-3, 100), blast_row("g3", "h3", 1e-30, 80), blast_row("g4", "h1", 1e-30, 10),
    blast_row("g4", "h4", 1e-30, 90)
  ), "a_to_b.txt")
  write(c(
    blast_row("h1", "g1", 1e-30, 200), blast_row("h2", "g2", 1e-30, 100), blast_row("h1", "g4", 1e-30, 10),
    blast_row("h4", "g4", 1e-30, 70)
  ), "b_to_a.txt")
  dir
}

test_that("BLAST tables give reciprocal hits, the best of several, with the mean score", {
  for (folder in c("ab", "ba", ".")) {
    h <- homology_from_blast(blast_folder(folder), c("a", "b"), row_max_filter = 0)
    expect_identical(paste(h$gene_a, h$gene_b), c("g1 h1", "g4 h1", "g4 h4"))
    expect_equal(h$weight, c(150, 10, 80))
    # Genes that lost their hits still belong to the tables.
    expect_identical(attr(h, "genes"), list(a = paste0("g", 1:4), b = paste0("h", 1:4)))
  }
})

test_that("gzipped tables, the filter, and the folder as homology work", {
  h <- homology_from_blast(blast_folder(gz = TRUE), c("a", "b"))
  expect_identical(paste(h$gene_a, h$gene_b), c("g1 h1", "g4 h4"))
})

test_that("transcripts become genes with the largest weight, the first mention of a name counting", {
  names <- list(a = data.frame(from = c("g1", "g4", "g4"), to = c("G", "G", "other")))
  h <- homology_from_blast(blast_folder(), c("a", "b"), names = names, row_max_filter = 0)
  expect_identical(paste(h$gene_a, h$gene_b), c("G h1", "G h4"))
  expect_equal(h$weight, c(150, 80))
  expect_identical(attr(h, "genes")$a, c("G", "g2", "g3"))
})

test_that("missing and truncated tables are errors that name the file", {
  expect_error(homology_from_blast(blast_folder(), c("a", "c")), class = "samap_error_io")
  dir <- blast_folder()
  writeLines(c(blast_row("g1", "h1", 1e-30, 40), "g1\th1\t9"), file.path(dir, "ab", "a_to_b.txt"))
  expect_error(homology_from_blast(dir, c("a", "b")), "a_to_b.txt", class = "samap_error_parse")
  dir <- blast_folder()
  expect_error(homology_from_blast(dir, c("a", "b"), evalue = 1e-99), class = "samap_error_empty")
  file.remove(file.path(dir, "ab", "b_to_a.txt"))
  expect_error(homology_from_blast(dir, c("a", "b")), "Only one direction", class = "samap_error_io")
  expect_error(homology_from_blast(dir, c("a", "b"), names = list(fish = names)), class = "samap_error_species")
})

test_that("hits within a species are ignored with their number", {
  dir <- blast_folder()
  cat(blast_row("g1", "g3", 1e-30, 500), "\n", sep = "", file = file.path(dir, "ab", "a_to_b.txt"), append = TRUE)
  expect_snapshot(show_condition(homology_from_blast(dir, c("a", "b"))))
  h <- suppressWarnings(homology_from_blast(dir, c("a", "b")))
  expect_identical(as.data.frame(h), as.data.frame(homology_from_blast(blast_folder(), c("a", "b"))))
})

# ---- other tables ------------------------------------------------------------

test_that("tables with a column per species are pairs: BioMart, OrthoFinder, OMA and HCOP", {
  biomart <- data.frame(
    Gene.name = c("INS", "INS", "GCG", "X"), Mouse.gene.name = c("Ins1", "Ins2", "Gcg", ""), id = c(80, 85, 90, 1)
  )
  h <- homology_from_pairs(biomart, columns = c(human = "Gene.name", mouse = "Mouse.gene.name"), weight = "id")
  expect_identical(paste(h$gene_a, h$gene_b, h$weight), c("GCG Gcg 90", "INS Ins1 80", "INS Ins2 85"))

  orthofinder <- data.frame(Orthogroup = c("OG0", "OG1"), A = c("a1, a2", "a3"), B = c("b1,b2", NA), C = c("", "c1"))
  h <- homology_from_pairs(orthofinder, columns = c(a = "A", b = "B", c = "C"))
  expect_identical(
    paste(h$species_a, h$gene_a, h$species_b, h$gene_b),
    c("a a1 b b1", "a a1 b b2", "a a2 b b1", "a a2 b b2", "a a3 c c1")
  )

  oma <- data.frame(V1 = c("HUMAN1", "HUMAN1"), V2 = c("MOUSE1", "MOUSE1"), V3 = "1:1")
  expect_identical(nrow(homology_from_pairs(oma, columns = c(human = "V1", mouse = "V2"))), 1L)

  hcop <- data.frame(human_symbol = c("TP53", "-"), mouse_symbol = c("TP53", "Abc"))
  h <- homology_from_pairs(hcop, columns = c(human = "human_symbol", mouse = "mouse_symbol"))
  expect_identical(attr(h, "genes"), list(human = "TP53", mouse = "TP53"))
})

test_that("columns that cannot be used say why", {
  df <- data.frame(A = "a1", B = "b1")
  expect_snapshot({
    show_condition(homology_from_pairs(df, columns = c("A", "B")))
    show_condition(homology_from_pairs(df, columns = c(a = "A", b = "C")))
    show_condition(homology_from_pairs(df, columns = "A"))
    show_condition(homology_from_pairs(data.frame(A = "", B = "b"), columns = c(a = "A", b = "B")))
  })
})
