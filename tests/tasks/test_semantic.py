"""The semantic task keeps the contract of tasks."""

import pytest
import torch

from atrous.tasks.semantic import Semantic
from atrous.tasks.task import Task


def test_contract():
    task = Semantic(("a", "b", "c"), (1.0, 2.0, 1.0))
    assert isinstance(task, Task)
    output = torch.randn(2, 3, 4, 5)
    assert task.out_channels == 3
    assert task.decode(output).shape == (2, 4, 5)
    assert task.decode(output).dtype == torch.uint8
    torch.testing.assert_close(task.probabilities(output).sum(1), torch.ones(2, 4, 5))
    assert task.loss(output, torch.zeros(2, 4, 5, dtype=torch.long)).ndim == 0


def test_weights_must_fit():
    with pytest.raises(ValueError, match="2 class weights for 3 classes"):
        Semantic(("a", "b", "c"), (1.0, 2.0))
