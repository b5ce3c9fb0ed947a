"""Image and label files: one file per format, all read as channel-first arrays.

An image is `(C, *S)` in uint8, uint16 or float32; a label is `(*S)` with the numbers that the file stores.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np

from atrous.data.formats.colors import code_color, color_code, is_color, require_rgb, single_channel
from atrous.data.formats.failure import FileFault
from atrous.data.formats.guard import guarded
from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations
from atrous.data.formats.series import is_series
from atrous.data.source import Source
from atrous.data.views import Guarded
from atrous.errors import UserError
from atrous.files import replacing

_MODULES = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"), "raster"),
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    **dict.fromkeys((".jp2", ".vrt"), "geotiff"),
    ".npy": "npy",
    ".zarr": "zarr_array",
    **dict.fromkeys((".nii", ".nii.gz"), "nifti"),
}
_SIGNALS = {".csv": "columns", ".tsv": "columns", ".npz": "npz"}
_ANNOTATION_FILES = {".edf": "edf", ".atr": "wfdb_record"}
_ANNOTATED = {".edf": "edf", ".bdf": "edf", ".hea": "wfdb_record"}
SUFFIXES = tuple(_MODULES)
"""Suffixes of image and label files that can be read, in lower case."""
SIGNAL_SUFFIXES = (*_SIGNALS, *_ANNOTATED)
"""Suffixes of recordings; their labels stand in the same file or beside it."""
ANNOTATED_SUFFIXES = tuple(_ANNOTATED)
"""Suffixes of those whose labels are annotations: intervals and instants, not one label per sample."""
_VIDEOS = dict.fromkeys((".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm"), "movie")
VIDEO_SUFFIXES = tuple(_VIDEOS)
"""Suffixes of video files; a folder of frames is a video too."""

Palette = Sequence[Sequence[int]]
_Result = TypeVar("_Result")


def read_image(path: Path | str) -> np.ndarray:
    """Pixels of an image file, `(C, *S)`.

    uint8, uint16 and float32 are kept; other types become float32. Gray gives `C = 1`; a palette is looked up and
    gives `C = 3`; alpha is dropped; a photograph's EXIF rotation is obeyed.

    Raises:
        UserError: the file is missing, damaged, not an image, or of a format that is not read; the file is named.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.read_image)


def read_header(path: Path | str) -> Header:
    """Shape, type and kind of an image or label file, without decoding its pixels.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.read_header)


def open_source(path: Path | str) -> Source:
    """An image file as something to slice: `.shape` `(C, *S)`, `.dtype`, and `[...]` that gives arrays.

    NIfTI, `.npy`, `.zarr`, plain TIFF and videos (files or folders of frames) are decoded as far as they are sliced;
    other formats, which cannot be decoded in parts, are decoded whole.

    Raises:
        UserError: as `read_image`; slicing raises it too, where damage shows only then.
    """
    path = Path(path)
    format_ = _format(path)
    source = _guarded(path, format_, getattr(format_, "open_source", format_.read_image))
    if isinstance(source, np.ndarray):
        return source
    return Guarded(source, lambda read: guarded(path, suffix_of(path)[1:], format_.ERRORS, read))


def open_valid(path: Path | str) -> Source | None:
    """Where an image has data, as something to slice: `(*S)` bool; None where every position has.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.open_valid) if hasattr(format_, "open_valid") else None


def image_shape(path: Path | str) -> tuple[int, ...]:
    """Shape `(C, *S)` that `read_image` would return, without decoding.

    Raises:
        UserError: as `read_image`.
    """
    return read_header(path).shape


def read_values(path: Path | str) -> np.ndarray:
    """The numbers of a label file: `(*S)`; `(3, *S)` when it stores colors and not class numbers.

    A palette file gives its indices, a 1-, 2- or 4-bit gray PNG the numbers themselves, an RGB file whose three
    channels are equal everywhere one channel. Whole numbers that are stored as floats become int32.

    Raises:
        UserError: as `read_image`; or the file stores fractions.
    """
    path = Path(path)
    format_ = _format(path)
    values = _guarded(path, format_, format_.read_values)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        whole = np.nan_to_num(values, nan=0.5).astype(np.int32)
        if not np.array_equal(whole, values):
            raise FileFault(path, "a label file with fractions", "save class numbers as whole numbers")
        return whole
    return values


