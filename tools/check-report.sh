#!/usr/bin/env bash
# Renders the report of the small example and opens it in a headless browser: it must run without a script error and show all its figures.
# tools/check-report.sh LIBRARY; the page and a picture of it are left in build/report. Ends with the line `report: N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.."

library=${1:?usage: tools/check-report.sh LIBRARY}
folder=$PWD/build/report
rm -rf "$folder"
mkdir -p "$folder"
passed=0
failed=0
check() {
  if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  echo "$2: $([ "$1" = 0 ] && echo yes || echo no)"
}

R_LIBS="$library${R_LIBS:+:$R_LIBS}" Rscript --vanilla - "$folder/report.html" <<'R'
library(samap)
example <- samap_example("pancreas-small")
control <- samap_control(keep_iterations = TRUE)
sm <- samap(example$atlases, example$homology, keys = "cell_type", control = control, verbose = FALSE)
samap_report(sm, "cell_type", commandArgs(trailingOnly = TRUE)[[1]])
R
check $? "the report is written"

# What the page holds once its scripts have run: a last script counts the figures that are there.
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
count='<script>window.addEventListener("load", function () { setTimeout(function () {
  var all = Array.from(document.querySelectorAll("img")), shown = all.filter(function (i) { return i.complete \&\& i.naturalWidth > 100; });
  document.documentElement.setAttribute("data-figures", shown.length + " of " + all.length);
  document.documentElement.setAttribute("data-contents", document.querySelectorAll("#TOC li").length);
}, 1000); });</script>'
count=$(printf '%s' "$count" | tr '\n' ' ')
sed "s|</body>|$count</body>|" "$folder/report.html" >"$folder/counted.html"
run_browser() {
  timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$folder/profile" \
    --virtual-time-budget=10000 --enable-logging=stderr --v=0 "$@"
}
run_browser --dump-dom "file://$folder/counted.html" >"$folder/dom.html" 2>"$folder/browser.log"
check $? "the browser opens it"
errors=$(grep -E 'CONSOLE' "$folder/browser.log" | grep -E 'Uncaught|Error|Failed' | tee /dev/stderr | grep -c .)
check "$errors" "no script error"
grep -qE 'data-figures="5 of 5"' "$folder/dom.html"
check $? "all five figures are shown"
grep -qE 'data-contents="([6-9]|[1-9][0-9])"' "$folder/dom.html"
check $? "the table of contents is filled in"
run_browser --window-size=1300,6000 --screenshot="$folder/report.png" "file://$folder/report.html" >>"$folder/browser.log" 2>&1
check $? "a picture of it is taken"
rm -rf "$folder/profile"

echo "report: $passed passed, $failed failed"
[ "$failed" = 0 ]
