#' Search the sequences of species in each other
#'
#' Runs DIAMOND, MMseqs2 or BLAST+ on every pair of species in both directions, and writes the tables that
#' [homology_from_blast()] reads. The programs must be installed; on Debian and Ubuntu the packages are
#' `diamond-aligner`, `mmseqs2` and `ncbi-blast+`.
#'
#' @details
#' **Sequences.** Proteins are best. A file of nucleotides must hold transcripts or coding sequences; a genome is
#' recognised and refused, as is a mixture of both molecules. What the programs get are copies under numbers, so ids
#' need no care: tables have the first word of each header, whichever the program. [match_genes()] tells how those ids
#' become the genes of an atlas.
#'
#' **Programs.** `"auto"` takes, for each pair of species, the first of DIAMOND, MMseqs2 and BLAST+ that is installed
#' and can do both directions, so that the bit scores of both are comparable; DIAMOND cannot search in nucleotides.
#' Proteins are compared with proteins, or with nucleotides in all six frames; nucleotides with nucleotides as proteins
#' (as `tblastx` does).
#'
#' **Interrupted or repeated.** A table appears when it is complete. Tables that are there, made from the same sequences
#' with the same settings, are kept; so a call that was interrupted is simply made again. A table that this function did
#' not make is kept, too, and one made with other settings is made again; both are told. An interrupt ends the program.
#'
#' **Files.** `dir/<a><b>/<a>_to_<b>.txt` has the 12 columns of `-outfmt 6`, identity in per cent (also of MMseqs2,
#' which counts from 0 to 1), and beside it `.settings` says how it was made. Databases lie in `cache` under a checksum
#' of the sequences, and are used again; nothing is written beside the sequences. The cache may be deleted at any time.
#'
#' @param fastas Named by species id: a FASTA file per species, plain or gzipped.
#' @param dir Folder of the tables; made if it is not there.
#' @param engine `"auto"`, `"diamond"`, `"mmseqs2"` or `"blast"`.
#' @param molecule `"protein"` or `"nucleotide"`, one for all or named by species: what the files must hold. `NULL`:
#'   whatever they hold.
#' @param evalue Largest e-value of a hit.
#' @param max_targets Largest number of targets per query. DIAMOND's own limit of 25 would lose paralogs.
#' @param sensitivity `"sensitive"`, `"very-sensitive"` or `"ultra-sensitive"`: of DIAMOND the option of that name, of
#'   MMseqs2 `-s` 5.7, 7.5 or 8.5. BLAST+ is always as sensitive as it can be.
#' @param cache Folder of the databases. `NULL`: `tools::R_user_dir("samap", "cache")`.
#' @param overwrite Make all tables again.
#' @param threads Number of threads of the programs, as in [samap()].
#' @param verbose Show progress.
#'
#' @return `dir` as a full path, invisibly: the input of [homology_from_blast()], or of [samap()] as `homology`.
#'
#' Errors have the classes `samap_error_io` (a missing file), `samap_error_parse` (a file that is not FASTA),
#' `samap_error_sequences` (a genome, a mixture, another molecule than told, no sequences), `samap_error_engine` (no
#' program that can do it), `samap_error_program` (a program that failed, with what it said) and `samap_error_argument`.
#' @references
#' Buchfink B, Reuter K, Drost HG (2021). *Nature Methods* 18:366-368. \doi{10.1038/s41592-021-01101-x}
#'
#' Steinegger M, Söding J (2017). *Nature Biotechnology* 35:1026-1028. \doi{10.1038/nbt.3988}
#'
#' Camacho C et al. (2009). *BMC Bioinformatics* 10:421. \doi{10.1186/1471-2105-10-421}
#' @examples
#' # Two proteins per species, which differ a little.
#' first <- "MKWVTFISLLFLFSSAYSRGVFRRDAHKSEVAHRFKDLGEENFKALVLIAFAQYLQQCPFEDHVKLVNEVTEFAKTCVADESAENCDK"
#' second <- "MGLSDGEWQLVLNVWGKVEADIPGHGQEVLIRLFKGHPETLEKFDKFKHLKSEDEMKASEDLKKHGATVLTALGGILKKKGHHEAEI"
#' dir <- tempfile()
#' dir.create(dir)
#' fastas <- file.path(dir, c(human = "human.fasta", mouse = "mouse.fasta"))
#' names(fastas) <- c("human", "mouse")
#' writeLines(c(">ALB", first, ">MB", second), fastas[["human"]])
#' writeLines(c(">Alb", sub("VTF", "ITF", first), ">Mb", sub("GEW", "GDW", second)), fastas[["mouse"]])
#' if (nzchar(Sys.which("diamond"))) {
#'   maps <- run_blast(
#'     fastas, file.path(dir, "maps"), "diamond", cache = file.path(dir, "cache"), threads = 1
#'   )
#'   homology_from_blast(maps, c("human", "mouse"))
#' }
#' @export
run_blast <- function(fastas, dir, engine = c("auto", "diamond", "mmseqs2", "blast"), molecule = NULL, evalue = 1e-6,
                      max_targets = 1000L, sensitivity = c("very-sensitive", "sensitive", "ultra-sensitive"),
                      cache = NULL, overwrite = FALSE, threads = NULL, verbose = TRUE) {
  fastas <- check_fastas(fastas)
  check_string(dir, "dir")
  settings <- list(
    evalue = check_number(evalue, "evalue", min = 0),
    max_targets = check_number(max_targets, "max_targets", min = 1, integer = TRUE),
    sensitivity = check_choice(sensitivity, c("very-sensitive", "sensitive", "ultra-sensitive"), "sensitivity")
  )
  engine <- check_choice(engine, c("auto", names(search_engines)), "engine")
  check_flag(overwrite, "overwrite")
  if (is.null(cache)) cache <- tools::R_user_dir("samap", "cache")
  check_string(cache, "cache")
  run <- new_run(threads, verbose = verbose)
  sequences <- read_sequences(fastas, molecule, run)
  searches <- plan_searches(sequences, dir, engine, settings)
  todo <- Filter(function(search) needs_search(search, overwrite, run$verbose), searches)
  folders <- lapply(c(dir, cache), make_folder)
  for (at in seq_along(todo)) {
    run_search(todo[[at]], sequences, folders[[2]], paste0(at, " of ", length(todo)), run)
  }
  invisible(normalizePath(dir))
}

