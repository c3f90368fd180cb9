library(testthat)
library(samap)

test_check("samap")
