"""Unpooling puts every maximum back where it stood."""

import pytest
import torch
from torch.nn import functional as F

from atrous.nn.unpool import pool_with_indices, unpool


@pytest.mark.parametrize(("ndim", "kernel"), [(1, (2,)), (2, (2, 3)), (3, (1, 2, 2))])
def test_unpooling_keeps_the_maxima_and_clears_the_rest(ndim, kernel):
    torch.manual_seed(0)
    x = torch.rand(2, 3, *(12,) * ndim) + 1
    pooled, indices = pool_with_indices(x, kernel)
    back = unpool(pooled, indices, kernel, x.shape[2:])
    kept = back > 0
    assert torch.equal(back[kept], x[kept])
    assert int(kept.sum()) == pooled.numel()
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[ndim]
    assert torch.equal(pool(back, kernel), pool(x, kernel))
