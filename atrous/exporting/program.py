"""A pipeline exported by `torch.export` for a batch of any length and inputs of any size, or of one size."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.exporting.pipeline import Pipeline
from atrous.geometry.exportable import exporting, one_line
from atrous.geometry.graph import EXPORTING
from atrous.nn.padding import PadsItself, pad_input, padding_rule
from atrous.nn.patched import other_forward

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""Names of the spatial axes, by their number."""
GROWN = (1, 4, 16)
"""What the least size is multiplied by until an export succeeds."""
PERIODS = (5, 7, 9)
"""The example has so many strides and one position along each axis: different numbers, none of them 1."""


@dataclass(frozen=True)
class ExportSizes:
    """Which sizes a file is for.

    Attributes:
        least: smallest size along each axis.
        multiple: the size is a multiple of this along each axis.
        fixed: the only size; None for any size from `least` on.

    >>> ExportSizes((33, 33), (1, 1)).text(), ExportSizes((256, 256), (1, 1), (256, 256)).text()
    ('any size from 33 x 33', 'the size 256 x 256 only')
    """

    least: tuple[int, ...]
    multiple: tuple[int, ...]
    fixed: tuple[int, ...] | None = None

    def text(self) -> str:
        """Return the sizes in words."""
        if self.fixed is not None:
            return f"the size {_times(self.fixed)} only"
        multiples = "" if max(self.multiple) == 1 else f", multiples of {_times(self.multiple)}"
        return f"any size from {_times(self.least)}{multiples}"


class NotAnySize(UserError):
    """A network cannot be exported for every size from the least one on."""


