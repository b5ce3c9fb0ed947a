"""How long a step from a position to the next is along each axis: voxels need not be cubes, nor pixels squares."""

import math
from collections.abc import Sequence


def unit_steps(aspect: Sequence[float], ndim: int) -> tuple[float, ...]:
    """Return the length of a step along each axis; the unit is the side of a cube (square) of a position's volume.

    In this unit a ball of so many positions has the same radius, whatever the steps. With equal steps it is a position.

    Args:
        aspect: distances of neighboring positions along each axis, in any unit; none for equal ones.
        ndim: number of axes.

    Raises:
        ValueError: `aspect` is not one positive number for each axis.

    >>> unit_steps((8.0, 1.0, 1.0), 3), unit_steps((), 2)
    ((4.0, 0.5, 0.5), (1.0, 1.0))
    """
    if not isinstance(aspect, list | tuple) or len(aspect) not in (0, ndim):
        raise ValueError(f"aspect is {aspect}: give {ndim} numbers, one for each axis")
    if not all(isinstance(step, int | float) and 0 < step < math.inf for step in aspect):
        raise ValueError(f"aspect is {list(aspect)}: it holds distances, give numbers above 0")
    if len(set(aspect)) < 2:
        return (1.0,) * ndim
    unit = math.exp(math.fsum(map(math.log, aspect)) / ndim)
    return tuple(step / unit for step in aspect)
