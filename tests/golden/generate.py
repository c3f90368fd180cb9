"""Reference results of sc-samap 3.0.1 (the Python implementation) on real data, step by step.

Usage
-----
    python generate.py --came DIR --out DIR

The environment is that of requirements.txt. DIR of --came holds raw-Baron_human.h5ad, raw-Baron_mouse.h5ad and
gene_matches_human2mouse.csv (the files inside came/sample_data.zip of the PyPI package came 0.1.13). `make golden` does all of it,
and cuts the result to the fixtures that ship (cut.py).

The sources of run-to-run noise in the reference are removed, so that another implementation can be
compared with it step by step:
  * every kNN search is exact (cosine, float64) instead of HNSW;
  * PCA of the SAM iterations uses the full SVD instead of sklearn's randomized solver;
  * ties break in a stable order instead of by unstable sorts: in the BFS of the neighbourhood expansion by frontier order, which starts
    from ascending column index; in the top-k of the mutual graph (ties to 1e-9) by lowest column; in xi's sort by cell order.
Nothing else is changed: all other numbers are the reference's own.
"""
from __future__ import annotations

import argparse
import os
import sys
import time

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numba import njit, prange

import samap.core.coarsening as co
import samap.core.correlation as cr
import samap.core.expand as ex
import samap.core.projection as pr
import samap.sam.core as sc_core
from samap.analysis import gene_pairs as gp
from samap.analysis import scores as sc
from samap.analysis import enrichment as en
from samap.core.mapping import SAMAP
from samap.sam import SAM


# ----------------------------------------------------------------------------- determinism
def exact_cosine_knn(queries, database, k, metric="cosine", bk=None):
    assert metric == "cosine"
    q = np.asarray(queries, dtype=np.float64)
    d = np.asarray(database, dtype=np.float64)
    qn = np.linalg.norm(q, axis=1, keepdims=True); qn[qn == 0] = 1
    dn = np.linalg.norm(d, axis=1, keepdims=True); dn[dn == 0] = 1
    sim = (q / qn) @ (d / dn).T
    idx = np.argsort(-sim, axis=1, kind="stable")[:, :k]
    return idx, 1 - np.take_along_axis(sim, idx, axis=1)


@njit(parallel=True)
def stable_bfs(indptr, indices, data, K_arr, NH, n_cells, buf_size, out_cols, out_offsets, out_counts):
    for c in prange(n_cells):
        budget = K_arr[c]
        n_got = 0
        if budget > 0:
            seen = np.zeros(n_cells, dtype=np.bool_)
            seen[c] = True
            # both frontiers live in one array: numba hoists an allocation out of the hop loop, so that two
            # separately allocated buffers would be one
            node = np.empty((2, buf_size), dtype=np.int64)
            wt = np.empty((2, buf_size), dtype=np.float64)
            now = 0
            nn = 0
            for p in range(indptr[c], indptr[c + 1]):
                node[now, nn] = indices[p]; wt[now, nn] = data[p]; nn += 1
            for _ in range(NH + 1):
                if nn == 0 or n_got >= budget:
                    break
                order = np.argsort(-wt[now, :nn], kind="mergesort")
                nxt = 1 - now
                n2 = 0
                for oi in range(nn):
                    v = node[now, order[oi]]
                    if seen[v]:
                        continue
                    if n_got >= budget:
                        break
                    out_cols[out_offsets[c] + n_got] = v
                    n_got += 1
                    seen[v] = True
                    for p in range(indptr[v], indptr[v + 1]):
                        if not seen[indices[p]] and n2 < buf_size:
                            node[nxt, n2] = indices[p]; wt[nxt, n2] = data[p]; n2 += 1
                now = nxt; nn = n2
        out_counts[c] = n_got


