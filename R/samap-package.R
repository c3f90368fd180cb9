#' samap: map single-cell atlases of different species onto each other
#'
#' `samap()` finds which cells of one species correspond to which cells of another, from raw counts and a table of
#' homologous genes. It alternates between projecting the species into a joint space, linking mutual neighbours across
#' species, and re-weighting the homology of genes by how they are expressed in the linked cells. The engine is
#' written in Rust.
#'
#' @section Where to start:
#' * [samap()] runs everything; [samap_example()] has data to try it on.
#' * [alignment_scores()], [gene_pairs()], [plot_embedding()] and [plot_alignment()] read the result.
#' * [plot_sankey()], [plot_chord()], [plot_network()], [plot_gene_pairs()] and others draw it; [samap_report()] writes
#'   a page.
#' * [homology_from_blast()], [homology_from_pairs()] and [homology_from_eggnog()] read homology tables; [run_blast()]
#'   makes them from sequences, and [match_genes()] tells how names of genes become the same.
#'
#' @references
#' Tarashansky AJ, Musser JM, Khariton M, Li P, Arendt D, Quake SR, Wang B (2021). Mapping single-cell atlases
#' throughout Metazoa unravels cell type evolution. *eLife* 10:e66747. \doi{10.7554/eLife.66747}
#'
#' Tarashansky AJ, Xue Y, Li P, Quake SR, Wang B (2019). Self-assembling manifolds in single-cell RNA sequencing data.
#' *eLife* 8:e48994. \doi{10.7554/eLife.48994}
#'
#' @keywords internal
#' @useDynLib samap, .registration = TRUE
#' @importClassesFrom Matrix dgCMatrix
#' @importFrom rlang .data
#' @importFrom stats setNames
#' @docType package
#' @name samap-package
NULL
