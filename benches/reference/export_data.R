# Writes the pancreas pair of inst/extdata as plain files, which R, Python and Rust read: Rscript export_data.R FOLDER [CELLS]
# CELLS: only about that many cells per species, evenly spaced (to try the scripts out).

invisible(loadNamespace("Matrix"))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[[1]]
most <- if (length(arguments) > 1) as.integer(arguments[[2]]) else .Machine$integer.max
dir.create(folder, recursive = TRUE, showWarnings = FALSE)
extdata <- file.path("inst", "extdata")

for (species in c("human", "mouse")) {
  atlas <- readRDS(file.path(extdata, paste0("pancreas-", species, ".rds")))
  kept <- unique(round(seq(1, ncol(atlas$counts), length.out = min(most, ncol(atlas$counts)))))
  atlas <- list(counts = atlas$counts[, kept], cells = atlas$cells[kept, , drop = FALSE])
  # Genes × cells by column is cells × genes by row.
  for (slot in c("p", "i", "x")) {
    writeBin(as.integer(methods::slot(atlas$counts, slot)), file.path(folder, paste0(species, ".", slot)), size = 4L, endian = "little")
  }
  writeLines(rownames(atlas$counts), file.path(folder, paste0(species, "-genes.txt")))
  writeLines(as.character(atlas$cells$cell_type), file.path(folder, paste0(species, "-types.txt")))
}
homology <- readRDS(file.path(extdata, "pancreas-homology.rds"))
saveRDS(homology, file.path(folder, "homology.rds"), compress = FALSE)
utils::write.csv(homology, file.path(folder, "homology.csv"), row.names = FALSE)
# For the Rust benchmarks.
plain <- homology[c("gene_a", "gene_b", "weight")]
utils::write.table(plain, file.path(folder, "homology.txt"), sep = "\t", quote = FALSE, row.names = FALSE, col.names = FALSE)