def check_bfs(nnm, K, NH, out):
    """The expansion of 60 rows against a plain Python BFS: same nodes, none farther than NH + 1 hops."""
    nnm = nnm.tocsr(); out = out.tocsr()
    for c in np.linspace(0, nnm.shape[0] - 1, 60).astype(int):
        seen = {c}; got = []
        front = [(nnm.indices[p], nnm.data[p]) for p in range(nnm.indptr[c], nnm.indptr[c + 1])]
        for _ in range(NH + 1):
            if not front or len(got) >= K[c]:
                break
            nxt = []
            for v, _w in sorted(front, key=lambda t: -t[1]):       # stable
                if v in seen:
                    continue
                if len(got) >= K[c]:
                    break
                got.append(v); seen.add(v)
                nxt += [(nnm.indices[p], nnm.data[p]) for p in range(nnm.indptr[v], nnm.indptr[v + 1]) if nnm.indices[p] not in seen]
            front = nxt
        assert set(got) == set(out[c].indices), "expansion differs from a plain BFS"


def full_svd_pca(orig):
    def f(mat, do_weight=True, npcs=None, solver="auto", seed=0):
        return orig(mat, do_weight=do_weight, npcs=npcs, solver="full", seed=seed)
    return f


def stable_top_k(D, k):
    """The k largest per row; ties (to 1e-9) go to the lowest column."""
    c = D.tocoo()
    order = np.lexsort((c.col, -np.round(c.data, 9), c.row))
    row = c.row[order]
    first = np.r_[0, np.flatnonzero(np.diff(row)) + 1]
    rank = np.arange(row.size) - np.repeat(first, np.diff(np.r_[first, row.size]))
    keep = order[rank < k]
    out = sp.coo_matrix((c.data[keep], (c.row[keep], c.col[keep])), shape=c.shape)
    out.eliminate_zeros()
    return out


unique1d = cr.nb_unique1d


@njit
def stable_xi(X, Y):
    n = X.size
    Y = Y[np.argsort(X, kind="mergesort")]
    _, _, b, c = unique1d(Y)
    r = np.cumsum(c)[b]
    _, _, b, c = unique1d(-Y)
    left = np.cumsum(c)[b]
    den = 2 * (left * (n - left)).sum()
    return 1 - n * np.abs(np.diff(r)).sum() / den if den > 0 else 0.0


import samap.core.knn as knn_mod  # noqa: E402

knn_mod.approximate_knn = exact_cosine_knn
pr.approximate_knn = exact_cosine_knn
ex._bfs_expand_kernel = stable_bfs
sc_core.weighted_PCA = full_svd_pca(sc_core.weighted_PCA)
co.sparse_knn = stable_top_k
cr._xicorr = stable_xi


# ----------------------------------------------------------------------------- recording
class Tape:
    """Wraps internal functions and keeps what they return, in call order."""

    def __init__(self):
        self.calls = {}

    def wrap(self, module, name):
        f = getattr(module, name)
        def g(*a, **k):
            r = f(*a, **k)
            self.calls.setdefault(name, []).append(r)
            return r
        setattr(module, name, g)
        return f

    def take(self, name):
        return self.calls.pop(name, [])


TAPE = Tape()
plain_expand = co._smart_expand
def checked_expand(nnm, K, NH=3, **kw):
    out = plain_expand(nnm, K, NH=NH, **kw)
    check_bfs(nnm, K, NH, out)
    return out
co._smart_expand = checked_expand
for mod, nm in ((co, "_mapping_window_fast"), (co, "_smart_expand"), (co, "_compute_mutual_graph"), (cr, "_compute_pair_corrs"), (pr, "_compute_sigma")):
    TAPE.wrap(mod, nm)


