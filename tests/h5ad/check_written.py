"""Opens what write_h5ad() wrote with AnnData and scanpy: check_written.py FOLDER, with samap.h5ad, sam.h5ad and the CSV files
that write_examples.R put beside them. Ends with `h5ad: N passed, N failed`."""

import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def stitched():
    return ad.read_h5ad(FOLDER / "samap.h5ad")


def entries(name, shape):
    table = pd.read_csv(FOLDER / name)
    return sp.csr_matrix((table.x, (table.i - 1, table.j - 1)), shape=shape)


@check
def cells_and_genes():
    data = stitched()
    cells, genes = pd.read_csv(FOLDER / "cells.csv"), pd.read_csv(FOLDER / "genes.csv")
    assert list(data.obs_names) == list(cells.cell) and list(data.obs.species) == list(cells.species)
    assert list(data.obs.cell_type.astype(str)) == list(cells.cell_type.astype(str))
    assert list(data.var.gene) == list(genes.gene) and np.allclose(data.var.weights, genes.weight)
    assert (data.var.matched.to_numpy() == genes.matched.to_numpy()).all() and data.var_names.is_unique


@check
def counts_are_block_diagonal():
    data = stitched()
    assert abs(data.X - entries("counts.csv", data.shape)).nnz == 0
    for species in data.var.species.unique():
        block = data.X[(data.obs.species != species).to_numpy()][:, (data.var.species == species).to_numpy()]
        assert block.nnz == 0


@check
def graphs():
    data = stitched()
    graph = data.obsp["stitched"]
    assert abs(graph - entries("stitched.csv", graph.shape)).max() < 1e-15
    assert abs(data.obsp["connectivities"] - graph.maximum(graph.T)).nnz == 0
    for name, column in [("homology_graph", "weight"), ("homology_graph_reweighted", "correlation")]:
        found, edges = data.varp[name].tocsr(), pd.read_csv(FOLDER / "homology.csv")
        edges = edges[edges[column].notna() & (edges[column] != 0)]
        a = data.var_names.get_indexer(edges.species_a + "_" + edges.gene_a)
        b = data.var_names.get_indexer(edges.species_b + "_" + edges.gene_b)
        assert found.nnz == 2 * len(edges)
        assert np.allclose(np.asarray(found[a, b]).ravel(), edges[column]) and abs(found - found.T).nnz == 0


@check
def parameters():
    told = stitched().uns["samap"]
    assert told["seed"] == 0 and told["options"]["mapping"]["cross_species_k"] == stitched().uns["mapping_K"]
    assert 0 < told["alignment"].score.item() < 1 and set(told["phases"].step) >= {"human", "mouse", "mapping"}
    assert not told["options"]["mapping"]["keep_iterations"]


@check
def scanpy_works_on_it():
    data = stitched()
    assert data.obsm["X_umap"].shape == (data.n_obs, 2) and data.obsm["X_samap"].shape[0] == data.n_obs
    sc.tl.umap(data, maxiter=5)
    sc.pp.log1p(data)
    sc.tl.rank_genes_groups(data, "species", method="t-test")
    sc.tl.diffmap(data)


@check
def one_species():
    data = ad.read_h5ad(FOLDER / "sam.h5ad")
    assert data.obsm["X_pca"].shape[0] == data.n_obs and data.varm["PCs"].shape[0] == data.n_vars
    k = data.uns["neighbors"]["params"]["n_neighbors"]
    assert data.obsp["distances"].nnz == data.n_obs * (k - 1)
    linked = data.obsp["connectivities"]
    assert abs(linked - linked.T).nnz == 0
    sc.tl.umap(data, maxiter=5)


@check
def they_can_be_written_again():
    for name in ["samap.h5ad", "sam.h5ad"]:
        ad.read_h5ad(FOLDER / name).write_h5ad(FOLDER / "again.h5ad")
        ad.read_h5ad(FOLDER / name, backed="r")


failed = 0
for function in CHECKS:
    try:
        function()
    except Exception as error:
        failed += 1
        print(f"{function.__name__}: {type(error).__name__}: {error}")
print(f"h5ad: {len(CHECKS) - failed} passed, {failed} failed")
sys.exit(failed > 0)
