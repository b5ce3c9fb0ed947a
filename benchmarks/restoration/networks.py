"""Plain DnCNN and FSRCNN, as their papers describe them."""

import torch
from torch import nn


class DnCNN(nn.Module):
    """Denoising network of Zhang et al. 2017 ("Beyond a Gaussian denoiser", IEEE TIP 26), DnCNN-S: finds the noise.

    A convolution with ReLU, convolutions with batch norm and ReLU, a convolution; all 3x3. It maps `(N, 1, H, W)` to
    the same size: the input minus the noise that it finds.
    """

    def __init__(self, layers: int = 17, channels: int = 64) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(layers - 2):
            parts += [
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        self.noise = nn.Sequential(*parts, nn.Conv2d(channels, 1, 3, padding=1))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.noise(x)


class FSRCNN(nn.Module):
    """Super-resolution network of Dong et al. 2016 ("Accelerating the super-resolution convolutional neural network").

    FSRCNN(56, 12, 4): features 5x5, shrinking 1x1, four mappings 3x3, expanding 1x1, and a deconvolution 9x9, with
    PReLU between them. It maps `(N, 1, H, W)` to `(N, 1, factor * H, factor * W)`.
    """

    def __init__(self, factor: int, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__()
        sizes = [(1, d, 5), (d, s, 1), *[(s, s, 3)] * m, (s, d, 1)]
        parts: list[nn.Module] = []
        for inputs, outputs, kernel in sizes:
            convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(convolution.weight, a=0.25)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            parts += [convolution, nn.PReLU(outputs)]
        self.features = nn.Sequential(*parts)
        self.enlarge = nn.ConvTranspose2d(d, 1, 9, stride=factor, padding=4, output_padding=factor - 1)
        nn.init.normal_(self.enlarge.weight, std=0.001)
        nn.init.zeros_(self.enlarge.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.enlarge(self.features(x))
