"""Run the analyses of `atrous inspect MODEL WHAT`: from the options of the command line to a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from atrous._nd import CONV
from atrous.analysis import (
    AttributionSettings,
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
    transfer,
    upsampling,
    write_meme,
)
from atrous.analysis.grid import grid_of
from atrous.analysis.probe import evaluating, forward, like
from atrous.data.formats import open_source, read_image
from atrous.data.genomes.fasta import is_fasta, open_sequence, sequence_lengths
from atrous.data.preprocess import Wanted, to_channels
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs
from atrous.verbs.network import default_shape


class Result(Protocol):
    """The methods that the result of every analysis has."""

    def text(self) -> str:
        """Return a summary for people."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON."""
        ...

    def draw(self, path: Path | str) -> Path:
        """Draw the result, write the picture to `path` and return the path."""
        ...


@dataclass(frozen=True)
class AnalysisOptions:
    """Options of an analysis, as the command line gives them. Each analysis uses those that apply to it.

    Attributes:
        shape: `(C, *S)` of the input; by default a shape that the network can read.
        output: which tensor to use if the network returns several: an index or a key.
        image: file of the input to explain; for motifs a file or folder of sequences.
        target: output channel to explain; for attribution the most probable class by default.
        region: `[lo, hi)` per axis, in output positions, to explain; the whole output by default.
        method: method of attribution or of motifs.
        layer: name of the module for Grad-CAM, for filters or for transfer.
        antialias: whether equivariance is compared with that of an anti-aliased copy.
        known: motifs to compare with: a file in MEME format or the name of a JASPAR release.
        meme: file to write the motifs to, in MEME format.
        classes: names of the classes.
        at: value of the constant input around which transfer linearizes the network.
    """

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
    at: float | None = None


def analyze(network: nn.Module, what: str, options: AnalysisOptions) -> Result:
    """Run one analysis of a network.

    Args:
        network: the network.
        what: name of the analysis, a key of `ANALYSES`.
        options: options of the analysis.

    Raises:
        UserError: there is no such analysis, or an option that it needs is missing or does not fit.
    """
    if what not in ANALYSES:
        raise UserError(f"{what}: choose from certificate, {', '.join(ANALYSES)}")
    return ANALYSES[what](network, options)


def parse_region(text: str) -> tuple[tuple[int, int], ...]:
    """Return the intervals `[lo, hi)` of output positions that a text names.

    Raises:
        UserError: the text is not of the form "lo:hi,lo:hi".

    >>> parse_region("10:20,0:64")
    ((10, 20), (0, 64))
    """
    region = []
    for side in text.split(","):
        first, _, end = side.partition(":")
        if not (first.isdigit() and end.isdigit()):
            raise UserError(f"--region {text}: give the first position and the end of every axis, as in 10:20,0:64")
        region.append((int(first), int(end)))
    return tuple(region)


def parse_class(text: str, names: Sequence[str]) -> int:
    """Return the number of a class, given its number or its name as text.

    Raises:
        UserError: no class has this name.

    >>> parse_class("2", ()), parse_class("road", ("sky", "road"))
    (2, 1)
    """
    if text.isdigit():
        return int(text)
    if text not in names:
        known = f"choose from {', '.join(names)}" if names else "the network has no class names: give a number"
        raise UserError(f"--class {text}: there is no such class: {known}")
    return list(names).index(text)


def _receptive_field(network: nn.Module, options: AnalysisOptions) -> Result:
    if options.image is not None:
        return receptive_field(network, pictures=_image(network, options.image)[None], output=options.output)
    return receptive_field(network, _roomy(network, options), output=options.output)


def _equivariance(network: nn.Module, options: AnalysisOptions) -> Result:
    shape = options.shape or _any_shape(network)
    against = antialias(network, shape, output=options.output) if options.antialias else None
    return equivariance(network, shape, against=against, strips=options.shape is None, output=options.output)


def _boundary(network: nn.Module, options: AnalysisOptions) -> Result:
    return boundary(network, _roomy(network, options), output=options.output)


