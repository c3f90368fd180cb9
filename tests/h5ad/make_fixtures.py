"""Writes small AnnData and Cell Ranger files with the AnnData that is installed, and what is in them as CSV.

make_fixtures.py FOLDER current   all layouts of a current AnnData, the files of Cell Ranger, and the CSV files
make_fixtures.py FOLDER sc-samap  runs of SAM and a mapping as the reference saves them, with what it says of them as CSV
make_fixtures.py FOLDER NAME      one file NAME.h5ad in the layout of an old AnnData

One data set everywhere: 40 cells x 60 genes of counts, drawn from a fixed seed. Cell Ranger's files follow the layout of its
documentation (https://www.10xgenomics.com/support/software/cell-ranger): the program itself cannot be had here.
"""

import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

CELLS, GENES = 40, 60


def counts():
    rng = np.random.RandomState(7)
    rates = 0.3 + 4 * (np.arange(GENES)[None, :] % 4 == np.arange(CELLS)[:, None] % 4)
    return sp.csr_matrix(rng.poisson(rates).astype(np.float32))


def obs():
    at = np.arange(CELLS)
    frame = pd.DataFrame(index=["cell-%d" % i for i in at])
    frame["cell_type"] = pd.Categorical(np.array(["alpha", "beta", "gamma", "delta"])[at % 4], ["delta", "gamma", "beta", "alpha"])
    frame["donor"] = ["d\u00e9%d" % (i % 3) for i in at]
    frame["n_counts"] = at * 3
    frame["score"] = np.where(at == 5, np.nan, at / 8).astype(np.float64)
    frame["doublet"] = at % 7 == 0
    return frame


def var():
    names = ["gene%d" % i for i in range(GENES)]
    return pd.DataFrame({"gene_ids": ["ENSG%011d" % i for i in range(GENES)], "highly": np.arange(GENES) % 2 == 0}, index=names)


def plain(matrix):
    return ad.AnnData(matrix, obs=obs(), var=var())


def partly_missing():
    frame = obs()
    frame["maybe_int"] = pd.array([None if i == 3 else i for i in range(CELLS)], dtype="Int64")
    frame["maybe_flag"] = pd.array([None if i == 4 else i % 2 == 0 for i in range(CELLS)], dtype="boolean")
    frame["some_type"] = pd.Categorical([None if i == 6 else "t%d" % (i % 2) for i in range(CELLS)])
    return frame


def current(folder):
    x = counts()
    plain(x).write_h5ad(folder / "csr.h5ad")
    plain(x.tocsc()).write_h5ad(folder / "csc.h5ad", compression="gzip")
    plain(x.toarray().astype(np.int32)).write_h5ad(folder / "dense.h5ad", compression="lzf")
    plain(x.astype(np.int64)).write_h5ad(folder / "int64.h5ad", compression="lzf")
    plain(x.astype(np.uint16)).write_h5ad(folder / "uint16.h5ad")
    plain(x.astype(np.float64)).write_h5ad(folder / "float64.h5ad")
    blosc(folder, x)
    missing = ad.AnnData(x, obs=partly_missing(), var=var())
    missing.write_h5ad(folder / "missing.h5ad")
    normalised = x.copy()
    normalised.data = np.log1p(normalised.data / 3)
    layers = plain(normalised)
    layers.layers["counts"] = x
    layers.layers["spliced"] = x * 2
    layers.write_h5ad(folder / "layers.h5ad", compression="gzip")
    raw = plain(x)
    raw.raw = raw
    raw = raw[:, ::3].copy()
    raw.X = sp.csr_matrix(np.log1p(raw.X.toarray() / 3))
    raw.write_h5ad(folder / "raw.h5ad")
    sp_csv = x.tocoo()
    entries = pd.DataFrame({"cell": sp_csv.row, "gene": sp_csv.col, "count": sp_csv.data.astype(int)})
    entries.to_csv(folder / "counts.csv", index=False)
    partly_missing().to_csv(folder / "obs.csv", index_label="barcode")
    var().to_csv(folder / "var.csv", index_label="gene")
    cell_ranger(folder, x)


def blosc(folder, x):
    """With a filter that libhdf5 itself does not have, on the arrays of X (on empty ones it stops with an error)."""
    import hdf5plugin

    plain(x).write_h5ad(folder / "blosc.h5ad")
    with h5py.File(folder / "blosc.h5ad", "a") as file:
        for name in ["X/data", "X/indices", "X/indptr"]:
            values = file[name][:]
            del file[name]
            file.create_dataset(name, data=values, **hdf5plugin.Blosc())


def text(values):
    return np.array([v.encode() for v in values])


def cell_ranger(folder, x):
    barcodes = text(["BARCODE%03d-1" % i for i in range(CELLS)])
    names, ids = text(var().index), text(var().gene_ids)
    with h5py.File(folder / "cellranger2.h5", "w") as file:
        group = file.create_group("GRCh38")
        for name, value in [("barcodes", barcodes), ("gene_names", names), ("genes", ids)]:
            group.create_dataset(name, data=value, compression="gzip")
        sparse_parts(group, x)
    antibodies = sp.csr_matrix(np.arange(CELLS * 2).reshape(CELLS, 2) % 5)
    with h5py.File(folder / "cellranger3.h5", "w") as file:
        group = file.create_group("matrix")
        group.create_dataset("barcodes", data=barcodes, compression="gzip")
        features = group.create_group("features")
        # Antibodies between the genes, so that genes are renumbered.
        order = np.r_[0, GENES, np.arange(1, GENES), GENES + 1]
        kind = np.array([b"Gene Expression"] * GENES + [b"Antibody Capture"] * 2)
        features.create_dataset("name", data=np.r_[names, text(["CD3", "CD4"])][order])
        features.create_dataset("id", data=np.r_[ids, text(["CD3", "CD4"])][order])
        features.create_dataset("feature_type", data=kind[order])
        sparse_parts(group, sp.hstack([x, antibodies]).tocsr()[:, order])


