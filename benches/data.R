# What the benchmark scripts share: reading the plain files of export_data.R and `generate`, the machine, and RESULTS.md.

# list(counts = dgCMatrix genes x cells, cells = data.frame(cell_type)) of one species.
read_plain <- function(folder, species) {
  file <- function(name) file.path(folder, paste0(species, name))
  integers <- function(slot) {
    path <- file(paste0(".", slot))
    readBin(path, "integer", file.size(path) / 4, size = 4L, endian = "little")
  }
  genes <- readLines(file("-genes.txt"))
  types <- readLines(file("-types.txt"))
  names <- list(genes, paste0(species, "-", seq_along(types)))
  counts <- methods::new("dgCMatrix",
    p = integers("p"), i = integers("i"), x = as.double(integers("x")),
    Dim = lengths(names), Dimnames = names
  )
  list(counts = counts, cells = data.frame(cell_type = types, row.names = names[[2]]))
}

# Peak memory of this process in bytes; NA where the system does not tell.
peak_memory <- function() {
  status <- if (file.exists("/proc/self/status")) readLines("/proc/self/status") else character()
  line <- grep("^VmHWM:", status, value = TRUE)
  if (length(line) == 0) NA_real_ else as.numeric(gsub("[^0-9]", "", line)) * 1024
}

# One sentence about the machine, for a table.
describe_machine <- function(threads) {
  read <- function(path, pattern) {
    found <- if (file.exists(path)) grep(pattern, readLines(path), value = TRUE) else character()
    if (length(found) == 0) "unknown" else trimws(sub("^[^:]*:", "", found[[1]]))
  }
  memory <- suppressWarnings(as.numeric(gsub("[^0-9]", "", read("/proc/meminfo", "^MemTotal")))) / 2^20
  paste0(
    read("/proc/cpuinfo", "^model name"), ", ", round(memory), " GiB memory, ", Sys.info()[["sysname"]], "; ", threads,
    " threads; ", Sys.Date()
  )
}

# A markdown table of a data frame of text.
markdown <- function(table, align = c("---", rep("---:", ncol(table) - 1L))) {
  row <- function(cells) paste0("| ", paste(cells, collapse = " | "), " |")
  c(row(names(table)), row(align), apply(table, 1L, row))
}

# Replaces the part of RESULTS.md between the markers of `section`.
write_section <- function(section, lines, path = file.path("benches", "RESULTS.md")) {
  old <- readLines(path)
  markers <- paste0("<!-- ", section, c(": start -->", ": end -->"))
  at <- match(markers, old)
  if (anyNA(at)) stop(path, " has no section \"", section, "\"")
  writeLines(c(old[seq_len(at[[1]])], lines, old[at[[2]]:length(old)]), path)
}