def _sharing(network: nn.Module, options: AnalysisOptions) -> Result:
    return sharing(network, options.shape or _any_shape(network), output=options.output)


def _transfer(network: nn.Module, options: AnalysisOptions) -> Result:
    shape = options.shape or _small(network, options)
    return transfer(network, shape, layer=options.layer, at=options.at, output=options.output)


def _attribution(network: nn.Module, options: AnalysisOptions) -> Result:
    if options.image is None:
        raise UserError("attribution explains one input: give its file with --image")
    picture = _image(network, options.image)
    target = options.target
    if target is None:
        target = strongest_class(network, picture, options.region, output=options.output)
    return attribute(
        network,
        picture,
        target=target,
        region=options.region,
        method=options.method,
        baseline=picture.flatten(1).mean(1).reshape(-1, *(1,) * (picture.ndim - 1)),
        settings=AttributionSettings(layer=options.layer),
        output=options.output,
    )


def _motifs(network: nn.Module, options: AnalysisOptions) -> Result:
    if options.image is None:
        raise UserError("motifs are found in sequences: give a file or folder of sequences with --image")
    result = motifs(
        network,
        _sequences(options.image),
        method=options.method,
        targets=None if options.target is None else [options.target],
        classes=options.classes or None,
        output=options.output,
    )
    if options.known is not None:
        from_file = Path(options.known).suffix in (".meme", ".txt")
        result = result.compared(read_meme(options.known) if from_file else jaspar(options.known))
    if options.meme is not None:
        write_meme(options.meme, result.motifs)
    return result


def _sequences(path: Path) -> list[np.ndarray]:
    """Read one-hot sequences `(4, L)` from a FASTA file or a folder of FASTA files, or from files of one-hot arrays."""
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in candidates if is_fasta(file)]
    if files:
        return [np.asarray(open_sequence(file, name)[...]) for file in files for name in sequence_lengths(file)]
    items = find_inputs([path], ndim=1, channels=4)
    return [np.asarray(open_source(item.path)[...], dtype=np.float32) for item in items]


ANALYSES: dict[str, Callable[[nn.Module, AnalysisOptions], Result]] = {
    "receptive-field": _receptive_field,
    "equivariance": _equivariance,
    "boundary": _boundary,
    "sharing": _sharing,
    "upsampling": lambda network, options: upsampling(network),
    "transfer": _transfer,
    "attribution": _attribution,
    "filters": lambda network, options: filters(network, options.layer),
    "motifs": _motifs,
}
"""The analyses by their name on the command line, where there is also `certificate`."""


def _any_shape(network: nn.Module) -> tuple[int, ...]:
    """Return the shape `(C, *S)` that the network states, or one that its first convolution can read."""
    if hasattr(network, "ndim"):
        return default_shape(network)
    modules: list[Any] = list(network.modules())
    for module in modules:
        for ndim, kind in CONV.items():
            if isinstance(module, kind):
                return (module.in_channels, *[512 if ndim < 3 else 128] * ndim)
    return default_shape(network)


def _roomy(network: nn.Module, options: AnalysisOptions) -> tuple[int, ...]:
    """Return the shape of the options, or else a shape with outputs that do not depend on padding."""
    if options.shape is not None:
        return options.shape
    return grid_of(network, _any_shape(network), output=options.output).roomy


def _small(network: nn.Module, options: AnalysisOptions) -> tuple[int, ...]:
    """Return the smallest shape of 32, 64, 128 or 256 positions per axis that the network runs on."""
    import torch

    default = _any_shape(network)
    for size in (32, 64, 128, 256):
        shape = (default[0], *[size] * (len(default) - 1))
        try:
            with evaluating(network), torch.no_grad():
                forward(network, like(network).new_zeros(1, *shape), options.output)
        except UserError:  # too small: the next one
            continue
        return shape
    return default


def _image(network: nn.Module, path: Path) -> Tensor:
    """Read an image as float32 `(C, *S)` with as many channels as the network reads."""
    import torch

    channels = _any_shape(network)[0]
    image = to_channels(read_image(path), Wanted(channels), path)
    return torch.from_numpy(np.asarray(image[...]).astype("float32"))
