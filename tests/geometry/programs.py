"""Small networks along one axis, their programs, and what every schedule of a program must keep to."""

from functools import cache

import torch.nn.functional as F
from torch import nn

from atrous.geometry.axis import Axis
from atrous.geometry.program import Program, build, full_box
from tests.geometry.truth import followed
from tests.toy_models import Lambda, settled, squeeze_excitation, unet


def _strided(m, x):
    return m.c(F.max_pool1d(m.b(m.a(x)), 3, 2, 1))


def _gated(m, x):
    x = m.a(x)
    return m.b(x * x.mean(2, keepdim=True))


def _skipping(m, x):
    x = m.a(x)
    return m.b(F.avg_pool1d(x, 2)) + x[:, :3, ::2]


def _resized(m, x):
    return m.b(F.interpolate(m.a(x), scale_factor=1.5, mode="linear"))


NETWORKS = {
    "unet": lambda: unet(1),
    "strided": lambda: Lambda(
        _strided, a=nn.Conv1d(2, 4, 5, stride=2), b=nn.Conv1d(4, 4, 3, padding=2, dilation=2), c=nn.Conv1d(4, 3, 2)
    ),
    "gated": lambda: Lambda(_gated, a=nn.Conv1d(2, 4, 3, padding=1), b=nn.Conv1d(4, 3, 3, padding=1)),
    "reflect": lambda: nn.Sequential(nn.Conv1d(2, 4, 5, padding=2, padding_mode="reflect"), nn.Conv1d(4, 3, 3)),
    "skip": lambda: Lambda(_skipping, a=nn.Conv1d(2, 4, 3, padding=1), b=nn.Conv1d(4, 3, 3, padding=1)),
    "resize": lambda: Lambda(_resized, a=nn.Conv1d(2, 4, 3, padding=1), b=nn.Conv1d(4, 3, 3)),
}
PLAIN = [name for name in NETWORKS if name != "gated"]


@cache
def axis_of(name: str, rows: int = 128) -> Axis:
    """The only axis of a network on signals `(2, rows)`."""
    return followed(settled(NETWORKS[name]()), (2, rows))


@cache
def images_of(name: str) -> dict[int, Axis]:
    """Both axes of a network on images `(2, 64, 48)`."""
    network = settled({"unet": lambda: unet(2), "gates": squeeze_excitation}[name]())
    return {0: followed(network, (2, 64, 48), 0), 1: followed(network, (2, 64, 48), 1)}


def program_of(name: str, rows: int = 128, wanted: tuple[int, int] | None = None) -> Program:
    """The program that computes the `wanted` rows of the output, by default all."""
    axis = axis_of(name, rows)
    axes = {0: axis}
    box = full_box(axes, axis.graph.output) if wanted is None else {0: wanted}
    return build(axes, 0, {axis.graph.output: box}, (0,))


def needed(program: Program, op: int, rows: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """The rows of each input that an operator needs for these of its own."""
    ops = program.graph.ops
    return {
        read.input: read.map.need(*rows, ops[read.input].shape[read.dim])
        for read in program.axis.along[op].reads
        if read.input in program.boxes
    }
