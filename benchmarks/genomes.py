"""Gene finding in held-out genomes beside Pyrodigal: per base, by 3' end, with both ends, and bases a second.

    python -m benchmarks.genomes ../shared/data/genomes                  # trains for 20 minutes, then measures
    python -m benchmarks.genomes ../shared/data/genomes --run runs/genes # uses a run that was trained on this split

Held out from training are E. coli K-12 (NC_000913), Mycoplasma mycoides GM12 (GCF_000023685.1, genetic code 4) and the
phages NC_019724 and NC_070914. They are the validation split: the weights of the run are chosen on them, but nothing
else is. Both are measured by the same code (`tasks/gene_metrics.py`): the bases of coding sequence on each strand,
genes by their 3' end, and genes with both ends. "bases alone" are the bases whose probability is at least the
threshold, without decoding. Pyrodigal (GPL, no dependency: pip install pyrodigal) runs as its users run it: trained on
the genome itself, or in meta mode on genomes that are too short (the phages); with translation table 4 for Mycoplasma,
which the network is not told. The benchmark also compares the logits of streams, with strips of several lengths, with
those of one forward pass, and the genes decoded from them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.dataset import Dataset, open_dataset
from atrous.data.genomes.labels import CODING
from atrous.data.genomes.letters import NAMES
from atrous.data.sample import Sample
from atrous.objects.genes import Gene
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import Predictor, load
from atrous.stream import stream
from atrous.tasks.custom import gene_rules
from atrous.tasks.gene_metrics import GeneCounter, GeneScores, decoded
from atrous.tasks.stranded_metrics import StrandedMetrics

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


def pyrodigal_genes(text: str, genome: str) -> list[Gene]:
    """Return the genes that Pyrodigal finds; those that the sequence cuts reach to its end, as in the annotation."""
    try:
        import pyrodigal  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("the benchmark compares with Pyrodigal: pip install pyrodigal")
    meta = len(text) < SHORT
    finder: Any = pyrodigal.GeneFinder(meta=meta)
    if not meta:
        finder.train(text, translation_table=TABLES.get(genome, 11))
    return [
        Gene(
            0 if gene.partial_begin else gene.begin - 1,
            len(text) if gene.partial_end else gene.end,
            "+" if gene.strand == 1 else "-",
        )
        for gene in finder.find_genes(text)
    ]


def coding(dataset: Dataset) -> tuple[int, int]:
    plus, minus = (dataset.classes.index(f"{CODING}{strand}") for strand in "+-")
    return plus, minus


def counted(dataset: Dataset, genes: Sequence[Gene], labels: np.ndarray) -> GeneScores:
    counter = GeneCounter(coding(dataset))
    counter.count(genes, labels)
    return counter.result()


def bases_alone(dataset: Dataset, predictor: Predictor, probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the F1 of the bases at or above the threshold, over both strands."""
    metrics = StrandedMetrics(dataset.classes, predictor.run.recipe.task.threshold)
    metrics.update("", torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64)))
    return metrics.result(0.0).features[CODING]["f1"]


def measured(dataset: Dataset, predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """Return what both find in one sequence, and how long it took from bases in memory to genes."""
    assert sample.target is not None
    rules, labels, text = gene_rules(predictor.task), np.asarray(sample.target.read()), letters(sample)
    genome = next(name for name in HELD_OUT if sample.image.path.name.startswith(name))
    start = time.perf_counter()
    probabilities = predictor.task.probabilities(predictor.output(sample.image.load()))[0].numpy()
    genes = [] if rules is None else decoded(probabilities[len(dataset.classes) :], labels, rules)
    middle = time.perf_counter()
    peer = pyrodigal_genes(text, genome)
    end = time.perf_counter()
    return {
        "genome": genome, "bases": len(labels), "genetic_code": genes[0].code if genes else None,
        "bases_alone": bases_alone(dataset, predictor, probabilities, labels),
        "ours": None if rules is None else counted(dataset, genes, labels).to_dict(),
        "peer": counted(dataset, peer, labels).to_dict(), "seconds": middle - start, "peer_seconds": end - middle,
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    """Print what was measured of one sequence, a line for each metric."""
    code = "" if row["genetic_code"] is None else f", code {row['genetic_code']} chosen"
    print(f"{HELD_OUT[row['genome']]}, {row['bases']:,} bases{code}")
    for key, title in (("per_base", "per base"), ("three_prime", "3' end"), ("both_ends", "both ends")):
        rates = [
            "precision {precision:.4f} recall {recall:.4f} F1 {f1:.4f}".format(**row[who][key]) if row[who] else "none"
            for who in ("ours", "peer")
        ]
        print(f"  {title:12} atrous: {rates[0]}   Pyrodigal: {rates[1]}")
    print(f"  {'bases alone':12} atrous: F1 {row['bases_alone']:.4f}")
    speeds = [row["bases"] / 1e6 / row[key] for key in ("seconds", "peer_seconds")]
    print(f"  {'Mb/s':12} atrous: {speeds[0]:.2f}   Pyrodigal: {speeds[1]:.2f}", flush=True)


def seconds_to_predict(predictor: Predictor, fasta: Path, folder: Path) -> float:
    """Wall time from the FASTA file to the GFF3 file."""
    jobs = find_jobs(predictor, [fasta], folder / "genes.gff3")
    start = time.perf_counter()
    done = run_jobs(predictor, jobs, folder)
    assert not done.failed, done.failed
    return time.perf_counter() - start


def strips_compared(predictor: Predictor, sample: Sample) -> list[dict[str, Any]]:
    """Greatest difference of the logits, and labels and genes that differ, from one forward pass of the whole."""
    assert sample.target is not None
    image, truth = np.asarray(sample.image.load()[:, :LONGEST]), np.asarray(sample.target.read())[:LONGEST]
    rules, count = gene_rules(predictor.task), len(predictor.classes)

    def genes(output: torch.Tensor) -> set[Gene]:
        evidence = predictor.task.probabilities(output[None])[0, count:].numpy()
        return (
            set()
            if rules is None
            else {replace(gene, score=0.0, coding=0.0) for gene in decoded(evidence, truth, rules)}
        )

    whole = predictor.output(image)[0]
    labels, found = predictor.task.decode(whole[None]), genes(whole)
    standardized, rows = predictor.standardized(image), []
    for strip in STRIPS:
        streamed = torch.from_numpy(stream(predictor.inner, standardized, strip=strip))
        rows.append({
            "strip": strip,
            "difference": float((streamed - whole).abs().max() / whole.abs().max()),
            "labels": int((predictor.task.decode(streamed[None]) != labels).sum()),
            "genes": len(found ^ genes(streamed)),
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
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {predictor.dtype}")
        results = []
        for sample in dataset.splits["val"]:
            results.append(measured(dataset, predictor, sample))
            show(results[-1])
        largest = max(dataset.splits["val"], key=lambda sample: sample.image.load().shape[1])
        seconds = seconds_to_predict(predictor, largest.image.path, Path(scratch))
        bases = largest.image.load().shape[1]
        print(f"FASTA to GFF3: {bases:,} bases in {seconds:.1f} s, {bases / 1e6 / seconds:.2f} Mb/s")
        strips = strips_compared(predictor, largest)
        for row in strips:
            print(
                f"strips of {row['strip']:,}: logits differ by {row['difference']:.1e} of the largest from one pass, "
                f"{row['labels']} of {min(bases, LONGEST):,} labels and {row['genes']} genes differ"
            )
        print(json.dumps({"results": results, "seconds_5mb": seconds * 5e6 / bases, "strips": strips}))


if __name__ == "__main__":
    main()
