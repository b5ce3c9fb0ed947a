"""Linear resizing to another feature map's grid."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from atrous._nd import LINEAR


def resize(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Linear interpolation of `(N, C, *S)` to `(N, C, *size)`, half-pixel centers (`align_corners=False`).

    >>> resize(torch.zeros(1, 2, 4, 4), (8, 7)).shape
    torch.Size([1, 2, 8, 7])
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode=LINEAR[x.ndim - 2], align_corners=False)
