"""The table of file formats: which format reads or writes a file, by its suffix and, where that is not enough, content.

Every format says its own suffixes. A format of yours is a subclass of `Format`, given to `add_format`.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload
from urllib.parse import unquote, urlsplit

from atrous.data.formats.base import FileFault, Format
from atrous.data.formats.columns import CsvFormat
from atrous.data.formats.dicom import DicomFormat
from atrous.data.formats.edf import EdfFormat
from atrous.data.formats.frames import FramesFormat
from atrous.data.formats.geotiff import GeoTiffFormat
from atrous.data.formats.lif import LifFormat
from atrous.data.formats.movie import MovieFormat
from atrous.data.formats.nd2 import Nd2Format
from atrous.data.formats.ngff import OmeZarrFormat
from atrous.data.formats.nifti import NiftiFormat
from atrous.data.formats.npy import NpyFormat
from atrous.data.formats.npz import NpzFormat
from atrous.data.formats.raster import RasterFormat
from atrous.data.formats.slide import SlideFormat
from atrous.data.formats.tiff import TiffFormat
from atrous.data.formats.wfdb_record import WfdbFormat
from atrous.data.formats.zarr_array import ZarrFormat
from atrous.errors import UserError

_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_ONE_SLASH = re.compile(r"^(s3|gs|gcs|az|abfs|https?):/(?!/)", re.IGNORECASE)
_READERS: dict[str, list[Format]] = {}
"""The formats that read files with a suffix; the first that claims a file reads it. "" is for folders."""
_WRITERS: dict[str, Format] = {}
"""The format that writes labels to files with a suffix."""
_PROBABILITY_WRITERS: dict[str, Format] = {}


CONVERT = {
    **dict.fromkeys((".mrxs", ".bif", ".vms"), ("vips copy", "{}.tif[tile,pyramid,bigtiff]")),
    **dict.fromkeys((".czi", ".vsi", ".oib", ".oif", ".oir"), ("bioformats2raw", "{}.ome.zarr")),
}
"""Commands that convert files of scanners and microscopes that are not read, by suffix, and what they write."""


def add_format(format_: Format) -> None:
    """Read and write the suffixes of a format with it from now on.

    It comes before formats that were added earlier: a suffix of theirs is read by the new format, if it claims the file
    (`Format.claims`), and written by the new format. A format for folders without a suffix has no suffixes, and
    `folder = True`.

    Args:
        format_: an object of a subclass of `Format`.
    """
    for suffix in format_.suffixes or ("",):
        _READERS.setdefault(suffix, []).insert(0, format_)
    _WRITERS.update(dict.fromkeys(format_.label_suffixes, format_))
    _PROBABILITY_WRITERS.update(dict.fromkeys(format_.probability_suffixes, format_))


def format_of(path: Path | str) -> Format:
    """Return the format that reads a file or a folder.

    Raises:
        FileFault: no format reads its suffix.

    >>> format_of("ct.nii.gz").name
    'NIfTI'
    """
    path = Path(path)
    format_ = find_format(path)
    if format_ is not None:
        return format_
    require_no_conversion([path])
    suffix = suffix_of(path)
    if any(suffix in reader.part_suffixes for reader in _READERS[""]):
        fix = "give the folder of the series"
    else:
        fix = f"use {' '.join((*SUFFIXES, *SIGNAL_SUFFIXES, *VIDEO_SUFFIXES))}"
    raise FileFault(path, f"{suffix or 'no suffix'} is not a format that is read", fix)


def require_no_conversion(paths: Iterable[Path]) -> None:
    """Raise for the first file that must be converted before it is read.

    Raises:
        FileFault: it is of a scanner or a microscope whose format is not read; the command that converts it is named.
    """
    for path in paths:
        suffix = suffix_of(path)
        if suffix in CONVERT:
            command, written = CONVERT[suffix]
            fix = f"convert it: {command} {shlex.quote(path.name)} {shlex.quote(written.format(path.stem))}"
            raise FileFault(path, f"{suffix} is not a format that is read", fix)


def find_format(path: Path) -> Format | None:
    """Return the format that reads a file or a folder, None if there is none."""
    candidates: Sequence[Format] = _READERS.get(suffix_of(path), ())
    if path.is_dir():
        candidates = [*(format_ for format_ in candidates if format_.folder), *_READERS[""]]
    elif not suffix_of(path):
        return None
    return next((format_ for format_ in candidates if format_.claims(path)), None)


def label_writer(path: Path) -> Format:
    """Return the format that writes labels to a file.

    Raises:
        UserError: labels are not written to files with its suffix.
    """
    return _writer(path, _WRITERS, "labels")


def probability_writer(path: Path) -> Format:
    """Return the format that writes probabilities to a file.

    Raises:
        UserError: probabilities are not written to files with its suffix.
    """
    return _writer(path, _PROBABILITY_WRITERS, "probabilities")


def _writer(path: Path, writers: dict[str, Format], what: str) -> Format:
    suffix = suffix_of(path)
    if suffix not in writers:
        *others, last = writers
        known = f"{', '.join(others)} or {last}"
        raise UserError(f"{path}: {what} are written as {known}, not {suffix or 'without suffix'}")
    return writers[suffix]


def suffix_of(path: Path | str) -> str:
    """Return the suffix of a file in lower case; a suffix of two parts that a format knows, such as `.nii.gz`, whole.

    >>> suffix_of("a/b.NII.gz"), suffix_of("a/b.v1.png"), suffix_of("a")
    ('.nii.gz', '.png', '')
    """
    # Walks ask this of every file of a data set: text is several times as fast as `Path`.
    first, last = os.path.splitext(os.path.basename(str(path).rstrip("/")).lower())
    if last == ".":  # a name that ends in a dot has no suffix
        return ""
    two = os.path.splitext(first)[1] + last
    return two if two != last and (two in _READERS or two in _WRITERS) else last


def is_url(text: object) -> bool:
    """Return whether a text names a place by a URL; `file://` is a path, and none.

    >>> is_url("s3://bucket/a.zarr"), is_url("scans/a.tif"), is_url("file:///scans/a.tif")
    (True, False, False)
    """
    found = _URL.match(str(text))
    return found is not None and found[1].lower() != "file"


def local_path(text: str) -> str:
    """Return the path that a `file://` URL names; any other text as it is.

    Raises:
        UserError: it begins as the URL of an object store, but with one slash.

    >>> local_path("file:///scans/a%20b.tif"), local_path("scans/a.tif")
    ('/scans/a b.tif', 'scans/a.tif')
    """
    if (found := _ONE_SLASH.match(text)) is not None:
        raise UserError(f"{text}: a URL has two slashes after the colon: give {found[1]}://{text[found.end() :]}")
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


def stem(path: Path) -> str:
    """Return the name of a file without its suffix (see `suffix_of`).

    >>> stem(Path("a/b.v1.png")), stem(Path("a/b.nii.gz"))
    ('b.v1', 'b')
    """
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.name


def is_video(path: Path | str) -> bool:
    """Return whether a path is a video: a video file, by its suffix, or a folder of frames.

    A folder that no other format reads counts as a folder of frames.
    """
    path = Path(path)
    if path.is_dir():
        return format_of(path).kind == "video"
    suffix = suffix_of(path)
    return bool(suffix) and any(format_.kind == "video" for format_ in _READERS.get(suffix, ()))


def is_series(path: Path) -> bool:
    """Return whether a folder is one image whose parts lie in several files, such as the slices of a DICOM series."""
    return path.is_dir() and any(format_.part_suffixes and format_.claims(path) for format_ in _READERS[""])


def label_suffix(path: Path | str, ndim: int = 2) -> str:
    """Return the suffix of the file in which the labels of an input are written.

    It is the suffix of the input if its format holds labels; else `.png`, or `.npy` and `.tif` for 1-D and 3-D labels.

    Args:
        path: the input; need not exist.
        ndim: number of its spatial axes.

    >>> label_suffix("ct.nii.gz", 3), label_suffix("a.tiff"), label_suffix("a.jpg"), label_suffix("100.hea", 1)
    ('.nii.gz', '.tiff', '.png', '.atr')
    """
    path = Path(path)
    return (find_format(path) or RasterFormat()).label_suffix(suffix_of(path), ndim)


class Suffixes(Sequence[str]):
    """The suffixes that formats of some kind read, in the order of the table; those of formats added later included."""

    def __init__(self, belongs: Callable[[Format], bool]) -> None:
        self._belongs = belongs

    def _list(self) -> list[str]:
        return [suffix for suffix, formats in _READERS.items() if suffix and any(map(self._belongs, formats))]

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one suffix or several."""
        return self._list()[index]

    def __contains__(self, suffix: object) -> bool:
        return bool(suffix) and any(map(self._belongs, _READERS.get(str(suffix), ())))

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())


SUFFIXES = Suffixes(lambda format_: format_.kind == "image")
"""Suffixes of image and label files that can be read, in lower case."""
SIGNAL_SUFFIXES = Suffixes(lambda format_: format_.kind == "signal")
"""Suffixes of recordings; their labels are in the same file or beside it."""
ANNOTATED_SUFFIXES = Suffixes(lambda format_: format_.annotated)
"""Suffixes of recordings whose labels are annotations: intervals and instants, not one label per sample."""
VIDEO_SUFFIXES = Suffixes(lambda format_: format_.kind == "video")
"""Suffixes of video files; a folder of frames is a video too."""

# Of formats that share a suffix, the later one is asked first whether it claims a file.
for _format in (
    RasterFormat(),
    TiffFormat(),
    GeoTiffFormat(),
    SlideFormat(),
    LifFormat(),
    Nd2Format(),
    NpyFormat(),
    ZarrFormat(),
    OmeZarrFormat(),
    NiftiFormat(),
    FramesFormat(),
    DicomFormat(),
    CsvFormat(),
    NpzFormat(),
    EdfFormat(),
    WfdbFormat(),
    MovieFormat(),
):
    add_format(_format)
