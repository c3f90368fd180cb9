# The counts of an atlas: a dgCMatrix of genes x cells, or a source that stays out of R (class `samap_counts`), which
# the engine reads when it needs it. A source is plain data: list(dim = genes and cells, nonzeros, samples), each sample
# list(counts = dgCMatrix or file, genes = rows of its genes in the whole, NULL: the same). A file is
# list(path, format = "h5ad" or "10x", matrix = where in the file, dim, nonzeros, size, modified, hash).

new_counts <- function(samples, genes) {
  structure(list(
    dim = c(genes, sum(vapply(samples, function(sample) ncol_of(sample$counts), double(1)))),
    nonzeros = sum(vapply(samples, function(sample) stored_of(sample$counts), double(1))), samples = samples
  ), class = "samap_counts")
}

is_source <- function(counts) inherits(counts, "samap_counts")

#' @export
dim.samap_counts <- function(x) as.integer(x$dim)

#' @export
print.samap_counts <- function(x, ...) {
  cat("<samap_counts> ", count_of(x$dim[[1]], "gene"), " x ", count_of(x$dim[[2]], "cell"), ", ",
    count_of(x$nonzeros, "entry", "entries"), "\n", sep = "")
  for (file in source_files(x)) cat("  ", file$path, ": ", file$matrix, " (", file$format, ")\n", sep = "")
  invisible(x)
}

is_file <- function(counts) is.list(counts)

ncol_of <- function(counts) as.double(if (is_file(counts)) counts$dim[[2]] else ncol(counts))

# Number of stored entries of a matrix, a file or a source.
stored_of <- function(counts) if (is_file(counts)) counts$nonzeros else as.double(length(counts@x))

# The counts of a sample as samples of a source whose genes are `genes`; its own are `own`.
as_samples <- function(counts, own, genes) {
  at <- if (!identical(own, genes)) match(own, genes)
  if (!is_source(counts)) {
    return(list(list(counts = counts, genes = at)))
  }
  lapply(counts$samples, function(sample) {
    inner <- sample$genes
    list(counts = sample$counts, genes = if (is.null(at)) inner else if (is.null(inner)) at else at[inner])
  })
}

source_files <- function(counts) {
  if (!is_source(counts)) {
    return(list())
  }
  Filter(is_file, lapply(counts$samples, `[[`, "counts"))
}

# What counts contain, as something short to hash.
counts_key <- function(counts) {
  if (is_source(counts)) {
    samples <- lapply(counts$samples, function(sample) list(counts_key(sample$counts), sample$genes))
    return(list(counts$dim, samples))
  }
  if (is_file(counts)) {
    return(counts[c("format", "matrix", "hash")])
  }
  list(dim(counts), c(counts@p), counts@i, counts@x)
}

# Where counts are, for people.
describe_counts <- function(counts) {
  all <- if (is.null(counts) || is_source(counts) || !is.list(counts)) list(counts) else counts
  if (all(vapply(all, is.null, logical(1)))) {
    return("not kept")
  }
  files <- unlist(lapply(all, source_files), recursive = FALSE)
  if (length(files) == 0) "kept" else paste("in", count_of(length(files), "file"))
}

# ---- files -------------------------------------------------------------------

# A file as it is now. Its hash is that of all its bytes.
new_counts_file <- function(path, about) {
  info <- file.info(path, extra_cols = FALSE)
  list(
    path = path, format = about$format, matrix = about$matrix, dim = about$dim, nonzeros = about$nonzeros,
    size = info$size, modified = as.double(info$mtime), hash = rlang::hash_file(path)
  )
}

# Stops if a file is not the one it was. Size and time of change settle it, and where the time is another, the content.
check_counts_file <- function(file) {
  info <- file.info(file$path, extra_cols = FALSE)
  if (is.na(info$size)) {
    lost_counts(file, "is not there any more")
  }
  same <- identical(info$size, file$size) &&
    (identical(as.double(info$mtime), file$modified) || identical(rlang::hash_file(file$path), file$hash))
  if (!same) lost_counts(file, "was changed since")
}

lost_counts <- function(file, what) {
  samap_abort(
    "no_counts", "This needs the counts, which are in a file that cannot be used.",
    found = paste0(file$path, " ", what, "."),
    remedy = "`attach_counts()` takes them from the atlases of the run, wherever these are now."
  )
}
