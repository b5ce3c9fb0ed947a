"""Numbers on a finer grid than that of their image: pairs of two sizes, from which super-resolution learns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.data.images import SampleImage
from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned
from atrous.data.targets.values import Values
from atrous.errors import UserError

LARGEST_FACTOR = 8
"""By how much a target may be finer than its image."""


def whole_factor(size: Sequence[int], target: Sequence[int]) -> int | None:
    """Return how many times as fine the grid of a target `(*S')` is as that of its image `(*S)`.

    None where it is not the same whole number along every axis.

    >>> whole_factor((10, 12), (20, 24)), whole_factor((10, 12), (20, 25)), whole_factor((10, 12), (20, 36))
    (2, None, None)
    """
    if len(size) != len(target):
        return None
    factors = {fine // coarse if fine % coarse == 0 else 0 for coarse, fine in zip(size, target, strict=True)}
    factor = factors.pop() if len(factors) == 1 else 0
    return factor or None


def usual_factor(scans: Sequence[Scanned]) -> int:
    """Return by how much most targets of some scans are finer than their images; 1 where nothing is known."""
    sizes = [(one.image.size, one.contents.size) for one in scans if one.image is not None and one.contents is not None]
    factors = [factor for pair in sizes if (factor := whole_factor(*pair)) is not None and factor <= LARGEST_FACTOR]
    return max(set(factors), key=lambda factor: (factors.count(factor), factor)) if factors else 1


@dataclass(frozen=True)
class FineValues(Values):
    """Numbers `(K, *S')` on a grid that is finer than that of the image `(C, *S)` by a whole factor along each axis.

    Attributes:
        image: the coarser image.
    """

    image: SampleImage  # pyright: ignore[reportGeneralTypeIssues]  # always given here

    @classmethod
    def size_problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield the pairs whose sizes do not fit, or that differ by another factor than most."""
        usual = usual_factor(scans)
        for one in scans:
            if one.image is None or one.contents is None or not isinstance(one.target, cls):
                continue
            size, other = (" x ".join(map(str, shape)) for shape in (one.contents.size, one.image.size))
            factor = whole_factor(one.image.size, one.contents.size)
            said = f"it is {size}, its image {relative(one.target.image.path, facts.root)} {other}"
            if factor is None:
                what, fix = f"{said}: no whole multiple, the same along each axis", "cut both to sizes that fit"
            elif factor > LARGEST_FACTOR:
                what, fix = f"{said}: {factor} times as fine", f"give pairs of a factor up to {LARGEST_FACTOR}"
            elif factor != usual:
                what, fix = f"{said}: {factor} times as fine, most are {usual} times", "keep pairs of one factor"
            else:
                continue
            yield Problem(relative(one.target.path, facts.root), what, fix, kind="size")

    @staticmethod
    def without(values: Any, missing: np.ndarray) -> Any:
        """See `Target.without`: a position of the image without data is a block of positions of the target."""
        factor = whole_factor(missing.shape, values.shape[1:])
        if factor is None:
            return values
        for axis in range(missing.ndim):
            missing = missing.repeat(factor, axis=axis)
        return np.where(missing, np.float32(np.nan), values.astype(np.float32))

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`: a finer grid stays as it is.

        Raises:
            UserError: the image lies on another grid than its file, of which the target's is no whole multiple.
        """
        if whole_factor(shape, values.shape[1:]) is None:
            raise UserError(
                f"images are resampled to {tuple(shape)}, their targets have {tuple(values.shape[1:])}: pairs of two "
                "sizes need input.spacing=[]"
            )
        return values
