# The format of results: what is saved by one version of the package and read by another. A change of the fields of
# results raises `result_format`, and adds the function that brings results of the format before to the new one.

result_format <- 1L

# Named by the format they start from: a function of the result, which returns it in the next format.
result_migrations <- list()

#' Bring a saved result up to date
#'
#' Results are plain lists and survive `saveRDS()`. They carry the number of their format; one that an older version of
#' the package saved is brought to the present format by this function.
#'
#' @param x What [samap()] or [sam()] returned, from any version of the package up to this one.
#' @return `x` in the present format; as it is, if it has that already. A result of a newer version, or something else,
#'   is an error of class `samap_error_format`.
#' @examples
#' example <- samap_example("pancreas-small")
#' fit <- sam(example$atlases$mouse, threads = 1, verbose = FALSE)
#' identical(update_samap(fit), fit)
#' @export
update_samap <- function(x) {
  if (!inherits(x, c("samap", "samap_sam"))) {
    samap_abort(
      "format", "`x` is no result of `samap()` or `sam()`.", argument = "x", found = paste0("It is ", describe(x), ".")
    )
  }
  while (!identical(x$format, result_format)) {
    migrate <- result_migrations[[format_name(x)]]
    if (is.null(migrate)) {
      abort_format(x, "x")
    }
    x <- migrate(x)
  }
  x
}

format_name <- function(x) if (is.null(x$format)) "none" else as.character(x$format)

# Functions that read a result want the present format.
check_format <- function(x, argument) {
  if (!identical(x$format, result_format)) {
    abort_format(x, argument)
  }
  invisible(x)
}

abort_format <- function(x, argument) {
  found <- format_name(x)
  known <- found %in% names(result_migrations)
  samap_abort(
    "format", paste0(backticked(argument), " was written by another version of samap."), argument = argument,
    found = paste0("Its format is ", found, "; this version reads format ", result_format, "."),
    remedy = if (known) "`update_samap()` brings it up to date." else "Update samap."
  )
}
