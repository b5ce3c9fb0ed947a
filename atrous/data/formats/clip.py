"""A video as something to slice along time: what folders of frames and video files have in common."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atrous.data.source import full_key


class Clip:
    """A video `(C, T, H, W)`; only the frames that are asked for are decoded, none is kept.

    Attributes:
        shape: `(C, T, H, W)`.
        dtype: of the values.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype

    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames of these numbers, each `(C, H, W)`, one at a time."""
        raise NotImplementedError

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        channel, time, *place = full_key(key, 4)
        chosen = range(self.shape[1])[time]
        if isinstance(chosen, int):
            return next(self.frames([chosen]))[(channel, *place)]
        found = np.empty((self.shape[0], len(chosen), *self.shape[2:]), self.dtype)
        for at, frame in enumerate(self.frames(chosen)):
            found[:, at] = frame
        return found[(channel, slice(None), *place)]
