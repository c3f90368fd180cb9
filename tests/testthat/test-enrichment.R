sets <- list(a = paste0("g", 1:10), b = paste0("g", 6:30), c = paste0("g", 40:45), d = "g50", e = c("g1", "g1", "g2"))

test_that("tails are those of phyper(), and adjusted those of p.adjust() over all terms", {
  universe <- paste0("g", 1:60)
  genes <- paste0("g", c(1:8, 20, 41, 41, 59))
  found <- enrich_genes(genes, sets, universe = universe)
  expect_identical(names(found), c("term", "n_genes", "n_term", "odds_ratio", "pval", "padj", "genes"))
  n <- length(unique(genes))
  slow <- lapply(lapply(sets, unique), function(set) {
    both <- intersect(unique(genes), set)
    table <- matrix(c(length(both), n - length(both), length(set) - length(both), 0), 2)
    table[2, 2] <- 60 - sum(table)
    list(
      both = both, size = length(set), odds = table[1, 1] * table[2, 2] / (table[1, 2] * table[2, 1]),
      p = stats::phyper(length(both) - 1, length(set), 60 - length(set), n, lower.tail = FALSE)
    )
  })
  padj <- stats::p.adjust(vapply(slow, `[[`, double(1), "p"), "BH")
  there <- names(slow)[lengths(lapply(slow, `[[`, "both")) > 0]
  expect_setequal(found$term, there)
  expect_false(is.unsorted(found$pval))
  for (term in there) {
    row <- found[found$term == term, ]
    expect_setequal(row$genes[[1]], slow[[term]]$both)
    expect_identical(row$n_genes, length(slow[[term]]$both))
    expect_identical(row$n_term, slow[[term]]$size)
    expect_equal(row$odds_ratio, slow[[term]]$odds, tolerance = 1e-14)
    expect_equal(row$pval, slow[[term]]$p, tolerance = 1e-12)
    expect_equal(row$padj, padj[[term]], tolerance = 1e-12)
  }
})

test_that("tails agree with phyper() over many orders of magnitude", {
  withr::local_seed(1)
  for (trial in 1:40) {
    n_universe <- sample(c(50, 2000, 20000), 1)
    n_term <- sample(n_universe %/% 4, 1)
    n <- sample(n_universe %/% 4, 1)
    hits <- sample(min(n, n_term), 1)
    expected <- stats::phyper(hits - 1, n_term, n_universe - n_term, n, lower.tail = FALSE)
    if (n_universe + hits < n_term + n || expected < 1e-290) next
    universe <- paste0("g", seq_len(n_universe))
    genes <- universe[c(seq_len(hits), n_term + seq_len(n - hits))]
    found <- enrich_genes(genes, list(term = universe[seq_len(n_term)]), universe)
    expect_lt(abs(found$pval / expected - 1), 1e-12)
  }
})

test_that("the universe is what it is said to be", {
  expect_equal(enrich_genes("g1", sets)$n_term, c(2L, 10L))
  # Genes without a term, and of excluded terms, stay in the universe.
  expect_equal(enrich_genes("g50", sets)$pval, 1 / 37)
  expect_equal(enrich_genes("g50", sets, exclude = c("a", "b"))$pval, 1 / 37)
  expect_equal(enrich_genes("g50", sets, exclude = c("a", "b"))$padj, 3 / 37)
  expect_equal(enrich_genes("g50", sets, universe = paste0("g", 1:100))$pval, 1 / 100)
  expect_identical(enrich_genes(paste0("g", 1:45), sets, min_size = 3, max_size = 10)$term, c("a", "c"))
  none <- enrich_genes(character(), sets)
  expect_identical(names(none), names(enrich_genes("g1", sets)))
  expect_identical(nrow(none), 0L)
  expect_identical(enrich_genes("g50", list(x = "g50", y = "g50"))$odds_ratio, c(Inf, Inf))
})