def put(g, name, x):
    """Write arrays, sparse matrices (group with shape/indptr/indices/data), string arrays, frames, dicts."""
    if isinstance(x, dict):
        h = g.require_group(name)
        for k, v in x.items():
            put(h, str(k), v)
    elif sp.issparse(x):
        x = x.tocsr().copy(); x.sort_indices()
        h = g.create_group(name); h.attrs["format"] = "csr"; h.attrs["shape"] = x.shape
        h.create_dataset("indptr", data=x.indptr.astype("int64"), compression="gzip", compression_opts=9)
        h.create_dataset("indices", data=x.indices.astype("int32"), compression="gzip", compression_opts=9)
        h.create_dataset("data", data=x.data, compression="gzip", compression_opts=9)
    elif isinstance(x, pd.DataFrame):
        h = g.create_group(name); h.attrs["format"] = "frame"
        put(h, "index", np.asarray(x.index.astype(str)))
        put(h, "columns", np.asarray([";;".join(c) if isinstance(c, tuple) else str(c) for c in x.columns]))
        for i, c in enumerate(range(x.shape[1])):
            put(h, f"col{i}", np.asarray(x.iloc[:, c]))
    else:
        x = np.asarray(x)
        if x.dtype.kind in "OUS":
            g.create_dataset(name, data=np.asarray([str(v) for v in x.ravel()], dtype=object), dtype=h5py.string_dtype(), compression="gzip")
        elif x.ndim == 0:
            g.create_dataset(name, data=x)
        else:
            g.create_dataset(name, data=x, compression="gzip", compression_opts=9)


# ----------------------------------------------------------------------------- data
def read_baron(folder):
    hu = ad.read_h5ad(os.path.join(folder, "raw-Baron_human.h5ad"))
    ms = ad.read_h5ad(os.path.join(folder, "raw-Baron_mouse.h5ad"))
    out = {}
    for sid, a in (("hu", hu), ("ms", ms)):
        b = ad.AnnData(X=sp.csr_matrix(a.X).astype("float32"),
                       obs=pd.DataFrame({"cell_type": pd.Categorical(a.obs["cell_ontology_class"].astype(str)),
                                         "donor": pd.Categorical(a.obs["donor"].astype(str))}, index=a.obs_names.astype(str)),
                       var=pd.DataFrame(index=a.var_names.astype(str)))
        out[sid] = b
    m = pd.read_csv(os.path.join(folder, "gene_matches_human2mouse.csv"))
    m.columns = ["hu", "ms", "type", "goc", "coverage", "confidence"]
    m = m[m.hu.isin(out["hu"].var_names) & m.ms.isin(out["ms"].var_names)].drop_duplicates(["hu", "ms"]).reset_index(drop=True)
    # a bitscore-like weight from Ensembl's two alignment figures (0..100 each)
    m["weight"] = 100 + m.coverage.fillna(0) + m.goc.fillna(0)
    return out, m


def graph(ids, genes, pairs):
    """(gnnm, gns, gns_dict) as SAMAP(gnnm=...) takes it. pairs: rows (id1, g1, id2, g2, w)."""
    gns_dict = {s: np.array([f"{s}_{g}" for g in sorted(genes[s])]) for s in ids}
    gns = np.concatenate([gns_dict[s] for s in ids])
    ix = {g: i for i, g in enumerate(gns)}
    r, c, v = [], [], []
    for a, g, b, h, w in pairs:
        i, j = ix[f"{a}_{g}"], ix[f"{b}_{h}"]
        r += [i, j]; c += [j, i]; v += [w, w]
    m = sp.coo_matrix((v, (r, c)), shape=(gns.size,) * 2).tocsr()
    return m, gns, gns_dict


def write_maps(folder, a, b, rows, noise_seed=0):
    """BLAST -outfmt 6 tables in both directions, with duplicates (several HSPs), one-way hits and hits over the e-value threshold."""
    rng = np.random.default_rng(noise_seed)
    d = os.path.join(folder, a + b); os.makedirs(d, exist_ok=True)
    for x, y, flip in ((a, b, False), (b, a, True)):
        with open(os.path.join(d, f"{x}_to_{y}.txt"), "w") as f:
            for i, (g, h, w) in enumerate(rows):
                q, t = (h, g) if flip else (g, h)
                u = rng.random()
                score = round(w * (0.9 + 0.2 * rng.random()), 1)
                main = (q, t, 90.0, 100, 5, 0, 1, 100, 1, 100, "1e-3" if u < 0.02 else "1e-30", score)      # 2 % fail the e-value filter
                hits = [main]
                if u > 0.97:                               # 3 % are missing in one direction
                    hits = []
                elif 0.5 < u < 0.56:                       # 6 % have a second HSP, before or after the better one
                    second = (q, t, 55.0, 60, 9, 1, 1, 60, 1, 60, "1e-10", round(score * .4, 1))
                    hits = [second, main] if u < 0.53 else [main, second]
                if i % 16 == 0 and i + 7 < len(rows):      # weak homologues in both directions, for the 0.25 filter
                    g2, h2 = g, rows[i + 7][1]
                    q2, t2 = (h2, g2) if flip else (g2, h2)
                    hits.append((q2, t2, 30.0, 60, 40, 2, 1, 60, 1, 60, "1e-8", round(w * .15, 1)))
                for r in hits:
                    f.write("\t".join(map(str, r)) + "\n")


