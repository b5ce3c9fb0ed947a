"""Inputs for `benchmarks/streaming.py`: an image, a signal and a volume, each with a network and MONAI's window."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Case:
    """An input and its network.

    Attributes:
        network: makes the network, with random weights.
        source: makes the input `(C, *S)`, given `--size`.
        window: positions of MONAI's window along each axis.
        size: what `--size` is when it is not given.
    """

    network: Callable[[], nn.Module]
    source: Callable[[int], np.ndarray]
    window: tuple[int, ...]
    size: int

    def monai_work(self, shape: tuple[int, ...], overlap: float) -> float:
        """Return the positions of all windows of MONAI's inferer divided by those of the input `(C, *S)`."""
        work = 1.0
        for n, window in zip(shape[1:], self.window, strict=True):
            step = max(1, int(window * (1 - overlap)))  # as `dense_patch_slices` does
            work *= (1 if n <= window else math.ceil((n - window) / step) + 1) * window / n
        return work


def settled(net: nn.Module) -> nn.Module:
    """Return the network in evaluation mode, with statistics in its batch norms that are not the identity."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def network() -> nn.Module:
    """Return segmentation_models_pytorch's `Unet("resnet18", classes=2)`."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    return settled(smp.Unet("resnet18", encoder_weights=None, classes=2))


def monai_unet(ndim: int) -> nn.Module:
    """Return MONAI's own `UNet` of four levels with residual units and batch norms, for `ndim` axes."""
    from monai.networks.nets.unet import UNet

    torch.manual_seed(0)
    sizes: Any = {"channels": (16, 32, 64, 128), "strides": (2, 2, 2), "num_res_units": 2}
    return settled(UNet(spatial_dims=ndim, in_channels=1, out_channels=2, norm="batch", **sizes))


def noise(channels: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return noise `(C, *S)` at several scales, so that it has structure for receptive fields of any size."""
    generator = torch.Generator().manual_seed(1)
    total = torch.randn(1, channels, *shape, generator=generator)
    for scale in (8, 64):
        coarse = torch.randn(1, channels, *(max(1, n // scale) for n in shape), generator=generator)
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
        total += nn.functional.interpolate(coarse, size=shape, mode=mode)
    return total[0].numpy()


def image(size: int) -> np.ndarray:
    """Return an image `(3, size, size)`."""
    return noise(3, (size, size))


CASES = {
    "image": Case(network, image, (512, 512), 2048),
    "signal": Case(lambda: monai_unet(1), lambda size: noise(1, (size,)), (4096,), 2**22),
    "volume": Case(lambda: monai_unet(3), lambda size: noise(1, (size, size, size)), (96, 96, 96), 224),
}
