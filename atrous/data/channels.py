"""The channels of an input as a network reads them: found by their names, gray pictures as color, color as gray."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.source import Selected, Source, Stacked

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in gray (ITU-R BT.601)."""


@dataclass(frozen=True)
class Wanted:
    """The channels that are wanted of every input.

    Attributes:
        count: how many; None for as many as a file has.
        names: their names, in order; empty where nobody says them.
        color: whether they are red, green and blue; None where nobody knows.
        renames: whether the names are new names of the channels of a file that has none of them.
        by: who wants them, for messages.
    """

    count: int | None = None
    names: tuple[str, ...] = ()
    color: bool | None = None
    renames: bool = False
    by: str = "the network reads"


def to_channels(source: Source, wanted: Wanted, file: Path, names: Sequence[str] = ()) -> Source:
    """Return a source `(C, *S)` with the channels that are wanted.

    Where both sides name all their channels, each is found by its name (case and spaces do not count), whatever its
    place; channels that are not wanted are left out. Without names channels are taken as they come. An 8-bit gray
    picture is repeated to become color, and an 8-bit color picture becomes gray by the luma weights; nothing else
    changes its number of channels.

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
    count, channels, picture = wanted.count, int(source.shape[0]), len(source.shape) == 3 and source.dtype == np.uint8
    if count is None or count == channels:
        return source
    if (channels, count) == (1, 3) and picture and wanted.color is not False:
        return Stacked([source] * 3)
    if (channels, count) == (3, 1) and picture:
        values = np.asarray(source[...]).astype(np.float32)
        return np.rint(np.tensordot(LUMA, values, axes=1)[None]).astype(np.uint8)
    what = f"{channels} {'channel' if channels == 1 else 'channels'}, but {wanted.by} {count}"
    raise FileFault(file, f"{what}{f' ({listed})' if (listed := ', '.join(wanted.names)) else ''}", _fix(wanted))


def _by_name(source: Source, wanted: Wanted, file: Path, names: Sequence[str]) -> Source | None:
    """The wanted channels by their names; None where a file has other names for all of them."""
    order = positions(names, wanted.names)
    if order is not None:
        return source if order == tuple(range(source.shape[0])) else Selected(source, order)
    stored = {_plain(name) for name in names}
    missing = [name for name in wanted.names if _plain(name) not in stored]
    # Microscopes and satellites name the same channels in many ways; a single channel can be no other one.
    free = wanted.renames or len(source.shape) > 2 or (len(names), len(wanted.names)) == (1, 1)
    if free and len(missing) == len(wanted.names):
        return None
    what = f"its channels are {', '.join(names)}, but {wanted.by} {', '.join(wanted.names)}"
    raise FileFault(file, what, f"export {', '.join(missing)} too, or rename the channels")


def positions(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Return where the wanted channels stand among `names`; None if one is missing, or if a side does not name all.

    >>> positions(("time", "ECG ", "Resp"), ("resp", "ecg"))
    (2, 1)
    """
    if not _known(names) or not _known(wanted):
        return None
    places = {_plain(name): place for place, name in enumerate(names)}
    found = [places.get(_plain(name)) for name in wanted]
    return None if None in found else tuple(place for place in found if place is not None)


def renamed(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return a line that tells that channels have other names than the training data's; none where they do not."""
    if not _known(names) or not _known(wanted) or positions(names, wanted) is not None:
        return []
    named, usual = ", ".join(names), ", ".join(wanted)
    return [f"its channels are called {named}, those of the training data {usual}: they are taken in this order"]


def _fix(wanted: Wanted) -> str:
    return "correct one of the two" if wanted.renames else "give the files of all channels"


def _known(names: Sequence[str]) -> bool:
    """Whether every channel has a name of its own."""
    return len(names) > 0 and all(names) and len({_plain(name) for name in names}) == len(names)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
