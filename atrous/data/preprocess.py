"""What is done to a file's values before a network sees them: channels, intensities, gaps, the grid.

A recipe keeps it (section `input`), training, evaluation and prediction do the same. After nnU-Net (Isensee et al.
2021, "nnU-Net: a self-configuring method", supplementary note 2): z-score per case for MR, clipping at percentiles of
the foreground for CT, linear resampling to the median spacing. `Expected` tells in what an input is unlike the training
data.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np

from atrous.data.background import Background, WithBackground
from atrous.data.formats import FileFault
from atrous.data.formats.orient import Affine, Turn, axis_codes, turn_to
from atrous.data.moments import merge, moments
from atrous.data.plain_text import plain_name
from atrous.data.resampled import resampled
from atrous.data.source import Selected, Source
from atrous.data.views import Filled, Gaps, GrayOrColor, Scaled

SLAB = 1 << 22
"""Values looked at together when a source is measured."""
SPACINGS_DIFFER = 1.25
"""Volumes whose spacing differs by more than this factor are brought to one grid; maps are told of."""
RATES_DIFFER = 1.01
"""The same of the sampling rates of recordings."""
SMALL = 0.02
"""Values none of which exceeds this part of the greatest training value have another scale, as 0..1 for 0..255."""
LOOKED_AT = 1 << 18
"""Values at each of three places that are looked at to tell the range of an input."""


@dataclass(frozen=True)
class Preparation:
    """What is done to the values of every input.

    Attributes:
        intensity: per channel (or one for all) `keep`: as in the file; `zscore`: mean 0 and deviation 1 over the case;
            `clip`: between `low` and `high`.
        low: per channel, where `clip` cuts.
        high: per channel, where `clip` cuts.
        spacing: distance of positions along each axis of the grid on which the network works; empty: that of the file.
        nodata: values of files that mean "nothing was measured here"; they are treated as NaN.
        fill: per channel (or one for all), what replaces NaN and infinite values after scaling. Their labels are void.

    >>> Preparation(("zscore",)).changes, Preparation().changes
    (True, False)
    """

    intensity: tuple[str, ...] = ("keep",)
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    spacing: tuple[float, ...] = ()
    nodata: tuple[float, ...] = ()
    fill: tuple[float, ...] = (0.0,)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.spacing) or set(self.intensity) != {"keep"}


@dataclass(frozen=True)
class Scaling:
    """A pointwise map of one case: clip to `low..high`, then `(x - shift) / spread`; each `(C,)` float64."""

    low: np.ndarray
    high: np.ndarray
    shift: np.ndarray
    spread: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values `(C, ...)` mapped, float32; any part of the case, so that it can run inside a stream."""
        shape = (-1, *[1] * (values.ndim - 1))
        low, high, shift, spread = (
            part.astype(np.float32).reshape(shape) for part in (self.low, self.high, self.shift, self.spread)
        )
        return (np.clip(values.astype(np.float32), low, high) - shift) / spread


