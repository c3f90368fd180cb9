with_reductions <- function(atlas, values) {
  object <- SeuratObject::CreateSeuratObject(atlas$counts, meta.data = atlas$cells)
  rownames(values) <- colnames(object)
  object[["mine"]] <- suppressWarnings(SeuratObject::CreateDimReducObject(values, key = "MINE_", assay = "RNA"))
  object
}

test_that("a result becomes a Seurat object with counts, metadata, graph and reductions", {
  skip_if_not_installed("SeuratObject")
  sm <- finished()
  object <- as_seurat(sm, threads = 1, verbose = FALSE)
  expect_s4_class(object, "Seurat")
  expect_identical(colnames(object), cell_metadata(sm)$cell)
  expect_identical(as.character(SeuratObject::Idents(object)), cell_metadata(sm)$species)
  expect_identical(object$cell_type, setNames(cell_metadata(sm)$cell_type, colnames(object)))
  features <- object[["RNA"]][[]]
  expect_identical(features$gene, gene_weights(sm)$gene)
  expect_identical(rownames(features), paste(features$species, features$gene, sep = "-"))
  counts <- assay_counts(object[["RNA"]])
  own <- two_species()$atlases
  expect_identical(unname(as.matrix(counts[1:85, 1:90])), unname(as.matrix(own$ha$counts)))
  expect_identical(unname(as.matrix(counts[86:170, 91:180])), unname(as.matrix(own$mu$counts)))
  expect_identical(sum(counts), sum(own$ha$counts) + sum(own$mu$counts))
  graph <- methods::as(object[["samap"]], "CsparseMatrix")
  directed <- stitched_graph(sm)
  expect_equal(as.matrix(graph), pmax(as.matrix(directed), t(as.matrix(directed))), ignore_attr = TRUE)
  expect_identical(unname(SeuratObject::Embeddings(object, "umap")), unname(embedding(sm)))
  expect_identical(dim(SeuratObject::Embeddings(object, "latent")), dim(embedding(sm, "latent")))
  expect_error(as_seurat(replace(sm, "counts", list(NULL))), class = "samap_error_no_counts")
})

test_that("counts that stay out of R are read into the object, unless R has no sparse matrix for so many", {
  skip_if_not_installed("SeuratObject")
  sm <- finished()
  counts_of <- function(sm) assay_counts(as_seurat(sm, threads = 1, verbose = FALSE)[["RNA"]])
  expected <- counts_of(sm)
  sm$counts$mu <- new_counts(list(list(counts = sm$counts$mu, genes = NULL)), 85)
  expect_identical(counts_of(sm), expected)
  sm$counts$mu$nonzeros <- 2^31
  expect_error(as_seurat(sm), "write_h5ad", class = "samap_error_memory")
})

test_that("species ids and genes with _ stay apart in the feature metadata", {
  skip_if_not_installed("SeuratObject")
  data <- three_species()
  rownames(data$atlases$z_f$counts)[1:2] <- c("a_b", "a-b")
  object <- as_seurat(quiet_samap(data, n_iterations = 1), threads = 1, verbose = FALSE)
  features <- object[["RNA"]][[]]
  expect_identical(rownames(features)[171:172], c("z-f-a-b", "z-f-a-b-1"))
  expect_identical(features$gene[171:172], c("a_b", "a-b"))
  expect_identical(features$species[[171]], "z_f")
})

test_that("Seurat clusters the stitched graph, and its generics take results", {
  skip_if_not_installed("Seurat")
  sm <- finished()
  object <- SeuratObject::as.Seurat(sm, threads = 1, verbose = FALSE)
  object <- Seurat::FindClusters(object, graph.name = "samap", resolution = 0.3, verbose = FALSE)
  types <- unique(data.frame(object$seurat_clusters, object$cell_type))
  expect_identical(nrow(types), 3L)
  expect_s3_class(Seurat::DimPlot(object, reduction = "umap"), "ggplot")
  expect_s4_class(Seurat::as.SingleCellExperiment(sm), "SingleCellExperiment")
})