# ---- sequences ---------------------------------------------------------------

check_fastas <- function(fastas) {
  fastas <- check_species_files(fastas, "fastas")
  bad <- names(fastas)[lengths(fastas) != 1L]
  if (length(bad) > 0) {
    samap_abort(
      "argument", "`fastas` must have one file per species.", argument = "fastas", species = bad[[1]],
      found = paste0("That of ", quoted(bad[[1]]), " has ", lengths(fastas[bad[[1]]]), "."),
      remedy = "Join the files of a species; gzipped files may be joined as they are."
    )
  }
  bad <- grep("[/\\\\:*?\"<>|]", names(fastas), value = TRUE)
  if (length(bad) > 0) {
    samap_abort(
      "species", "A species id in `fastas` cannot be part of a file name.", argument = "fastas", species = bad[[1]],
      found = paste0("Found ", enumerate(quoted(bad)), ".")
    )
  }
  vapply(fastas, function(file) normalizePath(file), character(1))
}

# Per species list(path, hash, molecule).
read_sequences <- function(fastas, molecule, run) {
  expected <- molecule_per_species(molecule, names(fastas))
  Map(function(path, id) {
    records <- engine_fasta(path, run)
    found <- check_sequences(records, path, id, expected[[id]])
    list(path = path, hash = unname(tools::md5sum(path)), molecule = found)
  }, fastas, names(fastas))
}

molecule_per_species <- function(molecule, species) {
  check <- function(x, argument, species = NULL) check_choice(x, c("protein", "nucleotide"), argument)
  if (is.null(molecule)) {
    return(list())
  }
  per_species(molecule, species, "molecule", NULL, check)
}

# Proteins are of at most some ten thousand letters, transcripts of a hundred thousand or two; their mean is about a
# thousand.
longest_transcript <- 5e5
longest_mean_transcript <- 3e4

