"""The mean over mirror images: of probabilities their logarithm, of numbers as they are."""

import torch

from atrous.prediction.mirrored import mean_of_mirrored
from atrous.tasks.semantic import Semantic
from atrous.tasks.values import RegressionTask


def network(x):
    """Depends on the place: each position is its value times its column."""
    return x * torch.arange(1.0, x.shape[-1] + 1)


def test_numbers_are_averaged_as_they_are():
    x = torch.rand(1, 2, 3, 4) - 0.5
    found = mean_of_mirrored(network, RegressionTask(("a", "b"), (0.0,) * 2, (1.0,) * 2), x, (0, 1))
    wanted = (2 * network(x) + network(x.flip([3])).flip([3])) / 3
    torch.testing.assert_close(found, wanted)


def test_probabilities_are_averaged():
    task = Semantic.build({"classes": ["a", "b"], "class_weights": None, "dice": 0.0, "tolerance": None, "options": {}})
    x = torch.rand(1, 2, 3, 4)
    found = mean_of_mirrored(network, task, x, (1,)).exp()
    wanted = (network(x).softmax(1) + network(x.flip([3])).flip([3]).softmax(1)) / 2
    torch.testing.assert_close(found, wanted)
