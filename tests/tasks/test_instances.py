"""Instances: maps that a network should give, and objects that are decoded from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.objects.assemble import assemble
from atrous.objects.kinds import with_classes
from atrous.tasks.instances import AROUND, HEAVIEST, InstanceTask, balance, encode, times
from atrous.tasks.table import TASKS
from atrous.tasks.task import NotFinite, ObjectTask
from tests.objects.worlds import discs, random_discs

SHAPES = [(90,), (50, 60), (14, 30, 32)]


def numbered(shape, count=8):
    numbers, centers, _ = random_discs(shape, count, (2, 6), gap=1)
    return torch.from_numpy(numbers.astype(np.int64)), centers


def logits(task, maps):
    """What a perfect network gives."""
    clear = [torch.logit(part, 1e-6) for part in (maps.inside[:, None], maps.heat)]
    return torch.cat([*clear, times(maps.offsets, task.steps) / task.scale], dim=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_point_from_every_position_to_the_mean_of_its_object(shape):
    one, _ = numbered(shape)
    other = torch.roll(one, 3, 0)
    maps = encode(torch.stack([one, other]))
    grid = np.stack(np.indices(shape))
    for sample, numbers in enumerate((one.numpy(), other.numpy())):
        assert np.array_equal(maps.inside[sample].numpy(), numbers > 0)
        assert (maps.heat[sample, 0].numpy()[numbers == 0] == 0).all()
        assert (maps.offsets[sample].numpy()[:, numbers == 0] == 0).all()
        for number in np.unique(numbers)[1:]:
            mine = numbers == number
            center = grid[:, mine].mean(axis=1)
            pointed = (grid + maps.offsets[sample].numpy())[:, mine]
            assert np.allclose(pointed, center[:, None], atol=1e-3)
            assert maps.heat[sample, 0].numpy()[mine].max() == pytest.approx(1)


def test_a_ring_has_a_peak_though_its_center_lies_outside():
    grid = np.indices((40, 40)) - 20
    distance = np.sqrt((grid**2).sum(axis=0))
    ring = torch.from_numpy(((distance > 12) & (distance < 16)).astype(np.int64))[None]
    assert float(encode(ring).heat.max()) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_maps_are_decoded_to_the_true_objects(shape):
    numbers, _ = numbered(shape)
    task = InstanceTask(ndim=len(shape), scale=4.0, apart=2.0, astray=4.0)
    output = logits(task, encode(numbers[None]))
    for full in (True, False):
        metrics = task.metrics(full=full)
        metrics.update("a", task.probabilities(output)[0] if full else output[0], numbers)
        values = metrics.result(0.0).values
        assert values["ap_mean"] == values["seg"] == 1
        assert values["count_mae"] == 0
    assert torch.equal(task.decode(output)[0], (numbers > 0).to(torch.uint8))


@pytest.fixture(scope="module")
def sliced():
    """Balls in voxels of 1 x 1 x 1 mm, and every third slice of them: voxels of 3 x 1 x 1 mm."""
    fine = discs((48, 40, 74), [(21, 19, 18), (24, 20, 45), (24, 18, 63)], [12, 10, 7])
    fine = torch.from_numpy(fine.astype(np.int64))
    unit = 3 ** (1 / 3)  # millimeters
    cubes = InstanceTask(ndim=3, scale=10.0, apart=9.0, astray=7.0)
    flat = InstanceTask(ndim=3, scale=10 / unit, apart=9 / unit, astray=7 / unit, aspect=(3.0, 1.0, 1.0))
    return fine, fine[::3].contiguous(), cubes, flat, unit


def test_flat_voxels_have_the_maps_of_cubes_at_the_same_points(sliced):
    fine, few, cubes, flat, unit = sliced
    wanted, found = encode(fine[None]), encode(few[None], steps=flat.steps)
    assert torch.equal(found.inside, wanted.inside[:, ::3])
    assert torch.allclose(found.radius * unit, wanted.radius[:, ::3], rtol=0.02)
    assert torch.allclose(found.heat, wanted.heat[:, :, ::3], atol=0.02)
    assert torch.allclose(times(found.offsets, flat.steps) * unit, wanted.offsets[:, :, ::3], atol=1e-3)
    # What a network learns of a vote does not depend on the voxels either.
    assert torch.allclose(logits(flat, found)[:, 2:], logits(cubes, wanted)[:, 2:, ::3], atol=1e-4)
    without = encode(few[None])
    assert float((without.heat - wanted.heat[:, :, ::3]).abs().max()) > 0.3


def test_flat_voxels_give_the_objects_of_cubes_at_the_same_points(sliced):
    fine, few, cubes, flat, _ = sliced
    maps = logits(cubes, encode(fine[None]))
    noise = torch.randn((1, 3, 16, 40, 74), generator=torch.Generator().manual_seed(0))
    maps[:, 2:, ::3] += 4 / cubes.scale * noise  # votes miss their centers by millimeters
    answers = []
    for task, output in ((cubes, maps), (flat, maps[:, :, ::3])):
        dense = task.probabilities(output)[0].numpy()
        answers.append(np.zeros(dense.shape[1:], np.uint32))
        assemble(dense, task.decoder, answers[-1])
    assert len(np.unique(answers[1])) == 4
    assert ((answers[1] == 0) & (few.numpy() > 0)).sum() > 50  # votes that went astray
    assert np.array_equal(answers[0][::3] > 0, answers[1] > 0)
    pairs = np.unique(np.stack([answers[0][::3], answers[1]]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == 4


def test_background_around_objects_is_as_wide_in_the_world(sliced):
    _, few, _, flat, unit = sliced
    radius = encode(few[None], steps=flat.steps).radius
    heavy = balance(radius, 2 * float(radius.max()), flat.steps)[0] > 1
    inside = few > 0
    slices, rows = torch.nonzero(inside.any(2).any(1)).ravel(), torch.nonzero(inside.any(2).any(0)).ravel()
    wide, high = heavy.any(2).any(1).nonzero().ravel(), heavy.any(2).any(0).nonzero().ravel()
    assert int(slices[0] - wide[0]) * 3 == pytest.approx(AROUND * unit, abs=1.5)
    assert int(rows[0] - high[0]) == pytest.approx(AROUND * unit, abs=0.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_recipes_without_aspect_mean_cubes(shape):
    options = {"shape": "votes", "ndim": len(shape), "scale": 3.3, "apart": 2.0, "astray": 4.0, "smallest": 3}
    old = TASKS["instances"]({"options": options})
    new = replace(old, aspect=(2.5,) * len(shape))
    assert old.decoder == new.decoder
    assert (old.decoder.steps, old.decoder.reach) == ((1.0,) * len(shape), 66)
    numbers, _ = numbered(shape)
    output = torch.randn((1, 2 + len(shape), *shape), generator=torch.Generator().manual_seed(0))
    assert torch.equal(old.loss(output, numbers[None]), new.loss(output, numbers[None]))
    assert torch.equal(old.probabilities(output), new.probabilities(output))
    assert torch.equal(old.probabilities(output)[:, 2:], output[:, 2:] * 3.3)


def test_a_wrong_aspect_is_named():
    with pytest.raises(ValueError, match=r"aspect is .*: give 3 numbers, one for each axis"):
        TASKS["instances"]({"options": {"ndim": 3, "aspect": [1.0, 2.0]}})


def test_the_loss_is_least_for_the_true_maps_and_has_gradients():
    numbers, _ = numbered((50, 60))
    task = InstanceTask(ndim=2, scale=4.0)
    true = logits(task, encode(numbers[None]))
    wrong = (true + torch.randn(true.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    loss = task.loss(wrong, numbers[None])
    assert float(task.loss(true, numbers[None])) < float(loss.detach())
    loss.backward()
    assert bool(torch.isfinite(wrong.grad).all())
    assert float(wrong.grad.abs().max()) > 0


def test_crops_without_objects_have_a_finite_loss():
    task = InstanceTask(ndim=2)
    output = torch.zeros(2, 4, 16, 16, requires_grad=True)
    loss = task.loss(output, torch.zeros(2, 16, 16, dtype=torch.int64))
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(output.grad).all())


def test_output_that_is_not_finite_names_the_image():
    task = InstanceTask(ndim=1)
    with pytest.raises(NotFinite, match="wave"):
        task.metrics().update("wave", torch.full((3, 9), float("nan")), torch.zeros(9, dtype=torch.int64))


def test_the_task_is_one_whose_answer_are_objects():
    section = {"options": {"ndim": 3, "scale": 7.5, "video": False}}
    task = InstanceTask.build(section)
    assert isinstance(task, ObjectTask)
    assert (task.ndim, task.scale, task.out_channels, task.decoder.reach) == (3, 7.5, 5, 150)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_a_mean_over_objects_not_a_sum(shape):
    numbers, _ = numbered(shape)
    task = InstanceTask(ndim=len(shape), scale=4.0)
    output = torch.randn(1, 2 + len(shape), *shape, generator=torch.Generator().manual_seed(0))
    one = task.loss(output, numbers[None])
    three = task.loss(output.expand(3, *output.shape[1:]), numbers.expand(3, *shape))
    torch.testing.assert_close(one, three)
    assert float(one) < 20


@pytest.mark.parametrize("shape", SHAPES)
def test_small_objects_weigh_more_and_the_background_near_them_too(shape):
    numbers, _ = numbered(shape)
    radius = encode(numbers[None]).radius
    volume = {1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[len(shape)]
    inside, weight = numbers > 0, balance(radius, 5.0)[0]
    of_object = {}
    for number in numbers.unique().tolist()[1:]:
        size = int((numbers == number).sum())
        assert torch.allclose(radius[0][numbers == number], torch.tensor((size / volume) ** (1 / len(shape))))
        of_object[number] = min(HEAVIEST, max(1.0, 5.0 / (size / volume) ** (1 / len(shape))))
    for place in np.ndindex(*shape):
        box = numbers[tuple(slice(max(0, i - AROUND), i + AROUND + 1) for i in place)]
        near = [of_object[n] for n in box.unique().tolist() if n]
        own = of_object.get(int(numbers[place]), max(near, default=1.0))
        assert float(weight[place]) == pytest.approx(own, rel=1e-5)
    assert bool((weight[inside] >= 1).all())


def test_a_missed_small_object_costs_more_than_the_same_area_of_a_large_one():
    numbers = torch.zeros(40, 40, dtype=torch.int64)
    numbers[2:22, 2:22], numbers[30:34, 30:34] = 1, 2
    task = InstanceTask(ndim=2, scale=8.0)
    true = logits(task, encode(numbers[None]))
    without_small, without_part = true.clone(), true.clone()
    without_small[:, 0, 30:34, 30:34] = -6
    without_part[:, 0, 2:6, 2:6] = -6
    small, part = float(task.loss(without_small, numbers[None])), float(task.loss(without_part, numbers[None]))
    assert small - float(task.loss(true, numbers[None])) > 2 * (part - float(task.loss(true, numbers[None])))


@pytest.mark.parametrize("shape", SHAPES)
def test_classes_are_told_apart(shape):
    plain, _ = numbered(shape)
    classes = np.arange(int(plain.max())) % 3
    numbers = torch.from_numpy(with_classes(plain.numpy(), classes, 3))
    task = InstanceTask(ndim=len(shape), names=("a", "b", "c"), scale=4.0, apart=2.0, astray=4.0)
    maps = encode(numbers[None], 3)
    for kind in range(3):
        mine = (numbers > 0) & ((numbers - 1) % 3 == kind)
        assert bool((maps.heat[0, kind][~mine] == 0).all())
    output = logits(task, maps)
    assert output.shape[1] == task.out_channels
    metrics = task.metrics()
    metrics.update("a", task.probabilities(output)[0], numbers)
    values = metrics.result(0.0).values
    assert [values[name] for name in ("ap_mean", "ap50_a", "ap50_b", "ap50_c")] == [1, 1, 1, 1]
    wrong = output.clone()
    wrong[:, [1, 2]] = output[:, [2, 1]]  # a for b and b for a
    assert float(task.loss(output, numbers[None])) < float(task.loss(wrong, numbers[None])) - 1
    metrics = task.metrics()
    metrics.update("a", task.probabilities(wrong)[0], numbers)
    values = metrics.result(0.0).values
    assert [values[f"ap50_{name}"] for name in "abc"] == [0, 0, 1]
    assert values["count_mae"] == 0


def test_the_classes_of_a_recipe_are_those_of_the_task():
    section = {"classes": ["a", "b"], "options": {"ndim": 2, "video": False}}
    assert InstanceTask.build(section).out_channels == 5
    assert InstanceTask.build(section | {"classes": []}).out_channels == 4


@pytest.mark.parametrize("numbers", [torch.zeros(1, 8, 9, dtype=torch.int64), torch.ones(1, 8, 9, dtype=torch.int64)])
def test_sure_and_right_maps_of_nothing_or_one_object_cost_nothing(numbers):
    task = InstanceTask(ndim=2, scale=4.0)
    maps = encode(numbers)
    output = torch.cat([(maps.inside[:, None] - 0.5) * 60, torch.logit(maps.heat, 1e-6), maps.offsets / 4.0], dim=1)
    heat = maps.heat.double().clamp(1e-6, 1 - 1e-6)
    weight = 0.1 + maps.inside + 4 * maps.heat
    floor = -(heat * heat.log() + (1 - heat) * (1 - heat).log()) * weight
    expected = float(floor.sum() / (maps.inside.sum().clamp_min(1) + 0.1 * maps.inside.numel()))
    assert float(task.loss(output, numbers)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("wrong", [{"threshold": 5}, {"foreground": None}, {"threshold": "0.4"}])
def test_thresholds_lie_between_0_and_1(wrong):
    with pytest.raises(ValueError, match="threshold and foreground lie between 0 and 1"):
        InstanceTask(ndim=2, **wrong)
