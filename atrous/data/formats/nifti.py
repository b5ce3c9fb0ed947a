"""NIfTI volumes, `.nii` and `.nii.gz`, by nibabel.

A file stores `(I, J, K)`, the first axis fastest. Here a volume is `(C, K, J, I)`, as SimpleITK and nnU-Net have it:
slices first, so that a slab of slices is one piece of the file. Spacing is in that order too; the affine stays the
file's.
"""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from atrous.data.formats.array import as_image, image_dtype, squeeze_channel
from atrous.data.formats.header import Header
from atrous.data.source import Key, LazySource
from atrous.errors import UserError

SUFFIXES = (".nii", ".nii.gz")
ERRORS = (ImageFileError, HeaderDataError, OSError, ValueError, EOFError, zlib.error, MemoryError)
"""What nibabel raises on files that are damaged or are not NIfTI."""


def read_header(path: Path) -> Header:
    """Header with spacing and affine, without decoding voxels."""
    image: Any = nibabel.load(path)
    shape, proxy = _shape(image.shape), image.dataobj
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


def read_image(path: Path) -> np.ndarray:
    """Voxels `(C, K, J, I)`: uint8, uint16 or float32; the file's slope and intercept are applied."""
    return as_image(_voxels(path))


def read_values(path: Path) -> np.ndarray:
    """The numbers in the file, `(K, J, I)`."""
    return np.ascontiguousarray(squeeze_channel(_voxels(path)))


def open_source(path: Path) -> "NiftiVolume":
    """The volume, read slab by slab as it is sliced."""
    return NiftiVolume(path)


def encode_label(
    label: np.ndarray, like: Path | None, compress: bool, affine: Sequence[Sequence[float]] | None = None
) -> bytes:
    """NIfTI bytes of a label `(K, J, I)` on the grid of `like`: its affine, codes, units and version are kept.

    Without `like` the affine is the one given (in mm, of the scanner), without both the identity.

    Raises:
        UserError: `like` has another size.
    """
    if label.ndim != 3:
        raise UserError(f"a NIfTI label has three axes, not {label.shape}: write .tif or .npy")
    data = np.ascontiguousarray(label.astype(_label_type(label))).T
    if like is None and affine is not None:
        written: Any = nibabel.Nifti1Image(data, np.array(affine))
        written.set_qform(np.array(affine), 1)
        written.set_sform(np.array(affine), 1)
        written.header.set_xyzt_units("mm")
    elif like is None:
        written = nibabel.Nifti1Image(data, np.eye(4))
    else:
        source: Any = nibabel.load(like)
        if _shape(source.shape)[1:] != label.shape:
            raise UserError(f"{like}: size {_shape(source.shape)[1:]}, but its label has {label.shape}")
        header = source.header.copy()
        header.set_data_dtype(data.dtype)
        header["scl_slope"], header["scl_inter"] = np.nan, np.nan
        header["cal_min"], header["cal_max"] = 0, 0
        written = type(source)(data, source.affine, header)
    content = written.to_bytes()
    return gzip.compress(content, 6, mtime=0) if compress else content


class NiftiVolume(LazySource):
    """A NIfTI file as something to slice, `(C, K, J, I)`; only what is asked for is decoded.

    A compressed file is decoded from its beginning up to the slab that is asked for; slabs in ascending order cost one
    pass together, since the file stays open.
    """

    def __init__(self, path: Path) -> None:
        image: Any = nibabel.load(path, keep_file_open=True)
        self._proxy = image.dataobj
        self._stored = tuple(image.shape)
        super().__init__(_shape(image.shape), read_header(path).dtype)

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        place = tuple(place[::-1])
        if len(self._stored) == 5:
            place = (*place, 0)
        if len(self._stored) > 3:
            return np.asarray(self._proxy[(*place, channel)]).T.astype(self.dtype, copy=False)
        return np.asarray(self._proxy[place]).T.astype(self.dtype, copy=False)[None][channel]


def _shape(stored: tuple[int, ...]) -> tuple[int, ...]:
    """Shape `(C, *S)` of a file's `(I, J)`, `(I, J, K)`, `(I, J, K, C)` or `(I, J, K, 1, C)`.

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
    """Voxels `(C, *S)`."""
    image: Any = nibabel.load(path)
    return np.asanyarray(image.dataobj).T.reshape(_shape(image.shape))


def _spacing(image: Any) -> tuple[float, ...] | None:
    """Distance of voxels along `(K, J, I)`; None where the file does not know it."""
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms()[: min(3, len(image.shape))])[::-1]
    return zooms if all(np.isfinite(zoom) and zoom > 0 for zoom in zooms) else None


def _label_type(label: np.ndarray) -> type:
    low, high = (int(label.min()), int(label.max())) if label.size else (0, 0)
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -(2**15) and high < 2**15 else np.int32
