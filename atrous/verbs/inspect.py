"""The analyses behind `atrous inspect MODEL WHAT`: from the options of the command line to a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from atrous._nd import CONV
from atrous.analysis import (
    antialias,
    attribute,
    boundary,
    equivariance,
    filters,
    jaspar,
    motifs,
    read_meme,
    receptive_field,
    sharing,
    strongest_class,
    upsampling,
    write_meme,
)
from atrous.analysis.grid import grid_of
from atrous.data.formats import open_source, read_image
from atrous.data.genomes.fasta import is_fasta, open_sequence, sequence_lengths
from atrous.data.images import to_channels
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs
from atrous.verbs.network import default_shape


class Result(Protocol):
    """What every analysis returns."""

    def text(self) -> str:
        """For people."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        ...

    def draw(self, path: Path | str) -> Path:
        """Write a picture."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What the command line said."""

    shape: tuple[int, ...] | None = None
    output: int | str | None = None
    image: Path | None = None
    target: int | None = None
    region: tuple[tuple[int, int], ...] | None = None
    method: str = "integrated"
    layer: str | None = None
    antialias: bool = False
    known: str | None = None
    meme: Path | None = None
    classes: tuple[str, ...] = ()


def analyze(network: nn.Module, what: str, wanted: Wanted) -> Result:
    """Run one analysis.

    Raises:
        UserError: there is no such analysis, or what it needs was not given.
    """
    if what not in ANALYSES:
        raise UserError(f"{what}: choose of certificate, {', '.join(ANALYSES)}")
    return ANALYSES[what](network, wanted)


def parse_region(text: str) -> tuple[tuple[int, int], ...]:
    """Intervals of output positions from text.

    >>> parse_region("10:20,0:64")
    ((10, 20), (0, 64))
    """
    found = []
    for side in text.split(","):
        first, _, end = side.partition(":")
        if not (first.isdigit() and end.isdigit()):
            raise UserError(f"--region {text}: write first position and end per axis, as in 10:20,0:64")
        found.append((int(first), int(end)))
    return tuple(found)


def parse_class(text: str, names: Sequence[str]) -> int:
    """The number of a class from its number or its name.

    >>> parse_class("2", ()), parse_class("road", ("sky", "road"))
    (2, 1)
    """
    if text.isdigit():
        return int(text)
    if text not in names:
        known = f"its classes are {', '.join(names)}" if names else "the network names none: give a number"
        raise UserError(f"--class {text}: there is no such class; {known}")
    return list(names).index(text)


def _receptive_field(network: nn.Module, wanted: Wanted) -> Result:
    if wanted.image is not None:
        return receptive_field(network, pictures=_image(network, wanted.image)[None], output=wanted.output)
    return receptive_field(network, _roomy(network, wanted), output=wanted.output)


def _equivariance(network: nn.Module, wanted: Wanted) -> Result:
    shape = wanted.shape or _any_shape(network)
    against = antialias(network, shape, output=wanted.output) if wanted.antialias else None
    return equivariance(network, shape, against=against, strips=wanted.shape is None, output=wanted.output)


def _boundary(network: nn.Module, wanted: Wanted) -> Result:
    return boundary(network, _roomy(network, wanted), output=wanted.output)


def _sharing(network: nn.Module, wanted: Wanted) -> Result:
    return sharing(network, wanted.shape or _any_shape(network), output=wanted.output)


def _attribution(network: nn.Module, wanted: Wanted) -> Result:
    if wanted.image is None:
        raise UserError("attribution explains one input: give it with --image FILE")
    picture = _image(network, wanted.image)
    target = wanted.target
    if target is None:
        target = strongest_class(network, picture, wanted.region, output=wanted.output)
    return attribute(
        network,
        picture,
        target=target,
        region=wanted.region,
        method=wanted.method,
        baseline=picture.flatten(1).mean(1).reshape(-1, *(1,) * (picture.ndim - 1)),
        layer=wanted.layer,
        output=wanted.output,
    )


def _motifs(network: nn.Module, wanted: Wanted) -> Result:
    if wanted.image is None:
        raise UserError("motifs are found in sequences: give a file or folder of them with --image")
    found = motifs(
        network,
        _sequences(wanted.image),
        method=wanted.method,
        targets=None if wanted.target is None else [wanted.target],
        classes=wanted.classes or None,
        output=wanted.output,
    )
    if wanted.known is not None:
        from_file = Path(wanted.known).suffix in (".meme", ".txt")
        found = found.compared(read_meme(wanted.known) if from_file else jaspar(wanted.known))
    if wanted.meme is not None:
        write_meme(wanted.meme, found.motifs)
    return found


def _sequences(path: Path) -> list[np.ndarray]:
    """Every sequence of a FASTA file, or of a folder of them; else of files that are one-hot already."""
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in inside if is_fasta(file)]
    if files:
        return [np.asarray(open_sequence(file, name)[...]) for file in files for name in sequence_lengths(file)]
    items = find_inputs([path], ndim=1, channels=4)
    return [np.asarray(open_source(item.path)[...], dtype=np.float32) for item in items]


ANALYSES: dict[str, Callable[[nn.Module, Wanted], Result]] = {
    "receptive-field": _receptive_field,
    "equivariance": _equivariance,
    "boundary": _boundary,
    "sharing": _sharing,
    "upsampling": lambda network, wanted: upsampling(network),
    "attribution": _attribution,
    "filters": lambda network, wanted: filters(network, wanted.layer),
    "motifs": _motifs,
}
"""The words that may stand for WHAT, besides `certificate`."""


def _any_shape(network: nn.Module) -> tuple[int, ...]:
    """The shape that the network says it reads, or one that its first convolution can."""
    if hasattr(network, "ndim"):
        return default_shape(network)
    modules: list[Any] = list(network.modules())
    for module in modules:
        for ndim, kind in CONV.items():
            if isinstance(module, kind):
                return (module.in_channels, *[512 if ndim < 3 else 128] * ndim)
    return default_shape(network)


def _roomy(network: nn.Module, wanted: Wanted) -> tuple[int, ...]:
    """The shape asked for, else the least that has outputs free of padding."""
    if wanted.shape is not None:
        return wanted.shape
    return grid_of(network, _any_shape(network), output=wanted.output).roomy


def _image(network: nn.Module, path: Path) -> Tensor:
    import torch

    channels = _any_shape(network)[0]
    return torch.from_numpy(to_channels(read_image(path), channels, path).astype("float32"))
