# Makes inst/extdata/pancreas-*.rds: human and mouse pancreas (Baron et al. 2016) and their orthologs (Ensembl), as
# shipped in the PyPI package came 0.1.13 (came/sample_data.zip). Run from the top of the sources, with network, unzip
# and Python:
#
#   Rscript data-raw/pancreas.R            # or, with the files unpacked already: Rscript data-raw/pancreas.R DIR

# R's own library path would give Python the wrong libraries.
Sys.unsetenv("LD_LIBRARY_PATH")

run <- function(command, ...) {
  status <- system2(command, shQuote(c(...)))
  if (status != 0) stop(command, " failed (status ", status, ")", call. = FALSE)
}

build <- file.path("build", "pancreas")
dir.create(build, recursive = TRUE, showWarnings = FALSE)
python <- file.path(build, "venv", "bin", "python")
came <- commandArgs(trailingOnly = TRUE)[1]
if (!file.exists(python)) {
  run("python3", "-m", "venv", file.path(build, "venv"))
  run(python, "-m", "pip", "install", "--quiet", "anndata==0.12.19")
}
if (is.na(came)) {
  came <- file.path(build, "came")
  run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", build, "came==0.1.13")
  utils::unzip(file.path(build, "came-0.1.13-py3-none-any.whl"), "came/sample_data.zip", exdir = build)
  run("unzip", "-o", "-q", "-j", file.path(build, "came", "sample_data.zip"), "-d", came)
}
plain <- file.path(build, "plain")
run(python, "data-raw/pancreas.py", "--came", came, "--out", plain)

extdata <- file.path("inst", "extdata")
dir.create(extdata, recursive = TRUE, showWarnings = FALSE)
expected <- c(human = 2142L, mouse = 1886L)
for (species in names(expected)) {
  counts <- methods::as(Matrix::readMM(file.path(plain, paste0(species, ".mtx"))), "CsparseMatrix")
  cells <- utils::read.csv(file.path(plain, paste0(species, "-cells.csv")), colClasses = "character")
  dimnames(counts) <- list(readLines(file.path(plain, paste0(species, "-genes.txt"))), cells$barcode)
  stopifnot(
    methods::is(counts, "dgCMatrix"), methods::validObject(counts), ncol(counts) == expected[[species]],
    !anyDuplicated(rownames(counts)), !anyDuplicated(colnames(counts)), counts@x >= 1, counts@x == round(counts@x)
  )
  cells <- data.frame(cell_type = cells$cell_type, donor = cells$donor, row.names = cells$barcode)
  saveRDS(list(counts = counts, cells = cells), file.path(extdata, paste0("pancreas-", species, ".rds")),
    version = 3, compress = "xz")
}

pairs <- utils::read.csv(file.path(plain, "homology.csv"), colClasses = c("character", "character", "numeric"))
homology <- data.frame(
  species_a = "human", gene_a = pairs$gene_a, species_b = "mouse", gene_b = pairs$gene_b, weight = pairs$weight
)
stopifnot(nrow(homology) == 12973L, !anyNA(homology), !anyDuplicated(homology))
saveRDS(homology, file.path(extdata, "pancreas-homology.rds"), version = 3, compress = "xz")
