"""What a network does to frequencies: the gain of its layers' kernels, and its own where it is linear."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from atrous.analysis.drawing import COLORS, image, legend, panels, save
from atrous.analysis.impulse import SIZES, NetworkResponse, network_response, nonlinear_reason
from atrous.analysis.linear import ConvolutionKernel, operators
from atrous.analysis.probe import Output
from atrous.analysis.spectrum import kernel_gain
from atrous.analysis.theorem import TheoremCheck, theorem_of
from atrous.errors import UserError

_DRAWN = 4  # layers in a picture at most


@dataclass(frozen=True)
class LayerGain:
    """The gain of one layer's kernels over frequency (see `spectrum.kernel_gain`).

    Attributes:
        name: name of the layer's module.
        operator: "conv2d", "conv_transpose2d", "avg_pool2d" and so on.
        channels: number of input and of output channels.
        kernel: size of the kernel per axis.
        stride: per axis. Frequencies are those before a stride, and after the stride of a transposed convolution.
        dilation: per axis.
        gain: `(*F)` in the order of `torch.fft`, at multiples of 1 / F cycles per position.
    """

    name: str
    operator: str
    channels: tuple[int, int]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    gain: np.ndarray

    def text(self) -> str:
        """Return the layer and its gain at frequency 0, at half a cycle per position, and at most, in one line."""
        parts = [f"{self.operator} {self.channels[0]} -> {self.channels[1]}, kernel {self.kernel}"]
        parts += [f"stride {self.stride}"] if max(self.stride) > 1 else []
        parts += [f"dilation {self.dilation}"] if max(self.dilation) > 1 else []
        zero, halves, most = _summary(self.gain)
        return f"{self.name}: {', '.join(parts)}: {zero}, {halves}, {most}"

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON."""
        largest, place = _largest(self.gain)
        return {
            "name": self.name,
            "operator": self.operator,
            "channels": list(self.channels),
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "dilation": list(self.dilation),
            "at_zero": float(self.gain.flat[0]),
            "at_half": [float(line[-1]) for line in along_axes(self.gain)],
            "largest": largest,
            "largest_at": list(place),
            "gain": [line.tolist() for line in along_axes(self.gain)],
        }


@dataclass(frozen=True)
class Transfer:
    """What a network does to frequencies.

    Attributes:
        network: name of the network's class.
        layers: gain of each convolution, transposed convolution and average pool, or of the one that was asked for.
        theorem: the convolution theorem on these layers, by module name (see `convolution_theorem`).
        nonlinear: module and operator, as in "1 (relu)", of each operator that is not linear.
        response: the response of the whole network, if it has one.
        reason: why it has none, or could not be measured.
        at: value of the constant input around which the response is that of small changes; None for a linear network.
    """

    network: str
    layers: tuple[LayerGain, ...]
    theorem: dict[str, TheoremCheck]
    nonlinear: tuple[str, ...]
    response: NetworkResponse | None
    reason: str | None
    at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON; curves run from 0 to 1/2 cycle per position, along each axis."""
        return {
            "network": self.network,
            "layers": [layer.to_dict() for layer in self.layers],
            "theorem": {
                name: {"circular": c.circular, "inside": c.inside, "border": c.border, "reach": [*map(list, c.reach)]}
                for name, c in self.theorem.items()
            },
            "nonlinear": list(self.nonlinear),
            "response": None if self.response is None else _response_dict(self.response),
            "reason": self.reason,
            "at": self.at,
        }

    def text(self) -> str:
        """Return one line per layer, and what is known about the whole network."""
        lines = [f"{self.network}: gain of waves in {len(self.layers)} layers (0 removes, 1 keeps)"]
        if self.layers:
            lines.append("layer: gain at frequency 0, at half a cycle per position along each axis, at most and where")
            lines += [layer.text() for layer in self.layers]
        if self.theorem:
            worst = max(check.circular for check in self.theorem.values())
            lines.append(
                "convolution theorem: with circular padding these layers equal products of Fourier transforms, "
                f"error at most {worst:.1e}"
            )
        if len(self.nonlinear) > 0:
            rest = f" and {len(self.nonlinear) - 4} more" if len(self.nonlinear) > 4 else ""
            lines.append(f"not linear: {', '.join(self.nonlinear[:4])}{rest}")
        if self.response is None:
            lines.append(f"whole network: {self.reason}")
        else:
            lines += _response_text(self.response, self.at)
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the gain of the first four layers and of the network: as maps in 2-D, else as curves along each axis."""
        maps = [(f"{layer.name}: {layer.operator}", layer.gain) for layer in self.layers[:_DRAWN]]
        if self.response is not None:
            maps.append(
                ("network" if self.at is None else f"network, small changes\naround {self.at:g}", self.response.gain)
            )
            if self.response.images.max() > 1e-9:
                maps.append(("network, images:\nwaves of other frequencies", self.response.images))
        two = maps[0][1].ndim == 2
        columns = min(3, len(maps))
        figure, charts = panels(len(maps), 3.4 if two else 4.4, 3.3 if two else 2.9, columns)
        for chart, (title, gain) in zip(charts, maps, strict=True):
            chart.set_title(title)
            (_draw_map if two else _draw_curves)(figure, chart, gain)
        return save(figure, path)


