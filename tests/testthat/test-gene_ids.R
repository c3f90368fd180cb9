fasta_file <- function(headers, sequences = rep("MKVLW", length(headers)), env = parent.frame()) {
  file <- withr::local_tempfile(fileext = ".fasta", .local_envir = env)
  writeLines(c(rbind(paste0(">", headers), sequences)), file)
  file
}

test_that("kinds of names are counted", {
  names <- c("ENSG00000254647.7", "ENSG00000115263.15", "ENSG00000157005", "INS", "dd_Smed_v6_1_0")
  expect_identical(detect_gene_ids(names), data.frame(
    kind = c("ensembl_gene", "symbol", "unknown"), n = c(3L, 1L, 1L), share = c(0.6, 0.2, 0.2),
    versioned = c(2 / 3, 0, 0), examples = c(paste(names[1:3], collapse = ", "), "INS", "dd_Smed_v6_1_0")
  ))
  expect_identical(detect_gene_ids(planted_atlas(1))$kind, "symbol")
})

test_that("headers of FASTA files are matched by compositions of steps", {
  fasta <- fasta_file(c(
    "ENSP01.1 pep gene:ENSG00000000001.4 gene_symbol:INS", "ENSP02.1 pep gene:ENSG00000000001.4 gene_symbol:INS",
    "ENSP03.2 pep gene:ENSG00000000002.1 gene_symbol:GCG", "ENSP04.2 pep gene:ENSG00000000009.1 gene_symbol:X"
  ), c("MK", "MKVLW", "MKV", "M"))
  genes <- c("ENSG00000000001", "ENSG00000000002", "ENSG00000000003")
  matches <- match_genes(genes, fasta)
  expect_identical(matches$transformation, c("taking the field `gene`", "dropping the version suffix (`.1`)"))
  expect_identical(matches$names, data.frame(
    name = c("ENSP01.1", "ENSP02.1", "ENSP03.2"), gene = c(genes[c(1, 1, 2)])
  ))
  expect_identical(c(matches$n_genes, matches$n_matched, matches$n_names), c(3L, 2L, 4L))
  expect_identical(matches$unmatched$genes, genes[[3]])
  expect_snapshot(print(matches))
})

test_that("the longest isoform of each gene is written under its name", {
  fasta <- fasta_file(c("P1 gene=a", "P2 gene=a", "P3 gene=b"), c("MK", "MKVLW", "MKV"))
  out <- withr::local_tempfile(fileext = ".fasta")
  matches <- match_genes(c("a", "b"), fasta, write = out)
  expect_identical(readLines(out), c(">a", "MKVLW", ">b", "MKV"))
  expect_identical(matches$written, out)
  expect_identical(utils::read.delim(paste0(out, ".names.tsv")), matches$names)
  expect_error(match_genes(c("a", "b"), fasta, write = fasta), class = "samap_error_argument")
  expect_error(match_genes(c("a", "b"), c("a", "b"), write = out), class = "samap_error_argument")
})

test_that("transcripts are looked up in GTF, GFF3 and data frames", {
  fasta <- fasta_file(c("T1.1 x", "T2.1 y"))
  gtf <- withr::local_tempfile(fileext = ".gtf.gz")
  con <- gzfile(gtf, "w")
  attributes <- sprintf("gene_id \"G%d\"; transcript_id \"T%d\"; gene_name \"N%d\";", 1:2, 1:2, 1:2)
  writeLines(paste0("1\te\ttranscript\t1\t9\t.\t+\t.\t", attributes), con)
  close(con)
  expect_identical(match_genes(c("G1", "G2"), fasta, annotation = gtf)$names$gene, c("G1", "G2"))
  expect_identical(match_genes(c("n1", "n2"), fasta, annotation = gtf)$transformation, c(
    "taking the first word", "looking up the gene's name in the annotation", "ignoring case"
  ))
  gff <- withr::local_tempfile(fileext = ".gff3")
  writeLines(c(
    "##gff-version 3", paste0("1\te\tmRNA\t1\t9\t.\t+\t.\tID=transcript:T", 1:2, ";Parent=gene:G", 1:2),
    paste0("1\te\tgene\t1\t9\t.\t+\t.\tID=gene:G", 1:2, ";Name=N", 1:2)
  ), gff)
  expect_identical(match_genes(c("G1", "G2"), fasta, annotation = gff)$n_matched, 2L)
  expect_identical(match_genes(c("N1", "N2"), fasta, annotation = gff)$n_matched, 2L)
  pairs <- data.frame(transcript = c("T1.1", "T2"), gene = c("x", "y"))
  expect_identical(match_genes(c("x", "y"), fasta, annotation = pairs)$names$gene, c("x", "y"))
})

test_that("a homology and an atlas are matched, and the names serve BLAST tables", {
  homology <- homology_from_pairs(planted_pairs("ha", "mu", prefix_b = "mu_G"))
  matches <- match_genes(planted_atlas(2), homology, species = "mu")
  expect_identical(matches$transformation, c("dropping the prefix `mu_`", "ignoring case"))
  expect_identical(matches$n_matched, 85L)
  renamed <- rename_genes(as.data.frame(homology), attr(homology, "genes"), "mu", matches)
  expect_identical(renamed$edges$gene_b, paste0("g", sub("mu_G", "", homology$gene_b)))
})

test_that("what cannot be matched says why", {
  homology <- homology_from_pairs(planted_pairs("ha", "mu"))
  expect_snapshot({
    show_condition(match_genes(c("a", "b"), homology))
    show_condition(match_genes(c("a", "b"), homology, species = "fish"))
    show_condition(match_genes(c("a", "b"), "no such file"))
    show_condition(match_genes(c("a", NA), c("a", "b")))
    show_condition(match_genes(two_species()$atlases, homology, species = "mu"))
    show_condition(match_genes(c("a", "b"), c("a", "b"), annotation = "no such file"))
    show_condition(match_genes(c("a", "b"), c("a", "b"), annotation = data.frame(x = 1)))
  })
  expect_error(detect_gene_ids(3), class = "samap_error_argument")
})

test_that("samap() proposes compositions, applies them, and names kinds where nothing helps", {
  data <- two_species()
  plain <- quiet_samap(data, n_iterations = 1)
  data$homology$gene_b <- paste0("mu_", toupper(data$homology$gene_b), ".2")
  expect_snapshot(show_condition(quiet_samap(data)))
  expect_identical(quiet_samap(data, n_iterations = 1, fix_ids = TRUE)$passes, plain$passes)
  data$homology$gene_b <- sprintf("ENSMUSP%011d.1", seq_len(nrow(data$homology)))
  expect_snapshot(show_condition(quiet_samap(data)))
})
