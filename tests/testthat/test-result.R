test_that("a result prints in under 20 lines what matters", {
  sm <- finished()
  sm$provenance$seconds <- 1.234
  lines <- capture.output(print(sm))
  expect_lt(length(lines), 20)
  expect_snapshot(writeLines(sub("0\\.[0-9]{3}$", "0.xxx", lines)))
  many <- sm
  many$species <- paste0("s", 1:40)
  expect_lt(length(capture.output(print(many))), 20)
  expect_output(print(summary(sm)), "homologous pairs")
})

test_that("functions in the workspace that are called as those of R are left alone", {
  assign("new", function(...) stop("the user's own"), envir = globalenv())
  withr::defer(rm("new", envir = globalenv()))
  expect_s4_class(stitched_graph(quiet_samap(two_species(), keys = "cell_type", n_iterations = 1L)), "dgCMatrix")
})

test_that("the stitched graph has cell ids, directed rows and both kept passes", {
  sm <- finished()
  graph <- stitched_graph(sm)
  expect_s4_class(graph, "dgCMatrix")
  expect_identical(rownames(graph), cell_metadata(sm)$cell)
  expect_identical(colnames(graph), rownames(graph))
  expect_identical(Matrix::diag(graph), setNames(rep(0, 180), rownames(graph)), ignore_attr = TRUE)
  expect_true(all(graph@x > 0))
  expect_identical(stitched_graph(sm, 0), stitched_graph(sm, 1))
  expect_identical(stitched_graph(sm, 3), graph)
  expect_false(identical(stitched_graph(sm, 0), graph))
})

test_that("cell and gene tables are complete", {
  sm <- finished()
  cells <- cell_metadata(sm)
  expect_identical(names(cells)[1:4], c("cell", "species", "barcode", "sample"))
  expect_identical(cells$cell, paste(cells$species, cells$barcode, sep = "_"))
  types <- lapply(two_species()$atlases, function(atlas) atlas$cells$cell_type)
  expect_identical(cells$cell_type, c(types$ha, types$mu))
  genes <- gene_weights(sm)
  expect_identical(names(genes), c("species", "gene", "weight", "matched"))
  expect_identical(nrow(genes), 170L)
  expect_true(all(genes$weight >= 0 & genes$weight <= 1))
})

test_that("metadata that take the names of our columns are kept under others", {
  data <- two_species()
  data$atlases$ha$cells$species <- "mine"
  data$atlases$ha$cells$sample <- "s1"
  cells <- cell_metadata(quiet_samap(data, n_iterations = 1))
  expect_identical(cells$species_original[c(1, 91)], c("mine", NA))
  expect_identical(cells$sample[c(1, 91)], c("s1", NA))
  expect_identical(cells$species[[1]], "ha")
})

test_that("homology holds weights and refined correlations", {
  data <- two_species()
  data$homology <- rbind(data$homology, transform(data$homology[1, ], gene_a = "unknown"))
  sm <- quiet_samap(data, keys = "cell_type")
  input <- homology_graph(sm, refined = FALSE)
  expect_identical(nrow(input), 86L)
  expect_true(all(is.na(input$correlation)))
  refined <- homology_graph(sm)
  expect_false("unknown" %in% refined$gene_a)
  markers <- refined$gene_a %in% paste0("g", 1:45)
  expect_gt(min(refined$correlation[markers]), 0.8)
  expect_lt(max(refined$correlation[!markers]), min(refined$correlation[markers]))
})

test_that("refinement over the final graph can be asked for, and is what continuing starts from", {
  data <- two_species()
  sm <- quiet_samap(data, keys = "cell_type", n_iterations = 2)
  longer <- quiet_samap(data, keys = "cell_type", n_iterations = 3)
  expect_identical(refine_homology(sm, threads = 1, verbose = FALSE), homology_graph(longer))
  strict <- refine_homology(sm, thr = 0.5, threads = 1, verbose = FALSE)
  expect_gte(min(strict$correlation), 0.5)
  scaled <- refine_homology(sm, wscale = TRUE, threads = 1, verbose = FALSE)
  plain <- refine_homology(sm, threads = 1, verbose = FALSE)
  weights <- gene_weights(sm)
  w <- weights$weight[match(scaled$gene_a, weights$gene[1:85])]
  v <- weights$weight[85 + match(scaled$gene_b, weights$gene[86:170])]
  r <- plain$correlation[match(paste(scaled$gene_a, scaled$gene_b), paste(plain$gene_a, plain$gene_b))]
  expect_equal(scaled$correlation, sqrt(r * sqrt(w * v)), tolerance = 1e-6)
})

test_that("embeddings are matrices with cell ids", {
  sm <- finished()
  umap <- embedding(sm)
  expect_identical(dimnames(umap), list(cell_metadata(sm)$cell, c("umap_1", "umap_2")))
  expect_identical(nrow(embedding(sm, "latent")), 180L)
  other <- run_umap(sm, min_dist = 0.5, n_epochs = 30, init = "pca", seed = 4, threads = 1, verbose = FALSE)
  expect_false(identical(embedding(other), umap))
  again <- run_umap(sm, min_dist = 0.5, n_epochs = 30, init = "pca", seed = 4, threads = 2, verbose = FALSE)
  expect_identical(embedding(again), embedding(other))
})

test_that("run_info() has phases with times and the choices made", {
  info <- run_info(finished())
  expect_identical(names(info), c("step", "kind", "what", "seconds", "peak_mb", "chosen", "reason"))
  expect_setequal(info$kind, c("phase", "choice"))
  expect_true(all(info$seconds[info$kind == "phase"] >= 0))
  expect_true(all(c("ha", "mu", "mapping", "umap") %in% info$step))
})

test_that("homologues of a gene are found from both sides", {
  sm <- finished()
  found <- query_gene_pairs(sm, "g7")
  expect_identical(found$species_a, c("ha", "mu"))
  expect_identical(query_gene_pairs(sm, c(mu = "g7"))$gene_b, "g7")
  expect_identical(query_gene_pairs(sm, c(mu = "g7"), c(ha = "g7"))$correlation, found$correlation[[2]])
  expect_identical(nrow(query_gene_pairs(sm, "g7", "g8")), 0L)
})
