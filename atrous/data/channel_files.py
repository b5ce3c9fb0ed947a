"""The channels of one volume in several files: brought onto the grid of the first by their affines, or refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, Header
from atrous.data.formats.orient import Affine, Turn, is_singular, turn_between, turned_affine
from atrous.data.source import Source, Turned

APART = 0.25
"""Part of a voxel by which the corners of two channels may lie apart."""
_FIX = "register the channels of a case and resample them to one grid"


def on_first_grid(sources: Sequence[Source], headers: Sequence[Header], files: Sequence[Path]) -> list[Source]:
    """Return the channels of one image, each turned as its affine says so that its voxels are those of the first.

    Args:
        sources: values of each file, `(C, *S)`.
        headers: of each file.
        files: name them in messages.

    Raises:
        FileFault: a file has another size, another spacing, or another place in the world; no turn fixes that.
    """
    aligned = [sources[0]]
    for source, header, file in zip(sources[1:], headers[1:], files[1:], strict=True):
        affine = header.affine
        turn = turn_between(affine, headers[0].affine, header.size)
        turned = source if turn is None else turned_image(source, turn)
        _require_size(turned, sources[0], file, files[0])
        if affine is not None and turn is not None:
            affine = turned_affine(affine, turn, header.size)
        _require_place(affine, headers[0], file, files[0])
        aligned.append(turned)
    return aligned


def turned_image(source: Source, turn: Turn) -> Source:
    """Return an image `(C, K, J, I)` whose volume is turned; a source that is no array is turned as it is sliced."""
    order = (0, *(axis + 1 for axis in turn.order))
    mirrored = tuple(axis + 1 for axis in turn.mirrored)
    if isinstance(source, np.ndarray):
        return Turn(order, mirrored)(source)
    return Turned(source, order, mirrored)


def _require_size(source: Source, first: Source, file: Path, first_file: Path) -> None:
    size, wanted = tuple(source.shape[1:]), tuple(first.shape[1:])
    if size != wanted:
        raise FileFault(file, f"size {size}, but {first_file.name} has {wanted}", _FIX)


def _require_place(ours: Affine | np.ndarray | None, first: Header, file: Path, first_file: Path) -> None:
    """Refuse a channel whose affine puts its voxels elsewhere than those of the first channel."""
    theirs = first.affine
    if ours is None or theirs is None or len(first.size) != 3 or is_singular(ours) or is_singular(theirs):
        return
    affine, wanted = np.array(ours, float), np.array(theirs, float)
    length = np.array(first.size[::-1], float) - 1
    corners = np.array(np.meshgrid(*([0.0, n] for n in length))).reshape(3, -1)
    moved = np.linalg.solve(wanted[:3, :3], (affine - wanted)[:3, :3] @ corners + (affine - wanted)[:3, 3:])
    if np.abs(moved).max() > APART:
        what = f"its voxels are not those of {first_file.name}: {_difference(affine, wanted)}"
        raise FileFault(file, what, _FIX)


def _difference(affine: np.ndarray, wanted: np.ndarray) -> str:
    spacing, usual = (np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (affine, wanted))
    if (np.abs(spacing / usual - 1) > 1e-3).any():
        return f"spacing {_numbers(spacing)} mm for {_numbers(usual)} mm"
    if np.abs(affine[:3, :3] / spacing - wanted[:3, :3] / usual).max() > 1e-3:
        return "its axes point in other directions"
    return f"it is shifted by {_numbers(affine[:3, 3] - wanted[:3, 3])} mm"


def _numbers(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
