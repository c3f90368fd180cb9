#!/usr/bin/env bash
# R CMD build and R CMD check --as-cran. Errors, warnings and notes beyond the ones that every such check of an unpublished package has
# (new submission, addresses and clock that cannot be looked up offline, size) count as failures.
# Lists the tests that were skipped, and why, and those that failed.
# Ends with the line `check: N passed, N failed` (another name in SAMAP_CHECK_NAME).
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
name=${SAMAP_CHECK_NAME:-check}

export SAMAP_TARGET_DIR=${SAMAP_TARGET_DIR:-$PWD/build/target}
export _R_CHECK_CRAN_INCOMING_=${_R_CHECK_CRAN_INCOMING_:-false}
export _R_CHECK_CRAN_INCOMING_REMOTE_=false _R_CHECK_SYSTEM_CLOCK_=false _R_CHECK_FORCE_SUGGESTS_=false

# A copy without what was built: R CMD build would copy all of it first.
work=$top/build/check
rm -rf "$work"
mkdir -p "$work/samap"
tar --exclude=./build --exclude=./.git --exclude=./src/rust/target --exclude=./benches/target --exclude=./demo-output -cf - . |
  tar -xf - -C "$work/samap"
cd "$work" || exit 1
if ! R CMD build samap; then
  echo "$name: 0 passed, 1 failed"
  exit 1
fi
R CMD check --as-cran --no-manual samap_*.tar.gz
log=samap.Rcheck/00check.log
if [ ! -f "$log" ]; then
  echo "$name: 0 passed, 1 failed"
  exit 1
fi
sed -n '/Skipped tests/,/^$/p; /Failed tests/,$p' samap.Rcheck/tests/testthat.Rout*
# One check a line, `* checking x ... OK`; a check that says more first ends with a line of its own, ` OK` or ` ERROR`.
results=$(awk '/^\* / { name = $0; if ($0 ~ / \.\.\.$/) next }
  /^\* .* \.\.\. / || /^ (OK|ERROR|WARNING|NOTE|FAILED)$/ { if (/^ /) print name $0; else print }' "$log")
passed=$(printf '%s\n' "$results" | grep -cE '\.\.\. (\[[^]]*\] ?)?OK$')
problems=$(printf '%s\n' "$results" | grep -E '\.\.\. (\[[^]]*\] ?)?(ERROR|WARNING|NOTE|FAILED)' |
  grep -vE 'checking (CRAN incoming feasibility|for future file timestamps|installed package size|package dependencies|compilation flags used)')
failed=$(printf '%s' "$problems" | grep -c .)
[ -n "$problems" ] && printf 'Not clean:\n%s\n' "$problems"
echo "$name: $passed passed, $failed failed"
[ "$failed" = 0 ]
