# Tables, exponents and plot of the scaling series, from what one.R wrote at each size.

# series: the section of RESULTS.md and the name of the plot. folder: where the results are.
report <- function(series, folder, sizes, threads, rates) {
  read <- function(size, name) {
    utils::read.csv(file.path(folder, paste0("result-", format(size, scientific = FALSE, trim = TRUE)), name))
  }
  totals <- do.call(rbind, lapply(sizes, read, "summary.csv"))
  phases <- do.call(rbind, lapply(sizes, function(size) {
    cbind(cells = totals$cells[match(size, sizes)], grouped(read(size, "phases.csv")))
  }))
  floors <- grouped(read(max(sizes), "plan.csv"), "phase", "floor")
  utils::write.csv(phases, file.path(folder, "scaling-phases.csv"), row.names = FALSE)
  utils::write.csv(totals, file.path(folder, "scaling.csv"), row.names = FALSE)
  plot <- paste0(series, ".png")
  ggplot2::ggsave(file.path("benches", plot), scaling_plot(phases, totals), width = 9, height = 4.5, dpi = 110)
  write_section(series, c(totals_table(totals), "", phase_table(phases, floors), "", footnote(totals, plot, threads, rates)))
}

# The phases of all species and passes of a kind together: seconds (or another column) added up, and the highest peak.
grouped <- function(phases, name = "what", column = "seconds") {
  kind <- sub("^pass [0-9]+: ", "", phases[[name]])
  kind <- factor(kind, unique(kind))
  peak <- if (is.null(phases$peak_mb)) NA_real_ else as.numeric(tapply(phases$peak_mb, kind, max))
  data.frame(phase = levels(kind), seconds = as.numeric(tapply(phases[[column]], kind, sum)), peak_mb = peak)
}

# From this size on exponents are fitted: below, much of the time does not depend on the number of cells.
fitted_from <- 36000

# Slope of log y over log cells, over the large sizes where there are two, else over all; NA for fewer than two sizes.
exponent <- function(cells, y) {
  usable <- is.finite(y) & y > 0
  large <- usable & cells >= fitted_from
  if (sum(large) >= 2L) usable <- large
  if (sum(usable) < 2L) {
    return(NA_real_)
  }
  unname(stats::coef(stats::lm(log(y[usable]) ~ log(cells[usable])))[[2]])
}

number <- function(x, digits) ifelse(is.na(x), "", formatC(x, format = "f", digits = digits, big.mark = " "))

totals_table <- function(totals) {
  rows <- data.frame(
    cells = number(totals$cells, 0), `seconds` = number(totals$seconds, 1), `UMAP, s` = number(totals$umap, 1),
    `peak memory, MB` = number(totals$peak_mb, 0), `planned memory, MB` = number(totals$predicted_mb, 0),
    `planned seconds` = number(totals$predicted_seconds, 1), `gene pairs` = number(totals$pairs, 0), check.names = FALSE
  )
  fit <- function(column) number(exponent(totals$cells, totals[[column]]), 2)
  rows[nrow(rows) + 1L, ] <- c("**exponent**", fit("seconds"), fit("umap"), fit("peak_mb"), "", "", "")
  markdown(rows)
}

# Seconds of every phase at every size; at the largest the floor, and how many times it the phase took.
phase_table <- function(phases, floors) {
  names <- unique(phases$phase)
  cells <- sort(unique(phases$cells))
  seconds <- function(name) vapply(cells, function(n) sum(phases$seconds[phases$cells == n & phases$phase == name]), 0)
  table <- t(vapply(names, function(name) {
    floor <- floors$seconds[match(name, floors$phase)]
    times <- seconds(name)[[length(cells)]] / floor
    c(name, number(seconds(name), 2), number(exponent(cells, seconds(name)), 2), number(floor, 2), number(times, 1))
  }, character(length(cells) + 4L)))
  table <- as.data.frame(table)
  names(table) <- c("phase, s", paste(number(cells, 0), "cells"), "exponent", "floor, s", "times the floor")
  markdown(table)
}

footnote <- function(totals, plot, threads, rates) {
  c(
    paste0("Seconds are from ", c(memory = "counts in memory", h5ad = "the h5ad files", disk = "the h5ad files, with expression on disk,")[[totals$input[[1]]]],
      " to scores and gene pairs; the phases of all species and passes are summed. Peak memory is that of the whole R"),
    "process up to the end of `samap()`. Exponents are slopes of the logarithms from 36 000 cells on, or over all sizes",
    "where there are no two of these. One run each, every size in a process of its own; what `samap_plan()` said before is beside it.",
    "The floor of a phase at the largest size is its work divided by what the machine does at best (docs/performance.md). Made by",
    paste0("`make bench-scale`. Plot: [", plot, "](", plot, ")."), "",
    paste0(describe_machine(threads), "; ", gsub("[{}\"]", "", rates))
  )
}

# Time of the whole run and of its dearest phases, and peak memory beside the planned one, on logarithmic axes.
scaling_plot <- function(phases, totals) {
  largest <- phases[phases$cells == max(phases$cells), ]
  dearest <- utils::head(largest$phase[order(-largest$seconds)], length(phase_colours))
  phases$phase[!phases$phase %in% dearest] <- "other phases"
  phases <- stats::aggregate(seconds ~ cells + phase, phases, sum)
  line <- function(panel, what, cells, value) data.frame(panel = panel, what = what, cells = cells, value = value)
  all <- rbind(
    line("time, s", "whole run", totals$cells, totals$seconds),
    line("time, s", phases$phase, phases$cells, phases$seconds),
    line("peak memory, MB", "whole run", totals$cells, totals$peak_mb),
    line("peak memory, MB", "planned", totals$cells, totals$predicted_mb)
  )
  all <- all[all$value > 0, ]
  all$panel <- factor(all$panel, unique(all$panel))
  all$what <- factor(all$what, c("whole run", "planned", dearest, "other phases"))
  colours <- c("black", "grey55", phase_colours[seq_along(dearest)], "grey75")
  plain <- function(x) vapply(x, format, "", big.mark = " ", scientific = FALSE, trim = TRUE)
  ggplot2::ggplot(all, ggplot2::aes(.data$cells, .data$value, colour = .data$what)) +
    ggplot2::geom_line() +
    ggplot2::geom_point(size = 1.2) +
    ggplot2::scale_colour_manual(values = stats::setNames(colours, levels(all$what))) +
    ggplot2::scale_x_log10(labels = plain, breaks = totals$cells) +
    ggplot2::scale_y_log10(labels = plain) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free_y") +
    ggplot2::labs(x = "cells", y = NULL, colour = NULL) +
    ggplot2::theme_minimal(base_size = 10) +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank())
}

# Told apart by colour-blind readers, too (Okabe and Ito).
phase_colours <- c("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