def transfer(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    layer: str | None = None,
    at: float | None = None,
    output: Output = None,
    seed: int = 0,
) -> Transfer:
    """Measure what a network does to waves of every frequency.

    A convolution multiplies each wave by a number, its frequency response. So does a whole network, if every operator
    is linear (convolution, average pooling, batch norm in evaluation mode, interpolation, addition, ...). One with
    strides does so up to images (see `NetworkResponse`). A network with an activation or a max pool has no frequency
    response: what it does to one wave depends on the others. Its layers have one each.

    With `at`, the network is linearized around the input that has this value everywhere. That is what it does to small
    changes of a flat region. Around any other input the slopes of the activations differ from position to position, so
    that there is no frequency response.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`; it is analyzed in evaluation mode.
        shape: `(C, *S)` of an input, only used to analyze the network's graph; a small one is enough.
        layer: name of the only module whose kernels are analyzed; all by default.
        at: value of a constant input, in the units that the network reads, around which it is linearized.
        output: which tensor counts if the network returns several.
        seed: random seed of the inputs for the checks.

    Raises:
        UserError: the network cannot be exported at this shape, there is no such layer, or the network has neither
            layers with kernels nor a frequency response.

    >>> result = transfer(nn.Sequential(nn.AvgPool1d(2, stride=1), nn.ReLU()), (1, 16))
    >>> result.nonlinear, result.response, result.layers[0].gain[[0, 128]].round(6).tolist()
    (('1 (relu)',), None, [1.0, 0.0])
    """
    name = type(network).__name__
    found = operators(network, shape, output=output)
    kernels = tuple(k for k in found.kernels if layer is None or k.name == layer)
    if layer is not None and not kernels:
        known = ", ".join(dict.fromkeys(k.name for k in found.kernels[:8])) or "the network has none"
        raise UserError(f"layer {layer!r}: no convolution or average pool has this name: choose from {known}")
    response, reason = None, None
    if layer is not None:
        reason = "not measured, since one layer was asked for"
    elif found.nonlinear and at is None:
        reason = nonlinear_reason(name, found.nonlinear)
    else:
        try:
            response = network_response(network, shape, at=at, output=output, seed=seed)
        except UserError as error:
            reason = str(error)
    if not kernels and response is None:
        raise UserError(f"{reason}; there is no convolution or average pool either")
    layers = tuple(_layer_gain(kernel) for kernel in kernels)
    return Transfer(name, layers, theorem_of(kernels, seed), found.nonlinear, response, reason, at)


def _layer_gain(kernel: ConvolutionKernel) -> LayerGain:
    gain = kernel_gain(kernel, SIZES[len(kernel.size)]).numpy()
    return LayerGain(kernel.name, kernel.operator, kernel.channels, kernel.size, kernel.stride, kernel.dilation, gain)


