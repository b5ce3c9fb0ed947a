"""TIFF tags that change what a value or a place means: what is obeyed, and what is refused by its name.

- Orientation (274): the array is turned as viewers turn it, all eight values.
- PhotometricInterpretation (262): WhiteIsZero is inverted; CMYK becomes RGB; Lab, LogLuv, YCbCr that is no JPEG and
  mosaics of a camera are refused. ImageJ marks pictures as WhiteIsZero to show them in inverse, and keeps the values:
  those are read as stored.
- NewSubfileType (254): thumbnails and transparency masks are left out.
- ExtraSamples (338): alpha is dropped; samples without a name are channels.
- SampleFormat (339): numbers that are not real are refused.

Numbers of tags and values are those of TIFF 6.0 and of Adobe's supplements.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Library
from atrous.data.formats.ome import require_beside
from atrous.data.formats.orient import upright
from atrous.data.source import Key, LazySource, Source, Turned

tifffile: Any = Library("tifffile")
ORIENTATION, INK_SET, EXTRA_SAMPLES = 274, 332, 338
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType."""
_WHITE_IS_ZERO, _RGB, _CMYK, _YCBCR = 0, 2, 5, 6
_JPEG = (6, 7, 34892, 33007)
"""Compressions whose decoder turns YCbCr into RGB."""
_APERIO_YCBCR = 33003
"""JPEG 2000 of Aperio's scanners that stores YCbCr, whatever the photometric tag says."""
_REFUSED = {
    8: ("CIE Lab", "save it as RGB"),
    9: ("ICC Lab", "save it as RGB"),
    10: ("ITU Lab", "save it as RGB"),
    32803: ("the raw mosaic of a camera (CFA)", "develop it, and save it as RGB"),
    32844: ("logarithms of luminance (LogL)", "save it as gray, in float32"),
    32845: ("logarithms of color (LogLuv)", "save it as RGB, in float32"),
}


