"""Whether labelled objects move by themselves in videos: then the planned network sees motion."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.dataset import Dataset
from atrous.data.formats import open_source
from atrous.data.images import FileImage
from atrous.data.sample import Sample
from atrous.labels import IGNORE
from atrous.nn.camera import fit_camera
from atrous.nn.flow import dense_flow

VIDEOS, FRAMES = 6, 3
"""Videos that are looked at, at most, and frames of each."""
SIDE = 160
"""Pixels of the shorter side of a frame, about, on which its motion is measured."""
NOISE = 0.1
"""Pixels by which a still scene seems to move."""


def speed_ratio(dataset: Dataset, split: str = "train") -> float | None:
    """Return how many times as fast as its surroundings the object moves, the camera's motion undone.

    It is the median over some frames of training videos of `(m + e) / (n + e)`, with the mean speeds `m` in the object
    and `n` outside of it, in pixels per frame, and the speed `e` that noise has.

    Returns:
        None where no frame shows an object and something else.
    """
    labelled = [sample for sample in dataset.splits.get(split, ()) if sample.target is not None]
    places = np.linspace(0, len(labelled) - 1, min(VIDEOS, len(labelled))).round().astype(int)
    ratios = [ratio for place in dict.fromkeys(places.tolist()) for ratio in _ratios(labelled[place])]
    return float(np.median(ratios)) if ratios else None


def _ratios(sample: Sample) -> Iterator[float]:
    """The ratio of some frames of a video."""
    assert sample.target is not None
    clip = open_source(sample.image.path) if isinstance(sample.image, FileImage) else sample.image.load()
    labels = np.asarray(sample.target.read())
    wanted = [time for time in range(1, len(labels)) if _shows_both(labels[time])]
    for place in dict.fromkeys(np.linspace(0, len(wanted) - 1, min(FRAMES, len(wanted))).round().astype(int).tolist()):
        time = wanted[place]
        inside, outside = _speeds(np.asarray(clip[:, time - 1 : time + 1]), labels[time])
        if np.isfinite(inside) and np.isfinite(outside):
            yield (inside + NOISE) / (outside + NOISE)


def _shows_both(labels: np.ndarray) -> bool:
    return bool((labels == 0).any() and ((labels != 0) & (labels != IGNORE)).any())


def _speeds(pair: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean speed in and outside of the object, of frames `(C, 2, H, W)` with the labels of the second one."""
    step = max(1, min(labels.shape) // SIDE)
    gray = torch.from_numpy(pair.astype(np.float32)).mean(0)[:, None]
    before, here = F.avg_pool2d(gray, step).split(1) if step > 1 else gray.split(1)
    flow = dense_flow(here, before)
    speed = (flow - fit_camera(flow))[0].norm(dim=0).numpy()
    small = labels[step // 2 :: step, step // 2 :: step][: speed.shape[0], : speed.shape[1]]
    speed = speed[: small.shape[0], : small.shape[1]]
    known, background = small != IGNORE, small == 0
    parts = speed[known & ~background], speed[known & background]
    inside, outside = (float(part.mean()) if part.size else float("nan") for part in parts)
    return inside, outside
