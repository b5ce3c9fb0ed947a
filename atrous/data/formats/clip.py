"""A video as something to slice along time: what folders of frames and video files have in common."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from atrous.data.source import Key, LazySource


class Clip(LazySource):
    """A video `(C, T, H, W)`; only the frames that are asked for are decoded, none is kept.

    Attributes:
        shape: `(C, T, H, W)`.
        dtype: of the values.
    """

    @abstractmethod
    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames of these numbers, each `(C, H, W)`, one at a time."""

    def _read(self, key: Key) -> np.ndarray:
        channel, time, *place = key
        chosen = range(self.shape[1])[time]
        if isinstance(chosen, int):
            return next(self.frames([chosen]))[(channel, *place)]
        found = np.empty((self.shape[0], len(chosen), *self.shape[2:]), self.dtype)
        for at, frame in enumerate(self.frames(chosen)):
            found[:, at] = frame
        return found[(channel, slice(None), *place)]
