"""Video files (mp4, avi, mov, mkv, webm) by PyAV: only the frames that are sliced are decoded."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Format, Library, require_room
from atrous.data.formats.frames import Clip
from atrous.data.formats.header import Header
from atrous.data.formats.orient import Turn
from atrous.files import Replacement

av: Any = Library("av", 'video files are read with PyAV: pip install "atrous[video]"')
HIDDEN = ("vp8",)
"""Codecs with packets that show no frame: such files are decoded to count their frames."""
ENCODING = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
"""Options of x264: a constant rate factor that its documentation calls visually lossless, and no macroblock tree, whose
vectorized code gives a few bytes more or less from run to run: the same frames shall give the same file."""


@dataclass(frozen=True)
class Index:
    """The frames of a video file.

    Attributes:
        times: time at which each frame is shown, in units of `unit`, ascending.
        keys: numbers of the key frames, from which decoding can start.
        unit: of the times, in seconds.
        rate: frames per second, on average.
        size: height and width as shown, after the rotation that the file asks for.
        seekable: False if frames have no times of their own; they are then counted from the start.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    unit: Fraction
    rate: Fraction
    size: tuple[int, int]
    seekable: bool


class MovieFormat(Format):
    """Video files; their first video stream is read."""

    name = "compressed video"
    suffixes = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm")
    kind = "video"

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (av.error.FFmpegError, OSError, ValueError, EOFError, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header: three channels of 8 bits."""
        index = index_of(path)
        return Header((3, len(index.times), *index.size), "uint8", "video")

    def image(self, path: Path) -> np.ndarray:
        """Return all frames, `(3, T, H, W)` uint8."""
        require_room(path, self.header(path).shape, np.uint8, copies=1)
        return self.source(path)[...]

    def source(self, path: Path) -> "Movie":
        """Return the video as a source that decodes the frames that are sliced."""
        return Movie(path)

    def values(self, path: Path) -> np.ndarray:
        """Refuse: compression changes the numbers of masks."""
        what = "masks cannot be kept in a compressed video, which changes their numbers"
        raise FileFault(path, what, "give a folder with a PNG for each frame")


def index_of(path: Path) -> Index:
    """Return the frames of a file from its packets; only the first frame is decoded."""
    state = path.stat()
    return _index(path, state.st_mtime_ns, state.st_size)


class Movie(Clip):
    """A video file as a source `(3, T, H, W)` of uint8.

    Slices in ascending order decode the file once, from its beginning to its end. Other slices seek to the last key
    frame before them.

    Attributes:
        path: the file.
        index: its frames.
        decoded: number of frames decoded so far, also of those that were skipped.
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
            self._start(0)  # the key frame was wrong, or the seek went too far: decode from the beginning
            if not self._read_to(number):
                what = f"frame {number} of {self.shape[1]} cannot be decoded"
                raise FileFault(self.path, what, "copy the file again from its source, or cut it before that frame")
        return self._last[1]

    def _read_to(self, number: int) -> bool:
        """Decode up to frame `number` and keep it as the last one; return whether it was there."""
        for frame in self._frames:
            self.decoded += 1
            current = self._number(frame)
            if current is not None:
                self._next = current + 1
            if current is not None and current >= number:
                if current == number:
                    self._last = number, self._sized(shown_pixels(frame), number)
                return current == number
        return False

    def _sized(self, pixels: np.ndarray, number: int) -> np.ndarray:
        """Return the pixels of a frame, or raise if its size is not that of the first."""
        if pixels.shape[1:] != self.index.size:
            (height, width), (rows, columns) = self.index.size, pixels.shape[1:]
            what = f"frame {number} is {rows} x {columns}, the first {height} x {width}: its size changes"
            fix = f"bring all frames to one size: ffmpeg -i {self.path.name} -vf scale={width}:{height} new.mp4"
            raise FileFault(self.path, what, fix)
        return pixels

    def _number(self, frame: Any) -> int | None:
        return self._numbers.get(frame.pts) if self.index.seekable else self._next

    def _start(self, key: int) -> None:
        """Start the decoder at frame `key`, or at a frame before it."""
        seek = self.index.seekable and key > 0
        if self._container is None or not seek:
            self.close()
            self._container = av.open(str(self.path))
            video_stream(self._container).thread_type = "AUTO"
        stream = video_stream(self._container)
        if seek:
            self._container.seek(self.index.times[key], stream=stream, backward=True, any_frame=False)
        self._frames, self._next = self._container.decode(stream), 0

    def close(self) -> None:
        """Close the file; it is opened again at the next slice."""
        if self._container is not None:
            self._container.close()
        self._container, self._frames, self._next = None, iter(()), 0


class MovieWriter:
    """Writes frames `(H, W, 3)` of uint8 to an H.264 file, one after the other.

    The file appears at its place when `close` is called.

    Args:
        path: `.mp4`, `.mov` or `.mkv`.
        size: height and width. Odd numbers are kept, which needs full color resolution.
        rate: frames per second.
        unit: of the times that `write` gets, in seconds; the duration of one frame if None.
        endless: whether the file is written in pieces that stand alone, as nobody knows how many frames will come: the
            index of an mp4 would grow in memory.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction | int,
        unit: Fraction | None = None,
        *,
        endless: bool = False,
    ) -> None:
        self._replacement = Replacement(path)
        self.unit = unit or 1 / Fraction(rate)
        pieces = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if endless else {}
        self._container: Any = av.open(str(self._replacement.beside), "w", container_options=pieces)
        self._stream = self._container.add_stream("libx264", rate=rate, options=ENCODING)
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        self._stream.codec_context.time_base = self.unit
        self._count = 0

    def write(self, frame: np.ndarray, time: int | None = None) -> None:
        """Append a frame that is shown at `time` (in units of `unit`), by default after the frame before it."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = self._count if time is None else time, self.unit
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the file and rename it to its place."""
        self._container.mux(self._stream.encode())
        self._container.close()
        self._replacement.finish()

    def abandon(self) -> None:
        """Remove the unfinished file."""
        self._container.close()
        self._replacement.discard()


@lru_cache(maxsize=64)
def _index(path: Path, modified: int, size: int) -> Index:
    with av.open(str(path)) as container:
        stream = video_stream(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        unit = stream.time_base or 1 / rate
        packets = [] if stream.codec_context.name in HIDDEN else [_stamp(p) for p in container.demux(stream) if p.size]
    shown = [(time, key) for time, key, discarded in packets if not discarded]
    times = sorted(time for time, _ in shown if time is not None)
    with av.open(str(path)) as container:
        declared = video_stream(container).codec_context
        require_room(path, (declared.height, declared.width, 3), np.uint8, "a frame", copies=3)
        decoding = container.decode(video_stream(container))
        first = next(decoding, None)
        if first is None:
            raise ValueError("it has no frame that can be decoded")
        height, width = shown_pixels(first).shape[1:]
        seekable = len(set(times)) == len(shown) and first.pts in times[:1]
        if not seekable:
            count = 1 + sum(1 for _ in decoding)
            return Index(tuple(range(count)), (0,), 1 / rate, rate, (height, width), False)
    keys = tuple(bisect_right(times, time) - 1 for time in sorted(t for t, key in shown if key and t is not None))
    return Index(tuple(times), keys or (0,), unit, rate, (height, width), True)


def _stamp(packet: Any) -> tuple[int | None, bool, bool]:
    return packet.pts, bool(packet.is_keyframe), bool(packet.is_discard)


def video_stream(container: Any) -> Any:
    """Return the first video stream of a container.

    Raises:
        ValueError: there is none, or nothing decodes it.
    """
    if not container.streams.video:
        raise ValueError("it has no video stream")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise ValueError("nothing installed decodes its codec")
    return stream


def shown_pixels(frame: Any) -> np.ndarray:
    """Return a frame as it is shown, `(3, H, W)`, turned and mirrored as the file asks."""
    pixels = frame.to_ndarray(format="rgb24").transpose(2, 0, 1)
    turn = _turn(frame)
    return np.ascontiguousarray(pixels) if turn is None else turn(pixels)


def _turn(frame: Any) -> Turn | None:
    """Return how a frame `(3, H, W)` is turned to be shown, None if it is stored so.

    A display matrix of nine numbers maps the pixel in column x and row y to the column `a x + c y` and the row
    `b x + d y`; a, b, c and d are its numbers 0, 1, 3 and 4 (ISO/IEC 14496-12, 6.2.2). Of its scale nothing is kept.

    Raises:
        ValueError: it turns by an angle that is no multiple of 90 degrees, or shears.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(np.int64)
    small = max(abs(number) for number in (a, b, c, d)) // 256
    straight, exchanged = max(abs(b), abs(c)) <= small, max(abs(a), abs(d)) <= small
    if straight and min(abs(a), abs(d)) > small:
        rows_back, columns_back = d < 0, a < 0
    elif exchanged and min(abs(b), abs(c)) > small:
        rows_back, columns_back = b < 0, c < 0
    else:
        raise ValueError(f"its display matrix ({a}, {b}, {c}, {d}) is no turn by a multiple of 90 degrees")
    mirrored = tuple(axis for axis, back in ((1, rows_back), (2, columns_back)) if back)
    return Turn((0, 2, 1) if exchanged else (0, 1, 2), mirrored) if exchanged or mirrored else None