test_that("gene sets come in many forms, and the caller's tables stay as they are", {
  frame <- data.frame(term = rep(names(sets), lengths(sets)), gene = unlist(sets), other = 1, row.names = NULL)
  before <- frame
  by_list <- enrich_genes(c("g1", "g7"), sets)
  expect_identical(enrich_genes(c("g1", "g7"), frame), by_list)
  expect_identical(frame, before)
  expect_identical(enrich_genes(factor(c("g1", "g7")), transform(frame, term = factor(term))), by_list)
  file <- withr::local_tempfile(fileext = ".gmt")
  writeLines(paste(names(sets), "", vapply(sets, paste, "", collapse = "\t"), sep = "\t"), file)
  expect_identical(enrich_genes(c("g1", "g7"), file), by_list)
  letters <- data.frame(gene = c("g1", "g2", "g3", "g4"), term = c("KT", "K-", "S", NA))
  found <- enrich_genes(c("g1", "g2"), letters, delimiter = "")
  expect_identical(found$term, c("K", "T"))
  expect_identical(found$genes, list(c("g1", "g2"), "g1"))
  expect_equal(found$pval, c(1 / 3, 2 / 3))
  commas <- data.frame(gene = c("g1", "g2"), term = c("GO:1, GO:2", "GO:2"))
  expect_identical(enrich_genes("g1", commas, delimiter = ",")$term, c("GO:1", "GO:2"))
  expect_identical(kog_categories()$category, LETTERS)
})

test_that("GO annotations are read from GAF files", {
  row <- function(id, symbol, qualifier, term, evidence, aspect) {
    columns <- c("DB", id, symbol, qualifier, term, "ref", evidence, "", aspect, "name", "", "protein")
    paste(c(columns, "taxon:1", "2020", "DB"), collapse = "\t")
  }
  file <- withr::local_tempfile(fileext = ".gaf.gz")
  connection <- gzfile(file, "w")
  writeLines(c(
    "!gaf-version: 2.2",
    row("P1", "INS", "enables", "GO:2", "IDA", "F"), row("P1", "INS", "part_of", "GO:1", "IEA", "P"),
    row("P2", "GCG", "NOT|enables", "GO:2", "IDA", "F"), row("P2", "GCG", "enables", "GO:3", "ND", "F")
  ), connection)
  close(connection)
  expect_identical(read_gene_sets(file), data.frame(gene = c("INS", "INS"), term = c("GO:2", "GO:1")))
  expect_identical(read_gene_sets(file, id = "id", aspect = "P"), data.frame(gene = "P1", term = "GO:1"))
  expect_identical(read_gene_sets(file, exclude_evidence = "IEA")$gene, c("INS", "GCG"))
  expect_identical(enrich_genes("INS", file)$term, c("GO:1", "GO:2"))
})

# Terms of the planted atlases: the marker genes of each type, and a term of nobody's markers.
planted_terms <- function(species) {
  gene <- paste0("g", 1:85)
  term <- c(rep(paste0("markers", 1:3), each = 15), rep("others", 40))
  data.frame(species = rep(species, each = 85), gene = gene, term = term)
}

test_that("terms of the genes that link cell types are found", {
  sm <- finished()
  annotation <- planted_terms(c("ha", "mu"))
  found <- functional_enrichment(sm, "cell_type", annotation, threads = 1, verbose = FALSE)
  expect_identical(
    names(found), c("species_a", "type_a", "term", "n_genes", "n_term", "odds_ratio", "pval", "padj", "genes")
  )
  best <- found[!duplicated(found[c("species_a", "type_a")]), ]
  expect_identical(best$species_a, rep(c("ha", "mu"), each = 3))
  expect_identical(best$term, sub("type", "markers", best$type_a))
  expect_true(all(best$padj < 0.01))

  # By hand, for one type: genes of the pairs among the genes that could have been in one.
  pairs <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  weights <- gene_weights(sm)
  edges <- homology_graph(sm)
  weight <- function(id, gene) weights$weight[match(paste(id, gene), paste(weights$species, weights$gene))]
  usable <- weight("ha", edges$gene_a) >= 0.2 & weight("mu", edges$gene_b) >= 0.2
  universe <- unique(edges$gene_b[usable])
  genes <- unique(pairs$gene_b[pairs$type_b == "type2"])
  slow <- enrich_genes(genes, annotation[annotation$species == "mu", ], intersect(universe, annotation$gene))
  fast <- found[found$species_a == "mu" & found$type_a == "type2", names(slow)]
  expect_setequal(fast$genes[[1]], slow$genes[[1]])
  expect_equal(fast[names(fast) != "genes"], slow[names(slow) != "genes"], ignore_attr = TRUE)
  expect_identical(
    functional_enrichment(sm, "cell_type", annotation, pairs = pairs, threads = 1, verbose = FALSE), found
  )
})