@dataclass(frozen=True)
class Meaning:
    """What the tags of a TIFF say of its values.

    Attributes:
        orientation: value of the orientation tag, 1 where there is none.
        white: the value that stands for black where 0 stands for white, None where 0 is black.
        inks: whether its four samples are cyan, magenta, yellow and black.
        luma: whether its three samples are luma and two color differences (YCbCr), to be turned into RGB.
        color: whether its first samples are red, green and blue.
        alpha: whether its last sample is alpha.
    """

    orientation: int = 1
    white: int | None = None
    inks: bool = False
    luma: bool = False
    color: bool = False
    alpha: bool = False

    def channels(self, stored: int) -> int:
        """Return the number of channels C that are read of a file with so many."""
        return 3 if self.inks else stored - 1 if self.alpha and stored > 1 else stored

    def size(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape `S` as it is shown, of the stored one."""
        turn = upright(self.orientation, len(stored)) if len(stored) > 1 else None
        return stored if turn is None else tuple(stored[axis] for axis in turn.order)

    def view(self, source: Source) -> Source:
        """Return a stored array `(C, *S)` as it is shown: inverted, in RGB, upright; alpha is still there."""
        if self.white is not None:
            source = Inverted(source, self.white)
        if self.inks:
            source = InkColors(source)
        if self.luma:
            source = LumaColors(source)
        turn = upright(self.orientation, len(source.shape)) if len(source.shape) > 2 else None
        return source if turn is None else Turned(source, turn.order, turn.mirrored)


class Inverted(LazySource):
    """A source of whole numbers or bits in which `top` stands for 0: values become `top - value`."""

    def __init__(self, source: Source, top: int) -> None:
        super().__init__(source.shape, source.dtype)
        self._source, self._top = source, top

    def _read(self, key: Key) -> np.ndarray:
        values = np.asarray(self._source[key])
        return ~values if values.dtype == bool else values.dtype.type(self._top) - values


class InkColors(LazySource):
    """A source `(4, *S)` of cyan, magenta, yellow and black, uint8 or uint16, as red, green and blue, `(3, *S)`.

    red = (top - cyan) (top - black) / top, and so on: the conversion without a color profile, as Pillow's.
    """

    def __init__(self, source: Source) -> None:
        super().__init__((3, *source.shape[1:]), source.dtype)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        inks = np.asarray(self._source[(slice(0, 4), *place)])
        top = np.float64(np.iinfo(self.dtype).max)
        light = np.rint((top - inks[:3]) * ((top - inks[3]) / top))
        return light.astype(self.dtype)[channel]


class LumaColors(LazySource):
    """A source `(3, *S)` uint8 of YCbCr as red, green and blue: the full-range matrix of ITU-R BT.601 (JFIF)."""

    def __init__(self, source: Source) -> None:
        super().__init__((3, *source.shape[1:]), source.dtype)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        luma, blue, red = np.asarray(self._source[(slice(0, 3), *place)]).astype(np.float32)
        blue, red = blue - 128, red - 128
        colors = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue])
        return np.clip(np.rint(colors), 0, 255).astype(self.dtype)[channel]


def read_errors() -> Errors:
    """Return what tifffile and its codecs raise of a damaged file: RuntimeErrors of codecs, wrong types of tags."""
    return (
        tifffile.TiffFileError,
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        TypeError,
        AttributeError,
        AssertionError,
    )


def main_series(path: Path, file: Any) -> Any:
    """Return the first series of an open TIFF that is no thumbnail and no mask of transparency, else the first."""
    require_beside(path, file)
    for series in file.series:
        page = series.keyframe
        if page is None or not int(page.subfiletype) & (REDUCED | MASK):
            return series
    return file.series[0]


def unread_sizes(file: Any, chosen: Any) -> tuple[str, ...]:
    """Return the sizes of the other series of an open TIFF that are no thumbnails and no masks of transparency."""
    others = [series for series in file.series if series is not chosen and series.keyframe is not None]
    return tuple(
        " x ".join(map(str, series.shape))
        for series in others
        if not int(series.keyframe.subfiletype) & (REDUCED | MASK)
    )


def read_meaning(path: Path, page: Any) -> Meaning:
    """Return what the tags of a page say of its values.

    Raises:
        FileFault: they say what is not read, such as CIE Lab.
    """
    photometric = int(page.photometric)
    if photometric in _REFUSED:
        what, fix = _REFUSED[photometric]
        raise FileFault(path, f"its values are {what}", fix)
    if page.dtype is None or np.dtype(page.dtype).kind not in "buif":
        kind = "of no type that is known" if page.dtype is None else f"{np.dtype(page.dtype)}"
        raise FileFault(path, f"its values are {kind}, not real numbers", "save real numbers, whole or float32")
    compression, extra = int(page.compression), tuple(int(value) for value in page.extrasamples)
    luma = compression == _APERIO_YCBCR and page.samplesperpixel == 3 and np.dtype(page.dtype) == np.uint8
    if photometric == _YCBCR and compression not in _JPEG and not luma:
        raise FileFault(path, "its colors are YCbCr, and not as JPEG", "save it as RGB")
    orientation = page.tags.valueof(ORIENTATION, 1)
    return Meaning(
        orientation=orientation if isinstance(orientation, int) else 1,
        white=_white(path, page) if photometric == _WHITE_IS_ZERO and not page.is_imagej else None,
        inks=photometric == _CMYK and _has_inks(path, page, compression),
        luma=luma,
        color=photometric in (_RGB, _YCBCR),
        alpha=bool(extra) and extra[-1] in (1, 2),
    )


def _white(path: Path, page: Any) -> int:
    dtype = np.dtype(page.dtype)
    if dtype.kind not in "bu":
        what = f"0 stands for white (WhiteIsZero), and its values are {dtype}: which one is black is not said"
        raise FileFault(path, what, "save it with 0 as black")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    return (1 << bits) - 1


def _has_inks(path: Path, page: Any, compression: int) -> bool:
    """Return whether a separated image is CMYK; other inks are channels without a color."""
    if page.tags.valueof(INK_SET, 1) != 1:
        return False
    dtype = np.dtype(page.dtype)
    if page.samplesperpixel != 4 or dtype.name not in ("uint8", "uint16") or compression in _JPEG:
        what = f"its colors are CMYK in {page.samplesperpixel} samples of {dtype}"
        raise FileFault(path, f"{what}{', as JPEG' if compression in _JPEG else ''}", "save it as RGB")
    return True


def map_white(path: Path) -> int | None:
    """Return `Meaning.white` of a map, whose values GDAL gives as they are stored; None for files that are no TIFF.

    Raises:
        FileFault: the tags say what is not read of maps: turned, a thumbnail first, CMYK, Lab and so on.
    """
    if not path.is_file() or path.suffix.lower() not in (".tif", ".tiff"):
        return None
    status = path.stat()
    return _map_white(path, status.st_mtime_ns, status.st_size)


@lru_cache(4096)
def _map_white(path: Path, _changed: int, _size: int) -> int | None:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        meaning = read_meaning(path, page)
        if upright(meaning.orientation, 2) is not None:
            what = f"a map that is stored turned (orientation {meaning.orientation}): its place on Earth is not certain"
            raise FileFault(path, what, "turn it, and write its georeference anew")
        if meaning.inks:
            raise FileFault(path, "a map whose colors are CMYK", "save it as RGB")
        if int(page.subfiletype) & (REDUCED | MASK):
            raise FileFault(path, "its first page is a thumbnail or a mask, which is what GDAL reads", "save it alone")
        return meaning.white