def small(data, matches, rng, n_cell, n_gene, split_human):
    """A few hundred cells and n_gene genes per species; with split_human, human donors 1,3 are 'hu' and 2,4 are 'hb'."""
    keep = {}
    hu, ms = data["hu"], data["ms"]
    groups = {"hu": hu, "ms": ms}
    if split_human:
        odd = hu.obs.donor.astype(str).str.contains("1|3").values
        groups = {"hu": hu[odd].copy(), "hb": hu[~odd].copy(), "ms": ms}
    for sid, a in groups.items():
        lab = a.obs.cell_type.astype(str).values
        pick = []
        for t in np.unique(lab):
            i = np.where(lab == t)[0]
            if i.size >= 6:
                pick.append(rng.permutation(i)[:n_cell])
        keep[sid] = a[np.sort(np.concatenate(pick))].copy()
    # genes: the most variable ones, so that real cell types stay separable; 80 % with a homologue, 20 % without
    def top(a, pool, n):
        x = a[:, pool].X.tocsr(); mu = np.asarray(x.mean(0)).ravel(); x2 = x.copy(); x2.data **= 2
        v = np.asarray(x2.mean(0)).ravel() - mu**2
        s = np.where(mu > 0, v / np.maximum(mu, 1e-9), 0)
        return list(np.asarray(pool)[np.argsort(-s, kind="stable")[:n]])
    mm = matches
    gh = top(keep["hu"], sorted(set(mm.hu)), int(n_gene * .8))
    gm = top(keep["ms"], sorted(set(mm.ms)), int(n_gene * .8))
    gh2 = sorted(set(gh) | set(mm.hu[mm.ms.isin(gm)])); gm2 = sorted(set(gm) | set(mm.ms[mm.hu.isin(gh)]))
    gh2 += top(keep["hu"], sorted(set(keep["hu"].var_names) - set(mm.hu)), int(n_gene * .2))
    gm2 += top(keep["ms"], sorted(set(keep["ms"].var_names) - set(mm.ms)), int(n_gene * .2))
    for sid in keep:
        g = set(gm2 if sid == "ms" else gh2)
        keep[sid] = keep[sid][:, [x for x in keep[sid].var_names if x in g]].copy()
    return keep


