"""Side by side: samap (this package) and sc-samap 3.0.1 on the pancreas pair, from raw counts to alignment scores and gene pairs.

Usage: python compare.py --python PYTHON --build DIR --results FILE [--runs 5] [--threads 2] [--cells N]

Every run is a process of its own on the same cores; the two programs alternate, the medians are reported. Peak memory is that of the
whole process, and so contains reading the data. The table replaces the section between the two markers of FILE. With --cells a subset is
run, to try the scripts; nothing is written then.
"""
import argparse
import csv
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
START, END = "<!-- reference: start -->", "<!-- reference: end -->"
NOT_COUNTED = ("start and reading", "gene pairs found")


def run(command, threads):
    """Peak memory in bytes of one process on the first `threads` cores."""
    if shutil.which("taskset"):
        command = ["taskset", "-c", f"0-{threads - 1}", *command]
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return usage.ru_maxrss * 1024


def measure(command, out, threads):
    memory = run(command, threads)
    phases = json.loads((out / "phases.json").read_text())
    seconds = sum(value for name, value in phases.items() if name not in NOT_COUNTED)
    return {"phases": phases, "seconds": seconds, "memory": memory}


def read_scores(path):
    with open(path, newline="") as file:
        return {(row["human"], row["mouse"]): float(row["score"]) for row in csv.DictReader(file)}


def score_difference(a, b):
    x, y = read_scores(a / "scores.csv"), read_scores(b / "scores.csv")
    if x.keys() != y.keys():
        sys.exit("the two programs scored different pairs of cell types")
    worst = max(x, key=lambda key: abs(x[key] - y[key]))
    return abs(x[worst] - y[worst]), " and ".join(worst)


def machine():
    cpu = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        names = re.findall(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {memory:.0f} GiB memory, {platform.system()}"


def table(ours, reference, difference, threads):
    median = lambda runs, what: statistics.median(run[what] for run in runs)
    phase = lambda runs, name: statistics.median(run["phases"][name] for run in runs)
    found = lambda runs: runs[0]["phases"]["gene pairs found"]
    seconds = median(ours, "seconds"), median(reference, "seconds")
    memory = median(ours, "memory"), median(reference, "memory")
    rows = [
        ("SAM and mapping", phase(ours, "SAM and mapping"), statistics.median(run["phases"]["SAM"] + run["phases"]["mapping"] for run in reference)),
        ("alignment scores", phase(ours, "alignment scores"), phase(reference, "alignment scores")),
        ("gene pairs", phase(ours, "gene pairs"), phase(reference, "gene pairs")),
        ("**all**", *seconds),
    ]
    lines = [
        "| | samap | sc-samap 3.0.1 | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name}, s | {a:.2f} | {b:.2f} | {b / a:.1f} × |" for name, a, b in rows),
        f"| **peak memory**, MB | {memory[0] / 1e6:.0f} | {memory[1] / 1e6:.0f} | {memory[1] / memory[0]:.1f} × |",
        f"| gene pairs found | {found(ours)} | {found(reference)} | |",
        "",
        f"Largest difference of an alignment score: {difference[0]:.4f} ({difference[1]}). The reference runs as it is installed: its HNSW",
        "neighbours and the order of its ties decide which cells the neighbourhood of a small type gets. With exact neighbours and a stable",
        "order its scores are ours (`golden_end_to_end`, `test-golden.R`).",
        "",
        f"{machine()}; {threads} cores; medians of {len(ours)} runs each, alternating; {datetime.date.today().isoformat()}. Seconds are from raw",
        "counts in memory to scores and gene pairs, without UMAP; peak memory is that of the whole process. Made by `make bench-reference`.",
    ]
    return "\n".join(lines)


def write(results, text):
    old = results.read_text() if results.exists() else f"# Benchmarks\n\n## Against the Python reference\n\n{START}\n{END}\n"
    before, rest = old.split(START)
    results.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="the interpreter that has sc-samap")
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--results", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cells", type=int)
    options = parser.parse_args()

    data = options.build / ("data" if options.cells is None else f"data-{options.cells}")
    subset = [] if options.cells is None else [str(options.cells)]
    subprocess.run(["Rscript", str(HERE / "export_data.R"), str(data), *subset], check=True)
    folders = {"samap": options.build / "samap", "reference": options.build / "reference"}
    commands = {
        "samap": ["Rscript", "--vanilla", HERE / "run_samap.R", data, folders["samap"], str(options.threads)],
        "reference": [options.python, HERE / "run_reference.py", data, folders["reference"]],
    }
    measured = {"samap": [], "reference": []}
    for number in range(1, options.runs + 1):
        for name, command in commands.items():
            result = measure(command, folders[name], options.threads)
            measured[name].append(result)
            print(f"run {number}, {name}: {result['seconds']:.1f} s, {result['memory'] / 1e6:.0f} MB", flush=True)
    text = table(measured["samap"], measured["reference"], score_difference(*folders.values()), options.threads)
    print(text)
    if options.cells is None:
        write(options.results, text)


if __name__ == "__main__":
    main()
