"""How well a star-convex polygon (polyhedron) can represent an object."""

from collections.abc import Sequence

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.directions import RAYS
from atrous.objects.rays import distances_at
from atrous.objects.stars import star_shape

LONGEST = 128
"""Objects that are longer than this along an axis are measured on every second (third, ...) position."""


def star_iou(mask: np.ndarray, rays: int | None = None, steps: Sequence[float] = ()) -> float:
    """Return the intersection over union of an object and of the star-convex shape around its innermost position.

    That is the position from which the nearest one outside is furthest. The shape is given by the distances to the
    border along the rays, and is drawn again on the grid.

    Args:
        mask: `(*S)` bool with two or three axes, where the object is; somewhere it is.
        rays: their number; that of a plan if None.
        steps: length of a step from a position to the next along each axis; none for 1 along all.

    >>> star_iou(np.ones((9, 9), bool))
    1.0
    """
    from scipy import ndimage  # imported here: `atrous --help` must not wait for it

    ndim, every = mask.ndim, -(-max(mask.shape) // LONGEST)
    rays, steps = rays or RAYS[ndim], tuple(steps or (1.0,) * ndim)
    thin = mask[(slice(None, None, every),) * ndim]
    mask = thin if thin.any() else mask
    inside = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1), sampling=steps))
    place = np.array(np.unravel_index(int(inside[(slice(1, -1),) * ndim].argmax()), mask.shape))
    shape = star_shape(mask.shape, rays, steps)
    lengths = distances_at(mask, place[None], rays, steps) * shape.stretch
    flat = np.array([np.ravel_multi_index(place, mask.shape)])
    drawn, one = np.zeros(mask.shape, np.uint32), np.ones(1, np.int64)
    star = Candidates(flat, np.ones(1, np.float32), one, lengths)
    shape.draw(star, one, [slice(0, n) for n in mask.shape], drawn)
    return float(((drawn > 0) & mask).sum() / ((drawn > 0) | mask).sum())
