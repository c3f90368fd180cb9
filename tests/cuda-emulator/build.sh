#!/usr/bin/env bash
# Builds the emulator into a folder, under the names that programs look for. Put that folder in LD_LIBRARY_PATH.
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$target"
cp "$here/device.h" "$target/"
g++ -std=c++17 -O2 -fPIC -shared -Wall -Wextra -pthread -Wl,-soname,libcuda.so.1 \
  -o "$target/libcuda.so.1" "$here/emulator.cpp" -ldl
for name in libcuda.so libnvrtc.so libnvrtc.so.12; do ln -sf libcuda.so.1 "$target/$name"; done
