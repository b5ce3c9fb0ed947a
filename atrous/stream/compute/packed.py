"""Weights of convolutions in the order in which oneDNN's kernels read them.

A convolution reorders its weight before it computes. On a whole image that is nothing beside the work. A stream calls
each convolution once per strip: a ResNet-18 U-Net on strips of 128 rows spends a twentieth of its time so. Hence a
run orders each weight once, for the first strip, and hands it on.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

Ints = Sequence[int]


class PackedWeight(Tensor):
    """The weight of a convolution, transposed or not, and with it `kernel`: its numbers as the fastest kernel has them.

    `kernel` belongs to the convolution that is computed in the end: one over two dimensions for a signal, that of all
    phases for a transposed convolution. It may be opaque (`is_mkldnn`).
    """

    kernel: Tensor
    __torch_function__: Any = torch._C._disabled_torch_function_impl


def with_kernel(weight: Tensor, kernel: Tensor) -> Tensor:
    """Return the weight together with a kernel."""
    packed = weight.as_subclass(PackedWeight)
    packed.kernel = kernel
    return packed


def packed_kernel(kernel: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int, sizes: Ints) -> Tensor:
    """Return a kernel `(K, C, *k)` as oneDNN reads it for inputs of `sizes` `(N, C, *S)`; itself where it cannot be.

    Inputs of other sizes give the same result; the kernel is then reordered as before if oneDNN takes another order.
    """
    if not can_pack(kernel.dtype) or kernel.device.type != "cpu" or kernel.dim() not in (4, 5):
        return kernel
    operators: Any = torch.ops.mkldnn
    return operators._reorder_convolution_weight(
        kernel, list(padding), list(stride), list(dilation), groups, list(sizes)
    )


def run_packed(
    x: Tensor, kernel: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    """Convolve with a kernel that `packed_kernel` returned."""
    operators: Any = torch.ops.mkldnn
    return operators._convolution_pointwise(
        x, kernel, bias, list(padding), list(stride), list(dilation), groups, "none", [], ""
    )


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this torch and this processor pack weights of this type, after trying it on a small one."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    operators: Any = torch.ops.mkldnn
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    if not all(hasattr(operators, name) for name in names):
        return False
    if dtype == torch.bfloat16 and not operators._is_mkldnn_bf16_supported():
        return False
    x = torch.ones(1, 2, 4, 4, dtype=dtype)
    ones = torch.ones(3, 2, 1, 1, dtype=dtype)
    kernel = operators._reorder_convolution_weight(ones, [0, 0], [1, 1], [1, 1], 1, [1, 2, 4, 4])
    return bool((run_packed(x, kernel, None, (1, 1), (0, 0), (1, 1), 1) == 2).all())
