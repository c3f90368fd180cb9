test_that("sam() weighs genes, finds neighbours and clusters", {
  atlas <- planted_atlas(1)
  fit <- sam(atlas, resolution = 0.5, threads = 1, verbose = FALSE)
  expect_s3_class(fit, "samap_sam")
  weights <- gene_weights(fit)
  expect_gt(min(weights$weight[1:45]), max(weights$weight[46:85]))
  expect_identical(fit$neighbor_index[, 1], 1:90)
  type <- atlas$cells$cell_type
  expect_gt(mean(type[fit$neighbor_index] == type[row(fit$neighbor_index)]), 0.99)
  clusters <- cell_metadata(fit)$samap_leiden
  expect_identical(nrow(unique(data.frame(clusters, type))), 3L)
  expect_output(print(fit), "90 cells")
})

test_that("every option is accepted and changes what it says", {
  atlas <- planted_atlas(1)
  fit <- function(...) sam(atlas, ..., threads = 1, verbose = FALSE)
  plain <- fit()
  options <- list(
    list(sum_norm = "gene_median"), list(sum_norm = 1e4), list(sum_norm = "none"), list(norm = "ftt"),
    list(norm = "asin"), list(norm = "multinomial", sum_norm = "none"), list(norm = "none"),
    list(div = 2), list(min_expression = 0.5), list(distance = "euclidean"), list(distance = "correlation"),
    list(scaling = "Normalizer"), list(npcs = 5),
    list(n_genes = 10), list(weight_pcs = TRUE), list(weight_mode = "combined"),
    list(weight_mode = "dispersion"), list(weight_mode = "variance"), list(k = 8), list(num_norm_avg = 10)
  )
  for (option in options) {
    other <- do.call(fit, option)
    expect_false(identical(other$genes$weight, plain$genes$weight), info = deparse(option))
  }
  strict <- fit(thresh_low = 0.5)
  expect_lt(sum(strict$genes$kept), sum(plain$genes$kept))
  expect_null(fit(n_genes = NULL)$options$sam$n_genes)
  for (solver in c("exact", "lanczos", "randomized")) {
    other <- fit(control = samap_control(pca_solver = solver))
    expect_equal(other$genes$weight, plain$genes$weight, tolerance = 1e-2, info = solver)
  }
})

test_that("neighbours can be found in given coordinates", {
  atlas <- planted_atlas(1)
  given <- withr::with_seed(1, matrix(stats::rnorm(90 * 4), 90))
  fit <- sam(atlas, reduction = given, distance = "euclidean", threads = 1, verbose = FALSE)
  distances <- as.matrix(stats::dist(given))
  nearest <- apply(distances, 1, function(d) sort(order(d)[1:20]))
  expect_identical(unname(apply(fit$neighbor_index, 1, sort)), unname(nearest))
  expect_error(sam(atlas, reduction = given[-1, ], verbose = FALSE), class = "samap_error_shape")
  expect_error(sam(atlas, reduction = "harmony", verbose = FALSE), class = "samap_error_argument")
  skip_if_not_installed("SingleCellExperiment")
  object <- SingleCellExperiment::SingleCellExperiment(list(counts = atlas$counts), reducedDims = list(mine = given))
  again <- sam(object, reduction = "mine", distance = "euclidean", threads = 1, verbose = FALSE)
  expect_identical(again$neighbor_index, fit$neighbor_index)
})

test_that("formals agree with the engine's defaults", {
  defaults <- samap_defaults()
  first <- function(f, name) {
    value <- eval(formals(f)[[name]])
    if (is.character(value)) value[[1]] else value
  }
  agree <- function(f, defaults, names = base::names(defaults)) {
    for (name in intersect(names, base::names(formals(f)))) {
      expect_equal(first(f, name), defaults[[name]], info = name)
    }
  }
  agree(sam, defaults$preprocess)
  agree(sam, defaults$sam)
  agree(samap, defaults$mapping)
  expect_equal(formals(samap)$neighborhood_sizes, defaults$mapping$neighborhood_size)
  agree(samap_control, defaults$mapping)
  agree(samap_control, defaults$knn)
  agree(samap_control, defaults$loadings)
  agree(run_umap, defaults$umap)
  agree(gene_pairs, defaults$gene_pairs)
  agree(cluster_markers, defaults$gene_pairs)
  agree(enrich_genes, defaults$enrichment)
  agree(functional_enrichment, c(defaults$enrichment, defaults$gene_pairs["min_weight"]))
  agree(paralog_substitutions, defaults$substitutions)
  agree(cell_type_triangles, defaults$cell_type_triangles)
  agree(gene_triangles, c(defaults$gene_triangles[c("min_correlation", "n")], defaults$substitutions))
  expect_identical(eval(formals(gene_triangles)$classes), defaults$gene_triangles$classes)
  agree(transfer_labels, defaults$transfer)
  expect_equal(eval(formals(samap_control)$memory), defaults$memory)
  expect_equal(formals(samap_control)$on_disk, defaults$on_disk)
  expect_equal(first(samap, "knn"), defaults$knn$method)
})

test_that("errors of sam() speak of its own argument", {
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  expect_snapshot({
    show_condition(sam(1))
    show_condition(sam(planted_atlas(1)$counts[, 1:3]))
    show_condition(cluster_markers(fit, "cluster"))
    show_condition(cluster_markers(fit, rep("all", 90)))
  })
  expect_identical(unique(run_info(fit)$step), "sam")
  by <- factor(rep(c("u", NA, "v"), 30))
  expect_identical(unique(cluster_markers(fit, by, threads = 1, verbose = FALSE)$type), c("u", "v"))
})
