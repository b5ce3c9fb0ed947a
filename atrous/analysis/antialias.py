"""Anti-aliased pooling: whatever takes every s-th position first blurs, so that small shifts change less."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV, MAX_POOL, per_axis
from atrous.analysis.probe import shared_copy
from atrous.errors import UserError
from atrous.nn.blurpool import BlurPool


class BlurSubsample(BlurPool):
    """`BlurPool` for inputs of however many channels: a max pool does not say how many it will see.

    The filter is binomial, of `2 s - 1` taps for stride `s`: 1/4, 1/2, 1/4 for 2.

    >>> BlurSubsample((2,))(torch.tensor([[[0.0, 0, 0, 0, 4, 0, 0, 0]]])).tolist()
    [[[0.0, 0.0, 2.0, 0.0]]]
    """

    def __init__(self, stride: tuple[int, ...]) -> None:
        super().__init__(len(stride), 1, stride, taps=2 * max(stride) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, *S)` to `(N, C, *ceil(S / stride))`."""
        kernel = self.get_buffer("kernel").to(x.dtype)
        weight = torch.cat([kernel] * x.shape[1])
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.stride) - 1]
        return convolve(F.pad(x, self.pads, mode="replicate"), weight, stride=self.stride, groups=x.shape[1])


def antialias(network: nn.Module) -> nn.Module:
    """A copy in which every strided max pool and convolution runs at stride 1, and is then blurred and thinned.

    The blur is that of Zhang 2019, "Making convolutional networks shift-invariant again". Weights are the network's
    own (shared, not copied), and all sizes stay; the values change, so a trained network wants some more training.
    Blurring stands right after the convolution, where Zhang has it after the ReLU that follows; average pools blur
    already and stay. Each replaced convolution costs as many times more as its stride thins.

    Raises:
        UserError: a pool or convolution cannot be replaced: it rounds its size up, returns indices, or is of a derived
            class whose forward pass is its own.

    >>> copied = antialias(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2)))
    >>> copied(torch.zeros(1, 3, 33, 64)).shape
    torch.Size([1, 8, 8, 16])
    """
    copied = shared_copy(network)
    if (replacement := _replacement("the network", copied)) is not None:
        return replacement
    for path, parent in list(copied.named_modules()):
        for name, child in list(parent.named_children()):
            replacement = _replacement(f"{path}.{name}".lstrip("."), child)
            if replacement is not None:
                setattr(parent, name, replacement)
    return copied


def _replacement(path: str, module: nn.Module) -> nn.Module | None:
    convolutions, pools = tuple(CONV.values()), tuple(MAX_POOL.values())
    if not isinstance(module, convolutions + pools):
        return None
    ndim = next(n for n in CONV if isinstance(module, (CONV[n], MAX_POOL[n])))
    stride = per_axis(module.stride, ndim)  # type: ignore[arg-type]
    if math.prod(stride) == 1:
        return None
    if type(module) not in convolutions + pools:
        raise UserError(f"{path} ({type(module).__name__}): pads or pools in its own way: cannot be anti-aliased")
    if isinstance(module, pools) and (module.ceil_mode or module.return_indices):
        raise UserError(f"{path} ({type(module).__name__}): ceil_mode and return_indices cannot be anti-aliased")
    setattr(module, "stride", (1,) * ndim)  # noqa: B010
    return nn.Sequential(module, BlurSubsample(stride))
