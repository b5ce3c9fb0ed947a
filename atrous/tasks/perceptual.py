"""Losses that compare pictures by what an encoder sees in them: content, style, and how smooth they are."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn


class PerceptualTerms(NamedTuple):
    """What a perceptual loss is made of, each `(N,)`, one number for each picture."""

    content: torch.Tensor
    style: torch.Tensor
    variation: torch.Tensor


class PerceptualLoss(nn.Module):
    """How far pictures are from the content of images and from one style (Gatys, Ecker & Bethge 2016).

    An encoder gives feature maps `F_l (C_l, P_l)` of a picture with `P_l` positions. With `A_l` those of the image and
    `S_l` those of the style's picture, and the Gram matrix `G(F) = F F^T / P`,

        content   = mean over the content maps of  mean((F_l - A_l)^2) / mean(S_l^2),
        style     = mean over the style maps of    sum((G(F_l) - G(S_l))^2) / sum(G(S_l)^2),
        variation = mean((x_i+1,j - x_i,j)^2) + mean((x_i,j+1 - x_i,j)^2)     of the picture x in units of 255.

    The denominators depend on the style's picture alone. They make the terms independent of the scale of the maps, so
    that weights mean the same for every layer and encoder.

    Args:
        encoder: gives maps `(N, C_l, *S_l)` of pictures `(N, 3, H, W)` with values of 0 to 255. It is used as it is: in
            the mode that it has, and its weights are not changed.
        style: the style's picture `(3, H, W)`, values of 0 to 255.
        content_maps: numbers of the encoder's maps by which content is compared.
        style_maps: numbers of the encoder's maps by which style is compared.

    >>> loss = PerceptualLoss(lambda x: [x, x[..., ::2, ::2]], torch.full((3, 8, 8), 100.0), [0], [0, 1])
    >>> terms = loss(torch.full((1, 3, 6, 6), 100.0), torch.full((1, 3, 6, 6), 50.0))
    >>> terms.content.item(), terms.style.item(), terms.variation.item()
    (0.25, 0.0, 0.0)
    """

    def __init__(
        self,
        encoder: Callable[[torch.Tensor], Sequence[torch.Tensor]],
        style: torch.Tensor,
        content_maps: Sequence[int],
        style_maps: Sequence[int],
    ) -> None:
        super().__init__()
        self.encoder, self.content_maps, self.style_maps = encoder, tuple(content_maps), tuple(style_maps)
        with torch.no_grad():
            maps = encoder(style[None].float())
        for number in self.style_maps:
            self.register_buffer(f"gram{number}", gram(maps[number])[0])
        self.sizes = [_scale(self.get_buffer(f"gram{number}").square().sum()) for number in self.style_maps]
        self.scales = [_scale(maps[number].square().mean()) for number in self.content_maps]

    def forward(self, pictures: torch.Tensor, images: torch.Tensor) -> PerceptualTerms:
        """Return the terms of pictures against the images they were made of, both `(N, 3, H, W)`, 0 to 255.

        Gradients flow to `pictures` alone. All is computed in float32, also under autocast.
        """
        with torch.autocast(pictures.device.type, enabled=False):
            pictures, images = pictures.float(), images.float()
            with torch.no_grad():
                wanted = self.encoder(images)
            wanted = [wanted[number] for number in self.content_maps]
            maps = self.encoder(pictures)
            content = [
                (maps[number] - there).square().flatten(1).mean(1) / scale
                for number, there, scale in zip(self.content_maps, wanted, self.scales, strict=True)
            ]
            style = [
                (gram(maps[number]) - self.get_buffer(f"gram{number}")).square().sum(dim=(1, 2)) / size
                for number, size in zip(self.style_maps, self.sizes, strict=True)
            ]
            smooth = variation(pictures / 255)
            return PerceptualTerms(torch.stack(content).mean(0), torch.stack(style).mean(0), smooth)


def _scale(value: torch.Tensor) -> float:
    """A denominator; 1 where the encoder sees nothing in the style's picture."""
    number = float(value)
    return number if number > 0 and math.isfinite(number) else 1.0


def gram(features: torch.Tensor) -> torch.Tensor:
    """Return the Gram matrices `(N, C, C)` of feature maps `(N, C, *S)`: means over the positions of products.

    >>> gram(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]])).tolist()
    [[[5.0, 1.0], [1.0, 2.0]]]
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def variation(pictures: torch.Tensor) -> torch.Tensor:
    """Return the total variation `(N,)` of pictures `(N, C, *S)`: the sum over the axes of mean squared differences.

    >>> variation(torch.tensor([[[[0.0, 2.0], [0.0, 2.0]]]])).tolist()
    [4.0]
    """
    steps = [pictures.diff(dim=axis).square().flatten(1) for axis in range(2, pictures.ndim)]
    found = [step.mean(1) for step in steps if step.shape[1]]  # an axis of one position has no step
    return torch.stack(found).sum(0) if found else pictures.new_zeros(len(pictures))
