"""Residual networks in 1-D, 2-D and 3-D (He et al. 2016, "Deep residual learning for image recognition")."""

import torch
from torch import nn

from atrous._nd import per_axis
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.blurpool import BlurPool, StillBlur

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks per stage, by the depth that names the network."""


class Residual(nn.Module):
    """Two convolutions with a kernel of 3, and a shortcut around them.

    Args:
        ndim: spatial axes.
        inputs: channels of the input.
        outputs: channels of the output.
        stride: of the first convolution, per axis. With `antialias` it is a convolution at stride 1 followed by a
            `BlurPool` (Zhang 2019, section 3.2).
        dilation: of the first and of the second convolution, per axis; 1 when None.
        antialias: whether strides blur.
        blurs: with `antialias`, per axis the dilation of a blur without stride (`StillBlur`), for an axis whose grid
            lost strides; 0 where the `BlurPool` alone blurs.
        project: whether the shortcut has a 1x1 convolution (option B of the paper). None: where the stride is not 1 or
            the channels differ. A block that lost its stride keeps its projection.
    """

    def __init__(
        self,
        ndim: int,
        inputs: int,
        outputs: int,
        stride: tuple[int, ...],
        *,
        dilation: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
        antialias: bool = False,
        blurs: tuple[int, ...] = (),
        project: bool | None = None,
    ) -> None:
        super().__init__()
        first, second = dilation or ((1,) * ndim, (1,) * ndim)
        blurs = blurs if antialias else ()
        blur = antialias and set(stride) != {1}
        step = (1,) * ndim if blur else stride
        self.first = conv_norm_act(ndim, inputs, outputs, stride=step, dilation=first)
        self.second = conv_norm_act(ndim, outputs, outputs, dilation=second, act=False)
        if project is None:
            project = inputs != outputs or set(stride) != {1}
        self.shortcut = conv_norm_act(ndim, inputs, outputs, 1, stride=step, act=False) if project else nn.Identity()
        for path in (self.first, self.shortcut):
            if any(blurs):
                path.append(StillBlur(blurs))  # type: ignore[operator, union-attr]
            if blur:
                taps = tuple(1 if d else 3 for d in blurs) or 3
                path.append(BlurPool(ndim, outputs, stride, taps))  # type: ignore[operator, union-attr]
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, inputs, *S)` to `(N, outputs, *ceil(S / stride))`."""
        return self.act(self.second(self.first(x)) + self.shortcut(x))


class ResNet(nn.Module):
    """An encoder with a stem of stride 1 and one stage per entry of `strides`.

    Unlike that of the paper's classifier, the stem keeps the input's resolution (level 0), so that thin structures are
    not lost.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        depth: 10, 18 or 34.
        width: channels of the stem and the first stage; every later stage has twice as many.
        strides: stride of each of up to four stages, one number or one per axis (anisotropic scans).
        output_stride: the largest total stride along any axis. Strides beyond it become dilation of all later layers,
            which keeps the receptive field and, on the coarse grid, the values (Chen et al. 2015, Yu & Koltun 2016).
        antialias: blur before a stride thins the grid out (Zhang 2019); a stride that became dilation keeps its blur.
        stem: kernel of the first convolution, odd; a wide one reads the motifs of a sequence in one layer.

    Raises:
        ValueError: a number is not one that the network can have.

    >>> encoder = ResNet(3, in_channels=1, depth=10, width=8, strides=((1, 2, 2), 2, 2, 2))
    >>> encoder.channels, encoder.strides[-1]
    ((8, 8, 16, 32, 64), (8, 16, 16))
    >>> [tuple(level.shape[2:]) for level in encoder(torch.zeros(1, 1, 16, 16, 16))][:2]
    [(16, 16, 16), (16, 8, 8)]
    """

    pretrained = False

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        *,
        depth: int = 18,
        width: int = 32,
        strides: tuple[int | tuple[int, ...], ...] = (2, 2, 2, 2),
        output_stride: int | None = None,
        antialias: bool = False,
        stem: int = 3,
    ) -> None:
        super().__init__()
        if stem < 1 or stem % 2 == 0:
            raise ValueError(f"stem {stem} is not odd")
        if depth not in BLOCKS:
            raise ValueError(f"depth {depth} is not one of {sorted(BLOCKS)}")
        if not 1 <= len(strides) <= len(BLOCKS[depth]):
            raise ValueError(f"{len(strides)} strides for a network of at most {len(BLOCKS[depth])} stages")
        if output_stride is not None and output_stride < 1:
            raise ValueError(f"output stride {output_stride} is less than 1")
        self.ndim, self.in_channels = ndim, in_channels
        self.stem = conv_norm_act(ndim, in_channels, width, stem)
        channels, total, dilation, stages = [width], [(1,) * ndim], (1,) * ndim, []
        for level, (blocks, step) in enumerate(zip(BLOCKS[depth], strides, strict=False)):
            wanted, outputs, before = per_axis(step, ndim), width * 2**level, dilation
            # An axis keeps its stride while the total stays within the output stride; else it becomes dilation.
            keeps = tuple(
                output_stride is None or w * t <= output_stride for w, t in zip(wanted, total[-1], strict=True)
            )
            stride = tuple(w if keep else 1 for w, keep in zip(wanted, keeps, strict=True))
            dilation = tuple(d if keep else d * w for d, w, keep in zip(dilation, wanted, keeps, strict=True))
            # The convolution that lost its stride still reads the old grid, as does its blur. Only later ones are
            # dilated. A `BlurPool` serves on an axis that keeps its stride and lost none before.
            blurs = tuple(0 if w == 1 or d * w == s else d for w, d, s in zip(wanted, before, stride, strict=True))
            first = Residual(
                ndim, channels[-1], outputs, stride, dilation=(before, dilation), antialias=antialias, blurs=blurs,
                project=channels[-1] != outputs or set(wanted) != {1},
            )  # fmt: skip
            layers = [first]
            for _ in range(blocks - 1):
                layers.append(Residual(ndim, outputs, outputs, (1,) * ndim, dilation=(dilation, dilation)))
            stages.append(nn.Sequential(*layers))
            channels.append(outputs)
            total.append(tuple(a * b for a, b in zip(total[-1], stride, strict=True)))
        self.stages = nn.ModuleList(stages)
        self.channels, self.strides = tuple(channels), tuple(total)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, finest first."""
        levels = [self.stem(x)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels
