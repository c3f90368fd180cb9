# Long work runs on a thread of the engine. R starts it, polls it, draws its progress, and cancels it when it is left
# early.

# What the calls of one run share: settings of the engine, and the record of what it did. on_disk: as in
# samap_control().
new_run <- function(threads = NULL, memory = samap_defaults()$memory, verbose = TRUE, on_disk = FALSE) {
  run <- new.env(parent = emptyenv())
  run$threads <- resolve_threads(threads)
  run$memory <- as.double(memory)
  run$backend <- "cpu"
  run$folder <- expression_folder(on_disk)
  run$verbose <- check_flag(verbose, "verbose") && !isTRUE(getOption("knitr.in.progress"))
  run$tidy <- FALSE
  run$phases <- list()
  run$choices <- list()
  run
}

# A run on a result, with the memory and the place for the expression that the result was made with.
result_run <- function(x, threads = NULL, verbose = FALSE) {
  on_disk <- x$options$control$on_disk
  # The folder may have been one of another machine.
  if (is.character(on_disk) && !dir.exists(on_disk)) on_disk <- TRUE
  new_run(threads, result_memory(x), verbose, on_disk)
}

result_memory <- function(x) {
  if (is.null(x$options$control)) samap_defaults()$memory else x$options$control$memory
}

# Where expression is kept while the engine needs it: a folder, or NULL for memory.
expression_folder <- function(on_disk) {
  if (is.character(on_disk)) path.expand(on_disk) else if (isTRUE(on_disk)) tempdir(check = TRUE)
}

# species: whose data the job works on, for its errors. meanwhile: a function of the run that R calls once while a long
# job works.
run_job <- function(outcome, run, label, species = NULL, meanwhile = NULL) {
  if (identical(label, sole_species)) label <- "sam"
  job <- rust_value(outcome)
  on.exit(job_cancel(job), add = TRUE)
  bar <- new_bar(label, run$verbose)
  on.exit(close_bar(bar), add = TRUE)
  repeat {
    # Returns when the job ends, and at least 20 times a second.
    state <- job_poll(job, 0.05)
    draw_bar(bar, state)
    if (state$done) break
    if (!is.null(meanwhile)) meanwhile(run)
    meanwhile <- NULL
    # Honours interrupts.
    Sys.sleep(0)
  }
  result <- rust_value(job_result(job), species)
  record(run, label, result)
  result$value
}

# Gives up what R holds and does not use, once a run: what is left of loading packages alone is some 40 MB. The system
# has this memory when the phase of the engine ends.
tidy <- function(run) {
  if (!run$tidy) gc()
  run$tidy <- TRUE
}

record <- function(run, label, result) {
  phases <- as.data.frame(result$phases)
  if (nrow(phases) > 0) {
    run$phases <- c(run$phases, list(data.frame(step = label, phases)))
  }
  choices <- as.data.frame(result$choices)
  if (nrow(choices) > 0) {
    run$choices <- c(run$choices, list(data.frame(step = label, choices)))
  }
  for (warning in result$warnings) {
    samap_warn("engine", paste0(label, ": ", warning))
  }
}

note_choice <- function(run, step, what, chosen, reason) {
  chosen <- data.frame(step = step, what = what, chosen = as.character(chosen), reason = reason)
  run$choices <- c(run$choices, list(chosen))
}

run_phases <- function(run) {
  empty <- data.frame(step = character(), phase = character(), seconds = numeric(), peak_mb = numeric())
  do.call(rbind, c(list(empty), run$phases))
}

run_choices <- function(run) {
  empty <- data.frame(step = character(), what = character(), chosen = character(), reason = character())
  choices <- unique(do.call(rbind, c(list(empty), run$choices)))
  rownames(choices) <- NULL
  choices
}

# One bar per phase, so that the ETA is that of the phase on show.
new_bar <- function(label, visible) {
  bar <- new.env(parent = emptyenv())
  bar$label <- label
  bar$visible <- visible
  bar$phase <- ""
  bar$id <- NULL
  bar
}

draw_bar <- function(bar, state) {
  if (!bar$visible || !nzchar(state$phase)) {
    return(invisible())
  }
  if (!identical(state$phase, bar$phase)) {
    close_bar(bar)
    bar$phase <- state$phase
    # A phase of one step has nothing to count: it gets a spinner.
    known <- state$total > 1
    bar$id <- cli::cli_progress_bar(
      name = paste0(bar$label, ": ", state$phase),
      total = if (known) state$total else NA,
      format = if (known) "{cli::pb_name} {cli::pb_bar} {cli::pb_percent} | ETA {cli::pb_eta}",
      # cli ends a bar that reaches its total, but the phase is over only when the engine says so.
      .auto_close = FALSE, auto_terminate = FALSE
    )
  }
  cli::cli_progress_update(set = state$step, id = bar$id)
}

close_bar <- function(bar) {
  if (!is.null(bar$id)) {
    cli::cli_progress_done(id = bar$id)
    bar$id <- NULL
  }
}
