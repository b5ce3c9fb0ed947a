"""Edges: what each annotator of an image marked, `(A, *S)` uint8: 1 for an edge, 0 for none, IGNORE where unknown."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from atrous.color import VOID, Palette
from atrous.data.formats import Header
from atrous.data.images import SampleImage
from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.view import View
from atrous.errors import UserError
from atrous.labels import IGNORE

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

COARSEST, MARGIN = 1.35, 0.25
"""Of `Edges.cut`: pixels of the file per pixel of a crop at most, and by how much less than exact a mark may be."""
MOST_MARKED = 0.2
"""A larger share of the pixels is no line, but a mistake."""


@dataclass(frozen=True, eq=False)
class Marked:
    """What was marked in an image.

    Attributes:
        annotators: the edges of each annotator, bool `(*S)` each, of one size.
        unknown: where nothing is known, bool `(*S)`; None where something is known of every position.
        remark: what is worth a warning about how the file is read, and how to fix it; empty if there is nothing.
    """

    annotators: Sequence[np.ndarray]
    unknown: np.ndarray | None = None
    remark: str = ""

    def values(self) -> np.ndarray:
        """Return `(A, *S)` uint8: 1 where an annotator marked an edge, else 0; IGNORE where nothing is known."""
        marks = np.stack(self.annotators).astype(np.uint8)
        if self.unknown is not None:
            marks[:, self.unknown] = IGNORE
        return marks


class EdgeReader(Protocol):
    """Where the edges of a target come from."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def marked(self) -> Marked:
        """Read what was marked."""
        ...


