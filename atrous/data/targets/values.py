"""Values: numbers at every position, `(K, *S)` float32, NaN where nothing is known (regression, restoration)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from atrous.color import VOID, Palette
from atrous.data.channel_files import turned_image
from atrous.data.formats import Format, Header, read_header, read_numbers
from atrous.data.formats.orient import turn_onto
from atrous.data.images import SampleImage
from atrous.data.moments import moments
from atrous.data.pages import turn_header, turn_pages
from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it


class ValueReader(Protocol):
    """Where the numbers of a target come from."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def header(self) -> Header:
        """Header of the file."""
        ...

    def values(self) -> np.ndarray:
        """Return the numbers of the whole sample, `(K, *S)`."""
        ...


@dataclass(frozen=True)
class ValueFile:
    """Numbers in an image file: each channel is one output.

    Attributes:
        path: the file.
        image: the file of the image, onto whose grid numbers that are stored in other directions are turned; None
            leaves them as they are.
        pages: as `FileImage.pages`.
    """

    path: Path
    image: Path | None = None
    pages: str | None = None

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return turn_header(read_header(self.path), self.pages)

    def values(self) -> np.ndarray:
        """See `ValueReader.values`: NaN where the file says that it has no data."""
        return turned_onto(turn_pages(read_numbers(self.path), self.pages), self.header(), self.image)


def turned_onto(values: np.ndarray, header: Header, image: Path | None) -> np.ndarray:
    """Return values `(K, *S)` of a file turned onto the grid of an image, where both say how they lie in the world.

    Args:
        values: as the file stores them.
        header: of their file.
        image: file of the image; None where there is none.
    """
    if image is None or (header.affine is None and header.map is None):
        return values
    turn = turn_onto(header, read_header(image), values.shape[1:])
    return values if turn is None else np.asarray(turned_image(values, turn))


@dataclass(frozen=True)
class RecordedValues:
    """A number, or several, for each sample of a recording: columns of a table, or the array `label`.

    Attributes:
        path: the table or array, often the recording itself.
        reader: as `FileImage.reader`.
    """

    path: Path
    reader: Format | None = None

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return Header(self.values().shape, "float32", "signal")

    def values(self) -> np.ndarray:
        """See `ValueReader.values`."""
        return read_numbers(self.path, self.reader)


@dataclass(frozen=True, eq=False)
class ValueArray:
    """Numbers in memory, `(K, *S)`; `path` is what messages call them."""

    path: Path
    array: np.ndarray

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return Header(self.array.shape, self.array.dtype.name, "array")

    def values(self) -> np.ndarray:
        """See `ValueReader.values`."""
        return self.array


@dataclass(frozen=True)
class Values(Target):
    """Numbers at every position.

    Attributes:
        reader: where they come from.
        image: the image; where its file has no data, nothing is known. None where that is not asked.
    """

    reader: ValueReader
    image: SampleImage | None = None

    kind: ClassVar[str] = "values"

    @property
    def path(self) -> Path:
        """See `Target.path`."""
        return self.reader.path

    def read(self) -> np.ndarray:
        """Return values `(K, *S)` float32; infinite ones become NaN, which means that nothing is known."""
        values = self.reader.values().astype(np.float32)
        values = np.where(np.isfinite(values), values, np.float32(np.nan))
        valid = None if self.image is None else self.image.valid()
        return values if valid is None else self.without(values, ~np.asarray(valid[...]))

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `outside` counts the positions of which nothing is known."""
        values = self.read()
        unknown = np.isnan(values).all(axis=0)
        if valid is not None and valid.shape == unknown.shape:
            unknown = unknown | ~valid
        outside = int(np.count_nonzero(unknown))
        return TargetScan(self.reader.header(), values.shape[1:], outside=outside, values=moments(values))

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield the targets of which nothing is known, and those with another number of outputs than most."""
        known = [one for one in scans if one.contents is not None and one.contents.header is not None]
        counts = [one.contents.header.channels for one in known if one.contents and one.contents.header]
        usual = max(set(counts), key=counts.count) if counts else 0
        yield from cls.size_problems(known, facts)
        for one, count in zip(known, counts, strict=True):
            assert one.target is not None
            assert one.contents is not None
            file = relative(one.target.path, facts.root)
            if count != usual:
                what = f"it has {count} values at each position, most targets have {usual}"
                yield Problem(file, what, "export all targets with the same channels", kind="outputs")
            if one.contents.outside == np.prod(one.contents.size):
                yield Problem(file, "nothing is known of any position", "remove it", "warning", "all unknown")

    @classmethod
    def size_problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield the targets that have another size than their images."""
        for one in scans:
            if one.image is None or one.contents is None or one.target is None or one.image.size == one.contents.size:
                continue
            size, other = (" x ".join(map(str, shape)) for shape in (one.contents.size, one.image.size))
            what = f"it is {size}, its image {other}"
            fix = "bring both to one grid, or leave the values out (pairs = false)"
            yield Problem(relative(one.target.path, facts.root), what, fix, kind="size")

    @staticmethod
    def grid(values: np.ndarray) -> tuple[int, ...]:
        """See `Target.grid`: the first axis is that of the outputs."""
        return tuple(values.shape[1:])

    @staticmethod
    def without(values: Any, missing: np.ndarray) -> Any:
        """See `Target.without`: nothing is known there."""
        if values.shape[1:] != missing.shape:
            return values
        return np.where(missing, np.float32(np.nan), values.astype(np.float32))

    @staticmethod
    def crop(values: Any, window: tuple[slice, ...]) -> Any:
        """See `Target.crop`."""
        return values[(slice(None), *window)]

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`: linear; NaN spreads to the positions that are blended with it."""
        from atrous.data.grid import resample

        return resample(values, shape)

    @staticmethod
    def counts_for_nothing(values: np.ndarray) -> bool:
        """See `Target.counts_for_nothing`."""
        return bool(np.isnan(values).all())

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return values `(K, *crop)` float32: linear between positions, NaN outside the sample."""
        import torch

        from atrous.data.cut import cut_values

        inside = cut_values(np.ones((1, *values.shape[1:]), np.uint8), view, crop, "nearest", border=False)
        seen = cut_values(values, view, crop, "bilinear", border=True)
        return torch.where(inside > 0, seen, torch.nan)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return values `(K, *S)` float32."""
        import torch

        return torch.from_numpy(np.array(values, np.float32))

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return the first output in gray, from its least to its greatest value; unknown positions as void."""
        first = np.asarray(values[0], np.float64)
        known = np.isfinite(first)
        low, high = (first[known].min(), first[known].max()) if known.any() else (0.0, 0.0)
        share = np.where(known, (first - low) / (high - low) if high > low else 0.5, 0.0)
        picture = np.repeat(np.rint(255 * share).astype(np.uint8)[..., None], 3, axis=-1)
        picture[~known] = VOID
        return picture
