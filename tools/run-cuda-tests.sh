#!/usr/bin/env bash
# Runs what needs a GPU: the conformance tests of the CUDA backend, whole runs, failing calls, a run from R. Without a GPU (or with
# SAMAP_CUDA=emulator) on an emulated one. Ends with `cuda: N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.."

export SAMAP_TARGET_DIR=${SAMAP_TARGET_DIR:-$PWD/build/target}
mkdir -p build
if [ "${SAMAP_CUDA:-}" != emulator ] && nvidia-smi -L 2>/dev/null; then
  echo "== on the GPU"
else
  echo "== on the emulated GPU"
  tests/cuda-emulator/build.sh build/cuda-emulator || { echo "cuda: 0 passed, 1 failed"; exit 1; }
  export LD_LIBRARY_PATH=$PWD/build/cuda-emulator${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
(cd src/rust && CARGO_TARGET_DIR="$SAMAP_TARGET_DIR" cargo test -p samap-core --locked --no-fail-fast --test 'backend_*' \
  --test golden_end_to_end -- --ignored --test-threads=1) 2>&1 | tee build/cuda-tests.log
status=${PIPESTATUS[0]}
read -r passed failed < <(awk '/^test result: / {
  for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^failed/) f += $(i - 1) }
} END { print p + 0, f + 0 }' build/cuda-tests.log)
# What does not compile or crashes has no such line.
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi

library=build/library-test
if tools/install-package.sh dev "$library" && R_LIBS="$library${R_LIBS:+:$R_LIBS}" Rscript --vanilla -e '
  options(testthat.progress.max_fails = Inf)
  stopifnot(samap::samap_devices()$available)
  testthat::test_file("tests/testthat/test-device.R", package = "samap", load_package = "installed", stop_on_failure = TRUE)'; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
fi
echo "cuda: $passed passed, $failed failed"
[ "$failed" = 0 ]
