# What the plots share: colours that colour-blind readers can tell apart, and a plain theme.

# Okabe and Ito's colours; then Tol's; beyond 20, hues of alternating lightness (plots then number the groups as well).
okabe_ito <- c("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")

tol_colours <- c(
  "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#E69F00",
  "#0072B2", "#D55E00", "#000000", "#F0E442", "#6699CC", "#661100", "#AA4466", "#4477AA", "#228833", "#BBBBBB"
)

group_colours <- function(n) {
  if (n <= length(okabe_ito)) {
    return(okabe_ito[seq_len(n)])
  }
  if (n <= length(tol_colours)) {
    return(tol_colours[seq_len(n)])
  }
  hues <- seq(15, 375, length.out = n + 1)[seq_len(n)]
  grDevices::hcl(h = hues, c = rep(c(90, 60, 80), length.out = n), l = rep(c(45, 75, 60), length.out = n))
}

theme_samap <- function() {
  ggplot2::theme_minimal(base_size = 11) +
    ggplot2::theme(panel.grid = ggplot2::element_blank(), plot.title.position = "plot")
}
