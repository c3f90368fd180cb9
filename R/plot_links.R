# What the pictures of aligned types share: the scores, the links worth drawing, and orders that keep links apart.

# Scores as a data frame, from what alignment_scores() or samap() returns.
plotted_scores <- function(x, by, ...) {
  if (inherits(x, "samap")) {
    x <- alignment_scores(x, by, ...)
  } else if (!is.null(by) || ...length() > 0) {
    samap_abort(
      "argument", "`by` and further arguments need a result of `samap()` as `x`.",
      argument = if (is.null(by)) "..." else "by", found = paste0("`x` is ", describe(x), "."),
      remedy = "Give them to `alignment_scores()` instead."
    )
  }
  if (!is.data.frame(x)) {
    samap_abort(
      "argument", "`x` must be what `alignment_scores()` or `samap()` returns.", argument = "x",
      found = paste0("It is ", describe(x), ".")
    )
  }
  check_columns(x, c("species_a", "type_a", "species_b", "type_b", "score"), "x")
  as.data.frame(x)
}

stop_without_scores <- function(scores) {
  samap_abort(
    "argument", "No pair of types has such a score.", argument = "min_score",
    found = if (nrow(scores) > 0) paste0("The highest score is ", format(max(scores$score), digits = 3), "."),
    remedy = "Lower `min_score`."
  )
}

# The links that are drawn: pairs of types with a score of at least `min_score`, and above 0.
linked_types <- function(scores, min_score) {
  links <- scores[scores$score >= min_score & scores$score > 0, , drop = FALSE]
  if (nrow(links) == 0) stop_without_scores(scores)
  links
}

# Species in the order of the table, or in that asked for.
links_species <- function(scores, species) {
  there <- unique(c(scores$species_a, scores$species_b))
  if (is.null(species)) {
    return(there)
  }
  check_known_species(species, there, "species")
  if (length(unique(species)) < 2L) {
    samap_abort(
      "species", "`species` must name at least two species.", argument = "species",
      found = paste0("It names ", enumerate(quoted(unique(species))), ".")
    )
  }
  species
}

# How a pair of species is named in plots.
between_species <- function(a, b) paste(a, b, sep = " - ")

# Links between the species `a` and `b`, with `a` first.
links_between <- function(links, a, b) {
  forth <- links$species_a == a & links$species_b == b
  back <- links$species_a == b & links$species_b == a
  n <- sum(forth, back)
  data.frame(
    species_a = rep(a, n), type_a = c(links$type_a[forth], links$type_b[back]), species_b = rep(b, n),
    type_b = c(links$type_b[forth], links$type_a[back]), score = c(links$score[forth], links$score[back])
  )
}

# Orders of the types in columns next to each other, so that few links cross: each column is sorted by the mean place of
# the types it links to, to and fro. between[[k]]: the links of the columns k and k + 1.
untangled <- function(between) {
  columns <- length(between) + 1L
  order <- c(
    list(unique(between[[1]]$type_a[order(-between[[1]]$score, method = "radix")])),
    lapply(between, function(links) unique(links$type_b))
  )
  for (k in seq_along(between)[-1]) order[[k]] <- union(order[[k]], unique(between[[k]]$type_a))
  for (sweep in 1:4) {
    for (k in 2:columns) order[[k]] <- sorted_by_partners(order[[k]], order[[k - 1L]], between[[k - 1L]])
    for (k in (columns - 1L):1) order[[k]] <- sorted_by_partners(order[[k]], order[[k + 1L]], swapped(between[[k]]))
  }
  order
}

swapped <- function(links) data.frame(type_a = links$type_b, type_b = links$type_a, score = links$score)

# `types` (the ends `type_b` of the links) by the mean place of their partners, weighted by score; those without a
# partner keep their place.
sorted_by_partners <- function(types, partners, links) {
  place <- match(links$type_a, partners) / length(partners)
  at <- match(types, unique(links$type_b))
  ends <- factor(links$type_b, unique(links$type_b))
  mean_place <- as.double(tapply(place * links$score, ends, sum) / tapply(links$score, ends, sum))[at]
  mean_place[is.na(mean_place)] <- (seq_along(types) / length(types))[is.na(mean_place)]
  types[order(mean_place, method = "radix")]
}

# What a picture of links leaves out.
links_caption <- function(scores, links, species) {
  all <- unique(data.frame(species = c(scores$species_a, scores$species_b), type = c(scores$type_a, scores$type_b)))
  shown <- unique(data.frame(species = c(links$species_a, links$species_b), type = c(links$type_a, links$type_b)))
  hidden <- sum(all$species %in% species) - sum(shown$species %in% species)
  if (hidden > 0) paste0(count_of(hidden, "type"), " without such a score not shown")
}
