"""Confidence on samples that calibrated nothing: one half of a split calibrates a run, the other half measures it.

    PYTHONPATH=. python benchmarks/confidence.py RUN [DATA] --split val

Two ways to halve: the first half against the second (frames of one drive, say, whose second half is another street: a
shift), and every other sample (alike, as the guarantee of coverage supposes). The run itself is not changed. It prints
a row for each way and coverage, and one line of JSON.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atrous.data.dataset import Dataset
from atrous.data.sample import Sample
from atrous.prediction.predictor import Predictor, load
from atrous.recipe.calibration import FILE
from atrous.recipe.run import Run, open_run
from atrous.verbs.calibrate import calibrate_and_measure
from atrous.verbs.evaluate import measure, open_split

COVERAGES = (0.8, 0.9, 0.95)
SHOWN = ("ece_before", "ece", "nll", "brier", "auroc_error", "errors_caught_10", "coverage", "set_size")


def rows(
    predictor: Predictor, dataset: Dataset, split: str, fitted_on: Sequence[Sample], measured_on: Sequence[Sample]
) -> list[dict[str, Any]]:
    """Calibrate on some samples, and measure others with each coverage that so many samples can promise."""
    calibrated, _ = calibrate_and_measure(predictor, dataset, split, fitted_on)
    calibration = calibrated.run.calibration()
    assert calibration is not None
    wanted = [c for c in COVERAGES if any(curve.threshold(c) is not None for curve in calibration.misses)]
    found = []
    for coverage in wanted:
        sets = calibration.sets(coverage, calibrated.run.folder)
        facts = measure(calibrated, dataset, measured_on, sets=sets).to_dict()
        found.append({
            "asked": coverage, "unit": sets.unit, "calibrated_on": len(fitted_on), "measured_on": len(measured_on),
            "temperature": calibration.temperature, "miou": facts["miou"], **{name: facts[name] for name in SHOWN},
        })  # fmt: skip
    return found


def main(run: Path, data: Path | None, split: str) -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / run.name
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoint", "tensorboard", FILE))
        predictor = load(Run(folder, open_run(run).recipe))
        dataset, samples = open_split(predictor, data or open_run(run).data()[0], None, split)
        middle = len(samples) // 2
        halves = {
            "first half, then second": (samples[:middle], samples[middle:]),
            "every other sample": (samples[::2], samples[1::2]),
        }
        table = {name: rows(predictor, dataset, split, *pair) for name, pair in halves.items()}
    for name, found in table.items():
        for row in found:
            numbers = "  ".join(f"{key} {row[key]:.3f}" for key in ("temperature", *SHOWN))
            print(f"{name}: asked {row['asked']:g} of each {row['unit']}: {numbers}", flush=True)
    print(json.dumps({"run": run.name, "split": split, "rows": table}), flush=True)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    main(options.run, options.data, options.split)
