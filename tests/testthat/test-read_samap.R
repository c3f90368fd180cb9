# Mappings that the Python package wrote (tests/h5ad/make_fixtures.py), with what it says of them as CSV.

fixture <- function(name) testthat::test_path("h5ad", name)

skip_without_hdf5 <- function() testthat::skip_if_not(has_hdf5_(), "this build has no HDF5")

stitched <- function(...) read_samap_h5ad(fixture("sc-samap-stitched.h5ad"), ...)

sam_files <- function() c(one = fixture("sc-samap-3.0.1_pr.h5ad"), two = fixture("sc-samap-two_pr.h5ad"))

test_that("alignment scores of a mapping of the Python package are those that it gives", {
  skip_without_hdf5()
  sm <- stitched()
  truth <- utils::read.csv(fixture("sc-samap-scores.csv"))
  for (n_top in c(0, 3)) {
    wanted <- truth[truth$n_top == n_top, ]
    scores <- alignment_scores(sm, "cell_type", n_top = n_top)
    expect_identical(nrow(scores), nrow(wanted))
    at <- match(paste(wanted$type_a, wanted$type_b), paste(scores$type_a, scores$type_b))
    expect_equal(scores$score[at], wanted$score, tolerance = 1e-12)
  }
  expect_gt(max(truth$score), 0.5)
})

test_that("its homology is read, each pair once, with the refined correlation", {
  skip_without_hdf5()
  sm <- stitched()
  truth <- utils::read.csv(fixture("sc-samap-homology.csv"))
  edges <- sm$homology$edges
  expect_identical(nrow(edges), nrow(truth))
  found <- paste0(edges$species_a, "_", edges$gene_a, " ", edges$species_b, "_", edges$gene_b)
  at <- match(paste(truth$gene_a, truth$gene_b), found)
  expect_equal(edges$weight[at], truth$weight)
  expect_equal(edges$correlation[at], truth$correlation, tolerance = 1e-12)
  expect_identical(nrow(homology_graph(sm)), sum(truth$correlation != 0))
  expect_setequal(query_gene_pairs(sm, "gene5")$gene_b, c("gene5", "gene6"))
})

test_that("cells and their metadata come under our names", {
  skip_without_hdf5()
  sm <- stitched()
  cells <- cell_metadata(sm)
  expect_named(cells, c("cell", "species", "barcode", "sample", "cell_type", "donor"))
  expect_identical(as.integer(table(cells$species)), c(40L, 30L))
  # The Python package made the names that both species have unique.
  expect_identical(cells$cell[c(1, 41)], c("one_cell-0", "two_cell-0-1"))
  expect_identical(levels(droplevels(cells$cell_type[cells$species == "two"])), c("alpha", "beta", "gamma", "mixed"))
  expect_true(all(is.na(cells$donor[cells$species == "two"])))
  expect_identical(dim(embedding(sm)), c(70L, 2L))
  expect_identical(rownames(stitched_graph(sm)), cells$cell)
})

test_that("what needs the graph alone works, and the rest says what is missing", {
  skip_without_hdf5()
  sm <- stitched()
  expect_length(cluster_stitched(sm, threads = 1, verbose = FALSE), 70L)
  labels <- transfer_labels(sm, "one", "cell_type", threads = 1, verbose = FALSE)
  truth <- sm$cells$cell_type[sm$cells$species == "two"]
  expect_gt(mean(labels$label[truth != "mixed"] == truth[truth != "mixed"]), 0.9)
  expect_s3_class(plot_embedding(sm, "cell_type"), "ggplot")
  expect_identical(dim(run_umap(sm, n_epochs = 20, threads = 1, verbose = FALSE)$umap), c(70L, 2L))
  expect_error(gene_pairs(sm, "cell_type", verbose = FALSE), class = "samap_error_no_counts")
  expect_error(write_h5ad(sm, tempfile(), verbose = FALSE), class = "samap_error_no_counts")
  expect_error(plot_weights(sm), class = "samap_error_no_sam")
  expect_error(samap_check(sm, "cell_type", verbose = FALSE), class = "samap_error_no_sam")
  expect_error(samap_check(sm, verbose = FALSE), class = "samap_error_argument")
  expect_error(embedding(sm, "latent"), class = "samap_error_no_latent")
  expect_error(run_umap(sm, init = "pca", verbose = FALSE), class = "samap_error_no_latent")
  expect_error(stitched_graph(sm, 0), "last pass alone", class = "samap_error_argument")
  expect_error(plot_convergence(sm), class = "samap_error_argument")
  expect_snapshot(print(sm), transform = function(lines) sub("read from: .*/", "read from: ", lines))
})

