#!/usr/bin/env bash
# R CMD check --as-cran and the tests that need Seurat 5, on R 4.5, in a Debian 13 chroot: tools/check-r45.sh
# tools/check-r45.sh --possible only says (status 0 or 1) whether a chroot can be made here at all: root, mounts, device files.
# The chroot is made once (about 2 GB) in SAMAP_R45_ROOT, by default ~/.cache/samap/debian-13, and used again. Rust comes from this machine:
# Debian's own is too old. Everything is mounted in a mount namespace of its own, so nothing stays mounted.
# Ends with the line `check-r45: N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${SAMAP_R45_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/samap/debian-13}
target=${SAMAP_TARGET_DIR:-$PWD/build/target}-r45
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}

# As debootstrap and this script will do it.
try_chroot() {
  local folder
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' RETURN
  mkdir "$folder/bound"
  mknod "$folder/null" c 1 3 && echo >"$folder/null" && chroot / true &&
    unshare --mount --propagation private mount --bind /proc "$folder/bound"
}
if [ "${1:-}" = --possible ]; then
  [ "$(id -u)" = 0 ] && { command -v debootstrap || command -v apt-get; } >/dev/null && try_chroot 2>/dev/null
  exit
fi

# What cannot be checked has not passed.
stop() {
  echo "$1" >&2
  echo "check-r45: 0 passed, 1 failed"
  exit 1
}
[ "$(id -u)" = 0 ] || stop "make check-r45 makes a chroot, which needs root: sudo --preserve-env=HOME,PATH make check-r45"
if ! command -v debootstrap >/dev/null 2>&1; then
  command -v apt-get >/dev/null 2>&1 || stop "debootstrap is needed; install it with your package manager."
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; } ||
    stop "debootstrap cannot be installed."
fi

mkdir -p build
if [ ! -e "$root/.complete" ]; then
  echo "Making a Debian 13 chroot in $root (some minutes)"
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase --include=ca-certificates,make trixie "$root" >build/debootstrap.log 2>&1 ||
    stop "debootstrap failed: $(tail -n 5 build/debootstrap.log)"
  # No service starts in a chroot.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  touch "$root/.complete"
fi

mkdir -p "$target" "$cargo_home" "$rustup_home" "$root/target" "$root$cargo_home" "$root$rustup_home"
rm -rf "$root/samap"
mkdir -p "$root/samap"
tar --exclude=./build --exclude=./.git --exclude=./src/rust/target --exclude=./benches/target --exclude=./demo-output -cf - . |
  tar -xf - -C "$root/samap"

# Crates are fetched here: what this machine knows of proxies and certificates is not known in the chroot.
cargo fetch --locked --quiet --manifest-path src/rust/Cargo.toml || stop "The crates cannot be fetched."

# In the namespace: mounts, then the chroot.
inside() {
  mount --bind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$cargo_home" "$root$cargo_home"
  mount --bind "$rustup_home" "$root$rustup_home"
  mount --bind "$target" "$root/target"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  exec chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PATH="$cargo_home/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" CARGO_NET_OFFLINE=true SAMAP_TARGET_DIR=/target SAMAP_CHECK_NAME=check-r45 \
    bash -c 'cd /samap && tools/install-deps.sh check || exit 3
      # Tests that need these packages are skipped without them.
      Rscript -e "stopifnot(getRversion() >= \"4.5\", packageVersion(\"Seurat\") >= \"5\", packageVersion(\"SingleCellExperiment\") > \"0\")" || exit 3
      exec tools/run-checks.sh'
}
export -f inside
export root target cargo_home rustup_home
status=0
unshare --mount --propagation private bash -c 'set -euo pipefail; inside' || status=$?
[ "$status" != 3 ] || stop "The chroot in $root lacks what the check needs (its log is above)."
exit "$status"
