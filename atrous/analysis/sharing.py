"""What weight sharing saves: a network compared with locally and fully connected ones of the same shapes."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from atrous.analysis.drawing import COLORS, legend, panels, save
from atrous.analysis.probe import Output
from atrous.errors import UserError
from atrous.geometry.graph import Graph, Op, export_graph
from atrous.geometry.memory import WEIGHTED, macs


@dataclass(frozen=True)
class SharedLayer:
    """Parameters and multiply-adds of one convolution, transposed convolution or linear layer.

    Three layers of the same input and output shapes are compared. The shared one is the network's layer. The locally
    connected one has a kernel and a bias of its own at every position. The fully connected one connects every output
    value to every input value. The locally connected layer takes as many multiply-adds as the shared one: sharing
    weights saves parameters, and locality saves multiply-adds.

    Attributes:
        name: name of the layer's module.
        operator: kind of the operator.
        inputs: shape of its input, without the batch axis.
        outputs: shape of its output, without the batch axis.
        shared: parameters of the shared layer.
        local: parameters of the locally connected layer.
        full: parameters of the fully connected layer.
        macs: multiply-adds of the shared layer.
        full_macs: multiply-adds of the fully connected layer.
    """

    name: str
    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shared: int
    local: int
    full: int
    macs: int
    full_macs: int


@dataclass(frozen=True)
class Sharing:
    """Parameters and multiply-adds of a network with and without weight sharing.

    Attributes:
        network: name of the network's class.
        shape: `(C, *S)` of the input.
        layers: the layers with weights, in the order in which they run.
        parameters: parameters of these layers; a weight that is used several times counts once.
        others: number of the network's other parameters (such as those of norms), which all three networks have.
    """

    network: str
    shape: tuple[int, ...]
    layers: tuple[SharedLayer, ...]
    parameters: int
    others: int

    @property
    def local(self) -> int:
        """Parameters of the layers of the locally connected network."""
        return sum(layer.local for layer in self.layers)

    @property
    def full(self) -> int:
        """Parameters of the layers of the fully connected network."""
        return sum(layer.full for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass of the shared or the locally connected network."""
        return sum(layer.macs for layer in self.layers)

    @property
    def full_macs(self) -> int:
        """Multiply-adds of one forward pass of the fully connected network."""
        return sum(layer.full_macs for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return exact integers, strings and lists for JSON."""
        return {
            "network": self.network,
            "shape": list(self.shape),
            "parameters": self.parameters,
            "others": self.others,
            "local": self.local,
            "full": self.full,
            "macs": self.macs,
            "full_macs": self.full_macs,
            "layers": [asdict(layer) for layer in self.layers],
        }

    def text(self) -> str:
        """Return a table of the three networks."""
        rows = [
            ("shared (this one)", self.parameters, self.macs),
            ("locally connected", self.local, self.macs),
            ("fully connected", self.full, self.full_macs),
        ]
        lines = [f"{self.network} on {self.shape}: {len(self.layers)} layers with weights"]
        lines.append(f"{'':<18} {'parameters':>24} {'multiply-adds':>28}")
        for name, parameters, work in rows:
            times = f"  ({parameters / self.parameters:,.0f} times the parameters)" if name[0] != "s" else ""
            lines.append(f"{name:<18} {parameters:>24,} {work:>28,}{times}")
        lines.append(f"each network has {self.others:,} other parameters (such as those of norms)")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the parameters of every layer in the three networks, on a logarithmic scale."""
        figure, (chart,) = panels(1, 7.5, 3.4)
        x = np.arange(1, len(self.layers) + 1)
        for name, color in zip(("full", "local", "shared"), (COLORS[3], COLORS[1], COLORS[0]), strict=True):
            values = [float(getattr(layer, name)) for layer in self.layers]
            label = {"full": "fully connected", "local": "locally connected", "shared": "shared"}[name]
            chart.plot(x, values, color=color, marker="o", markersize=4, linewidth=1.2, label=label)
        chart.set_yscale("log")
        chart.set_xlabel("layer, in the order of running")
        chart.set_ylabel("parameters")
        legend(chart, loc="upper left", bbox_to_anchor=(1, 1))
        return save(figure, path)


def sharing(network: nn.Module, shape: tuple[int, ...], *, output: Output = None) -> Sharing:
    """Count the parameters and multiply-adds of a network, and of locally and fully connected ones of the same shapes.

    The counts are exact. They follow from the exported graph, so that large inputs need no memory.

    Args:
        network: any module.
        shape: `(C, *S)` of the input.
        output: which tensor to use if the network returns several.

    Raises:
        UserError: the network cannot be exported at this shape, or it has no layer with weights.

    >>> counts = sharing(nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10))
    >>> counts.parameters, counts.local, counts.full
    (224, 22400, 240800)
    >>> counts.macs, counts.full_macs
    (21600, 240000)
    """
    graph = export_graph(network, shape, output=output)
    ops = [op for op in graph.ops if op.kind in WEIGHTED | {"linear"} and _weight(op, graph) is not None]
    if not ops:
        raise UserError(
            f"{type(network).__name__}: has no convolution and no linear layer, so it has no weights to share"
        )
    used = {tensor.data_ptr(): tensor.numel() for op in ops for tensor in _tensors(op, graph)}
    total = sum(parameter.numel() for parameter in network.parameters())
    parameters = sum(used.values())
    layers = tuple(_layer(op, graph) for op in ops)
    return Sharing(type(network).__name__, tuple(shape), layers, parameters, max(0, total - parameters))


def _weight(op: Op, graph: Graph) -> Any:
    """Return the tensor of an operator's weight, or None if the weight is computed."""
    return graph.ops[op.inputs[1]].tensor if len(op.inputs) > 1 else None


def _tensors(op: Op, graph: Graph) -> list[Any]:
    """Return the weight of an operator and, if it has one, the bias."""
    return [tensor for i in op.inputs[1:] if (tensor := graph.ops[i].tensor) is not None]


def _layer(op: Op, graph: Graph) -> SharedLayer:
    """Count the parameters and multiply-adds of one operator."""
    inputs, outputs = graph.ops[op.inputs[0]].shape[1:], op.shape[1:]
    weight, *biases = (tensor.numel() for tensor in _tensors(op, graph))
    bias = sum(biases)
    if op.kind == "linear":  # it acts on the last axis; the others are positions
        positions = kernels = math.prod(outputs[:-1])
    else:
        positions = math.prod(outputs[1:])
        # a convolution has one kernel per output position, a transposed convolution one per input position
        kernels = math.prod(inputs[1:]) if "transpose" in op.kind else positions
    dense = math.prod(inputs) * math.prod(outputs)
    return SharedLayer(
        op.module,
        op.kind,
        inputs,
        outputs,
        weight + bias,
        weight * kernels + bias * positions,
        dense + (math.prod(outputs) if bias else 0),
        macs(op, graph.ops),
        dense,
    )
