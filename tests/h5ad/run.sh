#!/usr/bin/env bash
# Opens what write_h5ad() writes with AnnData and scanpy from PyPI: tests/h5ad/run.sh (R_LIBS names the library with samap).
# Ends with `h5ad: N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.."

venv=build/venv-anndata
if ! "$venv/bin/python" -c 'import anndata, scanpy' 2>/dev/null; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --requirement tests/h5ad/requirements.txt
fi
Rscript tests/h5ad/write_examples.R build/h5ad && "$venv/bin/python" tests/h5ad/check_written.py build/h5ad
