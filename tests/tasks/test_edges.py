"""The loss of edges against its formula in float64, and metrics against `atrous score-edges`."""

import math

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.tasks import edge_matching, edges
from atrous.tasks.custom import CustomTask, reported, value_task
from atrous.tasks.edges import EdgeTask
from atrous.tasks.task import NotFinite
from atrous.verbs.score_edges import EdgeOptions, score_edges

SIZE = 48


def task(dice=0.0, **options):
    return EdgeTask.build({"dice": dice, "options": options})


def scene(seed):
    """Strengths of two noisy lines and a false one, and the lines as two annotators draw them."""
    rng = np.random.default_rng(seed)
    strength = 0.1 * rng.random((SIZE, SIZE))
    marks = np.zeros((2, SIZE, SIZE), np.float32)
    for row, value in ((10 + seed, 0.9), (30, 0.6)):
        strength[row - 1 : row + 2] += np.array([[0.5], [1], [0.5]]) * value * rng.random(SIZE)
        marks[0, row] = marks[1, row + 1] = 1
    strength[:, 24] += 0.4
    marks[1, 30:] = 0
    return strength.clip(0, 1).astype(np.float32), marks


def measured(given, images, full=True):
    metrics = given.metrics(full=full)
    for name, (strength, marks) in images.items():
        values = torch.from_numpy(strength)[None]
        metrics.update(name, values if full else values.logit(1e-6), torch.from_numpy(marks))
    return metrics.result(0.0)


def test_the_loss_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    logits, marks = rng.normal(0, 2, (2, 1, 7, 9)), (rng.random((2, 3, 7, 9)) < 0.3).astype(float)
    share = marks.mean(axis=1, keepdims=True)
    edge, rest = share > 0.5, share == 0
    assert 0 < edge.sum() < rest.sum() < edge.size - edge.sum()  # and some that only one of three marked
    p = 1 / (1 + np.exp(-logits))
    balance = rest.sum() / (edge.sum() + rest.sum())
    weight = edge * balance + rest * 1.3 * (1 - balance)
    cross = -(weight * np.where(edge, np.log(p), np.log(1 - p))).sum() / weight.sum()
    counted = edge | rest
    dice = 1 - 2 * p[edge].sum() / ((p[counted] ** 2).sum() + edge.sum())
    output, target = torch.from_numpy(logits), torch.from_numpy(marks)
    found = task(dice=0.5, eta=0.5, negative_weight=1.3).loss(output, target)
    assert float(found) == pytest.approx(cross + 0.5 * dice, rel=1e-5)
    # the share of annotators is a target too, and what is unknown counts for nothing
    unknown = target.clone()
    unknown[0, :, :3] = math.nan
    some = task(eta=0.5).loss(output[:, :, 3:], target[:, :, 3:].mean(1, keepdim=True))
    whole = task(eta=0.5).loss(output, torch.where(torch.arange(7).view(7, 1) < 3, math.nan, target))
    assert float(some) == pytest.approx(float(whole), rel=1e-6)
    assert math.isfinite(float(task().loss(output, unknown)))


def test_what_fewer_than_the_consensus_marked_has_no_gradient():
    marks = torch.zeros(1, 5, 1, 6)
    marks[:, :1, :, 0] = marks[:, :2, :, 1] = marks[:, :, :, 2] = 1  # 0.2, 0.4 and 1 of five
    marks[..., 5] = math.nan
    output = torch.zeros(1, 1, 1, 6, requires_grad=True)
    task().loss(output, marks).backward()
    assert output.grad.sign().flatten().tolist() == [0, -1, -1, 1, 1, 0]
    positive, negative = output.grad[output.grad < 0].sum(), output.grad[output.grad > 0].sum()
    assert float(negative / -positive) == pytest.approx(1.1, rel=1e-5)  # rare or not, both count alike, but for 1.1


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_a_batch_without_edges_has_a_finite_loss(value):
    output = torch.randn(2, 1, 5, 5, requires_grad=True)
    loss = task(dice=1.0).loss(output, torch.full((2, 3, 5, 5), value))
    loss.backward()
    assert bool(loss.isfinite())
    assert output.grad.isfinite().all()
    assert float(task().loss(output.detach(), torch.full((2, 3, 5, 5), value))) == 0


@pytest.mark.parametrize(("channels", "size"), [(2, 5), (1, 6)])
def test_an_output_of_another_shape_is_refused(channels, size):
    with pytest.raises(UserError, match="edges are one channel on the grid of the target"):
        task().loss(torch.zeros(1, channels, 5, size), torch.zeros(1, 3, 5, 5))


def test_metrics_are_those_of_score_edges(tmp_path):
    images = {name: scene(seed) for seed, name in enumerate("ab")}
    for name, (strength, marks) in images.items():
        for folder in ("edges", "truth/" + name):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "edges" / f"{name}.npy", strength)
        for number, marked in enumerate(marks):
            np.save(tmp_path / "truth" / name / f"{number}.npy", marked > 0)
    scores = score_edges(tmp_path / "edges", tmp_path / "truth", EdgeOptions(nms=True)).scores
    found = measured(task(), images)
    assert list(found.values)[:3] == ["ods", "ois", "ap"]
    assert found.values["ods"] == scores.best.f > 0.5
    assert found.values["ois"] == scores.best_of_images.f
    assert found.values["ap"] == scores.ap > 0
    assert found.values["ods_threshold"] == scores.best.threshold
    assert found.per_image == {name: point.f for name, point in scores.per_image.items()}
    assert found.higher_is_better
    assert "best threshold" in found.conventions


def test_fewer_thresholds_measure_nearly_the_same():
    images = {name: scene(seed) for seed, name in enumerate("ab")}
    quick, few, all_of_them = (
        measured(task(), images, full=False), measured(task(thresholds=9), images), measured(task(), images),
    )  # fmt: skip
    assert quick.values == pytest.approx(few.values, abs=1e-6)
    assert few.values["ods"] == pytest.approx(all_of_them.values["ods"], abs=0.05)
    assert "at 9 thresholds" in few.conventions
    fewer = reported(CustomTask(task(), None, {"one": lambda p, t: 1.0}))
    assert value_task(fewer).thresholds == reported(task()).thresholds == edges.REPORTED_THRESHOLDS
    assert reported(task(thresholds=3)).thresholds == 3
    assert fewer.own_metrics


def test_where_nothing_is_known_nothing_that_is_found_counts():
    strength, marks = scene(0)
    marks[:, :, 20:29] = math.nan  # the false line
    assert measured(task(), {"a": (strength, marks)}).values["ods"] > measured(task(), {"a": scene(0)}).values["ods"]


def test_what_cannot_be_measured_is_named(monkeypatch):
    strength, marks = scene(0)
    with pytest.raises(NotFinite, match=r"a\.png"):
        measured(task(), {"a.png": (np.full_like(strength, np.nan), marks)})
    with pytest.raises(UserError, match=r"a\.png: 3 axes: edges are measured in images"):
        measured(task(), {"a.png": (strength[None], marks[:, None])})
    monkeypatch.setattr(edge_matching, "_MOST_PAIRS", 10)
    with pytest.raises(UserError, match=r"a\.png: .*set a smaller task\.options\.max_distance"):
        measured(task(), {"a.png": (strength, marks)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eta", 1.0),
        ("eta", -0.1),
        ("eta", "half"),
        ("negative_weight", 0),
        ("max_distance", 1.5),
        ("eta", True),
        ("side_weight", 0),
        ("thresholds", 0),
        ("thresholds", 2.5),
    ],
)
def test_options_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=rf"task\.options\.{name} = "):
        task(**{name: value})