def along_axes(gain: np.ndarray) -> list[np.ndarray]:
    """Return a gain `(*F)` along each axis, from frequency 0 to 1/2, the other frequencies being 0.

    >>> [line.tolist() for line in along_axes(np.array([[1, 2, 3, 2], [4, 5, 6, 7]]))]
    [[1, 4], [1, 2, 3]]
    """
    return [np.moveaxis(gain, axis, 0).reshape(len_, -1)[: len_ // 2 + 1, 0] for axis, len_ in enumerate(gain.shape)]


def _largest(gain: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Return the largest gain and its frequency, in cycles per position (signs left out)."""
    place = np.unravel_index(int(gain.argmax()), gain.shape)
    return float(gain.max()), tuple(min(i, n - i) / n for i, n in zip(map(int, place), gain.shape, strict=True))


def _numbers(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"


def _summary(gain: np.ndarray) -> tuple[str, str, str]:
    """Return as text the gain at frequency 0, at 1/2 along each axis, and at most with its frequency."""
    largest, place = _largest(gain)
    values = [float(gain.flat[0]), *(float(line[-1]) for line in along_axes(gain))]
    zero, *halves = [f"{value:.3g}" if value > 1e-7 * largest else "0" for value in values]
    return zero, " and ".join(halves), f"{largest:.3g} at {_numbers(place)}"


def _response_dict(response: NetworkResponse) -> dict[str, Any]:
    gain, images = response.gain, response.images
    return {
        "stride": list(response.stride),
        "period": list(response.period),
        "time_varying": response.time_varying,
        "at_zero": float(gain.flat[0]),
        "largest": _largest(gain)[0],
        "largest_at": list(_largest(gain)[1]),
        "largest_image": float(images.max()),
        "gain": [line.tolist() for line in along_axes(gain)],
        "images": [line.tolist() for line in along_axes(images)],
        "linear_error": response.linear_error,
        "shift_error": response.shift_error,
    }


def _response_text(response: NetworkResponse, at: float | None) -> list[str]:
    what = "linear" if at is None else f"linearized around the constant {at:g}"
    images = response.images
    zero, halves, most = _summary(response.gain)
    lines = [f"whole network, {what} (error {response.linear_error:.1e}): {zero}, {halves}, {most}"]
    if response.time_varying:
        lines.append(
            f"period {response.period}: only shifts of the input by multiples of it shift the output "
            f"(error {response.shift_error:.1e})"
        )
    if max(response.stride) > 1:
        lines.append(
            f"stride {_numbers(response.stride)}: input frequencies that differ by a multiple of 1 / stride come out "
            "as the same frequency (aliasing)"
        )
    if images.max() > 1e-9:
        lines.append(
            f"images: waves of other frequencies come out with a gain of at most {images.max():.3g}, "
            f"for an input at {_numbers(_largest(images)[1])}; {images.flat[0]:.3g} for a constant (checkerboard)"
        )
    return lines


def _draw_map(figure: Figure, chart: Axes, gain: np.ndarray) -> None:
    """Draw a gain `(F, F)` with frequency 0 in the middle."""
    drawn = image(chart, np.fft.fftshift(gain))
    edges = [frequency for n in gain.shape for frequency in (-0.5 - 0.5 / n, 0.5 - 0.5 / n)]
    drawn.set_extent((edges[2], edges[3], edges[1], edges[0]))
    chart.set_xlabel("cycles per position, axis 1")
    chart.set_ylabel("axis 0")
    chart.set_xticks([-0.5, -0.25, 0, 0.25])
    chart.set_yticks([-0.5, -0.25, 0, 0.25])
    bar = figure.colorbar(drawn, ax=chart, shrink=0.8)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8, length=0)


def _draw_curves(figure: Figure, chart: Axes, gain: np.ndarray) -> None:
    """Draw a gain along each axis."""
    lines = along_axes(gain)
    for axis, (line, color) in enumerate(zip(lines, COLORS, strict=False)):
        chart.plot(np.linspace(0, 0.5, len(line)), line, color=color, label=f"axis {axis}")
    chart.set_ylim(bottom=0)
    chart.set_xlabel("cycles per position")
    chart.set_ylabel("gain")
    if len(lines) > 1:
        legend(chart)
