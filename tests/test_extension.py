"""A format, a layout, a target and a task of one's own, added from outside and carried through every verb."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from atrous.data.formats import Format, Header, add_format
from atrous.data.images import FileImage
from atrous.data.layouts.base import Layout
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.table import LAYOUTS, add_layout
from atrous.data.sample import Sample
from atrous.data.targets.values import ValueFile, Values
from atrous.prediction.jobs import OUTPUTS
from atrous.prediction.output import Output
from atrous.tasks.measures import Measures
from atrous.tasks.table import TASKS, add_task
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.kinds import KINDS, add_kind
from atrous.verbs.predict import predict
from atrous.verbs.train import train


class TextGrid(Format):
    """A format: numbers in lines of text, one channel."""

    name, suffixes = "text grid", (".grid",)

    def header(self, path):
        return Header(self.image(path).shape, "float32", "array")

    def image(self, path):
        return np.loadtxt(path, dtype=np.float32, ndmin=2)[None]


class Heights(Values):
    """A target: the height of every position; below sea level nothing is known."""

    kind = "heights"

    def read(self):
        return np.where((values := super().read()) < 0, np.float32(np.nan), values)


def find_pairs(root, description):
    """A layout: `NAME.view.grid` beside `NAME.height.grid`."""
    views = sorted(root.glob("*.view.grid"))
    if not views:
        return None
    samples = []
    for path in views:
        name = path.name.removesuffix(".view.grid")
        samples.append(Sample(name, FileImage(path), Heights(ValueFile(root / f"{name}.height.grid"))))
    splits, origin = into_splits({"train": samples}, description, ({}, ""), False)
    return Layout("views and heights", ordered(splits), origin, kind="terrain", task="heights")


class Gather:
    """The mean absolute error, image by image."""

    def __init__(self, scale):
        self.errors, self.scale = {}, scale

    def update(self, name, probabilities, target, spacing=None):
        known = ~torch.isnan(target)
        self.errors[name] = float((probabilities * self.scale - target)[known].abs().mean())

    def result(self, seconds, tta="none"):
        mean = float(np.mean(list(self.errors.values())))
        return Measures({"mae": mean}, self.errors, seconds, tta, "view", higher_is_better=False)


@dataclass(frozen=True)
class HeightTask:
    """A task: regression by absolute error; the network's output is in units of `scale`."""

    scale: float
    out_channels, watched, higher_is_better = 1, ("mae",), False

    def loss(self, output, target):
        known = ~torch.isnan(target)
        return (output - torch.nan_to_num(target) / self.scale)[known].abs().mean()

    def decode(self, output):
        return self.probabilities(output)[:, 0]

    def probabilities(self, output):
        return output.float() * self.scale

    def metrics(self, *, full=True):
        return Gather(1.0 if full else self.scale)  # quick metrics, during training, are given raw output


class HeightFile(Output):
    """What is written: heights as a text grid."""

    values = "probabilities"

    def __init__(self, path):
        self.paths = (path,)

    def begin(self, opened, streamed):
        self.sink = np.empty((1, *opened.size), np.float32)

    def finish(self):
        self.paths[0].parent.mkdir(exist_ok=True)
        np.savetxt(self.paths[0], self.sink[0])

    def discard(self):
        self.sink = None


@pytest.fixture
def terrain(tmp_path):
    """Everything is added, and taken out again after the test."""
    tables = [(table, dict(table)) for table in (LAYOUTS, TASKS, KINDS, OUTPUTS)]
    add_format(TextGrid())
    add_layout("terrain", find_pairs)
    add_task("heights", lambda section: HeightTask(section["options"].get("scale", 100.0)))
    outputs = lambda predictor, item, out, companions: [HeightFile(out / f"{item.path.stem}.grid")]  # noqa: E731
    add_kind("terrain", replace(KINDS["grids"], outputs=outputs))
    rng = np.random.default_rng(0)
    for number in range(6):
        slope = np.add.outer(np.arange(40.0), np.arange(48.0)) * rng.uniform(0.5, 1)
        np.savetxt(tmp_path / f"{number}.view.grid", slope / 10 + rng.normal(0, 0.1, slope.shape))
        np.savetxt(tmp_path / f"{number}.height.grid", np.where(slope < 3, -1, slope))
    yield tmp_path
    for table, before in tables:
        table.clear()
        table.update(before)


def test_what_is_added_goes_through_every_verb(terrain):
    found = check(terrain)
    assert found.ok, found.text()
    assert (found.dataset.layout, found.dataset.target, found.classes) == ("views and heights", Heights, ())
    small = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=2")
    run = terrain / "run"
    trained = train(terrain, out=run, epochs=8, settings=[*small, "task.options={scale=50.0}"], progress=False)
    assert trained.scores.values["mae"] == evaluate(run, terrain).scores.values["mae"] < 40
    assert trained.run.recipe.data.kind == "terrain"
    assert "mae" in (run / "report.html").read_text(encoding="utf-8")
    written = predict(run, [terrain / "0.view.grid"], terrain / "out").written
    heights = np.loadtxt(terrain / "out" / "0.view.grid")
    assert written == (terrain / "out" / "0.view.grid",)
    truth = np.loadtxt(terrain / "0.height.grid")
    assert np.abs(heights - truth)[truth >= 0].mean() < 40
