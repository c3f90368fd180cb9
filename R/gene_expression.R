# Expression of chosen genes for plots: of single cells, and by type. Genes are named by species.

# Per species the rows of its genes; names that no gene has are an error.
shown_rows <- function(sm, genes, argument) {
  lapply(setNames(nm = names(genes)), function(id) {
    known <- sm$genes$gene[sm$genes$species == id]
    at <- match(genes[[id]], known)
    if (anyNA(at)) stop_unknown_genes(unique(genes[[id]][is.na(at)]), known, id, argument)
    at
  })
}

stop_unknown_genes <- function(missing, known, species, argument) {
  alike <- unique(known[toupper(known) %in% toupper(missing)])
  who <- if (is.null(species)) "No species" else paste("Species", quoted(species))
  samap_abort(
    "gene", paste0(who, " has ", if (is.null(species)) "a" else "no", " gene ", enumerate(quoted(missing)), "."),
    argument = argument, species = species,
    found = if (length(alike) > 0) paste0("There is ", enumerate(quoted(alike)), "."),
    remedy = "`gene_weights()` lists the genes."
  )
}

# One gene per species: `c(human = "INS", mouse = "Ins2")`, or one name for all species that have it.
one_gene_each <- function(sm, genes, argument) {
  if (is.list(genes)) genes <- unlist(genes)
  if (!is.character(genes) || length(genes) == 0L || anyNA(genes)) {
    samap_abort(
      "argument", paste0(backticked(argument), " must be names of genes."), argument = argument,
      found = paste0("It is ", describe(genes), "."),
      remedy = paste0("For example `c(", sm$species[[1]], " = \"...\", ", sm$species[[2]], " = \"...\")`.")
    )
  }
  if (is.null(names(genes))) {
    gene <- check_string(genes, argument)
    having <- unique(sm$genes$species[sm$genes$gene == gene])
    if (length(having) == 0L) stop_unknown_genes(gene, sm$genes$gene, NULL, argument)
    return(setNames(rep(gene, length(having)), intersect(sm$species, having)))
  }
  check_known_species(names(genes), sm$species, argument)
  if (anyDuplicated(names(genes))) {
    samap_abort(
      "argument", paste0(backticked(argument), " must name one gene per species."), argument = argument,
      found = paste0("More than one: ", enumerate(quoted(unique(names(genes)[duplicated(names(genes))]))), ".")
    )
  }
  genes[intersect(sm$species, names(genes))]
}

# Normalised expression as in the run, but with all genes: a gene that nearly all cells express (insulin among islets)
# is of no use to SAM, which filters it out, and yet wants to be looked at.
shown_expression <- function(counts, preprocess, run, label) {
  engine_expression(counts, with_options(preprocess, filter_genes = FALSE), run, label)$pointer
}

species_expression <- function(sm, species, counts, run) {
  shown_expression(counts[[species]], sam_of(sm, species)$options$preprocess, run, species)
}

# Normalised expression of one gene per species in its cells, NA for cells of other species.
gene_in_cells <- function(sm, genes, run) {
  rows <- shown_rows(sm, genes, "gene")
  counts <- need_counts(sm)
  value <- rep(NA_real_, nrow(sm$cells))
  for (id in names(rows)) {
    expression <- species_expression(sm, id, counts, run)
    value[sm$cells$species == id] <- engine_cell_expression(expression, rows[[id]], run, id)
  }
  value
}

# Mean expression and share of expressing cells per gene and type of one species: a data frame gene, type, mean,
# fraction.
gene_in_types <- function(sm, species, genes, labels, run) {
  rows <- shown_rows(sm, setNames(list(genes), species), "pairs")[[species]]
  found <- engine_type_expression(species_expression(sm, species, need_counts(sm), run), rows, labels, run, species)
  data.frame(
    gene = rep(genes, length(labels$types)), type = rep(labels$types, each = length(genes)),
    mean = as.double(found$mean), fraction = as.double(found$fraction)
  )
}

# What a number of normalised expression is.
expression_unit <- function(sm) {
  norm <- unique(vapply(sm$species, function(id) sam_of(sm, id)$options$preprocess$norm, character(1)))
  norm_unit(if (length(norm) == 1L) norm else "several")
}

norm_unit <- function(norm) {
  switch(norm,
    log = "log2(normalised count + 1)", ftt = "Freeman-Tukey of normalised counts", asin = "asinh(normalised count)",
    multinomial = "Pearson residual", none = "normalised count", "normalised expression"
  )
}
