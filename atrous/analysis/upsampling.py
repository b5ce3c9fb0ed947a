"""Upsampling: checkerboard patterns of transposed convolutions, compared with a resize and a convolution."""

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
from atrous.geometry.exportable import require_weights

_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_ALONG = {1: 512, 2: 32, 3: 16}  # length of the output of which a spectrum is computed, in strides, by number of axes
_CHANNELS = 16  # output channels that are measured at most
_MOST = 2**28  # largest product of input positions and kernel positions


@dataclass(frozen=True)
class UpsamplingLayer:
    """One transposed convolution, compared with a linear resize followed by a convolution with the same kernel.

    Two inputs are used. When every input channel is constant, the output should be constant too: what is not is a
    checkerboard. When the input is noise that went through a ReLU, a checkerboard shows in the output's power spectrum
    as spikes at multiples of the frequency 1 / stride.

    Attributes:
        name: name of the layer's module.
        kernel: size of the kernel per axis.
        stride: stride per axis.
        axis: the axis with the largest stride, along which the spectra are computed.
        checkerboard: share of the output's energy that is not its mean, for a constant input; 0 if there is no pattern.
        checkerboard_resized: the same for resize and convolution.
        spikes: mean power at multiples of 1 / stride divided by the mean power around them; 1 if there is no spike.
        spikes_resized: the same for resize and convolution.
        frequencies: `(F,)` in cycles per output position.
        spectrum: `(F,)` power of the output at these frequencies, scaled to sum to 1.
        spectrum_resized: the same for resize and convolution.
        channels: how many output channels were measured, evenly spread, and how many there are.
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
    """The transposed convolutions of a network.

    Attributes:
        network: name of the network's class.
        layers: one entry per transposed convolution that has a stride.
        adjoint: adjointness error of every convolution and transposed convolution, by module name (see `adjointness`).
    """

    network: str
    layers: tuple[UpsamplingLayer, ...]
    adjoint: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON."""
        layers = []
        for layer in self.layers:
            facts: dict[str, Any] = dict(vars(layer))
            for name, value in facts.items():
                facts[name] = value.tolist() if isinstance(value, np.ndarray) else value
            layers.append({**facts, "kernel": list(layer.kernel), "stride": list(layer.stride)})
        return {"network": self.network, "layers": layers, "adjoint": self.adjoint}

    def text(self) -> str:
        """Return one line per transposed convolution, and the largest adjointness error."""
        lines = [f"{self.network}: {len(self.layers)} transposed convolutions with a stride"]
        for x in self.layers:
            divides = all(k % s == 0 for k, s in zip(x.kernel, x.stride, strict=True))
            fit = "divides it" if divides else "does not divide it"
            lines.append(
                f"{x.name or 'layer'}: kernel {x.kernel}, stride {x.stride} ({fit}): "
                f"checkerboard {100 * x.checkerboard:.3g} % of a constant's energy "
                f"(resize + convolution {100 * x.checkerboard_resized:.3g} %); "
                f"on noise, spikes of {x.spikes:.1f} times the power around them ({x.spikes_resized:.1f})"
                + (f"; {x.channels[0]} of {x.channels[1]} output channels" if x.channels[0] < x.channels[1] else "")
            )
        if self.adjoint:
            worst = max(self.adjoint, key=lambda name: self.adjoint[name])
            lines.append(
                f"adjointness of {len(self.adjoint)} convolutions: error at most {self.adjoint[worst]:.1e} ({worst})"
            )
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the two spectra of the first four transposed convolutions, one chart each.

        Raises:
            UserError: the network has no transposed convolution with a stride.
        """
        if not self.layers:
            raise UserError(
                f"{self.network}: has no transposed convolution with a stride, so there is no spectrum to draw"
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
    """Measure the checkerboard of every strided transposed convolution, and the adjointness of every convolution.

    A transposed convolution adds its kernel to the output at every `stride` positions, weighted by the input. If the
    kernel's size is not a multiple of the stride, output positions get different numbers of summands, and even a
    constant input gives a pattern (Odena, Dumoulin and Olah 2016, "Deconvolution and checkerboard artifacts"). If it is
    a multiple, unequal weights can still give one.

    Each layer runs by itself in float64, on constants and on noise. Both are made positive, like the output of a ReLU.
    Of a layer with more than 16 output channels, 16 are measured.

    Args:
        network: any module.
        samples: number of random inputs per layer.
        seed: random seed of the inputs.

    Raises:
        UserError: a kernel is too wide to be measured.

    >>> result = upsampling(nn.ConvTranspose1d(4, 4, 3, stride=2))
    >>> result.layers[0].checkerboard > 0.001, result.layers[0].checkerboard_resized < 1e-20
    (True, True)
    """
    require_weights(network)
    layers = []
    modules: list[tuple[str, Any]] = list(network.named_modules())
    for name, module in modules:
        if isinstance(module, tuple(CONV_TRANSPOSE.values())) and max(module.stride) > 1:
            layers.append(_measured(name, module, samples, seed))
    return Upsampling(type(network).__name__, tuple(layers), adjointness(network, seed=seed))


def _measured(name: str, module: nn.ConvTranspose2d, samples: int, seed: int) -> UpsamplingLayer:
    """Measure one transposed convolution of any number of axes."""
    generator = torch.Generator().manual_seed(seed)
    ndim, stride = len(module.stride), module.stride
    axis = max(range(ndim), key=lambda a: stride[a])
    one_stride, many_strides = (1,) * ndim, tuple(_ALONG[ndim] if a == axis else 2 for a in range(ndim))
    measured = min(module.out_channels, _CHANNELS)
    channels = [i * module.out_channels // measured for i in range(measured)]
    level = torch.randn(samples, module.in_channels, *one_stride, generator=generator, dtype=torch.float64).abs()
    sizes = _positions(module, many_strides)
    noise = torch.randn(samples, module.in_channels, *sizes, generator=generator, dtype=torch.float64).relu()
    boards, spectra, frequencies = [], [], np.zeros(0)
    for resize in (False, True):
        constant = level.expand(-1, -1, *_positions(module, one_stride))
        boards.append(_pattern(_enlarged(module, constant, channels, one_stride, resize=resize)))
        frequencies, spectrum = _spectrum(_enlarged(module, noise, channels, many_strides, resize=resize), 2 + axis)
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
        (measured, module.out_channels),
    )


def _reach(module: nn.ConvTranspose2d) -> tuple[int, ...]:
    """Return, per axis, how many output positions one input position reaches by resize and convolution."""
    settings = zip(module.dilation, module.kernel_size, module.stride, strict=True)
    return tuple(d * (k - 1) + len(_tent(s)) for d, k, s in settings)


def _positions(module: nn.ConvTranspose2d, inner: tuple[int, ...]) -> tuple[int, ...]:
    """Return, per axis, how many input positions are needed for `inner` strides of output away from the borders."""
    reach = _reach(module)
    sizes = tuple(-(-(r - 1) // s) + n for r, s, n in zip(reach, module.stride, inner, strict=True))
    if math.prod(sizes) * math.prod(reach) > _MOST:
        raise UserError(f"kernel {module.kernel_size} with dilation {module.dilation}: too wide to be measured")
    return sizes


def _enlarged(
    module: nn.ConvTranspose2d, x: Tensor, channels: list[int], inner: tuple[int, ...], *, resize: bool
) -> Tensor:
    """Enlarge x `(N, C_in, *S)` by the transposed convolution or, with `resize`, by resize and convolution.

    Linear resize and convolution are both linear and commute with shifts by whole input positions. Together they are a
    transposed convolution too, whose kernel is the layer's kernel convolved with the tent of linear interpolation. This
    takes much less memory than a convolution at full resolution.

    Args:
        module: the transposed convolution; its bias is left out.
        x: `(N, C_in, *S)`.
        channels: the output channels to compute, K of them.
        inner: how many strides of output to return per axis; they begin where no border of x has an influence.
        resize: whether to compute resize and convolution.

    Returns:
        `(N, K, *S')` with `S' = inner * stride`.
    """
    starts = [-(-(r - 1) // s) * s for r, s in zip(_reach(module), module.stride, strict=True)]
    part = tuple(slice(a, a + n * s) for a, n, s in zip(starts, inner, module.stride, strict=True))
    group_inputs, group_outputs = module.in_channels // module.groups, module.out_channels // module.groups
    outputs = []
    for channel in channels:
        group, number = divmod(channel, group_outputs)
        read = slice(group * group_inputs, (group + 1) * group_inputs)
        kernel = _dilated(module.weight.detach()[read, number : number + 1].double().cpu(), module.dilation)
        if resize:
            kernel = _with_tents(kernel, module.stride)
        transposed = _TRANSPOSED[len(inner)]
        outputs.append(transposed(x[:, read], kernel, None, module.stride)[(..., *part)])  # pyright: ignore
    return torch.cat(outputs, 1)


def _dilated(kernel: Tensor, dilation: tuple[int, ...]) -> Tensor:
    """Return a kernel `(C, 1, *K)` with `dilation - 1` zeros between its taps."""
    sizes = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[2:], strict=True)]
    wide = kernel.new_zeros(*kernel.shape[:2], *sizes)
    wide[(..., *(slice(None, None, d) for d in dilation))] = kernel
    return wide


def _with_tents(kernel: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Return a kernel `(C, 1, *K)` convolved with the tent of linear interpolation along every axis."""
    ndim = len(stride)
    for axis, step in enumerate(stride):
        tent = _tent(step).reshape(1, 1, *(-1 if a == axis else 1 for a in range(ndim)))
        kernel = _TRANSPOSED[ndim](kernel, tent)
    return kernel


