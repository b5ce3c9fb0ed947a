"""FCOS: a feature pyramid and two towers of convolutions, for boxes (Tian et al., ICCV 2019).

The paper gives every level of the pyramid a head, each for objects of some sizes. Here the finest level alone has one,
as in CenterNet (Zhou et al., "Objects as points", 2019): the coarser levels are summed into it, and dilated
convolutions on the coarsest one see the largest objects. So the network has one dense output, like every other one.
"""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.fcn import Context
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize, resize


class TwoTowers(nn.Module):
    """A feature pyramid (Lin et al. 2017) of `width` channels down to stride `finest`, and two towers on its last map.

    One tower is meant for what an object is, the other for where it ends (a decoupled head). The head reads both.

    Args:
        encoder: the encoder whose levels it reads; levels finer than `finest` are left out.
        width: channels of all levels and of each tower.
        finest: least stride, along the axis with the greatest stride, of a level that is used. The coarsest level is
            used whatever its stride is.
        convolutions: of each tower.
        attend: builds an attention module for every level.
    """

    def __init__(
        self, encoder: Encoder, width: int = 96, *, finest: int = 4, convolutions: int = 2, attend: Attend | None = None
    ) -> None:
        super().__init__()
        ndim, last = encoder.ndim, len(encoder.channels) - 1
        self.levels = [level for level, stride in enumerate(encoder.strides) if max(stride) >= finest or level == last]
        self.context = Context(ndim, encoder.channels[-1], width)
        self.lateral, self.refine, self.attend = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in self.levels[-2::-1]:
            self.lateral.append(conv_norm_act(ndim, encoder.channels[level], width, 1, act=False))
            self.refine.append(conv_norm_act(ndim, width, width))
            self.attend.append(attended(attend, ndim, width))
        towers = ([conv_norm_act(ndim, width, width) for _ in range(convolutions)] for _ in range(2))
        self.towers = nn.ModuleList([nn.Sequential(*layers) for layers in towers])
        self.channels = 2 * width
        self.all_channels = (*[width] * len(self.levels), 2 * width)
        initialize(nn.ModuleList([self.context, self.lateral, self.refine, self.towers]))

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one feature map per level that is used, coarse to fine, then both towers side by side."""
        maps = [self.context(levels[-1])]
        for i, level in enumerate(self.levels[-2::-1]):
            feature = levels[level]
            joined = resize(maps[-1], feature.shape[2:]) + self.lateral[i](feature)
            maps.append(self.attend[i](self.refine[i](joined)))
        return [*maps, torch.cat([tower(maps[-1]) for tower in self.towers], dim=1)]


def fcos(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 96,
    finest: int = 4,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a network for boxes: a feature pyramid down to stride `finest`, and two towers on its finest map.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output.
        width: channels of the pyramid and of each tower.
        finest: stride of the finest map; the logits are resized to the input's grid.
        attend: builds an attention module for every level of the pyramid.
        deep_supervision: train with heads on the pyramid's levels too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcos(ResNet(2, in_channels=1, depth=10, width=8), outputs=7, width=16)(torch.zeros(1, 1, 45, 70)).shape
    torch.Size([1, 7, 45, 70])
    """
    decoder = TwoTowers(encoder, width, finest=finest, attend=attend)
    head = CONV[encoder.ndim](decoder.channels, outputs, 1)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return DenseNetwork(encoder, decoder, outputs, head=head, deep_supervision=deep_supervision, mean=mean, std=std)