# The molecule of the sequences; what cannot be searched with is an error.
check_sequences <- function(records, path, species, expected) {
  refuse <- function(message, found, remedy) {
    samap_abort(
      "sequences", message, argument = "fastas", species = species, remedy = remedy,
      found = paste0(found, " (species ", quoted(species), ", ", quoted(basename(path)), ").")
    )
  }
  proteins <- "Give proteins, such as *.pep.all.fa of Ensembl or protein.faa of NCBI, or transcripts."
  if (sum(records$length) == 0) {
    refuse("A file of `fastas` has no sequences.", paste("It has", count_of(length(records$id), "header")), proteins)
  }
  share <- mean(records$nucleotide[records$length > 0])
  if (share > 0.1 && share < 0.95) {
    example <- function(of) quoted(records$id[which(records$nucleotide == of & records$length > 0)[[1]]])
    found <- paste0(
      format(100 * share, digits = 2), " % of the sequences are nucleotides, for example ", example(TRUE),
      ", the others are not, for example ", example(FALSE)
    )
    refuse("A file of `fastas` mixes nucleotides and proteins.", found, "Put proteins only into it.")
  }
  molecule <- if (share >= 0.95) "nucleotide" else "protein"
  if (molecule == "nucleotide" && is_genome(records$length)) {
    found <- paste0(
      "The longest of ", count_of(length(records$id), "sequence"), " has ",
      format(max(records$length), big.mark = " ", scientific = FALSE), " nucleotides"
    )
    refuse("A file of `fastas` looks like a genome.", found, proteins)
  }
  if (!is.null(expected) && expected != molecule) {
    found <- paste0("Its sequences are of ", molecule, "s, not of ", expected, "s as `molecule` says")
    refuse("A file of `fastas` has the wrong molecule.", found, "Give the other file, or leave `molecule` out.")
  }
  molecule
}

is_genome <- function(lengths) max(lengths) > longest_transcript || mean(lengths) > longest_mean_transcript

# ---- what to search ----------------------------------------------------------

# Per program: the commands it needs, its Debian package, what it is asked for its version, and the molecules it can
# search in.
search_engines <- list(
  diamond = list(commands = "diamond", package = "diamond-aligner", version = "version", targets = "protein"),
  mmseqs2 = list(
    commands = "mmseqs", package = "mmseqs2", version = "version", targets = c("protein", "nucleotide")
  ),
  blast = list(
    commands = c("blastp", "blastx", "tblastn", "tblastx", "makeblastdb"), package = "ncbi-blast+",
    version = "-version", targets = c("protein", "nucleotide")
  )
)

engine_is_there <- function(engine) all(nzchar(Sys.which(search_engines[[engine]]$commands)))

# Both directions of every pair of species: list(query, target, file, engine, version, settings, record).
plan_searches <- function(sequences, dir, engine, settings) {
  pairs <- utils::combn(names(sequences), 2L, simplify = FALSE)
  engines <- vapply(pairs, function(pair) {
    choose_engine(engine, pair, lapply(sequences[pair], `[[`, "molecule"))
  }, character(1))
  versions <- vapply(setNames(nm = unique(engines)), engine_version, character(1))
  searches <- Map(function(pair, engine) {
    lapply(list(pair, rev(pair)), function(direction) {
      query <- direction[[1]]
      target <- direction[[2]]
      there <- first_existing(blast_candidates(dir, query, target))
      file <- file.path(dir, paste0(pair[[1]], pair[[2]]), paste0(query, "_to_", target, ".txt"))
      list(
        query = query, target = target, file = if (is.na(there)) file else there, engine = engine,
        version = versions[[engine]], settings = settings,
        record = settings_record(sequences[[query]], sequences[[target]], engine, versions[[engine]], settings)
      )
    })
  }, pairs, engines)
  unlist(searches, recursive = FALSE)
}

choose_engine <- function(engine, pair, molecules) {
  can <- function(name) all(molecules %in% search_engines[[name]]$targets)
  able <- Filter(can, if (engine == "auto") names(search_engines) else engine)
  if (length(able) == 0) {
    samap_abort(
      "engine", "DIAMOND cannot search in nucleotides.", argument = "engine", species = pair,
      found = paste0(quoted(pair), " has ", unlist(molecules), " sequences.", collapse = " "),
      remedy = "Give proteins, or use `engine = \"mmseqs2\"` or `\"blast\"`."
    )
  }
  there <- Filter(engine_is_there, able)
  if (length(there) == 0) {
    packages <- vapply(search_engines[able], `[[`, character(1), "package")
    commands <- vapply(search_engines[able], function(engine) engine$commands[[1]], character(1))
    samap_abort(
      "engine", paste0("No program found to search ", paste(quoted(pair), collapse = " and "), " in each other."),
      argument = "engine", found = paste0("Looked for ", enumerate(quoted(commands)), " on the PATH."),
      remedy = paste0("On Debian or Ubuntu: sudo apt-get install ", paste(packages, collapse = " or "), ".")
    )
  }
  there[[1]]
}

