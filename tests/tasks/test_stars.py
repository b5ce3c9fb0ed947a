"""Star-convex objects: maps that a network should give, and objects that are decoded from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.objects.kinds import with_classes
from atrous.tasks.stars import PRIOR, WEIGHT, StarTask, classes_of, encode
from atrous.tasks.table import TASKS
from atrous.tasks.task import ObjectTask
from tests.objects.worlds import random_discs


def numbered(shape=(60, 70), count=10):
    numbers, _, _ = random_discs(shape, count, (4, 9), gap=1)
    return torch.from_numpy(numbers.astype(np.int64))


def everywhere(distances, numbers):
    """Distances `(n, rays)` of the positions in objects as maps `(N, rays, *S)`."""
    maps = torch.zeros(*numbers.shape, distances.shape[1])
    maps[numbers > 0] = distances
    return maps.movedim(-1, 1)


def logits(task, numbers):
    """What a perfect network gives for `(N, *S)`."""
    maps = encode(numbers, task.rays, task.steps)
    parts = [torch.logit(maps.probability[:, None], 1e-6) - PRIOR]
    if task.kinds > 1:
        parts.append(20.0 * torch.nn.functional.one_hot(classes_of(numbers, task.kinds), task.kinds).movedim(-1, 1))
    return torch.cat([*parts, everywhere(maps.distances, numbers) / task.scale - 1], dim=1)


@pytest.mark.parametrize("times", [1, 1000])
def test_the_probability_is_the_distance_to_the_border_divided_by_the_greatest(times):
    both = torch.stack([numbered((40, 44), 6), torch.roll(numbered((40, 44), 6), 3, 0)])
    maps = encode(both * times, 8)
    for numbers, probability in zip(both.numpy(), maps.probability.numpy(), strict=True):
        assert (probability[numbers == 0] == 0).all()
        padded = np.pad(numbers, 1)  # nothing lies outside of the crop
        for number in np.unique(numbers)[1:]:
            mine, others = np.argwhere(padded == number), np.argwhere(padded != number)
            distance = np.sqrt(((mine[:, None] - others) ** 2).sum(axis=-1)).min(axis=1)
            assert np.allclose(probability[numbers == number], distance / distance.max(), atol=1e-6)


def test_a_crop_inside_of_one_object_has_targets():
    maps = encode(torch.full((1, 9, 9), 10_000), 8)
    assert maps.probability[0, 4, 4] == 1
    assert maps.probability[0, 0, 0] == pytest.approx(0.2)


@pytest.mark.parametrize(("shape", "ndim"), [((60, 70), 2), ((26, 36, 40), 3)])
def test_perfect_maps_are_decoded_to_the_true_objects(shape, ndim):
    numbers, task = numbered(shape), StarTask(ndim=ndim, scale=6.0)
    output = logits(task, numbers[None])
    assert output.shape[1] == task.out_channels
    for full in (True, False):
        metrics = task.metrics(full=full)
        metrics.update("a", task.probabilities(output)[0] if full else output[0], numbers)
        values = metrics.result(0.0).values
        assert values["ap50"] == values["ap70"] == 1
        assert values["seg"] > (0.85 if ndim == 2 else 0.8)
        assert values["count_mae"] == 0
    candidates = task.decode(output)[0] > 0
    assert not bool((candidates & (numbers == 0)).any())
    assert set(np.unique(numbers[candidates])) == set(np.unique(numbers)) - {0}


@pytest.fixture(scope="module")
def thinned():
    """Discs, and every second row of them: pixels that are twice as high as wide."""
    fine = numbered((120, 70), 8)
    return fine, fine[::2].contiguous(), StarTask(scale=6.0, aspect=(2.0, 1.0))


def test_high_pixels_have_the_rays_of_square_ones(thinned):
    fine, flat, task = thinned
    unit = 2**0.5  # positions of the fine grid
    whole, few = encode(fine[None], 32), encode(flat[None], 32, task.steps)
    inside = flat > 0
    off = (everywhere(few.distances, flat[None]) * unit - everywhere(whole.distances, fine[None])[:, :, ::2]).abs()
    off = off[0, :, inside]
    assert float(off.mean()) < 0.5
    assert float(off.quantile(0.99)) < 3  # others graze the outline, whose rows are two apart
    near = (few.probability - whole.probability[:, ::2]).abs()
    assert float(near[0, inside].mean()) < 0.1
    square = everywhere(encode(flat[None], 32).distances, flat[None]) * unit
    assert float((square - everywhere(whole.distances, fine[None])[:, :, ::2]).abs()[0, :, inside].mean()) > 1


def test_objects_of_high_pixels_are_found(thinned):
    _, flat, task = thinned
    metrics = task.metrics()
    metrics.update("a", task.probabilities(logits(task, flat[None]))[0], flat)
    values = metrics.result(0.0).values
    assert (values["ap50"], values["count_mae"]) == (1, 0)
    assert values["seg"] > 0.8


def test_objects_of_long_voxels_are_found():
    numbers = numbered((72, 40, 44), 9)[::3].contiguous()
    task = StarTask(ndim=3, scale=5.0, aspect=(3.0, 1.0, 1.0))
    metrics = task.metrics()
    metrics.update("a", task.probabilities(logits(task, numbers[None]))[0], numbers)
    values = metrics.result(0.0).values
    assert (values["ap50"], values["count_mae"]) == (1, 0)
    assert values["seg"] > 0.75


def test_recipes_without_aspect_mean_square_pixels():
    old = TASKS["instances"]({"options": {"ndim": 2, "shape": "stars", "rays": 8, "scale": 6.5}})
    new = replace(old, aspect=(0.7, 0.7))
    assert old.decoder == new.decoder
    assert (old.decoder.steps, old.decoder.reach) == ((1.0, 1.0), 130)
    numbers = numbered((30, 32), 4)[None]
    output = torch.randn((1, 9, 30, 32), generator=torch.Generator().manual_seed(0))
    assert torch.equal(old.loss(output, numbers), new.loss(output, numbers))
    assert torch.equal(old.probabilities(output), new.probabilities(output))


@pytest.mark.parametrize(("shape", "ndim"), [((60, 70), 2), ((20, 30, 32), 3)])
def test_the_loss_is_least_for_the_true_maps_and_has_gradients(shape, ndim):
    numbers, task = numbered(shape)[None], StarTask(ndim=ndim, rays=8, scale=6.0)
    true = logits(task, numbers)
    wrong = (true + 0.3 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    loss = task.loss(wrong, numbers)
    assert float(task.loss(true, numbers)) < float(loss.detach())
    loss.backward()
    assert bool(torch.isfinite(wrong.grad).all())
    assert bool((wrong.grad.flatten(2).abs().amax((0, 2)) > 0).all())
    # Where no object is, distances cost nothing.
    assert bool((wrong.grad[:, 1:][:, :, numbers[0] == 0] == 0).all())


@pytest.mark.parametrize("shape", [(20, 22), (14, 20, 22)])
def test_the_loss_is_the_formula(shape):
    numbers, task = numbered(shape, 3)[None], StarTask(ndim=len(shape), rays=4, scale=5.0)
    output = torch.randn((1, 5, *shape), generator=torch.Generator().manual_seed(0))
    maps = encode(numbers, 4)
    p, d = maps.probability[0].double(), everywhere(maps.distances, numbers)[0].double()
    q = (output[0, 0].double() + PRIOR).sigmoid()
    entropy = -(p * q.log() + (1 - p) * (1 - q).log()).mean()
    away = ((1 + output[0, 1:].double()) - d / 5).abs().mean(0)
    expected = entropy + WEIGHT * (away * p).sum() / p.sum()
    torch.testing.assert_close(task.loss(output, numbers).double(), expected, rtol=1e-5, atol=1e-5)


def test_crops_without_objects_have_a_finite_loss():
    task = StarTask(names=("a", "b"), rays=8)
    output = torch.zeros(2, task.out_channels, 16, 16, requires_grad=True)
    loss = task.loss(output, torch.zeros(2, 16, 16, dtype=torch.int64))
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(output.grad).all())


def test_classes_are_told_apart():
    plain = numbered()
    classes = np.arange(int(plain.max())) % 3
    numbers = torch.from_numpy(with_classes(plain.numpy(), classes, 3))
    task = StarTask(names=("a", "b", "c"), scale=6.0)
    output = logits(task, numbers[None])
    assert output.shape[1] == task.out_channels == 36
    assert torch.allclose(task.probabilities(output)[0, 1:4].sum(0), torch.ones(numbers.shape))
    wrong = output.clone()
    wrong[:, [1, 2]] = output[:, [2, 1]]  # a for b and b for a
    assert float(task.loss(output, numbers[None])) < float(task.loss(wrong, numbers[None])) - 1
    for maps, expected in ((output, [1, 1, 1]), (wrong, [0, 0, 1])):
        metrics = task.metrics()
        metrics.update("a", task.probabilities(maps)[0], numbers)
        values = metrics.result(0.0).values
        assert [values[f"ap50_{name}"] for name in "abc"] == expected
        assert values["count_mae"] == 0


def test_the_shape_in_the_recipe_chooses_the_task():
    section = {
        "classes": ["a", "b"],
        "options": {"ndim": 2, "shape": "stars", "rays": 16, "scale": 7.5, "video": False},
    }
    task = TASKS["instances"](section)
    assert isinstance(task, StarTask)
    assert isinstance(task, ObjectTask)
    assert (task.out_channels, task.decoder.reach, task.decoder.classes) == (19, 150, 2)
    deep = TASKS["instances"]({"options": {"ndim": 3, "shape": "stars", "scale": 7.5, "aspect": [4.0, 1.0, 1.0]}})
    assert isinstance(deep, StarTask)
    assert (deep.out_channels, deep.decoder.rays, len(deep.decoder.steps)) == (97, 96, 3)
    votes = TASKS["instances"]({"options": {"ndim": 2, "shape": "votes"}})
    assert votes.out_channels == TASKS["instances"]({"options": {"ndim": 2}}).out_channels == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ndim": 4}, "ndim must be 2 or 3"),
        ({"ndim": 1}, 'shape = "votes"'),
        ({}, "ndim must be 2 or 3"),
        ({"ndim": 3, "rays": 3}, "from 4 to 256"),
        ({"ndim": 3, "aspect": [1.0, 2.0]}, "give 3 numbers"),
        ({"ndim": 2, "apart": 3.0}, "no key 'apart' with shape"),
        ({"ndim": 2, "rays": 2}, "from 3 to 256"),
        ({"ndim": 2, "rays": 8.5}, "whole number"),
        ({"ndim": 2, "scale": 0.0}, "above 0"),
        ({"ndim": 2, "overlap": 1.5}, "between 0 and 1"),
        ({"ndim": 2, "aspect": [1.0, 1.0, 2.0]}, "give 2 numbers"),
        ({"ndim": 2, "shape": "auto"}, 'give "votes" or "stars"'),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        TASKS["instances"]({"options": {"shape": "stars", **options}})


def test_rays_that_are_a_whole_number_count_maps():
    channels = StarTask(rays=32.0).out_channels  # type: ignore[arg-type]
    assert (channels, type(channels)) == (33, int)
