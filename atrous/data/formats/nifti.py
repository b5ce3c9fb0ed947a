"""NIfTI volumes, `.nii` and `.nii.gz`, by nibabel.

A file stores `(I, J, K)`, the first axis fastest. Here a volume is `(C, K, J, I)`, as in SimpleITK and nnU-Net: slices
come first, so that a slab of slices is contiguous in the file. Spacing is in that order too; the affine is that of the
file, for `(i, j, k)`.
"""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from atrous.data.formats.array import as_image, image_dtype, squeeze_channel
from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, LabelDetails, Library, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.npy import create_memmap, open_memmap
from atrous.data.formats.orient import is_singular
from atrous.data.source import Key, LazySource, Source, Store
from atrous.errors import UserError
from atrous.files import replacing

nibabel: Any = Library("nibabel")
HEADER = 348
"""Bytes of the header of NIfTI-1, which ends in its mark."""
WRITTEN = 2**26
"""Bytes of numbers that are written at once at most."""


class NiftiFormat(Format):
    """Volumes with an affine. The label of a NIfTI file keeps its affine, codes and units."""

    name = "NIfTI"
    suffixes = (".nii", ".nii.gz")
    label_suffixes = (".nii", ".nii.gz")
    probability_suffixes = (".nii", ".nii.gz")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        file, header = nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError
        return (file, header, OSError, ValueError, EOFError, zlib.error, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header with spacing and affine, without decoding voxels."""
        _require_gzip(path)
        image: Any = nibabel.load(path)
        shape, proxy = _shape(image.shape), image.dataobj
        if is_singular(image.affine):
            what = "its affine is singular: it does not say where the voxels lie"
            raise FileFault(path, what, "write its sform or qform anew, from the scan that it was made of")
        scaled = (proxy.slope, proxy.inter) != (1, 0)
        stored = np.dtype(image.get_data_dtype())
        dtype = "float32" if scaled else image_dtype(stored)
        return Header(
            shape=shape,
            dtype=dtype,
            kind="volume",
            stored=None if stored.name == dtype else stored.name,
            spacing=_spacing(image),
            affine=tuple(tuple(float(value) for value in row) for row in image.affine),
        )

    def image(self, path: Path) -> np.ndarray:
        """Return the voxels `(C, K, J, I)` in uint8, uint16 or float32; slope and intercept are applied."""
        return as_image(_voxels(path))

    def values(self, path: Path) -> np.ndarray:
        """Return the numbers in the file, `(K, J, I)`."""
        return np.ascontiguousarray(squeeze_channel(_voxels(path)))

    def source(self, path: Path) -> "NiftiVolume":
        """Return the volume as a source that reads the slabs that are sliced."""
        return NiftiVolume(path, self.header(path).dtype)

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("nifti", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return the content of a label file `(K, J, I)` on the grid of the labeled file.

        Without a labeled file the affine is the identity.

        Raises:
            UserError: the labels have not three axes, or the labeled file has another size.
        """
        if labels.ndim != 3:
            raise UserError(f"a NIfTI label has three axes, not {labels.shape}: write .tif or .npy")
        data = np.ascontiguousarray(labels.astype(_label_type(labels))).T
        like, geometry = details.labeled_file("nifti"), details.geometry
        if like is not None:
            image = _like(like, data)
        else:
            affine = None if geometry is None or geometry.affine is None else np.array(geometry.affine)
            image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
            if affine is not None:
                image.set_qform(affine, 1)
                image.set_sform(affine, 1)
                image.header.set_xyzt_units("mm")
        content = image.to_bytes()
        return gzip.compress(content, 6, mtime=0) if self.suffix(path) == ".nii.gz" else content

    def write_probabilities(
        self, path: Path, values: Source, classes: Sequence[str], geometry: FileGeometry | None
    ) -> None:
        """See `Format.write_probabilities`; several values at each voxel are the fourth axis of the file.

        The format has no place for the names. On a finer grid than that of the labeled file the affine is that of the
        finer voxels. A few slices are held in memory at a time.

        Raises:
            UserError: the labeled file has another size.
        """
        header = _header_of_numbers(tuple(int(n) for n in values.shape), geometry)
        with replacing(path) as beside, beside.open("wb") as file:
            if self.suffix(path) != ".nii.gz":
                _write_numbers(file, values, header)
                return
            with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                _write_numbers(cast(IO[bytes], packed), values, header)

    def create_store(self, path: Path, shape: Sequence[int], dtype: Any, chunks: Sequence[int]) -> Store:
        """Create a .npy file, from which the NIfTI file is written when it is full."""
        return create_memmap(path, shape, dtype)

    def open_store(self, path: Path) -> Store | None:
        """See `Format.open_store`."""
        return open_memmap(path, (OSError, ValueError, EOFError, MemoryError))


class NiftiVolume(LazySource):
    """A NIfTI file as a source `(C, K, J, I)`; only the voxels that are sliced are decoded.

    A compressed file is decoded from its beginning up to the slab that is sliced. The file stays open, so reading slabs
    in ascending order decodes it once.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        image: Any = nibabel.load(path, keep_file_open=True)
        self._proxy = image.dataobj
        self._stored = tuple(image.shape)
        super().__init__(_shape(image.shape), dtype)

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        place = tuple(place[::-1])
        if len(self._stored) == 5:
            place = (*place, 0)
        if len(self._stored) > 3:
            return np.asarray(self._proxy[(*place, channel)]).T.astype(self.dtype, copy=False)
        return np.asarray(self._proxy[place]).T.astype(self.dtype, copy=False)[None][channel]


def _require_gzip(path: Path) -> None:
    """Raise if a file is named as if it were compressed, and is not."""
    with path.open("rb") as file:
        head = file.read(HEADER)
    if path.name.lower().endswith(".gz") and head[-4:] in (b"n+1\0", b"ni1\0"):
        raise FileFault(path, "its name ends in .gz, but it is not compressed", f"rename it to {path.name[:-3]}")


def _like(like: Path, data: np.ndarray) -> Any:
    """Return an image with the data `(I, J, K)` and the header of a labeled file."""
    source: Any = nibabel.load(like)
    if _shape(source.shape)[1:] != data.shape[::-1]:
        raise UserError(f"{like}: size {_shape(source.shape)[1:]}, but its label has {data.shape[::-1]}")
    header = source.header.copy()
    header.set_data_dtype(data.dtype)
    header["scl_slope"], header["scl_inter"] = np.nan, np.nan  # no scaling
    header["cal_min"], header["cal_max"] = 0, 0  # no display range
    return type(source)(data, source.affine, header)


def _header_of_numbers(shape: tuple[int, ...], geometry: FileGeometry | None) -> Any:
    """Return the header of a file of float32 numbers `(K, *S)` that lie where the labeled file lies.

    Raises:
        UserError: the labeled file has another size.
    """
    factor = 1 if geometry is None else geometry.factor
    space = shape[:0:-1]
    stored = space if shape[0] == 1 else (*space, *[1] * (3 - len(space)), shape[0])
    if geometry is not None and geometry.kind == "nifti":
        source: Any = nibabel.load(geometry.path)
        size = tuple(factor * n for n in _shape(source.shape)[1:])
        if size != shape[1:]:
            raise UserError(f"{geometry.path}: size {size}, but its numbers have {shape[1:]}")
        header = source.header.copy()
    else:
        header = nibabel.Nifti1Header()
        affine = np.eye(4) if geometry is None or geometry.affine is None else np.array(geometry.affine)
        header.set_data_shape(space)
        header.set_qform(affine, 1)
        header.set_sform(affine, 1)
        if geometry is not None and geometry.affine is not None:
            header.set_xyzt_units("mm")
    header.set_data_shape(stored)
    header.set_data_dtype(np.float32)
    header.set_data_offset(0)  # the least that the header and its extensions leave room for
    header.set_intent("none")
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["cal_min"], header["cal_max"] = 0, 0  # no display range
    if len(stored) == 4 and not header["pixdim"][4] > 0:
        header["pixdim"][4] = 1
    if factor > 1:
        _make_finer(header, len(space), factor)
    return header


def _make_finer(header: Any, ndim: int, factor: int) -> None:
    """Divide the distances of voxels in a header by a factor; the extent of the volume stays where it is.

    Voxel i' of the finer grid has its center at `i = (i' + 1/2) / factor - 1/2` of the coarser one. Each of the two
    affines is changed, and keeps its code.
    """
    finer = np.diag([*[1 / factor] * ndim, *[1.0] * (3 - ndim), 1.0])
    finer[:ndim, 3] = 0.5 / factor - 0.5
    qform, sform = header.get_qform(coded=True), header.get_sform(coded=True)
    header["pixdim"][1 : 1 + ndim] /= factor
    if qform[0] is not None:
        header.set_qform(qform[0] @ finer, int(qform[1]))
    if sform[0] is not None:
        header.set_sform(sform[0] @ finer, int(sform[1]))


def _write_numbers(file: IO[bytes], values: Source, header: Any) -> None:
    """Write a header and numbers `(K, *S)`, in memory in the order of the file: its first axis is the fastest."""
    header.write_to(file)
    file.write(bytes(header.get_data_offset() - file.tell()))
    channels, length, *rest = values.shape
    step = max(1, WRITTEN // (4 * math.prod(rest)))
    for channel in range(channels):
        for first in range(0, length, step):
            rows = np.asarray(values[(channel, slice(first, first + step))])
            file.write(rows.astype(header.get_data_dtype()).tobytes())


def _shape(stored: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape `(C, *S)` of a file that stores `(I, J)`, `(I, J, K)`, `(I, J, K, C)` or `(I, J, K, 1, C)`.

    >>> _shape((5, 4, 3)), _shape((5, 4, 3, 1, 2))
    ((1, 3, 4, 5), (2, 3, 4, 5))
    """
    if len(stored) == 5 and stored[3] == 1:
        return (stored[4], *stored[2::-1])
    if len(stored) == 4:
        return stored[::-1]
    if len(stored) in (2, 3):
        return (1, *stored[::-1])
    raise ValueError(f"it has {len(stored)} axes of {stored}: a volume has three, and channels fourth")


def _voxels(path: Path) -> np.ndarray:
    """Return all voxels, `(C, *S)`."""
    image: Any = nibabel.load(path)
    scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
    require_room(path, image.shape, np.float64 if scaled else image.get_data_dtype())
    return np.asanyarray(image.dataobj).T.reshape(_shape(image.shape))


def _spacing(image: Any) -> tuple[float, ...] | None:
    """Return the distance of voxels along `(K, J, I)`; None if the file does not say it."""
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms()[: min(3, len(image.shape))])[::-1]
    return zooms if all(np.isfinite(zoom) and zoom > 0 for zoom in zooms) else None


def _label_type(label: np.ndarray) -> type:
    low, high = (int(label.min()), int(label.max())) if label.size else (0, 0)
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -(2**15) and high < 2**15 else np.int32
