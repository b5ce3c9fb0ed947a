"""A video that is read while it comes, by PyAV: from a file, standard input, or an `rtsp://` or `http://` address.

What comes is hostile until it is known: formats are those of `FORMATS`, a stream can name no file of this machine and
no protocol but those of its address, and no frame is decoded that is too large for the memory.
"""

import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from atrous.data.formats.base import require_room
from atrous.data.formats.movie import av, shown_pixels, video_stream
from atrous.data.live_frames import PAUSE, RATE, FrameClock, LiveFrame, LiveSource, now
from atrous.errors import UserError
from atrous.machine import memory_limit

PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsp,rtp,tcp,udp,tls",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
}
"""For the beginning of an address, the protocols by which it may be read; no other, whatever it says."""
FORMATS = (
    "mov,mp4,matroska,webm,mpegts,mpeg,avi,flv,live_flv,nut,ogg,asf,mxf,ivf,yuv4mpegpipe,mjpeg,mpjpeg,h264,hevc,m4v,"
    "mpegvideo,obu,jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,rtsp,rtp,sdp"
)
"""The formats that may be found in what comes: no text, no playlist, nothing that opens other files."""
NOTHING = "pipe"
"""The protocols of what is read by Python: of those that could be named, one that opens no file."""
MOST_BROKEN = 1500
"""So many packets one after the other may fail to be decoded: a stream may begin a minute before a whole picture."""
PROMPT = {"fpsprobesize": "0", "analyzeduration": "500000"}
"""Of what comes, PyAV looks at half a second before it gives the first frame, and waits for no more."""
MOST_RATE = 1000
"""Frames per second that are believed: some streams name the ticks of their clock."""
COPIES = 3
"""Of a frame: what the decoder holds, its colors, and the array."""
BYTES = 3
"""Of a pixel."""
MOST_PIXELS = 2**31 - 1
"""Of a frame, for which FFmpeg has 32 bits."""


