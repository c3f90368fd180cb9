# Table of benches/knn.csv: Rscript benches/knn/report.R THREADS

source(file.path("benches", "data.R"))
threads <- as.integer(commandArgs(trailingOnly = TRUE)[[1]])
measured <- utils::read.csv(file.path("benches", "knn.csv"))
share <- function(x) ifelse(is.na(x), "", paste0(formatC(100 * x, format = "f", digits = 0), " %"))
table <- data.frame(
  cells = format(measured$cells, big.mark = " ", scientific = FALSE, trim = TRUE), search = measured$method,
  seconds = formatC(measured$seconds, format = "f", digits = 2), recall = formatC(measured$recall, format = "f", digits = 4),
  `of the rate of sgemm` = share(measured$share_of_sgemm), check.names = FALSE
)
note <- c(
  paste0("The 20 nearest of every cell, itself included, in ", measured$dimensions[[1]], " dimensions, with the default options."),
  "The cells lie between cells of the human pancreas and their neighbours (`benches/src/bin/knn.rs`); recall is against the exact search. HNSW",
  "is built by one thread, so that it is the same every time. Made by `make bench-knn`.", "", describe_machine(threads)
)
write_section("knn", c(markdown(table, c("---:", "---", "---:", "---:", "---:")), "", note))
