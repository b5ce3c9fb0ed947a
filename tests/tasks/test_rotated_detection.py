"""Rotated boxes: what positions should say, the loss, its continuity over turns, and boxes of perfect maps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal
from torch.distributions import kl_divergence as divergence_of

from atrous.objects.boxes import find_boxes, lattice
from atrous.objects.rotated import boxes_of, corners_of, form_of, rotated_iou
from atrous.tasks.detection import PRIOR, UNIT, DetectionTask, encode
from atrous.tasks.rotated_detection import RotatedDetectionTask, kl_divergence
from atrous.tasks.table import TASKS

SHAPE = (60, 72)
OPTIONS = {"scale": [6.0, 6.0], "stride": [2, 2]}


def task_of(stride=2):
    return RotatedDetectionTask(("a", "b"), scale=(6.0, 6.0), stride=(stride,) * 2)


def some_boxes(seed=0, count=5):
    """Rotated boxes `(n, 5)` float64 inside `SHAPE`, whose centers keep apart, with a square among them."""
    rng, boxes = np.random.default_rng(seed), []
    while len(boxes) < count:
        box = np.array([*(rng.uniform(9, n - 9) for n in SHAPE), *rng.uniform(5, 12, 2), rng.uniform(0, np.pi)])
        if all(np.hypot(*(box[:2] - other[:2])) > 14 for other in boxes):
            boxes.append(box)
    boxes[0][3] = boxes[0][2]
    return np.array(boxes), torch.arange(count) % 2


def corners(boxes):
    return torch.from_numpy(corners_of(boxes).reshape(-1, 8)).float()


def rows_of(boxes, classes, crop=0):
    return torch.cat([torch.full((len(boxes), 1), float(crop)), corners(boxes), classes[:, None].float()], dim=1)


def centers_of(task):
    axes = [lattice(size, step) for size, step in zip(SHAPE, task.stride, strict=True)]
    return [torch.arange(axis.start, axis.stop, axis.step) + 0.5 for axis in axes]


def perfect(task, boxes, classes):
    """The output `(1, K + 7, H, W)` of a perfect network: at every position the box that is nearest."""
    finest = RotatedDetectionTask(task.classes, task.scale, (1, 1))
    centers, unit = centers_of(finest), task.scale[0]
    maps = encode(corners(boxes), classes, centers, finest)
    owner = maps.owner.clamp_min(0)
    places = torch.stack(torch.meshgrid(*centers, indexing="ij"))
    way = (torch.from_numpy(boxes[:, :2]).float()[owner].movedim(-1, 0) - places) / unit
    mean, even, odd, *angle = torch.from_numpy(form_of(boxes)).float()[owner].movedim(-1, 0)
    ratio = torch.stack([even, odd]) / mean
    ratio = ratio / (1 - ratio.square().sum(dim=0)).sqrt()
    size = torch.log(torch.expm1(mean / unit)) - UNIT
    scores = torch.logit(maps.near, 1e-4) - PRIOR
    return torch.cat([scores, way, size[None], ratio, torch.stack(angle)])[None]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_perfect_maps_are_decoded_to_the_true_boxes(stride):
    task, (boxes, classes) = task_of(stride), some_boxes()
    output = perfect(task, boxes, classes)
    assert output.shape[1] == task.out_channels == 9
    maps = task.probabilities(output)[0]
    found = find_boxes(maps.numpy(), task.decoder)
    order = [int(rotated_iou(np.tile(box, (len(found), 1)), found.values).argmax()) for box in boxes]
    assert sorted(order) == list(range(len(boxes)))
    assert rotated_iou(boxes, found.values[order]).min() > 0.999
    assert found.classes[order].tolist() == classes.tolist()
    target = torch.cat([corners(boxes), classes[:, None].float()], dim=1)
    for full in (True, False):
        metrics = task.metrics(full=full)
        metrics.update("a", maps if full else output[0], target)
        assert metrics.result(0.0).values["map"] > 0.99
    assert task.decode(output)[0].bool().any()


def test_the_loss_is_least_for_true_maps_and_has_gradients():
    task, (boxes, classes) = task_of(1), some_boxes()
    true, rows = perfect(task, boxes, classes), rows_of(boxes, classes)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    wrong = (true + noise).requires_grad_()
    loss = task.loss(wrong, rows)
    assert float(task.loss(true, rows)) < 0.02 < float(loss.detach()) - 0.3
    loss.backward()
    assert bool(torch.isfinite(wrong.grad).all())
    assert all(float(wrong.grad[:, channel].abs().max()) > 0 for channel in range(task.out_channels))
    fresh = torch.zeros(1, 9, 16, 16, requires_grad=True)
    task.loss(fresh, rows[:0]).backward()
    assert bool(torch.isfinite(fresh.grad).all())


@given(st.integers(0, 10**6), st.floats(-7, 7))
def test_the_loss_does_not_tell_how_a_box_is_written_nor_jump_where_its_angle_does(seed, turn):
    """Half a turn, a quarter of a turn with exchanged sides, other first corners: all are the same box."""
    task, generator = task_of(), torch.Generator().manual_seed(seed)
    numbers, rng = torch.randn(7, 1, generator=generator), np.random.default_rng(seed)
    box = np.array([[6.0, 6, *rng.uniform(3, 15, 2), turn]])
    places = torch.tensor([[5.0, 7]])

    def lost(row):
        return torch.stack(task.compare(numbers, places, corners(row)))

    swapped = np.add(box[:, [0, 1, 3, 2, 4]], [0, 0, 0, 0, np.pi / 2])
    torch.testing.assert_close(lost(np.add(box, [0, 0, 0, 0, np.pi])), lost(box), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(lost(swapped), lost(box), atol=1e-4, rtol=1e-4)
    least = np.array([[6.0, 6, 12, 4, np.pi - 1e-4]])
    torch.testing.assert_close(lost(least), lost(np.add(least, [0, 0, 0, 0, 2e-4])), atol=2e-3, rtol=2e-3)


@given(st.integers(0, 10**6))
def test_the_divergence_is_that_of_the_gaussians(seed):
    rng = np.random.default_rng(seed)
    proposed, true = (np.array([[*rng.uniform(0, 9, 2), *rng.uniform(2, 20, 2), rng.uniform(0, 6)]]) for _ in range(2))

    def gaussian(box):
        y, x, length, width, angle = box[0]
        turn = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]]).T
        covariance = turn @ np.diag([length**2 / 4, width**2 / 4]) @ turn.T
        return MultivariateNormal(torch.tensor([y, x]), torch.from_numpy(covariance))

    _, _, length, width, angle = true[0]
    found = kl_divergence(
        torch.from_numpy((proposed - true)[:, :2].T), torch.from_numpy(form_of(proposed)[:, :3].T),
        torch.tensor([[length / 2], [width / 2]], dtype=torch.float64),
        torch.tensor([[np.sin(angle)], [np.cos(angle)]], dtype=torch.float64),
    )  # fmt: skip
    assert float(found) == pytest.approx(float(divergence_of(gaussian(proposed), gaussian(true))), rel=1e-6, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(0, 3))
def test_upright_boxes_are_learned_at_the_positions_of_upright_boxes(seed, quarters):
    rng, task = np.random.default_rng(seed), task_of()
    low = rng.uniform(0, 40, (4, 2))
    boxes = torch.from_numpy(np.concatenate([low, low + rng.uniform(2, 20, (4, 2))], axis=1)).float()
    ring = boxes[:, [0, 1, 0, 3, 2, 3, 2, 1]].reshape(-1, 4, 2).roll(quarters, dims=1).reshape(-1, 8)
    upright = DetectionTask(task.classes, task.scale, task.stride)
    one, other = (which.fall(rows, centers_of(task))[0] for which, rows in ((upright, boxes), (task, ring)))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    inside = (upright.covers(boxes[0], centers_of(task)), task.covers(ring[0], centers_of(task)))
    assert int((inside[0] != inside[1]).sum()) == 0


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_every_box_has_a_position_that_is_its_center(seed, stride):
    task, (boxes, classes) = task_of(stride), some_boxes(seed, count=3)
    maps, centers = encode(corners(boxes), classes, centers_of(task), task), centers_of(task)
    for box, kind in zip(boxes, classes, strict=True):
        places = [(axis - m).abs().argmin() for axis, m in zip(centers, box[:2], strict=True)]
        away = [float((axis - m).abs().min()) for axis, m in zip(centers, box[:2], strict=True)]
        if max(away) <= stride / 2:
            assert maps.near[(kind, *places)] == 1


def test_areas_of_no_class_count_for_nothing():
    task, (boxes, classes) = task_of(1), some_boxes()
    output, rows = perfect(task, boxes, classes), rows_of(boxes, classes)
    rows[0, -1] = -1
    assert float(task.loss(output, rows)) < 0.02 < float(task.loss(output, rows[1:]))


def test_the_network_says_boxes_however_large_its_output():
    task = task_of()
    maps = task.probabilities(torch.full((1, 9, 4, 4), 1e4))
    assert bool(torch.isfinite(maps).all())
    found = find_boxes(maps[0].numpy(), task.decoder)
    assert np.abs(found.values[:, 2:4]).max() <= task.decoder.reach
    fresh = task.probabilities(torch.zeros(1, 9, 1, 1))[0, 2:, 0, 0].tolist()
    assert fresh[:5] == pytest.approx([0, 0, 6, 0, 0])
    assert boxes_of(task.decoder.corners(found)).shape == found.values.shape


def test_the_option_chooses_the_task_and_what_does_not_fit_is_refused():
    section = {"classes": ["a"], "options": {**OPTIONS, "rotated": True, "video": False}}
    assert type(TASKS["detection"](section)) is RotatedDetectionTask
    assert type(TASKS["detection"]({**section, "options": {**OPTIONS, "rotated": False}})) is DetectionTask
    with pytest.raises(ValueError, match="true or false"):
        TASKS["detection"]({**section, "options": {**OPTIONS, "rotated": 1}})
    with pytest.raises(ValueError, match="for images"):
        TASKS["detection"]({**section, "options": {"rotated": True, "scale": [4.0], "stride": [1]}})
