# Every condition of the package is classed `samap_error_<kind>` or `samap_warning_<kind>` and says what was found, in
# which argument, and what to do. The outcomes of the engine are turned into the same conditions here, and only here.

samap_abort <- function(kind, message, argument = NULL, species = NULL, found = NULL, remedy = NULL) {
  rlang::abort(
    condition_message(message, found, remedy),
    class = c(paste0("samap_error_", kind), "samap_error"),
    argument = argument, species = species, found = found, remedy = remedy,
    call = user_frame()
  )
}

samap_warn <- function(kind, message, argument = NULL, species = NULL, found = NULL, remedy = NULL) {
  rlang::warn(
    condition_message(message, found, remedy),
    class = c(paste0("samap_warning_", kind), "samap_warning"),
    argument = argument, species = species, found = found, remedy = remedy
  )
}

condition_message <- function(message, found, remedy) {
  c(message, bullets(found, "x"), bullets(remedy, "i"))
}

bullets <- function(x, bullet) if (length(x) > 0) setNames(x, rep(bullet, length(x)))

# The frame of the exported function the user called: errors are reported as coming from there, however deep they arise.
user_frame <- function() {
  home <- environment(samap_abort)
  for (n in seq_len(sys.nframe())) {
    if (identical(environment(sys.function(n)), home)) {
      return(sys.frame(n))
    }
  }
  NULL
}

# The engine answers with list(value, error): the value, or the error as a condition. `species`: whose data it worked
# on. What the engine calls `counts` is the atlas that the user gave.
rust_value <- function(outcome, species = NULL) {
  error <- outcome$error
  if (is.null(error)) {
    return(outcome$value)
  }
  if (identical(error$argument, "counts") && !is.null(species)) {
    error$message <- unusable_atlas(species)
    error$argument <- atlas_argument(species)
  }
  samap_abort(
    error$kind, error$message, argument = error$argument, species = species, found = error$found,
    remedy = error$remedy
  )
}

# What stands for the id of the species of sam(), which has none. No species id has white space.
sole_species <- "the atlas"

is_sole <- function(species) identical(species, sole_species)

# As a sentence names a species, and starts with it.
the_species <- function(id) if (is_sole(id)) sole_species else paste0("species ", quoted(id))

the_species_first <- function(id) sub("^(.)", "\\U\\1", the_species(id), perl = TRUE)

unusable_atlas <- function(species) {
  paste0("The atlas", if (!is_sole(species)) paste0(" of ", the_species(species)), " cannot be used.")
}

# Where users give it: `samap(atlases)`, `sam(x)`.
atlas_argument <- function(species) if (is_sole(species)) "x" else "atlases"

quoted <- function(x) paste0("\"", x, "\"")

backticked <- function(x) paste0("`", x, "`")

enumerate <- function(x, max = 5L) {
  shown <- x[seq_len(min(length(x), max))]
  rest <- length(x) - length(shown)
  paste0(paste(shown, collapse = ", "), if (rest > 0) paste0(", and ", rest, " more"))
}

count_of <- function(n, noun, plural = paste0(noun, "s")) {
  paste(format(n, big.mark = ","), if (n == 1) noun else plural)
}
