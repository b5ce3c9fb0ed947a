"""A planted signal along sequences: does a regression learn the strength of motifs, base by base?

    python benchmarks/tracks.py --minutes 10

Random sequences (1/4 of each base) contain sites of two motifs of JASPAR, drawn from their matrices, on random strands.
The signal of a motif at a base is the log-odds score in bits (matrix against equal bases) of the best match on either
strand that covers the base, 0 where no match scores above 0, smoothed by a Hann window. Signals are bigWig files beside
FASTA, one for each motif, and a network learns both as numbers (`task = "regression"`).

The sequences that are measured are a test split: they were neither trained on, nor used to choose the weights. The
column "GC" is what a track of the share of G and C around each base would reach, for comparison: composition alone.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.analysis import jaspar
from atrous.analysis.motif import LETTERS, Motif
from atrous.data.genomes.tracks import new_track
from atrous.verbs.evaluate import evaluate
from atrous.verbs.train import train

PLANTED = {"srf": "MA0083.3", "rest": "MA0138.3"}
BAR = 0.9
"""Pearson correlation of every signal."""
WINDOW = 31
"""Bases of the smoothing window."""


def log_odds(motif: Motif) -> np.ndarray:
    """Return the scores `(4, width)` in bits of the letters A, C, G, T at every place of a motif."""
    return np.log2(motif.frequencies / 0.25)


def strength(letters: np.ndarray, motif: Motif) -> np.ndarray:
    """Return the signal `(L,)` float32 of a motif along letters `(L,)`, 0 to 3."""
    table, width = log_odds(motif), motif.width
    windows = np.lib.stride_tricks.sliding_window_view(letters, width)
    strands = (table, table[::-1, ::-1])
    best = np.maximum(*(scores[windows, np.arange(width)].sum(1) for scores in strands))
    padded = np.pad(best, width - 1, constant_values=-np.inf)
    covering = np.lib.stride_tricks.sliding_window_view(padded, width).max(1)  # of the sites that cover each base
    kernel = np.hanning(WINDOW + 2)[1:-1]
    return np.convolve(np.maximum(covering, 0), kernel / kernel.sum(), "same").astype(np.float32)


def sequence(rng: np.random.Generator, length: int, every: int, known: list[Motif]) -> np.ndarray:
    """Return letters `(length,)`, 0 to 3, with a site of each motif in `every` bases on average."""
    letters = rng.integers(0, 4, length)
    for motif in known:
        for start in rng.integers(0, length - motif.width, length // every):
            site = np.array([rng.choice(4, p=column) for column in motif.frequencies.T])
            letters[start : start + motif.width] = site if rng.random() < 0.5 else 3 - site[::-1]
    return letters


def write(root: Path, counts: dict[str, int], length: int, every: int, seed: int) -> Path:
    """Write the data set, a FASTA file and the bigWig files in each split folder, and return its folder."""
    rng, by_number = np.random.default_rng(seed), {motif.source: motif for motif in jaspar()}
    known = {name: by_number[number] for name, number in PLANTED.items()}
    for split, count in counts.items():
        (root / split).mkdir(parents=True)
        made = {f"{split}{i}": sequence(rng, length, every, list(known.values())) for i in range(count)}
        lines = [f">{name}\n{''.join(LETTERS[letter] for letter in letters)}\n" for name, letters in made.items()]
        (root / split / "random.fa").write_text("".join(lines))
        for track, motif in known.items():
            file = new_track(root / split / f"random.{track}.bw")
            file.addHeader([(name, length) for name in made])
            for name, letters in made.items():
                file.addEntries(name, 0, values=strength(letters, motif).astype(float).tolist(), span=1, step=1)
            file.close()
    (root / "dataset.toml").write_text('task = "regression"\n')
    return root


def composition(data: Path) -> dict[str, float]:
    """Return the absolute Pearson correlation of each signal of the test split with the share of G and C near by."""
    from atrous.data.dataset import open_dataset

    dataset = open_dataset(data)
    images = [np.asarray(sample.image.load()[...]) for sample in dataset.splits["test"]]
    values = np.concatenate([sample.target.read() for sample in dataset.splits["test"] if sample.target], axis=1)
    share = np.concatenate([np.convolve(image[1] + image[2], np.ones(WINDOW) / WINDOW, "same") for image in images])
    return {name: abs(float(np.corrcoef(share, row)[0, 1])) for name, row in zip(dataset.outputs, values, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the training")
    parser.add_argument("--epochs", type=float, help="length of the training in epochs, instead of minutes")
    parser.add_argument("--train", type=int, default=40, help="sequences to train on")
    parser.add_argument("--val", type=int, default=6, help="sequences that choose the weights")
    parser.add_argument("--test", type=int, default=10, help="sequences that are measured")
    parser.add_argument("--length", type=int, default=24_570, help="bases of a sequence")
    parser.add_argument("--every", type=int, default=300, help="bases to one site of each motif")
    parser.add_argument("--set", action="append", default=[], help="a key of the recipe, such as model.width=64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the data and the run; a temporary one by default")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    counts = {"train": options.train, "val": options.val, "test": options.test}
    data = write(out / "data", counts, options.length, options.every, options.seed)
    start = time.time()
    length = {"minutes": options.minutes} if options.epochs is None else {"epochs": options.epochs}
    trained = train(data, out=out / "run", **length, seed=options.seed, settings=options.set)
    seconds = time.time() - start
    found = evaluate(trained.run.folder, data, split="test").scores.values
    baseline = composition(data)
    rows: dict[str, dict[str, Any]] = {}
    print(f"{'signal':8s} {'Pearson':>8s} {'Spearman':>9s} {'R2':>7s} {'MAE':>7s} {'RMSE':>7s} {'GC':>7s}")
    for name in PLANTED:
        row = {metric: found[f"{metric}_{name}"] for metric in ("pearson", "spearman", "r2", "mae", "rmse")}
        rows[name] = row | {"gc": baseline[name]}
        print(
            f"{name:8s} {row['pearson']:8.4f} {row['spearman']:9.4f} {row['r2']:7.4f} {row['mae']:7.3f} "
            f"{row['rmse']:7.3f} {baseline[name]:7.4f}"
        )
    result = {
        "benchmark": "tracks",
        "pearson": min(row["pearson"] for row in rows.values()),
        "bar": BAR,
        "passed": bool(min(row["pearson"] for row in rows.values()) >= BAR),
        "signals": rows,
        "train_seconds": seconds,
        "steps": trained.outcome.step,
        "train_bases": options.train * options.length,
        "test_bases": options.test * options.length,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
