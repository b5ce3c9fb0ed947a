"""Detection: what positions should say of boxes, its loss, and boxes that are decoded from perfect maps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou, generalized_box_iou

from atrous.objects.boxes import find_boxes, lattice
from atrous.tasks.detection import PRIOR, UNIT, DetectionTask, encode, overlap_and_giou
from atrous.tasks.task import NotFinite, ObjectTask

SHAPES = {1: (120,), 2: (60, 72), 3: (24, 30, 28)}


def task_of(ndim, stride=2):
    return DetectionTask(("a", "b"), scale=(6.0,) * ndim, stride=(stride,) * ndim)


def some_boxes(ndim, count=5, seed=0, apart=True):
    """Boxes inside the grid of `SHAPES`, whose centers keep apart."""
    rng, boxes = np.random.default_rng(seed), []
    for _ in range(1000):
        half = rng.uniform(2.5, 5, ndim)
        center = np.array([rng.uniform(h, n - h) for h, n in zip(half, SHAPES[ndim], strict=True)])
        box = np.concatenate([center - half, center + half])
        clear = all((np.abs(center - (o[:ndim] + o[ndim:]) / 2) > 6).any() for o in boxes)
        if clear or not apart:
            boxes.append(box)
        if len(boxes) == count:
            break
    return torch.tensor(np.array(boxes), dtype=torch.float32), torch.arange(count) % 2


def rows_of(boxes, classes, crop=0):
    return torch.cat([torch.full((len(boxes), 1), float(crop)), boxes, classes[:, None].float()], dim=1)


def centers_of(task, shape):
    axes = [lattice(size, step) for size, step in zip(shape, task.stride, strict=True)]
    return [torch.arange(axis.start, axis.stop, axis.step) + 0.5 for axis in axes]


def perfect(task, boxes, classes, shape):
    """The output `(1, K, *S)` of a perfect network: at every position the box that is nearest, as `encode` counts."""
    finest = DetectionTask(task.classes, task.scale, (1,) * task.ndim)
    centers = centers_of(finest, shape)
    maps = encode(boxes, classes, centers, finest)
    places = torch.stack(torch.meshgrid(*centers, indexing="ij"))
    owner = maps.owner.clamp_min(0)
    low = places - torch.stack([boxes[owner, a] for a in range(task.ndim)])
    high = torch.stack([boxes[owner, task.ndim + a] for a in range(task.ndim)]) - places
    reach = torch.cat([low, high]).clamp_min(1e-3) / torch.tensor(task.scale).repeat(2).reshape(-1, *(1,) * task.ndim)
    return torch.cat([torch.logit(maps.near, 1e-4) - PRIOR, torch.log(torch.expm1(reach)) - UNIT])[None]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_overlaps_are_those_of_torchvision(seed):
    generator = torch.Generator().manual_seed(seed)
    low = 50 * torch.rand(2, 20, 2, generator=generator)
    one, other = torch.cat([low, low + 1 + 40 * torch.rand(2, 20, 2, generator=generator)], dim=2)
    iou, giou = overlap_and_giou(one, other)
    torch.testing.assert_close(iou, box_iou(one, other).diagonal())
    torch.testing.assert_close(giou, generalized_box_iou(one, other).diagonal())


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(0, 10**6), st.integers(1, 5))
def test_every_box_has_a_position_that_is_its_center(ndim, seed, stride):
    task = task_of(ndim, stride)
    boxes, classes = some_boxes(ndim, seed=seed)
    maps = encode(boxes, classes, centers_of(task, SHAPES[ndim]), task)
    assert maps.near.shape == (2, *maps.owner.shape)
    assert (maps.near.amax(dim=0) > 0).equal(maps.owner >= 0)
    for number, (box, kind) in enumerate(zip(boxes, classes, strict=True)):
        middle = (box[:ndim] + box[ndim:]) / 2
        places = [(axis - m).abs().argmin() for axis, m in zip(centers_of(task, SHAPES[ndim]), middle, strict=True)]
        away = [(axis - m).abs().min() for axis, m in zip(centers_of(task, SHAPES[ndim]), middle, strict=True)]
        if max(away) <= stride / 2:  # the last positions of an axis may lie beyond the last one that proposes
            assert maps.near[(kind, *places)] == 1
            own = boxes[maps.owner[tuple(places)]]
            assert (
                number == maps.owner[tuple(places)] or (own[:ndim] + own[ndim:] - 2 * middle).abs().max() <= 2 * stride
            )


def test_small_objects_weigh_more_and_empty_crops_are_background():
    task = task_of(2, 1)
    boxes = torch.tensor([[2.0, 2, 6, 6], [20, 20, 52, 52]])
    centers = centers_of(task, SHAPES[2])
    maps = encode(boxes, torch.tensor([0, 1]), centers, task)
    assert maps.weight[maps.owner == 0].unique().tolist() == pytest.approx([3.0])
    assert maps.weight[maps.owner == 1].unique().tolist() == pytest.approx([6 / 16])
    assert maps.weight[maps.owner < 0].unique().tolist() == [1]
    weighted = replace(task, class_weights=(0.5, 2.0))
    heavier = encode(boxes, torch.tensor([0, 1]), centers, weighted).weight
    torch.testing.assert_close(heavier[maps.owner == 0], maps.weight[maps.owner == 0] / 2)
    torch.testing.assert_close(heavier[maps.owner == 1], maps.weight[maps.owner == 1] * 2)
    none = encode(boxes[:0], torch.zeros(0, dtype=torch.long), centers, task)
    assert not none.near.any()
    assert (none.owner == -1).all()


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_perfect_maps_are_decoded_to_the_true_boxes(ndim, stride):
    task, (boxes, classes) = task_of(ndim, stride), some_boxes(ndim)
    output = perfect(task, boxes, classes, SHAPES[ndim])
    assert output.shape[1] == task.out_channels
    found = find_boxes(task.probabilities(output)[0].numpy(), task.decoder)
    order = np.lexsort(found.values.T)
    truth = torch.cat([boxes, classes[:, None]], dim=1).numpy()
    truth = truth[np.lexsort(truth[:, :-1].T)]
    np.testing.assert_allclose(found.values[order], truth[:, :-1], atol=2e-2)
    assert found.classes[order].tolist() == truth[:, -1].tolist()
    for full in (True, False):
        metrics = task.metrics(full=full)
        target = torch.cat([boxes, classes[:, None].float()], dim=1)
        metrics.update("a", task.probabilities(output)[0] if full else output[0], target)
        assert metrics.result(0.0).values["map"] > 0.99
    marked = task.decode(output)[0].bool()
    assert marked.any()
    assert not marked.all()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_loss_is_least_for_true_maps_and_has_gradients(ndim):
    task, (boxes, classes) = task_of(ndim, 1), some_boxes(ndim)
    true = perfect(task, boxes, classes, SHAPES[ndim]).repeat(2, *(1,) * (ndim + 1))
    target = torch.cat([rows_of(boxes, classes), rows_of(boxes, classes, 1)])
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    wrong = (true + noise).requires_grad_()
    loss = task.loss(wrong, target)
    assert float(task.loss(true, target)) < 0.02 < float(loss.detach()) - 0.3
    loss.backward()
    assert bool(torch.isfinite(wrong.grad).all())
    assert all(float(wrong.grad[:, channel].abs().max()) > 0 for channel in range(task.out_channels))


def test_each_crop_has_its_own_boxes():
    task, (boxes, classes) = task_of(2, 1), some_boxes(2)
    true = perfect(task, boxes, classes, SHAPES[2])
    fresh = torch.zeros_like(true)
    both = torch.cat([true, fresh])
    right = task.loss(both, rows_of(boxes, classes))
    swapped = task.loss(both, rows_of(boxes, classes, 1))
    assert float(right) < 0.02 < float(swapped)


def test_crops_without_boxes_have_a_finite_loss():
    task = task_of(2)
    output = torch.zeros(2, task.out_channels, 16, 16, requires_grad=True)
    loss = task.loss(output, torch.zeros(0, 6))
    loss.backward()
    assert 0 < float(loss.detach()) < 10
    assert bool(torch.isfinite(output.grad).all())


def test_areas_of_no_class_count_for_nothing():
    task, (boxes, classes) = task_of(2, 1), some_boxes(2)
    output = perfect(task, boxes, classes, SHAPES[2])
    rows = rows_of(boxes, classes)
    rows[0, -1] = -1
    missing = torch.cat([rows[:0], rows[1:]])
    assert float(task.loss(output, rows)) < 0.02 < float(task.loss(output, missing))


def test_output_that_is_not_finite_names_the_image():
    task = task_of(1)
    with pytest.raises(NotFinite, match="wave"):
        task.metrics().update("wave", torch.full((4, 9), float("nan")), torch.zeros(0, 3))


def test_the_task_is_one_whose_answer_are_objects():
    options = {"scale": [4.0, 5.0], "stride": [1, 2], "threshold": 0.4, "video": False}
    task = DetectionTask.build({"classes": ["a"], "options": options})
    assert isinstance(task, ObjectTask)
    assert task.found == "boxes"
    assert (task.ndim, task.out_channels, task.decoder.reach, task.decoder.stride) == (2, 5, 100, (1, 2))
    assert task.lenient.threshold < task.decoder.threshold == 0.4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": [4.0]}, "needs stride"),
        ({"scale": 4.0, "stride": [1]}, "needs scale"),
        ({"scale": [4.0], "stride": [1], "thresold": 0.1}, "no key 'thresold'"),
        ({"scale": [4.0], "stride": [1, 1]}, "for each of 1 to 3 axes"),
        ({"scale": [-4.0], "stride": [1]}, "must be above 0"),
        ({"scale": [4.0], "stride": [1], "threshold": 1.5}, "between 0 and 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        DetectionTask.build({"classes": ["a"], "options": options})
    with pytest.raises(ValueError, match="at least one"):
        DetectionTask.build({"classes": [], "options": {"scale": [4.0], "stride": [1]}})
    with pytest.raises(ValueError, match="2 class weights for 1 classes"):
        DetectionTask(("a",), (4.0,), (1,), class_weights=(1.0, 2.0))
