#!/usr/bin/env bash
# Installs what a make target needs and this machine lacks, saying so:
# tools/install-deps.sh build|test|check|report|lint|bench|cuda|python
# Debian and Ubuntu: by apt, as root or through sudo without a password; otherwise it prints the commands and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:?usage: tools/install-deps.sh build|test|check|report|lint|bench|cuda|python}
export PATH="$PATH:$HOME/.cargo/bin"

missing=()
need_command() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need_package() { dpkg -s "$1" >/dev/null 2>&1 || missing+=("$1"); }

# R packages of the lists below that this R does not find, as names of Debian packages.
need_r() {
  if ! command -v Rscript >/dev/null 2>&1; then
    for p in "$@"; do missing+=("$(debian_name "$p")"); done
    return
  fi
  local absent
  absent=$(Rscript --vanilla -e 'for (p in commandArgs(TRUE)) if (!nzchar(system.file(package = p))) cat(p, "")' "$@")
  for p in $absent; do missing+=("$(debian_name "$p")"); done
}
debian_name() {
  local kind=cran
  case $1 in SingleCellExperiment | SummarizedExperiment | HDF5Array) kind=bioc ;; esac
  echo "r-$kind-$(echo "$1" | tr '[:upper:]' '[:lower:]')"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_install() {
  command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

hdf5() {
  need_command pkg-config pkg-config
  pkg-config --exists hdf5 2>/dev/null || need_package libhdf5-dev
}
build_tools() {
  hdf5
  need_command gcc build-essential
  need_command make build-essential
  need_command R r-base-dev
  need_r cli ggplot2 igraph Matrix rlang
}
test_tools() {
  build_tools
  # The programs of run_blast(); its tests are skipped where one is missing.
  need_command diamond diamond-aligner
  need_command mmseqs mmseqs2
  need_command blastp ncbi-blast+
  # Reports are made in the tests, too.
  need_command pandoc pandoc
  need_r testthat lintr withr vdiffr ggrepel scattermore knitr rmarkdown
  need_r Seurat SeuratObject SingleCellExperiment SummarizedExperiment HDF5Array
}

case $level in
  build) build_tools ;;
  test) test_tools ;;
  check)
    test_tools
    need_command qpdf qpdf
    need_command checkbashisms devscripts
    ;;
  report)
    test_tools
    command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || need_command chromium chromium
    ;;
  lint)
    test_tools
    need_r jsonlite pkgdown
    need_command pandoc pandoc
    ;;
  bench)
    need_command gcc build-essential
    hdf5
    ;;
  cuda)
    test_tools
    need_command g++ build-essential
    python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
    ;;
  python)
    build_tools
    need_command unzip unzip
    need_command g++ build-essential
    python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
    # hnswlib has no wheels: it is compiled against Python's headers.
    python3 -c 'import sysconfig, os, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' \
      >/dev/null 2>&1 || missing+=(python3-dev)
    ;;
  *) echo "tools/install-deps.sh: unknown level \"$level\"" >&2; exit 2 ;;
esac

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  if may_install; then
    echo "Installing with apt: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "Missing: ${missing[*]}" >&2
    echo "On Debian or Ubuntu run:  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    echo "Elsewhere install the same libraries with your package manager, and R packages with install.packages()." >&2
    exit 1
  fi
fi

# Rust: the version that Cargo.toml asks for, or newer.
needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' src/rust/Cargo.toml | head -n 1)
rust_is_new_enough() {
  local found
  command -v cargo >/dev/null 2>&1 || return 1
  found=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
  [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)" = "$needed" ]
}
if ! rust_is_new_enough; then
  if command -v rustup >/dev/null 2>&1; then
    echo "Updating Rust with rustup (rustc $needed or newer is needed)"
    rustup toolchain install stable --profile minimal && rustup default stable
  elif command -v curl >/dev/null 2>&1; then
    echo "Installing Rust for this user with rustup from https://rustup.rs (rustc $needed or newer is needed)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path
  fi
  hash -r
  rust_is_new_enough || { echo "rustc $needed or newer is needed: install it from https://rustup.rs" >&2; exit 1; }
fi
