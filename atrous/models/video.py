"""Networks for video, made of 2-D networks that run on every frame, with layers that mix frames along time."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from atrous.models.network import DenseNetwork, crop_to, pad_to_multiple
from atrous.nn.blocks import Normalize, resize
from atrous.nn.temporal import AlongTime, factorized, set_frames, to_clip, to_frames

Temporal = Literal["frames", "levels", "blocks"]


class VideoNetwork(DenseNetwork):
    """`(N, C, T, H, W)` raw values -> `(N, K, T, H, W)` logits: a 2-D network on every frame, mixed along time.

    Args:
        network: the 2-D network; its parts are used, not copied.
        temporal: where frames are mixed. "frames": nowhere. "levels": every level of the encoder is mixed by a residual
            convolution along time that starts as the identity, so that the network starts as the 2-D one, with its
            pretrained features. "blocks": every convolution of the encoder with a kernel larger than 1 is followed by
            one along time, which makes (2+1)-D blocks.
        kernel: frames that a convolution along time reads.
        causal: whether no output frame depends on later input frames.
        motion: whether the encoder is given each frame together with the one before it, as `WithMotion` takes them.
            Before the first frame there are zeros.

    Raises:
        ValueError: the network has not two axes.

    >>> from atrous.encoders.resnet import ResNet
    >>> from atrous.models.fcn import fcn
    >>> network = fcn(ResNet(2, in_channels=3, depth=10, width=8), outputs=2, width=16)
    >>> VideoNetwork(network, "levels")(torch.zeros(1, 3, 5, 33, 50)).shape
    torch.Size([1, 2, 5, 33, 50])
    """

    def __init__(
        self,
        network: DenseNetwork,
        temporal: Temporal = "levels",
        *,
        kernel: int = 3,
        causal: bool = False,
        motion: bool = False,
    ) -> None:
        if network.ndim != 2:
            raise ValueError(f"a network for video is made of one for pictures, this one has {network.ndim} axes")
        encoder, decoder = network.encoder, network.decoder
        if temporal == "blocks":
            _factorize(encoder, kernel, causal)  # type: ignore[arg-type]
        super().__init__(encoder, decoder, network.outputs, head=network.head, stride=network.stride)
        self.ndim, self.stride = 3, (1, *network.stride)
        mean, std = (getattr(network.normalize, name).flatten().tolist() for name in ("mean", "std"))
        self.normalize = Normalize(mean, std, 3)
        self.auxiliary, self.temporal, self.motion = network.auxiliary, temporal, motion
        self.in_channels = encoder.in_channels // (2 if motion else 1)
        self.along = nn.ModuleList(
            AlongTime(channels, channels, kernel, causal=causal, residual=True)
            if temporal == "levels"
            else nn.Identity()
            for channels in encoder.channels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return the logits `(N, K, T, H, W)` of clips; a list of such with deep supervision in training mode."""
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            wanted = f"(N, {self.in_channels}, T, H, W)"
            raise ValueError(f"the network reads {wanted}, got a tensor of shape {tuple(x.shape)}")
        frames, size = x.shape[2], tuple(x.shape[3:])
        set_frames(self, frames)
        x = self.normalize(x)
        if self.motion:
            x = torch.cat([x, F.pad(x, (0, 0, 0, 0, 1, -1))], 1)  # with the frame before
        x = to_frames(x)
        x = pad_to_multiple(x, self.stride[1:])
        padded = tuple(x.shape[2:])
        levels = [mix(level) for mix, level in zip(self.along, self.encoder(x), strict=True)]
        maps = self.decoder.maps(levels)
        heads = zip([self.head, *self.auxiliary], maps[::-1], strict=False)
        if not (self.training and self.auxiliary):
            return _clip(self.head(maps[-1]), padded, size, frames)
        return [_clip(head(feature), padded, size, frames) for head, feature in heads]


def _clip(logits: torch.Tensor, padded: tuple[int, ...], size: tuple[int, ...], frames: int) -> torch.Tensor:
    """Resize logits of frames to the padded size, crop them to `size`, and return them as clips of `frames` frames."""
    return to_clip(crop_to(resize(logits, padded), size), frames)


def _factorize(encoder: nn.Module, kernel: int, causal: bool) -> None:
    """Replace every convolution with a kernel larger than 1 by a (2+1)-D block, in place."""
    wide = [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    ]
    for name, module in wide:
        encoder.set_submodule(name, factorized(module, kernel, causal=causal))
