"""Where training looks: which sample, around which position, how much zoomed and turned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.data.view import View


@dataclass(frozen=True)
class Geometry:
    """How views are drawn.

    Attributes:
        crop: size of a crop per axis.
        scale: least and greatest zoom (2 shows things twice as large), drawn evenly in the logarithm.
        rotate: greatest turn in degrees.
        about: axes of a volume about which crops turn, each by its own angle; 0 turns in the plane of the last two.
        flip: per axis, whether to mirror half of the crops.
        foreground: share of crops that are centered on a class drawn evenly from those of the sample.
        keep: axes that are not zoomed and along which crops start at whole positions, so that nothing is blended: time.
        classes: on which classes crops are centered; on all where none is named.
    """

    crop: tuple[int, ...]
    scale: tuple[float, float] = (0.7, 1.5)
    rotate: float = 10.0
    flip: tuple[bool, ...] = (False, True)
    foreground: float = 0.33
    about: tuple[int, ...] = (0,)
    keep: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()


def _matrix(rng: np.random.Generator, geometry: Geometry) -> np.ndarray:
    ndim = len(geometry.crop)
    low, high = np.log(geometry.scale)
    zoom = math.exp(rng.uniform(low, high))
    mirror = [-1.0 if flip and rng.random() < 0.5 else 1.0 for flip in geometry.flip]
    matrix = np.diag([m if axis in geometry.keep else m / zoom for axis, m in enumerate(mirror)])
    if ndim > 1:
        for axis in geometry.about if ndim == 3 else (0,):
            plane = [a for a in range(ndim) if ndim == 2 or a != axis]
            angle = math.radians(rng.uniform(-geometry.rotate, geometry.rotate))
            turn = np.eye(ndim)
            turn[np.ix_(plane, plane)] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            matrix = turn @ matrix
    return matrix


def _center(
    rng: np.random.Generator,
    shape: Sequence[int],
    reach: np.ndarray,
    places: dict[int, np.ndarray],
    foreground: float,
) -> np.ndarray:
    """Center of a crop that reaches `reach` positions to either side; near a drawn place of a class, or anywhere."""
    size = np.asarray(shape, float)
    if places and rng.random() < foreground:
        of_class = places[int(rng.choice(sorted(places)))]
        center = of_class[rng.integers(len(of_class))] + 0.5 + rng.uniform(-0.5, 0.5, len(size)) * reach
    else:
        center = rng.uniform(0, size)
    # A crop that fits lies inside; one that does not covers the whole axis.
    low, high = np.minimum(reach, size - reach), np.maximum(reach, size - reach)
    return np.clip(center, low, high)


def draw_view(
    rng: np.random.Generator, index: int, shape: Sequence[int], places: dict[int, np.ndarray], geometry: Geometry
) -> View:
    """Draw one view of a sample.

    Args:
        rng: everything drawn comes from it.
        index: of the sample.
        shape: its spatial shape.
        places: places `(n, ndim)` of each class on which the view may be centered.
        geometry: how views are drawn.
    """
    matrix = _matrix(rng, geometry)
    reach = np.abs(matrix) @ (np.asarray(geometry.crop) / 2)
    if geometry.classes:
        places = {number: of_class for number, of_class in places.items() if number in geometry.classes}
    center = _center(rng, shape, reach, places, geometry.foreground)
    for axis in geometry.keep:
        half = geometry.crop[axis] / 2
        center[axis] = round(float(center[axis]) - half) + half
    return View(index, center, matrix)