# What a table depends on, as the lines of its `.settings` file.
settings_record <- function(query, target, engine, version, settings) {
  c(
    paste0("engine\t", engine, "\t", version),
    paste0("query\t", query$molecule, "\t", query$hash),
    paste0("target\t", target$molecule, "\t", target$hash),
    paste0(names(settings), "\t", vapply(settings, format, character(1)))
  )
}

engine_version <- function(engine) {
  program <- Sys.which(search_engines[[engine]]$commands[[1]])
  said <- suppressWarnings(system2(program, search_engines[[engine]]$version, stdout = TRUE, stderr = TRUE))
  if (length(said) > 0) trimws(said[[1]]) else "unknown"
}

settings_file <- function(table) paste0(sub("\\.txt(\\.gz)?$", "", table), ".settings")

# Is the table still to be made? Says so where one is there that would have come out differently.
needs_search <- function(search, overwrite, verbose) {
  if (!file.exists(search$file) || overwrite) {
    return(TRUE)
  }
  settings <- settings_file(search$file)
  say <- function(what) if (verbose) cli::cli_inform(c(i = "{.file {search$file}} {what}"))
  if (!file.exists(settings)) {
    say("was not made by run_blast() and is kept.")
    return(FALSE)
  }
  if (identical(readLines(settings, warn = FALSE), search$record)) {
    return(FALSE)
  }
  say("was made from other sequences or with other settings and is made again.")
  TRUE
}

# ---- one search --------------------------------------------------------------

run_search <- function(search, sequences, cache, progress, run) {
  work <- make_folder(tempfile("search-", cache))
  on.exit(unlink(work, recursive = TRUE))
  query <- numbered_sequences(sequences[[search$query]], cache, run)
  database <- search_database(sequences[[search$target]], search$engine, search$version, cache, run)
  hits <- file.path(work, "hits.tsv")
  molecules <- c(sequences[[search$query]]$molecule, sequences[[search$target]]$molecule)
  command <- search_command(search, query, database, molecules, hits, work, run$threads)
  phase <- paste0(search$query, " in ", search$target, " with ", search$engine, " (", progress, ")")
  run_command(command, dirname(database), work, phase, run)
  if (!file.exists(hits)) file.create(hits)
  make_folder(dirname(search$file))
  part <- paste0(sub("\\.gz$", "", search$file), ".part")
  on.exit(unlink(part), add = TRUE)
  rows <- engine_name_hits(hits, part, sequences[[search$query]]$path, sequences[[search$target]]$path, run)
  finish_table(search, part)
  if (run$verbose) {
    rlang::inform(c(v = paste0(
      search$query, " in ", search$target, ": ", count_of(rows, "hit"), " (", search$engine, ")."
    )))
  }
}

# The table first loses its old settings, so that an interrupt between the steps leaves nothing that looks finished.
finish_table <- function(search, part) {
  settings <- settings_file(search$file)
  table <- sub("\\.gz$", "", search$file)
  unlink(c(settings, search$file))
  writeLines(search$record, settings)
  if (!file.rename(part, table)) {
    samap_abort("io", "A table cannot be written.", argument = "dir", found = paste0("It is ", quoted(table), "."))
  }
}

make_folder <- function(path) {
  if (!dir.exists(path) && !dir.create(path, recursive = TRUE, showWarnings = FALSE) && !dir.exists(path)) {
    samap_abort("io", "A folder cannot be made.", found = paste0("It is ", quoted(path), "."))
  }
  normalizePath(path)
}

# Format of what lies in the cache; a new number where it changes.
cache_format <- 1L

# The sequences under numbers, in the cache.
numbered_sequences <- function(sequences, cache, run) {
  in_cache(cache, paste0("sequences-", cache_format, "-", sequences$hash), "sequences.fasta", function(folder) {
    engine_number_sequences(sequences$path, file.path(folder, "sequences.fasta"), run)
  })
}

