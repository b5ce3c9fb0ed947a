"""Write labels and probabilities in any known format: at once, or box by box into a file that appears when it is done.

Each file keeps what it can of the file that was labeled (`like`): NIfTI and DICOM give their affine, maps their
projection, OME-TIFF and OME-Zarr their axes and scale, tables their index column, recordings their sampling rate.
"""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import FileGeometry, LabelDetails, Palette, guarded
from atrous.data.formats.table import find_format, label_writer, probability_writer, suffix_of
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.files import remove, rename

LABEL_CHUNK = 1024
"""Longest side of a chunk of labels that are written box by box."""
PROBABILITY_CHUNK = 512
"""Longest side of a chunk of probabilities, which is one class deep."""


def write_label(
    path: Path | str,
    label: np.ndarray,
    palette: Palette | None = None,
    *,
    like: Path | str | None = None,
    classes: Sequence[str] | None = None,
    void: int | None = None,
) -> None:
    """Write labels `(*S)` so that `read_label` reads them back; the suffix says the format.

    `.png` takes two axes and values up to 255; with a palette it is an indexed PNG, which viewers show in color.
    `.tif`, `.npy` and `.zarr` take any whole numbers and any number of axes; `.nii` and `.nii.gz` take volumes;
    `.csv`, `.tsv` and `.npz` the labels of a signal; `.edf` (EDF+) and `.atr` (WFDB) write them as annotations. A crash
    leaves no half-written file.

    Args:
        path: the file to write.
        label: whole numbers.
        palette: color of each class.
        like: the file that was labeled, of which the projection, affine, scale, index or rate is kept.
        classes: names, which the label files of signals hold instead of numbers, and maps beside them.
        void: value of positions without data, if there are any: the nodata value of maps.

    Raises:
        UserError: labels are not written to files with this suffix, or these labels do not fit the format.
    """
    path, label = Path(path), np.ascontiguousarray(label)
    if label.dtype.kind not in "bui":
        raise UserError(f"{path}: a label of type {label.dtype}: give whole numbers")
    format_ = label_writer(path)
    names = None if classes is None else tuple(classes)
    format_.write_labels(path, label, LabelDetails(geometry_of(like), names, palette, void))


def write_probabilities(
    path: Path, probabilities: Source, classes: Sequence[str], like: Path | str | None = None, factor: int = 1
) -> None:
    """Write probabilities `(K, *S)` float32 with the names of their classes to a `.zarr` or `.tif` file.

    The names are the attribute `classes` of a zarr array, and the labels of the planes of a TIFF. The TIFF of a map is
    a GeoTIFF with one band for each class, in which NaN is nodata. What is written for a microscope image keeps its
    axes and scale.

    Args:
        path: the file to write.
        probabilities: K classes.
        classes: their names.
        like: the file that was labeled.
        factor: the grid of what is written is finer than that of `like` by this factor along each axis.

    Raises:
        UserError: probabilities are not written to files with this suffix.
    """
    probability_writer(path).write_probabilities(path, probabilities, classes, geometry_of(like, factor))


def geometry_of(like: Path | str | None, factor: int = 1) -> FileGeometry | None:
    """Return what labels can keep of a labeled file; None if that is nothing.

    Args:
        like: the labeled file.
        factor: by how much the grid of the labels is finer.

    Raises:
        UserError: the file is damaged.
    """
    format_ = None if like is None else find_format(Path(like))
    if like is None or format_ is None or not Path(like).exists():
        return None
    path = Path(like)
    geometry = guarded(path, suffix_of(path)[1:], format_.errors, lambda: format_.geometry(path))
    return geometry if geometry is None or factor == 1 else replace(geometry, factor=factor)


def check_like(path: Path, like: Path) -> None:
    """Raise `UserError` if the labels in `path` would lose a geometry that they should keep; to call before long work.

    This happens for a map, whose projection cannot be written, if rasterio is not installed.
    """
    geometry = geometry_of(like)
    lost = None if geometry is None else label_writer(path).why_lost(geometry)
    if lost is not None:
        raise UserError(lost)


@dataclass(frozen=True)
class LabelSink:
    """Labels of one input that are written box by box.

    What an interrupted run has written stays in the unfinished file beside `path`, where the next run continues it.

    Attributes:
        path: the label file, which appears when `finish` is called.
        array: labels `(*S)`, to be assigned box by box.
        part: the unfinished file, None if the array is in memory.
        begun: whether an interrupted run began the unfinished file.
    """

    path: Path
    array: Any
    part: Path | None
    begun: bool = False

    def finish(
        self,
        *,
        like: Path | None = None,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        void: int | None = None,
    ) -> None:
        """Write the label file from the array; arguments as in `write_label`.

        The palette is left out of PNG files, so that other programs read class numbers from them and not colors.
        """
        format_, geometry = label_writer(self.path), geometry_of(like)
        if self.part is not None and format_.is_finished(geometry):
            _flush(self.array)
            if not format_.is_whole(self.part):
                raise FileNotFoundError(errno.ENOENT, "was removed while labels were written to it", str(self.part))
            rename(self.part, self.path)
            return
        names, colors = None if classes is None else tuple(classes), None if format_.indexed else palette
        format_.write_labels(self.path, self.array, LabelDetails(geometry, names, colors, void))
        self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self.part is not None:
            remove(self.part)


