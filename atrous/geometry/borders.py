"""Pads that copy rows of their input: which row each output row copies.

With `before` rows added in front, output row `o` stands at input row `i = o - before`. Inside the input it copies row
`i`. Outside, with an input of `L` rows:

- replicate: the nearest row, 0 or `L - 1`;
- reflect: row `-i` in front, and row `2*(L - 1) - i` behind, so that the border row itself is not repeated;
- circular: row `i mod L`.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from atrous.geometry.maps import Map


@dataclass(frozen=True)
class Bordered(Map):
    """A pad of `before` and `after` rows that copies rows of the input: reflect, replicate or circular.

    The input has `length` rows. A negative side crops.
    """

    mode: str
    before: int
    after: int
    length: int

    def source_row(self, o: int) -> int:
        """Return the input row that output `o` copies."""
        i = o - self.before
        if self.mode == "replicate":
            return min(max(i, 0), self.length - 1)
        if self.mode == "circular":  # a negative side crops first, and what is left is wrapped around
            start, cropped = max(-self.before, 0), max(-self.before, 0) + max(-self.after, 0)
            return start + (o - max(self.before, 0)) % (self.length - cropped)
        # reflect: row -i stands for row i, and row length - 1 + i for row length - 1 - i
        i = abs(i)
        return i if i < self.length else 2 * (self.length - 1) - i

    def first(self, o: int) -> int:
        """Return the lowest row that outputs from `o` on copy.

        It is row `o - before`, unless the last output, which a reflection takes from further back, copies a lower one.
        """
        at_end = self.source_row(self.length + self.before + self.after - 1) if self.after > 0 else self.length
        return min(max(0, o - self.before), at_end)

    def last(self, o: int) -> int:
        """Return one more than the highest row that outputs up to `o` copy.

        It is row `o - before`, unless the first output, which a reflection takes from further on, copies a higher one.
        """
        at_start = self.source_row(0) + 1 if self.before > 0 else 0
        return max(min(self.length, o - self.before + 1), at_start)

    @property
    def wraps(self) -> bool:
        """Whether the pad is circular and adds rows."""
        return self.mode == "circular" and (self.before > 0 or self.after > 0)

    @property
    def signature(self) -> Hashable:
        """The mode and the rows added, without the length."""
        return self.mode, self.before, self.after

    def reads_beyond(self, stop: int, length: int) -> bool:
        """Return whether outputs before `stop` hold rows of the padding after the end."""
        return stop > self.before + self.length

    def dropped_at_end(self, length: int, outputs: int) -> int:
        """Return 0: the rows after the end are copies of others, and none of those is left out."""
        return 0
