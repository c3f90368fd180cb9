"""Cuts full reference results (what generate.py writes) to the fixtures that ship with the sources.

Usage
-----
    python cut.py --from DIR --out DIR

DIR of --from holds small2.h5, small3.h5, baron.h5, maps_small2/ and maps_small3/. The layout stays the same; what changes:
  * every dataset is written with shuffle + gzip 9, and what occurs twice is stored once (HDF5 hard links);
  * the loadings PCs_SAMap are float32 (the engine's own precision);
  * small3 loses the preprocessing variants (small2 has them) and most intermediates of the mapping variants
    (their final results stay, and small2 has every pass);
  * of baron only the end-to-end results are kept, as gzipped tables; its counts are those of inst/extdata.
A fixture above 16 MB is an error.
"""
import argparse
import hashlib
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

LIMIT = 16_000_000
SMALL3_WITHOUT = [
    re.compile(r"^species/[^/]+/preprocess_[^/]+$"),
    re.compile(r"^mapping/(?!default/)[^/]+/iteration([2-9]|1/mutual|1/connectivities)$"),
]


def dropped(name, which):
    return which == "small3" and any(pattern.match(name) for pattern in SMALL3_WITHOUT)


class Writer:
    """Writes datasets compressed, each content once."""

    def __init__(self, out):
        self.out = out
        self.seen = {}

    def group(self, source, name):
        group = self.out.require_group(name)
        for key, value in source.attrs.items():
            group.attrs[key] = value

    def dataset(self, source, name):
        value = source[()]
        if name.endswith("/PCs_SAMap"):
            value = value.astype("float32")
        is_text = h5py.check_string_dtype(source.dtype) is not None
        raw = b"\0".join(np.ravel(value).tolist()) if is_text else np.ascontiguousarray(value).tobytes()
        key = (hashlib.sha256(raw).digest(), np.shape(value), "text" if is_text else value.dtype.str)
        if key in self.seen:
            self.out[name] = self.out[self.seen[key]]
            return
        packed = {} if np.ndim(value) == 0 else dict(shuffle=not is_text, compression="gzip", compression_opts=9)
        kind = dict(dtype=h5py.string_dtype()) if is_text else {}
        self.out.create_dataset(name, data=value, **packed, **kind)
        self.seen[key] = name

    def tree(self, source, name, keep):
        """Copies `source` (group or dataset) to `name`; `keep` decides for every path below it."""
        if isinstance(source, h5py.Dataset):
            self.dataset(source, name)
            return
        self.group(source, name)
        for key, child in source.items():
            path = f"{name}/{key}".lstrip("/")
            if keep(path):
                self.tree(child, path, keep)


def cut(source, target, which):
    """One HDF5 fixture."""
    with h5py.File(source) as full, h5py.File(target, "w", libver=("v110", "v110")) as out:
        for key, value in full.attrs.items():
            out.attrs[key] = value
        writer = Writer(out)
        for key, child in full.items():
            writer.tree(child, key, lambda path: not dropped(path, which))
    size = target.stat().st_size
    print(f"{target.name}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        raise SystemExit(f"{target} is larger than {LIMIT / 1e6:.0f} MB: cut more")


def text(file, name):
    return np.array([x.decode() for x in file[name][()]], dtype=object)


def edges(file, name):
    """A sparse matrix as rows, columns (from 1, as R counts) and values."""
    group = file[name]
    rows = np.repeat(np.arange(1, group.attrs["shape"][0] + 1), np.diff(group["indptr"][()]))
    return rows, group["indices"][()] + 1, group["data"][()]


def frame(file, name):
    group = file[name]
    columns = text(file, f"{name}/columns")
    values = [group[f"col{i}"][()] for i in range(columns.size)]
    values = [[x.decode() for x in v] if v.dtype.kind == "O" else v for v in values]
    return pd.DataFrame(dict(enumerate(values)), index=text(file, f"{name}/index")).set_axis(columns, axis=1)


def cut_baron(source, folder):
    """The end-to-end results on the whole pair as gzipped tables, which R reads without HDF5."""
    folder.mkdir(exist_ok=True)

    def write(table, name, **options):
        packed = {"method": "gzip", "compresslevel": 9, "mtime": 0}
        table.to_csv(folder / f"{name}.csv.gz", float_format="%.10g", compression=packed, **{"index": False, **options})

    with h5py.File(source) as full:
        species = [s for s in ("hu", "ms") if s in full["species"]]
        of = lambda s, name: text(full, f"species/{s}/{name}")
        cells = [pd.DataFrame({"species": s, "cell": of(s, "cells"), "cell_type": of(s, "cell_type")}) for s in species]
        write(pd.concat(cells), "cells")
        genes = [pd.DataFrame({
            "species": s,
            "gene": of(s, "genes"),
            "weight": full[f"species/{s}/sam/weights"][()],
            "kept": full[f"species/{s}/preprocess/mask_genes"][()],
        }) for s in species]
        write(pd.concat(genes), "genes")
        rows, columns, weights = edges(full, "mapping/default/connectivities")
        kept = np.abs(weights) > 1e-9
        write(pd.DataFrame({"from": rows, "to": columns, "weight": weights})[kept], "stitched")
        names = text(full, "mapping/default/homology_genes")
        rows, columns, weights = edges(full, "mapping/default/homology_graph_reweighted")
        upper = rows < columns
        gene = lambda i: [name.split("_", 1)[1] for name in names[i[upper] - 1]]
        write(pd.DataFrame({"gene_hu": gene(rows), "gene_ms": gene(columns), "correlation": weights[upper]}), "homology")
        write(frame(full, "analysis/default/mapping_scores"), "mapping_scores", index=True)
        write(frame(full, "analysis/default/gene_pairs"), "gene_pairs")
        write(frame(full, "analysis/default/paralog_substitutions"), "paralog_substitutions")
        orthologs = text(full, "orthologs").reshape(-1, 2)
        bare = lambda names: [name.split("_", 1)[1] for name in names]
        write(pd.DataFrame({"gene_hu": bare(orthologs[:, 0]), "gene_ms": bare(orthologs[:, 1])}), "orthologs")
        for name in ("neglog10p", "n_genes"):
            write(frame(full, f"analysis/default/enrichment/{name}"), f"enrichment_{name}", index=True)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder.name}/: {size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--from", dest="source", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for which in ("small2", "small3"):
        cut(options.source / f"{which}.h5", options.out / f"{which}.h5", which)
        for table in sorted((options.source / f"maps_{which}").glob("*/*.txt")):
            copy = options.out / table.relative_to(options.source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, copy)
    cut_baron(options.source / "baron.h5", options.out / "baron")


if __name__ == "__main__":
    main()
