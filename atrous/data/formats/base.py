"""The base class of all file formats: what a format can do, and what is answered where it cannot.

A format reads images as `(C, *S)` in uint8, uint16 or float32, and labels as `(*S)` with the numbers in the file. A new
format is a subclass, given to `atrous.data.formats.add_format`. Only `header` and `image` must be implemented. The
methods of a format may raise what its libraries raise (`errors`); callers turn that into a `UserError` that names the
file.

Files from elsewhere are not trusted: a few hundred bytes can declare a picture of 60,000 x 60,000 pixels. Formats that
decode a file whole call `require_room` with the shape that it declares; those that read parts call it with the largest
part that is decoded at once, such as a chunk or a strip.
"""

import math
import struct
import unicodedata
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations
from atrous.data.plain_text import why_not_text
from atrous.data.source import Source, Store
from atrous.errors import UserError, without_secrets
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.machine import memory_limit

_Result = TypeVar("_Result")
Errors = tuple[type[BaseException], ...]
"""Exceptions that a library raises when it reads a damaged file."""

DAMAGED = (
    OSError, ValueError, ArithmeticError, MemoryError, SystemError, RecursionError, EOFError, SyntaxError, struct.error,
    zlib.error,
)  # fmt: skip
"""What any library may raise of a damaged file: numbers out of range, sizes below zero, text that is no XML."""

_TEXT = ("csv", "tsv", "vrt", "hea", "edf", "bdf", "atr")
"""Suffixes of files that are text, or that begin with text."""

Palette = Sequence[Sequence[int]]
"""Red, green and blue (0 to 255) of each class."""
Kind = Literal["image", "signal", "video"]
COPIES = 2
"""Arrays of the declared size that are held while a file is decoded: the library's, and the one that is returned."""
ALWAYS = 32 << 20
"""Bytes that are decoded without a look at the limit, which takes longer than decoding a small picture."""
_PARTS = "cut it into smaller files, or save it as a format that is read in parts (.tif, .zarr, .npy, .nii)"


@dataclass(frozen=True)
class FileGeometry:
    """What a file of labels keeps of the file that was labeled, such as its projection or its sampling rate.

    Attributes:
        kind: what can be kept: "map" a projection, "tiff" axes and their physical size, "ome-zarr" the same of a
            pyramid, "slide", "lif" and "nd2" axes and distances, "nifti" an affine and its codes, "dicom" an affine,
            "table" an index column, "edf" and "wfdb" the sampling rate and the start of a recording.
        path: the labeled file. Writers copy details from it.
        affine: `(4, 4)`, from the voxel `(i, j, k, 1)` to millimeters in RAS, where the format knows it.
        factor: what is written lies on a grid that is finer by this factor along each spatial axis (super-resolution):
            distances are divided by it.
    """

    kind: str
    path: Path
    affine: tuple[tuple[float, ...], ...] | None = None
    factor: int = 1


@dataclass(frozen=True)
class LabelDetails:
    """What is written beside the labels themselves, in formats that have a place for it.

    Attributes:
        geometry: what is kept of the labeled file; None if there is none.
        names: of the classes, in label order. Label files of signals hold these words instead of numbers.
        palette: color of each class.
        void: label of positions without data; None if there are none.
    """

    geometry: FileGeometry | None = None
    names: tuple[str, ...] | None = None
    palette: Palette | None = None
    void: int | None = None

    def words(self, labels: np.ndarray) -> np.ndarray:
        """Return labels `(L,)` as the names of their classes, "" for void; as they are if the names are unknown.

        >>> LabelDetails(names=("rest", "move")).words(np.array([1, 255, 0], np.uint8)).tolist()
        ['move', '', 'rest']
        """
        if self.names is None:
            return labels
        return np.array([*self.names, ""])[np.where(labels == IGNORE, len(self.names), labels)]

    def labeled_file(self, kind: str) -> Path | None:
        """Return the labeled file if its geometry is of this kind, else None."""
        return self.geometry.path if self.geometry is not None and self.geometry.kind == kind else None


