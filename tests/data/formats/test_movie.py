"""Video files: what is sliced is what PyAV decodes, and nothing is decoded twice."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

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


MATRICES = [
    (1, 0, 0, 1),
    (0, 1, -1, 0),
    (-1, 0, 0, -1),
    (0, -1, 1, 0),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, -1, -1, 0),
]


def set_matrix(path, a, b, c, d):
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    numbers = [round(a * 65536), round(b * 65536), 0, round(c * 65536), round(d * 65536), 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(data)


@pytest.mark.parametrize("matrix", MATRICES)
def test_all_eight_display_matrices_show_pixels_where_they_say(tmp_path, matrix):
    path = write_movie(tmp_path / "a.mp4", make_clip(1, frames=3)[0])
    stored = decoded(path)
    set_matrix(path, *matrix)
    a, b, c, d = matrix
    y, x = np.indices(stored.shape[2:])
    columns, rows = a * x + c * y, b * x + d * y  # where the standard shows the pixel of column x and row y
    columns, rows = columns - columns.min(), rows - rows.min()
    truth = np.empty((3, 3, rows.max() + 1, columns.max() + 1), np.uint8)
    truth[:, :, rows, columns] = stored
    assert read_header(path).shape == truth.shape
    np.testing.assert_array_equal(read_image(path), truth)
    np.testing.assert_array_equal(open_source(path)[:, 1, 3:9], truth[:, 1, 3:9])


def test_a_scaled_matrix_turns_and_a_slanted_one_is_refused(tmp_path):
    path = write_movie(tmp_path / "a.mp4", make_clip(1, frames=3)[0])
    stored = decoded(path)
    set_matrix(path, 2, 0, 0, -2)
    np.testing.assert_array_equal(read_image(path), stored[:, :, ::-1])
    for matrix in ((0.7, 0.7, -0.7, 0.7), (1, 0.5, 0, 1)):
        set_matrix(path, *matrix)
        with pytest.raises(UserError, match=r"a.mp4: .*is no turn by a multiple of 90 degrees"):
            read_header(path)


def test_a_change_of_size_is_named(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
        for time in range(8):
            picture = Image.fromarray(np.full((48, 64, 3), 20 * time, np.uint8))
            content = io.BytesIO()
            (picture if time < 5 else picture.resize((32, 24))).save(content, "JPEG")
            packet = av.Packet(content.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, time, time, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    assert read_header(path).shape == (3, 8, 48, 64)
    assert open_source(path)[:, :5].shape == (3, 5, 48, 64)
    said = r"a.mkv: frame 5 is 24 x 32, the first 48 x 64: its size changes: .* ffmpeg -i a.mkv -vf scale=64:48 new.mp4"
    with pytest.raises(UserError, match=said):
        read_image(path)