def sparse_parts(group, x):
    x.sort_indices()
    group.create_dataset("data", data=x.data.astype(np.int32), compression="gzip")
    group.create_dataset("indices", data=x.indices.astype(np.int64), compression="gzip")
    group.create_dataset("indptr", data=x.indptr.astype(np.int64), compression="gzip")
    group.create_dataset("shape", data=np.array([x.shape[1], x.shape[0]], dtype=np.int32))


def old(folder, name):
    data = plain(counts())
    data.raw = data
    data.write(folder / (name + ".h5ad"))


def fitted(folder, data):
    """A run of SAM of the reference, with the parameters of its SAMAP()."""
    from samap.sam import SAM

    source = folder / "source.h5ad"
    data.write_h5ad(source)
    sam = SAM()
    sam.load_data(str(source))
    source.unlink()
    sam.preprocess_data(sum_norm="cell_median", norm="log", thresh_low=0.0, thresh_high=0.96, min_expression=1)
    sam.run(preprocessing="StandardScaler", npcs=20, weight_PCs=False, k=10, n_genes=3000, weight_mode="rms", verbose=False)
    del sam.adata.uns["path_to_file"]
    return sam


def reference(folder):
    sam = fitted(folder, plain(counts()))
    sam.save_anndata(str(folder / "sc-samap-3.0.1_pr.h5ad"))
    sam.adata.var[["weights", "spatial_dispersions"]].to_csv(folder / "sc-samap-genes.csv", index_label="gene")
    linked, far = sam.adata.obsp["connectivities"].tocoo(), sam.adata.obsp["distances"].tocsr()
    pairs = pd.DataFrame({"cell": linked.row, "neighbor": linked.col})
    pairs["distance"] = np.asarray(far[linked.row, linked.col]).ravel()
    pairs.to_csv(folder / "sc-samap-neighbors.csv", index=False)
    mapping(folder, sam)


def second_species():
    """30 cells that differ less than those of counts(), under names that some of them share."""
    rng = np.random.RandomState(11)
    rates = 0.6 + 1.5 * (np.arange(GENES)[None, :] % 4 == np.arange(30)[:, None] % 4)
    data = ad.AnnData(sp.csr_matrix(rng.poisson(rates).astype(np.float32)), var=pd.DataFrame(index=var().index))
    data.obs_names = ["cell-%d" % i for i in range(30)]
    data.obs["cell_type"] = pd.Categorical(np.array(["alpha", "beta", "gamma", "mixed"])[np.arange(30) % 4])
    return data


def mapping(folder, first):
    """The stitched result of two species, the scores the reference gives for it, and its homology."""
    from samap import SAMAP, get_mapping_scores

    second = fitted(folder, second_species())
    second.save_anndata(str(folder / "sc-samap-two_pr.h5ad"))
    names = np.array(["one_gene%d" % i for i in range(GENES)] + ["two_gene%d" % i for i in range(GENES)])
    # 50 genes with a counterpart each, and some with a second one. (g, h): the weight grows with both.
    pairs = [(i, GENES + i) for i in range(50)] + [(i, GENES + i + 1) for i in range(0, 50, 5)]
    a, b = np.array(pairs).T
    weights = 100.0 + a + 2 * (b - GENES)
    graph = sp.coo_matrix((np.r_[weights, weights], (np.r_[a, b], np.r_[b, a])), shape=(2 * GENES, 2 * GENES)).tocsr()
    keys = {"one": "cell_type", "two": "cell_type"}
    sm = SAMAP({"one": first, "two": second}, gnnm=(graph, names, {"one": names[:GENES], "two": names[GENES:]}), keys=keys)
    sm.run(n_iterations=2, cross_species_k=5)
    sm.samap.adata.write_h5ad(folder / "sc-samap-stitched.h5ad", compression="gzip")
    tables = []
    for n_top in [0, 3]:
        square = get_mapping_scores(sm, keys, n_top=n_top)[1]
        ends = [(x, y) for x in square.index if x.startswith("one_") for y in square.columns if y.startswith("two_")]
        rows = [(n_top, x[4:], y[4:], square.loc[x, y]) for x, y in ends]
        tables.append(pd.DataFrame(rows, columns=["n_top", "type_a", "type_b", "score"]))
    pd.concat(tables).to_csv(folder / "sc-samap-scores.csv", index=False)
    refined = sm.samap.adata.varp["homology_graph_reweighted"]
    found = pd.DataFrame({"gene_a": names[a], "gene_b": names[b], "weight": weights})
    found["correlation"] = [refined[list(sm.samap.adata.var_names).index(x), list(sm.samap.adata.var_names).index(y)]
                            for x, y in zip(names[a], names[b])]
    found.to_csv(folder / "sc-samap-homology.csv", index=False)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    if sys.argv[2] == "current":
        current(target)
    elif sys.argv[2] == "sc-samap":
        reference(target)
    else:
        old(target, sys.argv[2])