def scaling_of(source: Source, preparation: Preparation) -> Scaling | None:
    """How the intensities of one case are mapped; None when they are kept.

    A z-score needs the mean and deviation of the whole case: the source `(C, *S)` is passed over once, slab by slab.

    >>> scaling = scaling_of(np.array([[1.0, 3.0]]), Preparation(("zscore",)))
    >>> scaling(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    channels = source.shape[0]
    kinds = preparation.intensity if len(preparation.intensity) == channels else preparation.intensity[:1] * channels
    if set(kinds) <= {"keep"}:
        return None
    low, high = np.full(channels, -np.inf), np.full(channels, np.inf)
    shift, spread = np.zeros(channels), np.ones(channels)
    for i, kind in enumerate(kinds):
        if kind == "clip":
            low[i], high[i] = preparation.low[i], preparation.high[i]
    if "zscore" in kinds:
        rows = max(1, SLAB // max(1, int(np.prod(source.shape)) // source.shape[1]))
        starts = range(0, source.shape[1], rows)
        found = reduce(merge, (moments(np.asarray(source[:, start : start + rows])) for start in starts))
        chosen = np.array([kind == "zscore" for kind in kinds])
        shift[chosen] = found.mean[chosen]
        spread[chosen] = np.where(found.std > 0, found.std, 1.0)[chosen]
    return Scaling(low, high, shift, spread)


def scaled(source: Source, preparation: Preparation) -> Source:
    """Return a source with the intensities that the network expects, scaled as it is sliced.

    The source itself is returned if its intensities are kept.
    """
    scaling = scaling_of(source, preparation)
    return source if scaling is None else Scaled(source, scaling)


def prepare(image: np.ndarray, preparation: Preparation, spacing: Sequence[float] | None) -> np.ndarray:
    """An image `(C, *S)` as the network expects it: intensities, then gaps, then grid.

    Args:
        image: values of the file.
        preparation: what to do.
        spacing: of the image, per axis; None where it is unknown: its grid is then kept.
    """
    scaling = scaling_of(image, preparation)
    image = image if scaling is None else scaling(image)
    if image.dtype.kind == "f" and missing(image) is not None:
        image = np.asarray(Filled(image, preparation.fill)[...])
    shape = working_shape(image.shape[1:], spacing, preparation)
    if shape == image.shape[1:]:
        return image
    return np.asarray(resampled(image, shape)[...])


def missing(image: np.ndarray) -> np.ndarray | None:
    """Return where a channel of an image `(C, *S)` is NaN or infinite, `(*S)` bool; None if it is so nowhere.

    >>> missing(np.array([[1.0, np.nan]])).tolist(), missing(np.zeros((1, 2)))
    ([False, True], None)
    """
    if image.dtype.kind != "f" or not isinstance(image, np.ndarray):  # sequences of bases are read as they are sliced
        return None
    gaps = np.asarray(~np.isfinite(image).all(axis=0))
    return gaps if gaps.any() else None


def working_shape(shape: Sequence[int], spacing: Sequence[float] | None, preparation: Preparation) -> tuple[int, ...]:
    """Size of the grid on which the network works for an image of this size and spacing.

    >>> working_shape((10, 20), (3.0, 1.0), Preparation(spacing=(1.5, 1.0)))
    (20, 20)
    """
    target = preparation.spacing
    if not target or spacing is None or len(spacing) != len(target):
        return tuple(shape)
    return tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, target, strict=True))


@dataclass(frozen=True)
class Wanted:
    """The channels that are wanted of every input.

    Attributes:
        count: how many; None for as many as a file has.
        names: their names, in order; empty where nobody says them.
        color: whether they are red, green and blue; None where nobody knows.
        renames: whether the names are new names of the channels of a file that has none of them.
        by: who wants them, for messages.
        in_data: whether they are those of a data set, for which dataset.toml may name others.
        frames: whether the inputs are videos, whose frames are pictures.
    """

    count: int | None = None
    names: tuple[str, ...] = ()
    color: bool | None = None
    renames: bool = False
    by: str = "the network reads"
    in_data: bool = False
    frames: bool = False


def to_channels(source: Source, wanted: Wanted, file: Path, names: Sequence[str] = ()) -> Source:
    """Return a source `(C, *S)` with the channels that are wanted.

    Where both sides name all their channels, each is found by its name (case and spaces do not count), whatever its
    place; channels that are not wanted are left out. Without names channels are taken as they come. An 8-bit gray
    picture is repeated to become color, and an 8-bit color picture becomes gray by the luma weights, so are frames of
    videos; nothing else changes its number of channels.

    Args:
        source: the values.
        wanted: the channels.
        file: names the input in messages.
        names: of the channels of the source, in order; "" for a channel without a name.

    Raises:
        FileFault: a channel is missing, or their number does not fit.

    >>> to_channels(np.array([[1], [2]]), Wanted(names=("b", "a")), Path("x.csv"), ("a", "b"))[:, 0].tolist()
    [2, 1]
    """
    if _known(names) and _known(wanted.names):
        found = _by_name(source, wanted, file, names)
        if found is not None:
            return found
    count, channels = wanted.count, int(source.shape[0])
    picture = source.dtype == np.uint8 and len(source.shape) == (4 if wanted.frames else 3)
    if count is None or count == channels:
        return source
    if (channels, count) == (1, 3) and picture and (wanted.frames or wanted.color is not False):
        return GrayOrColor(source)
    if (channels, count) == (3, 1) and picture:  # a picture is small, a video is not
        return GrayOrColor(source) if wanted.frames else GrayOrColor(source)[...]
    what = f"{channels} {'channel' if channels == 1 else 'channels'}, but {wanted.by} {count}"
    raise FileFault(file, f"{what}{f' ({listed})' if (listed := ', '.join(wanted.names)) else ''}", _fix(wanted))


def _by_name(source: Source, wanted: Wanted, file: Path, names: Sequence[str]) -> Source | None:
    """The wanted channels by their names; None where a file has other names for all of them."""
    order = positions(names, wanted.names)
    if order is not None:
        return source if order == tuple(range(source.shape[0])) else Selected(source, order)
    stored = {plain_name(name) for name in names}
    missing = [name for name in wanted.names if plain_name(name) not in stored]
    # Microscopes and satellites name the same channels in many ways; a single channel can be no other one.
    free = wanted.renames or len(source.shape) > 2 or (len(names), len(wanted.names)) == (1, 1)
    if free and len(missing) == len(wanted.names):
        return None
    what = f"its channels are {', '.join(names)}, but {wanted.by} {', '.join(wanted.names)}"
    common = [name for name in wanted.names if name not in missing]
    other = "rename the channels"
    if wanted.in_data and common:
        other = f"write channels = {json.dumps(common, ensure_ascii=False)} in dataset.toml"
    raise FileFault(file, what, f"export {', '.join(missing)} too, or {other}")


def positions(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Return where the wanted channels stand among `names`; None if one is missing, or if a side does not name all.

    >>> positions(("time", "ECG ", "Resp"), ("resp", "ecg"))
    (2, 1)
    """
    if not _known(names) or not _known(wanted):
        return None
    places = {plain_name(name): place for place, name in enumerate(names)}
    found = [places.get(plain_name(name)) for name in wanted]
    return None if None in found else tuple(place for place in found if place is not None)


