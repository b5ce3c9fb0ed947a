"""Offsets of the evidence: those with the least cross-entropy, found from counts of binned evidence."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from atrous.errors import UserError
from atrous.tasks.class_offsets import OffsetSample, shifted
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.semantic import Semantic

TASK = ClassificationTask(("cell", "dust"), exclusive=False)


def made(rng, inputs=12):
    """Maps of evidence `(inputs, 2, 30, 20)`, of which every second input has more of both classes."""
    maps = rng.normal(-6, 1, (inputs, 2, 30, 20))
    maps[1::2, :, 4, 5] += 5
    return maps, np.arange(inputs) % 2


def test_the_loss_is_the_least_that_an_offset_reaches():
    maps, there = made(np.random.default_rng(0))
    sample = OffsetSample(2)
    for of_input, has in zip(maps, there, strict=True):
        sample.add(of_input, (float(has), np.nan if has else 0.0))  # whether it has dust is known of six inputs alone

    def loss(offset):
        output = torch.from_numpy(maps[:, :1] + offset)
        return float(ClassificationTask(("cell",), exclusive=False).loss(output, torch.from_numpy(there)[:, None]))

    cell, dust = sample.fit()
    best: Any = minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-5})
    assert cell == pytest.approx(best.x, abs=0.02)  # bins are 0.01 wide
    assert loss(cell) < loss(0.0)
    assert dust == 0  # no input is known to have it


def test_evidence_is_shifted_class_by_class():
    task, output = shifted(TASK, (1.5, -2.0)), torch.randn(3, 2, 5, 4)
    more = task.probabilities(output) - TASK.probabilities(output)
    torch.testing.assert_close(more, torch.tensor([1.5, -2.0]).view(1, 2, 1, 1).expand(3, 2, 5, 4))
    assert shifted(TASK, ()) is TASK


@pytest.mark.parametrize("task", [TASK, Semantic(("no", "yes"))])
def test_offsets_of_other_classes_are_refused(task):
    with pytest.raises(UserError, match="offsets of other classes"):
        shifted(task, (1.0,) if task is TASK else (1.0, 2.0))
