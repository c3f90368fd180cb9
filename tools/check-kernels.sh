#!/usr/bin/env bash
# Compiles the CUDA kernels with the real NVRTC and ptxas of CUDA 12 and CUDA 13, from PyPI: tools/check-kernels.sh REPORT. The report
# is that of CUDA 12.
set -euo pipefail
cd "$(dirname "$0")/.."

report=${1:?usage: tools/check-kernels.sh REPORT}
# With the wheels that follow: python of an environment that has them.
python_with() {
  local environment=build/venv-kernels-$1
  shift
  if ! [ -x "$environment/bin/python" ] || ! "$environment/bin/pip" freeze | grep -qx "$2"; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet "$@"
  fi
  echo "$environment/bin/python"
}
# CUDA 12: the last that knows sm_70.
twelve=$(python_with 12 nvidia-cuda-nvrtc-cu12==12.8.93 nvidia-cuda-nvcc-cu12==12.8.93)
thirteen=$(python_with 13 nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-nvcc==13.0.88)
"$twelve" tools/check-kernels.py "$report"
# NVRTC 13.0 looks for its other half where the system does.
libraries=$("$thirteen" -c 'import nvidia; print(list(nvidia.__path__)[0] + "/cu13/lib")')
LD_LIBRARY_PATH=$libraries "$thirteen" tools/check-kernels.py
