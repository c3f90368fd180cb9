# Run by configure: checks what the build needs, one clear sentence for what is missing, and writes src/Makevars.
#
# Environment variables
#   SAMAP_TARGET_DIR  folder of the Rust build, kept for the next one (without it: a folder that is removed after the build)
#   SAMAP_PROFILE     "release" (default) or "dev"
#   SAMAP_JOBS        parallel jobs of cargo (default: all cores; two under R CMD check)
#   SAMAP_HDF5        "system" (a libhdf5 that is installed), "static" (one that is built and linked in; needs cmake), "none" (files of
#                     AnnData and Cell Ranger are then refused), or "auto" (default: the first of system and static that can be had)
#   HDF5_DIR          folder of a libhdf5 with include/ and lib/

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

# ---- HDF5: list(flags of cargo, libs of the linker, root folder), or NULL ------------------------------------------------

# cargo looks for libhdf5 by itself, in HDF5_DIR, by pkg-config and in the usual places: this finds the same one.
system_hdf5 <- function() {
  root <- Sys.getenv("HDF5_DIR", dirname(dirname(normalizePath(Sys.which("h5cc"), mustWork = FALSE))))
  libs <- first_line("pkg-config", c("--libs", "hdf5"))
  if (nzchar(Sys.getenv("HDF5_DIR")) || is.null(libs)) {
    if (!file.exists(file.path(root, "include", "hdf5.h"))) return(NULL)
    return(list(flags = character(), libs = paste0("-L", shQuote(file.path(root, "lib")), " -lhdf5"), root = root))
  }
  list(flags = character(), libs = trimws(libs), root = "")
}

# The bundled HDF5 asks for cmake 3.26.
static_hdf5 <- function() {
  version <- first_line("cmake", "--version")
  if (is.null(version)) return(NULL)
  if (utils::compareVersion(sub("^cmake version ([0-9.]+).*", "\\1", version), "3.26") < 0) return(NULL)
  list(flags = "--features=hdf5-static", libs = "", root = "")
}

choose_hdf5 <- function(wanted) {
  none <- list(flags = c("--no-default-features", "--features=cuda"), libs = "", root = "")
  help <- "install libhdf5 (Debian and Ubuntu: libhdf5-dev; Fedora: hdf5-devel; macOS: brew install hdf5), or cmake 3.26 or newer to "
  help <- paste0(help, "build the one that comes along, or set SAMAP_HDF5=none to do without files of AnnData and Cell Ranger.")
  found <- switch(wanted,
    auto = Find(Negate(is.null), list(system_hdf5(), static_hdf5())),
    system = system_hdf5(), static = static_hdf5(), none = none,
    stop_install("SAMAP_HDF5 is \"", wanted, "\"; set it to \"auto\", \"system\", \"static\" or \"none\".")
  )
  if (is.null(found)) stop_install("no HDF5 was found (SAMAP_HDF5 is \"", wanted, "\"); ", help)
  found
}

hdf5 <- choose_hdf5(Sys.getenv("SAMAP_HDF5", "auto"))
message("samap: HDF5: ", if (identical(hdf5$flags, "--features=hdf5-static")) "built and linked in" else
  if (nzchar(hdf5$libs)) hdf5$libs else "none")

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
    "--locked", paste0("--profile=", profile), hdf5$flags, if (nzchar(jobs)) paste0("--jobs=", jobs),
    if (vendored) "--offline"
  ), collapse = " "),
  # Exports nothing of Rust, drops what is not called, and debug symbols: a fourth of the size.
  "@LINK_FLAGS@" = if (system == "Linux") "-lpthread -ldl -lm -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-S" else "",
  "@HDF5_LIBS@" = hdf5$libs,
  "@HDF5_DIR@" = hdf5$root,
  "@CLEAN_TARGET@" = if (nzchar(shared)) "" else "$(TARGET_DIR)"
)
makevars <- if (.Platform$OS.type == "windows") "Makevars.win" else "Makevars"
lines <- readLines(file.path("src", paste0(makevars, ".in")))
for (key in names(values)) lines <- gsub(key, values[[key]], lines, fixed = TRUE)
con <- file(file.path("src", makevars), "wb")
writeLines(lines, con, sep = "\n")
close(con)
