"""Measuring videos whose first masks are given, as the semi-supervised challenge of DAVIS does."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from atrous.data.preprocess import prepare
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.first_frame import SECONDS, Follower, learn_first_frame, require_videos
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.recipe.run import Run
from atrous.verbs.evaluate import Evaluated, open_split, read_ahead
from atrous.verbs.found import probabilities


def evaluate_first_frames(
    run: Run | Path | str,
    data: Any = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **loading: Unpack[LoadOptions],
) -> Evaluated:
    """Measure a run on videos whose first labelled frame is given and learned; that frame does not count.

    Args:
        run: folder of the run.
        data: folder of the data set; that of the training when None.
        split: its split, or "all".
        description: a dataset.toml that lies elsewhere.
        seconds: how long each first frame is learned.
        progress: called as `progress(done, total)` after each video.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the run does not label videos, or as `evaluate`.
    """
    predictor = load(run, **loading)
    require_videos(predictor.run)
    dataset, samples = open_split(predictor, data, description, split)
    start, metrics = time.monotonic(), predictor.task.metrics()
    for number, (sample, image, values) in enumerate(read_ahead(predictor, samples), 1):
        labels = np.asarray(values)
        first = next((place for place, frame in enumerate(labels) if _shows_object(frame)), None)
        if first is None or first + 1 >= len(labels):
            raise UserError(f"{sample.image.path}: no frame but the last shows an object: label more of its frames")
        found = first_frame_probabilities(predictor, image[:, first:], labels[first], seconds)
        truth = labels[first:].copy()
        truth[0] = IGNORE
        metrics.update(sample.name, found, torch.from_numpy(truth), dataset.spacing_of(sample))
        progress(number, len(samples))
    note = "the first labelled frame of each video is given, and does not count"
    return Evaluated(metrics.result(time.monotonic() - start), dataset, split, note)


def check_first_frame(wanted: bool, seconds: float, *, others: Mapping[str, bool]) -> None:
    """Refuse what does not go with first masks.

    Args:
        wanted: whether first masks are given.
        seconds: how long each first frame is learned.
        others: whether other options are given, by their names.

    Raises:
        UserError: one of these is given, the time is none, or it is given without first masks.
    """
    if not wanted:
        if seconds != SECONDS:
            raise UserError("--first-frame-seconds says how long --first-frame learns: give both, or leave it out")
        return
    if not 0 < seconds < math.inf:
        raise UserError(f"--first-frame-seconds {seconds:g}: give a time in seconds, such as 30")
    if given := [name for name, on in others.items() if on]:
        raise UserError(f"{given[0]}: --first-frame prints the metrics of videos alone: leave it out")


def first_frame_probabilities(
    predictor: Predictor, image: np.ndarray, labels: np.ndarray, seconds: float, steps: int | None = None
) -> torch.Tensor:
    """Return the probabilities `(K, T, H, W)` of a video `(C, T, H, W)` whose first frame has these labels `(H, W)`.

    What does not go on from the object of the first frame is background with probability 1.
    """
    first = prepare(image[:, :2], predictor.preparation, None)
    learned = learn_first_frame(predictor, first, labels, seconds=seconds, steps=steps)
    found, follower = probabilities(learned, image, None), Follower(labels)
    for time_ in range(1, found.shape[1]):
        predicted = found[:, time_].argmax(0).to(torch.uint8).cpu().numpy()
        dropped = torch.from_numpy((follower.follow(predicted) == 0) & (predicted != 0))
        found[:, time_, dropped] = 0.0
        found[0, time_, dropped] = 1.0
    return found


def _shows_object(labels: np.ndarray) -> bool:
    return bool(((labels != 0) & (labels != IGNORE)).any())