# The database of a program, in the cache; the path that its search takes.
search_database <- function(sequences, engine, version, cache, run) {
  fasta <- numbered_sequences(sequences, cache, run)
  version <- gsub("[^A-Za-z0-9.]+", "-", version)
  name <- paste(engine, version, cache_format, sequences$molecule, sequences$hash, sep = "-")
  in_cache(cache, name, "database", function(folder) {
    type <- if (sequences$molecule == "protein") "prot" else "nucl"
    if (engine == "blast") {
      return(blast_database(fasta, type, folder, run))
    }
    out <- file.path(folder, "database")
    command <- switch(engine,
      diamond = c("diamond", "makedb", "--in", fasta, "--db", out, "--threads", run$threads),
      mmseqs2 = c("mmseqs", "createdb", fasta, out, "--dbtype", if (type == "prot") 1 else 2, "-v", 1)
    )
    run_command(command, folder, folder, paste("database of", engine), run)
    unlink(file.path(folder, "log.txt"))
  })
}

# makeblastdb cannot write where the path has a blank, and says so as a "memory map file error": the database is made in
# a temporary folder. Searches run in the folder of the database and take it by its name alone.
blast_database <- function(fasta, type, folder, run) {
  made <- make_folder(tempfile("blast-"))
  on.exit(unlink(made, recursive = TRUE))
  copy_files(fasta, made)
  command <- c("makeblastdb", "-in", "sequences.fasta", "-dbtype", type, "-out", "database", "-title", "samap")
  run_command(command, made, made, "database of blast", run)
  copy_files(list.files(made, pattern = "^database", full.names = TRUE), folder)
}

copy_files <- function(files, folder) {
  if (!all(file.copy(files, folder))) {
    samap_abort("io", "Files cannot be copied.", found = paste0("They go into ", quoted(folder), "."))
  }
}

# The path of `file` in a folder of the cache, which `make` fills if it is not there. The folder appears when it is
# full.
in_cache <- function(cache, name, file, make) {
  folder <- file.path(cache, name)
  if (!dir.exists(folder)) {
    part <- make_folder(tempfile("part-", cache))
    on.exit(unlink(part, recursive = TRUE))
    make(part)
    # Another process may have been faster.
    if (!suppressWarnings(file.rename(part, folder)) && !dir.exists(folder)) {
      samap_abort("io", "A folder of the cache cannot be made.", argument = "cache",
        found = paste0("It is ", quoted(folder), "."))
    }
  }
  file.path(folder, file)
}

search_command <- function(search, query, database, molecules, hits, work, threads) {
  settings <- search$settings
  evalue <- format(settings$evalue)
  targets <- format(settings$max_targets, scientific = FALSE)
  switch(search$engine,
    diamond = c(
      "diamond", if (molecules[[1]] == "protein") "blastp" else "blastx", "--query", query, "--db", database,
      "--out", hits, "--outfmt", 6, "--evalue", evalue, "--max-target-seqs", targets, "--max-hsps", 1,
      paste0("--", settings$sensitivity), "--threads", threads, "--tmpdir", work
    ),
    mmseqs2 = c(
      "mmseqs", "easy-search", query, database, hits, file.path(work, "mmseqs"), "-e", evalue,
      "--max-seqs", targets, "-s", mmseqs_sensitivity[[settings$sensitivity]],
      if (all(molecules == "nucleotide")) c("--search-type", 2), "--threads", threads, "-v", 1, "--format-output",
      # pident: in per cent. The identity of the default columns counts from 0 to 1.
      "query,target,pident,alnlen,mismatch,gapopen,qstart,qend,tstart,tend,evalue,bits"
    ),
    blast = c(
      blast_program(molecules), "-query", query, "-db", basename(database), "-out", hits, "-outfmt", 6,
      "-evalue", evalue, "-max_target_seqs", targets, "-max_hsps", 1, "-num_threads", threads
    )
  )
}

mmseqs_sensitivity <- c(sensitive = 5.7, `very-sensitive` = 7.5, `ultra-sensitive` = 8.5)

blast_program <- function(molecules) {
  if (molecules[[1]] == "protein") {
    return(if (molecules[[2]] == "protein") "blastp" else "tblastn")
  }
  if (molecules[[2]] == "protein") "blastx" else "tblastx"
}

# command: the program, found on the PATH, and its arguments.
run_command <- function(command, dir, work, phase, run) {
  engine_program(Sys.which(command[[1]]), as.character(command[-1]), dir, file.path(work, "log.txt"), phase, run)
}
