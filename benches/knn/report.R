# Table of benches/knn.csv: Rscript benches/knn/report.R THREADS

source(file.path("benches", "data.R"))
threads <- as.integer(commandArgs(trailingOnly = TRUE)[[1]])
measured <- utils::read.csv(file.path("benches", "knn.csv"))
percent <- function(x) ifelse(is.na(x), "", paste0(formatC(100 * x, format = "f", digits = 0), " %"))
number <- function(x, digits) formatC(x, format = "f", digits = digits)
table <- data.frame(
  where = ifelse(measured$where == "within", "within a species", "between species"),
  cells = format(measured$cells, big.mark = " ", scientific = FALSE, trim = TRUE), dimensions = measured$dimensions,
  search = measured$method, seconds = number(measured$seconds, 2), recall = number(measured$recall, 4),
  least = number(measured$least, 4), `of the rate of sgemm` = percent(measured$share_of_sgemm), check.names = FALSE
)
note <- c(
  "The 20 nearest of every cell with the default options, searched as the method says; recall is against the exact search.",
  "Within a species (itself included): cells that lie between cells of the human pancreas and their neighbours, in the coordinates of SAM.",
  "Between species: atlases of mixed cells (`mixed` in `benches/src/pancreas.rs`), half of the cells each, in the latent space of the",
  "first pass, both directions; inverted file: mean and least recall of the seeds 0 to 4. HNSW is built by one thread, so that it is the",
  "same every time. Made by `make bench-knn`.", "", describe_machine(threads)
)
write_section("knn", c(markdown(table, c("---", "---:", "---:", "---", "---:", "---:", "---:", "---:")), "", note))