class Format(ABC):
    """One file format, or a few that one library reads.

    Attributes:
        name: for messages.
        suffixes: of the files that it reads, in lower case, with the dot. Of folders that are no file, none.
        kind: "image" (also volumes and maps), "signal" or "video".
        folder: whether it reads folders.
        annotated: whether the labels of its files are annotations: intervals and instants, not a number per sample.
        label_suffixes: of the label files that it writes.
        probability_suffixes: of the files of probabilities that it writes.
        part_suffixes: of files that cannot be read one by one, since many of them in a folder are one image.
        indexed: whether a palette changes how other programs read the labels: as colors, not as numbers.
        always_on_disk: whether labels are written straight to disk however small they are.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[Kind] = "image"
    folder: ClassVar[bool] = False
    annotated: ClassVar[bool] = False
    label_suffixes: ClassVar[tuple[str, ...]] = ()
    probability_suffixes: ClassVar[tuple[str, ...]] = ()
    part_suffixes: ClassVar[tuple[str, ...]] = ()
    indexed: ClassVar[bool] = False
    always_on_disk: ClassVar[bool] = False

    @property
    def errors(self) -> Errors:
        """Exceptions that its libraries raise when a file is damaged or is of another format."""
        return (OSError, ValueError, MemoryError)

    def claims(self, path: Path) -> bool:
        """Return whether this format reads a file with one of its suffixes; asked where formats share a suffix."""
        return True

    @abstractmethod
    def header(self, path: Path) -> Header:
        """Return shape, type and metadata of an image, without decoding its values."""

    @abstractmethod
    def image(self, path: Path) -> np.ndarray:
        """Return all values of an image, `(C, *S)` in uint8, uint16 or float32."""

    def source(self, path: Path) -> Source:
        """Return an image as a source `(C, *S)`; formats that cannot be decoded in parts decode it whole."""
        return self.image(path)

    def pyramid(self, path: Path) -> tuple[Header, ...]:
        """Return the header of each level of a slide, finest first; none for images of one resolution."""
        return ()

    def level_image(self, path: Path, level: int) -> np.ndarray:
        """Return all values of a level of a slide, as `image` does."""
        raise FileFault(path, f"{self.name} has no levels", "leave the level out")

    def level_source(self, path: Path, level: int) -> Source:
        """Return a level of a slide as a source `(C, H, W)`."""
        raise FileFault(path, f"{self.name} has no levels", "leave the level out")

    def valid(self, path: Path) -> Source | None:
        """Return a mask `(*S)` of the positions that have data; None if every position has."""
        return None

    def values(self, path: Path) -> np.ndarray:
        """Return the numbers of a label file, `(*S)`, or its colors, `(3, *S)`."""
        raise FileFault(path, f"labels are not read from {self.name}", "save them as .png, .tif, .npy or .nii.gz")

    def numbers(self, path: Path) -> np.ndarray:
        """Return the numbers `(K, *S)` float32 that a regression learns, NaN where one is missing."""
        if self.kind != "signal":
            return self.image(path).astype(np.float32)
        raise FileFault(path, f"numbers of samples are not read from {self.name}", "save them as .csv or .npz")

    def is_lossy(self, path: Path) -> bool:
        """Return whether the compression of a file changes its values."""
        return False

    def has_labels(self, path: Path) -> bool:
        """Return whether a recording holds a label for each sample."""
        return False

    def words(self, path: Path) -> np.ndarray | None:
        """Return the labels `(L,)` of a recording as strings; None if they are numbers."""
        return None

    def has_signals(self, path: Path) -> bool:
        """Return whether a file of a recording holds channels, and not annotations alone."""
        return True

    def channel_names(self, path: Path) -> tuple[str, ...] | None:
        """Return the names of a recording's channels; None if the format has none."""
        return None

    def has_annotations(self, path: Path, annotator: str) -> bool:
        """Return whether a recording has annotations, or could have; `annotator` is the suffix of WFDB's file."""
        return False

    def annotations(self, path: Path, annotator: str) -> Annotations:
        """Return the annotations of a recording."""
        raise FileFault(path, f"{self.name} holds no annotations", "give an EDF+ file or a WFDB record")

    def geometry(self, path: Path) -> FileGeometry | None:
        """Return what the labels of this file can keep of it; None for nothing."""
        return None

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """Return the suffix of the file in which labels are written of a file with the suffix `suffix`."""
        return {1: ".npy", 2: ".png", 3: ".tif"}[ndim]

    def why_lost(self, geometry: FileGeometry) -> str | None:
        """Return why label files of this format would lose a geometry that they should keep; None if they do not."""
        return None

    def write_labels(self, path: Path, labels: Source, details: LabelDetails) -> None:
        """Write labels `(*S)` of whole numbers; a crash leaves no half-written file.

        Raises:
            UserError: the labels do not fit the format.
        """
        # what fails here is the labeled file, of which something is kept
        named = path if details.geometry is None else details.geometry.path
        suffix = self.suffix(path)[1:]
        data = guarded(named, suffix, self.errors, lambda: self.encode(path, np.asarray(labels[...]), details))
        with replacing(path) as beside:
            beside.write_bytes(data)

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return the content of a label file; for formats that are written through memory."""
        raise UserError(f"{path}: labels are not written as {self.name}: write .png, .tif or .npy")

    def is_whole(self, path: Path) -> bool:
        """Return whether a store that `create_store` made is still there with all that makes it readable."""
        return path.exists()

    def write_probabilities(
        self, path: Path, values: Source, classes: Sequence[str], geometry: FileGeometry | None
    ) -> None:
        """Write probabilities `(K, *S)` float32 with the names of their classes."""
        raise UserError(f"{path}: probabilities are not written as {self.name}: write .zarr or .tif")

    def create_store(self, path: Path, shape: Sequence[int], dtype: Any, chunks: Sequence[int]) -> Store | None:
        """Create an array on disk that is filled box by box; None if files of this format go through memory."""
        return None

    def open_store(self, path: Path) -> Store | None:
        """Open an array that `create_store` made; None if it was cut short."""
        return None

    def is_finished(self, geometry: FileGeometry | None) -> bool:
        """Return whether a filled store is the label file already, so that renaming it is enough."""
        return False

    def suffix(self, path: Path) -> str:
        """Return which of `suffixes` a file has, in lower case; its last suffix if it has none of them."""
        name = path.name.lower()
        known = [suffix for suffix in (*self.suffixes, *self.label_suffixes) if name.endswith(suffix)]
        return max(known, key=len, default=path.suffix.lower())


class Library:
    """A library that is imported when it is first used, so that reading a PNG does not load ten of them.

    Args:
        name: of the module.
        missing: message of the `UserError` if it is not installed, with the command that installs it.
    """

    def __init__(self, name: str, missing: str | None = None) -> None:
        self._name, self._missing = name, missing

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # doctest and others ask every object for such names: no reason to import
            raise AttributeError(attribute)
        try:
            module = import_module(self._name)
        except ImportError as error:
            if self._missing is None:
                raise
            raise UserError(self._missing) from error
        return getattr(module, attribute)


class FileFault(UserError):
    """A `UserError` about one file, whose parts `atrous check` lists apart.

    Attributes:
        file: the file.
        what: what is wrong with it.
        fix: what the user can do about it.

    >>> print(FileFault(Path("a.png"), "it is empty", "copy it again"))
    a.png: it is empty: copy it again
    """

    def __init__(self, file: Path | str, what: str, fix: str):
        super().__init__(f"{file}: {what}: {fix}")
        self.file, self.what, self.fix = Path(file), without_secrets(what), fix


def guarded(path: Path, suffix: str, errors: Errors, read: Callable[[], _Result]) -> _Result:
    """Call `read`, which reads the file `path`, and return its result.

    Args:
        path: the file that is named in the message.
        suffix: of the format in which it is read, without the dot.
        errors: exceptions that mean that the file is damaged.
        read: does the reading.

    Raises:
        FileFault: `read` raised one of `errors`.
    """
    try:
        return read()
    except FileFault:
        raise
    except (*errors, *DAMAGED) as error:
        message = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise FileFault(path, *_explained(path, suffix, message, error)) from error


def _explained(path: Path, suffix: str, message: str, error: BaseException) -> tuple[str, str]:
    """Return what is wrong with a file whose library raised `error`, and what to do about it."""
    if path.is_file() and not path.stat().st_size:
        return "cannot be read, it is empty (0 bytes)", "copy it again from its source or remove it"
    if isinstance(error, UnicodeDecodeError) and suffix in ("csv", "tsv"):
        return f"it is {why_not_text(path)}", "save it as UTF-8 (Excel: CSV UTF-8)"
    if suffix not in _TEXT and _is_text(path):
        return f"cannot be read, it is text, not a {suffix} file", "get the file itself, not a page or pointer to it"
    return (
        f"cannot be read, it is damaged, cut short or not a {suffix} file ({message})",
        "copy it again from its source or remove it",
    )


def _is_text(path: Path) -> bool:
    """Return whether a file begins with printable text, as a web page or a Git LFS pointer does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256).decode("utf-8", "ignore")
    letters = head.replace("\n", "").replace("\r", "").replace("\t", "")
    return bool(letters) and not any(unicodedata.category(letter) == "Cc" for letter in letters)


