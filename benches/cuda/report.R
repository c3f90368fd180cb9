# Table of benches/cuda.csv: Rscript benches/cuda/report.R [DATE]

source(file.path("benches", "data.R"))
given <- commandArgs(trailingOnly = TRUE)
date <- if (length(given) > 0) given[[1]] else format(Sys.Date())
measured <- utils::read.csv(file.path("benches", "cuda.csv"))
device <- readLines(file.path("benches", "cuda.txt"))[[1]]
known <- function(x, text) ifelse(is.na(x), "", trimws(text))
ms <- function(seconds) known(seconds, formatC(1000 * seconds, format = "fg", digits = 3, big.mark = " "))
# What the CPU does not do takes it no time.
measured$cpu_s[!is.na(measured$cpu_s) & measured$cpu_s < 1e-5] <- NA
one <- function(x) formatC(x, format = "f", digits = 1, big.mark = " ")
floor <- ifelse(measured$floor_s > 0, measured$floor_s, NA)

# "1.000000 the same", "1e-15 apart", or both.
agreement <- function(same, difference) {
  parts <- cbind(
    known(same, paste(format(100 * same, digits = 6, trim = TRUE), "% the same")),
    known(difference, ifelse(difference == 0, "0 apart", paste(formatC(difference, format = "e", digits = 0), "apart")))
  )
  apply(parts, 1L, function(part) paste(part[part != ""], collapse = ", "))
}

of_size <- function(cells) {
  at <- measured$cells == cells
  rows <- measured[at, ]
  least <- floor[at]
  work <- ifelse(rows$gflop > 0, rows$gflop, NA)
  traffic <- ifelse(rows$gbyte > 0, rows$gbyte, NA)
  table <- data.frame(
    operation = paste0("`", rows$operation, "`"), `GPU, ms` = ms(rows$gpu_s), `CPU, ms` = ms(rows$cpu_s),
    faster = known(rows$cpu_s, paste(one(rows$cpu_s / rows$gpu_s), "\u00d7")), `floor, ms` = ms(least),
    `share of the floor` = known(least, paste(formatC(100 * least / rows$gpu_s, format = "f", digits = 0), "%")),
    `Gflop/s` = known(work, formatC(work / rows$gpu_s, format = "f", digits = 0, big.mark = " ")),
    `GB/s` = known(traffic, formatC(traffic / rows$gpu_s, format = "f", digits = 0, big.mark = " ")),
    `MB to and from the GPU` = paste(one(rows$sent / 1e6), "+", one(rows$received / 1e6)),
    launches = format(rows$launches, trim = TRUE),
    `GPU and CPU` = agreement(rows$same, rows$difference), check.names = FALSE
  )
  title <- paste("###", format(cells, big.mark = " ", scientific = FALSE), "cells")
  c(title, "", markdown(table, c("---", rep("---:", 9), "---")), "")
}

note <- c(
  "Two species, half of the cells each, made from the pancreas pair (cells lie between two cells of one type). The",
  "operations are those of the trait `Backend`, with all transfers and host work, after a first run: the median of",
  "several on the GPU, one run on the CPU. `SAM` and `loadings` are of one species, `mapping` is the whole mapping of",
  "both in three passes, once each. The floor is the longest of arithmetic and traffic as docs/cuda.md counts them, at",
  "the rates below (of the L2 cache: 1.65 times a copy, less than it does); what has none moves or sorts only.",
  "*GPU and CPU*: entries that are the same (neighbours, partners, bits of positions), and the largest difference over",
  "the largest value (of a mapping: of its alignment scores). Made by `make bench-cuda`.", "",
  paste0(device, "; ", date)
)
write_section("cuda", c(unlist(lapply(unique(measured$cells), of_size)), note))
