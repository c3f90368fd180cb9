# Writes the pancreas pair of inst/extdata as plain binary files for run_reference.py: Rscript export_data.R FOLDER [CELLS]
# CELLS: only about that many cells per species, evenly spaced (to try the scripts out).

loadNamespace("Matrix")
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[[1]]
most <- if (length(arguments) > 1) as.integer(arguments[[2]]) else .Machine$integer.max
dir.create(folder, recursive = TRUE, showWarnings = FALSE)
extdata <- file.path("inst", "extdata")

for (species in c("human", "mouse")) {
  atlas <- readRDS(file.path(extdata, paste0("pancreas-", species, ".rds")))
  kept <- unique(round(seq(1, ncol(atlas$counts), length.out = min(most, ncol(atlas$counts)))))
  atlas <- list(counts = atlas$counts[, kept], cells = atlas$cells[kept, , drop = FALSE])
  saveRDS(atlas, file.path(folder, paste0(species, ".rds")), compress = FALSE)
  # Genes × cells by column is cells × genes by row.
  for (slot in c("p", "i", "x")) {
    writeBin(as.integer(methods::slot(atlas$counts, slot)), file.path(folder, paste0(species, ".", slot)), size = 4L, endian = "little")
  }
  writeLines(rownames(atlas$counts), file.path(folder, paste0(species, "-genes.txt")))
  cells <- data.frame(cell = colnames(atlas$counts), cell_type = atlas$cells$cell_type)
  utils::write.csv(cells, file.path(folder, paste0(species, "-cells.csv")), row.names = FALSE)
}
homology <- readRDS(file.path(extdata, "pancreas-homology.rds"))
saveRDS(homology, file.path(folder, "homology.rds"), compress = FALSE)
utils::write.csv(homology, file.path(folder, "homology.csv"), row.names = FALSE)
