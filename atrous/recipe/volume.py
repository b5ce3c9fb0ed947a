"""Crop and strides of networks for volumes, planned from sizes and spacing so that a coarse axis is strided later.

The rules of nnU-Net (Isensee et al. 2021, supplementary note 2): start from the median size, shrink where it is longest
in the world until it fits, then halve every axis that is about as fine as the finest while four positions are left.
"""

import math
from collections.abc import Sequence

LEVELS = 4
"""Stages of an encoder at most."""
EDGE = 4
"""Positions that the coarsest map has along each axis that was halved."""


def plan_strides(crop: Sequence[float], spacing: Sequence[float]) -> list[tuple[int, ...]]:
    """Stride of every stage, per axis; at least one stage.

    An axis is halved when its distance is less than twice that of the finest, and `EDGE` positions remain.

    >>> plan_strides((36, 50, 35), (1.0, 1.0, 1.0))
    [(2, 2, 2), (2, 2, 2), (2, 2, 2)]
    >>> plan_strides((32, 128, 128), (5.0, 0.8, 0.8))
    [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    """
    extent, distance, stages = list(crop), list(spacing), []
    for _ in range(LEVELS):
        long = [n >= 2 * EDGE for n in extent]
        finest = min((d for d, ok in zip(distance, long, strict=True) if ok), default=0.0)
        stride = tuple(2 if ok and d < 2 * finest * 0.999 else 1 for d, ok in zip(distance, long, strict=True))
        if set(stride) == {1}:
            break
        stages.append(stride)
        extent = [math.ceil(n / s) for n, s in zip(extent, stride, strict=True)]
        distance = [d * s for d, s in zip(distance, stride, strict=True)]
    return stages or [(1,) * len(extent)]


def plan_patch(
    size: Sequence[float], spacing: Sequence[float], positions: int
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Crop and strides for volumes of this median size: the whole volume, rounded up, where it fits.

    >>> plan_patch((36, 50, 35), (1.0, 1.0, 1.0), 262_144)
    ((40, 56, 40), [(2, 2, 2), (2, 2, 2), (2, 2, 2)])
    >>> plan_patch((90, 512, 512), (5.0, 0.8, 0.8), 262_144)[0]
    (20, 112, 112)
    """
    extent = [float(n) for n in size]
    while math.prod(extent) > positions:
        reach = [n * d if n > 2 * EDGE else 0.0 for n, d in zip(extent, spacing, strict=True)]
        longest = reach.index(max(reach))
        extent[longest] = max(2.0 * EDGE, extent[longest] * 0.95)
        if max(reach) == 0:
            break
    strides = plan_strides(extent, spacing)
    total = [math.prod(stage[axis] for stage in strides) for axis in range(len(extent))]
    crop = tuple(
        math.ceil(n / t) * t if cut >= n else max(round(cut / t), 1) * t
        for n, cut, t in zip(size, extent, total, strict=True)
    )
    return tuple(int(n) for n in crop), strides
