#' Devices the engine can run on
#'
#' The processor, and an NVIDIA GPU if there is one that can be used by `backend = "cuda"`. A GPU needs compute
#' capability 7.0, 1 GiB of memory, a driver for CUDA 12.0 or later, and NVRTC 12 or 13, CUDA's run-time compiler
#' (`libnvrtc.so.12` or `.13`, no newer than the driver), where the system finds shared libraries. Nothing of CUDA is
#' needed to install the package.
#'
#' @return A data frame with one row per device: `device`, `available`, `reason` (why not, or what it is) and `memory`
#'   (bytes, `NA` if unknown).
#' @examples
#' samap_devices()
#' @export
samap_devices <- function() {
  as.data.frame(devices_())
}

# The device that `step` takes for a `backend`, and why, in the record of its run. A device asked for by name that
# cannot be used is an error that says why not.
resolve_backend <- function(backend, run, step = "samap") {
  backend <- check_choice(backend, c("auto", "cpu", "cuda"), "backend")
  if (backend == "cpu") {
    return("cpu")
  }
  devices <- samap_devices()
  cuda <- devices[devices$device == "cuda", ]
  if (backend == "cuda" && !cuda$available) {
    samap_abort(
      "device", "The device \"cuda\" cannot be used.", argument = "backend",
      found = paste0("The engine says: ", cuda$reason, "."),
      remedy = "`backend = \"cpu\"` computes the same; `samap_devices()` lists what there is."
    )
  }
  chosen <- if (cuda$available) "cuda" else "cpu"
  if (backend == "auto") note_choice(run, step, "device", chosen, cuda$reason)
  chosen
}
