#!/usr/bin/env bash
# Compiles the CUDA kernels with the real NVRTC and ptxas, from PyPI, into a report: tools/check-kernels.sh REPORT
set -euo pipefail
cd "$(dirname "$0")/.."

report=${1:?usage: tools/check-kernels.sh REPORT}
environment=build/venv-kernels
# CUDA 12: the last that knows sm_70.
wheels=(nvidia-cuda-nvrtc-cu12==12.8.93 nvidia-cuda-nvcc-cu12==12.8.93)
if ! [ -x "$environment/bin/python" ] || ! "$environment/bin/pip" freeze | grep -qx "${wheels[1]}"; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet "${wheels[@]}"
fi
"$environment/bin/python" tools/check-kernels.py "$report"
