# AnnData files and the .h5 files of Cell Ranger, as atlases.

#' An atlas in a file
#'
#' Says which parts of an AnnData file (`.h5ad`) or of an `.h5` file of Cell Ranger [samap()] and [sam()] should read.
#' The path alone will do where the defaults are right. The counts stay in the file and out of R's memory: the engine
#' reads them when it needs them.
#'
#' @param path Path of the file. AnnData files of any version from 0.6 on are read, with matrices by cell (CSR), by
#'   gene (CSC) or dense, uncompressed or compressed with gzip or lzf; of Cell Ranger the versions from 2 on.
#' @param layer Where the raw counts are: `"X"`, `"raw"`, or the name of a layer; for Cell Ranger 2 the name of a
#'   genome. `NULL`: `X`; if that does not hold whole numbers but the layer `counts` or `raw` does, that, with a
#'   warning.
#' @param var_names Column of `var` with the names of the genes, such as `"gene_ids"` (of `features`, such as `"id"`, in
#'   a file of Cell Ranger). `NULL`: the index of `var` (the column `name`).
#' @return An object of class `samap_h5ad`, plain data, to be used as an atlas. The metadata of the cells are the
#'   columns of `obs`; `list(counts = h5ad_atlas(path), cells = metadata)` takes others. Whether the file can be read
#'   shows when it is used: errors then have the classes `samap_error_io` (no such file), `samap_error_parse` (damaged,
#'   or of another format), `samap_error_compression` (neither gzip nor lzf), `samap_error_argument` (no such layer or
#'   column), `samap_error_no_hdf5` (samap was built without HDF5). What is damaged is found before it is used: text is
#'   read, and the structure of the file checked, without libhdf5, which trusts what a file says. Left to libhdf5 is the
#'   structure of files with groups of newer formats (in h5py `libver` and `track_order`), which AnnData does not write
#'   unless told to; where it is damaged, libhdf5 1.10 may crash.
#' @seealso [write_h5ad()]
#' @examplesIf samap:::has_hdf5_()
#' mouse <- sam(samap_example("pancreas-small")$atlases$mouse, threads = 1, verbose = FALSE)
#' path <- tempfile(fileext = ".h5ad")
#' write_h5ad(mouse, path, verbose = FALSE)
#' sam(h5ad_atlas(path, layer = "X"), threads = 1, verbose = FALSE)
#' @export
h5ad_atlas <- function(path, layer = NULL, var_names = NULL) {
  check_string(path, "path")
  if (!is.null(layer)) check_string(layer, "layer")
  if (!is.null(var_names)) check_string(var_names, "var_names")
  structure(list(path = path, layer = layer, var_names = var_names), class = "samap_h5ad")
}

#' @export
print.samap_h5ad <- function(x, ...) {
  cat("<samap_h5ad> ", x$path, "\n", sep = "")
  cat("  layer: ", if (is.null(x$layer)) "the first with counts" else x$layer, ", gene names: ",
    if (is.null(x$var_names)) "index" else x$var_names, "\n", sep = "")
  invisible(x)
}

is_path <- function(x) is.character(x) && length(x) == 1L && !is.na(x)

# As raw_atlas() gives it: counts (a source), genes and cells.
raw_file <- function(x, species) {
  if (is_path(x)) x <- h5ad_atlas(x)
  path <- normalizePath(x$path, winslash = "/", mustWork = FALSE)
  if (!file.exists(path)) {
    bad_atlas("io", species, paste0("is the path ", quoted(x$path), ", where there is no file."),
      remedy = "Give the full path, or one from the working directory.")
  }
  about <- engine_inspect(path, x$layer, x$var_names, species)
  if (about$nonzeros == 0) {
    bad_atlas("empty", species, paste0("has no counts at all in ", about$matrix, " of ", path, "."), "Give raw counts.")
  }
  warn_passed_over(about, path, species)
  warn_not_counts(about$fractional, species)
  cells <- data.frame(about$cells, check.names = FALSE, stringsAsFactors = FALSE, row.names = NULL)
  if (ncol(cells) == 0) cells <- data.frame(row.names = seq_along(about$barcodes))
  list(
    counts = new_counts(list(list(counts = new_counts_file(path, about))), length(about$genes)), genes = about$genes,
    barcodes = about$barcodes, cells = cells
  )
}

warn_passed_over <- function(about, path, species) {
  if (is.null(about$passed_over)) {
    return(invisible())
  }
  samap_warn(
    "not_counts",
    paste0("The counts of ", the_species(species), " are taken from ", quoted(about$matrix), " of ", path, "."),
    argument = atlas_argument(species), species = species,
    found = paste0(quoted(about$passed_over), " does not hold counts: its values are not whole numbers, or negative."),
    remedy = paste0("To choose, and without this warning: `h5ad_atlas(path, layer = ", quoted(about$matrix), ")`.")
  )
}
