# Run by configure: checks what the build needs, one clear sentence for what is missing, and writes src/Makevars.
#
# Environment variables
#   SAMAP_TARGET_DIR  folder of the Rust build, kept for the next one (without it: a folder that is removed after the build)
#   SAMAP_PROFILE     "release" (default) or "dev"
#   SAMAP_JOBS        parallel jobs of cargo (default: all cores; two under R CMD check)

stop_install <- function(...) {
  message("samap cannot be installed: ", ...)
  quit(save = "no", status = 1)
}

first_line <- function(command, argument) {
  out <- suppressWarnings(tryCatch(system2(command, argument, stdout = TRUE, stderr = FALSE), error = function(e) character()))
  if (length(out) == 0 || !is.null(attr(out, "status"))) NULL else out[[1]]
}

# The version of Rust that is needed is written in one place.
needed_rust <- function() {
  manifest <- readLines(file.path("src", "rust", "Cargo.toml"))
  line <- grep("^rust-version *= *\"", manifest, value = TRUE)[1]
  sub("^rust-version *= *\"([0-9.]+)\".*", "\\1", line)
}

if (getRversion() < "4.2.0") {
  stop_install("R 4.2 or newer is needed, this is R ", format(getRversion()), "; install a newer R.")
}

cargo_home <- Sys.getenv("CARGO_HOME", file.path(Sys.getenv("HOME"), ".cargo"))
Sys.setenv(PATH = paste(Sys.getenv("PATH"), file.path(cargo_home, "bin"), sep = .Platform$path.sep))
how <- "install Rust from https://rustup.rs, or with the system's package manager where that is new enough."
cargo <- first_line("cargo", "--version")
if (is.null(cargo)) stop_install("cargo was not found; ", how)
rustc <- first_line("rustc", "--version")
if (is.null(rustc)) stop_install("rustc was not found; ", how)
found <- sub("^rustc ([0-9.]+).*", "\\1", rustc)
needed <- needed_rust()
if (utils::compareVersion(found, needed) < 0) {
  stop_install("rustc ", needed, " or newer is needed, found ", found, "; run `rustup update`, or ", how)
}
message("samap: building with ", rustc, " and ", cargo)

# HDF5 is not needed: only the tests of the core link it, and `cargo build` of the package leaves test dependencies out.

profile <- Sys.getenv("SAMAP_PROFILE", "release")
if (!profile %in% c("release", "dev")) {
  stop_install("SAMAP_PROFILE is \"", profile, "\"; set it to \"release\" or \"dev\".")
}
shared <- Sys.getenv("SAMAP_TARGET_DIR")
under_check <- nzchar(Sys.getenv("_R_CHECK_PACKAGE_NAME_")) || nzchar(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
jobs <- Sys.getenv("SAMAP_JOBS", if (under_check) "2" else "")
vendored <- file.exists(file.path("src", "rust", "vendor.tar.xz"))
system <- Sys.info()[["sysname"]]

values <- list(
  "@TARGET_DIR@" = if (nzchar(shared)) normalizePath(shared, winslash = "/", mustWork = FALSE) else "./rust/target-package",
  "@PROFILE_DIR@" = if (profile == "dev") "debug" else "release",
  "@CARGO_FLAGS@" = paste(c(
    "--locked", paste0("--profile=", profile), if (nzchar(jobs)) paste0("--jobs=", jobs), if (vendored) "--offline"
  ), collapse = " "),
  # Exports nothing of Rust, drops what is not called, and debug symbols: a fourth of the size.
  "@LINK_FLAGS@" = if (system == "Linux") "-lpthread -ldl -lm -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-S" else "",
  "@CLEAN_TARGET@" = if (nzchar(shared)) "" else "$(TARGET_DIR)"
)
makevars <- if (.Platform$OS.type == "windows") "Makevars.win" else "Makevars"
lines <- readLines(file.path("src", paste0(makevars, ".in")))
for (key in names(values)) lines <- gsub(key, values[[key]], lines, fixed = TRUE)
con <- file(file.path("src", makevars), "wb")
writeLines(lines, con, sep = "\n")
close(con)
