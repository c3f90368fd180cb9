# From two Seurat objects to a joint clustering, and back: Rscript seurat.R [FOLDER]
# Runs on the example data; writes figures and objects into FOLDER.
suppressPackageStartupMessages({
  library(samap)
  library(Seurat)
})
output <- c(commandArgs(trailingOnly = TRUE), "seurat-output")[[1]]
dir.create(output, showWarnings = FALSE, recursive = TRUE)

# Two objects, as saved by anybody.
example <- samap_example("pancreas-small", as = "seurat")
for (species in names(example$atlases)) {
  saveRDS(example$atlases[[species]], file.path(output, paste0(species, ".rds")))
}
human <- readRDS(file.path(output, "human.rds"))
mouse <- readRDS(file.path(output, "mouse.rds"))
stopifnot(inherits(human, "Seurat"), inherits(mouse, "Seurat"))

sm <- samap(list(human = human, mouse = mouse), example$homology, keys = "cell_type", threads = 2, verbose = FALSE)
print(sm)
print(samap_check(sm, verbose = FALSE))

# All cells in one object.
joint <- as_seurat(sm, verbose = FALSE)
joint <- FindClusters(joint, graph.name = "samap", resolution = 1.5, verbose = FALSE)
joint <- NormalizeData(joint, verbose = FALSE)
print(table(joint$seurat_clusters, joint$species))
draw <- function(name, plot) ggplot2::ggsave(file.path(output, name), plot, width = 14, height = 5, dpi = 100)
draw("clusters.png", DimPlot(joint, reduction = "umap", group.by = c("species", "seurat_clusters")))
draw("insulin.png", FeaturePlot(joint, c("human-INS", "mouse-Ins2")))

# Labels of the human cells in the mouse object, and the other way round.
mouse <- add_samap(mouse, sm, "mouse", key = "cell_type", verbose = FALSE)
human <- add_samap(human, sm, "human", key = "cell_type", verbose = FALSE)
# One colour per type in both panels.
types <- sort(union(mouse$cell_type, human$cell_type))
colours <- setNames(grDevices::hcl.colors(length(types), "Dark 3"), types)
draw("labels.png", DimPlot(mouse, reduction = "samap", group.by = c("cell_type", "samap_label_human"), cols = colours))
shared <- mouse$cell_type %in% human$cell_type
agree <- mean(mouse$cell_type[shared] == mouse$samap_label_human[shared], na.rm = TRUE)
cat("mouse cells of types that human has: ", round(100 * agree), " % get the label of their own type\n", sep = "")
stopifnot(agree > 0.7, nlevels(joint$seurat_clusters) > 3, all(c("umap", "latent") %in% names(joint@reductions)))
saveRDS(mouse, file.path(output, "mouse.rds"))
cat("done\n")
