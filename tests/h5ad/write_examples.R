# Writes samap.h5ad and sam.h5ad, and what must be in them as CSV, for check_written.py: write_examples.R FOLDER.
library(samap)
folder <- commandArgs(trailingOnly = TRUE)[[1]]
dir.create(folder, recursive = TRUE, showWarnings = FALSE)
at <- function(name) file.path(folder, name)

example <- samap_example("pancreas-small")
sm <- samap(example$atlases, example$homology, keys = "cell_type", threads = 2, verbose = FALSE)
write_h5ad(sm, at("samap.h5ad"), verbose = FALSE)
write_h5ad(sam(example$atlases$mouse, threads = 2, verbose = FALSE), at("sam.h5ad"), verbose = FALSE)

write_entries <- function(matrix, name) utils::write.csv(Matrix::summary(matrix), at(name), row.names = FALSE)
write_entries(stitched_graph(sm), "stitched.csv")
write_entries(Matrix::t(Matrix::bdiag(sm$counts)), "counts.csv")
utils::write.csv(cell_metadata(sm), at("cells.csv"), row.names = FALSE)
utils::write.csv(gene_weights(sm), at("genes.csv"), row.names = FALSE)
matched <- sm$homology$edges[sm$homology$edges$matched, ]
utils::write.csv(matched, at("homology.csv"), row.names = FALSE)
