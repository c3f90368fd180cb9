row_of <- function(checks, check, species) checks[checks$check == check & checks$species %in% species, ]

test_that("a good run has nothing but what is so, and print() counts the findings", {
  sm <- finished()
  checks <- samap_check(sm, threads = 1, verbose = FALSE)
  expect_identical(names(checks), c("check", "species", "level", "found", "remedy"))
  expect_setequal(checks$check, c("fragments", "clusters", "tiny_groups", "batches", "markers", "links"))
  expect_identical(nrow(checks), 12L)
  expect_identical(is.na(checks$remedy), checks$level == "ok")
  expect_true(all(row_of(checks, c("clusters", "tiny_groups", "batches", "links"), c("ha", "mu"))$level == "ok"))
  expect_output(print(checks), "<samap_check> 0 warnings")
  expect_output(print(sm), "checks: 0 warnings, ")
})

test_that("every check finds what it is there for", {
  sm <- finished()
  # Two halves that no neighbour joins.
  halves <- rep(1:2, each = 45)
  sm$sam$ha$neighbor_index <- t(vapply(1:90, function(i) {
    c(i, setdiff(which(halves == halves[[i]]), i)[1:19])
  }, integer(20)))
  sm$cells$donor <- ifelse(sm$cells$cell_type == "type1", "d1", "d2")
  sm$genes$matched[1:15] <- FALSE
  graph <- sm$passes[[2]]$graph
  graph[which(sm$cells$species == "mu" & sm$cells$cell_type == "type2"), 1:90] <- 0
  sm$passes[[2]]$graph <- Matrix::drop0(graph)
  by <- list(ha = replace(sm$cells$cell_type[1:90], 1:3, "few"), mu = sm$cells$cell_type[91:180])
  checks <- samap_check(sm, by, batch = "donor", threads = 1, verbose = FALSE)
  expect_identical(row_of(checks, "fragments", "ha")$level, "warning")
  expect_match(row_of(checks, "fragments", "ha")$found, "2 components; 50 %.*\"type1\"")
  expect_match(row_of(checks, "fragments", "mu")$level, "note")
  expect_match(row_of(checks, "tiny_groups", "ha")$found, "\"few\" (3)", fixed = TRUE)
  expect_match(row_of(checks, "batches", "mu")$found, "\"type1\"")
  expect_match(row_of(checks, "batches", "mu")$remedy, "sam(batch = \"donor\")", fixed = TRUE)
  expect_match(row_of(checks, "markers", "ha")$found, "\"type1\"")
  expect_match(row_of(checks, "links", "mu")$found, "\"type2\"")
  one <- samap_check(sm, list(ha = rep("all", 90), mu = paste0("c", 1:90)), threads = 1, verbose = FALSE)
  expect_match(row_of(one, "clusters", "ha")$found, "one group")
  expect_match(row_of(one, "clusters", "mu")$found, "90 groups for 90 cells")
  sm["counts"] <- list(NULL)
  expect_match(row_of(samap_check(sm, verbose = FALSE), "markers", "ha")$found, "Not checked")
})

test_that("a single species is checked before a mapping", {
  fit <- sam(planted_atlas(1), threads = 1, verbose = FALSE)
  checks <- samap_check(fit, by = "cell_type", batch = "batch", threads = 1, verbose = FALSE)
  expect_identical(checks$check, c("fragments", "clusters", "tiny_groups", "batches"))
  expect_identical(checks$level[2:4], rep("ok", 3))
  expect_true(all(is.na(checks$species)))
})
