"""Whether numbered images in folders are the frames of videos, judged by what they show.

Numbered images may be frames, and they may be patches of slides, one folder for each patient, or slices of scans. From
frame to frame little changes. The mean square difference of neighbors, `D1`, is compared with that of images half a
folder apart, `D2`, and with the variance `V` within the images. Images that have nothing to do with each other have
`D1 = D2 = 2 V`, whatever they show; videos have a small `D1 / D2` where something moves, and a small `D1 / V` where
nothing does. Half of a short folder is little: `D2` is taken at least `LEAST_APART` images apart. Both are taken of
pictures reduced to `SIDE` pixels, so that noise does not count.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, read_image

SIDE = 24
"""Pixels to which a picture is reduced along each axis, at most."""
MOST_FOLDERS = 4
MOST_FRAMES = 6
"""Pictures that are compared with the next one, of each folder."""
LEAST_APART = 3
MOVES = 0.3
"""Greatest `D1 / D2` of a video. The eight sequences of DAVIS 2016 that were looked at have 0.03 to 0.24."""
ALIKE = 0.5
"""Greatest `D1 / V` of a video in which something moves (DAVIS: 0.01 to 0.36); tiles that overlap by half have more."""
STANDS = 0.02
"""Greatest `D1 / V` of a video in which nothing moves."""


def is_motion(folders: Sequence[Sequence[Path]], gray: bool) -> bool:
    """Return whether the pictures of the folders change as little from one to the next as those of a video.

    Args:
        folders: the pictures of each, in order.
        gray: whether gray pictures may be those of a video. Slices of a scan change as smoothly, and are gray.

    Returns:
        False also where pictures have different sizes, or cannot be read, which the check then says.
    """
    near, far, spread = [], [], []
    for files in _some(folders, MOST_FOLDERS):
        apart = max(len(files) // 2, min(LEAST_APART, len(files) - 1))
        start = max(0, (len(files) - apart - MOST_FRAMES) // 2)
        try:
            run = [_reduced(path) for path in files[start : start + MOST_FRAMES + 1]]
            later = [_reduced(path) for path in files[start + apart : start + apart + len(run)]]
        except FileFault:
            return False
        shapes = {picture.shape for picture in (*run, *later)}  # of a video in color, some frames may be gray
        if len({shape[1:] for shape in shapes}) > 1 or len({shape[0] for shape in shapes} - {1}) > 1:
            return False
        if not gray and all(len(picture) != 3 or not np.ptp(picture, axis=0).any() for picture in run):
            return False
        near += [float(np.mean((a - b) ** 2)) for a, b in pairwise(run)]
        far += [float(np.mean((a - b) ** 2)) for a, b in zip(run, later, strict=False)]
        spread += [float(picture.var(axis=(-2, -1)).mean()) for picture in run]
    if not near or not far:
        return False
    next_to, half_apart, within = (float(np.median(values)) for values in (near, far, spread))
    moves = next_to <= MOVES * half_apart and next_to <= ALIKE * within
    return moves or next_to <= STANDS * within


def _some(folders: Sequence[Sequence[Path]], most: int) -> list[Sequence[Path]]:
    """A few of the folders, spread over all."""
    places = np.linspace(0, len(folders) - 1, min(most, len(folders))).round().astype(int)
    return [folders[place] for place in dict.fromkeys(places.tolist())]


def _reduced(path: Path) -> np.ndarray:
    """A picture `(C, H, W)` as means of blocks, `(C, h, w)` with sides of at most `SIDE`."""
    picture = read_image(path).astype(np.float32)
    if picture.ndim != 3:
        raise FileFault(path, "it is no picture", "keep the frames of a clip alike")
    height, width = picture.shape[1:]
    rows, columns = (np.arange(0, size, max(1, -(-size // SIDE))) for size in (height, width))
    blocks = np.add.reduceat(np.add.reduceat(picture, rows, axis=1), columns, axis=2)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    return blocks / counts
