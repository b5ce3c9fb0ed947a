"""A loss that is no number is traced to its image; a validation that is no number leaves one line, and the run."""

import itertools
import math

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from atrous.data.feed.batches import Batch
from atrous.errors import UserError
from atrous.tasks.custom import CustomTask
from atrous.tasks.edges import EdgeTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.task import NotFinite
from atrous.training.budget import Budget
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.training.log import read_log
from atrous.training.loop import fit
from atrous.training.settings import Monitor, Settings, Supply
from atrous.training.trace import blame, supervised_loss
from atrous.verbs.evaluate import evaluate
from atrous.verbs.train import train
from tests.conftest import SMALL

NAMES = ("a.tif", "b.tif", "c.tif")
TASK = Semantic(("a", "b"))


def batch(**spoiled):
    """Three images of ordinary values, some of which are spoiled: `b=value` puts a value into b.tif."""
    generator = torch.Generator().manual_seed(0)
    images, targets = torch.randn(3, 1, 16, 16, generator=generator), torch.zeros(3, 16, 16, dtype=torch.long)
    for name, value in spoiled.items():
        images[ord(name) - ord("a"), 0, 3, 4] = value
    return Batch(images, targets, NAMES)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_named_with_their_file(value):
    net = network()
    said = str(blame(net, net, TASK, batch(b=value), 7))
    assert said.startswith("b.tif: has values that are nan or infinite, so the loss at step 7 is not a number")


@pytest.mark.parametrize("value", [-3.4e38, 3.4e38])
def test_values_that_overflow_are_named_with_their_size(value):
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1))
    nn.init.constant_(net[0].weight, 2.0)
    said = str(blame(net, net, TASK, batch(c=value), 7))
    assert said.startswith("c.tif: the loss at step 7 is not a number because of this image")
    assert f"{abs(value):.3g}" in said


def test_weights_that_have_diverged_are_the_rate_s_fault_not_an_image_s():
    net = network()
    with torch.no_grad():
        net[-1].weight.fill_(math.inf)
    said = str(blame(net, net, TASK, batch(), 7))
    assert said.startswith(
        "the loss is not a number at step 7, and no image alone is the reason: lower train.learning_rate"
    )


def test_a_loader_s_batches_have_numbers_for_names():
    net, spoiled = network(), batch(b=math.nan)
    assert str(blame(net, net, TASK, Batch(spoiled.images, spoiled.targets), 7)).startswith("image 1 of the batch:")


def run(folder, batches, validate, monitor=None, steps=6):
    return fit(
        network(), TASK, Supply(lambda step: itertools.islice(batches, step, None), validate, 1),
        budget=Budget(steps=steps), settings=Settings(validations=3, precision="32-true"), folder=folder,
        monitor=monitor,
    )  # fmt: skip


def test_the_weights_before_the_image_are_kept(tmp_path):
    """The image comes in step 4, after a validation whose weights are kept; nothing that is no number is stored."""
    fine = {"loss": 1.0, "miou": 0.5, "pixel_accuracy": 0.5}
    with pytest.raises(UserError, match=r"b\.tif"):
        run(tmp_path, [*[batch()] * 4, *[batch(b=math.nan)] * 9], lambda _: fine)
    weights, facts = read_tensors(tmp_path / "model.safetensors")
    assert 0 < facts["step"] <= 4
    assert all(bool(weight.isfinite().all()) for weight in weights.values() if weight.is_floating_point())


def test_a_validation_that_is_no_number_is_one_line_and_the_run_goes_on(tmp_path):
    lines, told = [], iter([0.4, None, 0.6])

    def validate(_):
        value = next(told)
        if value is None:
            raise NotFinite("images/7.tif")
        return {"loss": 1.0, "miou": value, "pixel_accuracy": value}

    done = run(tmp_path, [batch()] * 99, validate, Monitor(tell=lines.append))
    assert (done.step, done.best) == (6, 0.6)
    assert len(lines) == 1
    assert "images/7.tif: the network's output is not finite" in lines[0]
    values = [row["miou"] for row in read_log(tmp_path / "metrics.csv") if row["split"] == "val"]
    assert [values[0], values[2]] == [0.4, 0.6]
    assert math.isnan(values[1])


