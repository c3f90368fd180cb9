# Proteins that are related between species as the numbers in their names say, under headers like those of Ensembl.
amino_acids <- strsplit("ACDEFGHIKLMNPQRSTVWY", "")[[1]]

mutated <- function(letters, share, alphabet) {
  at <- which(stats::runif(length(letters)) < share)
  letters[at] <- sample(alphabet, length(at), replace = TRUE)
  letters
}

# Four families of proteins; species 2 has a paralog of the first, species 3 lacks the last.
planted_families <- function(alphabet = amino_acids, length = 150L) {
  withr::with_seed(1, {
    ancestors <- replicate(4, sample(alphabet, length, replace = TRUE), simplify = FALSE)
    copy <- function(at, share) paste(mutated(ancestors[[at]], share, alphabet), collapse = "")
    list(
      aa = setNames(lapply(1:4, copy, 0.05), paste0("a", 1:4)),
      b_b = setNames(lapply(c(1:4, 1), copy, 0.15), c(paste0("b", 1:4), "b1p")),
      c = setNames(lapply(1:3, copy, 0.2), paste0("c", 1:3))
    )
  })
}

# Files with blanks and quotes in their path, the last one gzipped.
write_fastas <- function(families, env = parent.frame()) {
  dir <- file.path(withr::local_tempdir(.local_envir = env), "with 'a' blank")
  dir.create(dir)
  setNames(lapply(names(families), function(id) {
    file <- file.path(dir, paste0(id, if (id == "c") ".fasta.gz" else ".fasta"))
    lines <- c(rbind(paste0(">", names(families[[id]]), ".1 pep gene:", names(families[[id]])), unlist(families[[id]])))
    con <- if (id == "c") gzfile(file, "w") else file(file, "w")
    writeLines(lines, con)
    close(con)
    file
  }), names(families))
}

related <- c(
  "aa a1.1 b_b b1.1", "aa a1.1 b_b b1p.1", "aa a2.1 b_b b2.1", "aa a3.1 b_b b3.1", "aa a4.1 b_b b4.1",
  "aa a1.1 c c1.1", "aa a2.1 c c2.1", "aa a3.1 c c3.1",
  "b_b b1.1 c c1.1", "b_b b1p.1 c c1.1", "b_b b2.1 c c2.1", "b_b b3.1 c c3.1"
)

edges_of <- function(homology) paste(homology$species_a, homology$gene_a, homology$species_b, homology$gene_b)

skip_without <- function(engine) {
  commands <- search_engines[[engine]]$commands
  skip_if_not(engine_is_there(engine), paste("no", commands[[1]], "on this machine"))
}

quiet_blast <- function(fastas, dir, ..., threads = 1L, verbose = FALSE) {
  run_blast(fastas, dir, ..., cache = file.path(dirname(dir), "a cache"), threads = threads, verbose = verbose)
}

# Weights by program, in the order of the pairs, for the comparison of the programs.
weights_of <- new.env()

for (engine in c("diamond", "mmseqs2", "blast")) {
  test_that(paste("proteins are searched with", engine), {
    skip_without(engine)
    fastas <- write_fastas(planted_families())
    dir <- file.path(withr::local_tempdir(), "maps of mine")
    made <- quiet_blast(fastas, dir, engine)
    expect_identical(made, normalizePath(dir))
    h <- homology_from_blast(made, names(fastas))
    expect_setequal(edges_of(h), related)
    expect_true(all(h$weight > 50))
    # Identity in per cent, whichever the program.
    identity <- utils::read.delim(file.path(dir, "aab_b", "aa_to_b_b.txt"), header = FALSE)$V3
    expect_true(min(identity) > 60 && max(identity) <= 100)
    weights_of[[engine]] <- h$weight
    # Nothing but tables, and nothing beside the sequences.
    expect_setequal(basename(list.files(dir, recursive = TRUE)), c(outer(
      c("aa_to_b_b", "b_b_to_aa", "aa_to_c", "c_to_aa", "b_b_to_c", "c_to_b_b"), c(".txt", ".settings"), paste0
    )))
    expect_setequal(list.files(dirname(fastas[[1]])), basename(unlist(fastas)))
  })
}

