"""Gene finding in held-out genomes: stranded per-base F1 of coding sequence compared with Pyrodigal, and time for 5 Mb.

    python -m benchmarks.genomes ../shared/data/genomes                  # trains for 20 minutes, then measures
    python -m benchmarks.genomes ../shared/data/genomes --run runs/genes # uses a run that was trained on this split

Held out from training are E. coli K-12 (NC_000913), Mycoplasma mycoides GM12 (GCF_000023685.1, genetic code 4) and the
phages NC_019724 and NC_070914. They are the validation split: the weights of the run are chosen on them, but nothing
else is. Pyrodigal (GPL, no dependency: pip install pyrodigal) runs as its users run it: trained on the genome itself,
or in meta mode on genomes that are too short (the phages); with translation table 4 for Mycoplasma. The benchmark also
compares the logits of streams, with strips of several lengths, with those of one forward pass.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.dataset import Dataset, open_dataset
from atrous.data.genomes.labels import CODING
from atrous.data.genomes.letters import NAMES
from atrous.data.sample import Sample
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import Predictor, load
from atrous.stream import stream
from atrous.tasks.stranded_metrics import StrandedMetrics, StrandedScores

HELD_OUT = {
    "NC_000913": "E. coli K-12",
    "GCF_000023685.1": "Mycoplasma mycoides",
    "NC_019724": "Escherichia phage HK578",
    "NC_070914": "Yersinia phage 201.16",
}
TABLES = {"GCF_000023685.1": 4}
SHORT = 100_000
"""Number of bases below which Pyrodigal cannot be trained on the sequence itself."""
STRIPS = (24_576, 98_304, 393_216)
LONGEST = 600_000
"""Number of bases on which streams are compared with one forward pass."""


def trained(data: Path, minutes: float, out: Path, toml: Path) -> Path:
    from atrous.verbs.train import train

    return train(data, out=out, minutes=minutes, description=toml, say=print).run.folder


def letters(sample: Sample) -> str:
    codes = np.asarray(sample.image.load().codes[:])
    table = np.array([NAMES.get(code, "N") for code in range(16)])
    return "".join(table[codes])


def pyrodigal_probabilities(sample: Sample, genome: str) -> np.ndarray:
    """Return zeros and ones `(2, L)`: which bases are coding on either strand according to Pyrodigal."""
    try:
        import pyrodigal  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("the benchmark compares with Pyrodigal: pip install pyrodigal")
    text = letters(sample)
    meta = len(text) < SHORT
    finder: Any = pyrodigal.GeneFinder(meta=meta)
    if not meta:
        finder.train(text, translation_table=TABLES.get(genome, 11))
    coding_bases = np.zeros((2, len(text)), np.float32)
    for gene in finder.find_genes(text):
        coding_bases[0 if gene.strand == 1 else 1, gene.begin - 1 : gene.end] = 1
    return coding_bases


def coding(dataset: Dataset) -> list[int]:
    return [dataset.classes.index(f"{CODING}{strand}") for strand in "+-"]


def scored(dataset: Dataset, sample: Sample, probabilities: np.ndarray) -> StrandedScores:
    """Return the scores of the two channels of coding sequence, given probabilities `(2, L)`."""
    rows = coding(dataset)
    assert sample.target is not None
    labels = np.asarray(sample.target.read())
    bits = sum((((labels >> row) & 1) << place for place, row in enumerate(rows)), np.zeros_like(labels))
    bits[labels & 0xFF == 0xFF] = 0xFF
    metrics = StrandedMetrics(tuple(dataset.classes[row] for row in rows))
    metrics.update(sample.name, torch.from_numpy(probabilities), torch.from_numpy(bits.astype(np.int32)))
    return metrics.result(0.0)


def seconds_to_predict(predictor: Predictor, fasta: Path, folder: Path) -> float:
    """Wall time from the FASTA file to the GFF3 file."""
    jobs = find_jobs(predictor, [fasta], folder / "genes.gff3")
    start = time.perf_counter()
    done = run_jobs(predictor, jobs, folder)
    assert not done.failed, done.failed
    return time.perf_counter() - start


def strips_compared(predictor: Predictor, sample: Sample) -> list[dict[str, Any]]:
    """Greatest difference of the logits, and sets of labels that differ, from one forward pass of the whole."""
    image = np.asarray(sample.image.load()[:, :LONGEST])
    whole = predictor.output(image)[0]
    labels = predictor.task.decode(whole[None])
    standardized, rows = predictor.standardized(image), []
    for strip in STRIPS:
        streamed = torch.from_numpy(stream(predictor.inner, standardized, strip=strip))
        rows.append({
            "strip": strip,
            "difference": float((streamed - whole).abs().max() / whole.abs().max()),
            "labels": int((predictor.task.decode(streamed[None]) != labels).sum()),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, help="a run that was trained on this split")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=Path("runs/genes"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        toml = Path(scratch, "dataset.toml")
        toml.write_text(f"splits = {{ val = {json.dumps(list(HELD_OUT))} }}\n")
        run = options.run or trained(options.data, options.minutes, options.out, toml)
        dataset, predictor = open_dataset(options.data, toml), load(run)
        rows = coding(dataset)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {predictor.dtype}")
        print(f"{'held-out genome':28}{'bases':>12}{'atrous F1':>12}{'s':>8}{'Pyrodigal F1':>15}{'s':>8}")
        results: list[dict[str, Any]] = []
        for sample in dataset.splits["val"]:
            genome = next(name for name in HELD_OUT if sample.image.path.name.startswith(name))
            start = time.perf_counter()
            probabilities = predictor.task.probabilities(predictor.output(sample.image.load()))[0].numpy()[rows]
            middle = time.perf_counter()
            peer = pyrodigal_probabilities(sample, genome)
            end = time.perf_counter()
            ours, theirs = scored(dataset, sample, probabilities), scored(dataset, sample, peer)
            row = {
                "genome": genome,
                "bases": probabilities.shape[1],
                "ours": ours.features[CODING],
                "peer": theirs.features[CODING],
            }
            row |= {"seconds": middle - start, "peer_seconds": end - middle}
            results.append(row)
            print(
                f"{HELD_OUT[genome]:28}{row['bases']:12,}{row['ours']['f1']:12.4f}{row['seconds']:8.1f}"
                f"{row['peer']['f1']:15.4f}{row['peer_seconds']:8.1f}",
                flush=True,
            )
        largest = max(dataset.splits["val"], key=lambda sample: sample.image.load().shape[1])
        seconds = seconds_to_predict(predictor, largest.image.path, Path(scratch))
        bases = largest.image.load().shape[1]
        print(f"FASTA to GFF3: {bases:,} bases in {seconds:.1f} s, 5 Mb in {seconds * 5e6 / bases:.1f} s")
        strips = strips_compared(predictor, largest)
        for row in strips:
            print(
                f"strips of {row['strip']:,}: logits differ by {row['difference']:.1e} of the largest from one pass, "
                f"{row['labels']} of {min(bases, LONGEST):,} labels differ"
            )
        print(json.dumps({"results": results, "seconds_5mb": seconds * 5e6 / bases, "strips": strips}))


if __name__ == "__main__":
    main()