test_that("with the SAM runs, markers, gene pairs and weights are there", {
  skip_without_hdf5()
  sm <- stitched(sam_files())
  expect_identical(gene_weights(sm)$weight[1:60], read_sam_h5ad(sam_files()[["one"]])$genes$weight)
  expect_named(cell_metadata(sm)[5:7], c("cell_type", "donor", "n_counts"))
  expect_identical(cell_metadata(sm)$cell[[41]], "two_cell-0")
  truth <- utils::read.csv(fixture("sc-samap-scores.csv"))
  expect_equal(max(alignment_scores(sm, "cell_type")$score), max(truth$score[truth$n_top == 0]), tolerance = 1e-12)
  pairs <- gene_pairs(sm, "cell_type", threads = 1, verbose = FALSE)
  expect_gt(nrow(pairs), 0)
  expect_true(all(pairs$gene_a == pairs$gene_b))
  expect_s3_class(samap_check(sm, "cell_type", threads = 1, verbose = FALSE), "samap_check")
  refined <- merge(
    refine_homology(sm, threads = 1, verbose = FALSE), homology_graph(sm), by = c("gene_a", "gene_b"),
    suffixes = c("_now", "_then")
  )
  expect_gt(nrow(refined), 40)
  expect_gt(stats::cor(refined$correlation_now, refined$correlation_then), 0.9)
})

test_that("with the SAM runs it becomes a Seurat object", {
  skip_without_hdf5()
  testthat::skip_if_not_installed("SeuratObject")
  object <- as_seurat(stitched(sam_files()), threads = 1, verbose = FALSE)
  expect_equal(dim(object), c(120L, 70L))
  expect_named(object@reductions, "umap")
})

test_that("counts can be given to it, of the same genes and cells", {
  skip_without_hdf5()
  sm <- stitched(sam_files())
  matrices <- lapply(setNames(nm = sm$species), function(id) {
    genes <- sm$genes$gene[sm$genes$species == id]
    cells <- sm$cells$barcode[sm$cells$species == id]
    matrix(seq_len(length(genes) * length(cells)) %% 3, length(genes), dimnames = list(genes, cells))
  })
  expect_identical(dim(attach_counts(sm, matrices)$counts$two), c(60L, 30L))
  rownames(matrices$two) <- paste0("other", 1:60)
  expect_error(attach_counts(sm, matrices), class = "samap_error_different_input")
})

test_that("runs that are not of the mapping are refused", {
  skip_without_hdf5()
  files <- sam_files()
  expect_error(stitched(setNames(files, rev(names(files)))), class = "samap_error_different_input")
  expect_error(stitched(files["one"]), "two", class = "samap_error_species")
  expect_error(stitched(list(one = 1, two = 2)), class = "samap_error_argument")
  expect_error(stitched(TRUE), class = "samap_error_argument")
  runs <- lapply(as.list(files), read_sam_h5ad)
  pairs <- planted_pairs("one", "two", 59L, "gene", "gene")
  expect_error(
    samap(runs, pairs, from = stitched(files), umap = FALSE, verbose = FALSE), "cannot be continued",
    class = "samap_error_different_input"
  )
})

test_that("a file without such a mapping says so", {
  kind <- if (has_hdf5_()) "io" else "no_hdf5"
  expect_error(read_samap_h5ad("/no/such/file.h5ad"), class = paste0("samap_error_", kind))
  skip_without_hdf5()
  expect_error(read_samap_h5ad(fixture("csr.h5ad")), class = "samap_error_no_samap")
  written <- withr::local_tempfile(fileext = ".h5ad")
  write_h5ad(stitched(), written, counts = FALSE, verbose = FALSE)
  expect_error(read_samap_h5ad(written), "saveRDS", class = "samap_error_no_samap")
})
