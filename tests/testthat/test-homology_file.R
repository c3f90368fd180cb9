test_that("a homology is read as it was saved", {
  homology <- homology_from_pairs(three_species()$homology, row_max_filter = 0.25)
  homology$weight <- homology$weight / 3
  file <- withr::local_tempfile(fileext = ".samap.gz")
  expect_identical(save_homology(homology, file), file)
  again <- read_homology(file)
  expect_identical(again, homology)
  expect_identical(attr(again, "filter"), 0.25)
  # Names and species of any kind.
  odd <- data.frame(species_a = "z_f", gene_a = c(" a\tb", "\u00e9"), species_b = "x", gene_b = "a")
  odd <- homology_from_pairs(odd)
  expect_identical(read_homology(save_homology(odd, file)), odd)
  expect_identical(read_homology(save_homology(as.data.frame(odd), file)), odd)
})

test_that("samap() takes the path of a saved homology", {
  data <- two_species()
  file <- withr::local_tempfile(fileext = ".samap.gz")
  save_homology(data$homology, file)
  expect_identical(as_homology(file, c("ha", "mu")), as_homology(data$homology, c("ha", "mu")))
})

test_that("damaged files are errors of a class", {
  file <- withr::local_tempfile(fileext = ".samap.gz")
  save_homology(homology_from_pairs(planted_pairs("a", "b")), file)
  bytes <- readBin(file, "raw", file.size(file))
  damaged <- withr::local_tempfile()
  for (change in list(
    function(x) x[seq_len(length(x) / 2)], function(x) replace(x, 100, xor(x[[100]], as.raw(1))), function(x) raw(),
    function(x) charToRaw("samap-homology\t2\n")
  )) {
    writeBin(change(bytes), damaged)
    expect_error(read_homology(damaged), class = "samap_error_parse")
  }
  expect_error(read_homology("no such file"), class = "samap_error_io")
  expect_error(save_homology(planted_pairs("a", "b"), "no/such/folder/x.gz"), class = "samap_error_io")
  expect_error(save_homology(1, file), class = "samap_error_argument")
  expect_error(save_homology(data.frame(species_a = "a", gene_a = "x\ny", species_b = "b", gene_b = "z"), file),
    class = "samap_error_argument")
})
