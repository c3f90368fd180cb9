run <- function(atlases = two_species()$atlases, homology = two_species()$homology, ...) {
  samap(atlases, homology, ..., umap = FALSE, threads = 1, verbose = FALSE)
}

with_atlas <- function(change) {
  data <- two_species()
  data$atlases$mu <- change(data$atlases$mu)
  data$atlases
}

with_counts <- function(change) with_atlas(function(atlas) list(counts = change(atlas$counts), cells = NULL))

test_that("memory is a number of bytes, or a string with a unit", {
  expect_identical(samap_control(memory = "8GB")$memory, 8e9)
  expect_identical(samap_control(memory = "1.5 GiB")$memory, 1.5 * 2^30)
  expect_identical(samap_control(memory = 2^21)$memory, 2^21)
  expect_error(samap_control(memory = "1kB"), class = "samap_error_argument")
  expect_error(samap_control(memory = "GB"), class = "samap_error_argument")
})

test_that("atlases must be a named list of two or more species", {
  expect_snapshot({
    show_condition(run(atlases = 1))
    show_condition(run(atlases = unname(two_species()$atlases)))
    show_condition(run(atlases = two_species()$atlases[1]))
    show_condition(run(atlases = setNames(two_species()$atlases, c("a", "a"))))
    show_condition(run(atlases = setNames(two_species()$atlases, c("home sapiens", "a;b"))))
  })
})

test_that("an atlas must be counts", {
  expect_snapshot({
    show_condition(run(with_atlas(function(atlas) "data.h5ad")))
    show_condition(run(with_counts(function(x) as.data.frame(as.matrix(x)))))
    show_condition(run(with_counts(function(x) array(as.character(as.matrix(x)), dim(x)))))
    show_condition(run(with_counts(function(x) unname(as.matrix(x)))))
    show_condition(run(with_counts(function(x) x[, 0])))
    show_condition(run(with_counts(function(x) x[0, ])))
    show_condition(run(with_counts(function(x) x * 0)))
    show_condition(run(with_counts(function(x) {
      x[1, 1] <- NA
      x
    })))
    show_condition(run(with_counts(function(x) {
      x[2, 3] <- -4
      x
    })))
    show_condition(run(with_counts(function(x) {
      x[2, 3] <- Inf
      x
    })))
    show_condition(run(with_counts(function(x) {
      rownames(x)[[3]] <- ""
      x
    })))
    show_condition(run(with_counts(function(x) x[, 1:5])))
  })
})

test_that("metadata must fit the cells", {
  expect_snapshot({
    show_condition(run(with_atlas(function(atlas) list(counts = atlas$counts, cells = "type"))))
    show_condition(run(with_atlas(function(atlas) list(counts = atlas$counts, cells = atlas$cells[-1, ]))))
    show_condition(run(with_atlas(function(atlas) {
      rownames(atlas$cells)[[4]] <- "another"
      atlas
    })))
  })
})

test_that("doubtful counts are a warning", {
  expect_snapshot({
    show_condition(run(with_counts(function(x) log1p(x))))
    show_condition(run(with_counts(function(x) {
      x[, 7] <- 0
      Matrix::drop0(x)
    })))
    show_condition(run(with_counts(function(x) {
      rownames(x)[2:3] <- rownames(x)[[1]]
      x
    })))
    show_condition(run(with_counts(function(x) x[, 1:15])))
    show_condition(run(with_counts(function(x) {
      empty <- x[rep(1, 200), ] * 0
      rownames(empty) <- paste0("empty", 1:200)
      rbind(x, Matrix::drop0(empty))
    })))
  })
})

test_that("homology must be pairs of genes between the species", {
  pairs <- two_species()$homology
  expect_snapshot({
    show_condition(run(homology = 1))
    show_condition(run(homology = pairs[c("gene_a", "gene_b")]))
    show_condition(run(homology = transform(pairs, weight = "a")))
    show_condition(run(homology = transform(pairs, weight = replace(weight, 3, NA))))
    show_condition(run(homology = transform(pairs, weight = -1)))
    show_condition(run(homology = transform(pairs, gene_a = replace(gene_a, 2, NA))))
    show_condition(run(homology = pairs[0, ]))
    show_condition(run(homology = transform(pairs, species_b = "ha")))
    show_condition(run(homology = transform(pairs, species_b = "fish")))
    show_condition(run(homology = file.path("no", "such", "folder")))
  })
})

