# Number of threads. Asked for explicitly: exactly that. Otherwise: getOption("samap.threads"), RAYON_NUM_THREADS, or
# the cores this process may use (affinity and cgroup), but one in a forked process, since its siblings have the other
# cores; never more than OMP_THREAD_LIMIT and the two cores of a package check allow.
resolve_threads <- function(threads = NULL) {
  if (!is.null(threads)) {
    check_number(threads, "threads", min = 1, max = 1024, integer = TRUE)
    return(as.integer(threads))
  }
  wanted <- positive_integer(getOption("samap.threads"))
  if (is.na(wanted)) wanted <- positive_integer(Sys.getenv("RAYON_NUM_THREADS"))
  if (is.na(wanted)) wanted <- if (is_forked()) 1L else available_cores_()
  limits <- c(positive_integer(Sys.getenv("OMP_THREAD_LIMIT")), if (package_check_limits_cores()) 2L)
  as.integer(max(1L, min(wanted, limits, na.rm = TRUE)))
}

# The process that loaded the package; set by .onLoad().
home_process <- new.env(parent = emptyenv())

# Whether this process was forked from the one that loaded the package, as parallel::mclapply() and future's multicore
# plan do.
is_forked <- function() !identical(Sys.getpid(), home_process$id)

positive_integer <- function(x) {
  if (length(x) != 1L) {
    return(NA_integer_)
  }
  number <- suppressWarnings(as.integer(x))
  if (is.na(number) || number < 1L) NA_integer_ else number
}

# The rule of `R CMD check`: the variable limits the cores unless it says "false" or "warn".
package_check_limits_cores <- function() {
  value <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  nzchar(value) && !value %in% c("false", "warn")
}
