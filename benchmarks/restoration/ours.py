"""Train `atrous` on a task of restoration, and apply it to the images that are measured."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.prediction.predictor import Predictor, load
from atrous.recipe.schema import override
from atrous.verbs.train import train
from benchmarks.restoration.images import Picture, quality

HELD_OUT = 25
"""Every so many training images one is held out: by these the best weights are chosen, never by those measured."""


def dataset(paths: Sequence[Path], root: Path) -> Path:
    """Copy the training images to the folders `train` and `val` of a data set, and return it."""
    held_out = set(paths[HELD_OUT // 2 :: HELD_OUT]) or {paths[-1]}
    if root.exists():
        if sorted(path.name for path in root.glob("*/*")) != sorted(path.name for path in paths):
            raise SystemExit(f"{root}: has other training images: give another --out")
        return root
    unfinished = root.with_name(f"{root.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for path in paths:
        folder = unfinished / ("val" if path in held_out else "train")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name)
    return unfinished.rename(root)


def trained(task: str, data: Path, run: Path, *, minutes: float, settings: Sequence[str], seed: int) -> Predictor:
    """Train a run, or load it if it is there, and return its predictor. The minutes are those of the whole run."""
    chosen = ["task.gray=true", *settings]
    if not (run / "scores.json").exists():
        train(data, task=task, out=run, minutes=minutes, settings=chosen, seed=seed, say=print, progress=False)
    predictor = load(run)
    recipe = predictor.run.recipe
    if override(recipe, [*chosen, f"train.minutes={minutes}", f"train.seed={seed}"]) != recipe:
        raise SystemExit(f"{run}: was trained with other settings or minutes: give another --out")
    return predictor


def row(predictor: Predictor, pictures: Sequence[Picture], factor: int = 1) -> dict[str, Any]:
    """Measure a run on the pictures."""
    numbers = [quality(predictor.predict(one.given).values, one.clean, factor) for one in pictures]
    with (predictor.run.folder / "metrics.csv").open(newline="") as file:
        steps = max(int(float(line["step"])) for line in csv.DictReader(file))
    return {
        "psnr": float(np.mean(numbers)),
        "steps": steps,
        "parameters": sum(weight.numel() for weight in predictor.network.parameters()),
        "run": predictor.run.folder.name,
    }
