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
})
