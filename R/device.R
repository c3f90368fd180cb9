#' Devices the engine can run on
#'
#' @return A data frame with one row per device: `device`, `available`, `reason` (why not, or what it is) and `memory`
#'   (bytes, `NA` if unknown).
#' @examples
#' samap_devices()
#' @export
samap_devices <- function() {
  as.data.frame(devices_())
}

# The device for a `backend`. The engine runs on the CPU; another device asked for by name is an error that says why
# not.
resolve_backend <- function(backend) {
  backend <- check_choice(backend, c("auto", "cpu", "cuda"), "backend")
  if (backend != "cuda") {
    return("cpu")
  }
  devices <- samap_devices()
  samap_abort(
    "device", "The device \"cuda\" cannot be used.", argument = "backend",
    found = paste0("The engine says: ", devices$reason[devices$device == "cuda"], "."),
    remedy = "`backend = \"cpu\"` gives the same results; `samap_devices()` lists what there is."
  )
}