def export_from_least(pipeline: Pipeline, channels: int, sizes: ExportSizes) -> tuple[ExportedProgram, ExportSizes]:
    """Export a pipeline, for larger sizes alone where a layer needs them, and return the sizes too.

    A dilated layer, for example, asks for an input that is longer than its dilation.

    Raises:
        UserError: as `export_program`.
    """
    refused: NotAnySize | None = None
    for factor in GROWN:
        least = tuple(-(-factor * n // m) * m for n, m in zip(sizes.least, sizes.multiple, strict=True))
        larger = replace(sizes, least=least)
        try:
            return export_program(pipeline, channels, larger), larger
        except NotAnySize as error:
            refused = refused or error
    assert refused is not None
    raise refused


def export_program(pipeline: Pipeline, channels: int, sizes: ExportSizes) -> ExportedProgram:
    """Export a pipeline for a batch of any length and the given sizes.

    Args:
        pipeline: the network with all that belongs to it.
        channels: of the input.
        sizes: which sizes the program is for.

    Raises:
        UserError: the network's operators cannot be followed, or a layer needs the size as a number.

    >>> from atrous.exporting.pipeline import answers_of
    >>> pipeline = Pipeline(nn.Conv1d(1, 2, 3, padding=1), answers_of(None))
    >>> program = export_program(pipeline, 1, ExportSizes((3,), (1,)))
    >>> program.module()(torch.zeros(4, 1, 70))["output"].shape
    torch.Size([4, 2, 70])
    """
    names = AXES[len(sizes.least)]
    shapes: dict[int, object] = {0: Dim("batch")}
    if sizes.fixed is not None:
        size = sizes.fixed
    else:
        size = tuple(_example(*axis) for axis in zip(sizes.least, sizes.multiple, PERIODS, strict=False))
        for axis, (name, least, multiple) in enumerate(zip(names, sizes.least, sizes.multiple, strict=True), 2):
            dim = Dim(name if multiple == 1 else f"{name}_steps", min=-(-least // multiple))
            shapes[axis] = dim if multiple == 1 else multiple * dim
    example = torch.zeros(2, channels, *size)
    network, named = pipeline.network, type(pipeline.network).__name__
    with (
        EXPORTING,
        exporting(network, (channels, *size)),
        other_forward(_same_padded(network), _padded),
        other_forward([module for module in network.modules() if type(module) is nn.MaxPool1d], _pooled),
        _watched(network) as watch,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                return torch.export.export(pipeline, (example,), dynamic_shapes=(shapes,), strict=False)
        except UserError:
            raise
        except Exception as error:  # torch.export raises many types
            if sizes.fixed is not None:
                raise
            where = watch.place()
            raise NotAnySize(
                f"{named}: {f'{where}: ' if where else ''}cannot be exported for inputs of any size "
                f"({one_line(error)}): give --size to export it for one size"
            ) from error


def _same_padded(network: nn.Module) -> list[nn.Module]:
    """Layers of other libraries that compute their padding in floating-point numbers, which symbols cannot follow."""
    return [
        module
        for module in network.modules()
        if not isinstance(module, PadsItself) and padding_rule(module) is not None
    ]


def _padded(conv: Any, x: torch.Tensor) -> torch.Tensor:
    """The same convolution, whose padding is computed in whole numbers."""
    rule = padding_rule(conv)
    assert rule is not None
    return F.conv2d(pad_input(rule, x), conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


def _pooled(pool: Any, x: torch.Tensor) -> torch.Tensor:
    """A 1-D max pool of `(N, C, L)` as a 2-D one: torch's own compares the size with numbers."""
    kernel, stride, padding, dilation = (
        _first(value) for value in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    )
    return F.max_pool2d(x.unsqueeze(-1), (kernel, 1), (stride, 1), (padding, 0), (dilation, 1), pool.ceil_mode).squeeze(
        -1
    )


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value


def _example(least: int, multiple: int, periods: int) -> int:
    """A size that is a multiple of `multiple`, above `least`, and odd where it may be."""
    size = -(-(periods * max(1, least // 2) + 1) // multiple) * multiple
    return size + 1 if multiple == 1 and size % 2 == 0 else size


class _LayerWatch:
    """Where an export is: the modules that it has entered and not left, and the first one that restricts a size."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.symbols: list[torch.SymInt] = []
        self.restricted = ""
        self.guards = 0

    def place(self) -> str:
        """The module at which the export ended, or that needs a size as a number; "" for none."""
        return self.restricted or (self.entered[-1] if self.entered else "")

    def enter(self, name: str, x: object) -> None:
        """Note that a module begins with the input `x`; that of the first one has the sizes as symbols."""
        if not self.entered and isinstance(x, torch.Tensor):
            self.symbols = [length for length in x.shape[2:] if isinstance(length, torch.SymInt)]
        self.entered.append(name)

    def leave(self, name: str) -> None:
        """Note that a module ends; the innermost one that restricts a size ends first."""
        self.entered.pop()
        if not self.symbols:
            return
        environment: Any = self.symbols[0].node.shape_env
        guards = environment.guards
        new, self.guards = guards[self.guards :], len(guards)
        fixed = any(length.node.maybe_as_int() is not None for length in self.symbols)
        if not self.restricted and (fixed or any(_restricts(guard.expr) for guard in new)):
            self.restricted = name


def _restricts(condition: Any) -> bool:
    """Whether a condition of `torch.export` holds for some sizes only: an equality, or one with a remainder."""
    kinds = {type(part).__name__ for part in (condition, *condition.atoms(), *condition.args)}
    kinds |= {type(part).__name__ for argument in condition.args for part in argument.args}
    return bool(kinds & {"Equality", "Unequality", "Mod", "PythonMod"})


@contextmanager
def _watched(network: nn.Module) -> Iterator[_LayerWatch]:
    """Follow which module of a network runs, by hooks that are taken away afterwards."""
    watch, handles = _LayerWatch(), []
    for name, module in network.named_modules():
        named = name or type(network).__name__

        def before(module: nn.Module, inputs: Sequence[object], named: str = named) -> None:
            watch.enter(named, inputs[0] if inputs else None)

        def after(module: nn.Module, inputs: object, output: object, named: str = named) -> None:
            watch.leave(named)

        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _times(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
