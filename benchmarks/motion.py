"""What moves before a fixed camera, learned from few labelled frames, beside MOG2 of OpenCV.

    pip install "atrous[peers,video]"
    PYTHONPATH=. python benchmarks/motion.py PATH/TO/CAVIAR2 --minutes 10

The folder has frames in `input/` and masks of some of them in `groundtruth/`. The last quarter of the labelled frames
(by time) is held out; both are measured on these alone, by the definitions of changedetection.net. The weights of the
network are those at the end of training (there is one validation), so that they are not chosen on these frames.

MOG2 (Zivkovic 2004) sees all frames in order, as the background of the network does. Its threshold is the one with the
largest F on the labelled frames that are not held out, and a median filter of 5 x 5 pixels smooths its answer.

It also prints the frames per second of a camera that gives one frame after the other, and how long a frame takes, the
background included.

    PYTHONPATH=. python benchmarks/motion.py PATH/TO/CAVIAR2 --run RUN --stream-minutes 60

loops the frames through a trained run for so many minutes, as fast as it goes, tracks included, and prints the memory
of the process at steady points: it must not grow. `video_hours` says how long such a stream of a camera lasts.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.background import Background, RunningBackground
from atrous.data.dataset import Dataset
from atrous.data.layouts.scenes import SceneImage
from atrous.labels import IGNORE
from atrous.objects.tracking import Tracker, regions_of
from atrous.prediction.predictor import load
from atrous.recipe.run import open_run
from atrous.tasks.motion import motion_figures
from atrous.verbs.evaluate import evaluate
from atrous.verbs.opened import open_dataset_from
from atrous.verbs.train import train

THRESHOLDS = (8, 16, 32, 64, 128)
"""Of MOG2, in squared deviations; 16 is what OpenCV takes where nobody says one."""
WARM = 20
"""Frames that are not timed."""


def mog2(dataset: Dataset) -> dict[str, Any]:
    """The metrics of MOG2 on the frames that are held out."""
    import cv2  # pyright: ignore[reportMissingImports]

    counts = np.zeros((len(THRESHOLDS), 2, 2, 2), np.int64)  # by threshold and split
    scene = next(sample.image.scene for sample in dataset.samples if isinstance(sample.image, SceneImage))
    labelled = {
        sample.image.number: (split == "val", sample.target.read()[0])
        for split, samples in dataset.splits.items()
        for sample in samples
        if isinstance(sample.image, SceneImage) and sample.target is not None
    }
    for row, threshold in enumerate(THRESHOLDS):
        model = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=threshold, detectShadows=True)
        for number in range(scene.clip.shape[1]):
            frame = np.ascontiguousarray(np.moveaxis(scene.clip[:, number], 0, -1)[..., ::-1])
            found = cv2.medianBlur(model.apply(frame), 5) == 255  # 127 is a shadow
            if number in labelled:
                held_out, truth = labelled[number]
                known = truth != IGNORE
                pairs = 2 * truth[known].astype(int) + found[known]
                counts[row, int(held_out)] += np.bincount(pairs, minlength=4).reshape(2, 2)
    best = int(np.nanargmax([motion_figures(one[0])["f_measure"] for one in counts]))
    usual = motion_figures(counts[THRESHOLDS.index(16), 1])["f_measure"]
    figures = motion_figures(counts[best, 1])
    return {**figures, "threshold": THRESHOLDS[best], "f_measure_at_16": usual, "opencv": cv2.__version__}


def live(run: Path, dataset: Dataset) -> dict[str, float]:
    """Frames per second of a camera, and how many milliseconds a frame takes."""
    predictor = load(run)
    scene = next(sample.image.scene for sample in dataset.samples if isinstance(sample.image, SceneImage))
    camera, taken = RunningBackground(predictor.expected.background or Background()), []
    for number in range(scene.clip.shape[1]):
        frame = scene.clip[:, number]
        start = time.perf_counter()
        predictor.task.decode(predictor.output(camera.push(frame)[:, None]))
        taken.append(time.perf_counter() - start)
    timed = 1000 * np.array(taken[WARM:] or taken)
    return {
        "frames_per_second": 1000 / float(timed.mean()),
        "milliseconds": float(np.median(timed)),
        "milliseconds_95": float(np.percentile(timed, 95)),
    }


def resident_megabytes() -> float:
    """Memory of this process that is not swapped out (Linux)."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def looped(run: Path, dataset: Dataset, minutes: float, points: int = 12) -> dict[str, Any]:
    """Loop the frames of a scene through a run, and note the memory at steady points."""
    predictor, tracker = load(run), Tracker()
    scene = next(sample.image.scene for sample in dataset.samples if isinstance(sample.image, SceneImage))
    camera, rows, pushed, tracks = RunningBackground(predictor.expected.background or Background()), [], 0, 0
    start = time.monotonic()
    while len(rows) < points:
        both = camera.push(scene.clip[:, pushed % scene.clip.shape[1]])
        mask = predictor.task.decode(predictor.output(both[:, None]))[0, 0].cpu().numpy()
        for _, seen in tracker.step(regions_of(mask != 0, 40)):
            tracks = max([tracks, *(one.number for one in seen)])
        pushed += 1
        if time.monotonic() - start >= 60 * minutes * (len(rows) + 1) / points:
            rows.append({"minutes": round((time.monotonic() - start) / 60, 1), "frames": pushed,
                         "megabytes": round(resident_megabytes(), 1)})  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    later = [row["megabytes"] for row in rows[len(rows) // 4 :]]
    grown = later[-1] - later[0]
    return {
        "points": rows, "grown_megabytes": round(grown, 1), "video_hours": round(pushed / 25 / 3600, 2),
        "frames_per_second": round(pushed / (60 * rows[-1]["minutes"]), 1), "tracks": tracks,
    }  # fmt: skip


def main(data: Path, minutes: float, seed: int, out: Path, settings: list[str]) -> dict[str, Any]:
    chosen = ["train.validations=1", *settings]
    trained = train(data, task="motion", out=out / "run", minutes=minutes, settings=chosen, seed=seed, say=print)
    dataset = open_dataset_from(data, task="motion", settings=trained.run.recipe.task.model_dump())
    scores = evaluate(trained.run, data).scores
    print(scores.text())
    return {
        "ours": {name: scores.to_dict()[name] for name in ("f_measure", "pwc", "precision", "recall")},
        "mog2": mog2(dataset), "frames": {split: len(samples) for split, samples in dataset.splits.items()},
        "live": live(trained.run.folder, dataset), "minutes": minutes, "steps": trained.outcome.step, "seed": seed,
        "threads": torch.get_num_threads(), "python": platform.python_version(), "torch": torch.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with input/ and groundtruth/")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the run; a temporary one by default")
    parser.add_argument("--set", action="append", dest="settings", default=[], help="section.key=value of the recipe")
    parser.add_argument("--run", type=Path, help="with --stream-minutes: the run, in place of a training")
    parser.add_argument("--stream-minutes", type=float, help="loop the frames for so long, and print the memory alone")
    chosen = parser.parse_args()
    if chosen.stream_minutes is not None:
        if chosen.run is None:
            parser.error("--stream-minutes streams a run: give --run too")
        settings = open_run(chosen.run).recipe.task.model_dump()
        opened = open_dataset_from(chosen.data, task="motion", settings=settings)
        print(json.dumps(looped(chosen.run, opened, chosen.stream_minutes)))
        raise SystemExit
    with tempfile.TemporaryDirectory() as scratch:
        result = main(chosen.data, chosen.minutes, chosen.seed, chosen.out or Path(scratch), chosen.settings)
    print(f"{'':<10}{'F':>8}{'precision':>11}{'recall':>8}{'PWC':>8}")
    for name in ("ours", "mog2"):
        row = result[name]
        print(f"{name:<10}{row['f_measure']:>8.3f}{row['precision']:>11.3f}{row['recall']:>8.3f}{row['pwc']:>8.3f}")
    print(json.dumps(result))
