"""Side by side: samap (this package) and sc-samap 3.0.1, from raw counts to alignment scores, gene pairs and UMAP.

Usage: python compare.py --python PYTHON --generate PROGRAM --build DIR --results FILE [--sizes pancreas 12000 36000] [--runs 3]
[--threads 2] [--try CELLS]

The pair "pancreas" is the one that ships; a number is a pair of that many cells made from it. Every run is a process of its own
on the same cores; the two programs alternate, the medians are reported. The table of a size replaces the one between the two
markers of FILE that has the same heading; those of other sizes stay. With --try only about that many cells per species of the
pancreas pair are run, to try the scripts; nothing is written.
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
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
START, END = "<!-- reference: start -->", "<!-- reference: end -->"

# Our phases under the names of run_reference.py.
OURS = {
    "preprocess": "SAM",
    "sam": "SAM",
    "loadings": "loadings",
    "projection within species": "projection",
    "projection": "projection",
    "cross-species neighbours": "cross-species neighbours",
    "neighbourhoods": "neighbourhoods and mutual neighbours",
    "mutual neighbours": "neighbourhoods and mutual neighbours",
    "refinement": "refinement",
}
PHASES = [*dict.fromkeys(OURS.values()), "other", "alignment scores", "gene pairs"]

# Minutes of a run of both programs on two cores of the machine of RESULTS.md, to say beforehand how long it takes.
MINUTES = {"pancreas": 3, "12000": 5, "36000": 13}


def run(command, threads):
    """Runs a process on the first `threads` cores."""
    if shutil.which("taskset"):
        command = ["taskset", "-c", f"0-{threads - 1}", *command]
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def measure_samap(command, out, threads):
    run(command, threads)
    whole = json.loads((out / "phases.json").read_text())
    phases = dict.fromkeys(PHASES, 0.0)
    with open(out / "phases.csv", newline="") as file:
        for row in csv.DictReader(file):
            name = OURS.get(re.sub(r"^pass \d+: ", "", row["what"]))
            if row["kind"] == "phase" and name:
                phases[name] += float(row["seconds"])
    return finish(whole, phases, whole["SAM and mapping"])


def measure_reference(command, out, threads):
    run(command, threads)
    whole = json.loads((out / "phases.json").read_text())
    phases = {**dict.fromkeys(PHASES, 0.0), **whole["of the mapping"], "SAM": whole["SAM"]}
    return finish(whole, phases, whole["SAM"] + whole["mapping"])


def finish(whole, phases, mapping):
    phases["other"] = max(mapping - sum(phases.values()), 0.0)
    for name in ("alignment scores", "gene pairs"):
        phases[name] = whole[name]
    return {
        "phases": phases, "seconds": mapping + whole["alignment scores"] + whole["gene pairs"], "umap": whole["UMAP"],
        "memory": whole["memory"], "pairs": whole["gene pairs found"],
    }


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


def ratio(ours, theirs):
    return f"{theirs / ours:.1f} ×" if ours > 0 else ""


def heading(size):
    return "The pancreas pair" if size == "pancreas" else f"{int(size):,} cells".replace(",", " ")


def table(ours, reference, difference, about):
    """What is said of one size."""
    median = lambda runs, value: statistics.median(map(value, runs))
    both = lambda value: (median(ours, value), median(reference, value))
    rows = [(f"{name}, s", *both(lambda run: run["phases"][name])) for name in PHASES]
    rows += [("**all**, s", *both(lambda run: run["seconds"])), ("UMAP, s", *both(lambda run: run["umap"]))]
    memory = both(lambda run: run["memory"])
    return [
        "| | samap | sc-samap 3.0.1 | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {a:.2f} | {b:.2f} | {ratio(a, b)} |" for name, a, b in rows),
        f"| **peak memory**, MB | {memory[0] / 1e6:.0f} | {memory[1] / 1e6:.0f} | {ratio(*memory)} |",
        f"| gene pairs found | {ours[0]['pairs']} | {reference[0]['pairs']} | |", "",
        f"Largest difference of an alignment score: {difference[0]:.4f} ({difference[1]}).", "",
        about,
    ]


def of_runs(runs):
    return "one run each" if runs == 1 else f"medians of {runs} runs each, alternating"


def write(results, tables):
    """Puts the tables (by heading) in, the pancreas pair first and then by the number of cells."""
    before, rest = results.read_text().split(START)
    inside, after = rest.split(END)
    blocks = (block.split("\n", 1) for block in inside.split("### ")[1:])
    all_tables = {title: text.strip() for title, text in blocks} | {title: "\n".join(lines) for title, lines in tables.items()}
    cells = lambda title: int("".join(re.findall(r"\d", title)) or 0)
    text = "\n\n".join(f"### {title}\n\n{all_tables[title]}" for title in sorted(all_tables, key=cells))
    results.write_text(f"{before}{START}\n{text}\n{END}{after}")


def prepare(size, options):
    """The folder with the data of a size."""
    data = options.build / f"data-{size}"
    pancreas = options.build / "data-pancreas"
    if size == "pancreas" or not pancreas.exists():
        subset = [] if options.subset is None else [str(options.subset)]
        subprocess.run(["Rscript", str(HERE / "export_data.R"), str(pancreas), *subset], check=True)
    if size != "pancreas":
        subprocess.run([options.generate, str(pancreas), str(data), size, "plain"], check=True)
        for name in ("homology.rds", "homology.csv"):
            shutil.copy(pancreas / name, data / name)
    return data


def compare(size, options):
    """Runs one size: its table."""
    data = prepare(size, options)
    folders = {name: options.build / f"{name}-{size}" for name in ("samap", "reference")}
    commands = {
        "samap": ["Rscript", "--vanilla", HERE / "run_samap.R", data, folders["samap"], str(options.threads)],
        "reference": [options.python, HERE / "run_reference.py", data, folders["reference"]],
    }
    measures = {"samap": measure_samap, "reference": measure_reference}
    measured = {"samap": [], "reference": []}
    for number in range(1, options.runs + 1):
        for name, command in commands.items():
            result = measures[name](command, folders[name], options.threads)
            measured[name].append(result)
            seconds, memory = result["seconds"], result["memory"] / 1e6
            print(f"{size}, run {number}, {name}: {seconds:.1f} s, {memory:.0f} MB", flush=True)
    about = f"{machine()}; {options.threads} cores; {of_runs(options.runs)}; {datetime.date.today().isoformat()}."
    return table(measured["samap"], measured["reference"], score_difference(*folders.values()), about)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="the interpreter that has sc-samap")
    parser.add_argument("--generate", required=True, help="the built program that makes atlases")
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--results", required=True, type=Path)
    parser.add_argument("--sizes", nargs="+", default=["pancreas", "12000", "36000"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--try", type=int, dest="subset", metavar="CELLS")
    options = parser.parse_args()
    if options.subset is not None:
        options.build, options.sizes, options.runs = options.build / "try", ["pancreas"], 1
    expected = sum(options.runs * MINUTES.get(size, 0) for size in options.sizes)
    print(f"{options.runs} alternating runs of {', '.join(options.sizes)}: about {expected} minutes on two cores", flush=True)
    started = time.monotonic()
    tables = {heading(size): compare(size, options) for size in options.sizes}
    print("\n".join(line for title, lines in tables.items() for line in [f"### {title}", "", *lines, ""]))
    print(f"took {(time.monotonic() - started) / 60:.0f} minutes")
    if options.subset is None:
        write(options.results, tables)


if __name__ == "__main__":
    main()
