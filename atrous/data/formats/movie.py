"""Video files (mp4, avi, mov, mkv, webm) by PyAV: read as far as they are sliced, written frame by frame."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.clip import Clip
from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header
from atrous.errors import UserError
from atrous.files import Replacement

try:
    import av
    from av.error import FFmpegError
except ImportError as error:
    raise UserError('video files are read with PyAV: pip install "atrous[video]"') from error

SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm")
ERRORS = (FFmpegError, OSError, ValueError, EOFError, MemoryError)
"""What PyAV raises on files that are damaged or hold no video."""
HIDDEN = ("vp8",)
"""Codecs with packets that show no frame: their frames are counted by decoding them."""
QUALITY = "18"
"""Constant rate factor of what is written: visually lossless by x264's documentation."""


@dataclass(frozen=True)
class Index:
    """Where the frames of a file are.

    Attributes:
        times: of each frame, in units of `unit`, ascending.
        keys: numbers of the frames from which decoding can start.
        unit: of the times, in seconds.
        rate: frames per second, on average.
        size: height and width as shown, rotation obeyed.
        seekable: False where frames have no times of their own: they are then counted from the start.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    unit: Fraction
    rate: Fraction
    size: tuple[int, int]
    seekable: bool


def read_header(path: Path) -> Header:
    """Header of the first video stream: three channels, 8 bits."""
    found = index_of(path)
    return Header((3, len(found.times), *found.size), "uint8", "video")


def read_image(path: Path) -> np.ndarray:
    """All frames, `(3, T, H, W)` uint8."""
    return Movie(path)[...]


def open_source(path: Path) -> "Movie":
    """The video, decoded as far as it is sliced."""
    return Movie(path)


def read_values(path: Path) -> np.ndarray:
    """Refused: compression has changed the numbers.

    Raises:
        ValueError: always.
    """
    raise ValueError("masks cannot be kept in a compressed video: give a folder with a PNG per frame")


def index_of(path: Path) -> Index:
    """The frames of a file; packets are looked at, only the first frame is decoded."""
    state = path.stat()
    return _index(path, state.st_mtime_ns, state.st_size)


class Movie(Clip):
    """A video file as something to slice, `(3, T, H, W)` uint8.

    Slices in ascending order decode the file once, from its beginning to its end. Others seek to the last key frame
    before them.

    Attributes:
        decoded: frames decoded so far, those passed over included.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.index = path, index_of(path)
        super().__init__((3, len(self.index.times), *self.index.size), np.uint8)
        self.decoded = 0
        self._numbers = {time: number for number, time in enumerate(self.index.times)}
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next, self._last = 0, (-1, np.empty(0, np.uint8))

    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """See `Clip.frames`."""
        for number in wanted:
            yield self._frame(number)

    def _frame(self, number: int) -> np.ndarray:
        if self._last[0] == number:
            return self._last[1]
        key = self.index.keys[max(bisect_right(self.index.keys, number) - 1, 0)]
        onward = self._container is not None and self._next <= number
        if not onward or (self.index.seekable and key > self._next):
            self._start(key)
        if not self._read_to(number):
            self._start(0)  # a key frame that is none, or a seek that went too far
            if not self._read_to(number):
                what = f"frame {number} of {self.shape[1]} cannot be decoded"
                raise FileFault(self.path, what, "copy the file again from its source, or cut it before that frame")
        return self._last[1]

    def _read_to(self, number: int) -> bool:
        """Decode until frame `number` is the last one; whether it came."""
        for frame in self._frames:
            self.decoded += 1
            at = self._number(frame)
            if at is not None:
                self._next = at + 1
            if at is not None and at >= number:
                self._last = (number, _pixels(frame)) if at == number else self._last
                return at == number
        return False

    def _number(self, frame: Any) -> int | None:
        return self._numbers.get(frame.pts) if self.index.seekable else self._next

    def _start(self, key: int) -> None:
        """Make the decoder ready to give frame `key`, or one before it."""
        seek = self.index.seekable and key > 0
        if self._container is None or not seek:
            self.close()
            self._container = av.open(str(self.path))
            _stream(self._container).thread_type = "AUTO"
        stream = _stream(self._container)
        if seek:
            self._container.seek(self.index.times[key], stream=stream, backward=True, any_frame=False)
        self._frames, self._next = self._container.decode(stream), 0

    def close(self) -> None:
        """Close the file; it is opened again when it is sliced again."""
        if self._container is not None:
            self._container.close()
        self._container, self._frames, self._next = None, iter(()), 0


class MovieWriter:
    """Frames `(H, W, 3)` uint8 to an H.264 file, one at a time; written beside, put in place by `close`.

    Args:
        path: `.mp4`, `.mov` or `.mkv`.
        size: height and width; odd ones are kept, at full color resolution.
        rate: frames per second.
        unit: of the times that `write` is given, in seconds; a frame's share of the rate when None.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction | int, unit: Fraction | None = None) -> None:
        self._replacement = Replacement(path)
        self.unit = unit or 1 / Fraction(rate)
        self._container: Any = av.open(str(self._replacement.beside), "w")
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": QUALITY, "preset": "veryfast"})
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        self._stream.codec_context.time_base = self.unit
        self._count = 0

    def write(self, frame: np.ndarray, time: int | None = None) -> None:
        """Append a frame, shown at `time` (in units of `unit`)."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = self._count if time is None else time, self.unit
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the file and put it in its place."""
        self._container.mux(self._stream.encode())
        self._container.close()
        self._replacement.finish()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._container.close()
        self._replacement.discard()


@lru_cache(maxsize=64)
def _index(path: Path, modified: int, size: int) -> Index:
    with av.open(str(path)) as container:
        stream = _stream(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        unit = stream.time_base or 1 / rate
        packets = [] if stream.codec_context.name in HIDDEN else [_stamp(p) for p in container.demux(stream) if p.size]
    shown = [(time, key) for time, key, discarded in packets if not discarded]
    times = sorted(time for time, _ in shown if time is not None)
    with av.open(str(path)) as container:
        decoding = container.decode(_stream(container))
        first = next(decoding, None)
        if first is None:
            raise ValueError("it has no frame that can be decoded")
        height, width = _pixels(first).shape[1:]
        seekable = len(set(times)) == len(shown) and first.pts in times[:1]
        if not seekable:
            count = 1 + sum(1 for _ in decoding)
            return Index(tuple(range(count)), (0,), 1 / rate, rate, (height, width), False)
    keys = tuple(bisect_right(times, time) - 1 for time in sorted(t for t, key in shown if key and t is not None))
    return Index(tuple(times), keys or (0,), unit, rate, (height, width), True)


def _stamp(packet: Any) -> tuple[int | None, bool, bool]:
    return packet.pts, bool(packet.is_keyframe), bool(packet.is_discard)


def _stream(container: Any) -> Any:
    if not container.streams.video:
        raise ValueError("it has no video stream")
    return container.streams.video[0]


def _pixels(frame: Any) -> np.ndarray:
    """A frame as it is shown, `(3, H, W)`: turned as the file says."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)).transpose(2, 0, 1))
