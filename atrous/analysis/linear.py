"""Which operators of a network are not linear, and the kernels of those that convolve, from the exported graph."""

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from atrous._nd import per_axis
from atrous.analysis.probe import Output
from atrous.geometry.exportable import require_weights
from atrous.geometry.graph import Graph, Op, Ref, export_graph
from atrous.geometry.lower import CONVOLUTIONS, TRANSPOSED, prune

ROUNDING = 1e-5
"""A difference below this share of the values counts as rounding: some networks compute in float32 inside."""

_AVERAGES = {"avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3}
_SCALES = (1.0, 1e4)  # sizes of the random values that an operator is tested with


@dataclass(frozen=True)
class ConvolutionKernel:
    """The kernel of one convolution, transposed convolution or average pool of a network.

    Attributes:
        name: name of the module, with a number in brackets if the module has several kernels.
        operator: "conv2d", "conv_transpose2d", "avg_pool2d" and so on.
        weight: float64 `(K, C / groups, *k)`, of a transposed convolution `(C, K / groups, *k)`. An average pool has
            one kernel of equal weights per channel.
        stride: per axis.
        padding: positions before and after the input, per axis; of a transposed convolution those that are cut off.
        dilation: per axis.
        groups: groups of channels.
    """

    name: str
    operator: str
    weight: Tensor
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def transposed(self) -> bool:
        """Whether this is a transposed convolution."""
        return self.operator in TRANSPOSED

    @property
    def size(self) -> tuple[int, ...]:
        """Number of taps per axis."""
        return tuple(self.weight.shape[2:])

    @property
    def channels(self) -> tuple[int, int]:
        """Number of input and of output channels."""
        first, second = self.weight.shape[0], self.weight.shape[1] * self.groups
        return (first, second) if self.transposed else (second, first)


@dataclass(frozen=True)
class Operators:
    """The kernels of a network, and its operators that are not linear.

    Attributes:
        network: name of the network's class.
        kernels: of convolutions, transposed convolutions and average pools, in the order in which they run.
        nonlinear: module and operator, as in "1 (relu)", of each operator that is not linear; empty if the network is.
    """

    network: str
    kernels: tuple[ConvolutionKernel, ...]
    nonlinear: tuple[str, ...]


def double_copy(network: nn.Module) -> nn.Module:
    """Return a copy of the network in evaluation mode that computes in float64 on the CPU."""
    require_weights(network)
    return copy.deepcopy(network).cpu().double().eval()


def operators(network: nn.Module, shape: tuple[int, ...], *, output: Output = None) -> Operators:
    """Find the kernels of a network, and its operators that are not linear in the network's input, in evaluation mode.

    An operator f of the graph is called linear if it is affine: `f(a x + (1 - a) y) = a f(x) + (1 - a) f(y)`. Biases
    and batch norm with stored statistics are. Each operator is tested by itself in float64, on normal random values of
    two sizes, so that a bend near 0 shows as well as a bound at 100. Convolutions with constant weights need no test.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)` of an input; a small one is enough.
        output: which tensor counts if the network returns several.

    Raises:
        UserError: the network cannot be exported at this shape.

    >>> found = operators(nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2)), (2, 16))
    >>> found.nonlinear, [(kernel.name, kernel.channels, kernel.size) for kernel in found.kernels]
    (('2 (relu)',), [('0', (2, 4), (3,)), ('3', (4, 4), (2,))])
    """
    graph = prune(export_graph(double_copy(network), shape, output=output))
    with torch.no_grad():
        return _Walk(graph).found()


class _Walk:
    """A walk through a graph. `dynamic` holds the values that depend on the input, `values` the other ones."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.dynamic = {0}
        self.values: dict[int, Tensor] = {}
        self.generator = torch.Generator().manual_seed(0)

    def found(self) -> Operators:
        kernels, nonlinear = [], []
        for op in self.graph.ops[1:]:
            if op.tensor is not None:
                self.values[op.index] = op.tensor
            elif not self.dynamic.intersection(op.inputs):
                self.values[op.index] = self._run(op, {})
            else:
                self.dynamic.add(op.index)
                convolves = op.kind in CONVOLUTIONS | TRANSPOSED and not self.dynamic.intersection(op.inputs[1:])
                if convolves or op.kind in _AVERAGES:
                    kernels.append(self._kernel(op))
                if not convolves and not self._is_linear(op):
                    nonlinear.append(f"{op.module or self.graph.network} ({op.kind})")
        return Operators(self.graph.network, _named(kernels), tuple(dict.fromkeys(nonlinear)))

    def _run(self, op: Op, dynamic: dict[int, Tensor]) -> Tensor:
        """Return the value of an operator for these values that depend on the input."""
        known = self.values | dynamic
        args, kwargs = tree_map(lambda a: known[a.index] if isinstance(a, Ref) else a, (op.args, op.kwargs))
        target: Any = op.target
        result = target(*args, **kwargs)
        return result if op.item is None else result[op.item]

    def _is_linear(self, op: Op) -> bool:
        """Whether an operator is affine in those of its arguments that depend on the input, all at once."""
        read = [i for i in op.inputs if i in self.dynamic]
        types = [op.dtype, *(self.graph.ops[i].dtype for i in read)]
        if not all(dtype.is_floating_point or dtype.is_complex for dtype in types):
            return False
        for scale in _SCALES:
            x, y = ({i: scale * self._random(self.graph.ops[i]) for i in read} for _ in range(2))
            mixed = {i: 1.7 * x[i] - 0.7 * y[i] for i in read}
            of_x, of_y = self._run(op, x), self._run(op, y)
            difference = (self._run(op, mixed) - (1.7 * of_x - 0.7 * of_y)).abs().max()
            if not difference <= ROUNDING * torch.maximum(of_x.abs().max(), of_y.abs().max()):  # NaN: not linear
                return False
        return True

    def _random(self, op: Op) -> Tensor:
        return torch.randn(op.shape, generator=self.generator, dtype=op.dtype)

    def _kernel(self, op: Op) -> ConvolutionKernel:
        a, x = op.arguments, self.graph.ops[op.inputs[0]]
        if op.kind in _AVERAGES:
            ndim, groups = _AVERAGES[op.kind], x.shape[-1 - _AVERAGES[op.kind]]
            size = _numbers(a["kernel_size"], ndim)
            share = 1 / (a.get("divisor_override") or math.prod(size))
            weight = torch.full((groups, 1, *size), share, dtype=torch.float64)
            dilation = (1,) * ndim
            stride = _numbers(a["stride"] or size, ndim)
        else:
            weight, groups = self.values[a["weight"].index].double(), a["groups"]
            ndim = weight.ndim - 2
            dilation, stride = _numbers(a["dilation"], ndim), _numbers(a["stride"], ndim)
        if a["padding"] == "same":
            total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
            padding = tuple((t // 2, t - t // 2) for t in total)
        else:
            padding = tuple((p, p) for p in _numbers(0 if a["padding"] == "valid" else a["padding"], ndim))
        name = op.module or self.graph.network
        return ConvolutionKernel(name, op.kind, weight, stride, padding, dilation, groups)


def _named(kernels: list[ConvolutionKernel]) -> tuple[ConvolutionKernel, ...]:
    """Return the kernels, each once, with different names: a module may run several times, or convolve by functions."""
    by_name: dict[str, ConvolutionKernel] = {}
    for kernel in kernels:
        name, number = kernel.name, 1
        while name in by_name and not _same(by_name[name], kernel):
            number += 1
            name = f"{kernel.name} ({number})"
        by_name[name] = dataclasses.replace(kernel, name=name)
    return tuple(by_name.values())


def _same(a: ConvolutionKernel, b: ConvolutionKernel) -> bool:
    settings = [(k.operator, k.size, k.stride, k.padding, k.dilation, k.groups) for k in (a, b)]
    return settings[0] == settings[1] and torch.equal(a.weight, b.weight)


def _numbers(value: Any, ndim: int) -> tuple[int, ...]:
    """Return an argument of an operator as one number per axis; a list of one number stands for all axes."""
    return per_axis(value if isinstance(value, int) else value[0] if len(value) == 1 else value, ndim)
