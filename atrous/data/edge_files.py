"""Files of edges: strengths that a detector wrote, and what annotators marked.

A ground truth is a `.mat` file of BSDS500, an image of boundaries, an image of a segmentation, or a folder with one
image for each annotator.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import SUFFIXES, FileFault, is_color, read_header, read_image, read_values, stem, suffix_of
from atrous.data.formats.base import require_room
from atrous.data.formats.colors import require_rgb, single_channel
from atrous.data.formats.mat import read_mat
from atrous.data.inside import walk
from atrous.errors import UserError
from atrous.tasks.thinning import thin

_VARIABLE = "groundTruth"
_ROUNDING = 1e-5
"""By how much strengths may lie outside of 0 to 1: to resize and scale them rounds so."""
_REGIONS = "give --segmentation if regions have numbers (where edges are learned, boundaries = true in dataset.toml)"


def boundaries(regions: np.ndarray) -> np.ndarray:
    """Return the boundaries of a segmentation `(H, W)`, one pixel wide.

    A pixel is a boundary if it, the next one to the right, the next one below and the one between them belong to
    different regions; the result is thinned. This is how the annotations of BSDS500 were made (`seg2bdry`).

    >>> boundaries(np.array([[1, 1, 2, 2]] * 3)).astype(int)[0].tolist()
    [0, 1, 0, 0]
    """
    padded = np.pad(regions, ((0, 1), (0, 1)), mode="edge")
    corner, right, below, across = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return thin((corner != right) | (corner != below) | (right != across) | (below != across))


def read_strength(path: Path) -> np.ndarray:
    """Read edge strengths `(H, W)` as float64 from 0 to 1: images of 8 or 16 bits, or floats in this interval.

    Raises:
        UserError: the file cannot be read, has several channels or further axes, or values outside the interval.
    """
    header = read_header(path)
    if len(header.size) != 2:
        what = f"edge strengths with {len(header.size)} axes"
        raise FileFault(path, what, "give images of two axes")
    require_room(path, header.size, np.float64)
    channels = read_image(path)
    values = single_channel(channels)
    if values is None:
        raise FileFault(
            path, f"edge strengths in {len(channels)} channels that differ", "save them as one gray channel"
        )
    if values.dtype.kind == "u" and header.stored != "bool":
        most = int(values.max(initial=0))
        if most == 1:
            what = f"its strengths are 0 and 1 of {np.iinfo(values.dtype).max}, which is below every threshold"
            raise FileFault(path, what, f"save edges as {np.iinfo(values.dtype).max}")
        return values / float(np.iinfo(values.dtype).max)
    strength = values.astype(np.float64)
    if not (np.abs(strength - 0.5) <= 0.5 + _ROUNDING).all():  # nor NaN
        what = f"its strengths go from {strength.min():.4g} to {strength.max():.4g}"
        raise FileFault(path, what, "save floats from 0 to 1, or images of 8 or 16 bits")
    return strength.clip(0, 1)


def find_strengths(folder: Path) -> dict[str, Path]:
    """Return the files of edge strengths in a folder by name without suffix.

    Raises:
        UserError: there is no such folder, it has no image, or two files have one name.
    """
    return _named(folder, _images(folder), f"edge strengths: give images ({' '.join(SUFFIXES)})")


def find_annotations(folder: Path) -> dict[str, Path]:
    """Return the ground truths in a folder by name without suffix: `.mat` files, images, and folders of images.

    Raises:
        UserError: there is no such folder, it has no ground truth, or two have one name.
    """
    folders = [path for path, _ in _walked(folder, 1)[1:] if _images(path)]
    files = [*_images(folder), *_files(folder, (".mat",))]
    return _named(folder, [*files, *folders], "ground truth: give .mat files, images, or a folder of images for each")


def read_annotators(path: Path, *, segmentation: bool = False) -> list[np.ndarray]:
    """Read what each annotator marked in one image, bool `(H, W)` each.

    Args:
        path: a ground truth that `find_annotations` names.
        segmentation: images are segmentations, of which boundaries are made; of `.mat` files the segmentation is taken.

    Raises:
        UserError: a file cannot be read or has no annotator, sizes differ, or an image of boundaries shows regions.
    """
    if suffix_of(path) == ".mat":
        marked = list(_of_mat(path, segmentation))
    else:
        marked = [_of_image(file, segmentation) for file in (_images(path) if path.is_dir() else [path])]
    for number, one in enumerate(marked[1:], 2):
        if one.shape != marked[0].shape:
            what = f"annotator {number} has the size {_size(one)}, and the first one {_size(marked[0])}"
            raise FileFault(path, what, "give all annotations of an image in one size")
    return marked


def _of_mat(path: Path, segmentation: bool) -> Iterator[np.ndarray]:
    """Yield the boundaries of each annotator in a file of BSDS500."""
    annotators = np.asarray(read_mat(path, _VARIABLE)).ravel()
    if not annotators.size:
        raise FileFault(path, "it has no annotator", "leave the image out, or annotate it")
    wanted = ("Segmentation",) if segmentation else ("Boundaries", "Segmentation")
    for number, annotator in enumerate(annotators, 1):
        fields = getattr(annotator, "dtype", np.dtype("V")).names or ()
        name = next((name for name in wanted if name in fields), None)
        if name is None:
            what = f"annotator {number} has no {' or '.join(wanted)} (it has {', '.join(fields) or 'no fields'})"
            raise FileFault(path, what, "save them as BSDS500 does: groundTruth{k}.Boundaries")
        values = _only(np.asarray(annotator[name]))
        if values.ndim != 2 or not values.size or values.dtype.kind not in "buif":
            what = f"{name} of annotator {number} is no image ({values.dtype} {_size(values)})"
            raise FileFault(path, what, "give an array of rows and columns, or leave the annotator out")
        yield values != 0 if name == "Boundaries" else boundaries(values)


def _only(value: np.ndarray) -> Any:
    """The array in an array of one object."""
    while value.dtype == object and value.size == 1:
        value = np.asarray(value.ravel()[0])
    return value


def _of_image(path: Path, segmentation: bool) -> np.ndarray:
    """Return the boundaries in an image."""
    values, header = read_values(path), read_header(path)
    if is_color(values, header):
        gray = single_channel(values)
        values = require_rgb(path, values, header) if gray is None else gray
    if values.ndim != 2:
        raise FileFault(path, f"a ground truth with {values.ndim} axes", "give images of two axes")
    return boundaries(values) if segmentation else marked_edges(values, path)


def marked_edges(values: np.ndarray, path: Path) -> np.ndarray:
    """Return where an image of boundaries `(H, W)` is not 0, bool `(H, W)`.

    Raises:
        UserError: it has more than two values, or shows regions.
    """
    edges = values != 0
    different = np.unique(values[edges])
    if len(different) > 1:
        what = f"it has {len(different) + 1} values, and boundaries have two, of which one is 0"
        raise FileFault(path, what, _REGIONS)
    if not is_thin(edges):
        raise FileFault(path, "it shows regions, not boundaries", _REGIONS)
    return edges


def is_thin(edges: np.ndarray) -> bool:
    """Return whether at most half of the pixels of binary edges `(H, W)` lie inside: lines do so, regions do not.

    >>> lines = np.zeros((9, 9), bool)
    >>> lines[4] = True
    >>> is_thin(lines), is_thin(np.ones((9, 9), bool))
    (True, False)
    """
    inside = np.pad(edges, 1)
    for axis in (0, 1):
        inside = inside & np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    return bool(2 * np.count_nonzero(inside) <= np.count_nonzero(edges))


def _walked(folder: Path, levels: int) -> list[tuple[Path, list[str]]]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: give a folder of files with the names of the images")
    wanted = (*SUFFIXES, ".mat")
    return [(here, files) for here, _, files in walk(folder, lambda name: suffix_of(name) in wanted, levels)]


def _files(folder: Path, suffixes: Any) -> list[Path]:
    return [folder / name for name in _walked(folder, 0)[0][1] if suffix_of(name) in suffixes]


def _images(folder: Path) -> list[Path]:
    return _files(folder, SUFFIXES)


def _named(folder: Path, paths: list[Path], what: str) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        name = path.name if path.is_dir() else stem(path)
        if name in named:
            raise UserError(f"{path}: the same name as {named[name].name}: leave one of them out")
        named[name] = path
    if not named:
        raise UserError(f"{folder}: holds no {what}")
    return named


def _size(values: np.ndarray) -> str:
    return " x ".join(map(str, values.shape)) or "one value"
