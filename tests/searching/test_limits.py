"""What is refused before any training: networks that are blind to the objects, slow or large."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from atrous.data.dataset import open_dataset
from atrous.recipe.network import build_network
from atrous.recipe.run import open_run
from atrous.recipe.schema import override, validate
from atrous.searching.limits import Needs, NetworkFacts, examine, object_widths, usual_input
from atrous.searching.speed import milliseconds, per_megaposition
from atrous.verbs.check import check

FACTS = NetworkFacts((61, None), 1000, 50_000_000, 8.0, 30.0, 1)


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ({}, None),
        ({"objects": (61.0, 900.0)}, None),
        ({"objects": (900.0, 0.0), "shape": (3, 60, 64)}, None),
        ({"objects": (61.5, 0.0)}, "receptive field 61 along axis 0, objects are 62 wide"),
        ({"memory": 40e6}, "memory 50 MB, allowed 40 MB"),
        ({"memory": 50e6, "latency": 8.0}, None),
        ({"latency": 7.5}, "latency 8.0 ms, allowed 7.5 ms"),
    ],
)
def test_what_is_refused(needs, why):
    assert replace(Needs((3, 64, 64), (0.0, 0.0)), **needs).refuse(FACTS) == why


def test_a_network_is_examined_without_training(trained):
    """The receptive field is that of its layers, and the random numbers of the caller stay."""
    recipe = override(open_run(trained).recipe, ["model.name=five_layer", "model.width=8"])
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    facts = examine(recipe, (3, 64, 48))
    assert torch.equal(torch.rand(1), expected)
    network = build_network(recipe.model, open_run(trained).task().out_channels)
    x = torch.randn(1, 3, 64, 48, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.eval()(x)[0, :, 32, 24].square().sum(), x)
    seen = [gradient[0].abs().sum((0, 2 - axis)).nonzero().numel() for axis in (0, 1)]
    assert all(0 < near <= field <= 2 * near for near, field in zip(seen, facts.receptive_field, strict=True))
    assert facts.parameters == sum(p.numel() for p in network.parameters())
    assert facts.milliseconds > 0
    assert facts.per_megaposition == pytest.approx(facts.milliseconds * 1e6 / (64 * 48))
    assert facts.threads == torch.get_num_threads()


def test_time_is_that_of_a_pass(monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 0.25))
    monkeypatch.setattr("atrous.searching.speed.time.perf_counter", lambda: next(clock))
    network = nn.Conv2d(3, 2, 3)
    assert milliseconds(network, (3, 16, 16)) == 250.0
    assert network.weight.dtype == torch.float32
    assert milliseconds(network, (3, 16, 16), bfloat16=True) == 250.0
    assert network.weight.dtype == torch.bfloat16
    assert per_megaposition(250.0, (3, 1000, 500)) == 500.0


def test_the_usual_input_is_the_median_and_not_too_large(trained, digits):
    recipe, fingerprint = open_run(trained).recipe, check(digits).fingerprint
    assert usual_input(recipe, fingerprint) == (3, 256, 256)  # the images have 64 x 64
    large = replace(fingerprint, sizes=replace(fingerprint.sizes, median=(4000, 1000)))
    assert usual_input(recipe, large) == (3, 500, 500)


def test_objects_of_label_images_are_as_wide_as_they_are(squares):
    """Squares of 16 x 16 positions on a background."""
    (squares / "dataset.toml").write_text('classes = ["ground", "square"]')
    found = check(squares)
    recipe = type("R", (), {"data": type("D", (), {"train": "train"}), "input": type("I", (), {"spacing": []})})
    assert object_widths(recipe, open_dataset(squares), found.fingerprint) == (16.0, 16.0)  # type: ignore[arg-type]


def test_objects_with_sizes_in_the_fingerprint(trained, digits):
    recipe, found = open_run(trained).recipe, check(digits)
    discs = replace(found.fingerprint, object_sizes=(10.0, np.pi * 25.0, 900.0))
    assert object_widths(recipe, found.dataset, discs) == (pytest.approx(10.0),) * 2
    recipe.task.options["aspect"] = [4.0, 1.0]
    assert object_widths(recipe, found.dataset, discs) == pytest.approx((5.0, 20.0))
    boxes = replace(found.fingerprint, box_sides=((1.0, 2.0), (8.0, 12.0), (20.0, 30.0)))
    assert object_widths(recipe, found.dataset, boxes) == (8.0, 12.0)


def test_classes_of_whole_inputs_are_timed_as_they_are_predicted(monkeypatch):
    """In float32, also where the training computes in bfloat16."""
    model = {"name": "evidence", "encoder": "strided", "strides": [2, 2], "encoder_width": 4}
    task = {"kind": "classification", "classes": ["no", "yes"], "options": {"stride": [4, 4]}}
    recipe = validate({"data": {"root": "a"}, "task": task, "model": model, "train": {"precision": "bf16-mixed"}}, "a")
    asked = []
    monkeypatch.setattr("atrous.searching.limits.milliseconds", lambda *_, bfloat16: asked.append(bfloat16) or 1.0)
    examine(recipe, (3, 32, 32))
    assert asked == [False]
