"""The image of a sample: small objects that say what they are and open themselves."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.channel_files import on_first_grid
from atrous.data.formats import (
    Format,
    Header,
    channel_names,
    is_video,
    open_valid,
    read_header,
    read_image,
    read_level,
    read_pyramid,
)
from atrous.data.pages import turn_header, turn_pages
from atrous.data.preprocess import Wanted, to_channels
from atrous.data.source import AllValid
from atrous.data.views import Gaps


class SampleImage(ABC):
    """What a sample shows; every kind of data has its own class.

    Attributes:
        path: the file that names the image in messages and in what is written.
        channel_names: names of the channels that `load` gives, if known.
    """

    path: Path
    channel_names: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the image is made of."""
        return (self.path,)

    @abstractmethod
    def header(self) -> Header:
        """Return the shape, type and spacing of the image as its files have it, without decoding it.

        Raises:
            UserError: a file cannot be read.
        """

    @abstractmethod
    def load(self) -> Any:
        """Return the values `(C, *S)` that the network is given: uint8, uint16 or float32.

        Raises:
            UserError: a file cannot be read, or its channels are not those that the data set declares.
        """

    def stored(self) -> Any:
        """Return the values `(C, *S)` with the channels of the files, before `load` makes others of them."""
        return self.load()

    def with_channels(self, stored: np.ndarray) -> np.ndarray:
        """Return what `load` makes of the `stored` values."""
        return stored

    def valid(self) -> Any | None:
        """Return where the image has data, `(*S)` bool to be sliced; None where every position has."""
        return None

    def stored_names(self) -> tuple[str, ...]:
        """Return the names that the file itself gives to its channels; none where it names none."""
        return self.channel_names


@dataclass(frozen=True)
class FileImage(SampleImage):
    """An image in one file, or with its channels in several.

    Attributes:
        path: the file, or the folder of a series or of frames.
        more: files that hold further channels of the same image (nnU-Net's `CASE_0001.nii.gz`).
        channels: how many channels the image is brought to when it is loaded; None keeps those of the files.
        pages: how the pages of a TIFF are read, `z` or `channels`; None as the file says (`pages.py`).
        nodata: values that mean "nothing was measured here"; they are read as NaN.
        channel_names: names of the wanted channels, in order. A file that names its channels is searched for them; if
            it has none of them, they are new names of its channels as they come.
        level: of a slide, which level is read; None for the finest, and for images of one resolution.
        renames: whether a recording that has none of these names may be meant: not where another one has them.
        named_by: who says these names, for messages.
        reader: reads the file in place of the format that its suffix names: a table whose columns dataset.toml names.
    """

    path: Path
    more: tuple[Path, ...] = ()
    channels: int | None = None
    pages: str | None = None
    channel_names: tuple[str, ...] = ()
    nodata: tuple[float, ...] = ()
    level: int | None = None
    renames: bool = True
    named_by: str = "dataset.toml says channels ="
    reader: Format | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, that of the first channels first."""
        return (self.path, *self.more)

    def header(self) -> Header:
        """See `SampleImage.header`; the channels of all files are counted."""
        header = read_header(self.path, self.reader) if self.level is None else read_pyramid(self.path)[self.level]
        header = turn_header(header, self.pages)
        more = sum(read_header(path).channels for path in self.more)
        return replace(header, shape=(header.channels + more, *header.size)) if more else header

    def load(self) -> np.ndarray:
        """See `SampleImage.load`: gray becomes color by repetition, color becomes gray by luma weights."""
        return self.with_channels(self.stored())

    def with_channels(self, stored: np.ndarray) -> np.ndarray:
        """See `SampleImage.with_channels`."""
        frames = self.channels is not None and is_video(self.path)
        wanted = Wanted(self.channels, self.channel_names, None, self.renames, self.named_by, True, frames)
        names = self.stored_names() if self.channel_names else ()
        return np.asarray(to_channels(stored, wanted, self.path, names)[...])

    def stored(self) -> np.ndarray:
        """See `SampleImage.stored`; channels in several files are put together."""
        image = self._stored()
        return Gaps(image, self.nodata)[...] if self.nodata else image

    def _stored(self) -> np.ndarray:
        stored = read_image(self.path, self.reader) if self.level is None else read_level(self.path, self.level)
        image = turn_pages(stored, self.pages)
        if not self.more:
            return image
        parts = [image, *(read_image(path) for path in self.more)]
        headers = [read_header(path) for path in self.files]
        return np.concatenate([np.asarray(part) for part in on_first_grid(parts, headers, self.files)])

    def stored_names(self) -> tuple[str, ...]:
        """See `SampleImage.stored_names`; where the channels are in several files, these have no names."""
        return () if self.more else names_of(self.path, self.reader)

    def valid(self) -> Any | None:
        """See `SampleImage.valid`: positions that have data in every file."""
        masks = [mask for path in self.files if (mask := open_valid(path)) is not None]
        return AllValid(masks) if len(masks) > 1 else masks[0] if masks else None


def names_of(path: Path, reader: Format | None = None) -> tuple[str, ...]:
    """Return the names that a file gives to its channels, none where it names none.

    Raises:
        UserError: the file cannot be read.
    """
    return channel_names(path, reader) or read_header(path, reader).names


@dataclass(frozen=True, eq=False)
class ArrayImage(SampleImage):
    """An image in memory.

    Attributes:
        path: what messages call it; there is no such file.
        values: `(C, *S)`.
        spacing: distance between positions along each axis, if known.
        channel_names: names of the channels, if known.
    """

    path: Path
    values: np.ndarray
    spacing: tuple[float, ...] | None = None
    channel_names: tuple[str, ...] = ()

    def header(self) -> Header:
        """See `SampleImage.header`."""
        values = self.load()
        return Header(values.shape, values.dtype.name, "array", spacing=self.spacing, names=self.channel_names)

    def load(self) -> np.ndarray:
        """See `SampleImage.load`: uint8, uint16 and float32 are kept, every other type becomes float32."""
        kept = self.values.dtype in (np.uint8, np.uint16, np.float32)
        return self.values if kept else self.values.astype(np.float32)