test_that("scores of the programs agree", {
  skip_if_not(length(ls(weights_of)) == 3L, "one of the programs is not on this machine")
  weights <- simplify2array(as.list(weights_of))
  expect_identical(nrow(weights), length(related))
  expect_true(all(stats::cor(weights) > 0.95))
  expect_true(all(abs(weights[, "diamond"] / weights[, "blast"] - 1) < 0.1))
})

test_that("more paralogs than DIAMOND reports by itself are found", {
  skip_without("diamond")
  families <- withr::with_seed(2, {
    ancestor <- sample(amino_acids, 120, replace = TRUE)
    copies <- replicate(40, paste(mutated(ancestor, 0.1, amino_acids), collapse = ""))
    list(a = list(one = paste(ancestor, collapse = "")), b = setNames(as.list(copies), paste0("copy", 1:40)))
  })
  fastas <- write_fastas(families)
  dir <- file.path(withr::local_tempdir(), "maps")
  expect_identical(nrow(homology_from_blast(quiet_blast(fastas, dir, "diamond"), c("a", "b"))), 40L)
  few <- quiet_blast(fastas, dir, "diamond", max_targets = 10L)
  expect_identical(nrow(homology_from_blast(few, c("a", "b"))), 10L)
})

codons <- c(
  A = "GCT", C = "TGC", D = "GAC", E = "GAA", F = "TTC", G = "GGC", H = "CAC", I = "ATC", K = "AAA", L = "CTG",
  M = "ATG", N = "AAC", P = "CCG", Q = "CAG", R = "CGT", S = "TCT", T = "ACC", V = "GTG", W = "TGG", Y = "TAC"
)

as_transcripts <- function(proteins) {
  lapply(proteins, function(protein) paste(codons[strsplit(protein, "")[[1]]], collapse = ""))
}

for (engine in c("mmseqs2", "blast")) {
  test_that(paste("nucleotides are searched with", engine), {
    skip_without(engine)
    families <- planted_families()
    families$aa <- as_transcripts(families$aa)
    families$c <- as_transcripts(families$c)
    fastas <- write_fastas(families)
    dir <- file.path(withr::local_tempdir(), "maps")
    h <- homology_from_blast(quiet_blast(fastas, dir, engine, c(aa = "nucleotide", b_b = "protein")), names(fastas))
    expect_setequal(edges_of(h), related)
  })
}

test_that("finished tables are kept, others are made again", {
  skip_without("diamond")
  fastas <- write_fastas(planted_families())[1:2]
  dir <- file.path(withr::local_tempdir(), "maps")
  quiet_blast(fastas, dir, "diamond")
  table <- file.path(dir, "aab_b", c("aa_to_b_b.txt", "b_b_to_aa.txt"))
  before <- readLines(table[[1]])
  searched <- 0L
  search <- run_search
  local_mocked(run_search = function(...) {
    searched <<- searched + 1L
    search(...)
  })
  quiet_blast(fastas, dir, "diamond")
  expect_identical(searched, 0L)
  # As an interrupt leaves it: one table is missing.
  unlink(table[[2]])
  quiet_blast(fastas, dir, "diamond")
  expect_identical(searched, 1L)
  quiet_blast(fastas, dir, "diamond", overwrite = TRUE)
  expect_identical(searched, 3L)
  expect_identical(readLines(table[[1]]), before)
  suppressMessages(
    expect_message(quiet_blast(fastas, dir, "diamond", evalue = 1e-3, verbose = TRUE), "with other settings")
  )
  expect_identical(searched, 5L)
  unlink(sub("txt$", "settings", table[[1]]))
  suppressMessages(
    expect_message(quiet_blast(fastas, dir, "diamond", verbose = TRUE), "was not made by run_blast\\(\\) and is kept")
  )
})

