"""A video of a fixed camera with its background: what stood at each pixel for most of the time before.

The background of a frame is the median of a few earlier frames. Which ones these are follows from the number of the
frame alone, so that the background of a frame is the same wherever reading begins: in a stream, after an interruption,
for a single labelled frame. No later frame is used, and memory does not grow with the length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np

from atrous.data.source import Key, LazySource, Source


@dataclass(frozen=True)
class Background:
    """Of which earlier frames the background is the median.

    Frame `t` looks at the frames with numbers up to `t` that are multiples of a step, the latest `frames` of them. The
    step is 1 at first and is doubled whenever there would be more than `frames`, until `frames` steps cover `span`
    frames: from then on the oldest frame is forgotten when a new one comes. Changes of the light, and things that were
    put down, thus become background within half of `span`.

    Attributes:
        frames: at most so many frames are looked at, and held in memory.
        span: so many frames back, at most.

    >>> Background(frames=4, span=8).numbers(3), Background(frames=4, span=8).numbers(9)
    ([0, 1, 2, 3], [2, 4, 6, 8])
    """

    frames: int = 32
    span: int = 1024

    def __post_init__(self) -> None:
        if self.frames < 1 or self.span < self.frames:
            raise ValueError(f"{self.frames} of {self.span} frames: give at least one, out of at least as many")

    def numbers(self, frame: int) -> list[int]:
        """Return the numbers of the frames whose median is the background of a frame, in ascending order."""
        step = 1
        while frame // step >= self.frames and 2 * step * self.frames <= self.span:
            step *= 2
        latest = frame // step
        return [step * number for number in range(max(0, latest - self.frames + 1), latest + 1)]


class RunningBackground:
    """The backgrounds of frames that come one after the other, as from a camera. Memory is that of a few frames.

    Args:
        background: of which frames the background is the median.

    >>> camera = RunningBackground(Background(frames=3, span=3))
    >>> [camera.push(np.array([[[value]]], np.uint8)).ravel().tolist() for value in (5, 5, 9)]
    [[5, 5], [5, 5], [9, 5]]
    """

    def __init__(self, background: Background) -> None:
        self._background, self._pushed = background, 0
        self._kept: dict[int, np.ndarray] = {}
        self._median: tuple[list[int], np.ndarray] | None = None

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Take the next frame `(C, H, W)`, and return it with its background, `(2 C, H, W)`."""
        self._pushed += 1
        own = np.array(frame)  # a camera may write the next frame into the same memory
        return self.pair(self._pushed - 1, lambda number: own)

    def pair(self, number: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """Return a frame with its background, `(2 C, H, W)`.

        Args:
            number: of the frame.
            read: returns a frame `(C, H, W)` that is not held any more. In ascending order that is this one alone.
        """
        numbers = self._background.numbers(number)
        kept = {one: self._kept[one] if one in self._kept else read(one) for one in numbers}
        frame = kept[number] if number in kept else read(number)
        self._kept = kept
        if self._median is None or self._median[0] != numbers:
            self._median = numbers, median([kept[one] for one in numbers])
        return np.concatenate([frame, self._median[1]])


class WithBackground(LazySource):
    """A video `(C, T, H, W)` with its background, `(2 C, T, H, W)`: frames first, read as they are sliced.

    Frames that are read in ascending order are read once. Several threads may read.

    Args:
        clip: the video.
        background: of which frames the background is the median.

    >>> clip = np.array([5, 5, 9, 5], np.uint8).reshape(1, 4, 1, 1)
    >>> WithBackground(clip, Background(frames=3, span=3))[:, 2].ravel().tolist()
    [9, 5]
    """

    def __init__(self, clip: Source, background: Background) -> None:
        super().__init__((2 * clip.shape[0], *clip.shape[1:]), clip.dtype)
        self._clip, self._running = clip, RunningBackground(background)
        self._lock = Lock()

    def _read(self, key: Key) -> np.ndarray:
        channel, time, *place = key
        wanted = range(self.shape[1])[time]
        with self._lock:
            if isinstance(wanted, int):
                return self._pair(wanted)[(channel, *place)]
            values = np.empty((self.shape[0], len(wanted), *self.shape[2:]), self.dtype)
            for position in sorted(range(len(wanted)), key=lambda position: wanted[position]):
                values[:, position] = self._pair(wanted[position])
        return values[(channel, slice(None), *place)]

    def _pair(self, number: int) -> np.ndarray:
        return self._running.pair(number, lambda one: np.asarray(self._clip[:, one]))


def median(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Return the lower median of some frames of one shape and type, position by position: one of the values there.

    >>> median([np.array([3, 0]), np.array([1, 9]), np.array([2, 4]), np.array([8, 4])]).tolist()
    [2, 4]
    """
    rows, spare = [np.array(frame) for frame in frames], np.empty_like(frames[0])
    for low, high in comparators(len(rows)):
        np.minimum(rows[low], rows[high], out=spare)
        np.maximum(rows[low], rows[high], out=rows[high])
        rows[low], spare = spare, rows[low]
    return rows[(len(rows) - 1) // 2]


@cache
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs of rows that a sorting network compares and exchanges one after the other to sort `count` rows.

    Whole rows are compared at once, which is far faster than to sort position by position. Batcher's merge exchange:
    Knuth, The Art of Computer Programming, volume 3, section 5.2.2, algorithm M.

    >>> comparators(3)
    ((0, 2), (0, 1), (1, 2))
    """
    pairs: list[tuple[int, int]] = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    step = top if count > 1 else 0
    while step:
        width, rest, apart = top, 0, step
        while True:
            pairs += [(i, i + apart) for i in range(count - apart) if i & step == rest]
            if width == step:
                break
            apart, width, rest = width - step, width // 2, step
        step //= 2
    return tuple(pairs)
