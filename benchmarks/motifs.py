"""Planted motifs: does a network label them base by base, and does the analysis of the network recover them?

    python benchmarks/motifs.py --minutes 4 --out OUT

Random sequences (1/4 of each base) contain GATTACA and sites of four motifs of JASPAR, each drawn from its matrix, at
random positions on random strands. A network learns which motif a base belongs to; copies of GATTACA that occur by
chance have its label too. Metrics are those of held-out sequences. The column "ceiling" is the average precision of the
model that generated the sequences (the posterior probability of a site at every base, from the true matrices and
rates): no network can be expected to do better.
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
from sklearn.metrics import average_precision_score

from atrous.analysis import Motifs, jaspar, motifs
from atrous.analysis.motif import LETTERS, PSEUDO, Motif
from atrous.analysis.similarity import RELEASE, nearest
from atrous.prediction.predictor import load
from atrous.verbs.train import train

GATTACA = "GATTACA"
PLANTED = ("MA0138.3", "MA0088.2", "MA0509.3", "MA0083.3")  # REST, ZNF143, RFX1, SRF: 21 to 23 bits each
LENGTH, EVERY = 4000, 400  # bases of a sequence; bases to one site of each motif
SETTINGS = (
    "model.name=unet", "model.encoder=resnet", "model.depth=10", "model.strides=[2,2,2]", "model.stem=19",
    "model.encoder_width=48", "model.width=48", "augment.scale=[1,1]", "augment.noise=0", "augment.brightness=0",
    "augment.contrast=0", "augment.foreground=0.5", "train.crop=[1000]", "train.batch_size=8", "train.validations=6",
    "train.learning_rate=3e-3",
)  # fmt: skip


def planted_motifs() -> list[Motif]:
    """Return GATTACA and the four motifs of JASPAR."""
    word = Motif(GATTACA, np.eye(4)[[LETTERS.index(base) for base in GATTACA]].T * 1000.0, "planted")
    known = {motif.source: motif for motif in jaspar()}
    return [word, *(known[number] for number in PLANTED)]


def probabilities(motif: Motif) -> np.ndarray:
    """Return the frequencies `(4, width)` that sites are drawn from; GATTACA has no other letters."""
    if motif.source == "planted":
        return motif.counts / motif.counts.sum(0)
    return (motif.counts + PSEUDO) / (motif.counts + PSEUDO).sum(0)


def sequence(rng: np.random.Generator, known: list[Motif]) -> tuple[np.ndarray, np.ndarray]:
    """Return one sequence: letters `(L,)`, 0 to 3, and labels `(L,)`, 0 or the number of the motif, counted from 1."""
    letters, labels = rng.integers(0, 4, LENGTH), np.zeros(LENGTH, np.uint8)
    for _ in range(LENGTH // EVERY):
        for number, motif in enumerate(known, 1):
            table = probabilities(motif)
            site = np.array([rng.choice(4, p=column) for column in table.T])
            site = site if rng.random() < 0.5 else 3 - site[::-1]
            starts = rng.integers(0, LENGTH - motif.width, 50)
            free = [start for start in starts if not labels[start : start + motif.width].any()]
            if free:
                letters[free[0] : free[0] + motif.width] = site
                labels[free[0] : free[0] + motif.width] = number
    word = np.array([LETTERS.index(base) for base in GATTACA])
    for copy in (word, 3 - word[::-1]):
        windows = np.lib.stride_tricks.sliding_window_view(letters, len(copy))
        for start in np.flatnonzero((windows == copy).all(1)):
            part = labels[start : start + len(copy)]
            part[part == 0] = 1
    return letters, labels


def write(root: Path, known: list[Motif], counts: dict[str, int], seed: int) -> Path:
    """Write the data set, one-hot signals `(4, L)` with a label per base, and return its folder."""
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        (root / split).mkdir(parents=True)
        for i in range(count):
            letters, labels = sequence(rng, known)
            np.savez(root / split / f"{i:03d}.npz", signal=np.eye(4, dtype=np.float32)[letters].T, label=labels)
    names = ", ".join(f'"{name}"' for name in ("none", *(motif.name for motif in known)))
    (root / "dataset.toml").write_text(f"classes = [{names}]\n")
    return root


def ceiling(letters: np.ndarray, known: list[Motif]) -> np.ndarray:
    """Return the probability of each motif at each base, `(5, L)`, by the model that generated the sequence."""
    odds = np.zeros((len(known), 2, len(letters)))
    for k, motif in enumerate(known):
        table = np.log(np.maximum(probabilities(motif), 1e-9) / 0.25)
        rate = 1 / (2 * EVERY) + (1 / 4**7 if motif.source == "planted" else 0)
        for strand, scores in enumerate((table, table[::-1, ::-1])):
            windows = np.lib.stride_tricks.sliding_window_view(letters, motif.width)
            odds[k, strand, : len(windows)] = rate * np.exp(scores[windows, np.arange(motif.width)].sum(1))
    covering = np.zeros((len(known), len(letters)))
    for k, motif in enumerate(known):
        both = odds[k].sum(0)
        covering[k] = np.convolve(both, np.ones(motif.width))[: len(letters)]
    return covering / (1 + covering.sum(0))


def recovery(
    planted: Motif, result: Motifs, known: list[Motif], database: list[Motif]
) -> tuple[dict[str, object], str]:
    """Compare a planted motif with the one that the analysis found for its class; return a JSON row and text."""
    found = next((motif for motif in result.motifs if motif.name == planted.name), None)
    if found is None:
        return {}, "nothing"
    best, near = nearest(found, known, 1)[0], nearest(found, [known[0], *database], 1)[0]
    row: dict[str, object] = {"found": found.consensus, "sites": found.sites, "similarity": best.similarity}
    row |= {"recovered": best.target is planted, "jaspar": near.target.name, "jaspar_id": near.target.source}
    text = f"{found.consensus} ({found.sites})  {best.target.name} {best.similarity:.3f}, "
    return row, text + f"{near.target.name} {near.target.source} {near.similarity:.3f}"


def precisions(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    """Return the average precision of each motif, given labels `(L,)` and probabilities `(motifs, L)`."""
    return [float(average_precision_score(labels == k, row)) for k, row in enumerate(scores, 1)]


def measure(data: Path, run: Path, known: list[Motif]) -> list[dict[str, object]]:
    """Print the precision and the recovered motif for every planted motif, and return them as rows."""
    predictor, predictions, ceilings, truth, sequences = load(run, dtype=torch.float32), [], [], [], []
    for path in sorted((data / "val").glob("*.npz")):
        with np.load(path) as file:
            signal, label = file["signal"], file["label"]
        predicted = predictor.predict(signal, probabilities=True).probabilities
        assert predicted is not None
        predictions.append(predicted[1:])
        ceilings.append(ceiling(signal.argmax(0), known))
        truth.append(label)
        sequences.append(signal)
    labels = np.concatenate(truth)
    precision = precisions(labels, np.concatenate(predictions, 1))
    limit = precisions(labels, np.concatenate(ceilings, 1))
    result = motifs(predictor.network, sequences, classes=("none", *(motif.name for motif in known)))
    database, rows = list(jaspar()), []
    print(f"{'motif':10s} {'AP':>7s} {'ceiling':>8s}  found (sites)  nearest planted, nearest of {RELEASE}")
    for motif, value, most in zip(known, precision, limit, strict=True):
        row, text = recovery(motif, result, known, database)
        rows.append({"motif": motif.name, "id": motif.source, "average_precision": value, "ceiling": most} | row)
        print(f"{motif.name:10s} {value:7.4f} {most:8.4f}  {text}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--epochs", type=float, help="length of the training in epochs, instead of minutes")
    parser.add_argument("--train", type=int, default=80, help="sequences of 4000 bases")
    parser.add_argument("--val", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the data and the run; a temporary one by default")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    known = planted_motifs()
    data = write(out / "data", known, {"train": options.train, "val": options.val}, options.seed)
    start = time.time()
    length = {"minutes": options.minutes} if options.epochs is None else {"epochs": options.epochs}
    train(data, out=out / "run", **length, seed=options.seed, settings=SETTINGS)
    seconds = time.time() - start
    rows = measure(data, out / "run", known)
    precision: list[Any] = [row["average_precision"] for row in rows]
    result = {
        "benchmark": "motifs",
        "mean_average_precision": float(np.mean(precision)),
        "motifs": rows,
        "passed": min(precision) >= 0.95 and all(row.get("recovered") for row in rows),
        "train_seconds": seconds,
        "train_bases": options.train * LENGTH,
        "val_bases": options.val * LENGTH,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