test_that("scores, labels and layout go into the user's own Seurat object", {
  skip_if_not_installed("SeuratObject")
  data <- two_species()
  own <- SeuratObject::CreateSeuratObject(data$atlases$mu$counts, meta.data = data$atlases$mu$cells)
  sm <- finished()
  more <- add_samap(own, sm, "mu", key = "cell_type", threads = 1, verbose = FALSE)
  expect_identical(unname(more$samap_label_ha), data$atlases$mu$cells$cell_type)
  expect_true(all(more$samap_score_ha > 0 & more$samap_uncertainty_ha < 0.5))
  expect_identical(unname(SeuratObject::Embeddings(more, "samap")), unname(embedding(sm)[91:180, ]))
  expect_identical(SeuratObject::DefaultAssay(more), SeuratObject::DefaultAssay(own))
  expect_error(add_samap(own, sm, "mouse"), class = "samap_error_species")
  expect_error(add_samap(data$atlases$mu$counts, sm, "mu"), class = "samap_error_argument")
  other <- SeuratObject::RenameCells(own, add.cell.id = "x")
  expect_error(add_samap(other, sm, "mu"), class = "samap_error_names")
})

test_that("clusters, integers, logicals and factors of Seurat objects serve as keys", {
  skip_if_not_installed("SeuratObject")
  data <- two_species()
  objects <- lapply(data$atlases, function(atlas) {
    object <- SeuratObject::CreateSeuratObject(atlas$counts, meta.data = atlas$cells)
    object$seurat_clusters <- factor(match(object$cell_type, c("type3", "type1", "type2")) - 1)
    object$number <- match(object$cell_type, c("type1", "type2", "type3"))
    object$first <- object$cell_type == "type1"
    object
  })
  for (key in c("seurat_clusters", "number", "first")) {
    sm <- quiet_samap(list(atlases = objects, homology = data$homology), keys = key, n_iterations = 1)
    scores <- alignment_scores(sm, key)
    expect_identical(scores$type_a[[1]], scores$type_b[[1]], info = key)
    expect_gt(scores$score[[1]], 0.5)
  }
})

test_that("an object with SCTransform's assay alone asks for counts", {
  skip_if_not_installed("Seurat")
  data <- two_species()
  object <- SeuratObject::CreateSeuratObject(data$atlases$ha$counts)
  sct <- SeuratObject::CreateAssayObject(counts = data$atlases$ha$counts)
  class_of <- methods::getClass("SCTAssay", where = asNamespace("Seurat"))
  object[["SCT"]] <- methods::new(class_of, sct, SCTModel.list = list())
  SeuratObject::DefaultAssay(object) <- "SCT"
  expect_identical(seurat_counts(object, "ha"), assay_counts(object[["RNA"]]))
  object[["RNA"]] <- NULL
  expect_error(read_atlas(object, "ha"), "SCTransform", class = "samap_error_no_counts")
})

test_that("an existing reduction finds the neighbours and is carried into the mapping", {
  skip_if_not_installed("SeuratObject")
  data <- two_species()
  values <- withr::with_seed(3, matrix(stats::rnorm(90 * 5), 90))
  object <- with_reductions(data$atlases$ha, values)
  fit <- sam(object, reduction = "mine", distance = "euclidean", threads = 1, verbose = FALSE)
  same <- sam(data$atlases$ha, reduction = values, distance = "euclidean", threads = 1, verbose = FALSE)
  expect_identical(fit$neighbor_index, same$neighbor_index)
  expect_error(sam(object, reduction = "harmony", verbose = FALSE), "mine", class = "samap_error_argument")
  carried <- quiet_samap(list(atlases = list(ha = fit, mu = data$atlases$mu), homology = data$homology))
  expect_equal(ncol(carried$latent), 5 + ncol(finished()$latent) / 2)
})
