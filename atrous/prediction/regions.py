"""The values of one input in regions, each a file of its own: what jobs and workers share.

The output of an input is cut into regions by the network and the size of the input alone, so that all processes cut
alike. Each region reads the input that it depends on and no more, and its values are those of the whole input.

Regions lie in a hidden folder beside the labels. A region appears there when it lies on the disk whole. So no two
processes write into one file, one that is killed leaves nothing half, and a region that is there is not computed again,
even if another process has written it.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from atrous.data.formats.npy import create_memmap
from atrous.data.formats.writing import files_identity
from atrous.files import remove, replacing
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.intervals import CutLabels
from atrous.prediction.predictor import Predictor
from atrous.stream.options import Options, Region
from atrous.stream.post import Post, result_like
from atrous.stream.prepare import Prepared
from atrous.stream.source import numpy_dtype
from atrous.stream.stream import stream
from atrous.stream.units import Units, cut_units


@dataclass(frozen=True)
class Regions:
    """The values of one input that several processes compute.

    Attributes:
        opened: the input.
        folder: where the regions lie that are finished.
        ready: the network for this input; None where the input goes through the network whole, as one region.
        units: how its output is cut; None where it is not.
        values: "labels" uint8 `(*S)`, "probabilities" float32 `(K, *S)`, or "both" float32 `(1 + K, *S)`.
    """

    opened: Opened
    folder: Path
    ready: Prepared | None
    units: Units | None
    values: str = "labels"

    def __len__(self) -> int:
        return 1 if self.units is None else len(self.units)

    def region(self, number: int) -> Region:
        """Return a region of the output, on the grid of the network."""
        if self.units is None:
            return tuple(slice(0, int(n)) for n in self.opened.source.shape[1:])
        return self.units.region(number)

    def path(self, number: int) -> Path:
        """Return the file of a region."""
        return self.folder / f"{number:06d}.npy"

    def missing(self) -> list[int]:
        """Return the numbers of the regions that are not finished."""
        return [number for number in range(len(self)) if not self.path(number).exists()]

    def read(self, number: int) -> np.ndarray:
        """Return the values of a finished region."""
        return np.load(self.path(number), mmap_mode="r", allow_pickle=False)


def open_regions(predictor: Predictor, item: Input, opened: Opened, path: Path, values: str = "labels") -> Regions:
    """Cut the output of an input into regions.

    Args:
        predictor: the network.
        item: the input.
        opened: the same, opened.
        path: of its labels; the regions lie beside it.
        values: see `Regions`.

    Raises:
        Refused: the network cannot be cut into regions.
    """
    shape = tuple(int(n) for n in opened.source.shape)
    alone = replace(predictor, memory=None)
    ready = None if alone.whole(shape) else predictor.prepared(shape)
    units = None if ready is None else cut_units(ready)
    facts = (alone.identity(), files_identity(item.files), shape, None if units is None else units.sides, values)
    name = f".{path.name}.regions-{sha256(repr(facts).encode()).hexdigest()[:16]}"
    return Regions(opened, path.with_name(name), ready, units, values)


def compute_region(
    predictor: Predictor, regions: Regions, number: int, barriers: dict[int, Tensor] | None = None
) -> None:
    """Write the file of one region.

    Args:
        predictor: the network.
        regions: of an input.
        number: of the region.
        barriers: what the barriers of the network give on this input; None for a network without any.
    """
    source, part = regions.opened.source, [place.stop - place.start for place in regions.region(number)]
    with replacing(regions.path(number)) as beside:
        out: Any
        if regions.ready is None:
            out = create_memmap(beside, part, np.uint8)
            predictor.write(source, CutLabels(out, regions.opened))
        else:
            post = post_of(predictor, regions.values)
            output = regions.ready.graph.ops[regions.ready.graph.output]
            shape, dtype = result_like(output.shape, predictor.dtype, post, len(part))
            kind = np.uint8 if regions.values == "labels" else numpy_dtype(dtype)
            out = create_memmap(beside, (*shape[: -len(part)], *part), kind)
            asked = options(predictor, post)
            axis = None if regions.units is None or not barriers else regions.units.along
            asked = replace(asked, region=regions.region(number), barriers=barriers, axis=axis)
            stream(regions.ready, predictor.standardized(source), out, asked)
        out.flush()


def post_of(predictor: Predictor, values: str) -> Post:
    """Return what makes the values of a region from the network's output."""
    if values == "both":
        return predictor.labels_and_probabilities
    return predictor.task.decode if values == "labels" else predictor.task.probabilities


def options(predictor: Predictor, post: Post = None) -> Options:
    """Return how the network is streamed over a region."""
    return Options(
        memory=predictor.memory, dtype=predictor.dtype, engine=predictor.engine, post=post, strategy="strips"
    )


def remove_regions(path: Path) -> None:
    """Remove all regions of labels that are complete."""
    for left in path.parent.glob(f".{_escaped(path.name)}.regions-*"):
        remove(left)


def _escaped(name: str) -> str:
    """A name in which no letter has a meaning of its own in a pattern of `glob`."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
