"""Unpacks the pancreas pair of the PyPI package came 0.1.13 into plain files for pancreas.R.

Usage: python pancreas.py --came DIR --out DIR

DIR of --came holds the files inside came/sample_data.zip. Needs anndata. For each species <id> it writes <id>.mtx (genes × cells),
<id>-genes.txt, <id>-cells.csv (barcode, cell_type, donor), and homology.csv for both.
"""
import argparse
from pathlib import Path

import anndata
import pandas as pd
import scipy.io
import scipy.sparse


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--came", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    genes = {}
    for species in ("human", "mouse"):
        atlas = anndata.read_h5ad(options.came / f"raw-Baron_{species}.h5ad")
        genes[species] = set(atlas.var_names)
        counts = scipy.sparse.csr_matrix(atlas.X).T.tocoo().astype("int32")
        scipy.io.mmwrite(options.out / f"{species}.mtx", counts)
        (options.out / f"{species}-genes.txt").write_text("\n".join(atlas.var_names) + "\n")
        pd.DataFrame({
            "barcode": atlas.obs_names.astype(str),
            "cell_type": atlas.obs["cell_ontology_class"].astype(str).to_numpy(),
            "donor": atlas.obs["donor"].astype(str).to_numpy(),
        }).to_csv(options.out / f"{species}-cells.csv", index=False)

    pairs = pd.read_csv(options.came / "gene_matches_human2mouse.csv")
    pairs.columns = ["gene_a", "gene_b", "type", "order", "coverage", "confidence"]
    known = pairs.gene_a.isin(genes["human"]) & pairs.gene_b.isin(genes["mouse"])
    pairs = pairs[known].drop_duplicates(["gene_a", "gene_b"])
    # A weight on the scale of bit scores from Ensembl's two alignment figures (0 to 100 each; a missing one counts 0).
    pairs["weight"] = 100 + pairs.coverage.fillna(0) + pairs.order.fillna(0)
    pairs[["gene_a", "gene_b", "weight"]].to_csv(options.out / "homology.csv", index=False)


if __name__ == "__main__":
    main()