@pytest.fixture
def floats(squares):
    """The squares as float32 TIFF files."""
    from PIL import Image

    for path in sorted((squares / "images").iterdir()):
        tifffile.imwrite(path.with_suffix(".tif"), np.asarray(Image.open(path), np.float32))
        path.unlink()
    return squares


def test_training_names_the_file_and_keeps_the_run(floats, tmp_path, monkeypatch):
    """One file becomes infinite after the check has read it."""
    whole = train(floats, out=tmp_path / "fine", epochs=4, settings=SMALL, progress=False, report=False)
    monkeypatch.setattr("atrous.data.feed.pairs.cut_values", spoiled_cut("1.tif", floats))
    with pytest.raises(UserError, match=r"images/1\.tif: has values that are nan.*the run is kept.*--resume"):
        train(floats, out=tmp_path / "run", epochs=4, settings=SMALL, progress=False)
    assert (tmp_path / "run" / "recipe.toml").exists()
    monkeypatch.undo()
    resumed = train(resume=tmp_path / "run", progress=False, report=False)
    assert resumed.outcome.step == whole.outcome.step


def spoiled_cut(name, folder):
    """A `cut_values` that gives NaN for the image of one file."""
    from atrous.data.cut import cut_values

    truth = tifffile.imread(folder / "images" / name)

    def cut(image, view, crop, *rest, **options):
        made = cut_values(image, view, crop, *rest, **options)
        return made * math.nan if np.array_equal(image[0], truth) else made

    return cut


def test_an_output_that_is_no_number_is_one_line_of_evaluate(floats, tmp_path):
    """Weights that have diverged, as a run of another version may have left them."""
    folder = tmp_path / "run"
    train(floats, out=folder, epochs=1, settings=SMALL, progress=False, report=False)
    tensors, facts = read_tensors(folder / "model.safetensors")
    tensors = {name: weight * math.nan if name.startswith("head") else weight for name, weight in tensors.items()}
    write_tensors(folder / "model.safetensors", tensors, facts)
    with pytest.raises(UserError, match=r"images/\d\.tif: the network's output is not finite"):
        evaluate(folder)


def test_a_run_whose_final_evaluation_is_no_number_is_kept(floats, tmp_path, monkeypatch):
    def spoilt(*_):
        raise UserError("images/7.tif: the network's output is not finite")

    monkeypatch.setattr("atrous.verbs.train.calibrate_and_measure", spoilt)
    with pytest.raises(UserError, match=r"7\.tif.*the trained run is kept without a report: .*run"):
        train(floats, out=tmp_path / "run", epochs=1, settings=SMALL, progress=False)
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_side_outputs_weigh_what_their_task_says():
    torch.manual_seed(0)
    outputs, marks = [torch.randn(1, 1, 6, 6) for _ in range(3)], (torch.rand(1, 2, 6, 6) > 0.7).float()
    task = EdgeTask.build({"dice": 0.0, "options": {}})
    alone = torch.stack([task.loss(one, marks) for one in outputs])
    for each in (task, CustomTask(task, None, {"f": lambda p, t: 0.0})):
        torch.testing.assert_close(supervised_loss(each, outputs, marks), alone.mean())
    halved = [Semantic(("a", "b")).loss(torch.cat([one, -one], 1), marks[:, 0].long()) for one in outputs]
    total = supervised_loss(TASK, [torch.cat([one, -one], 1) for one in outputs], marks[:, 0].long())
    torch.testing.assert_close(total, (4 * halved[0] + 2 * halved[1] + halved[2]) / 7)
