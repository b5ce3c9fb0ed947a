"""DICOM series by pydicom: a folder of slices is one volume `(1, Z, Y, X)`.

Slices are sorted by their position (Image Position (Patient)) along the normal of their plane (DICOM PS3.3,
C.7.6.2.1.1). The distance of slices is the distance of these positions, not the Slice Thickness. Rescale slope and
intercept are applied, so that CT is in Hounsfield units. The affine follows NIfTI: its axes point to the right and the
front of the patient (RAS), while those of DICOM point to the left and the back (LPS).
"""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, Library, guarded, require_room
from atrous.data.formats.dicom_files import candidates, is_dicom, number, read_dicom
from atrous.data.formats.header import Header
from atrous.data.formats.orient import is_singular
from atrous.data.source import Key, LazySource, span

pydicom: Any = Library("pydicom", 'DICOM series need pydicom: pip install "atrous[medical]"')
_LOOKED_AT = 32
"""Files of a folder that are opened to see whether they are DICOM."""
UNEVEN = 0.02
"""Part of the median gap by which a gap between slices may differ from it."""
TILTED = 0.5
"""Largest angle in degrees between the direction of the stack and the normal of its slices."""
_CONVERT = "convert it with dcm2niix, and give the NIfTI file"


@dataclass(frozen=True)
class Slice:
    """One file of a series: the position of its first voxel (mm, LPS) and the rescaling of its stored numbers."""

    path: Path
    position: tuple[float, float, float]
    slope: float
    intercept: float


@dataclass(frozen=True)
class Series:
    """The slices of a series in order, and what they have in common.

    Attributes:
        slices: ascending along the normal of their plane.
        size: number of rows and columns.
        affine: `(4, 4)`, from the voxel `(column, row, slice, 1)` to millimeters in RAS.
        spacing: distance of slices, rows and columns in mm.
        dtype: uint8 or uint16 if the files store it without rescaling, else float32.
        modality: `CT`, `MR`, `PT` and so on.
    """

    slices: tuple[Slice, ...]
    size: tuple[int, int]
    affine: np.ndarray
    spacing: tuple[float, float, float]
    dtype: str
    modality: str


class DicomFormat(Format):
    """Folders of slices. Their labels are written as NIfTI with the affine of the series."""

    name = "DICOM"
    folder = True
    part_suffixes = (".dcm", ".ima")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        damaged = (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, OSError, ValueError)
        return (*damaged, LookupError, AttributeError, TypeError, RuntimeError)

    def claims(self, path: Path) -> bool:
        """Return whether a folder holds DICOM files, by their content, or files that are named so."""
        if not path.is_dir() or path.suffix.lower() == ".zarr":
            return False
        files = candidates(path)
        named = any(file.suffix.lower() in self.part_suffixes for file in files)
        return named or any(is_dicom(file) for file in files[:_LOOKED_AT])

    def header(self, path: Path) -> Header:
        """Return the header with spacing and affine; no pixel is decoded."""
        series = read_series(path)
        return Header(
            shape=(1, len(series.slices), *series.size),
            dtype=series.dtype,
            kind="volume",
            spacing=series.spacing,
            affine=tuple(tuple(float(value) for value in row) for row in series.affine),
            unit="mm",
            axes="ZYX",
            names=(series.modality,),
        )

    def image(self, path: Path) -> np.ndarray:
        """Return all voxels, `(1, Z, Y, X)`."""
        series = read_series(path)
        require_room(path, (len(series.slices), *series.size), series.dtype)
        return self.source(path)[...]

    def source(self, path: Path) -> "DicomVolume":
        """Return the volume as a source that decodes the slices that are asked for."""
        return DicomVolume(read_series(path))

    def values(self, path: Path) -> np.ndarray:
        """Refuse: a series of scans holds no labels."""
        raise FileFault(path, "labels are not read from a DICOM series", "export them as NIfTI, one file for each scan")

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("dicom", path, self.header(path).affine)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".nii.gz"


