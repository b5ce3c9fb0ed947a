"""DICOM series by pydicom: a folder of slices is one volume `(1, Z, Y, X)`.

Slices are sorted by their positions (Image Position (Patient)) along the normal of their plane (DICOM PS3.3,
C.7.6.2.1.1); the distance of slices is that of the positions, not the Slice Thickness. Rescale slope and intercept are
applied: CT is in Hounsfield units. The affine is that of NIfTI: DICOM's axes point left and to the back of the patient
(LPS), NIfTI's right and to the front (RAS).
"""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header
from atrous.data.formats.series import slice_files
from atrous.data.source import Key, LazySource, span
from atrous.errors import UserError

try:
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.decoders.base import get_decoder
except ImportError as error:
    raise UserError('DICOM series need pydicom: pip install "atrous[medical]"') from error

ERRORS = (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, RuntimeError, NotImplementedError, EOFError)
"""What pydicom raises on files that are damaged."""

UNEVEN = 0.02
"""Share of the median by which a gap between slices may differ."""
TILTED = 0.5
"""Degrees by which the stack may lean against the normal of its slices."""
_CONVERT = "convert it with dcm2niix, and give the NIfTI file"


@dataclass(frozen=True)
class Slice:
    """One file: where its first voxel lies (mm, LPS), and how its numbers become values."""

    path: Path
    position: tuple[float, float, float]
    slope: float
    intercept: float


@dataclass(frozen=True)
class Series:
    """A sorted series.

    Attributes:
        slices: ascending along the normal.
        size: rows and columns.
        affine: `(4, 4)`, of a voxel `(column, row, slice, 1)` in RAS, mm.
        spacing: of slices, rows and columns, mm.
        dtype: of the values: uint8 or uint16 where they are so in the files and not rescaled, else float32.
        modality: `CT`, `MR`, `PT` and so on.
    """

    slices: tuple[Slice, ...]
    size: tuple[int, int]
    affine: np.ndarray
    spacing: tuple[float, float, float]
    dtype: str
    modality: str


def read_header(path: Path) -> Header:
    """Header with spacing and affine; no pixel is decoded."""
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


def read_image(path: Path) -> np.ndarray:
    """Values `(1, Z, Y, X)`."""
    return open_source(path)[...]


def open_source(path: Path) -> "DicomVolume":
    """The volume, of which only the slices that are asked for are decoded."""
    return DicomVolume(read_series(path))


def read_values(path: Path) -> np.ndarray:
    """Refused: a series of pictures holds no labels."""
    raise FileFault(path, "labels are no DICOM series", "export them as NIfTI, one file a case")


class DicomVolume(LazySource):
    """A series as something to slice, `(1, Z, Y, X)`."""

    def __init__(self, series: Series) -> None:
        super().__init__((1, len(series.slices), *series.size), series.dtype)
        self._series = series

    def _read(self, key: Key) -> np.ndarray:
        channel, depth, rows, columns = key
        low, high, rest = span(depth, self.shape[1])
        wanted = range(low, high)[rest] if isinstance(rest, slice) else range(low, high)
        planes = [self._decode(self._series.slices[at])[rows, columns] for at in wanted]
        empty = np.empty(self.shape[2:], self.dtype)[rows, columns]
        stack = np.stack(planes) if planes else np.empty((0, *empty.shape), self.dtype)
        stack = stack if isinstance(rest, slice) else stack[0]
        return stack[None][channel]

    def _decode(self, one: Slice) -> np.ndarray:
        pixels = pydicom.dcmread(one.path).pixel_array
        if pixels.shape != self._series.size:
            raise FileFault(one.path, f"its pixels are {pixels.shape}, not {self._series.size}", "export it again")
        if (one.slope, one.intercept) == (1.0, 0.0):
            return pixels.astype(self.dtype, copy=False)
        return (pixels * one.slope + one.intercept).astype(self.dtype)


def read_series(path: Path) -> Series:
    """Read the headers of all slices of a folder and sort them.

    Raises:
        FileFault: the slices are of several series or sizes, lack a position, leave gaps, or lean; their pixels are
            colored, of several frames, or compressed in a way that nothing installed decodes.
    """
    return _read_series(path, path.stat().st_mtime_ns)


