#!/usr/bin/env bash
# Steps in their older form and in ours: benches/phases/run.sh PROGRAMS SIZE...
# PROGRAMS: folder of the built benchmark programs. Writes benches/phases.csv, benches/phases.png and the section "phases" of
# benches/RESULTS.md. THREADS (default 2).
set -euo pipefail
cd "$(dirname "$0")/../.."
data=build/bench-phases
Rscript --vanilla benches/reference/export_data.R "$data"
RAYON_NUM_THREADS=${THREADS:-2} "$1/phases" "$data" benches/phases.csv "${@:2}"
Rscript --vanilla benches/phases/report.R "${THREADS:-2}"
