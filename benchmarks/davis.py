"""DAVIS: J and F of moving objects in videos that were not used for training, with and without their first masks.

    PYTHONPATH=. python benchmarks/davis.py PATH/TO/davis --minutes 10                  # all four folds, then means
    PYTHONPATH=. python benchmarks/davis.py PATH/TO/davis --minutes 10 --fold 1         # one fold, 1 to 4
    PYTHONPATH=. python benchmarks/davis.py PATH/TO/davis --fold 1 --run RUN            # measure a run of it again
    PYTHONPATH=. python benchmarks/davis.py PATH/TO/davis --join fold1.json fold2.json  # means of folds run apart

The sequences, in the order of their names, are cut into four folds of two. Of each fold a network is trained on the
other six sequences for `--minutes`, and measured on the two that were left out: without any mask, and with the mask of
the first frame, which is learned for `--first-frame-seconds` and does not count (0 leaves this out). The weights are
those at the end of training (there is one validation), so that they are not chosen on what is left out.

Then frames of 427 x 240 pixels are pushed one by one into a session of the first network, as from a camera: frames per
second and milliseconds a frame, with the latency that the session states.

A line of JSON ends the output of each fold; `--json FILE` keeps it, and `--join` averages such files.
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

from atrous.data.formats import open_source
from atrous.prediction.predictor import load
from atrous.stream.session import Session
from atrous.verbs.evaluate import evaluate
from atrous.verbs.first_frame import evaluate_first_frames
from atrous.verbs.train import train

FOLDS = 4
DESCRIPTION = """
classes = ["background", "object"]
values = [0, 255]
[splits]
val = {held_out}
"""
LIVE = (240, 427)
WARM = 10
"""Frames that are not timed."""


def held_out(data: Path, fold: int) -> list[str]:
    """The sequences of a fold, 1 to 4."""
    names = sorted(path.name for path in (data / "JPEGImages").iterdir() if path.is_dir())
    return names[(fold - 1) * len(names) // FOLDS : fold * len(names) // FOLDS]


def live(run: Path, data: Path) -> dict[str, Any]:
    """Frames per second of a camera, and how long a frame takes."""
    predictor = load(run)
    clip = open_source(next(path for path in sorted((data / "JPEGImages").iterdir()) if path.is_dir()))
    rows, columns = (np.linspace(0, clip.shape[axis] - 1, LIVE[axis - 2]).round().astype(int) for axis in (2, 3))
    torch.set_flush_denormal(True)
    shape = (predictor.run.recipe.model.in_channels, None, *LIVE)
    session, taken = Session(predictor.inner, shape, post=predictor.task.decode, dtype=predictor.dtype), []
    for number in range(clip.shape[1]):
        frame = np.asarray(clip[:, number : number + 1])[..., rows[:, None], columns]
        start = time.perf_counter()
        session.push(predictor.standardized(frame)[...])
        taken.append(time.perf_counter() - start)
    timed = 1000 * np.array(taken[WARM:] or taken)
    return {
        "frames_per_second": round(1000 / float(timed.mean()), 1), "latency_frames": session.latency,
        "milliseconds": round(float(np.median(timed)), 1), "milliseconds_95": round(float(np.percentile(timed, 95)), 1),
        "threads": torch.get_num_threads(), "arithmetic": str(predictor.dtype).removeprefix("torch."),
    }  # fmt: skip


def figures(scores: Any) -> dict[str, Any]:
    """J and F of the object, and of each video."""
    found = scores.to_dict()
    videos = {name: [round(one["j"]["object"], 3), round(one["boundary_f"]["object"], 3)]
              for name, one in found["videos"].items()}  # fmt: skip
    return {"j": found["j"]["object"], "f": found["f"]["object"], "videos": videos, "seconds": round(found["seconds"])}


def run_fold(options: argparse.Namespace, fold: int, out: Path) -> dict[str, Any]:
    left_out, description = held_out(options.data, fold), out / f"fold{fold}.toml"
    out.mkdir(parents=True, exist_ok=True)
    description.write_text(DESCRIPTION.format(held_out=json.dumps(left_out)))
    result: dict[str, Any] = {"fold": fold, "held_out": left_out, "seed": options.seed}
    if options.run is None:
        start = time.monotonic()

        def on_step(values: dict[str, float]) -> None:
            print(f"step {values['step']:.0f}: loss {values['loss']:.3f}, {values['rate']:.1f} clips/s", flush=True)

        settings = ["train.validations=1", *options.settings]
        trained = train(
            options.data, out=out / f"fold{fold}", minutes=options.minutes, settings=settings, seed=options.seed,
            description=description, say=print, on_step=on_step,
        )  # fmt: skip
        run = trained.run.folder
        result |= {"minutes": round((time.monotonic() - start) / 60, 1), "steps": trained.outcome.step}
    else:
        run = options.run
    result["video"] = figures(evaluate(run, options.data, description=description).scores)
    if options.first_frame_seconds > 0:
        seconds = options.first_frame_seconds
        given = evaluate_first_frames(run, options.data, description=description, seconds=seconds)
        result["first_frame"] = {**figures(given.scores), "learned_seconds": seconds}
    result["live"] = live(run, options.data)
    result |= {"python": platform.python_version(), "torch": torch.__version__}
    print(json.dumps(result), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(result))
    return result


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each fold, and the means."""
    lines = [f"{'fold':<6}{'held out':<34}{'J':>7}{'F':>7}{'first J':>9}{'F':>7}{'frames/s':>10}"]
    for row in rows:
        first = row.get("first_frame", {"j": float("nan"), "f": float("nan")})
        values = (row["video"]["j"], row["video"]["f"], first["j"], first["f"])
        lines.append(
            f"{row['fold']:<6}{', '.join(row['held_out']):<34}{values[0]:>7.3f}{values[1]:>7.3f}{values[2]:>9.3f}"
            f"{values[3]:>7.3f}{row['live']['frames_per_second']:>10.1f}"
        )
    kinds = [[row.get(kind, {}).get(key, float("nan")) for row in rows]
             for kind in ("video", "first_frame") for key in ("j", "f")]  # fmt: skip
    j, f, first_j, first_f = (float(np.mean(values)) for values in kinds)
    return "\n".join([*lines, f"{'mean':<40}{j:>7.3f}{f:>7.3f}{first_j:>9.3f}{first_f:>7.3f}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with JPEGImages and Annotations")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, a fold")
    parser.add_argument("--fold", type=int, choices=range(1, FOLDS + 1), help="one fold alone; all by default")
    parser.add_argument("--first-frame-seconds", type=float, default=30.0, help="0 leaves first masks out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a run of this fold, in place of a training")
    parser.add_argument("--out", type=Path, help="folder for the runs; a temporary one by default")
    parser.add_argument("--json", type=Path, help="keep the figures of the fold in this file")
    parser.add_argument("--join", type=Path, nargs="+", help="files that --json kept: print their table alone")
    parser.add_argument("--set", action="append", dest="settings", default=[], help="section.key=value of the recipe")
    chosen = parser.parse_args()
    if chosen.join:
        print(table(sorted((json.loads(file.read_text()) for file in chosen.join), key=lambda row: row["fold"])))
        raise SystemExit
    if chosen.run is not None and chosen.fold is None:
        parser.error("--run is of one fold: give --fold too")
    with tempfile.TemporaryDirectory() as scratch:
        folds = [chosen.fold] if chosen.fold else range(1, FOLDS + 1)
        print(table([run_fold(chosen, fold, chosen.out or Path(scratch)) for fold in folds]))
