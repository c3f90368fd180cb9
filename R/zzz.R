.onLoad <- function(libname, pkgname) {
  home_process$id <- Sys.getpid()
}
