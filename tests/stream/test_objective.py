"""The loss of a dense output, strip by strip."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from atrous.errors import UserError
from atrous.stream.objective import DenseObjective


def test_targets_are_cut_and_keep_their_meaning():
    seen, kinds = [], []

    def loss(rows, target):
        seen.append(target)
        return rows.sum()

    rows = torch.zeros(1, 3, 2, 5)
    for dtype in (np.uint8, np.dtype(">u2"), np.float32, np.bool_):
        seen.clear()
        target = np.arange(20).reshape(4, 5).astype(dtype)
        DenseObjective(loss, target, (4, 5), 0).sums(rows, 2, 4)
        wanted = torch.from_numpy(target[2:4].astype(target.dtype.newbyteorder("=")))[None]
        assert torch.equal(seen[0].double(), wanted.double())
        kinds.append(seen[0].dtype)
    assert kinds == [torch.int64, torch.int64, torch.float32, torch.bool]


def test_means_and_dice_are_refused_and_sums_are_not():
    rows, labels = torch.randn(1, 3, 6, 5), torch.randint(0, 3, (6, 5))
    summed = DenseObjective(lambda a, b: F.cross_entropy(a, b, reduction="sum"), labels, (6, 5), 0)
    assert summed.sums(rows, 0, 6).shape == (1,)
    with pytest.raises(UserError, match="no sum over positions"):
        DenseObjective(F.cross_entropy, labels, (6, 5), 0).sums(rows, 0, 6)
    with pytest.raises(UserError, match="no sum over positions"):
        DenseObjective(lambda a, b: 1 - a.softmax(1)[:, 0].mean(), None, (6, 5), 0).sums(rows, 0, 6)
    with pytest.raises(UserError, match="target: is list"):
        DenseObjective(F.cross_entropy, [1], (6, 5), 0)
