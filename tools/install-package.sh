#!/usr/bin/env bash
# Installs the package from these sources: tools/install-package.sh release|dev [LIBRARY]
# The whole log goes to build/install.log; it is shown when something fails.
set -euo pipefail
cd "$(dirname "$0")/.."

export SAMAP_PROFILE=${1:?usage: tools/install-package.sh release|dev [LIBRARY]}
export SAMAP_TARGET_DIR=${SAMAP_TARGET_DIR:-$PWD/build/target}
mkdir -p build
where=()
if [ $# -gt 1 ]; then
  mkdir -p "$2"
  where=(--library="$2")
fi
echo "Building and installing the package ($SAMAP_PROFILE; the first build takes some minutes)"
if ! R CMD INSTALL --clean --no-multiarch "${where[@]}" . >build/install.log 2>&1; then
  cat build/install.log >&2
  exit 1
fi
