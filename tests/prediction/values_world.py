"""A network that reads the class of a sample off its value, and signals whose values break intervals into fragments."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from atrous.data.dataset import Dataset, open_dataset
from atrous.prediction.predictor import Predictor
from atrous.recipe.network import build_network
from atrous.recipe.run import Run, create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors

LEAST = (3, 8, 5)
"""Samples of the shortest interval of each class."""


def value_network(sharpness: float = 4.0) -> nn.Module:
    """Logits of three classes: class k is the more probable, the nearer the value is to k."""
    network = nn.Conv1d(1, 3, 3, padding=1)
    with torch.no_grad():
        network.weight.zero_()
        # -s (v - k)^2, less what all classes have in common
        network.weight[:, 0, 1] = torch.tensor([2.0 * k * sharpness for k in range(3)])
        network.bias.copy_(torch.tensor([-float(k * k) * sharpness for k in range(3)]))
    return network.eval()


def make_run(folder: Path, least: tuple[int, ...] = LEAST, root: str = "signals") -> Run:
    """A run on signals of 100 Hz that was not trained."""
    recipe = validate(
        {
            "data": {"root": root},
            "task": {"classes": ["na", "p", "qrs"], "shortest": list(least), "tolerance": 0.05},
            "input": {"rate": 100.0, "grid": [0.01], "channels": ["wave_form"]},
            "model": {
                "ndim": 1, "in_channels": 1, "depth": 10, "encoder_width": 4, "width": 4, "mean": [0.0], "std": [1.0],
            },
            "augment": {"flip": [False]},
            "train": {"crop": [320]},
        },
        "test",
    )  # fmt: skip
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(0)
    write_tensors(run.weights, build_network(recipe.model, 3).state_dict(), {})
    return run


def value_predictor(run: Run) -> Predictor:
    """The network that reads values, in the place of that of a run."""
    return Predictor(run, value_network(), run.task())


def broken_signal(length: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values `(1, L)` float32, and the classes that they mean but for fragments of one or two samples."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.tile([0, 1, 0, 2], 1 + length // 60), np.tile([20, 12, 12, 16], 1 + length // 60))[:length]
    values = truth + rng.normal(0, 0.1, length)
    for start in rng.integers(0, length - 2, length // 40):
        values[start : start + rng.integers(1, 3)] = rng.integers(0, 3) + rng.normal(0, 0.1)
    return values[None].astype(np.float32), truth


def write_broken(root: Path) -> Dataset:
    """Recordings of 100 Hz, one with gaps, and one of 50 Hz."""
    root.mkdir()
    (root / "dataset.toml").write_text('classes = ["na", "p", "qrs"]\n')
    for number in range(4):
        values, truth = broken_signal(900, number)
        step = 2 if number == 3 else 1
        values = values[:, ::step].copy()
        if number in (1, 3):
            values[0, [5, 300, 301]] = np.nan
        np.savez(root / f"{number}.npz", signal=values, label=truth[::step], rate=100.0 / step)
    return open_dataset(root)
