"""Videos that are read while they come: the frames are those of the file, and what is hostile or broken is told."""

import os
from fractions import Fraction
from io import BytesIO
from threading import Event

import av
import numpy as np
import pytest

from atrous.data import live_stream
from atrous.data.formats import open_source
from atrous.data.formats.movie import index_of
from atrous.data.live_stream import LiveStream
from atrous.errors import UserError, without_secrets
from tests.clips import make_clip, write_movie
from tests.moved import mjpeg, web_server
from tests.rtsp import camera

FRAMES = 12


def pictures():
    return make_clip(1, frames=FRAMES)[0]


def stream_of(place, told=None, title="it", rate=None):
    return LiveStream(place, title, 60.0, rate, (told if told is not None else []).append)


def read(place, told=None, **options):
    """Pixels `(3, T, H, W)` and times of all frames."""
    frames = list(stream_of(place, told, **options).frames(Event()))
    assert [frame.name for frame in frames] == [f"{number:05d}" for number in range(len(frames))]
    return np.stack([frame.pixels for frame in frames], 1), [float(frame.seconds) for frame in frames]


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return write_movie(tmp_path_factory.mktemp("movie") / "clip.mkv", pictures(), rate=10, g="5", bf="2")


def test_frames_and_times_are_those_of_the_file(movie):
    index = index_of(movie)
    for place in (movie, BytesIO(movie.read_bytes())):
        frames, times = read(place)
        np.testing.assert_array_equal(frames, open_source(movie)[...])
        assert times == [float((time - index.times[0]) * index.unit) for time in index.times]


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.mp4", "libx264"), ("a.avi", "mpeg4")])
def test_other_containers(tmp_path, name, codec):
    path = write_movie(tmp_path / name, pictures(), codec=codec)
    frames, times = read(BytesIO(path.read_bytes()) if name == "a.ts" else path)
    assert frames.shape == (3, FRAMES, 48, 64)
    assert times == pytest.approx([number / 24 for number in range(FRAMES)])


def test_pictures_without_times_count_the_rate():
    files = b"".join(mjpeg(pictures()))
    for rate, step in ((None, 1 / 25), (Fraction(4), 1 / 4)):
        frames, times = read(BytesIO(files), rate=rate)
        assert frames.shape == (3, FRAMES, 48, 64)
        assert times == pytest.approx([number * step for number in range(FRAMES)])


def test_a_pipe_gives_frames_before_its_end(movie):
    """Half of a stream is in the pipe, whose writer waits: the frames of it are there."""
    content = b"".join(mjpeg(np.concatenate([pictures()] * 20)))
    reading, writing = os.pipe()
    stop = Event()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as sender:
        os.set_blocking(writing, False)
        sent = sender.write(content)
        assert sent is not None
        assert sent < len(content)  # the pipe is full
        frames = stream_of(stream).frames(stop)
        assert next(frames).pixels.shape == (3, 48, 64)
        stop.set()
        assert list(frames) == []  # though the pipe is open


def test_a_web_server(movie):
    with web_server("video/x-matroska", movie.read_bytes()) as address:
        frames, _ = read(address)
    np.testing.assert_array_equal(frames, open_source(movie)[...])
    parts = [b"--next\r\nContent-Type: image/jpeg\r\n\r\n" + file + b"\r\n" for file in mjpeg(pictures())]
    with web_server("multipart/x-mixed-replace; boundary=next", b"".join(parts)) as address:
        frames, times = read(f"{address}/video.mjpg")
    assert frames.shape == (3, FRAMES, 48, 64)
    assert times == pytest.approx([number / 25 for number in range(FRAMES)])


def test_a_camera(tmp_path):
    path = write_movie(tmp_path / "clip.h264", pictures(), rate=25, bf="0", threads="1")
    with camera(path.read_bytes()) as address:
        frames, times = read(address)
    np.testing.assert_array_equal(frames, read(path)[0])
    assert times == pytest.approx([number / 25 for number in range(FRAMES)])


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "content", [b"", b"hello\n" * 99, bytes(5000), b"ffconcat version 1.0\nfile a.mkv\n", PLAYLIST], ids=range(5)
)
def test_what_is_no_video_is_refused(content, tmp_path, movie):
    (tmp_path / "a.mkv").write_bytes(movie.read_bytes())
    (tmp_path / "list.mp4").write_bytes(content)
    for place in (BytesIO(content), tmp_path / "list.mp4"):
        with pytest.raises(UserError, match=r"^it: is no video \(.*\): give a video$"):
            read(place)


def test_addresses_that_do_not_answer_are_named_without_the_password():
    for address in ("rtsp://me:secret@127.0.0.1:9/door", "http://me:secret@127.0.0.1:9/door"):
        shown = without_secrets(address)
        with pytest.raises(UserError, match=rf"^{shown}: gives no video \(.*\): check the address") as error:
            read(address, title=shown)
        assert "secret" not in str(error.value)
    with web_server("text/html", b"<html>no camera here</html>") as address, pytest.raises(UserError, match="no video"):
        read(address)


def write_packets(path, contents):
    """A Matroska file with these packets of MJPEG."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
        for time, content in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, time, time, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_what_is_damaged_is_left_out_and_told(tmp_path):
    files = mjpeg(pictures())
    truth, _ = read(write_packets(tmp_path / "whole.mkv", files))
    files[4], files[7] = bytes(500), b"\xff\xd8" + bytes(500)
    told: list[str] = []
    frames, times = read(write_packets(tmp_path / "damaged.mkv", files), told)
    rest = [number for number in range(FRAMES) if number not in (4, 7)]
    np.testing.assert_array_equal(frames, truth[:, rest])
    assert times == pytest.approx([number / 25 for number in rest])
    found = list(stream_of(tmp_path / "damaged.mkv").frames(Event()))
    assert [frame.missing for frame in found] == [0] * 8 + [2, 2]  # eight steps say how far apart frames are
    assert len(told) == 2
    assert told[0].startswith("it: a packet cannot be decoded (")
    assert told[1] == "it: 2 packets could not be decoded, and may have held frames"


def test_a_stream_of_damage_ends(monkeypatch, movie):
    monkeypatch.setattr(live_stream, "MOST_BROKEN", 5)
    monkeypatch.setattr(live_stream, "MOST_PIXELS", 100)  # no frame of 48 x 64 may be decoded
    told: list[str] = []
    with pytest.raises(UserError, match="5 packets in a row cannot be decoded"):
        read(movie, told)
    assert len(told) == 1
    assert "it is left out" in told[0]


def test_frames_larger_than_the_memory_are_refused(monkeypatch, movie):
    monkeypatch.setattr("atrous.data.formats.base.ALWAYS", 1000)
    monkeypatch.setattr("atrous.data.formats.base.memory_limit", lambda: 10_000)
    with pytest.raises(UserError, match="it: a frame declares 48 x 64 x 3 of uint8"):
        read(movie)