class DicomVolume(LazySource):
    """A series as a source `(1, Z, Y, X)`; a slice is decoded when it is asked for."""

    def __init__(self, series: Series) -> None:
        super().__init__((1, len(series.slices), *series.size), series.dtype)
        self._series = series

    def _read(self, key: Key) -> np.ndarray:
        channel, depth, rows, columns = key
        low, high, rest = span(depth, self.shape[1])
        wanted = range(low, high)[rest] if isinstance(rest, slice) else range(low, high)
        planes = [self._decode(self._series.slices[i])[rows, columns] for i in wanted]
        empty = np.empty(self.shape[2:], self.dtype)[rows, columns]
        stack = np.stack(planes) if planes else np.empty((0, *empty.shape), self.dtype)
        stack = stack if isinstance(rest, slice) else stack[0]
        return stack[None][channel]

    def _decode(self, stored: Slice) -> np.ndarray:
        require_room(stored.path, self._series.size, np.float64)
        pixels = read_dicom(stored.path, header=False).pixel_array
        if pixels.shape != self._series.size:
            raise FileFault(stored.path, f"its pixels are {pixels.shape}, not {self._series.size}", "export it again")
        if (stored.slope, stored.intercept) == (1.0, 0.0):
            return pixels.astype(self.dtype, copy=False)
        return (pixels * stored.slope + stored.intercept).astype(self.dtype)


def read_series(path: Path) -> Series:
    """Read the headers of all slices of a folder and sort them.

    Raises:
        FileFault: the slices belong to several series, differ in size, lack a position, leave gaps or are tilted; or
            their pixels are colored, of several frames, or compressed with a codec for which no decoder is installed.
    """
    return _read_series(path, path.stat().st_mtime_ns)


@functools.lru_cache(64)
def _read_series(path: Path, _changed: int) -> Series:
    files = []
    for file in candidates(path):
        if is_dicom(file):
            files.append(file)
        elif file.suffix.lower() in DicomFormat.part_suffixes:
            raise FileFault(file, "its name says DICOM, its content does not", "copy it again, or remove it")
    datasets = [(file, _guarded_header(file)) for file in files]
    images = [(file, dataset) for file, dataset in datasets if "Rows" in dataset]
    if not images:
        raise FileFault(path, "none of its DICOM files is an image", "give the folder of the slices")
    _require_one_series(path, images)
    _require_gray(images)
    _, first = images[0]
    for key, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        for file, dataset in images:
            values = dataset.get(key)
            if not values or len(values) != count or any(value is None or value == "" for value in values):
                what = f"it has no {key}: its position in space is unknown"
                raise FileFault(file, what, "export the series again, or NIfTI")
    along_row, along_column = (np.array(first.ImageOrientationPatient[i : i + 3], float) for i in (0, 3))
    normal = np.cross(along_row, along_column)
    rows_apart, columns_apart = (float(value) for value in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along_row * columns_apart, along_column * rows_apart, normal], 1)
    if is_singular(affine):
        what = "its ImageOrientationPatient and PixelSpacing do not say where the voxels lie (zero, or parallel)"
        raise FileFault(images[0][0], what, "export the series again, or NIfTI")
    by_depth = sorted(images, key=lambda item: float(np.dot(normal, np.array(item[1].ImagePositionPatient, float))))
    positions = np.array([dataset.ImagePositionPatient for _, dataset in by_depth], float)
    step = _step(path, [f for f, _ in by_depth], positions, normal, first)
    affine[:3] = np.stack([along_row * columns_apart, along_column * rows_apart, step, positions[0]], 1)
    affine[:2] *= -1
    slices = tuple(
        Slice(f, tuple(p), number(f, d, "RescaleSlope", 1), number(f, d, "RescaleIntercept", 0))  # type: ignore[arg-type]
        for (f, d), p in zip(by_depth, positions.tolist(), strict=True)
    )
    return Series(
        slices=slices,
        size=(int(number(images[0][0], first, "Rows")), int(number(images[0][0], first, "Columns"))),
        affine=affine,
        spacing=(float(np.linalg.norm(step)), rows_apart, columns_apart),
        dtype=_dtype(images, slices),
        modality=str(first.get("Modality") or ""),
    )


def _guarded_header(path: Path) -> Any:
    """Read the header of a slice; what is wrong with it is said of its file, not of the folder."""
    return guarded(path, "dcm", DicomFormat().errors, lambda: read_dicom(path, header=True))


