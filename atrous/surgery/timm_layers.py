"""Layers of timm's own that inflation knows, with three axes: known by name, since timm takes seconds to import."""

import torch.nn.functional as F
from torch import Tensor, nn

NORM_ACT = "timm.layers.norm_act.BatchNormAct2d"
SAME = "timm.layers.conv2d_same.Conv2dSame"


def full_name(module: nn.Module) -> str:
    """Where the class of a module is defined, and its name."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


class BatchNormAct3d(nn.BatchNorm3d):
    """Batch norm followed by `drop` and `act`, `(N, C, D, H, W)`; names as in timm's layer for two axes."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: D102
        return self.act(self.drop(super().forward(input)))  # pyright: ignore[reportCallIssue]


class Conv3dSame(nn.Conv3d):
    """A convolution with TensorFlow's "same" padding: `ceil(length / stride)` positions along every axis.

    `repeated` names an axis that is padded by its last values instead of zeros.
    """

    repeated: int | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: D102
        pairs = []
        for size, k, s, d in zip(input.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            pairs.append([total // 2, total - total // 2])
        if self.repeated is not None:
            alone = [pair if i == self.repeated else [0, 0] for i, pair in enumerate(pairs)]
            input = F.pad(input, [v for pair in reversed(alone) for v in pair], mode="replicate")
            pairs[self.repeated] = [0, 0]
        return super().forward(F.pad(input, [v for pair in reversed(pairs) for v in pair]))
