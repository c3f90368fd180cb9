#!/usr/bin/env bash
# Makes the golden fixtures again: environment, input data, full results (build/golden), cut to size (tests/golden/sc-samap-3.0.1).
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/golden
build=build/golden
mkdir -p "$build"

if [ ! -x "$build/venv/bin/python" ]; then
  echo "Making a Python environment with sc-samap 3.0.1"
  python3 -m venv "$build/venv"
  "$build/venv/bin/python" -m pip install --quiet -r "$here/requirements.txt"
fi
if [ ! -f "$build/came/raw-Baron_human.h5ad" ]; then
  echo "Fetching the example data of came 0.1.13"
  "$build/venv/bin/python" -m pip download --quiet --no-deps --dest "$build" came==0.1.13
  unzip -o -q "$build"/came-0.1.13-*.whl came/sample_data.zip -d "$build"
  unzip -o -q -j "$build/came/sample_data.zip" -d "$build/came"
fi
"$build/venv/bin/python" "$here/generate.py" --came "$build/came" --out "$build/full"
"$build/venv/bin/python" "$here/cut.py" --from "$build/full" --out "$here/sc-samap-3.0.1"
"$build/venv/bin/python" "$here/harmony.py" --from "$here/sc-samap-3.0.1/small2.h5" --out "$here/harmonypy-0.0.10/harmony.h5"
