"""The process that trains on strokes while they are painted: `python -m atrous.serve.paint_training FOLDER`.

It trains in slices of a minute or less. A slice is a training as `atrous train` does it (`atrous.training.loop.fit`):
the planned network and recipe, one cycle of the learning rate, averaged weights. The next slice goes on from the
weights of the one before. Strokes that are added come up in the next batch.

The process is told what to do by lines on standard input: `changed` says that strokes or classes have changed, `stop`
or the end of the input stops it. It answers with a JSON object a line on standard output. Weights, recipe, temperature
and log lie in `FOLDER/.paint/live`, an ordinary run, each file replaced in one step.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.data.feed.batches import Batch, ahead
from atrous.data.feed.decode import Decoded
from atrous.errors import UserError
from atrous.files import remove, write_text
from atrous.models.network import DenseNetwork
from atrous.recipe.build import build_network, build_settings, build_task
from atrous.recipe.calibration import Calibration
from atrous.recipe.run import Run, environment, open_run
from atrous.recipe.schema import Recipe, to_toml
from atrous.recipe.start import NothingFitsError, start_from
from atrous.serve.paint_folder import live_folder
from atrous.serve.paint_plan import Control, LiveBatches, LivePlan, plan_live
from atrous.tasks.task import Task
from atrous.tasks.temperature import LogitSample, fit_temperature
from atrous.training.budget import Budget
from atrous.training.checkpoint import write_tensors
from atrous.training.log import read_log, write_log
from atrous.training.loop import fit
from atrous.training.settings import Monitor, Settings, Supply
from atrous.training.stages import Stage
from atrous.training.validation import validate as validated
from atrous.training.validation import windows

SLICES = (15.0, 30.0, 60.0)
"""Seconds of the first slices; all others are as long as the last of these. Short ones show something soon."""
VALIDATION_SECONDS = 4.0
"""At most so often the weights are validated and given to the page; in long slices, eight times."""
LATER = 0.5
"""Factor on the learning rate of all slices but the first."""
UPPER = 0.5
"""Share of a pretrained encoder that learns in all slices but the first, in which none of it does. Strokes are few:
they would change the first layers for the worse, and the statistics of batch norms."""
FEW = 8
"""Samples of a validation."""
MOST_PIXELS = {1: 1 << 16, 2: 512, 3: 96}
"""Size of the windows of a validation along each axis, by the number of axes."""


class LiveTraining:
    """A training on strokes, slice after slice.

    Args:
        root: the painted data set.
        control: what the process was told.
        tell: given what happens, as JSON can hold it.
        start: folder of a run from whose weights the first training starts.
        device: where to train.
    """

    def __init__(
        self, root: Path, control: Control, tell: Callable[[dict[str, Any]], None], start: Path | None, device: str
    ) -> None:
        self._root, self._control, self._tell, self._start, self._device = root, control, tell, start, device
        self._run: Run | None = open_run(live_folder(root)) if (live_folder(root) / "recipe.toml").exists() else None
        self._network: DenseNetwork | None = None
        self._averaged: nn.Module | None = None
        self._rows: list[dict[str, Any]] = [] if self._run is None else read_log(self._run.folder / "metrics.csv")
        self._version, self._clock = 0, lambda: 0.0
        self._steps, self._seconds = (int(self._last("step")), self._last("seconds"))

    def _last(self, column: str) -> float:
        return max((float(row[column]) for row in self._rows), default=0.0)

    def go_on(self, budgets: Iterator[Budget], scratch: Path) -> None:
        """Train a slice for each budget, until it is stopped.

        Raises:
            UserError: there is nothing to learn from, or a file cannot be read.
        """
        fresh = self._run is None or not self._run.weights.exists()
        for budget in budgets:
            if self._control.stopped:
                return
            folder = Path(tempfile.mkdtemp(dir=scratch))
            self._slice(budget, folder, fresh)
            remove(folder)
            fresh = False

    def _slice(self, budget: Budget, folder: Path, fresh: bool) -> None:
        before = None if self._run is None else self._run.recipe
        for name in ("data", "slice"):
            (folder / name).mkdir()
        plan = plan_live(self._root, folder / "data", before=before, start=self._start, device=self._device)
        task = build_task(plan.recipe)
        self._begin(plan, task)
        network, run = self._network, self._run
        assert network is not None
        assert run is not None
        held_out = _few(plan.feed.held_out)
        side = [MOST_PIXELS[plan.recipe.model.ndim]] * plan.recipe.model.ndim
        batches = LiveBatches(plan, self._control, self._root, folder / "data", self._steps)

        def validate_and_show(averaged: nn.Module) -> dict[str, float]:
            values = validated(averaged, task, held_out, side)
            self._averaged = averaged
            self._show()
            return values

        self._clock = lambda: budget.seconds
        outcome = fit(
            network,
            task,
            Supply(lambda step: _until_stopped(batches, self._control), validate_and_show, batches.per_epoch),
            budget=budget,
            settings=_settings(plan.recipe, budget, fresh),
            folder=folder / "slice",
            monitor=Monitor(on_step=self._stepped, on_validation=self._validated),
        )
        self._control.stopped |= outcome.interrupted  # by a signal
        self._keep_log(folder / "slice", task)
        if self._averaged is not None:
            temperature = _temperature(self._averaged, task, held_out, side)
            measured_on = f"held-out strokes of {self._root}"
            Calibration(temperature, measured_on, len(held_out.names)).write(run.folder)
            self._show()

    def _begin(self, plan: LivePlan, task: Task) -> None:
        """Make the network, or take that of the slice before; and write the recipe beside its weights."""
        folder, before, model = live_folder(self._root), self._run, plan.recipe.model
        fits = before is not None and before.recipe.model == model
        fits = fits and before is not None and len(before.recipe.task.classes) == len(plan.recipe.task.classes)
        folder.mkdir(parents=True, exist_ok=True)
        if self._network is None or not fits:
            torch.manual_seed(plan.recipe.train.seed)
            network = build_network(model, task.out_channels)
            source = before.folder if before is not None and before.weights.exists() else self._start
            self._network, self._averaged = network if source is None else _warm(source, network), None
        if not fits:  # the weights on disk are always those of the recipe beside them
            remove(folder / "calibration.json")
            write_tensors(folder / "model.safetensors", self._network.state_dict(), {"step": self._steps})
        write_text(folder / "recipe.toml", to_toml(plan.recipe, plan.reasons))
        facts = {**environment(["atrous", "serve"]), "folder": str(folder.absolute())}
        write_text(folder / "environment.json", json.dumps(facts, indent=1))
        self._run = Run(folder, plan.recipe)
        splits = plan.check.dataset.splits
        held_out = len(splits["val"]) if splits["val"] != splits["train"] else 0
        self._tell({"kind": "plan", "samples": {"train": len(splits["train"]), "held_out": held_out}})

    def _show(self) -> None:
        """Write the averaged weights, and say so."""
        if self._averaged is None or self._run is None:
            return
        write_tensors(self._run.weights, self._averaged.state_dict(), {"step": self._steps})
        self._version += 1
        self._tell({"kind": "weights", "version": self._version})

    def _stepped(self, values: dict[str, float]) -> None:
        step, seconds = self._steps + int(values["step"]), self._seconds + values["seconds"]
        self._tell({"kind": "step", "step": step, "seconds": seconds, "loss": values["loss"], "rate": values["rate"]})

    def _validated(self, step: int, values: dict[str, float]) -> None:
        seconds = self._seconds + self._clock()
        known = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._tell({"kind": "validation", "step": self._steps + step, "seconds": seconds, **known})

    def _keep_log(self, folder: Path, task: Task) -> None:
        """Add the log of a slice to that of the run."""
        assert self._run is not None
        for row in read_log(folder / "metrics.csv"):
            seconds = round(row["seconds"] + self._seconds, 3)
            self._rows.append(row | {"step": int(row["step"]) + self._steps, "seconds": seconds})
        self._steps, self._seconds = int(self._last("step")), self._last("seconds")
        write_log(self._run.folder / "metrics.csv", task.watched, self._rows)


def _warm(folder: Path, network: DenseNetwork) -> DenseNetwork:
    """The network with the weights of a run, as far as they fit."""
    try:
        return start_from(folder, network)[0]
    except NothingFitsError:
        return network


def _few(decoded: Decoded) -> Decoded:
    """Some samples, evenly spread."""
    count = len(decoded.names)
    chosen = sorted({round(number * (count - 1) / max(1, FEW - 1)) for number in range(FEW)}) if count > FEW else None
    if chosen is None:
        return decoded
    parts = {name: getattr(decoded, name) for name in ("names", "images", "values", "places", "files")}
    return replace(decoded, **{name: tuple(part[index] for index in chosen) for name, part in parts.items() if part})


def _until_stopped(batches: LiveBatches, control: Control) -> Iterator[Batch]:
    endless: Any = ahead(batches, 0)
    with closing(endless):
        for batch in endless:
            if control.stopped or batches.ended:
                return
            yield batch


def _settings(recipe: Recipe, budget: Budget, fresh: bool) -> Settings:
    """The settings of a slice, which is `fresh` if no slice came before it."""
    settings = build_settings(recipe)
    count = 2 if budget.minutes is None else min(8, max(1, round(60 * budget.minutes / VALIDATION_SECONDS)))
    rate = (1.0 if fresh else LATER) * settings.learning_rate
    stages = (Stage("strokes", 1.0, encoder=0.0 if fresh else UPPER),) if recipe.model.pretrained else ()
    # One process trains here.
    return replace(settings, learning_rate=rate, validations=count, stages=stages, devices=1, nodes=1)


def _temperature(network: nn.Module, task: Task, held_out: Decoded, side: list[int]) -> float:
    """The temperature at which the probabilities of the held-out pieces are likeliest."""
    sample, target = LogitSample(len(held_out.names)), held_out.target
    with torch.inference_mode():
        for index, image in enumerate(held_out.images):
            for window in windows(held_out.size(index), side):
                x = torch.from_numpy(np.ascontiguousarray(image[(slice(None), *window)]).astype(np.float32))[None]
                truth = target.tensor(target.crop(held_out.values[index], held_out.in_target(index, window)))
                sample.add(network(x).float()[0, : task.out_channels], truth)
    return fit_temperature(sample)


def slices() -> Iterator[Budget]:
    """Yield the budgets of the slices, without end; the clock of each starts when it is asked for."""
    yield from (Budget(minutes=seconds / 60) for seconds in SLICES)
    while True:
        yield Budget(minutes=SLICES[-1] / 60)


def main() -> int:
    """Train until the standard input ends or says `stop`; return 0, or 2 after a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the painted data set")
    parser.add_argument("--start", type=Path, help="folder of a run from whose weights the training starts")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    warnings.simplefilter("ignore")
    if hasattr(os, "nice"):
        os.nice(5)  # painting and the labels of the view go first
    control = Control()

    def tell(facts: dict[str, Any]) -> None:
        try:
            print(json.dumps(facts), file=answers, flush=True)
        except BrokenPipeError:
            control.stopped = True

    threading.Thread(target=control.listen, args=(sys.stdin,), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="atrous-") as scratch:
        try:
            LiveTraining(given.folder, control, tell, given.start, given.device).go_on(slices(), Path(scratch))
        except UserError as error:
            tell({"kind": "problem", "text": " ".join(str(error).split())})
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
