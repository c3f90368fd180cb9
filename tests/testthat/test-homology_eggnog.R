emapper_lines <- function(...) {
  c(
    "# emapper-2.1.9", "#query\tseed_ortholog\tevalue\tscore\teggNOG_OGs\tmax_annot_lvl",
    vapply(list(...), function(row) {
      paste(row[[1]], "9606.P", "1e-9", "100", if (nzchar(row[[2]])) row[[2]] else "-", "-", sep = "\t")
    }, character(1))
  )
}

eggnog_files <- function(env = parent.frame()) {
  dir <- withr::local_tempdir(.local_envir = env)
  files <- file.path(dir, c("human genes.tsv", "mouse.tsv.gz"))
  writeLines(emapper_lines(
    c("P1", "COG1@1|root,KOG1@2759|Eukaryota"), c("P2", "COG1@1|root,KOG2@2759|Eukaryota"), c("P3", "")
  ), files[[1]])
  con <- gzfile(files[[2]], "w")
  writeLines(emapper_lines(
    c("m1", "COG1@1|root,KOG1@2759|Eukaryota"), c("m2", "COG1@1|root,KOG1@2759|Eukaryota"), c("m3", "COG9@1|root")
  ), con)
  close(con)
  c(human = files[[1]], mouse = files[[2]])
}

test_that("genes that share a group at the level are homologous", {
  files <- eggnog_files()
  h <- homology_from_eggnog(files)
  expect_identical(as.data.frame(h), data.frame(
    species_a = "human", gene_a = "P1", species_b = "mouse", gene_b = c("m1", "m2"), weight = 1
  ))
  expect_identical(attr(h, "genes"), list(human = c("P1", "P2", "P3"), mouse = c("m1", "m2", "m3")))
  expect_identical(homologs_from_eggnog(files, "Eukaryota"), as.data.frame(h)[1:4])
  # At the root all four are in one group.
  expect_identical(nrow(homologs_from_eggnog(files, taxon = 1)), 4L)
})

test_that("names, several files per species, and the cap work together", {
  files <- as.list(eggnog_files())
  files$mouse <- rep(files$mouse, 2)
  names <- list(mouse = data.frame(from = c("m1", "m2", NA), to = c("M", "M", "x")))
  expect_identical(homologs_from_eggnog(files, names = names)$gene_b, "M")
  # Two proteins of mouse are one gene, so the group at the root has three.
  expect_no_message(expect_identical(nrow(homologs_from_eggnog(files, 1, max_group_size = 3, names = names)), 2L))
  expect_message(
    expect_error(homologs_from_eggnog(files, 1, max_group_size = 2), class = "samap_error_argument"), NA
  )
})

test_that("groups left out for their size are counted", {
  files <- eggnog_files()
  writeLines(emapper_lines(c("P1", "A@1,B@1"), c("P2", "A@1")), files[["human"]])
  writeLines(emapper_lines(c("m1", "A@1,B@1"), c("m2", "A@1")), files[["mouse"]])
  expect_snapshot(pairs <- homologs_from_eggnog(files, 1, max_group_size = 3))
  expect_identical(pairs$gene_b, "m1")
})

test_that("what cannot be read says why", {
  files <- eggnog_files()
  expect_snapshot({
    show_condition(homology_from_eggnog(files, taxon = 33208))
    show_condition(homology_from_eggnog(files, taxon = 1, max_group_size = 2))
    show_condition(homology_from_eggnog(files, taxon = NULL))
    show_condition(homology_from_eggnog(unname(files)))
    show_condition(homology_from_eggnog(c(human = "one file")))
    show_condition(homology_from_eggnog(c(human = "no such file", mouse = "other")))
  })
  writeLines(c("g1\ta", "g2\tb"), files[["human"]])
  expect_error(homology_from_eggnog(files), "no column with groups", class = "samap_error_parse")
})
