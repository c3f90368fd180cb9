#!/usr/bin/env bash
# Runs the Rust tests of the core and the R tests against a freshly installed package: tools/run-tests.sh LIBRARY
# Ends with the line `tests: N passed, N failed`; the exit status says the same.
set -uo pipefail
cd "$(dirname "$0")/.."

library=${1:?usage: tools/run-tests.sh LIBRARY}
export SAMAP_TARGET_DIR=${SAMAP_TARGET_DIR:-$PWD/build/target}
mkdir -p build
passed=0
failed=0

echo "== Rust"
(cd src/rust && CARGO_TARGET_DIR="$SAMAP_TARGET_DIR" cargo test -p samap-core --locked --no-fail-fast) 2>&1 | tee build/rust-tests.log
status=${PIPESTATUS[0]}
# cargo prints one line a test binary: `test result: ok. 3 passed; 0 failed; ...`
read -r rust_passed rust_failed < <(awk '/^test result: / {
  for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^failed/) f += $(i - 1) }
} END { print p + 0, f + 0 }' build/rust-tests.log)
# What does not compile or crashes has no such line.
if [ "$status" != 0 ] && [ "$rust_failed" = 0 ]; then rust_failed=1; fi
passed=$((passed + rust_passed))
failed=$((failed + rust_failed))

echo "== R"
rm -f build/r-tests.count
if tools/install-package.sh dev "$library"; then
  R_LIBS="$library${R_LIBS:+:$R_LIBS}" Rscript --vanilla tools/run-r-tests.R build/r-tests.count
fi
if read -r r_passed r_failed 2>/dev/null <build/r-tests.count; then
  passed=$((passed + r_passed))
  failed=$((failed + r_failed))
else
  echo "The R tests did not run to their end." >&2
  failed=$((failed + 1))
fi

echo "tests: $passed passed, $failed failed"
[ "$failed" = 0 ]
