"""Read files of any known format: images, labels, headers, masks and annotations.

Every function raises `UserError`, which names the file, if the file is missing, damaged, or of an unknown format, or if
a library that its format needs is not installed. A `reader` reads a file in place of the format that its suffix names.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atrous.data.formats.base import FileFault, Format, Palette, guarded
from atrous.data.formats.colors import code_color, color_code, is_color, require_rgb, single_channel
from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations
from atrous.data.formats.mirrored import MIRRORS, here
from atrous.data.formats.table import format_of, suffix_of
from atrous.data.source import Source
from atrous.data.views import Guarded

_Result = TypeVar("_Result")


def read_image(path: Path | str, reader: Format | None = None) -> np.ndarray:
    """Read the values of an image, `(C, *S)`.

    uint8, uint16 and float32 are kept; other types become float32. Gray gives `C = 1`. A palette is looked up and gives
    `C = 3`. Alpha is dropped. The EXIF rotation of a photograph is applied.

    Raises:
        UserError: the file is missing, damaged, or of an unknown format.
    """
    return _read(path, lambda format_, path: format_.image(path), reader)


def read_header(path: Path | str, reader: Format | None = None) -> Header:
    """Read the shape, the type and the metadata of an image or label file, without decoding its values.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.header(path), reader)


def open_source(path: Path | str, reader: Format | None = None) -> Source:
    """Open an image as a source `(C, *S)`, to read only the parts that are sliced.

    NIfTI, DICOM, `.npy`, `.zarr`, TIFF, maps, EDF, WFDB and videos are decoded in parts. Other formats cannot be, and
    are decoded whole. A video also has `frames(numbers)`, which yields frames one by one.

    Raises:
        UserError: as `read_image`. Slicing raises it too, where damage shows only then.
    """
    path = Path(path)
    source = _read(path, lambda format_, path: format_.source(path), reader)
    return source if isinstance(source, np.ndarray) else _on_slicing(path, source)


def read_pyramid(path: Path | str) -> tuple[Header, ...]:
    """Read the header of each level of a slide, finest first; none for images of one resolution.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.pyramid(path))


def read_level(path: Path | str, level: int) -> np.ndarray:
    """Read the values `(C, H, W)` of a level of a slide; 0 is the finest.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.level_image(path, level))


def open_level(path: Path | str, level: int) -> Source:
    """Open a level of a slide as a source `(C, H, W)`; 0 is the finest.

    Raises:
        UserError: as `open_source`.
    """
    path = Path(path)
    return _on_slicing(path, _read(path, lambda format_, path: format_.level_source(path, level)))


def open_valid(path: Path | str) -> Source | None:
    """Open the mask of an image, `(*S)` bool: true at positions that have data; None if every position has.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    mask = _read(path, lambda format_, path: format_.valid(path))
    return mask if mask is None or isinstance(mask, np.ndarray) else _on_slicing(path, mask)


def image_shape(path: Path | str) -> tuple[int, ...]:
    """Return the shape `(C, *S)` of what `read_image` would return, without decoding the image.

    Raises:
        UserError: as `read_image`.
    """
    return read_header(path).shape


def read_values(path: Path | str, reader: Format | None = None) -> np.ndarray:
    """Read the numbers of a label file, `(*S)`; `(3, *S)` if it stores colors and not class numbers.

    A file with a palette gives its indices, a gray PNG of 1, 2 or 4 bits the stored numbers, an RGB file whose three
    channels are equal everywhere one channel. Whole numbers that are stored as floats become int32.

    Raises:
        UserError: as `read_image`, or the file stores fractions.
    """
    values = _read(path, lambda format_, path: format_.values(path), reader)
    if values.dtype == bool:
        return values.astype(np.uint8)
    return _whole(Path(path), values) if values.dtype.kind == "f" else values


def read_numbers(path: Path | str, reader: Format | None = None) -> np.ndarray:
    """Read the numbers `(K, *S)` float32 that a regression learns, NaN where one is missing.

    They are those of an image file, but for maps: what has no data in a band is NaN, not the mean of the band.

    Raises:
        UserError: as `read_image`, or the file holds none.
    """
    return _read(path, lambda format_, path: format_.numbers(path), reader)


def is_lossy(path: Path | str) -> bool:
    """Return whether the compression of an image file changes its values, as JPEG does, whatever its suffix says.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.is_lossy(path))


def read_words(path: Path | str, reader: Format | None = None) -> np.ndarray | None:
    """Read the labels `(L,)` of a recording as strings; None if they are numbers, which `read_values` reads.

    Raises:
        UserError: as `read_image`, or the file has no labels.
    """
    return _read(path, lambda format_, path: format_.words(path), reader)


