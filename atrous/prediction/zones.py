"""What is followed in a video, and zones of its picture that count what enters and leaves them each minute."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.plain_text import read_text
from atrous.errors import UserError
from atrous.objects.tracking import Sighting

SECONDS = 60.0
LEAST_AREA = 25
"""Pixels of the smallest thing that is followed, where nobody says it."""
Ring = tuple[tuple[float, float], ...]
"""Corners `(x, y)`, in pixels: column, then row."""


@dataclass(frozen=True)
class FollowOptions:
    """What is wanted of the things that move.

    Attributes:
        least: pixels of the smallest one that is followed.
        table: whether a table of them is wanted.
        zone: a GeoJSON file of zones in which they are counted; None for none.

    Raises:
        UserError: the smallest one has no pixel.
    """

    least: int = LEAST_AREA
    table: bool = False
    zone: Path | None = None

    def __post_init__(self) -> None:
        if self.least < 1:
            raise UserError(f"--least-area {self.least}: give a number of pixels, at least 1")


@dataclass(frozen=True)
class Zone:
    """A part of the picture.

    Attributes:
        name: what it is called.
        rings: outlines; where two of them overlap, one is a hole of the other.
    """

    name: str
    rings: tuple[Ring, ...]

    def holds(self, row: float, column: float) -> bool:
        """Return whether a point lies in the zone: a ray from it crosses the outlines an odd number of times.

        >>> zone = Zone("door", (((0, 0), (4, 0), (4, 4), (0, 4)),))
        >>> zone.holds(1, 3), zone.holds(3, 5)
        (True, False)
        """
        return bool(sum(_crossings(ring, row, column) for ring in self.rings) % 2)

    def require_inside(self, size: Sequence[int], path: Path) -> None:
        """Raise `UserError` if the zone lies beside the picture, where nothing is ever counted.

        Args:
            size: rows and columns of the picture.
            path: the file of the zones, for the message.
        """
        corners = np.array([corner for ring in self.rings for corner in ring])
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        if right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]:
            place = f"{left:g} to {right:g} across and {top:g} to {bottom:g} down"
            what = f"{self.name} lies at {place}, outside of frames of {size[1]} x {size[0]} pixels"
            raise UserError(f"{path}: {what}: draw zones in pixels of the video")


def read_zones(path: Path) -> list[Zone]:
    """Return the polygons of a GeoJSON file, whose coordinates are pixels: x is the column, y the row.

    The property `name` of a feature names its zone.

    Raises:
        UserError: it cannot be read, is no GeoJSON, holds no polygon, or two have one name.
    """
    try:
        content = json.loads(read_text(path))
        zones = list(_zones(content))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: give polygons in pixels, as GeoJSON") from None
    except RecursionError:
        raise UserError(
            f"{path}: no GeoJSON (it is nested too deeply): export polygons in pixels, as GeoJSON"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: no GeoJSON with polygons ({error}): export polygons in pixels, as GeoJSON") from error
    if not zones:
        raise UserError(f"{path}: no polygon in it: draw zones as polygons, in pixels")
    names = [zone.name for zone in zones]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: two zones are called {twice}: give each a name of its own")
    return zones


def _zones(content: Any) -> Iterator[Zone]:
    features = content["features"] if content["type"] == "FeatureCollection" else [content]
    for number, feature in enumerate(features, 1):
        geometry = feature["geometry"] if feature["type"] == "Feature" else feature
        if geometry is None:  # GeoJSON allows features without a place
            continue
        named = (feature.get("properties") or {}).get("name") if feature["type"] == "Feature" else None
        if geometry["type"] not in ("Polygon", "MultiPolygon"):
            continue
        parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        rings = tuple(tuple((float(point[0]), float(point[1])) for point in ring) for part in parts for ring in part)
        if any(len(ring) < 3 or not np.isfinite(ring).all() for ring in rings):
            raise ValueError("a ring of fewer than three corners, or of corners that are no numbers")
        if not rings:
            raise ValueError(f"polygon {number} has no ring")
        yield Zone(str(named or f"zone {number}"), rings)


def _crossings(ring: Ring, row: float, column: float) -> int:
    """How often a ray to the right of a point crosses a closed outline."""
    count = 0
    for (x, y), (other_x, other_y) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (y > row) != (other_y > row) and column < x + (row - y) / (other_y - y) * (other_x - x):
            count += 1
    return count


@dataclass
class ZoneCounts:
    """Counts tracks that enter and leave zones, minute by minute.

    A track is in a zone if the middle of the lowest row of its box is. It enters when it comes in, or is first seen
    there; it leaves when it goes out, or when its track ends there. So what entered less what left is inside.

    Attributes:
        zones: the zones.
        seconds: returns the time of a frame.
        is_lost: returns whether a track has ended.
    """

    zones: Sequence[Zone]
    seconds: Callable[[int], float]
    is_lost: Callable[[int], bool]
    _inside: list[set[int]] = field(init=False)
    _counts: list[list[int]] = field(init=False)
    _minute: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._inside = [set() for _ in self.zones]
        self._clear()

    def step(self, frame: int, sightings: Sequence[Sighting]) -> Iterator[tuple[int, str, int, int, int]]:
        """Count a frame, and yield the rows of the minutes that are over: minute, zone, entered, left, inside."""
        while int(self.seconds(frame) // SECONDS) > self._minute:
            yield from self.rows()
        for zone, inside, counts in zip(self.zones, self._inside, self._counts, strict=True):
            gone = {number for number in inside if self.is_lost(number)}
            for sighting in sightings:
                held = zone.holds(*sighting.region.foot)
                gone.discard(sighting.number)
                if held and sighting.number not in inside:
                    counts[0] += 1
                    inside.add(sighting.number)
                elif not held and sighting.number in inside:
                    gone.add(sighting.number)
            counts[1] += len(gone)
            inside.difference_update(gone)

    def rows(self) -> Iterator[tuple[int, str, int, int, int]]:
        """Yield the rows of the present minute, and begin the next one."""
        for zone, inside, (entered, left) in zip(self.zones, self._inside, self._counts, strict=True):
            yield self._minute, zone.name, entered, left, len(inside)
        self._minute += 1
        self._clear()

    def _clear(self) -> None:
        self._counts = [[0, 0] for _ in self.zones]
