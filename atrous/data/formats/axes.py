"""Arrays with named axes, as microscopes write them: which axis is the channel, and which are spatial.

`X` and `Y` are spatial. `C` and `S` (samples of a color) are channels. `Z` (depth) or `T` (time) is the first axis of a
volume or a video, and is dropped if its length is one. An axis with any other name is read as depth, as the pages of a
TIFF are if the file does not say what they are. At most one axis beside Y and X may be longer than one.
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
        names: one letter for each stored axis.
        channel: number of the stored axis that is the channel, None if there is none.
        space: numbers of the stored axes that are the axes of `S`, in order.
    """

    names: str
    channel: int | None
    space: tuple[int, ...]

    @property
    def letters(self) -> str:
        """The letters of `S`: `YX`, `ZYX` or `TYX`."""
        return "".join(letter if (letter := self.names[axis]) in "TZYX" else "Z" for axis in self.space)

    def view(self, array: Source, channels: int | None = None) -> ChannelFirst:
        """Return a stored array as a source `(C, *S)` with at most `channels` channels."""
        kept = [axis for axis in range(len(self.names)) if axis == self.channel or axis in self.space]
        squeezed = array if len(kept) == len(self.names) else Squeezed(array, kept)
        return ChannelFirst(squeezed, None if self.channel is None else kept.index(self.channel), channels)


def read_axes(names: str, shape: Sequence[int]) -> Axes:
    """Return how an array with named axes is read as `(C, *S)`.

    Args:
        names: one letter for each axis.
        shape: length of each axis.

    >>> read_axes("TCZYX", (1, 2, 30, 64, 64))
    Axes(names='TCZYX', channel=1, space=(2, 3, 4))
    >>> read_axes("QYX", (5, 64, 64)).letters
    'ZYX'

    Raises:
        ValueError: it has several axes beside Y and X, several channel axes, or its spatial axes do not end with Y, X.
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
    """Return a length in micrometers; None if the unit is not one of length.

    >>> micrometers(65.0, "nm"), micrometers(1.0, "pixel")
    (0.065, None)
    """
    factor = MICROMETERS.get((unit or "").strip().lower(), MICROMETERS.get((unit or "").strip()))
    return None if factor is None else round(size * factor, 12)
