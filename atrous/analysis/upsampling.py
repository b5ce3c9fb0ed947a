"""Upsampling: the checkerboards of a transposed convolution, against resize and convolution with the same kernel."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV_TRANSPOSE, LINEAR
from atrous.analysis.adjoint import adjointness
from atrous.analysis.drawing import COLORS, legend, panels, save
from atrous.errors import UserError

_FORWARD = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_LENGTH = {1: 512, 2: 64, 3: 20}


@dataclass(frozen=True)
class UpsamplingLayer:
    """One transposed convolution, and a linear resize followed by a convolution with the same kernel.

    `checkerboard` is the share of the output's energy that is a pattern of period `stride` when every input channel
    is constant; zero is none. `frequencies` (cycles per output position) go with the two power spectra, along `axis`,
    of the outputs for noise that went through a ReLU; `spikes` is how many times the power at multiples of 1 / stride
    exceeds that around them.
    """

    name: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    axis: int
    checkerboard: float
    checkerboard_resized: float
    spikes: float
    spikes_resized: float
    frequencies: np.ndarray
    spectrum: np.ndarray
    spectrum_resized: np.ndarray


@dataclass(frozen=True)
class Upsampling:
    """Every transposed convolution of a network, and the adjointness error of every convolution, by module name."""

    network: str
    layers: tuple[UpsamplingLayer, ...]
    adjoint: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists, for JSON."""
        layers = []
        for layer in self.layers:
            facts: dict[str, Any] = dict(vars(layer))
            for name, value in facts.items():
                facts[name] = value.tolist() if isinstance(value, np.ndarray) else value
            layers.append({**facts, "kernel": list(layer.kernel), "stride": list(layer.stride)})
        return {"network": self.network, "layers": layers, "adjoint": self.adjoint}

    def text(self) -> str:
        """One line per transposed convolution, and the worst adjointness error."""
        lines = [f"{self.network}: {len(self.layers)} transposed convolutions that enlarge"]
        for x in self.layers:
            fits = all(k % s == 0 for k, s in zip(x.kernel, x.stride, strict=True))
            lines.append(
                f"{x.name or 'layer'}: kernel {x.kernel}, stride {x.stride} (it {'fits' if fits else 'does not fit'}): "
                f"checkerboard {100 * x.checkerboard:.3g} % of a constant's energy "
                f"(resize + convolution {100 * x.checkerboard_resized:.3g} %); "
                f"on noise {x.spikes:.1f} times the power around ({x.spikes_resized:.1f})"
            )
        if self.adjoint:
            worst = max(self.adjoint, key=lambda name: self.adjoint[name])
            lines.append(
                f"adjointness of {len(self.adjoint)} convolutions: error at most {self.adjoint[worst]:.1e} ({worst})"
            )
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write the spectra, a chart per transposed convolution (the first four).

        Raises:
            UserError: the network has no transposed convolution with a stride.
        """
        if not self.layers:
            raise UserError(
                f"{self.network}: has no transposed convolution that enlarges, so there is no spectrum to draw"
            )
        shown = self.layers[:4]
        figure, charts = panels(len(shown), 4.6, 3.2)
        for chart, layer in zip(charts, shown, strict=True):
            chart.plot(
                layer.frequencies, layer.spectrum, color=COLORS[1], linewidth=1.3, label="transposed convolution"
            )
            chart.plot(
                layer.frequencies, layer.spectrum_resized, color=COLORS[0], linewidth=1.3, label="resize + convolution"
            )
            stride = layer.stride[layer.axis]
            for k in range(1, stride // 2 + 1):
                chart.axvline(k / stride, color=COLORS[-1], linestyle=":", linewidth=0.9, zorder=0)
            chart.set_yscale("log")
            chart.set_xlabel(f"cycles per output position; dotted: multiples of 1/{stride}")
            chart.set_ylabel("power")
            chart.set_title(f"{layer.name or 'layer'}: kernel {layer.kernel[layer.axis]}, stride {stride}")
            legend(chart)
        return save(figure, path)


def upsampling(network: nn.Module, *, samples: int = 8, seed: int = 0) -> Upsampling:
    """Measure the checkerboards of every strided transposed convolution, and the adjointness of every convolution.

    A transposed convolution lays its kernel down every `stride` positions. Where the kernel is no multiple of the
    stride, positions get different numbers of contributions, and even a constant becomes a pattern (Odena, Dumoulin
    and Olah 2016, "Deconvolution and checkerboard artifacts"); where it is, unequal weights still can. Runs each
    layer by itself, in float64, on positive constants and on rectified noise, as they come out of a ReLU.

    >>> found = upsampling(nn.ConvTranspose1d(4, 4, 3, stride=2))
    >>> found.layers[0].checkerboard > 0.001, found.layers[0].checkerboard_resized < 1e-20
    (True, True)
    """
    layers = []
    found: list[tuple[str, Any]] = list(network.named_modules())
    for name, module in found:
        if isinstance(module, tuple(CONV_TRANSPOSE.values())) and max(module.stride) > 1:
            layers.append(_measured(name, module, samples, seed))
    return Upsampling(type(network).__name__, tuple(layers), adjointness(network, seed=seed))


def _measured(name: str, module: nn.ConvTranspose2d, samples: int, seed: int) -> UpsamplingLayer:
    generator = torch.Generator().manual_seed(seed)
    ndim = len(module.stride)
    size = _LENGTH[ndim]
    axis = max(range(ndim), key=lambda a: module.stride[a])
    level = torch.randn(samples, module.in_channels, *[1] * ndim, generator=generator, dtype=torch.float64).abs()
    constant = level.expand(-1, -1, *[size] * ndim)
    noise = torch.randn(samples, module.in_channels, *[size] * ndim, generator=generator, dtype=torch.float64).relu()
    boards, spectra = [], []
    for enlarge in (_transposed, _resized):
        boards.append(_pattern(_inner(enlarge(module, constant), module), module.stride))
        frequencies, spectrum = _spectrum(_inner(enlarge(module, noise), module), 2 + axis)
        spectra.append(spectrum)
    spikes = [_spikes(spectrum, module.stride[axis]) for spectrum in spectra]
    return UpsamplingLayer(
        name,
        module.kernel_size,
        module.stride,
        axis,
        boards[0],
        boards[1],
        spikes[0],
        spikes[1],
        frequencies,
        spectra[0],
        spectra[1],
    )


def _transposed(module: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    weight = module.weight.detach().double().cpu()
    settings = (module.stride, 0, 0, module.groups, module.dilation)
    return _TRANSPOSED[x.ndim - 2](x, weight, None, *settings)  # type: ignore[arg-type]


def _resized(module: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Linear resize by the stride, then a convolution with the kernel that the transposed one lays down."""
    ndim, weight = x.ndim - 2, module.weight.detach().double().cpu()
    large = F.interpolate(x, scale_factor=[float(s) for s in module.stride], mode=LINEAR[ndim], align_corners=False)
    groups = module.groups
    flipped = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flip(tuple(range(3, ndim + 3)))
    kernel = flipped.reshape(-1, weight.shape[0] // groups, *weight.shape[2:])
    reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    pads = [p for r in reversed(reach) for p in (r, r)]
    return _FORWARD[ndim](F.pad(large, pads), kernel, None, 1, 0, module.dilation, groups)  # type: ignore[arg-type]


def _inner(y: Tensor, module: nn.ConvTranspose2d) -> Tensor:
    """The part of an output that no border touches, a whole number of strides long."""
    parts = []
    for dilation, kernel, stride in zip(module.dilation, module.kernel_size, module.stride, strict=True):
        length = (_LENGTH[y.ndim - 2] - 1) * stride  # what both ways to enlarge give at least
        margin = -(-(dilation * (kernel - 1) + stride + 1) // stride) * stride
        if length < 2 * margin + 2 * stride:
            raise UserError(f"kernel {module.kernel_size} with dilation {module.dilation}: too wide to be measured")
        parts.append(slice(margin, margin + (length - 2 * margin) // stride * stride))
    return y[(..., *parts)]


def _pattern(y: Tensor, stride: tuple[int, ...]) -> float:
    """Share of the energy that is not each channel's mean, over one period of the grid."""
    block = y[(..., *(slice(0, s) for s in stride))].flatten(2)
    total = block.square().sum()
    return float((block - block.mean(-1, keepdim=True)).square().sum() / total) if total > 0 else 0.0


def _spectrum(y: Tensor, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and mean power along one axis, each line without its mean, through a Hann window."""
    lines = y.movedim(dim, -1)
    lines = (lines - lines.mean(-1, keepdim=True)) * torch.hann_window(lines.shape[-1], dtype=y.dtype)
    power = torch.fft.rfft(lines, dim=-1).abs().square().flatten(0, -2).mean(0)
    frequencies = torch.fft.rfftfreq(lines.shape[-1])
    return frequencies.numpy(), (power / power.sum().clamp_min(1e-300)).numpy()


def _spikes(power: np.ndarray, stride: int) -> float:
    """Mean power within one bin of the multiples of 1 / stride over that 3 to 8 bins from them; 1 is no spike."""
    bins = 2 * (len(power) - 1)
    ratios = []
    for k in range(1, stride // 2 + 1):
        at = round(k * bins / stride)
        near = [i for i in range(at - 1, at + 2) if 0 < i < len(power)]
        around = [i for i in range(at - 8, at + 9) if abs(i - at) >= 3 and 0 < i < len(power)]
        ratios.append(float(power[near].mean() / max(power[around].mean(), 1e-300)))
    return max(ratios, default=1.0)
