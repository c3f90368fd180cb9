#!/usr/bin/env bash
# Prepares the environment of sc-samap 3.0.1 and runs the comparison: benches/reference/run.sh RUNS [further options of compare.py]
# THREADS (default 2): cores for both programs.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/bench-reference
mkdir -p "$build"
if [ ! -x "$build/venv/bin/python" ]; then
  echo "Making a Python environment with sc-samap 3.0.1"
  python3 -m venv "$build/venv"
  "$build/venv/bin/python" -m pip install --quiet -r benches/reference/requirements.txt
fi
exec python3 benches/reference/compare.py --python "$build/venv/bin/python" --build "$build" --results benches/RESULTS.md \
  --runs "${1:-5}" --threads "${THREADS:-2}" "${@:2}"