# ----------------------------------------------------------------------------- steps
def sam_steps(g, a, sid, full):
    """Preprocessing, the SAM run and the loadings SAMap projects through, for one species."""
    put(g, "counts", a.X)
    put(g, "genes", np.asarray(a.var_names)); put(g, "cells", np.asarray(a.obs_names))
    put(g, "cell_type", np.asarray(a.obs.cell_type.astype(str)))
    sam = SAM(a.copy())
    sam.preprocess_data(sum_norm="cell_median", norm="log", thresh_low=0.0, thresh_high=0.96, min_expression=1)
    put(g, "preprocess/means", sam.adata.var["means"].values); put(g, "preprocess/variances", sam.adata.var["variances"].values)
    put(g, "preprocess/mask_genes", sam.adata.var["mask_genes"].values.astype("uint8"))
    if full:
        put(g, "preprocess/X", sam.adata.X)
        for nm in ("ftt", "asin", "multinomial"):
            t = SAM(a.copy()); t.preprocess_data(sum_norm=None if nm == "multinomial" else "cell_median", norm=nm); put(g, f"preprocess_{nm}/X", t.adata.X)
            if nm == "multinomial":
                put(g, "preprocess_multinomial/X_disp", t.adata.layers["X_disp"])
            put(g, f"preprocess_{nm}/means", t.adata.var["means"].values)
        t = SAM(a.copy()); t.preprocess_data(sum_norm="gene_median", norm="log"); put(g, "preprocess_gene_median/X", t.adata.X)
        t = SAM(a.copy()); t.preprocess_data(sum_norm=1e4, norm="log"); put(g, "preprocess_10k/X", t.adata.X)
    ws = []
    orig = sam.calculate_nnm
    def rec(*x, **k):
        w = orig(*x, **k); ws.append(np.asarray(w).copy() if not isinstance(w, tuple) else None); return w
    sam.calculate_nnm = rec
    sam.run(preprocessing="StandardScaler", npcs=100, weight_PCs=False, k=20, n_genes=3000, weight_mode="rms")
    sam.calculate_nnm = orig
    put(g, "sam/weights_per_iteration", np.vstack(ws)); put(g, "sam/weights", sam.adata.var["weights"].values)
    put(g, "sam/connectivities", sam.adata.obsp["connectivities"]); put(g, "sam/distances", sam.adata.obsp["distances"])
    if full:
        for wm in ("dispersion", "variance", "rms", "combined"):
            put(g, f"sam/dispersion_ranking/{wm}", sam.dispersion_ranking_NN(weight_mode=wm))
        put(g, "sam/X_pca", sam.adata.obsm["X_pca"].astype("float32"))
        for nm, kw in {"normalizer": dict(preprocessing="Normalizer"), "weight_pcs": dict(weight_PCs=True), "sparse_pca": dict(sparse_pca=True),
                       "combined": dict(weight_mode="combined"), "dispersion": dict(weight_mode="dispersion")}.items():
            t = SAM(a.copy()); t.preprocess_data(sum_norm="cell_median", norm="log")
            arg = dict(preprocessing="StandardScaler", npcs=50, k=15, n_genes=800, weight_mode="rms"); arg.update(kw)
            t.run(**arg); put(g, f"sam_variants/{nm}/weights", t.adata.var["weights"].values)
    pr.prepare_SAMap_loadings(sam)
    if full:
        put(g, "PCs_SAMap", sam.adata.varm["PCs_SAMap"])
    return sam


def run_mapping(g, sams, gnnm, ids, keys, steps, **kw):
    """One SAMAP run; with steps, every intermediate of every iteration."""
    sams = {s: SAM(sams[s].adata.copy()) for s in ids}
    graph_copy = (gnnm[0].copy(), gnnm[1].copy(), {s: v.copy() for s, v in gnnm[2].items()})
    sm = SAMAP(sams, gnnm=graph_copy, keys=keys, save_processed=False, backend="cpu")
    put(g, "homology_genes", sm.gns); put(g, "homology_graph", sm.gnnm)
    names = dict(K=kw.get("cross_species_k", 20))
    for k, v in {**names, **{a: str(b) for a, b in kw.items()}}.items():
        g.attrs[k] = v
    for nm in list(TAPE.calls):
        TAPE.take(nm)
    n_it = kw.pop("n_iterations", 3)
    sm.run(umap=False, n_iterations=n_it, **kw)
    put(g, "connectivities", sm.samap.adata.obsp["connectivities"])
    if sm.smap.GNNMS_corr:
        put(g, "homology_graph_reweighted", sm.smap.GNNMS_corr[-1])
    win, exp, mut, cor, sig = (TAPE.take(x) for x in ("_mapping_window_fast", "_smart_expand", "_compute_mutual_graph", "_compute_pair_corrs", "_compute_sigma"))
    pairs = [(a, b) for a in ids for b in ids if a != b]
    put(g, "species", np.asarray(sm.samap.adata.obs["species"]))
    if steps:
        for i in range(n_it):
            h = g.create_group(f"iteration{i + 1}")
            put(h, "gnnm_pruned", sm.smap.GNNMS_pruned[i]); put(h, "cross_knn", win[i]["knn"])
            if steps == "all":
                if i == 0:
                    put(h, "wpca", win[i]["wPCA"].astype("float32"))
                for q, (a, b) in enumerate(pairs):
                    put(h, f"sigma/{a};{b}", sig[i * len(pairs) + q])
                for j, s in enumerate([s for s in ids if not (kw.get("neigh_from_keys") or {}).get(s)]):
                    n = len([s for s in ids if not (kw.get("neigh_from_keys") or {}).get(s)])
                    put(h, f"expanded/{s}", exp[i * n + j])
                put(h, "gnnm_scaled", win[i]["gnnm_corr"])
            put(h, "mutual", mut[i]); put(h, "connectivities", sm.smap.GNNMS_nnm[i])
            if i < len(sm.smap.GNNMS_corr):
                put(h, "gnnm_refined", sm.smap.GNNMS_corr[i])
    return sm


