"""Video files: what is sliced is what PyAV decodes, and nothing is decoded twice."""

from fractions import Fraction

import av
import numpy as np
import pytest

from atrous.data.formats import open_source, read_header, read_image, read_values
from atrous.data.formats.movie import Movie, MovieWriter, index_of
from atrous.errors import UserError
from tests.clips import make_clip, write_movie

KINDS = [
    ("a.mp4", "libx264", {"g": "7", "bf": "2"}),
    ("a.avi", "mpeg4", {"g": "7"}),
    ("a.mov", "mpeg4", {"g": "7"}),
    ("a.webm", "libvpx-vp9", {"g": "7"}),
    ("b.webm", "libvpx", {"g": "7"}),
]


def decoded(path):
    """All frames by PyAV itself, `(3, T, H, W)`."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).transpose(3, 0, 1, 2)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    pictures, _ = make_clip(1, frames=30)
    return write_movie(tmp_path_factory.mktemp("movie") / "clip.mp4", pictures, g="7", bf="2")


@pytest.mark.parametrize(("name", "codec", "options"), KINDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_container_gives_the_frames_of_pyav(tmp_path, name, codec, options):
    path = write_movie(tmp_path / name, make_clip(1, frames=20)[0], codec=codec, **options)
    truth = decoded(path)
    assert read_header(path).shape == truth.shape == (3, 20, 48, 64)
    np.testing.assert_array_equal(read_image(path), truth)
    source = open_source(path)
    for time in (19, 3, 12, 11, 0, 8):
        np.testing.assert_array_equal(source[:, time], truth[:, time])


def test_a_pass_in_order_decodes_every_frame_once(movie):
    source = Movie(movie)
    parts = [source[:, start : start + 4] for start in range(0, 30, 4)]
    np.testing.assert_array_equal(np.concatenate(parts, 1), decoded(movie))
    assert source.decoded == 30


def test_a_slice_far_in_starts_at_a_key_frame(movie):
    source = Movie(movie)
    assert source.index.keys[:4] == (0, 7, 14, 21)
    np.testing.assert_array_equal(source[0, 22:24, 5], decoded(movie)[0, 22:24, 5])
    assert source.decoded <= 6


def test_a_turned_video_is_read_as_it_is_shown(tmp_path):
    pictures, _ = make_clip(1, frames=3)
    path = write_movie(tmp_path / "phone.mp4", pictures)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # version 0: flags, times, number, duration, layer, group, volume
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert abs(frame.rotation) == 90
        shown = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    assert read_header(path).size == (3, 64, 48)
    np.testing.assert_array_equal(read_image(path)[:, 0], shown.transpose(2, 0, 1))


@pytest.mark.parametrize(("size", "rate"), [((48, 64), Fraction(30000, 1001)), ((33, 47), Fraction(12))])
def test_what_is_written_keeps_size_rate_and_pictures(tmp_path, size, rate):
    pictures = make_clip(2, frames=9, size=(48, 64))[0][:, : size[0], : size[1]]
    writer = MovieWriter(tmp_path / "out.mp4", size, rate)
    for picture in pictures:
        writer.write(picture)
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        assert (stream.height, stream.width) == size
    found = decoded(tmp_path / "out.mp4")
    assert found.shape == (3, 9, *size)
    assert np.abs(found.astype(int) - pictures.transpose(3, 0, 1, 2)).mean() < 12


def test_uneven_times_are_kept(tmp_path):
    times, unit = [0, 3, 4, 9], Fraction(1, 90)
    writer = MovieWriter(tmp_path / "out.mp4", (48, 64), Fraction(25), unit)
    for time, picture in zip(times, make_clip(2, frames=4)[0], strict=True):
        writer.write(picture, time)
    writer.close()
    index = index_of(tmp_path / "out.mp4")
    assert [time * index.unit for time in index.times] == [time * unit for time in times]


def test_damage_is_named(tmp_path, movie):
    (tmp_path / "cut.mp4").write_bytes(movie.read_bytes()[:500])
    with pytest.raises(UserError, match=r"cut\.mp4: cannot be read, it is damaged"):
        read_header(tmp_path / "cut.mp4")
    with pytest.raises(UserError, match="give a folder with a PNG for each frame"):
        read_values(movie)
