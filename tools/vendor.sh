#!/usr/bin/env bash
# Puts all crates into src/rust/vendor.tar.xz, with which the package installs offline: tools/vendor.sh [PLATFORM ...]
# Crates that none of the platforms needs (by default Linux and macOS, Intel and ARM) become empty, which Cargo accepts: most of what Cargo
# vendors are Windows's import libraries. For Windows name x86_64-pc-windows-gnu.
set -euo pipefail
cd "$(dirname "$0")/../src/rust"

platforms=("$@")
if [ ${#platforms[@]} = 0 ]; then
  platforms=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin)
fi

rm -rf vendor vendor.tar.xz vendor-config.toml
cargo vendor --quiet --locked --versioned-dirs vendor >/dev/null
printf '[source.crates-io]\nreplace-with = "vendored-sources"\n\n[source.vendored-sources]\ndirectory = "rust/vendor"\n' >vendor-config.toml
all=$(du -sm vendor | cut -f 1)

# name-version of every crate that some platform builds, with any set of features.
needed=$(for platform in "${platforms[@]}"; do
  cargo tree --locked --package samap --all-features --edges normal,build --prefix none --target "$platform"
done | awk '$2 ~ /^v/ { print $1 "-" substr($2, 2) }' | sort -u)

# A crate without content: its manifest, an empty library, and the checksum of the registry, which is that of the lock file.
empty() {
  local manifest checksum
  manifest=$(mktemp)
  # Targets named in the manifest would be looked for.
  awk '/^\[/ { skip = $0 ~ /^\[\[?(lib|bin|example|test|bench)\]/ } !skip && !/^(build|autolib|autobins|autoexamples|autotests|autobenches) *=/' "$1/Cargo.toml" >"$manifest"
  checksum=$(grep -oE '"package":"[0-9a-f]+"' "$1/.cargo-checksum.json")
  rm -rf "$1"
  mkdir -p "$1/src"
  mv "$manifest" "$1/Cargo.toml"
  touch "$1/src/lib.rs"
  printf '{"files":{},%s}' "$checksum" >"$1/.cargo-checksum.json"
}
for crate in vendor/*/; do
  crate=${crate%/}
  grep -qxF "$(basename "$crate")" <<<"$needed" || empty "$crate"
done
kept=$(du -sm vendor | cut -f 1)
# In a fixed order and without dates: the same crates give the same archive.
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - vendor | xz -T0 -6 >vendor.tar.xz
rm -rf vendor
echo "src/rust/vendor.tar.xz: $(du -m vendor.tar.xz | cut -f 1) MB ($kept MB unpacked, of $all MB for all platforms); platforms: ${platforms[*]}"