def read_words(path: Path | str) -> np.ndarray | None:
    """Labels `(*S)` of a signal file as strings; None where they are numbers, for `read_values`.

    Raises:
        UserError: as `read_image`; or the file has no labels.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.read_words)


def has_label(path: Path | str) -> bool:
    """Whether a signal file holds labels beside the signal.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.has_label)


def is_annotated(path: Path | str, annotator: str) -> bool:
    """Whether a recording of `ANNOTATED_SUFFIXES` has annotations, or could have (EDF+ without any).

    Args:
        path: the recording.
        annotator: suffix of the annotation file of a WFDB record.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, lambda path: format_.is_annotated(path, annotator))


def read_annotations(path: Path | str, annotator: str) -> Annotations:
    """Annotations of a recording; `annotator` as in `is_annotated`.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, lambda path: format_.read_annotations(path, annotator))


def channel_names(path: Path | str) -> tuple[str, ...] | None:
    """Names of a recording's channels, None where its format has none.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    format_ = _format(path)
    return _guarded(path, format_, format_.channel_names) if hasattr(format_, "channel_names") else None


def read_label(path: Path | str, palette: Palette | None = None) -> np.ndarray:
    """Label file as an integer array `(*S)` of the file's own values (see `read_values`).

    Args:
        path: the file.
        palette: RGB of each class; a file that stores colors is then mapped to their positions in it.

    Raises:
        UserError: as `read_values`; the file stores colors and no palette is given, or colors not in the palette.
    """
    values = read_values(path)
    header = read_header(path)
    if is_color(values, header):
        if palette is None:
            gray = single_channel(values)
            if gray is None:
                raise FileFault(path, "stores colors, not class numbers", "give the color of each class as `palette`")
            return gray
        return _positions(path, require_rgb(Path(path), values, header), palette)
    return values


def write_label(
    path: Path | str,
    label: np.ndarray,
    palette: Palette | None = None,
    *,
    like: Path | str | None = None,
    classes: Sequence[str] | None = None,
    void: int | None = None,
) -> None:
    """Write a label `(*S)` so that `read_label` gives it back; the suffix says the format.

    `.png` takes uint8 of two axes (256 classes), with `palette` as an indexed PNG that viewers show in color; `.tif`,
    `.npy` and `.zarr` take any integer type and any number of axes, `.tif` deflated; `.nii` and `.nii.gz` take volumes,
    `.csv`, `.tsv` and `.npz` the labels of a signal, `.edf` (EDF+) and `.atr` (WFDB) its labels as annotations. The
    file is written beside its place and then renamed, so a crash leaves no half file.

    Args:
        path: where to.
        label: whole numbers.
        palette: RGB of each class.
        like: the image that was labeled: of a NIfTI file or a DICOM series the geometry is kept, of a map the
            projection, of OME-TIFF and OME-Zarr axes and scale, of a table the index column, of a recording the rate.
        classes: names to write instead of numbers, in the label files of signals; beside them in maps.
        void: the value of positions without data, if there are any: the nodata value of maps.

    Raises:
        UserError: the suffix is none of these, or the label does not fit the format.
    """
    path = Path(path)
    suffix, label = suffix_of(path), np.ascontiguousarray(label)
    if label.dtype.kind not in "bui":
        raise UserError(f"{path}: a label of type {label.dtype}: give whole numbers")
    if suffix == ".png":
        if label.ndim != 2 or (label.size and not 0 <= int(label.min()) <= int(label.max()) <= 255):
            raise UserError(f"{path}: PNG takes two axes and values 0..255, not {label.shape}: write .tif instead")
        from atrous.data.formats import raster

        colors = None if palette is None else tuple((int(r), int(g), int(b)) for r, g, b in palette)
        data = raster.encode_label(label.astype(np.uint8), colors)
    elif suffix in (".tif", ".tiff"):
        from atrous.data.formats import grids, tiff

        if like is not None and label.ndim > 1 and grids.grid_kind(path, Path(like)):
            grids.write_tiff(path, label, like=Path(like), names=classes or (), palette=palette, nodata=void)
            return
        data = tiff.encode_label(label.astype(np.uint8) if label.dtype == bool else label)
    elif suffix == ".zarr":
        from atrous.data.formats import grids

        grids.write_zarr(path, label, like=None if like is None else Path(like), names=classes or (), palette=palette)
        return
    elif suffix == ".npy":
        from atrous.data.formats import npy

        data = npy.encode_label(label)
    elif suffix in (".nii", ".nii.gz"):
        geometry = Path(like) if like is not None and suffix_of(like) in (".nii", ".nii.gz") else None
        affine = read_header(like).affine if like is not None and is_series(Path(like)) else None
        format_ = import_module(f"{__name__}.nifti")
        data = format_.encode_label(label, geometry, compress=suffix == ".nii.gz", affine=affine)
    elif suffix in _SIGNALS:
        same = Path(like) if like is not None and _SIGNALS.get(suffix_of(like)) == _SIGNALS[suffix] else None
        words = label if classes is None else np.array(classes)[label]
        format_ = _format(path)
        data = _guarded(same or path, format_, lambda _: format_.encode_label(words, same), missing=same is None)
    elif suffix in _ANNOTATION_FILES:
        words = label if classes is None else np.array(classes)[label]
        format_ = import_module(f"{__name__}.{_ANNOTATION_FILES[suffix]}")
        recording = Path(like) if like is not None and suffix_of(like) in _ANNOTATED else None
        data = _guarded(recording or path, format_, lambda _: format_.encode_label(words, recording), missing=True)
    else:
        known = ".png, .tif, .npy, .zarr, .nii, .nii.gz, .csv, .npz, .edf or .atr"
        raise UserError(f"{path}: labels are written as {known}, not {suffix or 'without suffix'}")
    with replacing(path) as beside:
        beside.write_bytes(data)


def stem(path: Path) -> str:
    """File name without its suffix.

    >>> stem(Path("a/b.v1.png")), stem(Path("a/b.nii.gz"))
    ('b.v1', 'b')
    """
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.name


def suffix_of(path: Path | str) -> str:
    """Suffix of a file in lower case, `.nii.gz` as one.

    >>> suffix_of("a/b.NII.gz"), suffix_of("a/b.v1.png"), suffix_of("a")
    ('.nii.gz', '.png', '')
    """
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def is_video(path: Path | str) -> bool:
    """Whether a path is that of a video: a file by its suffix, or a folder (of frames)."""
    suffix = suffix_of(path)
    return suffix in _VIDEOS or (suffix not in _MODULES and Path(path).is_dir() and not is_series(Path(path)))


def label_suffix(path: Path | str, ndim: int = 2) -> str:
    """Suffix of the file in which the labels of an input of `ndim` spatial axes are written.

    That of the input where labels fit it, else PNG; TIFF and `.npy` where PNG does not fit.

    >>> label_suffix("ct.nii.gz", 3), label_suffix("a.tiff"), label_suffix("a.jpg"), label_suffix("100.hea", 1)
    ('.nii.gz', '.tiff', '.png', '.atr')
    """
    suffix = suffix_of(path)
    if suffix in _ANNOTATED:
        return ".atr" if suffix == ".hea" else ".edf"
    if is_series(Path(path)):
        return ".nii.gz"
    if suffix in (".tif", ".tiff", ".npy", ".zarr", ".nii", ".nii.gz", *_SIGNALS):
        return suffix
    if _MODULES.get(suffix) == "geotiff":
        return ".tif"
    return {1: ".npy", 2: ".png", 3: ".tif"}[ndim]


def _format(path: Path) -> ModuleType:
    if is_series(path):
        return import_module(f"{__name__}.dicom")
    suffix = suffix_of(path)
    modules = _MODULES | _SIGNALS | _ANNOTATED | _VIDEOS
    if suffix not in modules and path.is_dir():
        return import_module(f"{__name__}.frames")
    if suffix not in modules:
        mend = f"use {' '.join(modules)}" if suffix not in (".dcm", ".ima") else "give the folder of the series"
        raise FileFault(path, f"{suffix or 'no suffix'} is not a format that is read", mend)
    from atrous.data.formats.variant import variant

    return import_module(f"{__name__}.{variant(path, modules[suffix])}")


def _guarded(path: Path, format_: ModuleType, read: Callable[[Path], _Result], missing: bool = False) -> _Result:
    if not missing and not path.exists():
        raise FileFault(path, "no such file", "check the path")
    return guarded(path, suffix_of(path)[1:], format_.ERRORS, lambda: read(path))


def _positions(path: Path | str, codes: np.ndarray, palette: Palette) -> np.ndarray:
    known = np.array([color_code(color) for color in palette])
    order = np.argsort(known)
    slot = np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)
    positions = order[slot]
    wrong = known[positions] != codes
    if wrong.any():
        color = code_color(int(codes[wrong][0]))
        raise FileFault(path, f"color {color} is not in the palette of {len(known)}", "add it or mend the file")
    return positions.astype(np.uint8 if len(known) <= 256 else np.int32)
