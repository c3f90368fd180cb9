"""One run of sc-samap 3.0.1 on an atlas pair: raw counts to alignment scores and gene pairs, then UMAP.

Usage: python run_reference.py DATA OUT
DATA is what export_data.R or `generate` wrote; OUT receives phases.json (seconds of each phase, and the peak memory up to the
gene pairs) and scores.csv.
"""
import functools
import json
import resource
import sys
import time
from pathlib import Path

started = time.perf_counter()

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import samap.core.coarsening
import samap.core.mapping
import samap.core.projection
from samap.analysis import scores as samap_scores
from samap.analysis.gene_pairs import GenePairFinder
from samap.core.mapping import SAMAP
from samap.sam import SAM

SPECIES = ("human", "mouse")
# The reference takes the id of a species from the part of a name before the first `_`.
IDS = {"human": "hu", "mouse": "ms"}


def read_atlas(data, species):
    pointers, columns, values = (np.fromfile(data / f"{species}.{slot}", dtype="<i4") for slot in "pix")
    genes = (data / f"{species}-genes.txt").read_text().split("\n")[:-1]
    types = (data / f"{species}-types.txt").read_text().split("\n")[:-1]
    cells = pd.DataFrame({"cell_type": types}, index=[f"{species}-{i + 1}" for i in range(len(types))])
    counts = sp.csr_matrix((values.astype("float32"), columns, pointers), shape=(len(cells), len(genes)))
    return anndata.AnnData(X=counts, obs=cells, var=pd.DataFrame(index=genes))


def homology_graph(pairs):
    """The graph as SAMAP(gnnm=...) takes it: matrix, names with prefix, names per species."""
    sides = {"human": pairs.gene_a, "mouse": pairs.gene_b}
    names = {IDS[s]: np.array([f"{IDS[s]}_{gene}" for gene in sorted(set(sides[s]))]) for s in SPECIES}
    all_names = np.concatenate([names[IDS[s]] for s in SPECIES])
    place = pd.Series(np.arange(all_names.size), index=all_names)
    rows = place[[f"hu_{gene}" for gene in pairs.gene_a]].to_numpy()
    columns = place[[f"ms_{gene}" for gene in pairs.gene_b]].to_numpy()
    upper = sp.coo_matrix((pairs.weight.astype(float), (rows, columns)), shape=(all_names.size,) * 2)
    return (upper + upper.T).tocsr(), all_names, names


# Where the time of the mapping goes: what is timed, and under which name.
TIMED = {
    (samap.core.mapping, "prepare_SAMap_loadings"): "loadings",
    (samap.core.mapping, "_projection_precompute"): "projection",
    (samap.core.coarsening, "_mapping_window_fast"): "projection",
    (samap.core.projection, "approximate_knn"): "cross-species neighbours",
    (samap.core.coarsening, "_smart_expand"): "neighbourhoods and mutual neighbours",
    (samap.core.coarsening, "_compute_mutual_graph"): "neighbourhoods and mutual neighbours",
    (samap.core.mapping, "_refine_corr"): "refinement",
}


class Stopwatch:
    """Seconds per name; the time of a timed function within another counts for the inner one alone."""

    def __init__(self):
        self.seconds = dict.fromkeys(TIMED.values(), 0.0)
        self.inner = [0.0]
        for (module, function), name in TIMED.items():
            setattr(module, function, self.timed(getattr(module, function), name))

    def timed(self, function, name):
        @functools.wraps(function)
        def run(*arguments, **options):
            start = time.perf_counter()
            self.inner.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                seconds = time.perf_counter() - start
                self.seconds[name] += seconds - self.inner.pop()
                self.inner[-1] += seconds

        return run


def main():
    stopwatch = Stopwatch()
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    phases = {}
    clock = started

    def done(phase):
        nonlocal clock
        now = time.perf_counter()
        phases[phase] = now - clock
        clock = now

    atlases = {IDS[species]: read_atlas(data, species) for species in SPECIES}
    pairs = pd.read_csv(data / "homology.csv", dtype={"gene_a": str, "gene_b": str}, keep_default_na=False)
    done("start and reading")

    sams = {}
    for species, atlas in atlases.items():
        sam = SAM(atlas)
        sam.preprocess_data(sum_norm="cell_median", norm="log", thresh_low=0.0, thresh_high=0.96, min_expression=1)
        sam.run(preprocessing="StandardScaler", npcs=100, weight_PCs=False, k=20, n_genes=3000, weight_mode="rms")
        sams[species] = sam
    done("SAM")

    keys = dict.fromkeys(sams, "cell_type")
    mapped = SAMAP(sams, gnnm=homology_graph(pairs), keys=keys, save_processed=False)
    mapped.run(umap=False)
    done("mapping")

    _, table = samap_scores.get_mapping_scores(mapped, keys, n_top=0)
    done("alignment scores")

    found = GenePairFinder(mapped, keys=keys).find_all(align_thr=0.1)
    done("gene pairs")

    phases["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    mapped.run_umap()
    done("UMAP")

    block = table.loc[table.index.str.startswith("hu_"), table.columns.str.startswith("ms_")]
    scores = block.rename(index=lambda x: x[3:], columns=lambda x: x[3:]).stack().rename("score")
    scores.rename_axis(["human", "mouse"]).reset_index().to_csv(out / "scores.csv", index=False)
    columns = [column for column in found.columns if not column.endswith(("_pval1", "_pval2"))]
    phases["gene pairs found"] = int(sum(found[column].notna().sum() for column in columns))
    phases["of the mapping"] = stopwatch.seconds
    (out / "phases.json").write_text(json.dumps(phases, indent=1))


if __name__ == "__main__":
    main()
