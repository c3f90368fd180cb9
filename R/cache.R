# What SAM finds for a species, kept in a folder (`samap_control(cache =)`). The name of a file is the hash of
# everything the result depends on: the counts and the names of their genes, all options, and the engine itself.

# The value of `compute()`, or what an earlier call with the same key left in the folder.
cached <- function(folder, key, compute, run, label) {
  if (is.null(folder)) {
    return(compute())
  }
  hash <- rlang::hash(c(list(engine_hash()), key))
  path <- file.path(folder, paste0("sam-", hash, ".rds"))
  found <- read_cached(path, hash)
  if (!is.null(found)) {
    note_choice(run, label, "sam", "from the cache", path)
    return(found)
  }
  value <- compute()
  write_cached(list(hash = hash, value = value), folder, path)
  value
}

# NULL where there is none, or none that can be used.
read_cached <- function(path, hash) {
  if (!file.exists(path)) {
    return(NULL)
  }
  found <- tryCatch(readRDS(path), error = function(e) NULL)
  if (is.list(found) && identical(found$hash, hash)) {
    return(found$value)
  }
  samap_warn("cache", paste0(path, " cannot be read and is made again."), argument = "cache")
  NULL
}

# Complete or not there: written beside its place and moved.
write_cached <- function(value, folder, path) {
  part <- paste0(path, ".", Sys.getpid(), ".part")
  on.exit(unlink(part))
  kept <- tryCatch(
    {
      dir.create(folder, recursive = TRUE, showWarnings = FALSE)
      saveRDS(value, part, compress = FALSE)
      file.rename(part, path)
    },
    error = function(e) FALSE, warning = function(w) FALSE
  )
  if (!kept) {
    samap_warn("cache", paste0("The result of sam() cannot be kept in ", folder, "."), argument = "cache",
      remedy = "Give a folder that can be written, with room for it.")
  }
}

# A new build of the engine may compute something else.
engine_hash <- function() {
  library <- getLoadedDLLs()[["samap"]]
  rlang::hash_file(library[["path"]])
}
