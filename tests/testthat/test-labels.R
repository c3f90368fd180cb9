cells <- data.frame(
  species = rep(c("a", "b"), c(3, 2)), barcode = c("x", "y", "z", "x", "y"), type = c("t10", "t2", "", "t2", NA),
  number = c(10, 2, 2, NA, NA)
)
cells$level <- factor(c("low", "high", "low", "high", "high"), levels = c("low", "mid", "high"))

test_that("labels come from columns; empty and missing ones are none", {
  labels <- resolve_labels("type", cells, c("a", "b"))
  expect_identical(labels$types, data.frame(species = c("a", "a", "b"), type = c("t10", "t2", "t2")))
  expect_identical(labels$id, c(1L, 2L, NA, 3L, NA))
})

test_that("factors keep the order of their levels, numbers theirs", {
  labels <- resolve_labels(c(b = "level", a = "level"), cells, c("a", "b"))
  expect_identical(labels$types$type, c("low", "high", "high"))
  expect_identical(resolve_labels(c(a = "number"), cells, c("a", "b"))$types$type, c("2", "10"))
})

test_that("label vectors go by barcode where they are named, else by position", {
  by <- list(a = c(z = "c", x = "a", y = "b"), b = c("p", "q"))
  expect_identical(resolve_labels(by, cells, c("a", "b"))$label, c("a", "b", "c", "p", "q"))
  expect_error(resolve_labels(list(a = c(z = "c", x = "a", w = "b")), cells, c("a", "b")), class = "samap_error_names")
})

test_that("label vectors may be named by cell ids, also where barcodes repeat", {
  ids <- data.frame(cell = c("a_x", "a_x-1", "a_y"), species = "a", barcode = c("x", "x", "y"))
  by <- list(a = c(a_y = "r", `a_x-1` = "q", a_x = "p"))
  expect_identical(resolve_labels(by, ids, "a")$label, c("p", "q", "r"))
})

test_that("a column that a species lacks keeps its type", {
  day <- as.Date("2026-01-02")
  joined <- bind_frames(list(
    data.frame(n = 1:2), data.frame(day = day, size = factor("big", levels = c("small", "big"), ordered = TRUE))
  ))
  expect_identical(joined$day, as.Date(c(NA, NA, "2026-01-02")))
  expect_identical(as.character(joined$size), c(NA, NA, "big"))
})
