# Writes inst/AUTHORS: every Rust crate that is compiled into the package, with version, authors, licence and source.
# tools/authors.R [--check]: with --check nothing is written, and a file that is out of date is an error.
# The licences are read from the manifests of the crates, as cargo reports them; each must allow what the MIT licence allows.

allowed <- c(
  "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense", "0BSD", "Unicode-3.0", "CC0-1.0"
)

run_cargo <- function(...) {
  out <- system2("cargo", c(..., "--locked", "--manifest-path", "src/rust/Cargo.toml"), stdout = TRUE)
  if (!is.null(attr(out, "status"))) stop("cargo ", ..1, " failed", call. = FALSE)
  out
}

# A licence expression is fine if one of its alternatives is: `OR` (or `/`) separates them, `AND` joins.
is_allowed <- function(expression) {
  alternatives <- strsplit(gsub("[()]", "", expression), " OR |/")[[1]]
  any(vapply(strsplit(alternatives, " AND "), function(all) all(trimws(all) %in% allowed), logical(1)))
}

# name version of all crates that any platform compiles into the library; not those of tests.
tree <- run_cargo(
  "tree", "--package", "samap", "--all-features", "--edges", "normal,build", "--prefix", "none", "--target", "all"
)
compiled <- unique(sub("^(\\S+) v(\\S+).*", "\\1 \\2", tree))
metadata <- jsonlite::fromJSON(paste(run_cargo("metadata", "--format-version", "1"), collapse = "\n"), FALSE)
crates <- Filter(function(crate) {
  !is.null(crate$source) && paste(crate$name, crate$version) %in% compiled
}, metadata$packages)
crates <- crates[order(vapply(crates, function(crate) paste(crate$name, crate$version), character(1)), method = "radix")]

refused <- Filter(function(crate) is.null(crate$license) || !is_allowed(crate$license), crates)
if (length(refused) > 0) {
  named <- vapply(refused, function(crate) paste0(crate$name, " (", crate$license, ")"), character(1))
  stop("licences that do not fit the MIT licence: ", paste(named, collapse = ", "), call. = FALSE)
}

entry <- function(crate) {
  authors <- gsub(" *<[^>]*>", "", unlist(crate$authors))
  # Many manifests name none.
  by <- if (length(authors) > 0) paste(authors, collapse = ", ") else paste("the authors of", crate$name)
  c(paste(crate$name, crate$version), paste0("  by ", by), paste0("  ", crate$license), paste0("  ", crate$repository))
}
text <- c(
  "The compiled code of samap contains these Rust crates, or parts of them. Written by tools/authors.R.", "",
  unlist(lapply(crates, function(crate) c(entry(crate), "")))
)
file <- file.path("inst", "AUTHORS")
if (!"--check" %in% commandArgs(TRUE)) {
  writeLines(text, file, useBytes = TRUE)
} else if (!file.exists(file) || !identical(readLines(file, encoding = "UTF-8"), enc2utf8(text))) {
  stop("inst/AUTHORS is out of date: Rscript tools/authors.R writes it again", call. = FALSE)
}