def _require_one_series(path: Path, images: list[tuple[Path, Any]]) -> None:
    names = Counter(str(dataset.get("SeriesInstanceUID", "")) for _, dataset in images)
    if len(names) > 1:
        descriptions = {
            str(d.get("SeriesInstanceUID", "")): str(d.get("SeriesDescription", "unnamed")) for _, d in images
        }
        counted = [
            (descriptions[name], f"{count} file{'s' if count > 1 else ''}") for name, count in names.most_common(3)
        ]
        parts = ", ".join(f"{said}: {count}" for said, count in counted)
        raise FileFault(path, f"it holds {len(names)} series ({parts})", "put each series into a folder of its own")
    file, first = images[0]
    for other, dataset in images[1:]:
        for key in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            value, expected = dataset.get(key), first.get(key)
            same = value == expected or (
                value and expected and np.allclose(np.array(value, float), np.array(expected, float), atol=1e-3)
            )
            if not same:
                raise FileFault(
                    other,
                    f"its {key} is {value}, that of {file.name} is {expected}",
                    "remove the files that are not slices of it",
                )


def _require_gray(images: list[tuple[Path, Any]]) -> None:
    for file, dataset in images:
        if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
            raise FileFault(
                file, f"one file of {dataset.NumberOfFrames} frames (enhanced or multi-frame DICOM)", _CONVERT
            )
        if number(file, dataset, "SamplesPerPixel", 1) != 1:
            raise FileFault(file, "a color image, not a slice of a scan", "remove it")
    file, first = images[0]
    syntax = first.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not _can_decode(syntax):
        what = f"its pixels are compressed ({syntax.name}), and nothing installed decodes them"
        raise FileFault(file, what, 'pip install "pylibjpeg[all]", or decompress with gdcmconv --raw')


def _can_decode(syntax: Any) -> bool:
    try:
        return pydicom.pixels.decoders.base.get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _step(path: Path, files: list[Path], positions: np.ndarray, normal: np.ndarray, first: Any) -> np.ndarray:
    """Return the step from one slice to the next, `(3,)` in mm, LPS.

    Raises:
        FileFault: two slices have one position, slices are missing or not evenly spaced, or the stack is tilted.
    """
    if len(positions) == 1:
        apart = float(first.get("SpacingBetweenSlices", 0) or first.get("SliceThickness", 0) or 1)
        return normal * apart
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    same = np.flatnonzero(gaps < 1e-3 * max(usual, 1e-3))
    if same.size:
        a, b = files[same[0]].name, files[same[0] + 1].name
        what = f"{a} and {b} lie at one position ({same.size + 1} files or more)"
        raise FileFault(path, what, "keep one echo or time point in a folder")
    wide = np.flatnonzero(np.abs(gaps - usual) > max(UNEVEN * usual, 0.01))
    if wide.size:
        i, times = int(wide[0]), float(gaps[wide[0]] / usual)
        between = f"between {files[i].name} and {files[i + 1].name}"
        missing = round(times) - 1
        if missing > 0 and abs(times - round(times)) < 0.1:
            slices = f"{missing} slice{'s are' if missing > 1 else ' is'}"
            what = f"{slices} missing {between} ({gaps[i]:.4g} mm apart, others {usual:.4g})"
            raise FileFault(path, what, "copy the series again, whole")
        what = f"slices are not evenly apart: {gaps.min():.4g} to {gaps.max():.4g} mm, {gaps[i]:.4g} {between}"
        raise FileFault(path, what, "resample it to even gaps (dcm2niix does), and give the NIfTI file")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    lean = float(np.degrees(np.arccos(np.clip(np.dot(step, normal) / np.linalg.norm(step), -1, 1))))
    if lean > TILTED:
        raise FileFault(path, f"the stack leans by {lean:.3g} degrees (gantry tilt)", _CONVERT)
    return step


def _dtype(images: list[tuple[Path, Any]], slices: tuple[Slice, ...]) -> str:
    plain = all((stored.slope, stored.intercept) == (1.0, 0.0) for stored in slices)
    bits = {
        (int(number(file, dataset, "BitsAllocated")), int(number(file, dataset, "PixelRepresentation")))
        for file, dataset in images
    }
    return (
        {frozenset({(8, 0)}): "uint8", frozenset({(16, 0)}): "uint16"}.get(frozenset(bits), "float32")
        if plain
        else "float32"
    )
