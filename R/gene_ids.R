# Do the names of the genes in the atlases and in the homology join? A report per species where they do not, with the
# simple transformation that would mend it.

# Transformations of gene names, tried one at a time on both sides. The name is what a user reads.
id_transformations <- list(
  "dropping the version suffix (`.1`)" = function(x) sub("\\.[0-9]+$", "", x),
  "ignoring case" = function(x) toupper(x),
  "writing `-` for `_` (Seurat does)" = function(x) gsub("_", "-", x, fixed = TRUE)
)

few_matches <- 0.3

check_matches <- function(genes, named, species) {
  shares <- vapply(species, function(id) matched_share(genes[[id]], named[[id]]), double(1))
  without <- species[!is.na(shares) & shares == 0]
  if (length(without) > 0) {
    message <- paste0("No gene of species ", enumerate(quoted(without)), " has the same name in atlas and `homology`.")
    stop_without_match(message, genes, named, species)
  }
  few <- species[!is.na(shares) & shares < few_matches]
  if (length(few) > 0) {
    samap_warn(
      "few_matches", "Few genes have the same names in the atlases and in `homology`.",
      argument = "homology", species = few,
      found = match_report(genes, named, few), remedy = match_remedies(genes, named, few)
    )
  }
}

stop_without_match <- function(message, genes, named, species) {
  samap_abort(
    "no_match", message,
    argument = "homology", species = species, found = match_report(genes, named, species),
    remedy = match_remedies(genes, named, species)
  )
}

# Share of the smaller of both sets that is in the other; NA for a species the homology does not know.
matched_share <- function(genes, named) {
  if (length(named) == 0) {
    return(NA_real_)
  }
  sum(named %in% genes) / min(length(named), length(genes))
}

match_report <- function(genes, named, species) {
  vapply(species, function(id) {
    paste0(
      quoted(id), ": ", sum(named[[id]] %in% genes[[id]]), " of ", count_of(length(named[[id]]), "gene"),
      " of the homology are among the ", count_of(length(genes[[id]]), "gene"), " of the atlas. Atlas: ",
      enumerate(unmatched_first(genes[[id]], named[[id]]), 3L), ". Homology: ",
      enumerate(unmatched_first(named[[id]], genes[[id]]), 3L), "."
    )
  }, character(1), USE.NAMES = FALSE)
}

unmatched_first <- function(x, y) c(x[!x %in% y], x[x %in% y])

match_remedies <- function(genes, named, species) {
  remedies <- lapply(species, function(id) {
    best <- best_transformation(genes[[id]], named[[id]])
    if (!is.null(best)) {
      paste0(quoted(id), ": ", best$name, " would match ", best$matches, ". `fix_ids = TRUE` does it.")
    }
  })
  remedies <- unlist(remedies)
  if (is.null(remedies)) "Use the same names on both sides; `rownames()` of the counts are the atlas's." else remedies
}

# The transformation under which most genes of the homology are found, if any is better than leaving the names alone.
best_transformation <- function(genes, named) {
  if (length(named) == 0) {
    return(NULL)
  }
  matches <- vapply(id_transformations, function(change) sum(change(named) %in% change(genes)), integer(1))
  best <- which.max(matches)
  if (matches[[best]] <= sum(named %in% genes)) {
    return(NULL)
  }
  list(name = names(matches)[[best]], matches = matches[[best]], change = id_transformations[[best]])
}

# The homology with its genes renamed to those of the atlases, wherever a transformation helps. The first gene of the
# atlas with a transformed name stands for it.
fix_gene_ids <- function(homology, named, genes, run) {
  edges <- as.data.frame(homology)
  for (id in names(genes)) {
    best <- best_transformation(genes[[id]], named[[id]])
    if (is.null(best)) next
    at <- match(best$change(named[[id]]), best$change(genes[[id]]))
    renamed <- ifelse(named[[id]] %in% genes[[id]] | is.na(at), named[[id]], genes[[id]][at])
    table <- data.frame(from = named[[id]], to = renamed)
    fixed <- rename_genes(edges, named, id, table)
    edges <- fixed$edges
    named <- fixed$genes
    note_choice(run, id, "gene ids", best$name, paste(best$matches, "genes match"))
  }
  homology <- new_homology(edges, named, names(genes))
  list(homology = homology, named = attr(homology, "genes")[names(genes)])
}
