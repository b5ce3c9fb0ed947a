"""What moves in each frame of a video, and which of it is the same from frame to frame."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

CONFIRMED = 3
"""Frames in a row in which something must be seen before it is given a number."""
GAP = 25
"""For so many frames something may not be seen and keep its number."""
REACH = 1.0
"""Greatest distance from where something is expected, in diagonals of its box; it grows in a gap."""
SPEED = 0.5
"""Weight of the last step in the speed of a track."""
_APART = 1e6
"""Cost of two that cannot be the same."""


@dataclass(frozen=True)
class Region:
    """A connected piece of a mask.

    Attributes:
        box: first row and column, then where it ends.
        area: pixels.
        center: mean row and column, of pixel centers.
    """

    box: tuple[int, int, int, int]
    area: int
    center: tuple[float, float]

    @property
    def diagonal(self) -> float:
        """Length of the diagonal of the box."""
        top, left, bottom, right = self.box
        return float(np.hypot(bottom - top, right - left))

    @property
    def foot(self) -> tuple[float, float]:
        """Row and column of the middle of the lowest row of the box: where a person stands.

        It always lies in the picture, as the lower side of a box does not that reaches the border.
        """
        _, left, bottom, right = self.box
        return bottom - 0.5, (left + right) / 2


@dataclass(frozen=True)
class Sighting:
    """Something that moves, in one frame.

    Attributes:
        frame: number of the frame.
        number: of what moves, from 1, in the order in which it was first seen.
        region: where it is.
    """

    frame: int
    number: int
    region: Region


@dataclass(eq=False)
class _Followed:
    """Something that is followed; without a number until it is confirmed and told."""

    region: Region
    frame: int
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    seen: int = 1
    number: int = 0

    def expected(self, frame: int) -> np.ndarray:
        return np.array(self.region.center) + self.speed * (frame - self.frame)

    def follow(self, region: Region, frame: int) -> None:
        step = (np.array(region.center) - self.region.center) / (frame - self.frame)
        self.speed = step if self.seen == 1 else (1 - SPEED) * self.speed + SPEED * step
        self.region, self.frame, self.seen = region, frame, self.seen + 1


def regions_of(mask: np.ndarray, least: int = 1) -> list[Region]:
    """Return the connected pieces (8 neighbors) of a mask `(H, W)`, in the order of their first pixels.

    Args:
        mask: true where something moves.
        least: pieces of fewer pixels are left out.

    >>> mask = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    >>> [region.box for region in regions_of(mask)], [region.area for region in regions_of(mask, least=2)]
    ([(0, 0, 1, 2), (1, 3, 2, 4)], [2])
    """
    from scipy import ndimage

    numbers, count = cast("tuple[np.ndarray, int]", ndimage.label(mask, structure=np.ones((3, 3), int)))
    areas = np.bincount(numbers.ravel(), minlength=count + 1)
    regions = []
    for number, place in enumerate(ndimage.find_objects(numbers), 1):
        if place is None or areas[number] < least:
            continue
        rows, columns = np.nonzero(numbers[place] == number)
        top, left = place[0].start, place[1].start
        center = float(rows.mean()) + top + 0.5, float(columns.mean()) + left + 0.5
        regions.append(Region((top, left, place[0].stop, place[1].stop), int(areas[number]), center))
    return regions


class Tracker:
    """Gives what moves a number that stays the same from frame to frame.

    In each frame the tracks and the regions are assigned to each other so that the sum of their costs is least
    (Hungarian algorithm: Kuhn 1955). The cost is the distance of a region from where its track is expected at its
    present speed, in diagonals of their boxes, and one minus the intersection over union of the boxes. A track that is
    not seen for a while keeps its number (Bewley et al. 2016, "Simple online and realtime tracking", with the Kalman
    filter replaced by a smoothed speed). What is seen in fewer than `CONFIRMED` frames in a row is noise and gets none,
    so that sightings are told so many frames later; memory is that of the tracks alone.

    Args:
        gap: frames for which a track may not be seen.

    >>> tracker = Tracker()
    >>> found = [one for t in range(4) for one in tracker.step([Region((4, t, 8, t + 3), 12, (6.0, t + 1.5))])]
    >>> [(frame, [one.number for one in seen]) for frame, seen in [*found, *tracker.close()]]
    [(0, [1]), (1, [1]), (2, [1]), (3, [1])]
    """

    def __init__(self, gap: int = GAP) -> None:
        self._gap, self._frame, self._numbers = gap, 0, 0
        self._tracks: list[_Followed] = []
        self._waiting: deque[tuple[int, list[tuple[_Followed, Region]]]] = deque()

    def step(self, regions: Sequence[Region]) -> Iterator[tuple[int, list[Sighting]]]:
        """Take the regions of the next frame, and yield the earlier frame, if any, that is known by now.

        Returns:
            The number of a frame, and what was seen in it; every frame comes once, in order.
        """
        frame, seen = self._frame, []
        self._frame += 1
        free = dict(enumerate(regions))
        for track, number in self._assigned(frame, regions):
            track.follow(regions[number], frame)
            seen.append((track, free.pop(number)))
        for region in free.values():
            self._tracks.append(_Followed(region, frame))
            seen.append((self._tracks[-1], region))
        self._tracks = [track for track in self._tracks if self._lives(track, frame)]
        self._waiting.append((frame, seen))
        if len(self._waiting) >= CONFIRMED:
            yield self._told()

    def close(self) -> Iterator[tuple[int, list[Sighting]]]:
        """Yield the frames that are left, after the last one was taken."""
        while self._waiting:
            yield self._told()

    def lost(self, number: int) -> bool:
        """Return whether a track that was told will not be seen again."""
        return all(track.number != number for track in self._tracks)

    def _lives(self, track: _Followed, frame: int) -> bool:
        missed = frame - track.frame
        return missed == 0 if track.seen < CONFIRMED else missed <= self._gap

    def _told(self) -> tuple[int, list[Sighting]]:
        frame, seen = self._waiting.popleft()
        sightings = []
        for track, region in sorted(seen, key=lambda one: one[1].box):
            if track.seen < CONFIRMED:
                continue
            if track.number == 0:
                self._numbers += 1
                track.number = self._numbers
            sightings.append(Sighting(frame, track.number, region))
        return frame, sightings

    def _assigned(self, frame: int, regions: Sequence[Region]) -> list[tuple[_Followed, int]]:
        """Tracks with the numbers of their regions."""
        from scipy.optimize import linear_sum_assignment

        if not self._tracks or not regions:
            return []
        costs = _costs(self._tracks, regions, frame)
        rows, columns = linear_sum_assignment(costs)
        return [
            (self._tracks[row], int(column))
            for row, column in zip(rows, columns, strict=True)
            if costs[row, column] < _APART
        ]


def _costs(tracks: Sequence[_Followed], regions: Sequence[Region], frame: int) -> np.ndarray:
    """Return the cost of each region for each track, `(tracks, regions)`."""
    mine, theirs = (np.array([one.diagonal for one in of]) for of in ([t.region for t in tracks], regions))
    expected, centers = np.array([track.expected(frame) for track in tracks]), np.array([one.center for one in regions])
    distance = np.linalg.norm(expected[:, None] - centers, axis=2) / ((mine[:, None] + theirs) / 2)
    overlap = _overlaps(np.array([track.region.box for track in tracks]), np.array([one.box for one in regions]))
    reach = REACH * np.array([frame - track.frame for track in tracks])[:, None] ** 0.5
    return np.where((distance <= reach) | (overlap > 0), distance + 1 - overlap, _APART)


def _overlaps(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes `(n, 4)` and boxes `(m, 4)`, `(n, m)`."""
    ours = ours[:, None]
    low, high = np.maximum(ours[..., :2], others[:, :2]), np.minimum(ours[..., 2:], others[:, 2:])
    common = (high - low).clip(0).prod(axis=2)
    areas = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (ours, others))
    return common / (sum(areas) - common)