@dataclass(frozen=True)
class Edges(Target):
    """The edges that one or several annotators marked.

    Attributes:
        reader: where they come from.
        image: the image; where its file has no data, nothing is known. None where that is not asked.
    """

    reader: EdgeReader
    image: SampleImage | None = None

    kind: ClassVar[str] = "edges"

    @property
    def path(self) -> Path:
        """See `Target.path`."""
        return self.reader.path

    def read(self) -> np.ndarray:
        """Return what each annotator marked, `(A, *S)` uint8; see `Marked.values`.

        Raises:
            UserError: the file cannot be read, or is none of edges.
        """
        marks = self.reader.marked().values()
        valid = None if self.image is None else self.image.valid()
        return marks if valid is None else self.without(marks, ~np.asarray(valid[...]))

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `marked` counts the pixels that each annotator marked."""
        marked = self.reader.marked()
        marks = marked.values()
        unknown = marks[0] == IGNORE
        if valid is not None and valid.shape == unknown.shape:
            unknown = unknown | ~valid
        return TargetScan(
            Header(marks.shape, "uint8", "array"),
            marks.shape[1:],
            outside=int(np.count_nonzero(unknown)),
            marked=tuple(int(np.count_nonzero((one == 1) & ~unknown)) for one in marks),
            remarks=(marked.remark,) if marked.remark else (),
        )

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield what is wrong with the edges of each image."""
        for one in scans:
            if one.contents is None or one.target is None:
                continue
            file, contents = relative(one.target.path, facts.root), one.contents
            if one.image is not None and one.image.size != contents.size:
                size, other = (" x ".join(map(str, shape)) for shape in (contents.size, one.image.size))
                yield Problem(file, f"it is {size}, its image {other}", "bring both to one size", kind="size")
            for what, fix, kind in cls._doubts(contents):
                yield Problem(file, what, fix, "warning", kind)

    @staticmethod
    def _doubts(contents: TargetScan) -> Iterator[tuple[str, str, str]]:
        """What is odd about the edges of one image: what, how to fix it, and the kind of problem."""
        positions, marked = math.prod(contents.size), contents.marked
        known = positions - contents.outside
        for remark in contents.remarks:
            what, _, fix = remark.partition(": ")
            yield what, fix, "lines"
        if not known:
            yield "nothing is known of any pixel", "remove it", "all unknown"
        elif not any(marked):
            yield "nobody marked an edge", "fine if the image shows none", "no edge"
        elif 0 in marked:
            what = f"annotator {marked.index(0) + 1} of {len(marked)} marked nothing"
            yield what, "leave the annotator out, unless the image shows nothing to some", "empty annotation"
        if known and max(marked) > MOST_MARKED * known:
            what = f"{max(marked) / known:.0%} of its pixels are edges"
            yield what, "mark lines that are one pixel wide", "thick edges"

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how many annotators there are, and how much they marked."""
        known = [one.contents for one in scans if one.contents is not None and one.contents.marked]
        if not known:
            return
        counts = [len(contents.marked) for contents in known]
        people = f"{min(counts)} to {max(counts)} annotators" if min(counts) < max(counts) else f"{counts[0]} annotator"
        people += "s" if min(counts) == max(counts) > 1 else ""
        shares = [sum(one.marked) / len(one.marked) / max(1, math.prod(one.size) - one.outside) for one in known]
        yield f"edges of {people} an image; each marked {np.mean(shares):.2%} of the pixels on average"

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        return "edges of every image"

    @staticmethod
    def grid(values: np.ndarray) -> tuple[int, ...]:
        """See `Target.grid`: the first axis is that of the annotators."""
        return tuple(values.shape[1:])

    @staticmethod
    def crop(values: Any, window: tuple[slice, ...]) -> Any:
        """See `Target.crop`."""
        return values[(slice(None), *window)]

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`.

        Raises:
            UserError: always: lines that are one pixel wide cannot be brought to another grid.
        """
        raise UserError(f"edges are marked on the grid of the image, which is resampled to {tuple(shape)}: set "
                        "input.spacing=[]")  # fmt: skip

    @staticmethod
    def without(values: Any, missing: np.ndarray) -> Any:
        """See `Target.without`."""
        return np.where(missing, np.uint8(IGNORE), values) if values.shape[1:] == missing.shape else values

    @staticmethod
    def counts_for_nothing(values: np.ndarray) -> bool:
        """See `Target.counts_for_nothing`."""
        return bool((values[0] == IGNORE).all())

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the share of the annotators who marked an edge `(1, *crop)` float32, NaN where nothing is known.

        Lines neither vanish nor become thick: they are one to two pixels wide, of the file or of the crop, whichever is
        larger. Between pixels a mark is interpolated, so at a distance d from an upright line it is 1 - d: a pixel of a
        crop whose pixels are s pixels of the file apart (s >= 1) shows an edge where this is at least 1 - s / 2, less
        `MARGIN`, without which diagonal lines had gaps between two pixels. Where s is too large for that, the crop is
        looked at on a finer grid, and a pixel of it is an edge if one of the fine ones is.
        """
        import torch

        from atrous.data.cut import cut_values

        step = float(np.sqrt((view.matrix**2).sum(axis=0)).max())  # pixels of the file per pixel of the crop
        finer = max(1, math.ceil(step / COARSEST))
        near = View(view.index, view.center, view.matrix / finer)
        marks = cut_values(_Equal(values, 1), near, tuple(n * finer for n in crop), "bilinear", border=True)
        marks = (marks >= 1 - max(1.0, step / finer) / 2 - MARGIN).float()
        if finer > 1:
            blocks = marks.view(len(marks), *(size for n in crop for size in (n, finer)))
            marks = blocks.amax(dim=tuple(range(2, 2 * len(crop) + 1, 2)))
        known = cut_values(_Equal(values[:1], 0, 1), view, crop, "nearest", border=False) > 0
        return torch.where(known, marks.mean(dim=0, keepdim=True), torch.nan)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return what each annotator marked `(A, *S)` float32, NaN where nothing is known."""
        import torch

        marks = torch.from_numpy(np.array(values)).float()
        return marks.masked_fill_(marks == IGNORE, torch.nan)

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return the share of the annotators who marked each pixel in gray; unknown ones as void."""
        share = np.rint(255 * (values == 1).mean(axis=0)).astype(np.uint8)
        picture = np.repeat(share[..., None], 3, axis=-1)
        picture[values[0] == IGNORE] = VOID
        return picture


class _Equal:
    """Whether values are one of some numbers, as a source of uint8 that is computed for what is sliced alone."""

    def __init__(self, values: Any, *numbers: int) -> None:
        self._values, self._numbers = values, numbers
        self.shape, self.dtype = tuple(values.shape), np.dtype(np.uint8)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.isin(np.asarray(self._values[key]), self._numbers).astype(np.uint8)