test_that("genes that do not match stop with a report and a remedy", {
  pairs <- two_species()$homology
  expect_snapshot({
    show_condition(run(homology = transform(pairs, gene_b = paste0("x", seq_along(gene_b)))))
    show_condition(run(homology = transform(pairs, gene_b = paste0(gene_b, ".2"))))
    show_condition(run(homology = transform(pairs, gene_b = toupper(gene_b))))
    show_condition(run(homology = transform(pairs, gene_b = paste0(gene_b, rep(c("", ".2"), c(9, 76))))))
  })
})

test_that("keys, labels and settings are checked", {
  expect_snapshot({
    show_condition(run(keys = "cluster"))
    show_condition(run(keys = c(ha = "cell_type", fish = "cell_type")))
    show_condition(run(keys = 3))
    show_condition(run(with_atlas(function(atlas) {
      atlas$cells$cell_type <- "all"
      atlas
    }), keys = "cell_type"))
    show_condition(run(resolutions = c(fish = 2)))
    show_condition(run(resolutions = c(1, 2)))
    show_condition(run(resolutions = "high"))
    show_condition(run(n_iterations = 0))
    show_condition(run(n_iterations = 1.5))
    show_condition(run(cross_species_k = NA))
    show_condition(run(pairwise = "yes"))
    show_condition(run(hom_edge_mode = "spearman"))
    show_condition(run(knn = c("exact", "ivf")))
    show_condition(run(neigh_from_keys = c(mu = NA)))
    show_condition(run(control = list()))
    show_condition(run(from = 1))
    show_condition(samap(two_species()$atlases, two_species()$homology, threads = 0))
    show_condition(samap(two_species()$atlases, two_species()$homology, threads = 1e5))
    show_condition(samap(two_species()$atlases, two_species()$homology, verbose = "no"))
    show_condition(run(seed = 3e9))
    show_condition(samap_control(memory = "8 gigs"))
    show_condition(samap_control(probes = 0))
  })
})

test_that("what is asked of a result is checked", {
  sm <- finished()
  unknown <- data.frame(species_a = "ha", type_a = "no", species_b = "mu", type_b = "type1")
  expect_snapshot({
    show_condition(stitched_graph(1))
    show_condition(stitched_graph(sm, 2))
    show_condition(stitched_graph(sm, 9))
    show_condition(stitched_graph(sm, "first"))
    show_condition(alignment_scores(sm, "cluster"))
    show_condition(alignment_scores(sm, list(ha = 1:3)))
    show_condition(alignment_scores(sm, c(ha = "cell_type")))
    show_condition(alignment_scores(sm, c(ha = "cell_type", fish = "cell_type")))
    show_condition(alignment_scores(sm, "cell_type", species = "fish"))
    show_condition(cluster_markers(sm, list(ha = rep("all", 90)), verbose = FALSE))
    show_condition(gene_pairs(sm, "cell_type", types = "type1"))
    show_condition(gene_pairs(sm, "cell_type", types = unknown))
    show_condition(query_gene_pairs(sm, "G1"))
    show_condition(query_gene_pairs(sm, c(fish = "g1")))
    show_condition(embedding(quiet_samap(two_species(), n_iterations = 1)))
  })
})

test_that("what depends on the machine or on results is checked, too", {
  expect_error(run(backend = "cuda"), "cannot be used", class = "samap_error_device")
  expect_error(plot_alignment(alignment_scores(finished(), "cell_type"), min_score = 1), class = "samap_error_argument")
})

test_that("errors say where the user was", {
  error <- tryCatch(run(keys = "cluster"), error = identity)
  expect_s3_class(error, c("samap_error_key", "samap_error", "rlang_error"), exact = FALSE)
  expect_identical(error$species, "ha")
  expect_identical(rlang::call_name(rlang::cnd_entrace(error)$call), "samap")
})
