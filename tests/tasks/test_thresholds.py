"""Thresholds that held-out inputs choose: against made maps whose best thresholds are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.objects.assemble import assemble
from atrous.tasks.counting import CountingTask
from atrous.tasks.custom import CustomTask
from atrous.tasks.detection import DetectionTask
from atrous.tasks.instances import InstanceAnswer, InstanceTask, encode
from atrous.tasks.semantic import Semantic
from atrous.tasks.stars import StarTask
from atrous.tasks.thresholds import ThresholdSample, adjustments, thresholds_of, with_thresholds
from tests.objects.worlds import random_discs

TASK = InstanceTask(ndim=2, scale=4.0, apart=3.0, astray=4.0)


def answers(sample, maps):
    found = []
    for task in sample.tasks:
        numbers = np.zeros(maps.shape[1:], np.uint32)
        candidates = assemble(maps.copy(), task.decoder, numbers).candidates
        found.append(InstanceAnswer(numbers, candidates.scores))
    return found


def weak_maps(seed, heat, inside):
    """Dense maps of discs whose heat and probability reach so far, with invented objects that reach three quarters."""
    numbers, _, _ = random_discs((64, 64), 6, (3, 5), seed=seed)
    some = encode(torch.from_numpy(numbers.astype(np.int64))[None])
    maps = torch.cat([some.inside[:, None] * inside, some.heat * heat, some.offsets], 1)[0].numpy()
    invented, _, _ = random_discs((64, 24), 3, (3, 4), seed=seed + 50)
    other = encode(torch.from_numpy(invented.astype(np.int64))[None])
    more = torch.cat([other.inside[:, None] * inside, other.heat * heat * 0.75, other.offsets], 1)[0].numpy()
    return np.concatenate([maps, more], 2), np.pad(numbers, ((0, 0), (0, 24)))


def test_the_combination_that_finds_most_is_chosen():
    sample = ThresholdSample(TASK)
    assert sample.tasks[0] == TASK
    for seed in range(3):
        maps, truth = weak_maps(seed, heat=0.39, inside=0.45)
        sample.add(str(seed), answers(sample, maps), truth)
    # Heat reaches 0.39 and, of what was invented, 0.29; the probability 0.45.
    assert sample.fit() == {"threshold": 0.3, "foreground": 0.4}


def test_what_is_as_good_stays_as_it_is():
    sample = ThresholdSample(TASK)
    maps, truth = weak_maps(0, heat=1.0, inside=1.0)
    maps[1, :, 64:] = 0
    sample.add("a", answers(sample, maps), truth)
    assert sample.fit() == {"threshold": 0.4, "foreground": 0.5}


def test_thresholds_that_a_recipe_gives_are_not_tried():
    sample = ThresholdSample(replace(TASK, foreground=0.44), fixed=["foreground"])
    assert {task.foreground for task in sample.tasks} == {0.44}
    assert len(sample.tasks) == len(TASK.thresholds["threshold"])
    maps, truth = weak_maps(0, heat=0.39, inside=0.45)
    sample.add("a", answers(sample, maps), truth)
    assert sample.fit() == {"threshold": 0.3}
    assert ThresholdSample(TASK, fixed=["threshold", "foreground"]).fit() == {}
    assert ThresholdSample(TASK).fit() == {}  # no input, no metric


def test_tasks_take_chosen_thresholds():
    chosen = {"threshold": 0.2, "foreground": 0.3}
    assert with_thresholds(TASK, chosen) == replace(TASK, **chosen)
    own = CustomTask(TASK, lambda output, target: output.sum())
    assert thresholds_of(with_thresholds(own, chosen)) == chosen
    assert with_thresholds(TASK, {}) is TASK
    assert adjustments(with_thresholds(TASK, chosen)) == (0.2, 0.3)
    assert adjustments(Semantic(("a", "b"))) == (1.0,)
    assert set(thresholds_of(StarTask())) == {"threshold", "overlap"}
    assert thresholds_of(CountingTask(ndim=1)) == {"threshold": 0.3}
    for task, wrong in ((TASK, {"overlap": 0.3}), (TASK, {"threshold": 1.0}), (Semantic(("a", "b")), chosen)):
        with pytest.raises(UserError, match=r"calibration\.json holds thresholds of another task"):
            with_thresholds(task, wrong)


def test_boxes_have_a_threshold_of_which_no_values_are_tried():
    boxes = DetectionTask(("a",), (8.0, 8.0), (4, 4))
    assert ThresholdSample(boxes).tasks == [boxes]
    assert ThresholdSample(boxes).fit() == {}
    assert thresholds_of(with_thresholds(boxes, {"threshold": 0.2})) == {"threshold": 0.2}


@pytest.mark.parametrize("task", [TASK, StarTask(), CountingTask(ndim=2)])
def test_the_values_that_are_tried_hold_the_usual_ones(task):
    for name, values in task.thresholds.items():
        assert getattr(task, name) in values
        assert all(0 < value < 1 for value in values)
    assert task.threshold_metrics