class LiveStream(LiveSource):
    """The frames of the first video stream of something that PyAV opens.

    A packet that cannot be decoded is left out and told: a stream that was disturbed goes on.

    Args:
        place: an address, a file, or bytes that come: an object with `read`, as standard input's buffer.
        title: names it in messages.
        idle: seconds for which an address may be silent.
        rate: frames per second of a stream without times; None for what the stream says, or 25.
        tell: called with a line for what is left out.

    Raises:
        UserError: PyAV is not installed, or the address begins in another way.
    """

    def __init__(self, place: Any, title: str, idle: float, rate: Fraction | None, tell: Callable[[str], None]) -> None:
        self.title, self.hurries = title, not isinstance(place, Path)
        self._place, self._idle, self._wanted, self._tell = place, idle, rate, tell
        self._errors: tuple[type[Exception], ...] = (av.error.FFmpegError, OSError, ValueError, EOFError, MemoryError)
        self._broken = self._row = self._count = 0

    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """See `LiveSource.frames`.

        Raises:
            UserError: nothing answers, what comes is no video, holds no frame, or breaks off.
        """
        with ExitStack() as ends:
            container = self._open(stop, ends)
            ends.callback(container.close)
            yield from self._decoded(container, self._decoder(container), stop)
        if self._broken:
            what = "a packet" if self._broken == 1 else f"{self._broken} packets"
            self._tell(f"{self.title}: {what} could not be decoded, and may have held frames")
        if self._count == 0 and not stop.is_set():
            raise UserError(f"{self.title}: no frame in it can be decoded: give a video")

    def _open(self, stop: Event, ends: ExitStack) -> Any:
        """The container; a file and bytes that come are read by Python, so that they can name nothing else."""
        options = {"format_whitelist": FORMATS, **(PROMPT if self.hurries else {})}
        if self._wanted is not None:  # of formats that hold pictures alone
            options["framerate"] = str(self._wanted)
        if isinstance(self._place, str):
            scheme = self._place.split(":")[0].lower()
            options |= {"protocol_whitelist": PROTOCOLS[scheme]}
            options |= {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
            given: Any = self._place
        else:
            options |= {"protocol_whitelist": NOTHING}
            is_file = isinstance(self._place, Path)
            given = ends.enter_context(self._place.open("rb")) if is_file else _Arriving(self._place, stop)
        try:
            return av.open(given, options=options, timeout=self._idle if isinstance(given, str) else None)
        except self._errors as error:
            if not isinstance(self._place, str):
                raise UserError(f"{self.title}: is no video ({self._said(error)}): give a video") from error
            what = f"nothing came for {self._idle:g} seconds" if _timed_out(error) else self._said(error)
            raise UserError(f"{self.title}: gives no video ({what}): check the address and the camera") from error

    def _decoder(self, container: Any) -> Any:
        """The stream, whose decoder refuses frames that do not fit in memory, and keeps none back for its threads."""
        try:
            stream = video_stream(container)
        except ValueError as error:
            raise UserError(f"{self.title}: {error}: give a video") from error
        context = stream.codec_context
        require_room(self.title, (context.height, context.width, BYTES), "uint8", "a frame", copies=COPIES)
        context.options = {"max_pixels": str(min(MOST_PIXELS, max(1, memory_limit() // (BYTES * COPIES))))}
        context.thread_type = "SLICE"
        said = stream.average_rate or stream.guessed_rate or RATE
        self.rate = self._wanted or (said if said <= MOST_RATE else RATE)
        return stream

    def _decoded(self, container: Any, stream: Any, stop: Event) -> Iterator[LiveFrame]:
        clock, unit = FrameClock(1 / self.rate), stream.time_base
        for packet in self._packets(container, stream, stop):
            for frame in self._frames_of(packet):
                try:
                    pixels = shown_pixels(frame)
                except self._errors as error:
                    raise UserError(f"{self.title}: frame {self._count}: {error}: give another video") from error
                time = None if frame.pts is None or unit is None else frame.pts * unit
                self._row = 0
                seconds = clock.at(time)
                yield LiveFrame(f"{self._count:05d}", pixels, seconds, now(), clock.gaps.count)
                self._count += 1

    def _packets(self, container: Any, stream: Any, stop: Event) -> Iterator[Any]:
        """The packets, until the end or until `stop` is set."""
        try:
            for packet in container.demux(stream):
                if stop.is_set():
                    return
                yield packet
        except self._errors as error:
            what = f"nothing came for {self._idle:g} seconds" if _timed_out(error) else self._said(error)
            raise UserError(f"{self.title}: broke off after {self._count} frames ({what}): start again") from error

    def _frames_of(self, packet: Any) -> list[Any]:
        """The frames of a packet; none if it cannot be decoded."""
        try:
            return packet.decode()
        except self._errors as error:
            self._broken, self._row = self._broken + 1, self._row + 1
            if self._broken == 1:
                self._tell(f"{self.title}: a packet cannot be decoded ({self._said(error)}): it is left out")
            if self._row == MOST_BROKEN:
                what = f"{MOST_BROKEN} packets in a row cannot be decoded ({self._said(error)})"
                raise UserError(f"{self.title}: {what}: look at what sends it") from error
            return []

    def _said(self, error: BaseException) -> str:
        """What a library says, on one line, without the address, which may hold a password."""
        text = getattr(error, "strerror", None) or str(error)
        text = text.replace(str(self._place), self.title)
        return " ".join(text.split()).strip(" :;") or type(error).__name__


class _Arriving:
    """Bytes that come, as PyAV reads them: as many as there are, and none at the end or when asked to stop.

    A buffered reader would wait until a block is full, and so hold frames back.

    Args:
        stream: with `raw` (a buffered file, as standard input) or `read1`.
        stop: ends the reading when it is set.
    """

    def __init__(self, stream: Any, stop: Event) -> None:
        raw = getattr(stream, "raw", None)
        self._take = stream.read1 if raw is None else raw.read
        self._stream, self._stop = raw or stream, stop

    def read(self, count: int) -> bytes:
        """Return some bytes, at most `count`."""
        while not self._stop.is_set():
            if self._ready():
                return self._take(count) or b""
        return b""

    def _ready(self) -> bool:
        """Whether something has come, within a short while; where that cannot be asked, reading waits for it."""
        try:
            return bool(select.select([self._stream.fileno()], [], [], PAUSE)[0])
        except (OSError, ValueError, AttributeError):  # no file of the system; Windows asks sockets alone
            return True


def _timed_out(error: BaseException) -> bool:
    """Whether a call of the network was ended since nothing came (PyAV interrupts it), or the system says so."""
    return isinstance(error, TimeoutError | av.error.ExitError)
