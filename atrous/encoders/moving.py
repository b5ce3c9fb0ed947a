"""An encoder of video frames that also sees how their pixels move against the camera."""

from itertools import pairwise
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from atrous.encoders.encoder import Encoder
from atrous.encoders.resnet import ResNet
from atrous.encoders.shrunk import Shrunk
from atrous.nn.camera import PLANES, camera_motion

HIDDEN_FRAMES, HIDDEN_MOTION = 0.25, 0.1
"""Share of the training frames of which the features of the frame, or of its motion, are hidden."""


class WithMotion(nn.Module):
    """Two encoders side by side: one sees the frame, a small one how each pixel moves against the camera's motion.

    Every level has the features of both. What an object looks like differs from video to video, that it moves by itself
    does not: a network that is trained on few videos finds other objects by their motion. Two streams, one of them of
    optical flow: Simonyan and Zisserman 2014; for moving objects Jain, Xiong and Grauman 2017 ("FusionSeg"). The motion
    is that of `atrous.nn.camera.camera_motion`.

    In training the features of either stream are set to zero in some of the frames and are raised in the others, as
    dropout does, so that neither relies on the other (Neverova et al. 2015, "ModDrop").

    Args:
        encoder: what sees the frame, on a 2-D grid; it becomes part of this one.
        width: channels of the finest level of the encoder of motion.

    Raises:
        ValueError: the encoder is not 2-D, or its strides differ between the axes.

    >>> encoder = WithMotion(ResNet(2, in_channels=3, depth=10, width=8), width=4)
    >>> encoder.in_channels, encoder.channels, encoder(torch.zeros(1, 6, 64, 64))[1].shape
    (6, (12, 12, 24, 48, 96), torch.Size([1, 12, 32, 32]))
    """

    pretrained = False
    """Not all of it; that of the frame may be."""

    def __init__(self, encoder: Encoder, *, width: int = 16) -> None:
        super().__init__()
        strides = [level[0] for level in encoder.strides]
        if encoder.ndim != 2 or any(down != right for down, right in encoder.strides):
            raise ValueError("motion is seen on 2-D frames, by an encoder whose strides are those of both axes")
        self.ndim, self.in_channels, self.strides = 2, 2 * encoder.in_channels, encoder.strides
        self.frame = cast(nn.Module, encoder)
        steps = tuple(after // before for before, after in pairwise(strides))[:4]
        motion = ResNet(2, in_channels=PLANES, depth=10, width=width, strides=steps or (1,))
        self.motion = motion if strides[0] == 1 else Shrunk(motion, strides[0])
        added = [channels if number < len(strides) else 0 for number, channels in enumerate(motion.channels)]
        added += [0] * (len(strides) - len(added))
        self.channels = tuple(own + more for own, more in zip(encoder.channels, added, strict=False))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of frames and those before them, `(N, in_channels, H, W)`; finest level first."""
        half = self.in_channels // 2
        frame, before = x[:, :half], x[:, half:]
        planes = camera_motion(frame, before)
        levels, moving = self.frame(frame), self.motion(planes)
        if self.training:
            levels, moving = _hidden(levels, HIDDEN_FRAMES), _hidden(moving, HIDDEN_MOTION)
        paired = min(len(levels), len(moving))
        joined = [torch.cat(pair, 1) for pair in zip(levels[:paired], moving[:paired], strict=True)]
        return [*joined, *levels[paired:]]


def _hidden(levels: list[torch.Tensor], share: float) -> list[torch.Tensor]:
    """Feature maps `(N, C, H, W)` with all those of some of the N set to zero; the same ones on each level."""
    kept = F.dropout(torch.ones(len(levels[0]), 1, 1, 1, device=levels[0].device), share)
    return [level * kept.to(level.dtype) for level in levels]