def analysis(g, sm, keys, orth, deep):
    D, M = sc.get_mapping_scores(sm, keys, n_top=0)
    put(g, "mapping_scores", M); put(g, "mapping_scores_table", D)
    put(g, "mapping_scores_top5", sc.get_mapping_scores(sm, keys, n_top=5)[1])
    f = gp.GenePairFinder(sm, keys=keys)
    for s in sm.ids:
        put(g, f"markers/{s}/scores", sm.sams[s].adata.varm[keys[s] + "_scores"]); put(g, f"markers/{s}/pvals", sm.sams[s].adata.varm[keys[s] + "_pvals"])
    tab = f.find_all(align_thr=0.2)
    put(g, "gene_pairs", tab)
    if deep:
        best = M.stack().idxmax()
        G, G1, G2, p1, p2 = f.find_genes(*best)
        put(g, "find_genes/pair", np.array(best)); put(g, "find_genes/gene_pairs", G); put(g, "find_genes/pval1", p1); put(g, "find_genes/pval2", p2)
        put(g, "find_genes/score_names", np.asarray(f.gene_pair_scores.index)); put(g, "find_genes/scores", f.gene_pair_scores.values)
        try:
            put(g, "paralog_substitutions", sc.ParalogSubstitutions(sm, orth, psub_thr=0.1))
        except (IndexError, ValueError) as e:   # the reference fails where no substitution survives
            g.attrs["paralog_substitutions_error"] = str(e)
        if len(sm.ids) == 3:
            put(g, "cell_type_triangles", sc.CellTypeTriangles(sm, keys, align_thr=0.2))
            put(g, "gene_triangles", sc.GeneTriangles(sm, orth, keys=keys, corr_thr=0.2))
        # functional enrichment with a synthetic annotation: term = first letter of the gene symbol (upper case)
        dfs = {s: pd.DataFrame({"term": [x.split("_", 1)[1][0].upper() for x in sm.sams[s].adata.var_names]}, index=[x.split("_", 1)[1] for x in sm.sams[s].adata.var_names]) for s in sm.ids}
        fe = en.FunctionalEnrichment(sm, dfs, "term", keys, align_thr=0.2)
        a, b, c = fe.calculate_enrichment()
        put(g, "enrichment/neglog10p", a); put(g, "enrichment/n_genes", b)