def renamed(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return a line that tells that channels have other names than the training data's; none where they do not."""
    if not _known(names) or not _known(wanted) or positions(names, wanted) is not None:
        return []
    named, usual = ", ".join(names), ", ".join(wanted)
    return [f"its channels are called {named}, those of the training data {usual}: they are taken in this order"]


def _fix(wanted: Wanted) -> str:
    return "correct one of the two" if wanted.in_data else "give the files of all channels"


def _known(names: Sequence[str]) -> bool:
    """Whether every channel has a name of its own."""
    return len(names) > 0 and all(names) and len({plain_name(name) for name in names}) == len(names)


@dataclass(frozen=True)
class Expected:
    """What the training inputs were like.

    Attributes:
        channels: their channels.
        spacing: median distance of neighboring positions along each axis, as in the files; empty where unknown.
        dtype: "uint8", "uint16" or "float32"; empty where unknown.
        range: least and greatest value; None where unknown.
        resampled: whether inputs of another spacing are brought to that of the training (volumes and recordings).
        orientation: where the axes i, j, k of the training volumes point (`axis_codes`); "" where unknown.
        time_column: name of the column of tables that holds the times, where dataset.toml names it.
        images: of how many images of one size, one behind the other, the channels are: two of before and after.
        background: of a video, how the background is found that is put behind each frame as a second image; else None.
    """

    channels: Wanted = field(default_factory=Wanted)
    spacing: tuple[float, ...] = ()
    dtype: str = ""
    range: tuple[float, float] | None = None
    resampled: bool = False
    orientation: str = ""
    time_column: str = ""
    images: int = 1
    background: Background | None = None

    @property
    def of_image(self) -> Wanted:
        """The channels that each of the images has."""
        count = self.channels.count
        if self.images == 1 or count is None:
            return self.channels
        return Wanted(count // self.images, frames=self.channels.frames)

    @property
    def of_file(self) -> Wanted:
        """The channels that a file has: of a video those of its frames, of other data all."""
        return self.channels if self.background is None else self.of_image

    def composed(self, source: Source) -> Source:
        """Return the channels of a file with what is made of them: the background of a video."""
        return source if self.background is None else WithBackground(source, self.background)

    def turn(self, affine: Affine | None) -> Turn | None:
        """Return how a volume with this affine is turned so that its axes point as those of the training volumes."""
        return turn_to(axis_codes(affine), self.orientation) if self.orientation else None

    def turned(self, affine: Affine | None) -> list[str]:
        """Return a line that tells that a volume is turned; none where it is not."""
        if self.turn(affine) is None:
            return []
        codes = axis_codes(affine)
        return [f"its axes point to {codes}, those of the training data to {self.orientation}: it is turned"]

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
            source = Gaps(source, usual.nodata) if usual.nodata else source
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
