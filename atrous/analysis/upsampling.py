"""Upsampling: the checkerboards of a transposed convolution, against resize and convolution with the same kernel."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV_TRANSPOSE
from atrous.analysis.adjoint import adjointness
from atrous.analysis.drawing import COLORS, legend, panels, save
from atrous.errors import UserError

_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_ALONG = {1: 512, 2: 32, 3: 16}  # strides of output that a spectrum is taken over, by number of axes
_CHANNELS = 16  # output channels looked at: each is a function of its own
_MOST = 2**28  # numbers held by one product of positions and kernel


@dataclass(frozen=True)
class UpsamplingLayer:
    """One transposed convolution, and a linear resize followed by a convolution with the same kernel.

    `checkerboard` is the share of the output's energy that is a pattern of period `stride` when every input channel
    is constant; zero is none. `frequencies` (cycles per output position) go with the two power spectra, along `axis`,
    of the outputs for noise that went through a ReLU; `spikes` is how many times the power at multiples of 1 / stride
    exceeds that around them. `channels` says how many output channels were looked at, evenly spread, and of how many.
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
    channels: tuple[int, int]


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
                + (f"; {x.channels[0]} of {x.channels[1]} output channels" if x.channels[0] < x.channels[1] else "")
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
    layer by itself, in float64, on positive constants and on rectified noise, as they come out of a ReLU; of a layer
    with more than 16 output channels, 16.

    Raises:
        UserError: a kernel is too wide to be measured.

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
    ndim, stride = len(module.stride), module.stride
    axis = max(range(ndim), key=lambda a: stride[a])
    once, long = (1,) * ndim, tuple(_ALONG[ndim] if a == axis else 2 for a in range(ndim))
    wanted = min(module.out_channels, _CHANNELS)
    channels = [i * module.out_channels // wanted for i in range(wanted)]
    level = torch.randn(samples, module.in_channels, *once, generator=generator, dtype=torch.float64).abs()
    noise = _positions(module, long)
    noise = torch.randn(samples, module.in_channels, *noise, generator=generator, dtype=torch.float64).relu()
    boards, spectra, frequencies = [], [], np.zeros(0)
    for resize in (False, True):
        constant = level.expand(-1, -1, *_positions(module, once))
        boards.append(_pattern(_enlarged(module, constant, channels, once, resize=resize)))
        frequencies, spectrum = _spectrum(_enlarged(module, noise, channels, long, resize=resize), 2 + axis)
        spectra.append(spectrum)
    spikes = [_spikes(spectrum, stride[axis]) for spectrum in spectra]
    return UpsamplingLayer(
        name,
        module.kernel_size,
        stride,
        axis,
        boards[0],
        boards[1],
        spikes[0],
        spikes[1],
        frequencies,
        spectra[0],
        spectra[1],
        (wanted, module.out_channels),
    )


def _reach(module: nn.ConvTranspose2d) -> tuple[int, ...]:
    """Length per axis of what one input position becomes by resize and convolution, the longer of the two ways."""
    settings = zip(module.dilation, module.kernel_size, module.stride, strict=True)
    return tuple(d * (k - 1) + len(_tent(s)) for d, k, s in settings)


def _positions(module: nn.ConvTranspose2d, inner: tuple[int, ...]) -> tuple[int, ...]:
    """Input positions per axis that give `inner` strides of output which no border touches."""
    reach = _reach(module)
    found = tuple(-(-(r - 1) // s) + n for r, s, n in zip(reach, module.stride, inner, strict=True))
    if math.prod(found) * math.prod(reach) > _MOST:
        raise UserError(f"kernel {module.kernel_size} with dilation {module.dilation}: too wide to be measured")
    return found


def _enlarged(
    module: nn.ConvTranspose2d, x: Tensor, channels: list[int], inner: tuple[int, ...], *, resize: bool
) -> Tensor:
    """Some output channels without bias, `inner` strides long per axis, where no border touches them.

    Linear resize and convolution are both linear, so together they too lay down one kernel every `stride` positions:
    the tent convolved with the layer's own. That needs a fraction of the memory of convolving at full resolution.
    """
    starts = [-(-(r - 1) // s) * s for r, s in zip(_reach(module), module.stride, strict=True)]
    part = tuple(slice(a, a + n * s) for a, n, s in zip(starts, inner, module.stride, strict=True))
    reads, makes = module.in_channels // module.groups, module.out_channels // module.groups
    found = []
    for channel in channels:
        group, number = divmod(channel, makes)
        read = slice(group * reads, (group + 1) * reads)
        kernel = _dilated(module.weight.detach()[read, number : number + 1].double().cpu(), module.dilation)
        if resize:
            kernel = _with_tents(kernel, module.stride)
        lay = _TRANSPOSED[len(inner)]
        found.append(lay(x[:, read], kernel, None, module.stride)[(..., *part)])  # pyright: ignore
    return torch.cat(found, 1)


def _dilated(kernel: Tensor, dilation: tuple[int, ...]) -> Tensor:
    """A kernel `(C, 1, *K)` with zeros between its taps."""
    sizes = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[2:], strict=True)]
    wide = kernel.new_zeros(*kernel.shape[:2], *sizes)
    wide[(..., *(slice(None, None, d) for d in dilation))] = kernel
    return wide


def _with_tents(kernel: Tensor, stride: tuple[int, ...]) -> Tensor:
    """A kernel `(C, 1, *K)` convolved with the tent of linear interpolation along every axis."""
    ndim = len(stride)
    for axis, step in enumerate(stride):
        tent = _tent(step).reshape(1, 1, *(-1 if a == axis else 1 for a in range(ndim)))
        kernel = _TRANSPOSED[ndim](kernel, tent)
    return kernel


def _tent(stride: int) -> Tensor:
    """What linear resize by `stride`, half-pixel centers, makes of one position."""
    size = 2 * stride - stride % 2
    at = torch.arange(size, dtype=torch.float64)
    return 1 - (at - (size - 1) / 2).abs() / stride


def _pattern(y: Tensor) -> float:
    """Share of the energy that is not each channel's mean, for one period of the grid."""
    block = y.flatten(2)
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
