"""Any timm network as a 2-D encoder."""

import torch
from torch import nn

from atrous.errors import UserError

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's values of 0..255, for other pretrained encoders."""


class TimmEncoder(nn.Module):
    """The feature maps of `timm.create_model(name, features_only=True)`.

    Its attributes `mean` and `std` are for values of 0..255.

    Args:
        name: of a timm network.
        in_channels: channels of the input.
        pretrained: load timm's weights, from its cache or by a download.

    Raises:
        UserError: timm has no such network or weights, or its maps do not have the size that their strides say.

    >>> encoder = TimmEncoder("resnet18", in_channels=4)
    >>> encoder.channels, encoder.strides[-1]
    ((64, 64, 128, 256, 512), (32, 32))
    """

    ndim = 2

    def __init__(self, name: str, in_channels: int = 3, *, pretrained: bool = False) -> None:
        import timm  # here: it takes seconds

        super().__init__()
        if name not in timm.list_models():
            raise UserError(
                f"encoder {name!r} is not a timm model: `timm.list_models('*{name[:6]}*')` shows near names"
            )
        try:
            self.body = timm.create_model(name, features_only=True, in_chans=in_channels, pretrained=pretrained)
        except (RuntimeError, OSError, AttributeError) as error:
            wanted = "pretrained weights" if pretrained else "feature maps"
            raise UserError(f"encoder {name!r}: timm gives no {wanted} ({str(error).splitlines()[0]})") from error
        self.in_channels, self.pretrained = in_channels, pretrained
        self.channels = tuple(self.body.feature_info.channels())  # type: ignore[operator, union-attr]
        self.strides = tuple((r, r) for r in self.body.feature_info.reduction())  # type: ignore[operator, union-attr]
        self.channels_last = self._channels_last(name)
        config = timm.get_pretrained_cfg(name)
        mean, std = (config.mean, config.std) if config is not None else ((0.5,), (0.25,))
        self.mean, self.std = tuple(255 * m for m in mean), tuple(255 * s for s in std)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, C, H, W)` as `(N, C_i, H / stride_i, W / stride_i)`, finest first."""
        levels = self.body(x)
        return [level.permute(0, 3, 1, 2) for level in levels] if self.channels_last else levels

    def _channels_last(self, name: str) -> bool:
        """Whether the network gives maps `(N, H, W, C)`, found by running it on a small input that is no square.

        Raises:
            UserError: it does not run on that input, or gives maps of other shapes.
        """
        most = max(step for step, _ in self.strides)
        size = (2 * most, 3 * most)
        like = next(self.body.parameters())
        modes = [(module, module.training) for module in self.body.modules()]
        try:
            with torch.no_grad():
                levels = self.body.eval()(like.new_zeros(1, self.in_channels, *size))
        except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(
                f"encoder {name!r}: does not run on inputs of {size[0]} x {size[1]} ({first}), so it does not take "
                "every size: use a convolutional one"
            ) from error
        finally:
            for module, training in modes:
                module.training = training
        shapes = [tuple(level.shape[1:]) for level in levels]
        grids = [(size[0] // step, size[1] // step) for step, _ in self.strides]
        if shapes == [(c, *grid) for c, grid in zip(self.channels, grids, strict=True)]:
            return False
        if shapes == [(*grid, c) for c, grid in zip(self.channels, grids, strict=True)]:
            return True
        raise UserError(
            f"encoder {name!r}: gives maps of {shapes} for inputs of {size[0]} x {size[1]}, which are not of "
            f"{self.channels} channels at strides {[step for step, _ in self.strides]}: use another"
        )
