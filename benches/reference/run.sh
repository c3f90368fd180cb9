#!/usr/bin/env bash
# Prepares the environment of sc-samap 3.0.1 and runs the comparison: benches/reference/run.sh GENERATE [options of compare.py]
# GENERATE: the built program `generate`.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/bench-reference
mkdir -p "$build"
if [ ! -x "$build/venv/bin/python" ]; then
  echo "Making a Python environment with sc-samap 3.0.1"
  python3 -m venv "$build/venv"
  "$build/venv/bin/python" -m pip install --quiet -r benches/reference/requirements.txt
fi
exec python3 benches/reference/compare.py --python "$build/venv/bin/python" --generate "$1" --build "$build" \
  --results benches/RESULTS.md "${@:2}"
