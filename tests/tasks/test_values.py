"""Losses of numbers against torch's own, what is unknown, and the units of the answer."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.tasks.custom import CustomTask, output_size, value_task
from atrous.tasks.restoration import RestorationTask
from atrous.tasks.values import RegressionTask

OFFSET, SCALE = (10.0, -2.0), (4.0, 0.5)


def task(robust="l1", limits=None):
    return RegressionTask(("a", "b"), OFFSET, SCALE, robust, limits)


def pair(seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(2, 2, 5, 7, generator=generator)
    target = torch.randn(2, 2, 5, 7, generator=generator) * 3 + 4
    return output, target


@pytest.mark.parametrize(("robust", "function"), [
    ("l1", F.l1_loss), ("l2", F.mse_loss), ("huber", F.huber_loss),
])  # fmt: skip
def test_losses_are_those_of_torch_in_units_of_the_scale(robust, function):
    output, target = pair()
    wanted = (target - torch.tensor(OFFSET).view(1, 2, 1, 1)) / torch.tensor(SCALE).view(1, 2, 1, 1)
    torch.testing.assert_close(task(robust).loss(output, target), function(output, wanted))


def test_what_is_unknown_counts_for_nothing():
    output, target = pair()
    target[:, :, 2:] = torch.nan
    output = output.requires_grad_()
    loss = task().loss(output, target)
    torch.testing.assert_close(loss, task().loss(output[:, :, :2], target[:, :, :2]))
    loss.backward()
    assert output.grad is not None
    assert (output.grad[:, :, 2:] == 0).all()
    nothing = task().loss(output, torch.full_like(target, torch.nan))
    assert nothing == 0
    nothing.backward()


def test_values_are_in_the_units_of_the_targets():
    output, _ = pair()
    values = task().probabilities(output)
    torch.testing.assert_close(values[:, 1], output[:, 1] * 0.5 - 2)
    torch.testing.assert_close(task().decode(output), values)
    assert task(limits=(0.0, 5.0)).probabilities(output).max() <= 5


def test_sections_make_tasks():
    section = {"options": {"outputs": ["z"], "offset": [1.0], "scale": [2.0]}, "scale": None}
    made = RegressionTask.build(section)
    assert (made.names, made.offset, made.robust, made.out_channels) == (("z",), (1.0,), "huber", 1)
    restored = RestorationTask.build(
        {"options": {"offset": [1.0] * 3, "scale": [2.0] * 3, "limits": [0, 255]}, "scale": 2}
    )
    assert (restored.out_channels, restored.factor, restored.limits) == (3, 2, (0, 255))


@pytest.mark.parametrize(("options", "words"), [
    ({"outputs": ["a", "b"], "offset": [0.0]}, "1 offsets and 2 scales for 2 outputs"),
    ({"loss": "l3"}, "choose l1, l2, huber"),
    ({"scale": [0.0]}, "positive"),
])  # fmt: skip
def test_wrong_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        RegressionTask.build({"options": options, "scale": None})


def test_grids_of_answers():
    assert output_size(task(), (4, 5)) == (4, 5)
    assert output_size(CustomTask(RestorationTask(("a",), (0.0,), (1.0,), factor=2)), (4, 5)) == (8, 10)
    assert value_task(CustomTask(task())) == task()
    assert output_size(RestorationTask(("a",), (0.0,), (1.0,), factor=3), (4, 5)) == (12, 15)
    assert output_size(object(), np.array([4, 5])) == (4, 5)


def test_quick_metrics_take_raw_output_and_full_ones_values():
    output, target = pair()
    quick, full = task().metrics(full=False), task().metrics()
    for number in range(2):
        quick.update(str(number), output[number], target[number])
        full.update(str(number), task().probabilities(output)[number], target[number])
    assert quick.result(0.0).values["mae"] == pytest.approx(full.result(0.0).values["mae"])
    assert set(task().watched) <= set(quick.result(0.0).values)


def test_other_channels_are_refused_not_broadcast():
    with pytest.raises(UserError, match=r"the network gives \(2, 5, 7\), the target is \(1, 5, 7\)"):
        task().loss(torch.zeros(1, 2, 5, 7), torch.zeros(1, 1, 5, 7))
