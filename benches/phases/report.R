# Table and plot of benches/phases.csv: Rscript benches/phases/report.R THREADS

source(file.path("benches", "data.R"))
threads <- as.integer(commandArgs(trailingOnly = TRUE)[[1]])
measured <- utils::read.csv(file.path("benches", "phases.csv"))
measured$step <- factor(measured$step, unique(measured$step))
measured$ours <- measured$form == "ours"

# One row per step at the largest size: what the older form takes, what ours takes, and the ratios.
largest <- measured[measured$cells == max(measured$cells), ]
rows <- lapply(split(largest, largest$step, drop = TRUE), function(step) {
  old <- step[!step$ours, ]
  new <- step[step$ours, ]
  number <- function(x) formatC(x, format = "fg", digits = 3, big.mark = " ")
  data.frame(
    step = as.character(old$step), `older form` = old$form, `older, s` = number(old$seconds), `ours, s` = number(new$seconds),
    faster = paste(number(old$seconds / new$seconds), "\u00d7"), `older, MB` = number(old$bytes / 1e6),
    `ours, MB` = number(new$bytes / 1e6), smaller = paste(number(old$bytes / new$bytes), "\u00d7"), check.names = FALSE
  )
})
table <- markdown(do.call(rbind, rows), c("---", "---", rep("---:", 6)))
note <- c(
  paste0("At ", format(max(measured$cells), big.mark = " "), " cells. The older forms are those of SAMap before version 3, plainly written"),
  "(`benches/src/legacy.rs`; HNSW is the engine's own, built serially). Memory is the most that is held during the step beyond its",
  "input. All sizes: [phases.csv](phases.csv). Made by `make bench-phases`.", "",
  "![Time and memory of the older forms and of ours](phases.png)", "", describe_machine(threads)
)
write_section("phases", c(table, "", note))

long <- rbind(
  data.frame(measured[c("step", "form", "ours", "cells")], what = "time, s", value = measured$seconds),
  data.frame(measured[c("step", "form", "ours", "cells")], what = "memory, MB", value = measured$bytes / 1e6)
)
long$what <- factor(long$what, c("time, s", "memory, MB"))
long$form <- ifelse(long$ours, "ours", paste0("older (", long$form, ")"))
long$form <- factor(long$form, c("ours", setdiff(unique(long$form), "ours")))
plot <- ggplot2::ggplot(long, ggplot2::aes(.data$cells, .data$value, colour = .data$form)) +
  ggplot2::geom_line() +
  ggplot2::geom_point(size = 1) +
  ggplot2::scale_x_log10(breaks = unique(long$cells)) +
  ggplot2::scale_y_log10() +
  ggplot2::facet_grid(ggplot2::vars(.data$what), ggplot2::vars(.data$step), scales = "free_y") +
  ggplot2::labs(x = "cells", y = NULL, colour = NULL) +
  ggplot2::theme_minimal(base_size = 10) +
  ggplot2::theme(axis.text.x = ggplot2::element_text(angle = 45, hjust = 1))
ggplot2::ggsave(file.path("benches", "phases.png"), plot, width = 9.5, height = 4.5, dpi = 110)