@functools.lru_cache(64)
def _read_series(path: Path, _changed: int) -> Series:
    files = slice_files(path)
    found = [(file, pydicom.dcmread(file, stop_before_pixels=True)) for file in files]
    images = [(file, dataset) for file, dataset in found if "Rows" in dataset]
    if not images:
        raise FileFault(path, "no DICOM file in it is a picture", "give the folder of the slices")
    _require_one_series(path, images)
    _require_gray(images)
    _, first = images[0]
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        lacking = next((f for f, dataset in images if not dataset.get(key)), None)
        if lacking is not None:
            raise FileFault(
                lacking, f"it has no {key}: where it lies is not known", "export the series again, or NIfTI"
            )
    along_row, along_column = (np.array(first.ImageOrientationPatient[i : i + 3], float) for i in (0, 3))
    normal = np.cross(along_row, along_column)
    by_depth = sorted(images, key=lambda item: float(np.dot(normal, np.array(item[1].ImagePositionPatient, float))))
    positions = np.array([dataset.ImagePositionPatient for _, dataset in by_depth], float)
    step = _step(path, [f for f, _ in by_depth], positions, normal, first)
    rows_apart, columns_apart = (float(value) for value in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([along_row * columns_apart, along_column * rows_apart, step, positions[0]], 1)
    affine[:2] *= -1
    slices = tuple(
        Slice(f, tuple(p), float(d.get("RescaleSlope", 1)), float(d.get("RescaleIntercept", 0)))  # type: ignore[arg-type]
        for (f, d), p in zip(by_depth, positions.tolist(), strict=True)
    )
    return Series(
        slices=slices,
        size=(int(first.Rows), int(first.Columns)),
        affine=affine,
        spacing=(float(np.linalg.norm(step)), rows_apart, columns_apart),
        dtype=_dtype(images, slices),
        modality=str(first.get("Modality", "")),
    )


def _require_one_series(path: Path, images: list[tuple[Path, Any]]) -> None:
    names = Counter(str(dataset.get("SeriesInstanceUID", "")) for _, dataset in images)
    if len(names) > 1:
        said = {str(d.get("SeriesInstanceUID", "")): str(d.get("SeriesDescription", "unnamed")) for _, d in images}
        parts = ", ".join(f"{said[name]}: {count} files" for name, count in names.most_common(3))
        raise FileFault(path, f"it holds {len(names)} series ({parts})", "put each series into a folder of its own")
    file, first = images[0]
    for other, dataset in images[1:]:
        for key in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            here, there = dataset.get(key), first.get(key)
            same = here == there or (
                here and there and np.allclose(np.array(here, float), np.array(there, float), atol=1e-3)
            )
            if not same:
                raise FileFault(
                    other, f"its {key} is {here}, that of {file.name} {there}", "remove what is no slice of it"
                )


def _require_gray(images: list[tuple[Path, Any]]) -> None:
    for file, dataset in images:
        if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
            raise FileFault(
                file, f"one file of {dataset.NumberOfFrames} frames (enhanced or multi-frame DICOM)", _CONVERT
            )
        if int(dataset.get("SamplesPerPixel", 1)) != 1:
            raise FileFault(file, "a color picture, not a slice of a scan", "leave it out")
    file, first = images[0]
    syntax = first.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not _can_decode(syntax):
        what = f"its pixels are compressed ({syntax.name}), and nothing installed decodes them"
        raise FileFault(file, what, 'pip install "pylibjpeg[all]", or decompress with gdcmconv --raw')


def _can_decode(syntax: Any) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _step(path: Path, files: list[Path], positions: np.ndarray, normal: np.ndarray, first: Any) -> np.ndarray:
    """From one slice to the next, `(3,)` mm in LPS.

    Raises:
        FileFault: slices lie at one place, are missing, are not evenly apart, or the stack leans.
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
        at, times = int(wide[0]), float(gaps[wide[0]] / usual)
        between = f"between {files[at].name} and {files[at + 1].name}"
        missing = round(times) - 1
        if missing > 0 and abs(times - round(times)) < 0.1:
            slices = f"{missing} slice{'s are' if missing > 1 else ' is'}"
            what = f"{slices} missing {between} ({gaps[at]:.4g} mm apart, others {usual:.4g})"
            raise FileFault(path, what, "copy the series again, whole")
        what = f"slices are not evenly apart: {gaps.min():.4g} to {gaps.max():.4g} mm, {gaps[at]:.4g} {between}"
        raise FileFault(path, what, "resample it to even gaps (dcm2niix does), and give the NIfTI file")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    lean = float(np.degrees(np.arccos(np.clip(np.dot(step, normal) / np.linalg.norm(step), -1, 1))))
    if lean > TILTED:
        raise FileFault(path, f"the stack leans by {lean:.3g} degrees (gantry tilt)", _CONVERT)
    return step


def _dtype(images: list[tuple[Path, Any]], slices: tuple[Slice, ...]) -> str:
    plain = all((one.slope, one.intercept) == (1.0, 0.0) for one in slices)
    bits = {(int(dataset.BitsAllocated), int(dataset.PixelRepresentation)) for _, dataset in images}
    return (
        {frozenset({(8, 0)}): "uint8", frozenset({(16, 0)}): "uint16"}.get(frozenset(bits), "float32")
        if plain
        else "float32"
    )
