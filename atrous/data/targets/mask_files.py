"""Files that store labels as pictures: one mask, the masks of a video's frames, or several masks of one image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import (
    FileFault,
    Header,
    frame_files,
    is_color,
    is_lossy,
    read_header,
    read_values,
    require_rgb,
    single_channel,
)
from atrous.data.formats.orient import turn_onto
from atrous.data.pages import turn_header
from atrous.data.targets.frame_masks import clip_values, unlabeled_frames

CITYSCAPES = 1000
"""Values of Cityscapes' `instanceIds` are class * 1000 + number; those below are classes without objects."""


@dataclass(frozen=True)
class MaskFile:
    """A mask: a file of the image's size that stores class numbers or colors.

    Attributes:
        path: the mask.
        image: the image's file; a volume stored in other directions is turned onto its voxels.
        objects: how values number objects (`Description.objects`); None where they are class numbers.
        pages: as `FileImage.pages`: with "z" the first axis of an array is that of slices, not of colors.
    """

    path: Path
    image: Path
    objects: int | None = None
    pages: str | None = None

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return turn_header(read_header(self.path), self.pages)

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`."""
        values, header = read_values(self.path), self.header()
        if is_color(values, header) and header.kind == "volume":
            what = f"a mask of {header.channels} channels"
            raise FileFault(self.path, what, "save class numbers in one channel: np.argmax, if each is a class")
        if is_color(values, header):
            return _numbers_or_colors(self.path, values, header, color_expected)
        if self.pages == "z" and values.ndim == 3 and values.shape != header.size:
            fix = "store them first, in images too: np.moveaxis(array, -1, 0)"
            raise FileFault(self.path, f"its slices are along the last axis of {values.shape}", fix)
        placed = header.affine is not None or header.map is not None
        turn = turn_onto(header, read_header(self.image), values.shape) if placed else None
        values = values if turn is None else turn(values)
        if self.objects is None:
            return values, False
        return classes_of(values, self.objects), False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: a mask says something of every position."""


@dataclass(frozen=True)
class FrameMasks:
    """The masks of a video: a folder with a file for each frame, or for some of them.

    Attributes:
        path: the folder.
        video: the file or folder of the video.
    """

    path: Path
    video: Path

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return read_header(self.path)

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`: `(T, H, W)`; frames without a mask repeat the nearest one."""
        values, header = clip_values(self.video, self.path), read_header(self.path)
        if is_color(values, header):
            return _numbers_or_colors(self.path, values, header, color_expected)
        return values, False

    def unlabeled(self) -> np.ndarray | None:
        """See `LabelReader.unlabeled`: the frames that have no mask, `(T, 1, 1)`."""
        frames = unlabeled_frames(self.video, self.path)
        return frames[:, None, None] if frames.any() else None


@dataclass(frozen=True)
class MergedMasks:
    """Several masks of one image: one for each of its objects, or one for each class.

    Attributes:
        parts: the masks, all of the image's size.
        numbers: the class of every mask: it covers what is not 0 in the file, and later masks cover earlier ones. None:
            the values of the files are kept, and two files must not have different ones at one position.
    """

    parts: tuple[MaskFile, ...]
    numbers: tuple[int, ...] | None = None

    @property
    def path(self) -> Path:
        """See `LabelReader.path`: the first file."""
        return self.parts[0].path

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file."""
        return tuple(part.path for part in self.parts)

    def header(self) -> Header:
        """See `LabelReader.header`: that of the first file."""
        return self.parts[0].header()

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`.

        Raises:
            FileFault: the files have different sizes, or different values at one position.
        """
        merged, colors = self._part(0, color_expected)
        for place, part in enumerate(self.parts[1:], 1):
            values, colored = self._part(place, color_expected)
            if values.shape != merged.shape:
                sizes = (" x ".join(map(str, array.shape)) for array in (values, merged))
                what = "it is {}, another mask of the same image {}".format(*sizes)
                raise FileFault(part.path, what, "export all masks at the size of the image")
            if colored != colors:
                raise FileFault(part.path, "only some masks of its image store colors", "make them alike")
            if self.numbers is None and (clash := (values != 0) & (merged != 0) & (values != merged)).any():
                one, other = int(values[clash][0]), int(merged[clash][0])
                what = f"it has the value {one} where another mask of the same image has {other}"
                raise FileFault(part.path, what, "give every position one value, or name the one mask by `mask_suffix`")
            merged = np.where(values != 0, values, merged)
        return merged, colors

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: masks say something of every position."""

    def _part(self, place: int, color_expected: bool) -> tuple[np.ndarray, bool]:
        values, colored = self.parts[place].values(color_expected)
        if self.numbers is None:
            return values, colored
        return np.where(values != 0, self.numbers[place], 0).astype(np.min_scalar_type(max(self.numbers))), False


def lossy_file(reader: object) -> Path | None:
    """Return a file of a label reader whose compression changes its values; None if there is none.

    Of the masks of a video the first one is looked at.

    Raises:
        FileFault: a file cannot be read.
    """
    if isinstance(reader, MergedMasks):
        return next((file for file in reader.files if is_lossy(file)), None)
    if isinstance(reader, MaskFile):
        return reader.path if is_lossy(reader.path) else None
    first = frame_files(reader.path)[:1] if isinstance(reader, FrameMasks) else ()
    return next((file for file in first if is_lossy(file)), None)


def classes_of(values: np.ndarray, objects: int) -> np.ndarray:
    """Return the classes in values that number objects, for `objects` of dataset.toml.

    >>> classes_of(np.array([0, 7, 26000, 26003]), 1000).tolist(), classes_of(np.array([0, 7, 9]), 0).tolist()
    ([0, 7, 26, 26], [0, 1, 1])
    """
    if objects == 0:
        return (values != 0).astype(np.uint8)
    classes = values // objects
    return np.where(values < CITYSCAPES, values, classes) if objects == CITYSCAPES else classes


def _numbers_or_colors(path: Path, values: np.ndarray, header: Header, color_expected: bool) -> tuple[np.ndarray, bool]:
    """The values of a file with several channels: gray where the channels are equal, else colors."""
    gray = None if color_expected else single_channel(values)
    return (require_rgb(path, values, header), True) if gray is None else (gray, False)