def require_room(path: Path | str, shape: Sequence[int], dtype: Any, what: str = "it", copies: int = COPIES) -> None:
    """Raise unless an array fits into the memory that this process may use.

    Args:
        path: the file that is named in the message.
        shape: that its header declares.
        dtype: of the decoded values.
        what: the array in the message, such as "a chunk".
        copies: arrays of this size that are held at once.

    Raises:
        FileFault: it does not fit.
    """
    size = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    if size > ALWAYS and size * copies > (limit := memory_limit()):
        said = " x ".join(str(int(n)) for n in shape) or "one value"
        needed = f"{in_words(size)} decoded, and this process may use {in_words(limit)}"
        raise FileFault(path, f"{what} declares {said} of {np.dtype(dtype).name}: {needed}", _PARTS)


def require_bytes(path: Path, size: int, what: str, fix: str = "split it into smaller files") -> None:
    """Raise unless so many bytes fit into the memory that this process may use.

    Args:
        path: the file that is named in the message.
        size: that reading it needs, all copies counted.
        what: needs it, for the message: "its text".
        fix: what to do about it.

    Raises:
        FileFault: they do not fit.
    """
    if size > ALWAYS and size > (limit := memory_limit()):
        raise FileFault(path, f"{what} needs {in_words(size)}, and this process may use {in_words(limit)}", fix)


def in_words(size: int) -> str:
    """Return a number of bytes in words.

    >>> in_words(3_600_000_000), in_words(12)
    ('3.6 GB', '12 bytes')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size // factor} {unit}"
    return f"{size} bytes"