test_that("matches, both sides and every universe are tested as said", {
  sm <- quiet_samap(three_species(), keys = "cell_type", n_iterations = 1)
  annotation <- planted_terms(sm$species)
  pairs <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  run <- function(...) functional_enrichment(sm, "cell_type", annotation, pairs = pairs, verbose = FALSE, ...)
  slow <- function(pairs, genes_of, universe) {
    # Genes of several species, told apart by their species.
    named <- function(id, gene) if (length(gene) == 0) character() else paste(id, gene)
    genes <- unlist(lapply(genes_of, function(id) c(
      named(id, pairs$gene_a[pairs$species_a == id]), named(id, pairs$gene_b[pairs$species_b == id])
    )))
    sets <- data.frame(gene = paste(annotation$species, annotation$gene), term = annotation$term)
    enrich_genes(genes, sets, universe)[c("term", "n_genes", "n_term", "odds_ratio", "pval", "padj")]
  }
  all_genes <- paste(annotation$species, annotation$gene)
  match <- run(per = "match", universe = "annotated")
  of_match <- function(table, a, b) {
    keep <- table$species_a == a & table$species_b == b & table$type_a == "type1" & table$type_b == "type1"
    table[keep, ]
  }
  one <- of_match(pairs, "ha", "z_f")
  mine <- of_match(match, "z_f", "ha")
  expect_equal(mine[5:10], slow(one, "z_f", grep("^z_f ", all_genes, value = TRUE)), ignore_attr = TRUE)
  both <- run(per = "match", side = "both", universe = "annotated")
  mine <- of_match(both, "ha", "z_f")
  expect_equal(mine[5:10], slow(one, c("ha", "z_f"), grep("^(z_f|ha) ", all_genes, value = TRUE)), ignore_attr = TRUE)
  expect_setequal(names(mine$genes[[1]]), c("ha", "z_f"))

  first <- pairs$species_a == "mu" & pairs$type_a == "type3"
  of_type <- pairs[first | pairs$species_b == "mu" & pairs$type_b == "type3", ]
  reference <- run(side = "both", universe = "annotated")
  mine <- reference[reference$species_a == "mu" & reference$type_a == "type3", ]
  expect_equal(mine[3:8], slow(of_type, sm$species, all_genes), ignore_attr = TRUE)
  enriched <- run(side = "both", universe = "enriched")
  mine <- enriched[enriched$species_a == "mu" & enriched$type_a == "type3", ]
  in_pairs <- unique(c(paste(pairs$species_a, pairs$gene_a), paste(pairs$species_b, pairs$gene_b)))
  expect_equal(mine[3:8], slow(of_type, sm$species, in_pairs), ignore_attr = TRUE)

  by_species <- split(annotation[c("gene", "term")], annotation$species)
  before <- by_species
  expect_identical(functional_enrichment(sm, "cell_type", by_species, pairs = pairs, verbose = FALSE), run())
  expect_identical(by_species, before)
  some <- functional_enrichment(sm, "cell_type", by_species["mu"], pairs = pairs, verbose = FALSE)
  expect_equal(some, run()[run()$species_a == "mu", ], ignore_attr = TRUE)
  expect_identical(run(threads = 1), run(threads = 3))
  none <- functional_enrichment(sm, "cell_type", annotation, pairs = pairs[0, ], per = "match", verbose = FALSE)
  expect_identical(names(none), names(match))
  expect_identical(nrow(none), 0L)
})

test_that("what cannot be tested is said", {
  sm <- finished()
  file <- withr::local_tempfile(fileext = ".gmt")
  writeLines(c("one\tx\tA", "alone"), file)
  expect_snapshot({
    show_condition(enrich_genes("x", sets))
    show_condition(enrich_genes(1:3, sets))
    show_condition(enrich_genes(c("g1", NA), sets))
    show_condition(enrich_genes("g1", 5))
    show_condition(enrich_genes("g1", list(a = character())))
    show_condition(enrich_genes("g1", data.frame(gene = "g1")))
    show_condition(enrich_genes("g1", "sets.txt"))
    show_condition(enrich_genes("g1", data.frame(gene = "g1", term = "K"), delimiter = 1))
    show_condition(enrich_genes("g1", sets, min_size = 0))
    show_condition(functional_enrichment(sm, "cell_type", sets))
    show_condition(functional_enrichment(sm, "cell_type", "go.gaf"))
    show_condition(functional_enrichment(sm, "cell_type", list(ha = list(term = c("INS", "GCG")))))
    show_condition(functional_enrichment(sm, "cell_type", planted_terms("ha"), pairs = data.frame(gene_a = 1)))
  })
  expect_error(read_gene_sets(file), "line 2", class = "samap_error_parse")
  expect_error(read_gene_sets("no/such.gmt"), class = "samap_error_io")
})
