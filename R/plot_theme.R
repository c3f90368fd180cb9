# What the plots share: colours that colour-blind readers can tell apart, sizes that stay legible, and a plain theme.

# Okabe and Ito's colours; then Tol's; beyond 20, hues of alternating lightness (plots then number the groups as well).
okabe_ito <- c("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")

tol_colours <- c(
  "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#E69F00",
  "#0072B2", "#D55E00", "#F0E442", "#6699CC", "#661100", "#AA4466", "#4477AA", "#228833", "#000000", "#BBBBBB"
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

# One colour per species, named by them.
species_colours <- function(species) setNames(group_colours(length(species)), species)

# Colours of neighbours that are labelled anyway: seven that differ from each other, over and over.
recycled_colours <- function(n) rep_len(okabe_ito[1:7], n)

# Of cells that have nothing to show.
nothing_grey <- "grey85"

# From nearly white for nothing to dark for much; legible in grey and to colour-blind readers.
much_colours <- c("#F7F9FB", "#CFE3EC", "#8CC2D6", "#4495BA", "#1F6390", "#0A2F51")

scale_fill_much <- function(...) ggplot2::scale_fill_gradientn(colours = much_colours, ...)

# Size of the text of n labels along one side of a page, in points; 60 stay legible and apart.
label_points <- function(n) if (n <= 15) 10 else if (n <= 30) 8 else if (n <= 60) 6 else 4.5

# The same in mm, as geoms want it.
label_mm <- function(n) label_points(n) / ggplot2::.pt

# A few round numbers for a legend of sizes.
size_breaks <- function(sizes) {
  breaks <- pretty(sizes, 3)
  breaks <- breaks[breaks > 0 & breaks <= max(sizes) & breaks == round(breaks)]
  if (length(breaks) > 0) breaks else max(sizes)
}

# Long names, cut where the rest says little more.
shortened <- function(x, width = 34L) {
  long <- nchar(x) > width
  x[long] <- paste0(substr(x[long], 1L, width - 1L), "\u2026")
  x
}

theme_samap <- function() {
  ggplot2::theme_minimal(base_size = 11) +
    ggplot2::theme(
      panel.grid = ggplot2::element_blank(), plot.title.position = "plot", plot.caption.position = "plot",
      plot.subtitle = ggplot2::element_text(colour = "grey30", size = 9),
      axis.title.x = ggplot2::element_text(margin = ggplot2::margin(t = 7)),
      axis.title.y = ggplot2::element_text(margin = ggplot2::margin(r = 7)),
      legend.title = ggplot2::element_text(size = 9), legend.text = ggplot2::element_text(size = 9),
      # The gap between the title of a legend and its keys; the labels of colour bars reach into it.
      legend.spacing.y = ggplot2::unit(8, "pt"),
      plot.background = ggplot2::element_rect(fill = "white", colour = NA)
    )
}

# For plots that draw their own axes.
theme_bare <- function() {
  theme_samap() +
    ggplot2::theme(
      axis.text = ggplot2::element_blank(), axis.title.x = ggplot2::element_blank(),
      axis.title.y = ggplot2::element_blank()
    )
}

# Lines of a scatter plot.
theme_lines <- function() {
  theme_samap() +
    ggplot2::theme(
      panel.grid.major = ggplot2::element_line(colour = "grey92", linewidth = 0.3),
      strip.text = ggplot2::element_text(hjust = 0, size = 10)
    )
}
