"""Reference results of harmonypy 0.0.10 for core/src/sam/harmony.rs.

Usage: python harmony.py --from sc-samap-3.0.1/small2.h5 --out harmonypy-0.0.10/harmony.h5   (harmonypy==0.0.10, h5py)

Input: the first 20 principal components of the human cells of small2, with the donors as batches and a shift added to one of them.
  * `given`: from recorded initial centroids, and with cells updated in the order that our generator (SplitMix64, rng.rs) draws. Nothing
    is left to chance, so every step has to agree.
  * `own`: as harmonypy starts by itself (k-means of scikit-learn, numpy's shuffle).
"""
import argparse
import os

import h5py
import harmonypy
import numpy as np
import pandas as pd

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
ORDER = 0x6861726D


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Shuffle:
    """In place of numpy.random.shuffle: the orders of rng.rs, one for each round."""

    def __init__(self, seed):
        self.seed, self.round = seed, 0

    def __call__(self, order):
        state = mix((mix(mix((self.seed + GOLDEN) & MASK) ^ ORDER) + GOLDEN & MASK) ^ self.round)
        self.round += 1
        for i in range(len(order) - 1, 0, -1):
            state = (state + GOLDEN) & MASK
            j = (mix(state) * (i + 1)) >> 64
            order[i], order[j] = order[j], order[i]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="source", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    with h5py.File(arguments.source) as file:
        pcs = file["species/hu/sam/X_pca"][:, :20].astype(np.float64)
        cells = [name.decode() for name in file["species/hu/cells"][:]]
    donors = np.array([name.split("_")[0] for name in cells])
    # Cells of a batch side by side, as our implementation has them inside.
    order = np.argsort(donors, kind="stable")
    pcs, donors = pcs[order], donors[order]
    ids = np.unique(donors, return_inverse=True)[1]
    pcs[ids == 1, :3] += pcs.std(axis=0)[:3]
    meta = pd.DataFrame({"donor": donors})

    def run(**settings):
        return harmonypy.run_harmony(pcs, meta, "donor", theta=2, lamb=1, verbose=False, **settings).Z_corr.T

    own = run()
    centroids = []

    def kmeans(data, k):
        centroids.append(harmonypy.harmony.Harmony._cluster_kmeans(data, k, 0))
        return centroids[0]

    shuffle = np.random.shuffle
    np.random.shuffle = Shuffle(0)
    given = run(cluster_fn=kmeans)
    np.random.shuffle = shuffle
    os.makedirs(os.path.dirname(arguments.out), exist_ok=True)
    with h5py.File(arguments.out, "w") as file:
        tables = {"z": pcs, "batch": ids.astype(np.uint32), "centroids": centroids[0], "given": given, "own": own}
        for name, values in tables.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


if __name__ == "__main__":
    main()
