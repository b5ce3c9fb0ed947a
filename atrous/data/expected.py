"""What a network was trained on, and what a new input that differs needs: another grid, or a word to the user."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from atrous.data.channels import Wanted
from atrous.data.preprocess import Preparation
from atrous.data.source import Source

SPACINGS_DIFFER = 1.25
"""Volumes whose spacing differs by more than this factor are brought to one grid; maps are told of."""
RATES_DIFFER = 1.01
"""The same of the sampling rates of recordings."""
SMALL = 0.02
"""Values none of which exceeds this part of the greatest training value have another scale, as 0..1 for 0..255."""
LOOKED_AT = 1 << 18
"""Values at each of three places that are looked at to tell the range of an input."""


@dataclass(frozen=True)
class Expected:
    """What the training inputs were like.

    Attributes:
        channels: their channels.
        spacing: median distance of neighboring positions along each axis, as in the files; empty where unknown.
        dtype: "uint8", "uint16" or "float32"; empty where unknown.
        range: least and greatest value; None where unknown.
        resampled: whether inputs of another spacing are brought to that of the training (volumes and recordings).
    """

    channels: Wanted = field(default_factory=Wanted)
    spacing: tuple[float, ...] = ()
    dtype: str = ""
    range: tuple[float, float] | None = None
    resampled: bool = False

    def preparation(self, usual: Preparation, spacing: Sequence[float] | None) -> Preparation:
        """Return the preparation of an input with this spacing: its grid becomes that of the training data.

        Args:
            usual: the preparation of the recipe, which may have a grid of its own.
            spacing: of the input, per axis; None where unknown.
        """
        if usual.spacing or not self.resampled or not self._spacing_differs(spacing):
            return usual
        return replace(usual, spacing=self.spacing)

    def differences(self, source: Source, spacing: Sequence[float] | None, usual: Preparation) -> list[str]:
        """Return what is unlike the training data, one line each: spacing, type and range of the values.

        Args:
            source: the values `(C, *S)`, with the channels that the network reads, before they are scaled.
            spacing: of the input, per axis; None where unknown.
            usual: the preparation of the recipe: intensities that it scales case by case have no range to compare.
        """
        lines = []
        if self._spacing_differs(spacing) and spacing is not None and not usual.spacing:
            apart, trained = _numbers(spacing), _numbers(self.spacing)
            done = "it is resampled" if self.resampled else "objects look larger or smaller: resample it"
            lines.append(f"its positions are {apart} apart, those of the training data {trained}: {done}")
        if set(usual.intensity) == {"keep"}:
            lines += self._values_differ(source, len(source.shape) == 4)
        return lines

    def _spacing_differs(self, spacing: Sequence[float] | None) -> bool:
        if spacing is None or len(spacing) != len(self.spacing):
            return False
        most = RATES_DIFFER if len(spacing) == 1 else SPACINGS_DIFFER
        factors = [a / b for a, b in zip(spacing, self.spacing, strict=True) if a > 0 and b > 0]
        return any(max(factor, 1 / factor) > most for factor in factors)

    def _values_differ(self, source: Source, volume: bool) -> list[str]:
        dtype, lines = np.dtype(source.dtype), []
        if self.range is None:
            return lines
        low, high = self.range
        least, most = value_range(source)
        seen, trained = f"{least:.3g} to {most:.3g}", f"{low:.3g} to {high:.3g}"
        size, usual_size = max(abs(least), abs(most)), max(abs(low), abs(high))
        if most > high + (high - low) or least < low - (high - low) or (0 < size < SMALL * usual_size and most > least):
            lines.append(f"its values are {seen}, those of the training data {trained}: save it with the same scale")
        elif self.dtype and dtype.kind == "u" and self.dtype != dtype.name and not volume:
            lines.append(f"it is stored as {dtype.name}, the training data as {self.dtype}: save it as these")
        return lines


def value_range(source: Source) -> tuple[float, float]:
    """Return the least and the greatest finite value at the start, in the middle and at the end of a source `(C, *S)`.

    >>> value_range(np.array([[1.0, np.nan, 3.0]]))
    (1.0, 3.0)
    """
    length, row = int(source.shape[1]), int(np.prod(source.shape)) // max(1, int(source.shape[1]))
    rows = max(1, LOOKED_AT // max(1, row))
    starts = {0, max(0, length // 2 - rows // 2), max(0, length - rows)}
    parts = [np.asarray(source[:, start : start + rows]) for start in sorted(starts)]
    values = np.concatenate([part[np.isfinite(part)].ravel() for part in parts])
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _numbers(spacing: Sequence[float]) -> str:
    return " x ".join(f"{distance:g}" for distance in spacing)
