#' SAM weights and the dispersion of single cells
#'
#' The SAM weight of a gene says how much of its variation remains when cells are averaged with their neighbours. Drawn
#' against the dispersion of single cells, genes that vary by noise alone lie low.
#'
#' @param sm What [samap()] or [sam()] returns.
#' @param species Only these species (not for the result of [sam()]). `NULL`: all.
#' @param label Write the names of this many genes of the highest weight (ties: of the highest dispersion), per species;
#'   needs the package ggrepel. 0: none.
#' @return A ggplot, a panel per species: dispersion (variance / mean of the normalised expression over all cells,
#'   logarithmic) and SAM weight (0 to 1). Genes that the gene filter dropped are left out. Genes that the homology
#'   names, which are the only ones the mapping sees, have a colour of their own.
#' @examples
#' example <- samap_example("pancreas-small")
#' sm <- samap(example$atlases, example$homology, umap = FALSE, threads = 1, verbose = FALSE)
#' plot_weights(sm, label = 0)
#' @export
plot_weights <- function(sm, species = NULL, label = 10) {
  check_result(sm)
  label <- check_number(label, "label", min = 0, integer = TRUE)
  if (label > 0) rlang::check_installed("ggrepel", "to keep the names of genes apart.")
  genes <- weighted_genes(sm, species)
  named <- do.call(rbind, lapply(split(genes, genes$species), function(one) {
    utils::head(one[order(-one$weight, -one$dispersion), ], label)
  }))
  plot <- ggplot2::ggplot(genes, ggplot2::aes(.data$dispersion, .data$weight)) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$homology), size = 1, alpha = 0.4, stroke = 0) +
    ggplot2::scale_x_log10() +
    ggplot2::scale_y_continuous(limits = c(0, 1.15), breaks = c(0, 0.25, 0.5, 0.75, 1)) +
    ggplot2::scale_colour_manual(values = c(`with homologues` = okabe_ito[[1]], `without` = "grey55")) +
    ggplot2::guides(colour = ggplot2::guide_legend(override.aes = list(size = 3, alpha = 1))) +
    ggplot2::labs(
      title = "SAM weights of genes", x = "Dispersion of single cells (variance / mean)", y = "SAM weight (0-1)",
      colour = "Genes"
    ) +
    theme_lines()
  if (inherits(sm, "samap_sam")) {
    plot <- plot + ggplot2::guides(colour = "none")
  } else {
    plot <- plot + ggplot2::facet_wrap(ggplot2::vars(.data$species))
  }
  if (label > 0) plot <- plot + weight_labels(named)
  plot
}

# Kept genes of all species: species, gene, weight, dispersion, homology.
weighted_genes <- function(sm, species) {
  if (inherits(sm, "samap_sam")) {
    if (!is.null(species)) {
      samap_abort("argument", "There is only one species.", argument = "species", remedy = "Leave `species` out.")
    }
    return(dispersed(data.frame(species = "", sm$genes, homology = "with homologues")))
  }
  if (is.null(species)) species <- sm$species
  check_known_species(species, sm$species, "species")
  genes <- do.call(rbind, lapply(species, function(id) {
    matched <- sm$genes$matched[sm$genes$species == id]
    data.frame(
      species = id, sam_of(sm, id)$genes, homology = ifelse(matched, "with homologues", "without")
    )
  }))
  genes <- dispersed(genes)
  genes$species <- factor(genes$species, species)
  genes
}

dispersed <- function(genes) {
  genes <- genes[genes$kept & genes$mean > 0 & genes$variance > 0, ]
  data.frame(genes[c("species", "gene", "weight", "homology")], dispersion = genes$variance / genes$mean)
}

weight_labels <- function(named) {
  ggrepel::geom_text_repel(
    ggplot2::aes(label = .data$gene), data = named, size = 2.8, seed = 0L, max.overlaps = Inf, fontface = "italic",
    min.segment.length = 0, segment.colour = "grey60", segment.size = 0.2, max.time = 10, max.iter = 2000
  )
}