@dataclass(frozen=True)
class ProbabilitySink:
    """Probabilities of one input that are written box by box; unlike labels, they are not continued after a crash.

    Attributes:
        path: the file, which appears when `finish` is called.
        array: probabilities `(K, *S)` float32, to be assigned box by box.
        part: the unfinished file, None if the array is in memory.
    """

    path: Path
    array: Any
    part: Path | None

    def finish(self, classes: Sequence[str], *, like: Path | None = None, factor: int = 1) -> None:
        """Write the file from the array; arguments as in `write_probabilities`."""
        geometry = geometry_of(like, factor)
        probability_writer(self.path).write_probabilities(self.path, self.array, classes, geometry)
        self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self.part is not None:
            remove(self.part)


def open_labels(
    path: Path, size: Sequence[int], *, on_disk: bool, anew: bool = False, dtype: Any = np.uint8
) -> LabelSink:
    """Open a sink for the labels of one input.

    Args:
        path: the label file. `.zarr`, `.npy` and TIFF can be filled on disk; labels of other formats are in memory
            until they are written.
        size: of the labels, `(*S)`.
        on_disk: False if they may be in memory in any case.
        anew: whether what an interrupted run has left is removed, not continued.
        dtype: type of the labels.

    Raises:
        UserError: labels are not written to files with this suffix.
    """
    format_, size = label_writer(path), tuple(int(n) for n in size)
    if not on_disk and not format_.always_on_disk:
        return LabelSink(path, np.empty(size, dtype), None)
    part = part_path(path)
    if part.exists():
        begun = None if anew else format_.open_store(part)
        if begun is not None and tuple(begun.shape) == size:
            return LabelSink(path, begun, part, begun=True)
        remove(part)  # of another size, or cut short
    store = format_.create_store(part, size, dtype, [min(LABEL_CHUNK, n) for n in size])
    if store is None:
        return LabelSink(path, np.empty(size, dtype), None)
    return LabelSink(path, store, part)


def open_probabilities(path: Path, shape: Sequence[int], *, on_disk: bool) -> ProbabilitySink:
    """Open a sink for the probabilities of one input.

    Args:
        path: a `.zarr` or `.tif` file.
        shape: `(K, *S)`.
        on_disk: whether they are filled on disk; else in memory.

    Raises:
        UserError: probabilities are not written to files with this suffix.
    """
    format_, shape = probability_writer(path), tuple(int(n) for n in shape)
    part = part_path(path)
    if on_disk:
        remove(part)
        chunks = [1, *(min(PROBABILITY_CHUNK, n) for n in shape[1:])]
        store = format_.create_store(part, shape, np.float32, chunks)
        if store is not None:
            return ProbabilitySink(path, store, part)
    return ProbabilitySink(path, np.empty(shape, np.float32), None)


def part_path(path: Path) -> Path:
    """Return the unfinished file of `path`. Its name is the same in every run, so that the next run finds it."""
    return path.with_name(f".{path.name}.part")


def _flush(array: Any) -> None:
    if isinstance(array, np.memmap):
        array.flush()


def files_identity(files: Iterable[Path]) -> str:
    """Return a digest of the names, sizes and times of files: an input that was replaced has another one.

    Of a folder (a series of slices, a zarr array, a video's frames) all files in it count.
    """
    digest = sha256()
    for file in files:
        inside = sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
        for path in inside:
            facts = path.stat()
            digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


class SourceNote:
    """A hidden file beside unfinished labels that says from which input they come.

    Args:
        part: the unfinished labels.
        files: of the input.
    """

    def __init__(self, part: Path, files: Iterable[Path]) -> None:
        self._path, self._files = part.with_name(f"{part.name}.source"), tuple(files)

    def holds(self) -> bool:
        """Return whether the input is still the one that was noted; True where the input is no file."""
        if not any(file.exists() for file in self._files):
            return True
        return self._path.exists() and self._path.read_text(encoding="utf-8") == files_identity(self._files)

    def write(self) -> None:
        """Note the input, where it is a file."""
        if not any(file.exists() for file in self._files):
            return
        self._path.write_text(files_identity(self._files), encoding="utf-8")  # half a note holds for nothing

    def remove(self) -> None:
        """Remove the note."""
        self._path.unlink(missing_ok=True)