test_that("genomes, mixtures and wrong molecules are recognised before anything runs", {
  families <- planted_families()[1:2]
  local_mocked(run_search = function(...) stop("nothing may run"))
  run <- function(sequences, ...) {
    families$aa <- sequences
    fastas <- write_fastas(families)
    show_condition(quiet_blast(fastas, file.path(withr::local_tempdir(), "maps"), "mmseqs2", ...))
  }
  genome <- list(chr1 = strrep("ACGTTGCA", 1e5), chr2 = strrep("AC", 1e4))
  expect_snapshot({
    run(genome)
    run(c(families$aa, list(t1 = "ACGTACGTAC")))
    run(as_transcripts(families$aa), molecule = "protein")
    run(list(a = "", b = ""))
    run(list(a = "MK1V"))
  }, transform = function(lines) sub("^.*/with 'a' blank/", "<folder>/", lines))
})

test_that("what cannot be searched says why", {
  fastas <- write_fastas(planted_families())
  transcripts <- write_fastas(lapply(planted_families(), as_transcripts))
  dir <- file.path(withr::local_tempdir(), "maps")
  local_mocked(engine_is_there = function(engine) FALSE)
  expect_snapshot({
    show_condition(quiet_blast(transcripts[1:2], dir, "diamond"))
    show_condition(quiet_blast(transcripts[1:2], dir))
    show_condition(quiet_blast(fastas[1:2], dir, "hmmer"))
    show_condition(quiet_blast(list(a = fastas[[1]], b = unlist(fastas)), dir))
    show_condition(quiet_blast(c(a = "no such file", b = fastas[[1]]), dir))
    show_condition(quiet_blast(list(`a/b` = fastas[[1]], c = fastas[[2]]), dir))
  })
})

# A program that tells its version, and otherwise does what it is told here.
fake_program <- function(path, script) {
  writeLines(c("#!/bin/sh", "if [ \"$1\" = version ]; then echo 'diamond version 9'; exit 0; fi", script), path)
  Sys.chmod(path)
}

test_that("a program that fails is reported with what it said, and leaves no table", {
  skip_on_os("windows")
  fastas <- write_fastas(planted_families())[1:2]
  bin <- withr::local_tempdir()
  program <- file.path(bin, "diamond")
  fake_program(program, "echo out of memory >&2; exit 7")
  withr::local_envvar(PATH = paste(bin, Sys.getenv("PATH"), sep = ":"))
  dir <- file.path(withr::local_tempdir(), "maps")
  error <- tryCatch(quiet_blast(fastas, dir, "diamond"), error = identity)
  expect_s3_class(error, "samap_error_program")
  expect_match(conditionMessage(error), "out of memory")
  expect_match(conditionMessage(error), "7")
  expect_length(list.files(dir, recursive = TRUE), 0)
  expect_length(list.files(file.path(dirname(dir), "a cache"), pattern = "part|search"), 0)
})

test_that("an interrupt ends the program", {
  skip_on_os("windows")
  skip_on_cran()
  fastas <- write_fastas(planted_families())[1:2]
  bin <- withr::local_tempdir()
  program <- file.path(bin, "diamond")
  mark <- file.path(bin, "pid")
  fake_program(program, paste0("echo $$ > '", mark, "'; sleep 60"))
  withr::local_envvar(PATH = paste(bin, Sys.getenv("PATH"), sep = ":"))
  dir <- file.path(withr::local_tempdir(), "maps")
  # What Sys.sleep() raises on Ctrl-C, once the program runs.
  poll <- job_poll
  local_mocked(job_poll = function(job, wait) {
    if (file.exists(mark) && length(readLines(mark)) > 0) rlang::interrupt()
    poll(job, wait)
  })
  started <- proc.time()[["elapsed"]]
  outcome <- tryCatch(quiet_blast(fastas, dir, "diamond"), interrupt = function(condition) "interrupted")
  expect_identical(outcome, "interrupted")
  expect_lt(proc.time()[["elapsed"]] - started, 20)
  expect_false(tools::pskill(as.integer(readLines(mark)), 0L))
  expect_length(list.files(dir, recursive = TRUE), 0)
})
