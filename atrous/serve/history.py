"""The last changes of an array, compressed, so that they can be undone and redone."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STEPS = 200
"""Changes that can be undone."""
STEP_BYTES = 2**27
"""Bytes that these take in memory, compressed."""

Region = tuple[slice, ...]
"""One slice with both ends for each axis."""
Write = Callable[[Region, np.ndarray, np.ndarray], None]
"""Takes a region and its values before and after a change."""


@dataclass(frozen=True)
class _Step:
    """One change: where, and the values before and after it, compressed."""

    region: Region
    before: bytes
    after: bytes

    @property
    def nbytes(self) -> int:
        return len(self.before) + len(self.after)


class History:
    """Changes of an array of one type. Not to be used by several threads at the same time.

    Args:
        dtype: of the array.

    >>> values, history = np.zeros(3, np.uint8), History(np.uint8)
    >>> def write(region, before, after):
    ...     values[region] = after
    >>> part = (slice(0, 2),)
    >>> history.add(part, values[part].copy(), np.array([5, 6], np.uint8)); write(part, None, [5, 6])
    >>> history.undo(write), values.tolist(), history.redo(write), values.tolist(), history.redo(write)
    (True, [0, 0, 0], True, [5, 6, 0], False)
    """

    def __init__(self, dtype: type) -> None:
        self._dtype = dtype
        self._undo: list[_Step] = []
        self._redo: list[_Step] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone change."""
        return bool(self._redo)

    def add(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        """Note a change that was made; what was undone before it is forgotten."""
        self._undo.append(_Step(region, zlib.compress(before.tobytes(), 1), zlib.compress(after.tobytes(), 1)))
        self._redo.clear()
        while len(self._undo) > STEPS or sum(step.nbytes for step in self._undo) > STEP_BYTES:
            self._undo.pop(0)

    def forget(self) -> None:
        """Forget all changes, also those that were undone."""
        self._undo.clear()
        self._redo.clear()

    def undo(self, write: Write) -> bool:
        """Have the last change taken back; return whether there was one."""
        return self._back(self._undo, self._redo, write, again=False)

    def redo(self, write: Write) -> bool:
        """Have the change made again that was undone last; return whether there was one."""
        return self._back(self._redo, self._undo, write, again=True)

    def _back(self, source: list[_Step], target: list[_Step], write: Write, *, again: bool) -> bool:
        if not source:
            return False
        step = source[-1]
        shape = [part.stop - part.start for part in step.region]
        ends = (step.before, step.after) if again else (step.after, step.before)
        before, after = (np.frombuffer(zlib.decompress(end), self._dtype).reshape(shape) for end in ends)
        write(step.region, before, after)
        target.append(source.pop())
        return True
