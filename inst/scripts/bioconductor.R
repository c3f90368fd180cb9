# From two SingleCellExperiments to a joint clustering, and back: Rscript bioconductor.R [FOLDER]
# Runs on the example data, with the counts of one species on disk where HDF5Array is there; writes into FOLDER.
suppressPackageStartupMessages({
  library(samap)
  library(SingleCellExperiment)
})
output <- c(commandArgs(trailingOnly = TRUE), "bioconductor-output")[[1]]
dir.create(output, showWarnings = FALSE, recursive = TRUE)

example <- samap_example("pancreas-small", as = "sce")
human <- example$atlases$human
mouse <- example$atlases$mouse
if (requireNamespace("HDF5Array", quietly = TRUE)) {
  file <- file.path(output, "mouse.h5")
  unlink(file)
  counts(mouse) <- HDF5Array::writeHDF5Array(counts(mouse), file, "counts", with.dimnames = TRUE)
}

sm <- samap(list(human = human, mouse = mouse), example$homology, keys = "cell_type", threads = 2, verbose = FALSE)
print(sm)
print(samap_check(sm, verbose = FALSE))

# All cells in one object.
joint <- as_sce(sm)
joint$cluster <- cluster_stitched(sm, resolution = 1, verbose = FALSE)
print(joint)
print(table(joint$cluster, joint$species))
ggplot2::ggsave(
  file.path(output, "clusters.png"), plot_embedding(sm, by = "cell_type", split = TRUE),
  width = 9, height = 3.5, dpi = 100
)

# Labels of the human cells in the mouse object, and the other way round.
mouse <- add_samap(mouse, sm, "mouse", key = "cell_type", verbose = FALSE)
human <- add_samap(human, sm, "human", key = "cell_type", verbose = FALSE)
shared <- mouse$cell_type %in% human$cell_type
agree <- mean(mouse$cell_type[shared] == mouse$samap_label_human[shared], na.rm = TRUE)
cat("mouse cells of types that human has: ", round(100 * agree), " % get the label of their own type\n", sep = "")
stopifnot(
  agree > 0.7, nlevels(joint$cluster) > 3, "samap" %in% colPairNames(joint), "samap" %in% reducedDimNames(mouse)
)
# The counts of the object are in a file that stays where it is, which newer versions of BiocGenerics ask about.
base::saveRDS(mouse, file.path(output, "mouse.rds"))
cat("done\n")
