# Writes R/extendr-wrappers.R, the R side of what the glue registers, from the installed package: tools/wrappers.R LIBRARY.
library <- commandArgs(trailingOnly = TRUE)[[1]]
shared <- file.path(library, "samap", "libs", paste0("samap", .Platform$dynlib.ext))
dll <- dyn.load(shared)
text <- .Call(getNativeSymbolInfo("wrap__make_samap_wrappers", dll), TRUE, "samap")
# Only the functions: registration is in samap-package.R, and internal functions have no help pages.
text <- grep("^(#|NULL)", strsplit(text, "\n", fixed = TRUE)[[1]], value = TRUE, invert = TRUE)
text <- text[nzchar(text)]
writeLines(c("# Generated from src/rust/src by tools/wrappers.R: do not edit by hand.", "", text), file.path("R", "extendr-wrappers.R"))