def _tent(stride: int) -> Tensor:
    """Return the weights that one position gets from linear resize by `stride` with half-pixel centers: a triangle."""
    size = 2 * stride - stride % 2
    position = torch.arange(size, dtype=torch.float64)
    return 1 - (position - (size - 1) / 2).abs() / stride


def _pattern(y: Tensor) -> float:
    """Return the share of the energy of y `(N, K, *S)` that is not the mean of its channel; y is one period long."""
    block = y.flatten(2)
    total = block.square().sum()
    return float((block - block.mean(-1, keepdim=True)).square().sum() / total) if total > 0 else 0.0


def _spectrum(y: Tensor, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequencies `(F,)` and the power `(F,)` of y `(N, K, *S)` along one axis.

    Each line along the axis has its mean subtracted and is multiplied by a Hann window; the powers of all lines are
    averaged and scaled to sum to 1.
    """
    lines = y.movedim(dim, -1)
    lines = (lines - lines.mean(-1, keepdim=True)) * torch.hann_window(lines.shape[-1], dtype=y.dtype)
    power = torch.fft.rfft(lines, dim=-1).abs().square().flatten(0, -2).mean(0)
    frequencies = torch.fft.rfftfreq(lines.shape[-1])
    return frequencies.numpy(), (power / power.sum().clamp_min(1e-300)).numpy()


def _spikes(power: np.ndarray, stride: int) -> float:
    """Return the mean power at multiples of 1 / stride divided by the mean power around them; 1 means no spike.

    "At" is up to 1 bin away, "around" is 3 to 8 bins away. The largest ratio of all multiples is returned.
    """
    bins = 2 * (len(power) - 1)
    ratios = []
    for k in range(1, stride // 2 + 1):
        center = round(k * bins / stride)
        near = [i for i in range(center - 1, center + 2) if 0 < i < len(power)]
        around = [i for i in range(center - 8, center + 9) if abs(i - center) >= 3 and 0 < i < len(power)]
        ratios.append(float(power[near].mean() / max(power[around].mean(), 1e-300)))
    return max(ratios, default=1.0)
