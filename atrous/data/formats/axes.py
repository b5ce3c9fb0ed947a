"""Axes with names, as microscopes write them: which is the channel, which are space, in what unit.

`X` and `Y` are space. `C` and `S` (samples of a color) are channels. `Z` is depth and `T` time: the first axis of a
volume or of a video, left out where it is one long. An axis of any other name is read as depth, which is what the pages
of a TIFF without further word are; two axes longer than one beside Y and X are too many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from atrous.data.source import ChannelFirst, Source, Squeezed

MICROMETERS = {
    "pm": 1e-6, "picometer": 1e-6, "Å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "µm": 1.0, "um": 1.0,
    "μm": 1.0, "micron": 1.0, "micrometer": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6,
    "meter": 1e6, "inch": 25400.0,
}  # fmt: skip
"""Micrometers in each unit of length, by its symbol and by its name."""


@dataclass(frozen=True)
class Axes:
    """How a stored array is read as `(C, *S)`.

    Attributes:
        names: a letter for each stored axis.
        channel: which stored axis is the channel, None without one.
        space: which are the axes of `S`, in order.
    """

    names: str
    channel: int | None
    space: tuple[int, ...]

    @property
    def letters(self) -> str:
        """The letters of `S`: `YX`, `ZYX` or `TYX`."""
        return "".join(letter if (letter := self.names[axis]) in "TZYX" else "Z" for axis in self.space)

    def view(self, array: Source, channels: int | None = None) -> ChannelFirst:
        """A stored array as `(C, *S)`, sliced where it lies."""
        kept = [axis for axis in range(len(self.names)) if axis == self.channel or axis in self.space]
        squeezed = array if len(kept) == len(self.names) else Squeezed(array, kept)
        return ChannelFirst(squeezed, None if self.channel is None else kept.index(self.channel), channels)


def read_axes(names: str, shape: Sequence[int]) -> Axes:
    """How an array of named axes is read.

    >>> read_axes("TCZYX", (1, 2, 30, 64, 64))
    Axes(names='TCZYX', channel=1, space=(2, 3, 4))
    >>> read_axes("QYX", (5, 64, 64)).letters
    'ZYX'

    Raises:
        ValueError: it has more axes than one beside Y and X, several of channels, or X is not the last of space.
    """
    names = names.upper()
    channels = [axis for axis, name in enumerate(names) if name in "CS" and shape[axis] > 1]
    if len(channels) > 1:
        raise ValueError(f"it has channels along two axes, {names} of {tuple(shape)}: join them")
    channel = channels[0] if channels else next((axis for axis, name in enumerate(names) if name in "CS"), None)
    deep = [axis for axis, name in enumerate(names) if name not in "CSYX" and shape[axis] > 1]
    if len(deep) > 1:
        long = " and ".join(names[axis] for axis in deep)
        raise ValueError(
            f"axes {names} of {tuple(shape)} have both {long} beside Y and X: "
            "save each time point, or each position, as a file of its own"
        )
    space = (*deep, *(names.index(name) for name in "YX" if name in names))
    if list(space) != sorted(space):
        raise ValueError(f"its axes are stored as {names}, not with X last and Y before it: transpose them")
    return Axes(names, channel, space)


def micrometers(size: float, unit: str | None) -> float | None:
    """A length in micrometers; None where the unit is none of length.

    >>> micrometers(65.0, "nm"), micrometers(1.0, "pixel")
    (0.065, None)
    """
    factor = MICROMETERS.get((unit or "").strip().lower(), MICROMETERS.get((unit or "").strip()))
    return None if factor is None else round(size * factor, 12)
