"""Max pooling that remembers where its maxima stood, and the unpooling that puts values back there."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def pool_with_indices(x: torch.Tensor, kernel: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of disjoint windows of `(N, C, *S)`, and where each stood; for `unpool`.

    >>> values, indices = pool_with_indices(torch.tensor([[[1.0, 5.0, 2.0, 0.0]]]), (2,))
    >>> values.tolist(), unpool(values, indices, (2,), (4,)).tolist()
    ([[[5.0, 2.0]]], [[[0.0, 5.0, 2.0, 0.0]]])
    """
    kernel = tuple(kernel)
    if x.ndim == 3:  # the 1-D operators are views of the 2-D ones; written out, both sides share the view
        values, indices = F.max_pool2d_with_indices(x.unsqueeze(-1), (*kernel, 1))
        return values.squeeze(-1), indices
    operator = {4: F.max_pool2d_with_indices, 5: F.max_pool3d_with_indices}[x.ndim]
    return operator(x, kernel)


def places(x: torch.Tensor, kernel: Sequence[int]) -> torch.Tensor:
    """Where the maxima of `(N, C, *S)` stand, for `unpool`; of values that tie within bfloat16 the first.

    In even regions, such as beyond a repeated border, values differ by rounding alone. Their order would depend on the
    kernel that computed them, and so would where unpooling puts a value.

    >>> places(torch.tensor([[[1.0, 1.0000001, 2.0, 3.0]]]), (2,)).flatten().tolist()
    [0, 3]
    """
    return pool_with_indices(x.detach().to(torch.bfloat16), kernel)[1]


def unpool(x: torch.Tensor, indices: torch.Tensor, kernel: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """Each value of `(N, C, *S)` at the place that `indices` names in `(N, C, *size)`, zeros elsewhere.

    Unpooling with indices: Badrinarayanan, Kendall & Cipolla 2017 ("SegNet"), after Zeiler & Fergus 2014.

    Args:
        x: one value per window.
        indices: from `pool_with_indices`, of a map of `size` with as many channels.
        kernel: of that pooling.
        size: of the output.
    """
    kernel, size = tuple(kernel), tuple(size)
    if x.ndim == 3:
        return F.max_unpool2d(x.unsqueeze(-1), indices, (*kernel, 1), output_size=[*size, 1]).squeeze(-1)
    operator = {4: F.max_unpool2d, 5: F.max_unpool3d}[x.ndim]
    return operator(x, indices, kernel, output_size=list(size))