def has_label(path: Path | str, reader: Format | None = None) -> bool:
    """Return whether a recording holds a label for each sample.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.has_labels(path), reader)


def has_signals(path: Path | str) -> bool:
    """Return whether a file of a recording holds channels, and not annotations alone (hypnograms in EDF+).

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.has_signals(path))


def is_annotated(path: Path | str, annotator: str) -> bool:
    """Return whether a recording (see `ANNOTATED_SUFFIXES`) has annotations, or could have (EDF+ without any).

    Args:
        path: the recording.
        annotator: suffix of the annotation file of a WFDB record, such as `atr`.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.has_annotations(path, annotator))


def read_annotations(path: Path | str, annotator: str) -> Annotations:
    """Read the annotations of a recording; `annotator` as in `is_annotated`.

    Raises:
        UserError: as `read_image`, or the format holds no annotations.
    """
    return _read(path, lambda format_, path: format_.annotations(path, annotator))


def channel_names(path: Path | str, reader: Format | None = None) -> tuple[str, ...] | None:
    """Return the names of the channels of a recording; None if its format has none.

    Raises:
        UserError: as `read_image`.
    """
    return _read(path, lambda format_, path: format_.channel_names(path), reader)


def read_label(path: Path | str, palette: Palette | None = None) -> np.ndarray:
    """Read a label file as whole numbers `(*S)`, as the file stores them (see `read_values`).

    Args:
        path: the file.
        palette: color of each class. If the file stores colors, they become the numbers of these classes.

    Raises:
        UserError: as `read_values`; or the file stores colors and no palette is given, or a color that is not in it.
    """
    values = read_values(path)
    header = read_header(path)
    if not is_color(values, header):
        return values
    if palette is not None:
        return _classes_of(path, require_rgb(Path(path), values, header), palette)
    gray = single_channel(values)
    if gray is None:
        raise FileFault(path, "stores colors, not class numbers", "give the color of each class as `palette`")
    return gray


def _read(path: Path | str, read: Callable[[Format, Path], _Result], reader: Format | None = None) -> _Result:
    """Call `read` with the format of a file, and turn the errors of its libraries into a `UserError`."""
    path = Path(path)
    with here(path) if MIRRORS else nullcontext():
        format_ = reader or format_of(path)
        if not path.exists():
            if path.is_symlink():
                raise FileFault(path, "a link to a file that is not there", "copy the file itself into the folder")
            raise FileFault(path, "no such file", "check the path")
        return guarded(path, suffix_of(path)[1:], format_.errors, lambda: read(format_, path))


def _whole(path: Path, values: np.ndarray) -> np.ndarray:
    """Return whole numbers that are stored as floats, int32.

    Raises:
        FileFault: some are no whole numbers.
    """
    finite = np.isfinite(values)
    if not finite.all():
        what = f"a label file with {values.size - int(finite.sum())} values that are NaN or infinite"
        raise FileFault(path, what, "save class numbers as whole numbers, and 255 where there is no label")
    wrong = values != np.rint(values)
    if wrong.any():
        what = f"a label file with fractions, such as {float(values[wrong][0]):.6g}"
        raise FileFault(path, what, "save class numbers as whole numbers, without scaling or interpolation")
    most = np.abs(values).max(initial=0)
    if most > np.iinfo(np.int32).max:
        raise FileFault(path, f"a label file with the value {most:g}", "save class numbers as small whole numbers")
    return values.astype(np.int32)


def _on_slicing(path: Path, source: Source) -> Source:
    """Return a source that raises a `UserError` where the library raises an error as it is sliced."""
    with here(path) if MIRRORS else nullcontext():
        errors = format_of(path).errors

    def guard(read: Callable[[], Any]) -> Any:
        with here(path) if MIRRORS else nullcontext():
            return guarded(path, suffix_of(path)[1:], errors, read)

    return Guarded(source, guard)


def _classes_of(path: Path | str, codes: np.ndarray, palette: Palette) -> np.ndarray:
    """Return the class of each color number `(*S)`: its index in the palette."""
    known = np.array([color_code(color) for color in palette])
    order = np.argsort(known)
    slot = np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)
    classes = order[slot]
    wrong = known[classes] != codes
    if wrong.any():
        color = code_color(int(codes[wrong][0]))
        raise FileFault(path, f"color {color} is not in the palette of {len(known)}", "add it, or correct the file")
    return classes.astype(np.uint8 if len(known) <= 256 else np.int32)