def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--came", required=True); ap.add_argument("--out", required=True)
    ap.add_argument("--which", default="small2,small3,baron")
    o = ap.parse_args()
    os.makedirs(o.out, exist_ok=True)
    data, matches = read_baron(o.came)
    keys_of = lambda ids: dict.fromkeys(ids, "cell_type")
    for which in o.which.split(","):
        t = time.time()
        fn = os.path.join(o.out, f"{which}.h5")
        with h5py.File(fn, "w") as f:
            f.attrs["reference"] = "sc-samap 3.0.1, exact kNN, full SVD, stable BFS ties"
            if which == "baron":
                ids = ["hu", "ms"]; sets = data; full = False
                genes = {"hu": set(matches.hu), "ms": set(matches.ms)}
                pairs = [("hu", a, "ms", b, w) for a, b, w in zip(matches.hu, matches.ms, matches.weight)]
            else:
                ids = ["hu", "ms"] if which == "small2" else ["hu", "hb", "ms"]; full = True
                sets = small(data, matches, np.random.default_rng(1), 45, 900, which == "small3")
                m = matches[matches.hu.isin(sets["hu"].var_names) & matches.ms.isin(sets["ms"].var_names)]
                pairs = [("hu", a, "ms", b, w) for a, b, w in zip(m.hu, m.ms, m.weight)]
                if which == "small3":
                    both = sorted(set(sets["hu"].var_names) & set(sets["hb"].var_names))
                    pairs += [("hb", a, "ms", b, w) for a, b, w in zip(m.hu, m.ms, m.weight)] + [("hu", x, "hb", x, 300.0) for x in both]
                genes = {s: sorted({g for p in pairs for g in ((p[1],) if p[0] == s else ()) + ((p[3],) if p[2] == s else ())}) for s in ids}
            gnnm = graph(ids, genes, pairs)
            put(f, "homology/genes", gnnm[1]); put(f, "homology/graph", gnnm[0])
            if which != "baron":
                from samap.core.homology import _calculate_blast_graph, _coarsen_blast_graph, _filter_gnnm
                mdir = os.path.join(o.out, "maps_" + which) + "/"
                for i, a in enumerate(ids):
                    for b in ids[i + 1:]:
                        write_maps(mdir, a, b, [(p[1], p[3], p[4]) for p in pairs if p[0] == a and p[2] == b])
                bg = _calculate_blast_graph(ids, f_maps=mdir, reciprocate=True)
                put(f, "blast/raw", {"graph": bg[0], "genes": bg[1]}); put(f, "blast/filtered_0.25", _filter_gnnm(bg[0], thr=0.25))
                # transcript-to-gene coarsening: genes sharing their first four letters become one gene
                names = {"hu": [(x.split("_", 1)[1], x.split("_", 1)[1][:4]) for x in bg[2]["hu"]]}
                cg = _coarsen_blast_graph(bg[0], bg[1], names); put(f, "blast/coarsened", {"graph": cg[0], "genes": cg[2]})
            sams = {}
            for s in ids:
                sams[s] = sam_steps(f.create_group(f"species/{s}"), sets[s], s, full)
            keys = keys_of(ids)
            sm = run_mapping(f.create_group("mapping/default"), sams, gnnm, ids, keys, "all" if full else "some")
            o2 = matches if which == "baron" else m
            # "orthologs": the best partner of every human gene; its other homologues are then paralogs
            best = o2.sort_values(["hu", "weight", "ms"], ascending=[True, False, True]).drop_duplicates("hu")
            orth = np.array([[f"hu_{a}", f"ms_{b}"] for a, b in zip(best.hu, best.ms)])
            if which == "small3":
                orth = np.vstack([orth, [[f"hb_{a[3:]}", b] for a, b in orth], [[f"hu_{x}", f"hb_{x}"] for x in both]])
            put(f, "orthologs", orth.ravel())
            analysis(f.create_group("analysis/default"), sm, keys, orth, True)
            if full:
                V = {"not_pairwise": dict(pairwise=False), "no_corr_scaling": dict(scale_edges_by_corr=False, hom_edge_thr=0.2),
                     "neigh_from_keys": dict(neigh_from_keys={s: s == ids[0] for s in ids}), "xi": dict(hom_edge_mode="xi", n_iterations=2),
                     "k10_nh1": dict(cross_species_k=10, neighborhood_sizes=dict.fromkeys(ids, 1)), "gene_chunks": dict(n_gene_chunks=3)}
                for nm, kw in V.items():
                    run_mapping(f.create_group(f"mapping/{nm}"), sams, gnnm, ids, keys, "some" if nm in ("no_corr_scaling", "xi", "neigh_from_keys") else None, **kw)
        print(which, f"{time.time() - t:.0f} s", f"{os.path.getsize(fn) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
