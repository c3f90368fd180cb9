# The whole pancreas pair against the results of sc-samap 3.0.1 (exact neighbours, full SVD, cell types as keys).

read_golden <- function(folder, file, ...) {
  utils::read.csv(file.path(folder, "baron", file), check.names = FALSE, ...)
}

# Long form of the reference's wide table of gene pairs: one string "type pair | gene pair" per row. Columns are padded;
# only rows with a p-value are gene pairs.
golden_pairs <- function(table) {
  columns <- grep("_pval[12]$", names(table), invert = TRUE, value = TRUE)
  unlist(lapply(columns, function(column) {
    rows <- !is.na(table[[paste0(column, "_pval1")]])
    paste(column, table[[column]][rows], sep = " | ")
  }))
}

# The same as a data frame of gene pairs.
golden_pair_frame <- function(table) {
  parts <- strsplit(golden_pairs(table), " | ", fixed = TRUE)
  side <- function(part, which) {
    vapply(strsplit(vapply(parts, `[[`, "", part), ";", fixed = TRUE), function(x) sub("^(hu|ms)_", "", x[[which]]), "")
  }
  data.frame(
    species_a = "human", type_a = side(1, 1), species_b = "mouse", type_b = side(1, 2), gene_a = side(2, 1),
    gene_b = side(2, 2)
  )
}

# What a gene stands for in the fixtures: the first letter of its symbol.
first_letter <- function(sm) {
  weights <- gene_weights(sm)
  letter <- toupper(substr(weights$gene, 1, 1))
  data.frame(species = weights$species, gene = weights$gene, term = letter)[letter %in% LETTERS, ]
}

# -log10 p of the reference, and ours for its own gene pairs; its numbers of genes of either side.
expect_golden_enrichment <- function(sm, folder) {
  pairs <- golden_pair_frame(read_golden(folder, "gene_pairs.csv.gz"))
  found <- functional_enrichment(
    sm, "cell_type", first_letter(sm), side = "both", universe = "annotated", exclude = "S", pairs = pairs,
    verbose = FALSE
  )
  type <- paste0(c(human = "hu_", mouse = "ms_")[found$species_a], found$type_a)
  tails <- as.matrix(read_golden(folder, "enrichment_neglog10p.csv.gz", row.names = 1))
  n_genes <- as.matrix(read_golden(folder, "enrichment_n_genes.csv.gz", row.names = 1))
  expect_setequal(type, rownames(tails))
  expect_identical(sum(n_genes > 0), nrow(found))
  expect_equal(found$n_genes, n_genes[cbind(type, found$term)], ignore_attr = TRUE)
  # Written with ten digits.
  expect_equal(-log10(found$pval), tails[cbind(type, found$term)], tolerance = 1e-8, ignore_attr = TRUE)
}

# All substitutions but those whose gain is near the threshold; the correlations are those of a whole run.
expect_golden_substitutions <- function(sm, folder) {
  orthologs <- read_golden(folder, "orthologs.csv.gz")
  orthologs <- data.frame(
    species_a = "human", gene_a = orthologs$gene_hu, species_b = "mouse", gene_b = orthologs$gene_ms
  )
  expected <- read_golden(folder, "paralog_substitutions.csv.gz")
  short <- function(species) c(human = "hu_", mouse = "ms_")[species]
  found <- paralog_substitutions(sm, orthologs, min_gain = 0.05)
  gene <- paste0(short(found$species_a), found$gene_a)
  key <- function(other) paste0(gene, ";", short(found$species_b), other)
  found$key <- paste(key(found$ortholog_b), key(found$paralog_b))
  expected$key <- paste(expected$`ortholog pairs`, expected$`paralog pairs`)
  at <- match(expected$key, found$key)
  expect_false(anyNA(at))
  expect_lte(max(abs(found$gain[at] - expected$`corr diff`)), 0.02)
  expect_setequal(setdiff(found$key[found$gain > 0.12], expected$key), character())
}

test_that("the pancreas pair agrees with the reference from end to end", {
  folder <- golden_folder()
  example <- samap_example("pancreas")
  sm <- samap(
    example$atlases, example$homology, keys = "cell_type", umap = FALSE, knn = "exact",
    control = samap_control(pca_solver = "exact"), verbose = FALSE
  )

  cells <- read_golden(folder, "cells.csv.gz")
  expect_identical(cell_metadata(sm)$barcode, cells$cell)

  genes <- read_golden(folder, "genes.csv.gz")
  weights <- gene_weights(sm)
  expect_identical(weights$gene, genes$gene)
  for (id in c("human", "mouse")) {
    mine <- weights$species == id
    expect_lte(max(abs(weights$weight[mine] - genes$weight[mine])), 1e-3)
    expect_gte(stats::cor(weights$weight[mine], genes$weight[mine], method = "spearman"), 0.9999)
  }

  scores <- read_golden(folder, "mapping_scores.csv.gz", row.names = 1)
  ours <- as.matrix(alignment_scores(sm, "cell_type"))
  dimnames(ours) <- lapply(dimnames(ours), function(x) sub("^mouse_", "ms_", sub("^human_", "hu_", x)))
  expect_setequal(rownames(ours), rownames(scores))
  expect_lte(max(abs(as.matrix(scores) - ours[rownames(scores), colnames(scores)])), 0.01)

  reference <- read_golden(folder, "stitched.csv.gz")
  graph <- methods::as(stitched_graph(sm), "TsparseMatrix")
  strong <- abs(graph@x) > 1e-9
  n <- nrow(graph)
  edges <- (graph@i[strong] * n + graph@j[strong])
  expected <- ((reference$from - 1) * n + reference$to - 1)[abs(reference$weight) > 1e-9]
  shared <- length(intersect(edges, expected))
  expect_gte(shared / (length(edges) + length(expected) - shared), 0.97)

  reference <- read_golden(folder, "homology.csv.gz")
  refined <- homology_graph(sm)
  at <- match(paste(reference$gene_hu, reference$gene_ms), paste(refined$gene_a, refined$gene_b))
  expect_gte(mean(!is.na(at)), 0.99)
  found <- ifelse(is.na(at), 0, refined$correlation[at])
  expect_gte(stats::cor(found, reference$correlation), 0.999)

  expected <- golden_pairs(read_golden(folder, "gene_pairs.csv.gz"))
  pairs <- gene_pairs(sm, "cell_type", min_score = 0.2, test = "reference", verbose = FALSE)
  ours <- paste0("hu_", pairs$type_a, ";ms_", pairs$type_b, " | hu_", pairs$gene_a, ";ms_", pairs$gene_b)
  expect_gte(length(intersect(ours, expected)) / max(length(ours), length(expected)), 0.95)

  expect_golden_enrichment(sm, folder)
  expect_golden_substitutions(sm, folder)
})
