"""Objects for other programs, beside their own files: COCO, GeoJSON, ROIs of ImageJ, DOTA, and Parquet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import read_header, read_pyramid, stem
from atrous.data.object_files.found import FoundObjects
from atrous.data.object_files.geojson import write_geojson
from atrous.data.object_files.write import (
    coco_results,
    merge_results,
    parquet,
    pyarrow,
    roifile,
    write_dota,
    write_parquet,
    write_results,
    write_rois,
)
from atrous.errors import UserError
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.output import Output
from atrous.prediction.resolution import open_slide

ENDINGS = {
    "coco": "_objects.json",
    "geojson": "_objects.geojson",
    "imagej": "_rois.zip",
    "dota": "_objects.txt",
    "parquet": "_objects.parquet",
}
"""How the name of the file ends for each value of `--objects`."""
FLAT = ("coco", "geojson", "dota")
"""Those that hold what lies in a plane only."""
MERGED = "coco.json"
"""The COCO file of all inputs, in the output folder."""
NAMELESS = ("object",)
"""Names of the classes where objects have none."""


@dataclass(frozen=True)
class ObjectSource:
    """Where exports take their objects from.

    Attributes:
        output: the output that finds them.
        found: gives them, once they were decoded.
        columns: gives the columns of their table.
        classes: names.
        boxes: whether they are boxes, which DOTA holds.
    """

    output: Output
    found: Callable[[], FoundObjects]
    columns: Callable[[], dict[str, np.ndarray]]
    classes: tuple[str, ...] = NAMELESS
    boxes: bool = False


class ObjectExport(Output):
    """The objects of an input in the format of another program.

    Args:
        kind: "coco", "geojson", "imagej", "dota" or "parquet".
        path: the file.
        source: the objects.
        image: the name of the input in the file.
        slide: the input, where it is one file; objects of a level of a slide lie in GeoJSON in pixels of the finest
            level, as viewers have them.

    Attributes:
        size: of the grid of the objects, once the input was begun.
    """

    def __init__(self, kind: str, path: Path, source: ObjectSource, image: str, slide: Path | None = None) -> None:
        self.paths, self.drawn_from = (path,), source.output
        self.kind, self.image, self._source, self._slide = kind, image, source, slide
        self.size: tuple[int, ...] | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether objects of this input can be written so.

        Raises:
            UserError: the input is no image (of ROIs: nor a volume), or a library is missing.
        """
        self.size, ndim = opened.size, len(opened.size)
        if (self.kind in FLAT and ndim != 2) or (self.kind == "imagej" and ndim == 1):
            raise UserError(f"{self.paths[0]}: --objects {self.kind} is for images: leave it out")
        require_library(self.kind)

    def finish(self) -> None:
        """Write the file."""
        path, source = self.paths[0], self._source
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.kind == "coco":
            write_results(path, coco_results(source.found(), self.image))
        elif self.kind == "geojson":
            levels = () if self._slide is None else read_pyramid(self._slide)
            write_geojson(path, source.found(), source.classes, levels[0].size if levels else None)
        elif self.kind == "imagej":
            write_rois(path, source.found(), source.classes)
        elif self.kind == "dota":
            write_dota(path, source.found(), source.classes)
        else:
            write_parquet(path, source.columns())

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def require_library(kind: str) -> None:
    """Raise unless the libraries for a value of `--objects` are installed.

    Raises:
        UserError: one is not.
    """
    if kind == "imagej":
        _ = roifile.ImagejRoi
    if kind == "parquet":
        _ = pyarrow.table, parquet.write_table


def exports(item: Input, target: Path, source: ObjectSource, kinds: Sequence[str]) -> list[Output]:
    """Return the exports of an input.

    Args:
        item: the input.
        target: its label image.
        source: its objects.
        kinds: values of `--objects`.

    Raises:
        UserError: DOTA is wanted of what are no boxes.
    """
    if "dota" in kinds and not source.boxes:
        raise UserError("--objects dota: it holds boxes, and this network finds none: leave it out")
    image = (item.relative.parent / item.path.name).as_posix()
    slide = item.path if len(item.files) == 1 else None
    return [
        ObjectExport(kind, target.with_name(f"{stem(target)}{ENDINGS[kind]}"), source, image, slide) for kind in kinds
    ]


def merge_coco(
    outputs: Sequence[tuple[Input, Sequence[Output]]],
    folder: Path,
    classes: Sequence[str],
    spacing: Sequence[float] = (),
) -> Path | None:
    """Write the COCO results of all inputs into one COCO file.

    Args:
        outputs: the inputs with their outputs.
        folder: the output folder.
        classes: names.
        spacing: of the training data, which says the level at which a slide is read.

    Returns:
        The file; None where no input has results.
    """
    files: dict[str, Path] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for item, written in outputs:
        for output in written:
            if isinstance(output, ObjectExport) and output.kind == "coco" and output.paths[0].exists():
                files[output.image] = output.paths[0]
                sizes[output.image] = output.size or _size(item, spacing)
    if not files:
        return None
    merge_results(folder / MERGED, files, sizes, classes or NAMELESS)
    return folder / MERGED


def _size(item: Input, spacing: Sequence[float]) -> tuple[int, ...]:
    """Height and width of the grid of an input whose objects were written before."""
    levels = read_pyramid(item.path) if len(item.files) == 1 else ()
    header = open_slide(item.path, levels, spacing)[1] if levels else read_header(item.path)
    return header.size[-2:]  # the pages of a TIFF may be channels


def parse_kinds(given: str | None) -> tuple[str, ...]:
    """Return the values of `--objects`, which commas divide.

    Raises:
        UserError: one is not known.

    >>> parse_kinds("coco,parquet"), parse_kinds(None)
    (('coco', 'parquet'), ())
    """
    kinds = tuple(dict.fromkeys(part.strip() for part in (given or "").split(",") if part.strip()))
    for kind in kinds:
        if kind not in ENDINGS:
            raise UserError(f"--objects {kind}: choose of {', '.join(ENDINGS)}")
    return kinds
