#' A pair of atlases to try things on
#'
#' Human and mouse pancreas of Baron et al. (2016): raw counts with cell types and donors (2142 and 1886 cells), and the
#' orthologs of Ensembl.
#'
#' @param name `"pancreas"`: all of it. `"pancreas-small"`: about 250 cells per species and the 1500 homologous genes
#'   with most counts, for examples that run in seconds.
#' @param as Form of the atlases: `"list"` (`list(counts =, cells =)`), `"seurat"` or `"sce"`.
#' @return `list(atlases =, homology =)`, ready for [samap()]. Species ids are `human` and `mouse`; the metadata have
#'   the columns `cell_type` and `donor`.
#' @source The package came 0.1.13 on PyPI (`came/sample_data.zip`).
#' @references
#' Baron M et al. (2016). A single-cell transcriptomic map of the human and mouse pancreas reveals inter- and intra-cell
#' population structure. *Cell Systems* 3:346-360. \doi{10.1016/j.cels.2016.08.011}
#' @examples
#' example <- samap_example("pancreas-small")
#' names(example$atlases)
#' example$homology
#' @export
samap_example <- function(name = c("pancreas", "pancreas-small"), as = c("list", "seurat", "sce")) {
  name <- check_choice(name, c("pancreas", "pancreas-small"), "name")
  as <- check_choice(as, c("list", "seurat", "sce"), "as")
  atlases <- list(
    human = readRDS(example_file("pancreas-human.rds")),
    mouse = readRDS(example_file("pancreas-mouse.rds"))
  )
  homology <- homology_from_pairs(readRDS(example_file("pancreas-homology.rds")))
  if (name == "pancreas-small") {
    atlases <- list(
      human = small_atlas(atlases$human, homology$gene_a), mouse = small_atlas(atlases$mouse, homology$gene_b)
    )
    kept <- homology$gene_a %in% rownames(atlases$human$counts) & homology$gene_b %in% rownames(atlases$mouse$counts)
    homology <- new_homology(as.data.frame(homology)[kept, ])
  }
  list(atlases = lapply(atlases, example_as, as = as), homology = homology)
}

example_file <- function(name) {
  system.file("extdata", name, package = "samap", mustWork = TRUE)
}

# Every eighth cell, and the homologous genes with most counts in them.
small_atlas <- function(atlas, homologous) {
  cells <- seq(1L, ncol(atlas$counts), by = 8L)
  counts <- atlas$counts[rownames(atlas$counts) %in% homologous, cells]
  top <- order(-Matrix::rowSums(counts))[seq_len(min(1500L, nrow(counts)))]
  list(counts = counts[sort(top), ], cells = droplevels(atlas$cells[cells, , drop = FALSE]))
}

example_as <- function(atlas, as) {
  if (as == "list") {
    return(atlas)
  }
  cells <- as.data.frame(atlas$cells)
  rownames(cells) <- colnames(atlas$counts)
  if (as == "seurat") {
    rlang::check_installed("SeuratObject", "to make Seurat objects.")
    # Seurat writes `-` for `_` in feature names, and says so.
    return(suppressWarnings(SeuratObject::CreateSeuratObject(atlas$counts, meta.data = cells)))
  }
  rlang::check_installed("SingleCellExperiment", "to make SingleCellExperiment objects.")
  SingleCellExperiment::SingleCellExperiment(list(counts = atlas$counts), colData = cells)
}
