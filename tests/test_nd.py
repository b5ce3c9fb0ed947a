"""The tables of torch classes by number of axes, against what the classes accept."""

import pytest
import torch
from torch.nn import functional as F

from atrous._nd import AVG_POOL, BATCH_NORM, CONV, CONV_TRANSPOSE, LINEAR, MAX_POOL, per_axis


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_every_table_has_the_class_for_this_number_of_axes(ndim):
    x = torch.randn(1, 2, *[6] * ndim)
    layers = [
        CONV[ndim](2, 3, 1),
        CONV_TRANSPOSE[ndim](2, 3, 1),
        BATCH_NORM[ndim](2),
        MAX_POOL[ndim](1),
        AVG_POOL[ndim](1),
    ]
    for layer in layers:
        assert layer(x).shape[2:] == x.shape[2:]
        with pytest.raises((RuntimeError, ValueError)):
            layer(torch.randn(1, 2, *[6] * ndim, 6, 6))
    assert F.interpolate(x, scale_factor=2, mode=LINEAR[ndim]).shape[2:] == (12,) * ndim


def test_one_number_is_repeated_and_a_sequence_is_checked():
    assert per_axis(3, 2) == (3, 3)
    assert per_axis([1, 2, 2], 3) == (1, 2, 2)
    with pytest.raises(ValueError, match=r"\(1, 2\) has 2 values for 3 axes"):
        per_axis((1, 2), 3)
