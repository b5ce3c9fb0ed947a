"""Max pooling that returns where its maxima were, and unpooling, which writes values to those places."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def pool_with_indices(x: torch.Tensor, kernel: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the maxima of disjoint windows of `(N, C, *S)`, and the index of each in `S`, for `unpool`.

    Both are `(N, C, *(S // kernel))`.

    >>> values, indices = pool_with_indices(torch.tensor([[[1.0, 5.0, 2.0, 0.0]]]), (2,))
    >>> values.tolist(), unpool(values, indices, (2,), (4,)).tolist()
    ([[[5.0, 2.0]]], [[[0.0, 5.0, 2.0, 0.0]]])
    """
    kernel = tuple(kernel)
    if x.ndim == 3:  # torch runs 1-D pools as 2-D ones too; written out, the exported graph holds one kind of view
        values, indices = F.max_pool2d_with_indices(x.unsqueeze(-1), (*kernel, 1))
        return values.squeeze(-1), indices
    operator = {4: F.max_pool2d_with_indices, 5: F.max_pool3d_with_indices}[x.ndim]
    return operator(x, kernel)


def places(x: torch.Tensor, kernel: Sequence[int]) -> torch.Tensor:
    """Return where the maxima of `(N, C, *S)` are, for `unpool`; of values that are equal in bfloat16 the first.

    In uniform regions, such as padding by repeated values, neighbors differ by rounding only. In float32 the place of
    the maximum there would depend on the kernel that computed the values.

    >>> places(torch.tensor([[[1.0, 1.0000001, 2.0, 3.0]]]), (2,)).flatten().tolist()
    [0, 3]
    """
    rounded = x.detach().to(torch.bfloat16).to(x.dtype)  # runtimes of exported networks do not pool in bfloat16
    return pool_with_indices(rounded, kernel)[1]


def unpool(x: torch.Tensor, indices: torch.Tensor, kernel: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """Write each value of `(N, C, *S)` to its place in a map `(N, C, *size)` of zeros.

    Unpooling with indices: Badrinarayanan, Kendall & Cipolla 2017 ("SegNet"), after Zeiler & Fergus 2014.

    Args:
        x: one value per window.
        indices: the places, from `pool_with_indices` of a map `(N, C, *size)`; the same shape as `x`.
        kernel: of that pooling.
        size: of the output.
    """
    kernel, size = tuple(kernel), tuple(size)
    if x.ndim == 3:
        return F.max_unpool2d(x.unsqueeze(-1), indices, (*kernel, 1), output_size=[*size, 1]).squeeze(-1)
    operator = {4: F.max_unpool2d, 5: F.max_unpool3d}[x.ndim]
    return operator(x, indices, kernel, output_size=list(size))
