#!/usr/bin/env bash
# Makes tests/testthat/h5ad again: with the AnnData of requirements.txt, and with two old ones (their files differ).
set -euo pipefail
cd "$(dirname "$0")/../.."

make_with() { # NAME REQUIREMENT...
  local venv=build/venv-fixtures-$1 name=$1
  shift
  [ -d "$venv" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "$@"; }
  "$venv/bin/python" tests/h5ad/make_fixtures.py tests/testthat/h5ad "$name"
}
make_with current --requirement tests/h5ad/requirements.txt
make_with anndata-0.7.8 anndata==0.7.8 "numpy<1.24" "pandas<2" "scipy<1.11" "h5py<3.9" "xlrd<2"
make_with anndata-0.6.22 anndata==0.6.22.post1 "numpy<1.24" "pandas<1.6" "scipy<1.11" "h5py<3.9"
make_with sc-samap sc-samap==3.0.1
